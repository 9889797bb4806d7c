"""What another version has published is handled, be it older or newer: few fields, and unknown ones.

The messages are written down here as they travelled, with the fields that have no default: one that comes to need
another field, or to mind an unknown one, fails these tests.
"""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from PIL import Image

from services.fetcher import actor as fetcher
from services.fetcher.settings import FetcherSettings
from services.transcoder import actor as transcoder
from services.transcoder.settings import TranscoderSettings
from services.uploader import actor as uploader
from services.uploader.settings import UploaderSettings
from shared.feeds import FeedConfig, encode_config
from shared.memory import MemoryBus
from shared.messages import FeedPolled, ImageMirrored, Uploaded, decode
from shared.topology import FEED_CONFIGS
from tests.api.running import running_api
from tests.servers import Site, running_site

REQUEST = "0123456789abcdef0123456789abcdef_7"
IMAGE, GONE = "1" * 32, "2" * 32
LINK_MD5 = "5d41402abc4b2a76b9719d911017c592"
HERE = "http://x.example"
NEWER = {"fromTheFuture": {"deep": [1, None, "ü"]}}  # what we do not know yet

EVENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "evt.article.found",
        {
            "type": "article.found",
            "request_id": REQUEST,
            "feed": 7,
            "position": 0,
            "article": {
                "link_md5": LINK_MD5,
                "link": f"{HERE}/1",
                "title": "One",
                "body": f'<img src="{HERE}/a.png"><img src="{HERE}/gone.png">',
                "images": [
                    {"image": IMAGE, "source": f"{HERE}/a.png", "role": "body", **NEWER},
                    {"image": GONE, "source": f"{HERE}/gone.png", "role": "body"},
                ],
                **NEWER,
            },
        },
    ),
    (
        "evt.feed.polled",
        {"type": "feed.polled", "request_id": REQUEST, "feed": 7, "asked": True, "ok": True, "found": [LINK_MD5]},
    ),
    (
        "evt.image.mirrored",
        {
            "type": "image.mirrored",
            "image": IMAGE,
            "source": f"{HERE}/a.png",
            "url": "http://cdn.example/a.webp",
            "width": 2,
            "height": 2,
            "frames": 1,
            "source_bytes": 90,
            "rendition_bytes": 40,
        },
    ),
    ("evt.image.failed", {"type": "image.failed", "image": GONE, "source": f"{HERE}/gone.png", "reason": "HTTP 404"}),
)

T = TypeVar("T")


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    """A bus in memory."""
    memory = MemoryBus()
    yield memory
    await memory.close()


async def publish(bus: MemoryBus, subject: str, fields: dict[str, Any]) -> None:
    """Publish as another version did: without an id to drop repeats by, and with something unknown."""
    await bus.publish_raw(subject, msgspec.json.encode(fields | NEWER), {})


async def first(bus: MemoryBus, subject: str, kind: type[T]) -> T:
    """Return the next message on the subject."""
    async with asyncio.timeout(20):
        async for _, data in bus.follow(subject):
            message = decode(data)
            assert isinstance(message, kind)
            return message
    raise AssertionError


def png(site: Site, path: str) -> str:
    """Have the site answer with an image; return its URL."""
    out = BytesIO()
    Image.new("RGB", (20, 10), "teal").save(out, "PNG")
    site.page(path, out.getvalue(), Content_Type="image/png")
    return site.url(path)


async def test_a_record_is_assembled_from_them(bus: MemoryBus, tmp_path: Path) -> None:
    async with running_api(bus, tmp_path) as site:
        for subject, fields in EVENTS:
            await publish(bus, subject, fields)
        record = await site.record(REQUEST)
    [told] = record["toInsertArticleList"]
    assert told["articleImgCdnMap"][f"{HERE}/a.png"] == "http://cdn.example/a.webp"
    assert (record["code"], record["extra5"], record["extra6"]) == (1, 2, 1)


async def test_a_feed_is_polled_for_one(bus: MemoryBus) -> None:
    async with running_site() as site:
        site.page("/feed", b"<rss version='2.0'><channel><title>Feed</title></channel></rss>", Content_Type="text/xml")
        config = FeedConfig(feed=7, url=site.url("/feed"), subscribed=True)
        await bus.bucket(FEED_CONFIGS).put("7", encode_config(config))
        running = await fetcher.start(bus, FetcherSettings(instance="one", allow_hosts=f"127.0.0.1:{site.port}"))
        polled = asyncio.create_task(first(bus, "evt.feed.polled", FeedPolled))
        await asyncio.sleep(0)
        await publish(bus, "feed.due.7", {"type": "feed.due", "feed": 7})
        assert (await polled).ok
        await running.drain()
        await running.abort()


async def test_an_image_is_mirrored_for_one(bus: MemoryBus, tmp_path: Path) -> None:
    async with running_site() as site:
        source = png(site, "/a.png")
        storing = await uploader.start(bus, UploaderSettings(data=tmp_path, public_url="http://cdn.example"))
        running = await transcoder.start(bus, TranscoderSettings(instance="one", allow_hosts=f"127.0.0.1:{site.port}"))
        mirrored = asyncio.create_task(first(bus, "evt.image.mirrored", ImageMirrored))
        await asyncio.sleep(0)
        job = {"type": "image.job", "image": IMAGE, "source": source, "referer": f"{HERE}/1"}
        await publish(bus, f"job.image.{IMAGE}", job)
        assert (await mirrored).url.startswith("http://cdn.example/")
        for each in (running, storing):
            await each.drain()
            await each.abort()


async def test_bytes_are_stored_for_one(bus: MemoryBus, tmp_path: Path) -> None:
    running = await uploader.start(bus, UploaderSettings(data=tmp_path, public_url="http://cdn.example"))
    webp = b"RIFF\x04\0\0\0WEBP" + bytes(20)
    upload = {"type": "upload", "image": IMAGE, "data": webp, "content_type": "image/webp", "day": "2026/01/02"}
    reply = decode(await running.answer(msgspec.msgpack.encode(upload | NEWER)))
    assert isinstance(reply, Uploaded)
    await running.drain()
    await running.abort()
