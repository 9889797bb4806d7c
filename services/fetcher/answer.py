"""Read from an HTTP answer's headers when to ask again and how to ask whether it changed."""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

import msgspec

from services.fetcher.state import Validators

_DIRECTIVE = re.compile(r"(?:^|[,;\s])max-age\s*=\s*\"?(\d{1,12})", re.IGNORECASE)
_UNCACHEABLE = re.compile(r"\bno-(?:cache|store)\b", re.IGNORECASE)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says about time; all durations in seconds from when it came."""

    status: int | None = None  # HTTP; None: no answer came
    retry_after: float | None = None
    fresh_for: float = 0.0  # by `Cache-Control: max-age` or `Expires`; 0: it does not say, or not at all
    validators: Validators = Validators()


def read_answer(status: int, headers: Mapping[str, str], *, now_ms: int) -> Answer:
    """Return what the answer says.

    Args:
        status: HTTP status code.
        headers: By lower-case name, or looked up without regard to case.
        now_ms: When it came, Unix epoch milliseconds.
    """
    return Answer(
        status=status,
        retry_after=_retry_after(headers.get("retry-after", ""), now_ms),
        fresh_for=_fresh_for(headers, now_ms),
        validators=_validators(headers),
    )


def _retry_after(value: str, now_ms: int) -> float | None:
    """Return the seconds of a `Retry-After`: a number or a date (RFC 9110, section 10.2.3)."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    at = _date_ms(value)
    return None if at is None else max(0.0, (at - now_ms) / 1000)


def _fresh_for(headers: Mapping[str, str], now_ms: int) -> float:
    """Return for how long the answer stays fresh (RFC 9111, section 4.2.1): `max-age` goes before `Expires`."""
    control = headers.get("cache-control", "")
    if _UNCACHEABLE.search(control):
        return 0.0
    if match := _DIRECTIVE.search(control):
        age = headers.get("age", "").strip()
        return max(0.0, float(match.group(1)) - (float(age[:12]) if age.isascii() and age.isdigit() else 0.0))
    expires = _date_ms(headers.get("expires", ""))
    sent = _date_ms(headers.get("date", "")) or now_ms
    return 0.0 if expires is None else max(0.0, (expires - sent) / 1000)


def _validators(headers: Mapping[str, str]) -> Validators:
    """Return the validators; none where `Expires: 0` says that the server does not mean them."""
    if headers.get("expires", "").strip() == "0":
        return Validators()
    return Validators(headers.get("etag", "").strip(), headers.get("last-modified", "").strip())


def _date_ms(value: str) -> int | None:
    try:
        moment = parsedate_to_datetime(value.strip())
    except (ValueError, OverflowError):
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
