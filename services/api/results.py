"""How each image of a poll was settled, as the record tells it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from services.api.facts import Facts, Use
from services.api.wire import ImageResult
from services.api.wording import Wording, rate, size
from shared.messages import Attempt, ImageFailed, ImageMirrored

COVER, BODY = "cover", "body"
T = TypeVar("T")


class Images:
    """The unique images of a poll's new articles.

    Args:
        uses: Every use, in the order of the articles and of their images.
        results: Image id → its result, in the order in which they finished.
        covers: Article → the use that is its cover, where that is not the one found first.
        created: The account of every object that was made for them.
        refusals: The account of every upload that was not taken.
    """

    def __init__(
        self,
        uses: Sequence[Use] = (),
        results: Mapping[str, ImageResult] | None = None,
        *,
        covers: dict[str, Use] | None = None,
        created: Iterable[str] = (),
        refusals: Iterable[str] = (),
    ) -> None:
        self.results = results or {}
        self.mirrored = [result for result in self.results.values() if result.code]
        self.failed = [result for result in self.results.values() if not result.code]
        self.uploads = dict(Counter(created))
        self.failed_uploads = dict(Counter(refusals))
        self._covers = {use.link_md5: use for use in uses if use.role == COVER} | (covers or {})
        self._bodies = {use.image for use in uses if use.role == BODY}
        self._by_article = grouped(uses, lambda use: use.link_md5)

    def of_article(self, link_md5: str) -> list[Use]:
        """Return the article's uses, in their order."""
        return self._by_article.get(link_md5, [])

    def url(self, image: str) -> str:
        """Return the CDN URL; empty where the image failed."""
        return self.results[image].url

    def cover_of(self, link_md5: str) -> Use | None:
        """Return the use that is the article's cover."""
        return self._covers.get(link_md5)

    def covers(self) -> set[str]:
        """Return the images that are an article's cover."""
        return {use.image for use in self._covers.values()}

    def bodies(self) -> set[str]:
        """Return the images that stand in a body."""
        return self._bodies

    def worked(self) -> list[ImageResult]:
        """Return the results for which something was done in this poll, mirrored or failed."""
        return [result for result in self.results.values() if not result.known]

    def bytes_of(self, images: Iterable[str]) -> int:
        """Return the bytes of these images' renditions."""
        return sum(self.results[image].rendition_bytes for image in images)


def grouped(items: Iterable[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    """Return the items by their key, both in the order of `items`."""
    groups: dict[str, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def settle(facts: Facts, wording: Wording, *, deadline: float) -> Images:
    """Return the results of all images that the poll's new articles want."""
    wanted = grouped(facts.uses, lambda use: use.image)
    finished = sorted(wanted, key=lambda image: _finished(facts, image))
    results = {image: _result(facts, image, wanted[image], wording, deadline) for image in finished}
    worked = [facts.settled[image] for image in finished if image in facts.settled and not results[image].known]
    return Images(
        facts.uses,
        results,
        covers=dict(_second_choices(facts, results)),
        created=[message.account for message in worked if isinstance(message, ImageMirrored) and message.created],
        refusals=[account for message in worked for account in message.failed_accounts],
    )


def _second_choices(facts: Facts, results: Mapping[str, ImageResult]) -> Iterator[tuple[str, Use]]:
    """Yield, for each article whose cover failed, the best of its other candidates that is mirrored."""
    uses = grouped(facts.uses, lambda use: use.link_md5)
    for article in facts.articles:
        by_image = {use.image: use for use in reversed(uses.get(article.link_md5, []))}
        good = [image for image in article.covers if image in by_image and results[image].code]
        if good and good[0] != article.covers[0]:
            yield article.link_md5, by_image[good[0]]


def _finished(facts: Facts, image: str) -> tuple[int, str]:
    message = facts.settled.get(image)
    return (message.settled_ms if message else facts.poll.completed_ms, image)


def _result(facts: Facts, image: str, uses: list[Use], wording: Wording, deadline: float) -> ImageResult:
    message = facts.settled.get(image)
    if isinstance(message, ImageMirrored):
        return _mirrored(facts, message, uses, wording)
    if message is None:
        reason = wording.texts.overdue.format(round(deadline))
        message = ImageFailed(image=image, source=uses[0].source, reason=reason, settled_ms=facts.poll.completed_ms)
    return _failure(facts, message, uses, wording)


def _mirrored(facts: Facts, message: ImageMirrored, uses: list[Use], wording: Wording) -> ImageResult:
    before = facts.poll.polled is not None and message.settled_ms < facts.poll.polled.started_ms
    return ImageResult(
        code=1,
        known=message.known or before,
        source=message.source,
        source_status_code=_last_status(message.attempts),
        width=message.width,
        height=message.height,
        url=message.url,
        source_bytes=message.source_bytes,
        rendition_bytes=message.rendition_bytes,
        quality=message.quality,
        feed_id=facts.poll.feed,
        total_ms=message.total_ms,
        convert_ms=message.convert_ms,
        created_time=wording.time(message.settled_ms),
        transcoder=message.transcoder,
        referer=message.referer,
        link_md5s=_link_md5s(uses),
        account=message.account,
        http_code=message.http_code,
        way=wording.way(message.attempts),
        statuses=_statuses(message.attempts),
        source_size=size(message.source_bytes),
        rendition_size=size(message.rendition_bytes),
        rate=rate(message.rendition_bytes, message.source_bytes),
    )


def _failure(facts: Facts, message: ImageFailed, uses: list[Use], wording: Wording) -> ImageResult:
    return ImageResult(
        code=0,
        known=False,
        source=message.source,
        source_status_code=_last_status(message.attempts),
        width=0,
        height=0,
        url="",
        source_bytes=message.source_bytes,
        rendition_bytes=0,
        quality=0,
        feed_id=facts.poll.feed,
        total_ms=message.total_ms,
        convert_ms=message.convert_ms,
        created_time=wording.time(message.settled_ms),
        transcoder=message.transcoder,
        referer=message.referer,
        link_md5s=_link_md5s(uses),
        account="",
        http_code=0,
        way=wording.failure(message.attempts, message.reason),
        statuses=_statuses(message.attempts),
        source_size=size(message.source_bytes),
        rendition_size=size(0),
        rate="",
    )


def _link_md5s(uses: list[Use]) -> str:
    return ",".join(use.link_md5 for use in uses)


def _statuses(attempts: tuple[Attempt, ...]) -> list[int]:
    return [attempt.status or 0 for attempt in attempts]


def _last_status(attempts: tuple[Attempt, ...]) -> int:
    return (attempts[-1].status or 0) if attempts else 0
