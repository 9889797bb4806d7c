"""What polls remember, and what is news."""

import msgspec

from services.fetcher.feed import Entry, Hints, ParsedFeed
from services.fetcher.state import (
    PAST_KEPT,
    FeedState,
    Validators,
    advance,
    diff,
    failed,
    settled_redirect,
    unchanged,
    watch_redirect,
)

NOW = 1_595_808_000_000
DAY = 86_400_000


def feed(*entries: Entry) -> ParsedFeed:
    return ParsedFeed(kind="rss", entries=entries, hints=Hints(ttl_seconds=60))


def entry(name: str, content: str = "c", *aliases: str, published: int | None = None) -> Entry:
    return Entry(identity=name, content_hash=content, aliases=aliases, published_ms=published)


def names(entries: tuple[Entry, ...]) -> list[str]:
    return [found.identity for found in entries]


def after(state: FeedState, parsed: ParsedFeed, now: int = NOW) -> FeedState:
    return advance(state, parsed, now_ms=now, validators=Validators("e"), body_hash="b")


def test_everything_is_new_to_a_new_state() -> None:
    news = diff(FeedState(), feed(entry("a"), entry("b")))
    assert tuple(found.identity for found in news.new) == ("a", "b")
    assert () == news.updated == news.seen


def test_what_was_seen_is_not_new() -> None:
    state = after(FeedState(), feed(entry("a")))
    news = diff(state, feed(entry("b"), entry("a")))
    assert [tuple(found.identity for found in part) for part in (news.new, news.updated, news.seen)] == [
        ("b",),
        (),
        ("a",),
    ]


def test_a_changed_entry_is_updated() -> None:
    state = after(FeedState(), feed(entry("a", "one")))
    news = diff(state, feed(entry("a", "two")))
    assert tuple(found.identity for found in news.updated) == ("a",)
    assert diff(after(state, feed(entry("a", "two"))), feed(entry("a", "two"))).updated == ()


def test_an_entry_seen_under_an_alias_is_seen() -> None:
    state = after(FeedState(), feed(entry("link", "c", "guid")))
    assert diff(state, feed(entry("link", "c", "other guid"))).new == ()
    assert diff(state, feed(entry("other link", "c", "guid"))).new == ()
    assert diff(state, feed(entry("guid", "c"))).new == ()


def test_an_entry_that_comes_back_is_not_new() -> None:
    state = after(after(FeedState(), feed(entry("a"))), feed(entry("b")))
    assert diff(state, feed(entry("a"))).new == ()


def test_the_state_is_bounded() -> None:
    state = FeedState()
    for poll in range(5):
        state = after(state, feed(*(entry(f"{poll}-{number}") for number in range(700))))
    assert len(state.seen) == PAST_KEPT + 700
    assert diff(state, feed(entry("4-0"), entry("3-699"))).new == ()
    assert tuple(found.identity for found in diff(state, feed(entry("0-0"))).new) == ("0-0",)


def test_a_feed_larger_than_the_bound_is_remembered_whole() -> None:
    large = feed(*(entry(str(number)) for number in range(3 * PAST_KEPT)))
    assert diff(after(FeedState(), large), large).new == ()


def test_the_dates_of_the_newest_entries_are_kept() -> None:
    dates = [NOW - number * DAY for number in range(200)]
    state = after(
        FeedState(), feed(entry("f", published=NOW + DAY), *(entry(str(date), published=date) for date in dates))
    )
    assert tuple(dates[:100]) == state.published_ms


def test_a_poll_that_worked_forgets_errors() -> None:
    state = after(failed(FeedState(), "HTTP 500", now_ms=NOW - 1), feed(entry("a")))
    assert (0, "", NOW, Validators("e"), "b", 60) == (
        state.errors,
        state.error,
        state.worked_ms,
        state.validators,
        state.body_hash,
        state.hints.ttl_seconds,
    )


def test_a_poll_that_failed_forgets_nothing() -> None:
    state = failed(failed(after(FeedState(), feed(entry("a"))), "x", now_ms=NOW + 1), "y" * 900, now_ms=NOW + 2)
    assert (state.errors, len(state.error), state.worked_ms, state.polled_ms) == (2, 500, NOW, NOW + 2)
    assert diff(state, feed(entry("a"))).new == ()


def test_an_unchanged_feed_keeps_its_state() -> None:
    before = failed(after(FeedState(), feed(entry("a"))), "x", now_ms=NOW)
    state = unchanged(before, now_ms=NOW + 1)
    assert (before.seen, before.validators, 0, NOW + 1) == (state.seen, state.validators, state.errors, state.worked_ms)
    assert Validators("new") == unchanged(before, now_ms=NOW, validators=Validators("new")).validators


def test_a_permanent_redirect_settles_once_it_held_for_days() -> None:
    state = watch_redirect(FeedState(), "http://new.example/", now_ms=NOW)
    state = watch_redirect(state, "http://new.example/", now_ms=NOW + DAY)
    assert settled_redirect(state, now_ms=NOW + 3 * DAY - 1, after_ms=3 * DAY) is None
    assert settled_redirect(state, now_ms=NOW + 3 * DAY, after_ms=3 * DAY) == "http://new.example/"


def test_a_redirect_that_changes_or_ends_starts_anew() -> None:
    state = watch_redirect(FeedState(), "http://new.example/", now_ms=NOW)
    other = watch_redirect(state, "http://other.example/", now_ms=NOW + DAY)
    assert settled_redirect(other, now_ms=NOW + 3 * DAY, after_ms=3 * DAY) is None
    ended = watch_redirect(state, None, now_ms=NOW + DAY)
    assert settled_redirect(ended, now_ms=NOW + 9 * DAY, after_ms=3 * DAY) is None


def test_a_state_travels_as_json() -> None:
    state = after(watch_redirect(FeedState(), "http://new.example/", now_ms=NOW), feed(entry("a", "c", "b")))
    assert state == msgspec.json.decode(msgspec.json.encode(state), type=FeedState)
    assert list(msgspec.json.decode(msgspec.json.encode(state), type=FeedState).seen) == ["a", "b"]
