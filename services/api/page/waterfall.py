"""A record's images on one time axis: pure."""

from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

import msgspec

from services.api.facts import Facts, Settled
from services.api.wire import ImageResult
from shared.messages import ImageMirrored

WIDTH = 1000  # units of the axis


class Bar(msgspec.Struct, frozen=True):
    """One stage of an image, in units of the axis."""

    kind: str  # download, convert, upload or other
    x: float
    width: float
    ms: int


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One image's row."""

    image: str
    name: str
    result: ImageResult | None  # None: not settled yet
    bars: list[Bar]
    ms: int
    notes: list[str]
    attempts: list[str]


class Stretch(msgspec.Struct, frozen=True):
    """One stage of the poll, in units of the axis."""

    kind: str
    text: str
    ms: int
    x: float
    width: float


def lines(facts: Facts, results: Sequence[ImageResult], end_ms: int) -> list[Line]:
    """Return a row per image: those that finished first come first, open ones last."""
    start = _start(facts)
    span = max(1, end_ms - start)
    by_source = {message.source: (image, message) for image, message in facts.settled.items()}
    rows = [_line(result, *by_source[result.source], start, span) for result in results if result.source in by_source]
    shown = {row.image for row in rows}
    open_ones = {use.image: use.source for use in facts.uses if use.image not in shown}
    return rows + [
        Line(image=image, name=short_name(source), result=None, bars=[], ms=0, notes=[], attempts=[])
        for image, source in open_ones.items()
    ]


def stretches(facts: Facts, end_ms: int) -> list[Stretch]:
    """Return the poll's stages, one after the other."""
    polled = facts.poll.polled
    if polled is None:
        return []
    total = max(1, end_ms - _start(facts))
    fetch, handle = min(polled.fetch_ms, total), min(polled.handle_ms, total)
    images = max(0, total - fetch - handle)
    parts = (("fetch", "fetch the feed", fetch), ("parse", "parse and discover", handle), ("images", "images", images))
    made: list[Stretch] = []
    x = 0.0
    for kind, text, ms in parts:
        width = WIDTH * ms / total
        made.append(Stretch(kind, text, ms, round(x, 1), round(width, 1)))
        x += width
    return made


def short_name(source: str) -> str:
    """Return the last part of a URL's path, else its host."""
    parts = urlsplit(source)
    return unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.netloc


def _line(result: ImageResult, image: str, message: Settled, start: int, span: int) -> Line:
    mirrored = message if isinstance(message, ImageMirrored) else None
    return Line(
        image=image,
        name=short_name(message.source),
        result=result,
        bars=[] if result.known else _bars(message, start, span),
        ms=0 if result.known else message.total_ms,
        notes=list(mirrored.notes) if mirrored else [],
        attempts=[f"{attempt.way}: {attempt.reason or attempt.status or 'no answer'}" for attempt in message.attempts],
    )


def _bars(message: Settled, start: int, span: int) -> list[Bar]:
    """Return download, convert and upload as they ended in the image's settling; what is left was waiting."""
    upload = message.upload_ms if isinstance(message, ImageMirrored) else 0
    parts = (("download", message.download_ms), ("convert", message.convert_ms), ("upload", upload))
    other = max(0, message.total_ms - sum(ms for _, ms in parts))
    x = WIDTH * max(0, message.settled_ms - message.total_ms - start) / span
    bars: list[Bar] = []
    for kind, ms in (*parts[:1], ("other", other), *parts[1:]):
        width = WIDTH * ms / span
        if ms:
            bars.append(Bar(kind, round(min(x, WIDTH - 2), 1), round(max(2.0, min(width, WIDTH - x)), 1), ms))
        x += width
    return bars or [Bar("other", round(min(x, WIDTH - 4), 1), 4.0, 0)]


def _start(facts: Facts) -> int:
    return facts.poll.polled.started_ms if facts.poll.polled else facts.poll.started_ms
