"""A small site and stand-ins for fetcher and transcoder: enough to see the api's page at work without the others."""

import asyncio
import hashlib
import io
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from shared.bus import Bus
from shared.messages import (
    Article,
    ArticleFound,
    Attempt,
    FeedDue,
    FeedFacts,
    FeedPolled,
    ImageFailed,
    ImageJob,
    ImageMirrored,
    Message,
    WantedImage,
    decode,
)
from shared.topology import FETCHER, TRANSCODER
from shared.urls import image_id, link_md5
from tests.api.builders import now_ms

STORIES = (
    ("Tide tables of the northern harbours", "Ebba Lind", ("harbour", "tide-chart", "lighthouse")),
    ("How a newspaper prints a photograph", "", ("press", "dots", "plate", "gone")),
    ("Notes on paper, ink and patience", "O. Marsh", ("paper",)),
    ("A week without pictures", "Ebba Lind", ()),
)
DAY = "2026/11/25"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""


@contextmanager
def running_site(folder: Path) -> Generator[str]:
    """Serve the site's images; yields its address."""
    folder.mkdir(parents=True, exist_ok=True)
    for names in (story[2] for story in STORIES):
        for number, name in enumerate(names):
            if name != "gone":
                picture(name, number).save(folder / f"{name}.png")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def picture(name: str, number: int) -> Image.Image:
    """Draw a halftone: dots that grow towards a corner."""
    seed = hashlib.sha256(name.encode()).digest()
    image = Image.new("RGB", (960, 540), (250, 247, 240))
    draw = ImageDraw.Draw(image)
    ink = (seed[0] // 2, seed[1] // 2, seed[2] // 2)
    for x in range(0, 980, 20):
        for y in range(0, 560, 20):
            radius = 1 + 10 * abs((x * (1 + number) / 960 + y / 540) % 2 - 1)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    return image


@asynccontextmanager
async def staff(bus: Bus, site: str, url: str, data: Path, pace: float = 0.05) -> AsyncGenerator[None]:
    """Answer FeedDue and ImageJob as fetcher and transcoder do, on a bus of this process."""
    tasks = [asyncio.create_task(_fetcher(bus, site)), asyncio.create_task(_transcoder(bus, url, data, pace))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _fetcher(bus: Bus, site: str) -> None:
    seen = False
    mailbox = bus.mailbox(FETCHER)
    while delivery := await mailbox.receive():
        due = decode(delivery.data)
        assert isinstance(due, FeedDue)
        for message in _poll(due, site, new=not seen):
            await bus.publish(message)
        seen = True
        await delivery.ack()


def _poll(due: FeedDue, site: str, *, new: bool) -> list[Message]:
    began = now_ms()
    request_id = due.request_id or f"{hashlib.sha256(str(began).encode()).hexdigest()[:32]}_{due.feed}"
    articles = [_article(site, *story, began) for story in STORIES] if new else []
    jobs = {
        image.image: ImageJob(image=image.image, source=image.source, referer=it.link, request_id=request_id)
        for it in articles
        for image in it.images
    }
    polled = FeedPolled(
        request_id=request_id,
        feed=due.feed,
        asked=bool(due.request_id),
        ok=True,
        http_status=200,
        content_type="application/rss+xml",
        started_ms=began,
        fetch_ms=48,
        handle_ms=21,
        entries=len(STORIES),
        found=tuple(it.link_md5 for it in articles),
        facts=FeedFacts(title="The Tidewater Gazette", description="Slow news, well printed.", link=f"{site}/"),
        fetcher="fetcher-1",
    )
    found = [
        ArticleFound(request_id=request_id, feed=due.feed, position=number, article=it)
        for number, it in enumerate(articles)
    ]
    return [*found, *jobs.values(), polled]


def _article(site: str, title: str, author: str, names: tuple[str, ...], began: int) -> Article:
    link = f"{site}/{title.lower().replace(' ', '-')}"
    sources = [f"{site}/{name}.png" for name in names]
    uses = [WantedImage(image=image_id(source), source=source, role="body") for source in sources]
    covers = [WantedImage(image=image_id(sources[0]), source=sources[0], role="cover")] if sources else []
    body = "".join(
        f"<p>The page that carried {name} was set by hand and printed before dawn, as it was every week.</p>"
        f'<figure><img src="{source}" alt="{name}"></figure>'
        for name, source in zip(names, sources, strict=True)
    )
    return Article(
        link_md5=link_md5(link),
        link=link,
        title=title,
        author=author,
        body=body or "<p>Nothing to see, much to read.</p>",
        published="Tue, 24 Nov 2026 06:00:00 GMT",
        published_ms=began - 90_000_000,
        found_ms=began,
        images=(*covers, *uses),
    )


async def _transcoder(bus: Bus, url: str, data: Path, pace: float) -> None:
    mailbox = bus.mailbox(TRANSCODER)
    while delivery := await mailbox.receive():
        job = decode(delivery.data)
        assert isinstance(job, ImageJob)
        await asyncio.sleep(pace)
        await bus.publish(_result(job, url, data, delivery.sequence))
        await delivery.ack()


def _result(job: ImageJob, url: str, data: Path, sequence: int) -> ImageMirrored | ImageFailed:
    name = job.source.rpartition("/")[2].removesuffix(".png")
    if name == "gone" and not job.again:
        reason = Attempt(way="no referer", status=404, reason="HTTP 404")
        return ImageFailed(
            image=job.image,
            source=job.source,
            reason="every attempt was answered with an error",
            attempts=(reason, Attempt(way="article", status=404, reason="HTTP 404")),
            download_ms=30,
            total_ms=34,
            settled_ms=now_ms(),
            transcoder="transcoder-1",
            referer=job.referer,
            job=sequence,
        )
    buffer = io.BytesIO()
    picture(name, len(name)).save(buffer, "WEBP", quality=60)
    stored = buffer.getvalue()
    path = f"local-1/{DAY}/{hashlib.sha256(stored).hexdigest()[:32]}.webp"
    target = data / "objects" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(stored)
    return ImageMirrored(
        image=job.image,
        source=job.source,
        url=f"{url}/img/{path}",
        width=960,
        height=540,
        frames=1,
        source_bytes=3 * len(stored),
        rendition_bytes=len(stored),
        download_ms=25,
        convert_ms=40,
        upload_ms=9,
        total_ms=80,
        settled_ms=now_ms(),
        attempts=(Attempt(way="no referer", status=200),),
        transcoder="transcoder-1",
        referer=job.referer,
        account="local-1",
        job=sequence,
    )
