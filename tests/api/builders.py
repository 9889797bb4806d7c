"""Messages as the other services would say them, for tests of the api."""

import hashlib
import time
from typing import Any

from shared.messages import (
    Article,
    ArticleFound,
    ArticleUpdated,
    Attempt,
    FeedFacts,
    FeedPolled,
    ImageFailed,
    ImageMirrored,
    WantedImage,
)
from shared.urls import image_id, link_md5

STARTED = 1_599_430_124_271  # 2020-09-06 22:08:44 UTC
SITE = "http://site.example"


def now_ms() -> int:
    return int(time.time() * 1000)


def wanted(name: str, role: str = "body") -> WantedImage:
    source = f"{SITE}/{name}"
    return WantedImage(image=image_id(source), source=source, role=role)


def article(name: str, *images: WantedImage, **fields: Any) -> Article:
    link = f"{SITE}/{name}"
    body = "".join(f'<p>{name}</p><img src="{image.source}">' for image in images if image.role == "body")
    values: dict[str, Any] = {
        "title": f"Title of {name}",
        "body": body or "<p>words</p>",
        "found_ms": STARTED + 800,
    } | fields
    return Article(link_md5=link_md5(link), link=link, images=images, **values)


def found(request_id: str, it: Article, position: int = 0, feed: int = 1) -> ArticleFound:
    return ArticleFound(request_id=request_id, feed=feed, position=position, article=it)


def updated(request_id: str, it: Article, position: int = 0, feed: int = 1) -> ArticleUpdated:
    return ArticleUpdated(request_id=request_id, feed=feed, position=position, article=it)


def polled(request_id: str, *articles: Article, feed: int = 1, **fields: Any) -> FeedPolled:
    values: dict[str, Any] = {
        "asked": False,
        "ok": True,
        "http_status": 200,
        "content_type": "application/xml",
        "started_ms": STARTED,
        "fetch_ms": 392,
        "handle_ms": 396,
        "entries": 10,
        "facts": FeedFacts(title="A feed", description="About", link=SITE, url=f"{SITE}/feed.xml"),
        "fetcher": "fetcher-1",
        "address_md5": hashlib.md5(b"127.0.0.1", usedforsecurity=False).hexdigest(),
    } | fields
    return FeedPolled(request_id=request_id, feed=feed, found=tuple(it.link_md5 for it in articles), **values)


def mirrored(name: str, *, size: int = 1_000, job: int = 1, **fields: Any) -> ImageMirrored:
    source = f"{SITE}/{name}"
    image = image_id(source)
    values: dict[str, Any] = {
        "url": f"http://cdn.example/img/local-1/2020/09/06/{image}.webp",
        "width": 640,
        "height": 480,
        "frames": 1,
        "source_bytes": 10 * size,
        "rendition_bytes": size,
        "total_ms": 120,
        "convert_ms": 60,
        "settled_ms": STARTED + 2_000,
        "attempts": (Attempt(way="no referer", status=200),),
        "transcoder": "transcoder-1",
        "account": "local-1",
    } | fields
    return ImageMirrored(image=image, source=source, job=job, **values)


def failed(name: str, *, job: int = 1, **fields: Any) -> ImageFailed:
    source = f"{SITE}/{name}"
    values: dict[str, Any] = {
        "reason": "every attempt was answered with an error",
        "settled_ms": STARTED + 2_500,
        "attempts": (
            Attempt(way="no referer", status=403, reason="HTTP 403"),
            Attempt(way="article", status=404, reason="HTTP 404"),
        ),
        "transcoder": "transcoder-2",
    } | fields
    return ImageFailed(image=image_id(source), source=source, job=job, **values)
