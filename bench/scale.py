"""What images and polls cost, and how that grows with transcoders: `make scale`.

    python bench/scale.py [--feeds 100] [--transcoders 1,2,4]

One replica of each service but the transcoder, which is pinned to a CPU of its own as long as there are any. Each feed
has four images of its own of a common size. Prints, per run, images per second and what the services and the broker
used per 1,000 images; then the same for polls that find nothing new. docs/scale.md says what follows.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' broker is no part of the distribution

from bench.chaos_world import Feeds, picture
from bench.processes import cpu_seconds
from services.standalone.broker import free_port
from tests.deploy.guarded_broker import GuardedBroker, guarded_broker
from tests.deploy.guarded_system import as_user, halftone

CPUS = sorted(os.sched_getaffinity(0))
ALONE = ("uploader", "fetcher", "api")
IMAGE_SIZE = (1200, 800)
AT_ONCE = 16  # polls asked for at the same time


class LargeFeeds(Feeds):
    """The feeds of bench/chaos.py with pictures of a common size, drawn before the clock starts."""

    SIZE = IMAGE_SIZE


class Used(msgspec.Struct, frozen=True):
    """What was used so far."""

    seconds: float
    cpu: dict[str, float]  # by process
    messages: int  # in to the broker
    bytes: int

    def since(self, before: "Used") -> "Used":
        """Return what was used since `before`."""
        return Used(
            self.seconds - before.seconds,
            {name: self.cpu[name] - before.cpu[name] for name in self.cpu},
            self.messages - before.messages,
            self.bytes - before.bytes,
        )


class System:
    """The running processes."""

    def __init__(self, broker: GuardedBroker, stack: ExitStack, folder: Path, site: str, transcoders: int) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._broker = broker
        halftone(broker, "provision", "provision")
        names = [*ALONE, *(f"transcoder-{number}" for number in range(transcoders))]
        self._ops = {name: free_port() for name in names}
        self._processes = {
            name: stack.enter_context(self._running(name, number, folder, site)) for number, name in enumerate(names)
        }

    @contextmanager
    def _running(self, name: str, number: int, folder: Path, site: str) -> Generator["subprocess.Popen[bytes]"]:
        service = name.partition("-")[0]
        environment = {
            **as_user(self._broker, service),
            "HALFTONE_INSTANCE": name,
            "HALFTONE_OPS_PORT": str(self._ops[name]),
            "HALFTONE_DATA": str(folder),
            "HALFTONE_ALLOW_HOSTS": site,
            "HALFTONE_HTTP_PORT": self.url.rpartition(":")[2],
            "HALFTONE_PUBLIC_URL": self.url,
            "HALFTONE_WORKERS": "1",
            "HALFTONE_HOST_RATE": "0",
        }
        pinned = ["taskset", "-c", str(CPUS[number % len(CPUS)])] if service == "transcoder" else []
        with (folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*pinned, sys.executable, "-m", f"services.{service}"], env=environment, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    async def ready(self) -> None:
        """Wait until all can work."""
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(90):
            for port in self._ops.values():
                while not await _is_ready(client, port):  # noqa: ASYNC110 - another process's state
                    await asyncio.sleep(0.1)

    async def poll(self, url: str) -> None:
        """Have a feed polled and wait for its record."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=600) as client:
            (await client.post("/api/fetches", json={"url": url, "wait": 500})).raise_for_status()

    def used(self) -> Used:
        """Return what was used so far."""
        varz = httpx.get(f"{self._broker.monitor}/varz", trust_env=False).json()
        cpu = {"broker": cpu_seconds(self._broker.pid)}
        for name, process in self._processes.items():
            service = name.partition("-")[0]
            cpu[service] = cpu.get(service, 0) + cpu_seconds(process.pid)
        return Used(time.monotonic(), cpu, varz["in_msgs"], varz["in_bytes"])


async def _is_ready(client: httpx.AsyncClient, port: int) -> bool:
    try:
        return (await client.get(f"http://127.0.0.1:{port}/readyz")).is_success
    except httpx.TransportError:
        return False


async def polled(system: System, site: Feeds, feeds: int) -> Used:
    """Have every feed polled once; return what that used."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(feed: int) -> None:
        async with slots:
            await system.poll(site.url(f"/{feed}/feed.xml"))

    before = system.used()
    await asyncio.gather(*(one(feed) for feed in range(feeds)))
    return system.used().since(before)


def tell(what: str, count: int, used: Used) -> None:
    """Print a run's figures per 1,000."""
    thousands = count / 1000
    cpu = ", ".join(f"{name} {seconds / thousands:.1f}" for name, seconds in used.cpu.items())
    total = sum(used.cpu.values())
    print(
        f"{what:<34} {count / used.seconds:7.1f} /s   per 1,000: {total / thousands:.1f} s CPU ({cpu}), "
        f"{used.messages / thousands:,.0f} broker messages, {used.bytes / thousands / 1e6:.1f} MB through it",
        flush=True,
    )


async def run(transcoders: int, feeds: int) -> None:
    """Measure one number of transcoders."""
    site = LargeFeeds()
    paths = [image for feed in range(feeds) for images in site.wanted(feed).values() for image in images]
    for path in paths:
        picture("/" + path.partition("//")[2].partition("/")[2], IMAGE_SIZE)
    folder = Path(tempfile.mkdtemp(prefix="halftone-scale-"))
    async with site.serving():
        with ExitStack() as stack:
            broker = stack.enter_context(guarded_broker(folder / "broker"))
            system = System(broker, stack, folder, f"127.0.0.1:{site.port}", transcoders)
            await system.ready()
            images = feeds * site.ARTICLES * site.IMAGES + 1
            tell(f"{transcoders} transcoders, new images", images, await polled(system, site, feeds))
            tell(f"{transcoders} transcoders, polls, nothing new", feeds, await polled(system, site, feeds))


async def main() -> None:
    """Run with the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feeds", type=int, default=100)
    parser.add_argument("--transcoders", default="1,2,4")
    arguments = parser.parse_args()
    print(f"{len(CPUS)} CPUs; images of {IMAGE_SIZE[0]} x {IMAGE_SIZE[1]} pixels, PNG")
    for transcoders in map(int, arguments.transcoders.split(",")):
        await run(transcoders, arguments.feeds)


if __name__ == "__main__":
    asyncio.run(main())
