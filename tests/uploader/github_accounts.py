"""What the tests' GitHub knows of its users: tokens, the rates that it documents, and the bad days planned for them."""

import time
from threading import Lock
from typing import Any

import msgspec

MINUTE, HOUR = 60, 3600


class Answer(msgspec.Struct, frozen=True):
    """What goes back: a JSON body, or bytes as they are."""

    status: int
    body: Any = None
    headers: dict[str, str] = {}


class Fault(msgspec.Struct):
    """A bad day for the requests whose `METHOD path` matches, `times` of them."""

    match: str
    times: int = 1
    status: int = 0  # 0: no answer, the connection drops
    headers: dict[str, str] = {}
    message: str = "bad day"
    slow: float = 0.0  # seconds before anything else
    after: bool = False  # do what was asked first
    owner: str = ""  # of the token; "": anybody's


class Rates(msgspec.Struct, frozen=True):
    """What one token may do."""

    requests_per_hour: int = 5_000
    writes_per_minute: int = 80
    writes_per_hour: int = 500


class Account:
    """One user, known by a token."""

    def __init__(self, login: str) -> None:
        self.login = login
        self.requests: list[tuple[float, str]] = []
        self.writes: list[float] = []
        self.refused = 0  # requests over the limits
        self.lock = Lock()

    def over(self, rates: Rates, method: str, path: str) -> Answer | None:
        """Count the request; refuse it where it is one too many."""
        now = time.time()
        write = method != "GET" and not path.endswith("/graphql")
        with self.lock:
            self.requests.append((now, f"{method} {path}"))
            if write:
                self.writes.append(now)
            if sum(at > now - HOUR for at, _ in self.requests) > rates.requests_per_hour:
                self.refused += 1
                return Answer(403, {"message": "API rate limit exceeded"}, {"x-ratelimit-remaining": "0"})
        return self.over_writes(rates) if write else None

    def wrote(self) -> None:
        """Count a GraphQL mutation as the write that it is."""
        with self.lock:
            self.writes.append(time.time())

    def over_writes(self, rates: Rates) -> Answer | None:
        """Refuse where the last write was one too many."""
        now = time.time()
        with self.lock:
            minute = sum(at > now - MINUTE for at in self.writes) > rates.writes_per_minute
            hour = sum(at > now - HOUR for at in self.writes) > rates.writes_per_hour
            if not (minute or hour):
                return None
            self.refused += 1
        message = "You have exceeded a secondary rate limit."
        return Answer(403, {"message": message}, {"retry-after": "60" if minute else "600"})
