"""The api under load: an ingest alone, 50 clients alone, both at once; and that assembling a poll is linear.

    python bench/api.py [--seconds 60] [--clients 50] [--rate 2] [--ingest-rate 200] [--postgres URL]

The api runs as a process of its own would, on a real broker and a data directory of its own; the clients are one
process, so that what they cost is not counted as the api's.
"""

import argparse
import asyncio
import hashlib
import json
import logging
import multiprocessing
import random
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import structlog
import uvloop

from services.api.app import Running, start
from services.api.settings import ApiSettings
from services.standalone import broker as embedded
from shared.messages import Article, ArticleFound, Attempt, FeedPolled, ImageMirrored, Message, WantedImage
from shared.nats import NatsBus, provision
from shared.urls import image_id, link_md5

BODY = "<p>Words, words, words.</p>" * 120  # 3 kB, as a short post has
EVENTS_OF_A_POLL = 121  # 20 articles, 100 images, the end
PATHS = ("/api/articles?limit=20", "/api/articles?q=words&limit=10", "/api/feeds", "/", "/feeds/1.atom")


def poll(number: int, articles: int, images: int) -> tuple[str, list[Message]]:
    """Return the requestId and all events of a poll, the images' results shuffled among the articles."""
    name = f"{hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()}_1"
    made = [article(number, position, images) for position in range(articles)]
    events: list[Message] = [
        ArticleFound(request_id=name, feed=1, position=position, article=it) for position, it in enumerate(made)
    ]
    events += [mirrored(image) for it in made for image in it.images]
    random.Random(number).shuffle(events)  # noqa: S311 - a reproducible order
    began = int(time.time() * 1000)
    polled = FeedPolled(
        request_id=name,
        feed=1,
        asked=False,
        ok=True,
        started_ms=began,
        entries=articles,
        found=tuple(it.link_md5 for it in made),
    )
    return name, [*events, polled]


def article(number: int, position: int, images: int) -> Article:
    """Return an article with as many images of its own."""
    link = f"http://bench.example/{number}/{position}"
    sources = [f"{link}/{image}.png" for image in range(images)]
    return Article(
        link_md5=link_md5(link),
        link=link,
        title=f"Article {position} of poll {number}",
        body=BODY + "".join(f'<img src="{source}">' for source in sources),
        found_ms=int(time.time() * 1000),
        images=tuple(WantedImage(image=image_id(source), source=source, role="body") for source in sources),
    )


def mirrored(image: WantedImage) -> ImageMirrored:
    """Return the image's result."""
    return ImageMirrored(
        image=image.image,
        source=image.source,
        url=f"http://127.0.0.1:8080/img/local-1/2026/11/25/{image.image}.webp",
        width=640,
        height=480,
        frames=1,
        source_bytes=250_000,
        rendition_bytes=40_000,
        attempts=(Attempt(way="no referer", status=200),),
        transcoder="transcoder-1",
        account="local-1",
        settled_ms=int(time.time() * 1000),
        job=1,
    )


@asynccontextmanager
async def system(postgres: str) -> AsyncGenerator[tuple[Running, embedded.Broker]]:
    """Run a broker and the api on an empty data directory."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = embedded.prepare(Path(folder))
        process = embedded.start(prepared, Path(folder) / "broker.log")
        bus = NatsBus("bench")
        try:
            await bus.connect(prepared.url, user=embedded.USER, password=prepared.password)
            await provision(bus)
            running = await start(bus, ApiSettings(data=Path(folder), http_port=0, database_url=postgres))
            yield running, prepared
            await running.drain()
            await running.abort()
        finally:
            await bus.close()
            process.kill()
            process.wait()


async def ingest(
    running: Running, broker: embedded.Broker, polls: Sequence[tuple[int, int, int]], rate: float = 0
) -> float:
    """Have another process publish the polls' events and wait until all records are complete; return events/s."""
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=publisher, args=(broker, polls, rate, theirs))
    process.start()
    count, names = await asyncio.to_thread(mine.recv)
    began = time.perf_counter()
    mine.send("go")
    for name in names:
        while await running.api.waiters.record(name, 300) is None:
            pass
    seconds = time.perf_counter() - began
    await asyncio.to_thread(process.join)
    return count / seconds


def publisher(broker: embedded.Broker, polls: Sequence[tuple[int, int, int]], rate: float, results: Connection) -> None:
    """Publish the polls' events once told to, `rate` a second (0: as fast as can be); say first what will come."""
    asyncio.run(_publisher(broker, polls, rate, results))


