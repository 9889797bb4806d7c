"""100,000 feeds that wait for their time: what waiting costs, and whether a tick is lost when the broker dies.

    python bench/schedules.py [--feeds 100000] [--ticks 2000]

First all feeds are scheduled over the coming day, and the processor time of the broker and of a fetcher is measured
while nothing is due. Then the ticks of some feeds come due within 20 s, in the midst of which the broker is killed
with -9 and started again. Exits 1 where waiting takes 1 % of a core or more, or a tick is lost.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.poll import running_bus, running_fetcher
from bench.processes import cpu_seconds, megabytes
from services.standalone import broker as embedded
from shared.messages import FeedDue
from shared.nats import NatsBus
from shared.topology import FETCHER

TOGETHER = 200
IDLE_SECONDS = 30.0
DUE_SECONDS = 20.0
KILL_AFTER, DEAD_FOR = 6.0, 2.0
PATIENCE = 60.0  # for the last tick
MOST_IDLE = 1.0  # per cent of a core


async def schedule(bus: NatsBus, feeds: range, first: float, span: float) -> float:
    """Schedule the feeds evenly over `span` seconds, the first in `first`; return how many a second that were."""
    start, now = time.perf_counter(), datetime.now(UTC)
    for offset in range(0, len(feeds), TOGETHER):
        batch = range(offset, min(offset + TOGETHER, len(feeds)))
        due = [now + timedelta(seconds=first + span * index / len(feeds)) for index in batch]
        await asyncio.gather(
            *(bus.schedule(FeedDue(feed=feeds[index]), at) for index, at in zip(batch, due, strict=True))
        )
    return len(feeds) / (time.perf_counter() - start)


async def idle_percent(pid: int) -> float:
    """Return the share of a core that the process takes while nothing happens."""
    cpu, start = cpu_seconds(pid), time.perf_counter()
    await asyncio.sleep(IDLE_SECONDS)
    return 100 * (cpu_seconds(pid) - cpu) / (time.perf_counter() - start)


async def receive(bus: NatsBus, wanted: set[int]) -> set[int]:
    """Return those of the wanted ticks that have not come in time."""
    missing = set(wanted)
    mailbox = bus.mailbox(FETCHER)
    try:
        async with asyncio.timeout(DUE_SECONDS + DEAD_FOR + PATIENCE):
            while missing and (delivery := await mailbox.receive()):
                missing.discard(int(delivery.subject.rsplit(".", 1)[1]))
                await delivery.ack()
    except TimeoutError:
        pass
    return missing


async def measure(feeds: int, ticks: int) -> int:
    """Do both; return the exit code."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        async with running_bus(folder / "data") as (bus, broker, process):
            rate = await schedule(bus, range(ticks + 1, feeds + 1), 3_600, 86_400)
            print(f"{feeds - ticks} feeds scheduled, {rate:.0f} a second; broker {megabytes(process.pid):.0f} MB")
            with running_fetcher(broker, []) as fetcher:
                await asyncio.sleep(10)  # its start is not idle
                shares = await asyncio.gather(idle_percent(process.pid), idle_percent(fetcher.pid))
            print(f"idle: broker {shares[0]:.2f} % of a core, fetcher {shares[1]:.2f} %")
            await schedule(bus, range(1, ticks + 1), 10, DUE_SECONDS)
            receiving = asyncio.create_task(receive(bus, set(range(1, ticks + 1))))
            await asyncio.sleep(10 + KILL_AFTER)
            process.kill()
            process.wait()
            await asyncio.sleep(DEAD_FOR)
            again = embedded.start(broker, folder / "broker.log")
            try:
                missing = await receiving
            finally:
                again.kill()
                again.wait()
            print(f"{ticks} ticks due around the broker's death: {len(missing)} lost")
    return 1 if missing or sum(shares) >= MOST_IDLE else 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feeds", type=int, default=100_000)
    parser.add_argument("--ticks", type=int, default=2_000)
    options = parser.parse_args()
    return asyncio.run(measure(options.feeds, options.ticks))


if __name__ == "__main__":
    sys.exit(main())
