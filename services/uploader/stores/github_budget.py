"""How much may still be asked of GitHub and when: its documented limits and what its answers say, as pure rules.

Sources: "Rate limits for the REST API" and "Best practices for using the REST API" of GitHub's documentation.
"""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import msgspec

MINUTE, HOUR = 60, 3600
UNSTATED_PAUSE = 60.0  # "wait for at least one minute before retrying", where an answer names no time


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one token may do; GitHub's documented numbers are the defaults of the accounts file."""

    requests_per_hour: int
    writes_per_minute: int
    writes_per_hour: int
    seconds_between_writes: float
    seconds_between_commits: float


Log = tuple[tuple[int, int], ...]  # (time in units of the log's grain, how many), oldest first


class Budget(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was spent lately; logs rather than buckets, since the server counts windows."""

    writes: Log = ()  # of the last hour, by second
    requests: Log = ()  # of the last hour, by minute
    last_write: float = 0.0
    last_commit: float = 0.0
    blocked_until: float = 0.0  # the server said so
    remaining: int | None = None  # requests, as the server last said


def wait(budget: Budget, limits: Limits, now: float, *, write: bool) -> float:
    """Return the seconds until the next request may go, 0 for at once."""
    waits = [budget.blocked_until - now, _room_in(budget.requests, MINUTE, HOUR, limits.requests_per_hour, now)]
    if write:
        waits += [
            budget.last_write + limits.seconds_between_writes - now,
            _room_in(budget.writes, 1, MINUTE, limits.writes_per_minute, now),
            _room_in(budget.writes, 1, HOUR, limits.writes_per_hour, now),
        ]
    return max(0.0, *waits)


def commit_wait(budget: Budget, limits: Limits, now: float) -> float:
    """Return the seconds until the next commit may begin, 0 for at once."""
    spaced = budget.last_commit + limits.seconds_between_commits - now
    return max(spaced, wait(budget, limits, now, write=True))


def writes_left(budget: Budget, limits: Limits, now: float) -> int:
    """Return how many writes fit into the current minute and hour."""
    minute = limits.writes_per_minute - _count(budget.writes, now - MINUTE - 1)
    hour = limits.writes_per_hour - _count(budget.writes, now - HOUR - 1)
    return max(0, min(minute, hour))


def requests_left(budget: Budget, limits: Limits, now: float) -> int:
    """Return how many requests fit into the current hour, by our count and by the server's last word."""
    ours = limits.requests_per_hour - _count(budget.requests, (now - HOUR) / MINUTE - 1)
    return max(0, ours if budget.remaining is None else min(ours, budget.remaining))


def spent(budget: Budget, now: float, *, write: bool) -> Budget:
    """Return the budget after a request went out."""
    requests = _added(budget.requests, int(now // MINUTE), int((now - HOUR) // MINUTE))
    if not write:
        return msgspec.structs.replace(budget, requests=requests)
    writes = _added(budget.writes, int(now), int(now - HOUR))
    return msgspec.structs.replace(budget, requests=requests, writes=writes, last_write=now)


def committed(budget: Budget, now: float) -> Budget:
    """Return the budget after a branch moved."""
    return msgspec.structs.replace(budget, last_commit=now)


def told(budget: Budget, headers: Mapping[str, str], now: float, *, refused: bool) -> Budget:
    """Return the budget after an answer with these headers (lower case); `refused`: it refused for the rate."""
    remaining = _number(headers.get("x-ratelimit-remaining"))
    pause = _pause(headers, now, remaining, refused=refused)
    return msgspec.structs.replace(
        budget,
        remaining=budget.remaining if remaining is None else int(remaining),
        blocked_until=max(budget.blocked_until, now + pause) if pause else budget.blocked_until,
    )


def _pause(headers: Mapping[str, str], now: float, remaining: float | None, *, refused: bool) -> float:
    after = _number(headers.get("retry-after"))
    if after is not None:
        return after
    reset = _number(headers.get("x-ratelimit-reset"))
    if remaining == 0 and reset is not None:
        return max(1.0, reset - _server_time(headers, now))
    return UNSTATED_PAUSE if refused else 0.0


def _server_time(headers: Mapping[str, str], now: float) -> float:
    """Read the server's clock: its reset time is by that, not by ours."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError):
        return now


def _number(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text is not None else None
    except ValueError:
        return None


def _count(log: Log, since: float) -> int:
    return sum(count for at, count in log if at > since)


def _room_in(log: Log, grain: int, window: int, limit: int, now: float) -> float:
    """Return the seconds until fewer than `limit` lie in the window, counting a started grain as whole."""
    excess = _count(log, (now - window) / grain - 1) - limit
    for at, count in log:
        if excess < 0:
            break
        if at > (now - window) / grain - 1:
            excess -= count
            if excess < 0:
                return (at + 1) * grain + window - now
    return 0.0


def _added(log: Log, at: int, since: int) -> Log:
    kept = [entry for entry in log if entry[0] >= since]
    if kept and kept[-1][0] == at:
        kept[-1] = at, kept[-1][1] + 1
    else:
        kept.append((at, 1))
    return tuple(kept)
