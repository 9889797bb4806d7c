"""Say on a terminal, image by image, how a poll gets on."""

import shlex
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from shared.messages import ArticleFound, ArticleUpdated, Event, FeedPolled, ImageFailed, ImageMirrored

_CLEAR = "\r\x1b[K"


class Progress:
    """Follows the events of one poll: a line per settled image, on terminals with a counter below."""

    def __init__(self, request_id: str, out: TextIO) -> None:
        self._request_id = request_id
        self._out = out
        self._live = out.isatty()
        self._wanted: set[str] = set()
        self._settled: set[str] = set()
        self._polled = False
        self.error = ""  # why the poll failed, if it did

    def see(self, event: Event) -> None:
        """Take note of an event, ours or not."""
        match event:
            case ArticleFound() | ArticleUpdated() if event.request_id == self._request_id:
                self._wanted |= {use.image for use in event.article.images}
            case FeedPolled() if event.request_id == self._request_id:
                self._polled = True
                self.error = event.error
            case ImageMirrored() if event.image in self._wanted:
                saved = f"{human(event.source_bytes)} → {human(event.rendition_bytes)}"
                self._settle(event.image, f"{'known' if event.known else saved:>20}  {_short(event.source)}")
            case ImageFailed() if event.image in self._wanted:
                self._settle(event.image, f"{'failed':>20}  {_short(event.source)}: {_why(event)}")
            case _:
                pass
        self._count()

    def done(self, *, articles: int, images: int, mirrored: int) -> None:
        """Say the totals, as the record has them."""
        if not (articles or images):
            self._write("nothing new since the last poll\n")
            return
        self._write(f"{articles} articles, {images} images: {mirrored} mirrored, {images - mirrored} failed\n")

    def _settle(self, image: str, line: str) -> None:
        if image not in self._settled:
            self._settled.add(image)
            self._write(line + "\n")

    def _count(self) -> None:
        if self._live:
            total = len(self._wanted) if self._polled else "…"
            self._out.write(f"{_CLEAR}{len(self._settled)} of {total} images settled")
            self._out.flush()

    def _write(self, text: str) -> None:
        self._out.write(f"{_CLEAR if self._live else ''}{text}")
        self._out.flush()


def say_where(data: Path, out: TextIO) -> None:
    """Say to people, not to scripts, how to look at what is in a data directory."""
    if out.isatty():
        out.write(f"to see the images: halftone up --data {shlex.quote(str(data))}\n")


def human(size: int) -> str:
    """Return a size in bytes as people read it: `345.1 KB`."""
    value = float(size)
    for unit in ("B", "KB", "MB"):
        if value < 1024:  # noqa: PLR2004 - a kilobyte
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GB"


def _why(event: ImageFailed) -> str:
    """Return the reason, without the URL that the line has already."""
    return event.reason.removeprefix(event.source).lstrip(": ")


def _short(url: str) -> str:
    parts = urlsplit(url)
    return url if len(url) <= 90 else f"{parts.scheme}://{parts.netloc}/…{url[-60:]}"  # noqa: PLR2004 - a terminal's width
