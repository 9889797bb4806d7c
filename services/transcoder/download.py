"""Get an image's bytes past hot-link protection: try several ways, and record how each attempt ended.

no referer ─▶ the article's link as Referer ─▶ the image's own origin as Referer ─▶ the configured proxies; then the
picture's other URLs. The way that worked at a host last is tried first there.
"""

import random
import re
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec

from services.transcoder.hints import Hints
from services.transcoder.rendition import Unrenderable
from services.transcoder.sniff import sniff
from shared import metrics
from shared.errors import HalftoneError, Reject, Retry
from shared.guard import Unreachable
from shared.messages import Attempt, ImageJob
from shared.web import Answer, Web

NO_REFERER, ARTICLE, ORIGIN, PROXY = "no referer", "article", "origin", "proxy"
ACCEPT = "image/avif,image/webp,image/png,image/*;q=0.8,*/*;q=0.5"
GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_HICCUPS = frozenset({HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT})
_LONGEST_WAIT = 60.0  # seconds: a job given back keeps its place, so it must not wait long
_LONGEST_HOLD = 15.0  # seconds for which one image's answer holds up its host's others
_UNASKED_WAIT = 5.0  # where a 429 or 503 does not say how long
_STAND_IN = re.compile(r"hot.?link|placeholder|forbidden|denied|blocked|stolen|no.?photo", re.IGNORECASE)


class Way(msgspec.Struct, frozen=True):
    """One way to ask for an image."""

    name: str
    url: str
    referer: str
    proxy: str = ""


class Limits(msgspec.Struct, frozen=True):
    """What a download may take, and the proxies that it may go through."""

    max_bytes: int
    seconds: float  # for one attempt
    proxies: tuple[str, ...] = ()


