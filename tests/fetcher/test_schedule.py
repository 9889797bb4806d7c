"""When a feed is polled next."""

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.fetcher.answer import Answer
from services.fetcher.feed import Hints
from services.fetcher.schedule import DAY, HOUR, JITTER, MINUTE, asked, error_delay, frequency, next_poll

NOW = int(datetime(2026, 11, 25, 12, 0, tzinfo=UTC).timestamp() * 1000)  # a Wednesday
SECOND = 1000


def delay(
    published: tuple[int, ...] = (),
    hints: Hints = Hints(),  # noqa: B008 - frozen
    answer: Answer = Answer(status=200),  # noqa: B008 - frozen
    *,
    errors: int = 0,
    interval: float | None = None,
    seed: int = 1,
) -> float:
    """Seconds until the next poll."""
    due = next_poll(NOW, published, hints, answer, errors=errors, random=Random(seed), interval=interval)  # noqa: S311 - no secret
    return (due - NOW) / SECOND


def daily(entries: int) -> tuple[int, ...]:
    return tuple(NOW - round(number * 7 * DAY * SECOND / entries) for number in range(entries))


@pytest.mark.parametrize(
    ("entries", "expected"),
    [(0, DAY), (1, DAY), (7, DAY), (14, 12 * HOUR), (168, HOUR), (2016, 5 * MINUTE), (5000, 5 * MINUTE)],
)
def test_a_feed_is_polled_as_often_as_it_publishes(entries: int, expected: float) -> None:
    assert pytest.approx(expected, rel=0.01) == frequency(NOW, daily(entries) if entries else ())


def test_old_and_future_entries_do_not_count() -> None:
    eight_days_ago, tomorrow = NOW - 8 * 86_400_000 + 1, NOW + 86_400_000
    assert frequency(NOW, (eight_days_ago,) * 50 + (tomorrow,) * 50) == DAY


@pytest.mark.parametrize(
    ("hints", "answer"),
    [
        (Hints(ttl_seconds=7200), Answer()),
        (Hints(period_seconds=7200), Answer()),
        (Hints(), Answer(fresh_for=7200)),
        (Hints(ttl_seconds=7200, period_seconds=60), Answer(fresh_for=600)),
    ],
)
def test_a_feed_is_never_polled_earlier_than_it_asks(hints: Hints, answer: Answer) -> None:
    assert asked(hints, answer) == 2 * HOUR
    assert 2 * HOUR <= delay(daily(2016), hints, answer) <= 2 * HOUR * (1 + JITTER)


def test_a_feed_that_asks_for_a_year_is_polled_within_a_week_and_a_jitter() -> None:
    assert 7 * DAY <= delay(answer=Answer(fresh_for=365 * DAY)) <= 7 * DAY + 30 * MINUTE


@pytest.mark.parametrize(
    ("errors", "expected"),
    [(1, 5 * MINUTE), (2, 10 * MINUTE), (3, 20 * MINUTE), (5, 80 * MINUTE), (9, 21.34 * HOUR), (10, DAY), (500, DAY)],
)
def test_errors_back_off_exponentially_to_a_day(errors: int, expected: float) -> None:
    assert pytest.approx(expected, rel=0.01) == error_delay(Answer(status=500), errors)


@pytest.mark.parametrize(
    ("status", "retry_after", "errors", "expected"),
    [
        (429, 3600.0, 1, HOUR),
        (503, 3600.0, 1, HOUR),
        (429, 5.0, 1, 5 * MINUTE),
        (429, 9e9, 1, 2 * DAY),
        (429, 3600.0, 10, HOUR),
        (429, None, 2, 10 * MINUTE),
        (500, 3600.0, 1, 5 * MINUTE),
        (None, None, 1, 5 * MINUTE),
    ],
)
def test_a_retry_after_counts_as_given(
    status: int | None, retry_after: float | None, errors: int, expected: float
) -> None:
    assert expected == error_delay(Answer(status=status, retry_after=retry_after), errors)


def test_a_feed_that_only_fails_is_still_polled() -> None:
    assert delay(errors=10_000) <= 1.1 * DAY


@pytest.mark.parametrize("seed", range(20))
def test_jitter_is_added_and_never_taken_away(seed: int) -> None:
    assert HOUR <= delay(answer=Answer(fresh_for=HOUR), published=daily(2016), seed=seed) <= HOUR * (1 + JITTER)


def test_two_feeds_are_not_polled_at_one_moment() -> None:
    assert len({delay(seed=seed) for seed in range(50)}) == 50


@pytest.mark.parametrize(
    ("hints", "first"),
    [
        (Hints(skip_hours=(12, 13, 14)), datetime(2026, 11, 25, 15, tzinfo=UTC)),
        (Hints(skip_hours=tuple(range(12, 24))), datetime(2026, 11, 26, 0, tzinfo=UTC)),
        (Hints(skip_days=(2,)), datetime(2026, 11, 26, 0, tzinfo=UTC)),
        (Hints(skip_days=(2, 3, 4, 5, 6)), datetime(2026, 11, 30, 0, tzinfo=UTC)),
        (Hints(skip_hours=(0, 1), skip_days=(2,)), datetime(2026, 11, 26, 2, tzinfo=UTC)),
    ],
)
def test_hours_and_days_to_skip_are_skipped(hints: Hints, first: datetime) -> None:
    due = NOW / SECOND + delay(daily(2016), hints)
    assert 0 <= due - first.timestamp() <= 10 * MINUTE


@pytest.mark.parametrize("hints", [Hints(skip_hours=tuple(range(24))), Hints(skip_days=tuple(range(7)))])
def test_a_feed_that_asks_never_to_be_polled_is_polled(hints: Hints) -> None:
    assert delay(daily(2016), hints) <= 6 * MINUTE


def test_hours_to_skip_neither_delay_a_retry_nor_a_subscriber_s_interval() -> None:
    hints = Hints(skip_hours=(12, 13, 14))
    assert delay(hints=hints, errors=1) <= 6 * MINUTE
    assert delay(hints=hints, interval=600) <= 11 * MINUTE


def test_a_hint_to_skip_another_hour_changes_nothing() -> None:
    assert delay(daily(2016)) == delay(daily(2016), Hints(skip_hours=(3,)))


def test_a_subscriber_s_interval_goes_before_what_the_feed_asks_for() -> None:
    assert 600 <= delay(hints=Hints(ttl_seconds=86_400), interval=600) <= 660


def test_a_subscriber_s_interval_has_a_floor() -> None:
    assert delay(interval=1) >= 5 * MINUTE


def test_errors_count_whatever_the_interval() -> None:
    assert delay(errors=10, interval=600) >= DAY


@given(
    published=st.lists(st.integers(0, 2 * NOW), max_size=50),
    ttl=st.integers(0, 10**9),
    fresh=st.floats(0, 1e12),
    retry=st.none() | st.floats(0, 1e12),
    hours=st.sets(st.integers(0, 23)),
    days=st.sets(st.integers(0, 6)),
    errors=st.integers(0, 10**6),
)
def test_whatever_a_feed_says_it_is_polled_again_within_a_month(
    *, published: list[int], ttl: int, fresh: float, retry: float | None, hours: set[int], days: set[int], errors: int
) -> None:
    hints = Hints(ttl_seconds=ttl, skip_hours=tuple(hours), skip_days=tuple(days))
    wait = delay(tuple(published), hints, Answer(status=429, fresh_for=fresh, retry_after=retry), errors=errors)
    assert 5 * MINUTE <= wait <= 30 * DAY
