"""A site of the tests' own: twelve articles whose images are good, animated, protected, gone, or the same twice."""

import io
from functools import cache
from html import escape

import numpy as np
from PIL import Image

from tests.servers import Reply, Request, Site, response

ARTICLES = 12  # with images; one more has none
PROTECTED = "/protected/members.png"
TWIN = "/images/twin.png"  # the same bytes as FIRST
FIRST = "/images/0-0.png"
GONE = ("/gone/1.png", "/gone/2.jpg", "/gone/3.gif")
FEED = "/feed.xml"


@cache
def images() -> dict[str, bytes]:
    """Return the images that the site has: path → bytes."""
    stills = {f"/images/{article}-{number}.png": _png(article, number) for article in range(12) for number in range(3)}
    return stills | {
        TWIN: stills[FIRST],
        PROTECTED: _png(13, 1),
        "/images/photograph.jpg": _photograph(),
        "/images/disc.gif": _animation(frames=5, duration=120),
        "/images/uneven.gif": _animation(frames=3, duration=[50, 300, 1000]),
    }


def publish(site: Site) -> None:
    """Have the site answer with its feed and images."""
    body = feed(site.url(""))
    kind = "application/rss+xml; charset=utf-8"
    site.page(FEED, body, Content_Type=kind, ETag='"first"')
    fresh = site.pages[FEED]
    unchanged = response(b"", "304 Not Modified", {"ETag": '"first"'})
    site.pages[FEED] = lambda request: unchanged if request.headers.get("if-none-match") == '"first"' else reply(fresh)
    for path, data in images().items():
        site.page(path, data, Content_Type="image/" + path.rpartition(".")[2].replace("jpg", "jpeg"))
    protected = site.pages[PROTECTED]
    site.pages[PROTECTED] = lambda request: reply(protected) if _from_here(site, request) else _FORBIDDEN


def reply(page: object) -> Reply:
    """Return the page, which is one that no request makes."""
    assert isinstance(page, bytes)
    return page


def feed(base: str) -> bytes:
    """Return the feed with the site's images, all on `base`."""
    extra = ["/images/photograph.jpg", "/images/disc.gif", "/images/uneven.gif", PROTECTED, TWIN, *GONE]
    items = [
        _item(base, number, [f"/images/{number}-{place}.png" for place in range(3)] + extra[number : number + 1])
        for number in range(ARTICLES)
    ]
    return (
        f"<rss version='2.0'><channel><title>The tests' newspaper</title><link>{base}/</link>"
        f"<description>Made for tests</description>{''.join(items)}{_item(base, ARTICLES, [])}</channel></rss>"
    ).encode()


_FORBIDDEN = response(b"members only", "403 Forbidden")


def _from_here(site: Site, request: Request) -> bool:
    return request.headers.get("referer", "").startswith(site.url("/"))


def _item(base: str, number: int, paths: list[str]) -> str:
    pictures = "".join(f'<p><img src="{base}{path}"></p>' for path in paths)
    link = f"{base}/articles/{number}"
    return (
        f"<item><title>Article {number}</title><link>{link}</link><guid>{link}</guid>"
        f"<pubDate>Mon, {number + 1:02} Jun 2026 12:00:00 GMT</pubDate>"
        f"<description>{escape(f'<p>Some words.</p>{pictures}')}</description></item>"
    )


def _png(article: int, number: int) -> bytes:
    pixels = np.random.default_rng(100 * article + number).integers(0, 255, (30 + number, 40 + article, 3), np.uint8)
    return _saved(Image.fromarray(pixels), "PNG")


def _photograph() -> bytes:
    y, x = np.mgrid[0:90, 0:160]
    return _saved(Image.fromarray(np.stack([x, y, x + y], -1).astype(np.uint8)), "JPEG")


def _animation(frames: int, duration: int | list[int]) -> bytes:
    """Draw a bar that moves."""
    pixels = np.zeros((frames, 60, 80), np.uint8)
    for number in range(frames):
        pixels[number, 10:30, 10 * number : 10 * number + 10] = 200
    first, *others = (Image.fromarray(frame) for frame in pixels)
    return _saved(first, "GIF", save_all=True, append_images=others, duration=duration, loop=0)


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()
