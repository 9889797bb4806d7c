"""Polls per second and core, against the `reader` library in the same run.

    python bench/poll.py [--feeds 2000] [--rounds 3]

Every feed is polled once, then three of ten change and all are polled again, each round by both: Halftone's
fetcher as a process on a real broker (politeness, sandbox, sanitising, image discovery and events included) and
`reader`'s update with its workers. Feeds are on loopback, each at an address of its own. Exits 1 below three times
as many polls per core. Article pages are not fetched in it (HALFTONE_PAGES=false): `reader` does not know them.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO
from urllib.request import urlopen

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.feed_server import address
from bench.processes import cpu_seconds, megabytes
from services.standalone import broker as embedded
from shared.feeds import FeedConfig, encode_config
from shared.messages import FeedDue
from shared.nats import NatsBus, provision
from shared.topology import FEED_CONFIGS

TARGET = 3.0  # times as many polls per core
READER_WORKERS = 32
FETCHER_WAIT = 600.0
READER = """
import sys
from reader import make_reader
reader = make_reader(sys.argv[1], feed_root=None)
for url in open(sys.argv[2]).read().split():
    reader.add_feed(url)
for line in sys.stdin:
    results = reader.update_feeds_iter(scheduled=False, workers=int(sys.argv[3]))
    failed = sum(isinstance(result.value, Exception) for result in results)
    print(failed, flush=True)
