"""A small newspaper with pictures worth looking at, one of which is gone when it is first asked for."""

import hashlib
import io
from html import escape

from PIL import Image, ImageDraw

from tests.servers import Site

TITLE = "The Tidewater Gazette"
PICTURES = 8
FEED = "/feed.xml"
GONE = "/gone.png"
STORIES = (
    ("Tide tables of the northern harbours", "Ebba Lind", ("harbour", "tide-chart", "lighthouse")),
    ("How a newspaper prints a photograph", "", ("press", "dots", "plate", "gone")),
    ("Notes on paper, ink and patience", "O. Marsh", ("paper",)),
    ("A week without pictures", "Ebba Lind", ()),
)


def publish(site: Site) -> None:
    """Have the site answer with its feed and pictures, but for the one that is gone."""
    stories = "".join(_item(site, *story) for story in STORIES)
    channel = f"<title>{TITLE}</title><link>{site.url('/')}</link><description>Slow news, well printed.</description>"
    feed = f"<rss version='2.0'><channel>{channel}{stories}</channel></rss>"
    site.page(FEED, feed.encode(), Content_Type="application/rss+xml; charset=utf-8")
    for number, name in enumerate(name for story in STORIES for name in story[2]):
        site.page(f"/{name}.png", _png(name, number), Content_Type="image/png")
    site.page(GONE, status="404 Not Found")


def print_again(site: Site) -> None:
    """Have the picture that was gone."""
    site.page(GONE, _png("gone", PICTURES), Content_Type="image/png")


def _item(site: Site, title: str, author: str, names: tuple[str, ...]) -> str:
    body = "".join(
        f"<p>The page that carried {name} was set by hand and printed before dawn, as it was every week.</p>"
        f'<figure><img src="{site.url(f"/{name}.png")}" alt="{name}"></figure>'
        for name in names
    )
    link = site.url(f"/{title.lower().replace(' ', '-')}")
    return (
        f"<item><title>{title}</title><link>{link}</link><guid>{link}</guid><author>{author}</author>"
        "<pubDate>Tue, 24 Nov 2026 06:00:00 GMT</pubDate>"
        f"<description>{escape(body or '<p>Nothing to see, much to read.</p>')}</description></item>"
    )


def _png(name: str, number: int) -> bytes:
    """Draw a halftone: dots that grow towards a corner."""
    seed = hashlib.sha256(name.encode()).digest()
    image = Image.new("RGB", (960, 540), (250, 247, 240))
    draw = ImageDraw.Draw(image)
    ink = (seed[0] // 2, seed[1] // 2, seed[2] // 2)
    for x in range(0, 980, 20):
        for y in range(0, 560, 20):
            radius = 1 + 10 * abs((x * (1 + number) / 960 + y / 540) % 2 - 1)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
