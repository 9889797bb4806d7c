"""Decide when a feed is polled next: as often as it publishes, never more often than it asks for.

frequency ─▶ not before max-age, Expires, ttl, sy ─▶ jitter ─▶ out of skipHours and skipDays
errors: Retry-After, else exponential
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from services.fetcher.answer import Answer
from services.fetcher.feed import Hints

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SHORTEST = 5 * MINUTE
LONGEST = DAY  # between polls of a feed that asks for nothing
LONGEST_ASKED = 7 * DAY  # a feed that asks for a year has made a mistake, and would never be polled again
LONGEST_RETRY_AFTER = 2 * DAY
JITTER = 0.1  # of the delay at most, always added: what the feed asked for is kept
_BACK_OFF_STATUSES = frozenset({429, 503})
_LATEST_JITTER = 30 * MINUTE


def next_poll(
    now_ms: int,
    published_ms: Sequence[int],
    hints: Hints,
    answer: Answer,
    *,
    errors: int,
    random: Random,
    interval: float | None = None,
) -> int:
    """Return when the feed is due next, Unix epoch milliseconds.

    Args:
        now_ms: When the poll ended.
        published_ms: Dates of the feed's newest entries, in any order.
        hints: What the feed itself asks for.
        answer: What the HTTP answer asks for.
        errors: Polls that failed in a row, this one included; 0: it worked.
        random: Where the jitter comes from.
        interval: Seconds between polls as the feed's subscriber wants them: instead of how often it publishes and
            what it asks for; a `Retry-After` and errors still count.
    """
    if errors:
        delay = error_delay(answer, errors)
    else:
        delay = max(interval, SHORTEST) if interval else max(frequency(now_ms, published_ms), asked(hints, answer))
    delay += random.uniform(0, min(delay * JITTER, _LATEST_JITTER))
    due = datetime.fromtimestamp(now_ms / 1000 + delay, UTC)
    if not errors and not interval:
        due = _after_skipped(due, hints, random)
    return round(due.timestamp() * 1000)


def frequency(now_ms: int, published_ms: Sequence[int]) -> float:
    """Return the seconds between polls by how often the feed publishes: a week over its entries of this week."""
    week_ago = now_ms - 7 * DAY * 1000
    entries = sum(week_ago < date <= now_ms for date in published_ms)
    return min(max(7 * DAY / entries, SHORTEST), LONGEST) if entries else LONGEST


def asked(hints: Hints, answer: Answer) -> float:
    """Return the seconds that the feed and its server ask to be left alone for; 0 where they ask for nothing."""
    return min(max(answer.fresh_for, hints.ttl_seconds, hints.period_seconds), LONGEST_ASKED)


def error_delay(answer: Answer, errors: int) -> float:
    """Return the seconds to wait after the poll that failed as the `errors`-th in a row, a day at most.

    A `Retry-After` of a 429 or 503 counts as given, within two days.
    """
    back_off = min(SHORTEST * 2.0 ** min(errors - 1, 30), LONGEST)
    if answer.status in _BACK_OFF_STATUSES and answer.retry_after is not None:
        return min(max(answer.retry_after, SHORTEST), LONGEST_RETRY_AFTER)
    return back_off


def _after_skipped(due: datetime, hints: Hints, random: Random) -> datetime:
    """Return `due`, or a moment in the first hour after it that the feed does not ask to skip."""
    if len(hints.skip_hours) >= 24 or len(hints.skip_days) >= 7:  # noqa: PLR2004 - hours of a day, days of a week
        return due
    hour = due
    while hour.hour in hints.skip_hours or hour.weekday() in hints.skip_days:
        hour = hour.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return hour if hour == due else hour + timedelta(seconds=random.uniform(0, 10 * MINUTE))