"""


class Round(msgspec.Struct, frozen=True):
    """What polling all feeds once took."""

    seconds: float
    cpu: float  # seconds, of all cores
    megabytes: float


def show(name: str, rounds: list[Round], feeds: int) -> float:
    """Print the median round; return its polls per second and core."""
    per_core = statistics.median(feeds / one.cpu for one in rounds)
    wall = statistics.median(feeds / one.seconds for one in rounds)
    memory = max(one.megabytes for one in rounds)
    print(f"{name:10} {per_core:8.0f} polls/s per core {wall:8.0f} polls/s {memory:7.0f} MB")
    return per_core


@contextmanager
def ended(process: "subprocess.Popen[bytes]") -> Generator["subprocess.Popen[bytes]"]:
    """End the process when the block does, however that ends."""
    with process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def served_feeds(feeds: int, port: int) -> Generator[None]:
    """Serve the feeds while the block runs."""
    command = [sys.executable, str(Path(__file__).with_name("feed_server.py")), str(feeds), str(port)]
    with ended(subprocess.Popen(command, stdout=subprocess.PIPE)) as server:
        _line(server.stdout)
        yield


def become(generation: int, port: int) -> None:
    """Have three feeds of ten change."""
    with urlopen(f"http://127.0.0.1:{port}/generation/{generation}", timeout=10):
        pass


@contextmanager
def running_reader(urls: list[str], folder: Path) -> Generator["subprocess.Popen[bytes]"]:
    """Run `reader` on a database of its own; each line that it is told is a round."""
    listing = folder / "urls"
    listing.write_text("\n".join(urls), encoding="ascii")
    command = [sys.executable, "-c", READER, str(folder / "reader.sqlite"), str(listing), str(READER_WORKERS)]
    with ended(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)) as process:
        yield process


def reader_round(process: "subprocess.Popen[bytes]") -> Round:
    """Have `reader` update all feeds."""
    assert process.stdin  # noqa: S101 - it was opened with one
    cpu, start = cpu_seconds(process.pid), time.perf_counter()
    process.stdin.write(b"go\n")
    process.stdin.flush()
    if failed := int(_line(process.stdout)):
        print(f"reader: {failed} feeds failed")
    seconds = time.perf_counter() - start
    return Round(seconds, cpu_seconds(process.pid) - cpu, megabytes(process.pid))


@asynccontextmanager
async def running_bus(folder: Path) -> AsyncGenerator[tuple[NatsBus, embedded.Broker, "subprocess.Popen[bytes]"]]:
    """Start a broker with everything provisioned."""
    broker = embedded.prepare(folder)
    process = embedded.start(broker, folder / "broker.log")
    bus = NatsBus("bench")
    try:
        await bus.connect(broker.url, user=embedded.USER, password=broker.password)
        await provision(bus)
        yield bus, broker, process
    finally:
        await bus.close()
        process.kill()
        process.wait()


@contextmanager
def running_fetcher(broker: embedded.Broker, origins: list[str]) -> Generator["subprocess.Popen[bytes]"]:
    """Run the fetcher as it runs in a container."""
    environment = os.environ | {
        "HALFTONE_NATS_URL": broker.url,
        "HALFTONE_NATS_USER": embedded.USER,
        "HALFTONE_NATS_PASSWORD": broker.password,
        "HALFTONE_ALLOW_HOSTS": " ".join(origins),
        "HALFTONE_PAGES": "false",
        "HALFTONE_LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-m", "services.fetcher"]
    with ended(subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[1])) as process:
        yield process


async def fetcher_round(bus: NatsBus, process: "subprocess.Popen[bytes]", feeds: int) -> Round:
    """Have the fetcher poll all feeds; it is done when it has told so of each."""
    told = asyncio.create_task(_count(bus, feeds))
    await asyncio.sleep(0.2)
    cpu, start = cpu_seconds(process.pid), time.perf_counter()
    for first in range(0, feeds, 100):
        batch = range(first, min(first + 100, feeds))
        await asyncio.gather(*(bus.publish(FeedDue(feed=feed + 1)) for feed in batch))
    async with asyncio.timeout(FETCHER_WAIT):
        await told
    seconds = time.perf_counter() - start
    await asyncio.sleep(0.5)  # what follows the event belongs to the poll too
    return Round(seconds, cpu_seconds(process.pid) - cpu, megabytes(process.pid))


async def _count(bus: NatsBus, feeds: int) -> None:
    polled: set[bytes] = set()
    failed = 0
    async for _, data in bus.follow("evt.feed.polled"):
        event = msgspec.json.decode(data)
        failed += not event["ok"]
        polled.add(event["feed"])
        if len(polled) == feeds:
            if failed:
                print(f"halftone: {failed} polls failed")
            return


async def compare(feeds: int, rounds: int) -> int:
    """Measure both, round by round; return the exit code."""
    port = embedded.free_port()
    origins = [f"{address(feed)}:{port}" for feed in range(feeds)]
    urls = [f"http://{origin}/feed" for origin in origins]
    ours: list[Round] = []
    theirs: list[Round] = []
    with tempfile.TemporaryDirectory() as text, served_feeds(feeds, port):
        folder = Path(text)
        async with running_bus(folder / "data") as (bus, broker, _):
            configs = bus.bucket(FEED_CONFIGS)
            for number, url in enumerate(urls, 1):
                await configs.put(str(number), encode_config(FeedConfig(feed=number, url=url, subscribed=True)))
            with running_fetcher(broker, origins) as fetcher, running_reader(urls, folder) as reader:
                for generation in range(rounds + 1):
                    become(generation, port)
                    ours.append(await fetcher_round(bus, fetcher, feeds))
                    theirs.append(await asyncio.to_thread(reader_round, reader))
    print(f"{feeds} feeds, first poll of each:")
    show("halftone", ours[:1], feeds)
    show("reader", theirs[:1], feeds)
    print(f"30 % changed, the rest 304, median of {rounds}:")
    ratio = show("halftone", ours[1:], feeds) / show("reader", theirs[1:], feeds)
    print(f"{ratio:.1f} times reader's polls per core (target {TARGET})")
    return 0 if ratio >= TARGET else 1


def _line(stream: IO[bytes] | None) -> str:
    assert stream  # noqa: S101 - opened with one
    return stream.readline().decode().strip()


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feeds", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    return asyncio.run(compare(options.feeds, options.rounds))


if __name__ == "__main__":
    sys.exit(main())
