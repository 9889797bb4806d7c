"""What a feed's polls remember from one to the next, and which entries of a new answer are news."""

from collections.abc import Mapping

import msgspec

from services.fetcher.feed import Entry, Hints, ParsedFeed

PAST_KEPT = 1_000  # keys of entries that left the feed: publishers put old entries back
_DATES_KEPT = 100  # dates of the newest entries: what `schedule.next_poll` reckons with


class Validators(msgspec.Struct, frozen=True):
    """What the last answer gave for asking whether it changed (RFC 9110, section 8.8)."""

    etag: str = ""
    last_modified: str = ""


class Redirect(msgspec.Struct, frozen=True):
    """A permanent redirect that is being watched: followed for good once it has held for days."""

    url: str
    since_ms: int


class Push(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a feed's hub (WebSub); times are Unix epoch milliseconds."""

    hub: str
    topic: str
    look_ms: int = 0  # when the subscription is to be looked at next
    until_ms: int = 0  # the hub pushes until then; 0: it does not


class FeedState(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Everything remembered about a feed, bounded: JSON in the key-value store."""

    validators: Validators = Validators()
    body_hash: str = ""  # of the last answer's bytes; the same again is not parsed
    seen: dict[str, str] = {}  # identity and aliases of entries to their content hash, the newest last
    polled_ms: int = 0  # last poll, Unix epoch milliseconds
    worked_ms: int = 0  # last poll that worked
    errors: int = 0  # polls that failed in a row
    error: str = ""  # the last one's reason, for people
    redirect: Redirect | None = None
    published_ms: tuple[int, ...] = ()  # of the newest entries, newest first
    hints: Hints = Hints()  # as last read from the feed
    next_ms: int | None = None  # when the next poll is due
    push: Push | None = None  # None: the feed names no hub that could push
    site_icon: str | None = None  # the site's, for a feed that names none; empty: it has none; None: not looked for


class News(msgspec.Struct, frozen=True):
    """The entries of a feed, sorted by what the state knew of them."""

    new: tuple[Entry, ...]
    updated: tuple[Entry, ...]
    seen: tuple[Entry, ...]


def diff(state: FeedState, parsed: ParsedFeed) -> News:
    """Return which entries are new, which have changed, and which are as they were, each in the feed's order."""
    new: list[Entry] = []
    updated: list[Entry] = []
    seen: list[Entry] = []
    for entry in parsed.entries:
        known = _known(state.seen, entry)
        (new if known is None else seen if known == entry.content_hash else updated).append(entry)
    return News(tuple(new), tuple(updated), tuple(seen))


def advance(state: FeedState, parsed: ParsedFeed, *, now_ms: int, validators: Validators, body_hash: str) -> FeedState:
    """Return the state after a poll that worked: everything in the feed is seen, errors are forgotten.

    The feed's own entries are always kept, however many; of those that left it, the `PAST_KEPT` last seen.
    """
    return msgspec.structs.replace(
        state,
        validators=validators,
        body_hash=body_hash,
        seen=_seen(state.seen, parsed),
        polled_ms=now_ms,
        worked_ms=now_ms,
        errors=0,
        error="",
        published_ms=_published(parsed, now_ms),
        hints=parsed.hints,
    )


def unchanged(state: FeedState, *, now_ms: int, validators: Validators | None = None) -> FeedState:
    """Return the state after a poll that found nothing changed; a 304 may bring newer validators."""
    return msgspec.structs.replace(
        state, validators=validators or state.validators, polled_ms=now_ms, worked_ms=now_ms, errors=0, error=""
    )


def failed(state: FeedState, reason: str, *, now_ms: int) -> FeedState:
    """Return the state after a poll that failed: what was seen is kept, the errors in a row are counted."""
    return msgspec.structs.replace(state, polled_ms=now_ms, errors=state.errors + 1, error=reason[:500])


def watch_redirect(state: FeedState, target: str | None, *, now_ms: int) -> FeedState:
    """Return the state after an answer that came by a permanent redirect to `target`, or by none."""
    if target is None:
        return msgspec.structs.replace(state, redirect=None) if state.redirect else state
    if state.redirect and state.redirect.url == target:
        return state
    return msgspec.structs.replace(state, redirect=Redirect(target, now_ms))


def settled_redirect(state: FeedState, *, now_ms: int, after_ms: int) -> str | None:
    """Return where the feed moved to, once a permanent redirect has held for `after_ms`; else None."""
    held = state.redirect and now_ms - state.redirect.since_ms >= after_ms
    return state.redirect.url if state.redirect and held else None


def _known(seen: Mapping[str, str], entry: Entry) -> str | None:
    return next((seen[key] for key in (entry.identity, *entry.aliases) if key in seen), None)


def _seen(before: Mapping[str, str], parsed: ParsedFeed) -> dict[str, str]:
    current = {key: entry.content_hash for entry in parsed.entries for key in (entry.identity, *entry.aliases)}
    past = [(key, content_hash) for key, content_hash in before.items() if key not in current]
    return dict(past[-PAST_KEPT:]) | current


def _published(parsed: ParsedFeed, now_ms: int) -> tuple[int, ...]:
    dates = (entry.published_ms for entry in parsed.entries if entry.published_ms)
    return tuple(sorted((date for date in dates if date <= now_ms), reverse=True)[:_DATES_KEPT])
