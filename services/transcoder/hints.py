"""What is remembered of an image host, over all transcoders: the way that worked, and when it may be asked again."""

import hashlib
import re
import time
from collections import OrderedDict

import msgspec

from shared.bus import Bus
from shared.topology import HOSTS

FRESH_MS = 60_000  # for which what was read is believed
_HOSTS_KEPT = 10_000
_GIVEN_KEPT = 2_000
_NOT_IN_KEYS = re.compile(r"[^a-z0-9._-]")


class Hint(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a host; times are Unix epoch milliseconds."""

    way: str = ""  # that worked last; empty: none had to be looked for
    held_ms: int = 0  # it wants to be left alone until then


class Hints:
    """Reads hints seldom and writes them only where they change."""

    def __init__(self, bus: Bus) -> None:
        self._bucket = bus.bucket(HOSTS)
        self._known: OrderedDict[str, tuple[Hint, int]] = OrderedDict()
        self._given: OrderedDict[bytes, str] = OrderedDict()

    async def of(self, url: str) -> Hint:
        """Return what is known of the URL's host."""
        key = _key(url)
        hint, read_ms = self._known.get(key, (Hint(), 0))
        if _now_ms() - read_ms < FRESH_MS:
            return hint
        entry = await self._bucket.get(key)
        hint = msgspec.json.decode(entry.value, type=Hint) if entry else Hint()
        self._keep(key, hint)
        return hint

    async def worked(self, url: str, way: str, *, usual: str) -> None:
        """Remember the way for the URL's host, unless it is the `usual` one and no other was known."""
        hint = await self.of(url)
        if way != (hint.way or usual):
            await self._save(_key(url), msgspec.structs.replace(hint, way=way))

    async def hold(self, url: str, seconds: float) -> None:
        """Remember that the URL's host wants to be left alone for so long."""
        hint, until = await self.of(url), _now_ms() + round(seconds * 1000)
        if until > hint.held_ms:
            await self._save(_key(url), msgspec.structs.replace(hint, held_ms=until))

    async def held(self, url: str) -> float:
        """Return the seconds for which the URL's host still wants to be left alone."""
        return max(0.0, ((await self.of(url)).held_ms - _now_ms()) / 1000)

    def is_new(self, url: str, data: bytes) -> bool:
        """Whether this host has not just given the same bytes for another URL, as it does with a stand-in."""
        key = hashlib.sha256(_key(url).encode() + data).digest()
        first = self._given.pop(key, url)
        self._given[key] = first
        if len(self._given) > _GIVEN_KEPT:
            self._given.popitem(last=False)
        return first == url

    async def _save(self, key: str, hint: Hint) -> None:
        """Write over whatever another transcoder wrote meanwhile: a hint lost costs one request more."""
        await self._bucket.put(key, msgspec.json.encode(hint))
        self._keep(key, hint)

    def _keep(self, key: str, hint: Hint) -> None:
        self._known.pop(key, None)
        self._known[key] = (hint, _now_ms())
        if len(self._known) > _HOSTS_KEPT:
            self._known.popitem(last=False)


def _key(url: str) -> str:
    return "image." + _NOT_IN_KEYS.sub("_", url.partition("://")[2].partition("/")[0].rpartition("@")[2].lower()).strip(
        "."
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
