"""How much the system adds to the work itself: a site mirrored through all four services against a bare pool.

    python bench/pipeline.py DIR [--rounds 3]

DIR holds a static site with a `feed.xml` whose URLs start with `http://127.0.0.1:8099`, where it is served while
the benchmark runs. In each round the same downloads and transcodes are done twice: by `halftone` (fetcher,
transcoder, uploader, api and a real broker, from the request for a poll to the completed record), and by a process
pool of as many workers that gets each image, transcodes it and writes it to a file. The target is a ratio of 1.15.
"""

import argparse
import asyncio
import http.server
import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import msgspec

from services.fetcher.feed import Entry
from services.fetcher.parsing import parse
from services.standalone.broker import free_port
from services.standalone.once import ask
from services.standalone.system import Options, running
from services.transcoder.rendering import render
from services.transcoder.rendition import RenderOptions
from shared import logs
from shared.errors import Reject

SITE = "127.0.0.1:8099"


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""


@contextmanager
def served(folder: Path) -> Generator[None]:
    """Serve the folder at `SITE` while the block runs, unless somebody serves there already."""
    host, port = SITE.split(":")
    with socket.socket() as probe:
        if probe.connect_ex((host, int(port))) == 0:
            yield
            return
    with http.server.ThreadingHTTPServer((host, int(port)), partial(_Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def bare(url: str, folder: str) -> int:
    """Do the work on one image and nothing else; return the rendition's bytes, 0 where there is no image."""
    try:
        with urlopen(url, timeout=30) as answer:  # noqa: S310 - our own loopback server
            data = answer.read()
        rendition = render(data, RenderOptions())
    except (HTTPError, Reject):
        return 0
    (Path(folder) / f"{abs(hash(url))}.webp").write_bytes(rendition.data)
    return rendition.rendition_bytes


def pool_seconds(urls: list[str], pool: ProcessPoolExecutor) -> tuple[float, int]:
    """Return how long the bare pool takes for all images, and how many became renditions."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        sizes = list(pool.map(partial(bare, folder=folder), urls))
        return time.perf_counter() - start, sum(size > 0 for size in sizes)


async def system_seconds() -> tuple[float, int]:
    """Return how long the running system takes from the request to the record, and how many images it mirrored."""
    with tempfile.TemporaryDirectory() as data:
        options = Options(data=Path(data), port=free_port(), allow_hosts=SITE, quiet=True)
        async with running(options) as system:
            start = time.perf_counter()
            record = msgspec.json.decode(await ask(system, f"http://{SITE}/feed.xml"))
            return time.perf_counter() - start, record["extra6"]


def entries(folder: Path) -> Sequence[Entry]:
    """Return the entries of the site's feed."""
    return parse((folder / "feed.xml").read_bytes(), f"http://{SITE}/feed.xml", "application/xml", {}).entries


def wanted(folder: Path) -> list[str]:
    """Return the URLs of all images that the site's feed wants."""
    return list(dict.fromkeys(image.source for entry in entries(folder) for image in entry.images))


def main() -> None:
    """Run the benchmark."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("dir", type=Path)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    logs.configure("bench", "pipeline", level="error", form="text")
    urls = wanted(options.dir)
    workers = len(os.sched_getaffinity(0))
    ratios: list[float] = []
    with served(options.dir), ProcessPoolExecutor(workers) as pool:
        pool_seconds(urls[:workers], pool)  # the workers' imports are not the work
        for number in range(options.rounds):
            bare_time, made = pool_seconds(urls, pool)
            system_time, mirrored = asyncio.run(system_seconds())
            ratios.append(system_time / bare_time)
            print(
                f"round {number + 1}: {len(urls)} images; pool of {workers}: {bare_time:.2f} s, {made} made; "
                f"system: {system_time:.2f} s, {mirrored} mirrored; ratio {ratios[-1]:.2f}"
            )
    print(f"median ratio {statistics.median(ratios):.2f} (target 1.15)")


if __name__ == "__main__":
    main()