def ways(job: ImageJob, url: str, *, first: str = "", proxies: Sequence[str] = ()) -> list[Way]:
    """Return the ways to ask for one of the picture's URLs, the one named `first` before the others."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"  # without a password (RFC 9110, section 10.1.3)
    referer = job.referer.partition("#")[0]  # a fragment is never told (RFC 9110, section 10.1.3)
    article = [Way(ARTICLE, url, referer)] if referer else []
    proxied = [Way(PROXY if n == 1 else f"{PROXY} {n}", url, referer, proxy) for n, proxy in enumerate(proxies, 1)]
    usual = [Way(NO_REFERER, url, ""), *article, Way(ORIGIN, url, origin), *proxied]
    return sorted(usual, key=lambda way: way.name != first)


async def download(
    web: Web, hints: Hints, job: ImageJob, attempts: list[Attempt], limits: Limits, *, patient: bool = True
) -> bytes:
    """Return the image's bytes by the first way that gives an image; each attempt is added to `attempts`.

    `patient`: come again later where a host wants to be left alone; a job is so once, else one bad image of a host
    could wear out all others.

    Raises:
        Reject: No way does, and asking again would not help.
        Retry: No way does now.
    """
    search = _Search(web, hints, job, attempts, limits, patient=patient)
    for url in (job.source, *job.alternates):
        if (data := await search.at(url)) is not None:
            return data
    reason = "; ".join(dict.fromkeys((*search.held, *(attempt.reason for attempt in attempts))))
    if search.waits:
        raise Retry(reason, after=min((wait for wait in search.waits if wait is not None), default=None))
    raise Reject(reason)


def is_gone(attempts: Sequence[Attempt]) -> bool:
    """Whether servers said that there is no such image, wherever we asked."""
    return bool(attempts) and all(attempt.status in GONE for attempt in attempts)


class _Tried(msgspec.Struct, frozen=True):
    """How an attempt ended."""

    attempt: Attempt
    data: bytes | None = None
    dead: bool = False  # this URL has no image, whoever asks
    unreachable: bool = False  # from here; it may be otherwise later
    busy: bool = False  # the host wants to be left alone …
    later: bool = False  # it may have one later …
    wait: float | None = None  # … after so many seconds


class _Search:
    """Looks for one image at its URLs."""

    def __init__(
        self, web: Web, hints: Hints, job: ImageJob, attempts: list[Attempt], limits: Limits, *, patient: bool
    ) -> None:
        self._patient = patient
        self._web = web
        self._hints = hints
        self._job = job
        self._attempts = attempts
        self._limits = limits
        self.waits: list[float | None] = []  # one for each reason to come again
        self.held: list[str] = []  # hosts that were not asked

    async def at(self, url: str) -> bytes | None:
        """Return the image at `url`, if one of the ways gives it."""
        if self._patient and (wait := await self._hints.held(url)):
            self.held.append(f"{urlsplit(url).hostname} wants to be left alone for {wait:.0f} s more")
            self.waits.append(_spread(wait))
            return None
        first = (await self._hints.of(url)).way
        try:
            usable = ways(self._job, url, first=first, proxies=self._limits.proxies)
        except ValueError as error:
            self._attempts.append(Attempt(way=NO_REFERER, reason=f"not a URL: {url}: {error}"))
            return None
        stand_in = None  # not what was asked for, if another way gives more: one pixel, or the same for several URLs
        while usable:
            way = usable.pop(0)
            tried = await self._try(way)
            if tried.data is not None:
                if self._hints.is_new(url, tried.data) and not _is_pixel(tried.data):
                    await self._hints.worked(url, way.name, usual=NO_REFERER)
                    return tried.data
                stand_in = stand_in or (len(self._attempts) - 1, tried.data)
            if tried.dead or tried.busy:  # the other ways would meet the same answer
                break
            if tried.unreachable:
                usable = [other for other in usable if other.proxy]
        if stand_in is None:
            return None
        position, data = stand_in
        self._attempts.append(self._attempts.pop(position))  # the last attempt is the one that gave the bytes
        return data

    async def _try(self, way: Way) -> _Tried:
        tried = await _ask(self._web, way, self._limits)
        self._attempts.append(tried.attempt)
        metrics.DOWNLOADS.labels(way.name, metrics.status_class(tried.attempt.status)).inc()
        if tried.later:
            self.waits.append(None if tried.wait is None else _spread(tried.wait))
        if tried.busy:
            await self._hints.hold(way.url, min(tried.wait or _UNASKED_WAIT, _LONGEST_HOLD))
        return tried


async def _ask(web: Web, way: Way, limits: Limits) -> _Tried:
    headers = {"Accept": ACCEPT, **({"Referer": way.referer} if way.referer else {})}
    try:
        answer = await web.get(
            way.url, max_bytes=limits.max_bytes, seconds=limits.seconds, headers=headers, proxy=way.proxy
        )
    except Unreachable as error:
        return _Tried(Attempt(way=way.name, reason=str(error)), unreachable=True, later=True)
    except HalftoneError as error:  # blocked, too large, wrongly encoded: no Referer changes that
        return _Tried(Attempt(way=way.name, reason=str(error)), dead=True)
    return _judge(way, answer)


def _judge(way: Way, answer: Answer) -> _Tried:
    status = answer.status
    if status != HTTPStatus.OK:
        attempt = Attempt(way=way.name, status=status, reason=f"{answer.url} answered HTTP {status}")
        busy = status in _BUSY
        return _Tried(
            attempt, dead=status in GONE, busy=busy, later=busy or status in _HICCUPS, wait=_retry_after(answer)
        )
    if answer.hops and _STAND_IN.search(urlsplit(answer.url).path):
        return _Tried(Attempt(way=way.name, status=status, reason=f"{way.url} leads to a stand-in, {answer.url}"))
    try:
        sniff(answer.body)
    except Unrenderable as error:
        return _Tried(Attempt(way=way.name, status=status, reason=f"{answer.url}: {error}"))
    return _Tried(Attempt(way=way.name, status=status), answer.body)


def _is_pixel(data: bytes) -> bool:
    """Tell a GIF or PNG of a single pixel by its header."""
    return (data[:4] == b"GIF8" and data[6:10] == b"\1\0\1\0") or (
        data[:4] == b"\x89PNG" and data[16:24] == b"\0\0\0\1\0\0\0\1"
    )


def _retry_after(answer: Answer) -> float | None:
    """Return the seconds of `Retry-After`: a number or a date (RFC 9110, section 10.2.3)."""
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:12]), _LONGEST_WAIT)
    try:
        return min(max(0.0, parsedate_to_datetime(value).timestamp() - time.time()), _LONGEST_WAIT)
    except (ValueError, OverflowError):
        return None


def _spread(seconds: float) -> float:
    """Return a little more than `seconds`, so that a host's images do not all come again at once."""
    return seconds * random.uniform(1.0, 1.5)  # noqa: S311 - jitter, not a secret
