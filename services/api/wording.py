"""How records say things: their texts in English or Chinese, dates in a zone, sizes and rates for people."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from shared.errors import Misconfigured
from shared.messages import Attempt

_KIB = 1024


class Texts(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of one language."""

    get_xml: str
    parse: str
    covers: str
    retry_covers: str
    bodies: str
    overdue: str  # takes the seconds
    unfinished: str  # takes the seconds
    numbered: str  # takes a number and a way
    ways: dict[str, str]  # those not in it stay as they are


ENGLISH = Texts(
    get_xml="get the XML",
    parse="parse the articles",
    covers="upload covers to the CDN",
    retry_covers="retry failed covers",
    bodies="upload body images to the CDN",
    overdue="not settled within {} s",
    unfinished="the poll was not finished within {} s",
    numbered="{}. {}",
    ways={},
)
CHINESE = Texts(
    get_xml="获取xml内容",
    parse="解释文章",
    covers="上传封面图到cdn",
    retry_covers="修正封面图上传失败重新上传",
    bodies="正文链接上传到cdn",
    overdue="{} 秒内没有完成",
    unfinished="抓取在 {} 秒内没有完成",
    numbered="{}、{}",
    ways={"no referer": "没有Referer字段", "article": "Referer为文章链接", "origin": "Referer为图片来源"},
)


class Wording(msgspec.Struct, frozen=True):
    """The language and the zone of records."""

    texts: Texts
    zone: ZoneInfo

    def time(self, ms: int) -> str:
        """Return an epoch time as `YYYY-MM-DD HH:MM:SS` in the zone."""
        return datetime.fromtimestamp(ms // 1000, self.zone).strftime("%Y-%m-%d %H:%M:%S")

    def way(self, attempts: Sequence[Attempt]) -> str:
        """Return which attempt worked, numbered from 1; empty where none was made."""
        return self._attempt(len(attempts), attempts[-1]) if attempts else ""

    def failure(self, attempts: Sequence[Attempt], reason: str) -> str:
        """Return every attempt with what came of it, then what the reason says beyond that."""
        tried = [
            f"{self._attempt(number, attempt)}: {attempt.reason or attempt.status}"
            for number, attempt in enumerate(attempts, 1)
        ]
        said = "; ".join(dict.fromkeys(attempt.reason for attempt in attempts))
        if said and reason.startswith(said):
            return "; ".join(tried) + reason.removeprefix(said)
        return "; ".join([*tried, reason])

    def _attempt(self, number: int, attempt: Attempt) -> str:
        return self.texts.numbered.format(number, self.texts.ways.get(attempt.way, attempt.way))


def wording(locale: str, time_zone: str) -> Wording:
    """Return the wording for the settings.

    Raises:
        Misconfigured: There is no such time zone.
    """
    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Misconfigured(
            f"HALFTONE_TIME_ZONE is {time_zone!r}: no time zone of that name; say e.g. Europe/Berlin"
        ) from error
    return Wording(CHINESE if locale.lower().startswith("zh") else ENGLISH, zone)


def http_date(ms: int) -> str:
    """Return an epoch time by RFC 1123, in UTC with `+0000`."""
    return format_datetime(datetime.fromtimestamp(ms // 1000, UTC))


def size(count: int) -> str:
    """Return bytes for people: `2.2 MB`, `259 KB`, `17 B`; 1 KB = 1024 bytes, at most one decimal."""
    value, unit = float(count), "B"
    for larger in ("KB", "MB", "GB"):
        if round(value, 1) < _KIB:
            break
        value, unit = value / _KIB, larger
    return f"{_short(value)} {unit}"


def rate(part: int, whole: int) -> str:
    """Return `part` of `whole` in percent, at most one decimal: `15.6%`, `7%`; empty where there is no whole."""
    return f"{_short(100 * part / whole)}%" if whole else ""


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
