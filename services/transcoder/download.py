"""Get an image's bytes past hot-link protection: try several ways, and record how each attempt ended.

no referer ─▶ the article's link as Referer ─▶ the image's own origin as Referer; then the picture's other URLs
"""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec

from services.transcoder.rendition import Unrenderable
from services.transcoder.sniff import sniff
from shared import metrics
from shared.errors import HalftoneError, Reject, Retry
from shared.guard import Unreachable
from shared.messages import Attempt, ImageJob
from shared.web import Answer, Web

NO_REFERER, ARTICLE, ORIGIN = "no referer", "article", "origin"
ACCEPT = "image/avif,image/webp,image/png,image/*;q=0.8,*/*;q=0.5"
GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_LATER = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_LONGEST_WAIT = 60.0  # seconds: a job given back keeps its place, so it must not wait long


class Way(msgspec.Struct, frozen=True):
    """One way to ask for an image."""

    name: str
    url: str
    referer: str


def ways(job: ImageJob) -> Iterator[Way]:
    """Yield the ways to try, in order."""
    for url in (job.source, *job.alternates):
        origin = "{0.scheme}://{0.netloc}/".format(urlsplit(url))
        yield Way(NO_REFERER, url, "")
        if job.referer:
            yield Way(ARTICLE, url, job.referer)
        yield Way(ORIGIN, url, origin)


async def download(web: Web, job: ImageJob, attempts: list[Attempt], *, max_bytes: int, seconds: float) -> bytes:
    """Return the image's bytes by the first way that gives an image; each attempt is added to `attempts`.

    Raises:
        Reject: No way does, and asking again would not help.
        Retry: No way does now.
    """
    hopeless: set[str] = set()
    waits: list[float | None] = []
    for way in ways(job):
        if way.url in hopeless:
            continue
        tried = await _try(web, way, max_bytes=max_bytes, seconds=seconds)
        attempts.append(tried.attempt)
        metrics.DOWNLOADS.labels(way.name, _status_class(tried.attempt.status)).inc()
        if tried.data is not None:
            return tried.data
        if tried.dead or tried.later:  # the other ways would meet the same answer
            hopeless.add(way.url)
        if tried.later:
            waits.append(tried.wait)
    reason = "; ".join(dict.fromkeys(attempt.reason for attempt in attempts))
    if waits:
        raise Retry(reason, after=min((wait for wait in waits if wait is not None), default=None))
    raise Reject(reason)


def is_gone(attempts: Sequence[Attempt]) -> bool:
    """Whether servers said that there is no such image, wherever we asked."""
    return bool(attempts) and all(attempt.status in GONE for attempt in attempts)


class _Tried(msgspec.Struct, frozen=True):
    attempt: Attempt
    data: bytes | None = None
    dead: bool = False  # this URL has no image, whoever asks
    later: bool = False  # it may have one later …
    wait: float | None = None  # … after so many seconds


async def _try(web: Web, way: Way, *, max_bytes: int, seconds: float) -> _Tried:
    headers = {"Accept": ACCEPT, **({"Referer": way.referer} if way.referer else {})}
    try:
        answer = await web.get(way.url, max_bytes=max_bytes, seconds=seconds, headers=headers)
    except Unreachable as error:
        return _Tried(Attempt(way=way.name, reason=str(error)), later=True)
    except HalftoneError as error:  # blocked, too large, wrongly encoded: no Referer changes that
        return _Tried(Attempt(way=way.name, reason=str(error)), dead=True)
    return _judge(way, answer)


def _judge(way: Way, answer: Answer) -> _Tried:
    status = answer.status
    if status != HTTPStatus.OK:
        attempt = Attempt(way=way.name, status=status, reason=f"{answer.url} answered HTTP {status}")
        return _Tried(attempt, dead=status in GONE, later=status in _LATER, wait=_retry_after(answer))
    try:
        sniff(answer.body)
    except Unrenderable as error:
        return _Tried(Attempt(way=way.name, status=status, reason=f"{answer.url}: {error}"))
    return _Tried(Attempt(way=way.name, status=status), answer.body)


def _retry_after(answer: Answer) -> float | None:
    value = answer.headers.get("retry-after", "").strip()
    return min(float(value), _LONGEST_WAIT) if value.isascii() and value.isdigit() else None


def _status_class(status: int | None) -> str:
    return f"{status // 100}xx" if status else "none"
