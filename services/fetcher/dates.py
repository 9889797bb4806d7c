"""Dates of feeds as epoch milliseconds, where they can be."""

import calendar
import re
import time
from datetime import UTC, datetime
from email.utils import mktime_tz, parsedate_tz

_EARLIEST_MS = 0
_LATEST_MS = 4_102_444_800_000  # 2100-01-01: a date after it is a mistake
_ISO = re.compile(r"\d{4}-\d\d-\d\d")


def epoch_ms(parsed: time.struct_time | None) -> int | None:
    """Return epoch milliseconds for a time in UTC as feedparser gives it; None for none, or one that cannot be."""
    try:
        return sane(calendar.timegm(parsed) * 1000) if parsed else None
    except (ValueError, OverflowError):
        return None


def parse_date(text: str) -> int | None:
    """Return epoch milliseconds for an RFC 3339 or RFC 822 date; None where it is neither."""
    text = text.strip()
    try:
        if _ISO.match(text):
            moment = datetime.fromisoformat(text)
            return sane(int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000))
        fields = parsedate_tz(text)
        return sane(int(mktime_tz(fields)) * 1000) if fields else None
    except (ValueError, OverflowError):
        return None


def sane(milliseconds: int) -> int | None:
    """Return the date if an article can be of it: after 1970, before 2100."""
    return milliseconds if _EARLIEST_MS < milliseconds < _LATEST_MS else None
