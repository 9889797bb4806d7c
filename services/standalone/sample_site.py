"""A small site to mirror: a feed whose images are what feeds have, good and bad, made and served on loopback."""

import http.server
import io
import threading
from collections.abc import Generator
from contextlib import contextmanager
from email.utils import formatdate
from functools import cache
from html import escape

import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 960, 600
INK, PAPER, RED = (24, 24, 32), (246, 241, 231), (214, 64, 48)
_FRAMES = 24


def dots(phase: float, cell: int = 20) -> Image.Image:
    """Draw a halftone: a gradient as dots that grow with its darkness."""
    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(image)
    for y in range(0, HEIGHT + cell, cell):
        for x in range((y // cell % 2) * cell // 2, WIDTH + cell, cell):
            wave = np.sin(x / 140 + phase) * np.cos(y / 110 - phase)
            radius = cell * 0.7 * (0.15 + 0.5 * (wave + 1) / 2)
            colour = RED if wave > 0.75 else INK  # noqa: PLR2004 - the crests
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return image


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _photograph() -> bytes:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    channels = [128 + 100 * np.sin(x / a + y / b) for a, b in ((90, 200), (150, 80), (220, 130))]
    grain = np.random.default_rng(7).normal(0, 6, (HEIGHT, WIDTH, 1))
    pixels = np.clip(np.stack(channels, -1) + grain, 0, 255).astype(np.uint8)
    return _encoded(Image.fromarray(pixels), "JPEG", quality=92)


def _animation() -> bytes:
    frames: list[Image.Image] = []
    still = dots(0.0)
    for number in range(_FRAMES):
        frame = still.copy()
        x = WIDTH * number // _FRAMES
        ImageDraw.Draw(frame).ellipse((x, 220, x + 160, 380), fill=RED)
        frames.append(frame.quantize(16))
    return _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=80, loop=0)


@cache
def images() -> dict[str, tuple[str, bytes]]:
    """Return the site's images: path → media type and bytes."""
    return {
        "/images/dots.png": ("image/png", _encoded(dots(0.0), "PNG")),
        "/images/photograph.jpg": ("image/jpeg", _photograph()),
        "/images/moving.gif": ("image/gif", _animation()),
        "/images/coarse.png": ("image/png", _encoded(dots(1.5, 28), "PNG")),
        "/protected/members-only.png": ("image/png", _encoded(dots(3.0, 14), "PNG")),
        "/images/placeholder.gif": ("image/gif", _encoded(Image.new("P", (1, 1)), "GIF")),
        "/favicon.png": ("image/png", _encoded(dots(0.0, 60).resize((64, 40)), "PNG")),
    }


_ARTICLES = (
    (
        "How a newspaper prints a photograph",
        "A press knows ink and no ink. Dots of many sizes, seen from afar, become every grey between.",
        '<img src="/images/dots.png" alt="Black dots of growing size on paper">',
    ),
    (
        "The same in colour, and continuous",
        "A photograph has no dots. It makes the largest file, and gains most from a modern format.",
        '<img src="/images/photograph.jpg" alt="Soft bands of colour">',
    ),
    (
        "Dots that move",
        "An animated GIF sends every frame again. Most of its pixels never change.",
        '<img src="/images/moving.gif" alt="A red disc crossing a field of dots">',
    ),
    (
        "Loaded when you scroll",
        "Many sites keep the real address of an image where only their script finds it.",
        '<img src="/images/placeholder.gif" data-src="/images/coarse.png" class="lazy" alt="Larger dots">',
    ),
    (
        "For our own pages only",
        "Hot-link protection answers strangers with 403. A reader that sends no address of the article sees nothing.",
        '<img src="/protected/members-only.png" alt="Fine dots, protected">',
    ),
    (
        "Gone",
        "And some images are simply not there any more.",
        '<img src="/images/dots.png" alt="Dots again"> <img src="/images/gone.png" alt="No longer there">',
    ),
    ("No picture at all", "Some articles are words.", ""),
)


def feed(base: str) -> bytes:
    """Return the site's RSS feed."""
    items = "".join(_item(base, number, *article) for number, article in enumerate(_ARTICLES))
    return (
        '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel><title>Halftone sample</title>'
        f"<link>{base}/</link><description>One image of every kind that feeds have.</description>"
        f"<image><url>{base}/favicon.png</url><title>Halftone sample</title><link>{base}/</link></image>"
        f"{items}</channel></rss>"
    ).encode()


def _item(base: str, number: int, title: str, text: str, picture: str) -> str:
    link = f"{base}/articles/{number + 1}"
    body = f"<p>{escape(text)}</p><p>{picture}</p>".replace('"/', f'"{base}/')
    date = formatdate(1_700_000_000 - number * 86_400, usegmt=True)
    return (
        f"<item><title>{escape(title)}</title><link>{link}</link><guid>{link}</guid><pubDate>{date}</pubDate>"
        f"<author>sample@example.org (The sample)</author><description>{escape(body)}</description></item>"
    )


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the feed, an article or an image; protected images only to readers of this site."""

    protocol_version = "HTTP/1.1"

    @property
    def _base(self) -> str:
        return f"http://{self.headers.get('Host', '')}"

    def do_GET(self) -> None:
        status, kind, body = self._answer()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self) -> tuple[int, str, bytes]:
        if self.path == "/feed.xml":
            return 200, "application/rss+xml; charset=utf-8", feed(self._base)
        if self.path.startswith("/protected/") and not self.headers.get("Referer", "").startswith(self._base):
            return 403, "text/plain", b"for readers of this site only"
        kind, body = images().get(self.path, ("", b""))
        if not kind:
            return 404, "text/plain", b"nothing here"
        return 200, kind, body

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""


@contextmanager
def serving(host: str = "127.0.0.1", port: int = 0) -> Generator[str]:
    """Serve the site while the block runs, by default on a free port of loopback; gives `<host>:<port>`."""
    images()  # drawn before the first reader waits for them
    with http.server.ThreadingHTTPServer((host, port), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"{host}:{server.server_port}"
        server.shutdown()
