"""Dates of feeds as epoch milliseconds, where they can be."""

import calendar
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import mktime_tz, parsedate_tz

import feedparser.datetimes  # pyright: ignore[reportMissingTypeStubs] - it has none

_EARLIEST_MS = 0
_LATEST_MS = 4_102_444_800_000  # 2100-01-01: a date after it is a mistake
_ZONES = {"GMT": "+00:00", "UTC": "+00:00", "UT": "+00:00", "Z": "+00:00"}
_MONTHS = {name: f"{number:02}" for number, name in enumerate(calendar.month_abbr) if name}
_RFC_822 = re.compile(
    rf"(?:[A-Z][a-z]{{2}}, )?(\d\d?) ({'|'.join(_MONTHS)}) (\d{{4}}) (\d\d:\d\d:\d\d) (GMT|UTC|UT|Z|[+-]\d{{4}})"
)
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)")
_any_format: Callable[[str], time.struct_time | None] = feedparser.datetimes._parse_date  # pyright: ignore  # noqa: PGH003, SLF001 - it exports none
_ISO = re.compile(r"\d{4}-\d\d-\d\d")


def read_date(text: str) -> int | None:
    """Return epoch milliseconds for a date in any of the formats that feeds use; None where it is none."""
    text = text.strip()
    if not text:
        return None
    if match := _RFC_822.fullmatch(text):
        day, month, year, clock, zone = match.groups()
        text = f"{year}-{_MONTHS[month]}-{day:0>2}T{clock}{_ZONES.get(zone, zone)}"
    elif not _RFC_3339.fullmatch(text):
        return epoch_ms(_any_format(text)) or _loose(text)
    try:
        return sane(int(datetime.fromisoformat(text).timestamp()) * 1000)
    except ValueError:
        return epoch_ms(_any_format(text))


def epoch_ms(parsed: time.struct_time | None) -> int | None:
    """Return epoch milliseconds for a time in UTC as feedparser gives it; None for none, or one that cannot be."""
    try:
        return sane(calendar.timegm(parsed) * 1000) if parsed else None
    except (ValueError, OverflowError):
        return None


def _loose(text: str) -> int | None:
    """Read what feedparser gives up on and Python does not; a date without a zone is in UTC."""
    try:
        if _ISO.match(text):
            moment = datetime.fromisoformat(text)
            return sane(int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * 1000)
        fields = parsedate_tz(text)
        return sane(int(mktime_tz(fields)) * 1000) if fields else None
    except (ValueError, OverflowError):
        return None


def sane(milliseconds: int) -> int | None:
    """Return the date if an article can be of it: after 1970, before 2100."""
    return milliseconds if _EARLIEST_MS < milliseconds < _LATEST_MS else None
