"""What is known of an account's health, room and rate, and how it changes: pure; all replicas share the value."""

import msgspec

FAILURES_TO_OPEN = 3  # in a row; one may be the network's hiccup
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # seconds that an open breaker waits, doubling
PROBE_SECONDS = 30.0  # a half-open breaker lets one upload try; nobody else for so long


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """An account's shared state; times are epoch seconds."""

    objects: int = 0
    bytes: int = 0
    failures: int = 0  # in a row; FAILURES_TO_OPEN and more: the breaker is open until `closed_at`
    closed_at: float = 0.0
    pause: float = 0.0  # how long the breaker was last opened for
    reason: str = ""  # of the last failure
    limited_until: float = 0.0  # no rate left until then


def obstacle(health: Health, now: float, *, size: int, capacity: float) -> str:
    """Return why the account cannot take `size` bytes now, "" where it can."""
    if health.limited_until > now:
        return f"no rate left for {health.limited_until - now:.0f} s"
    if health.bytes + size > capacity:
        return "no room left"
    if health.closed_at > now:
        return f"breaker open for {health.closed_at - now:.0f} s: {health.reason}"
    return ""


def free_at(health: Health) -> float:
    """Return when the account may be asked again."""
    return max(health.limited_until, health.closed_at)


def is_half_open(health: Health) -> bool:
    """Tell whether the next upload is the probe that decides over the breaker."""
    return health.failures >= FAILURES_TO_OPEN


def probing(health: Health, now: float) -> Health:
    """Return the health while one upload tries whether the account is well again."""
    return msgspec.structs.replace(health, closed_at=now + PROBE_SECONDS)


def succeeded(health: Health) -> Health:
    """Return the health after an upload that worked: the breaker is closed."""
    return msgspec.structs.replace(health, failures=0, closed_at=0.0, pause=0.0, reason="")


def failed(health: Health, now: float, reason: str) -> Health:
    """Return the health after a failed upload: from the third in a row on, the breaker is open, longer each time."""
    failures = health.failures + 1
    if failures < FAILURES_TO_OPEN:
        return msgspec.structs.replace(health, failures=failures, reason=reason)
    return _opened(health, now, reason)


def filled(health: Health, now: float, reason: str) -> Health:
    """Return the health of an account that has no room: its breaker opens at once."""
    return _opened(health, now, reason)


def limited(health: Health, now: float, seconds: float) -> Health:
    """Return the health of an account that asked for a pause; that is no failure."""
    return msgspec.structs.replace(health, limited_until=max(health.limited_until, now + seconds))


def used(health: Health, *, objects: int, bytes: int) -> Health:  # noqa: A002 - the unit is the name
    """Return the health with so much more (or less) in the account."""
    return msgspec.structs.replace(health, objects=max(0, health.objects + objects), bytes=max(0, health.bytes + bytes))


def _opened(health: Health, now: float, reason: str) -> Health:
    pause = min(max(FIRST_PAUSE, 2 * health.pause), LONGEST_PAUSE)
    return msgspec.structs.replace(
        health,
        failures=max(health.failures + 1, FAILURES_TO_OPEN),
        closed_at=now + pause,
        pause=pause,
        reason=reason,
    )