async def _publisher(
    broker: embedded.Broker, polls: Sequence[tuple[int, int, int]], rate: float, results: Connection
) -> None:
    made = [poll(*each) for each in polls]
    events = [event for _, events in made for event in events]
    bus = NatsBus("publisher")
    await bus.connect(broker.url, user=embedded.USER, password=broker.password)
    results.send((len(events), [name for name, _ in made]))
    await asyncio.to_thread(results.recv)
    began = time.perf_counter()
    together = 20 if rate else 256
    for first in range(0, len(events), together):
        if rate:
            await asyncio.sleep(max(0.0, began + first / rate - time.perf_counter()))
        await asyncio.gather(*(bus.publish(event) for event in events[first : first + together]))
    await bus.close()


def clients(port: int, count: int, rate: float, seconds: float, results: Connection) -> None:
    """Be `count` clients, each asking `rate` times a second; send back the latencies in ms."""
    results.send(asyncio.run(_clients(port, count, rate, seconds)))


async def _clients(port: int, count: int, rate: float, seconds: float) -> list[float]:
    end = time.perf_counter() + seconds
    latencies: list[float] = []
    limits = httpx.Limits(max_connections=count, max_keepalive_connections=count)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=30) as client:

        async def one(number: int) -> None:
            await asyncio.sleep(number / count / rate)
            turn = number
            while time.perf_counter() < end:
                began = time.perf_counter()
                answer = await client.get(PATHS[turn % len(PATHS)])
                assert answer.status_code == 200, (answer.url, answer.status_code)  # noqa: S101 - a benchmark
                took = time.perf_counter() - began
                latencies.append(took * 1000)
                turn += 1
                await asyncio.sleep(max(0.0, 1 / rate - took))

        await asyncio.gather(*(one(number) for number in range(count)))
    return latencies


@asynccontextmanager
async def read_by(port: int, arguments: argparse.Namespace, into: list[float]) -> AsyncGenerator[None]:
    """Have the clients ask while the block runs, at least for the seconds that are said."""
    mine, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=clients, args=(port, arguments.clients, arguments.rate, arguments.seconds, theirs)
    )
    process.start()
    await asyncio.sleep(1.5)
    yield
    into += await asyncio.to_thread(mine.recv)
    await asyncio.to_thread(process.join)


def spread(latencies: list[float]) -> dict[str, float]:
    """Return the quantiles in ms."""
    ordered = sorted(latencies)
    return {
        "requests": len(ordered),
        **{f"p{percent}": round(ordered[len(ordered) * percent // 100 - 1], 1) for percent in (50, 95, 99)},
    }


def _polls(first: int, count: int) -> list[tuple[int, int, int]]:
    return [(number, 20, 5) for number in range(first, first + count)]


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run all of it; return the figures."""
    figures: dict[str, Any] = {}
    async with system(arguments.postgres) as (running, broker):
        await running.api.feeds.get_or_add("http://bench.example/feed.xml")
        linear = {
            f"{articles} articles, {articles * 10} images": round(
                1000 / await ingest(running, broker, [(number, articles, 10)]), 3
            )
            for number, articles in enumerate((125, 250, 500))
        }
        figures["ms per event while one poll is assembled"] = linear
        figures["ingest flat out, events/s"] = round(await ingest(running, broker, _polls(100, 60)))
        count = round(arguments.ingest_rate * arguments.seconds / EVENTS_OF_A_POLL)
        alone = await ingest(running, broker, _polls(1_000, count), arguments.ingest_rate)
        idle: list[float] = []
        async with read_by(running.port, arguments, idle):
            pass
        figures["clients alone, ms"] = spread(idle)
        busy: list[float] = []
        async with read_by(running.port, arguments, busy):
            together = await ingest(running, broker, _polls(10_000, count), arguments.ingest_rate)
        figures["clients while an ingest runs, ms"] = spread(busy)
        figures["ingest, events/s"] = {"asked for": arguments.ingest_rate, "alone": round(alone, 1)}
        figures["ingest, events/s"] |= {"with clients": round(together, 1), "ratio": round(together / alone, 3)}
    return figures


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rate", type=float, default=2, help="requests a second of each client")
    parser.add_argument("--ingest-rate", type=float, default=200, help="events a second of the ingest beside them")
    parser.add_argument("--postgres", default="", help="postgresql+asyncpg://…; default: SQLite")
    logging.disable()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(json.dumps(uvloop.run(measure(parser.parse_args())), indent=1))


if __name__ == "__main__":
    main()
