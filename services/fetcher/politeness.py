"""One request at a time and so many a minute per registrable domain, over all replicas.

Each domain has an entry in the bucket `hosts`: who may ask now, when it was asked lately, until when it wants to be
left alone. A replica takes its turn by writing the entry over the revision that it knows, one write per request. The
turn is a lease of seconds that is not given back but runs out: a replica that polls a domain alone never reads, one
that died holds nobody up for long.
"""

import asyncio
import hashlib
import math
import random
import re
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from urllib.parse import urlsplit

import msgspec
from publicsuffixlist import PublicSuffixList

from services.fetcher.answer import read_answer
from shared.bus import Bus, Conflict
from shared.errors import HalftoneError
from shared.topology import HOSTS

LEASE_MS = 5_000
MINUTE_MS = 60_000
_LONGEST_HOLD_MS = 60 * MINUTE_MS  # a whole domain; the feed itself waits for as long as it was told
_SLOW_DOWN = frozenset({429, 503})
_FIRST_HOLD_MS = MINUTE_MS  # where the server does not say for how long
_LONGEST_QUEUE_MS = 60 * MINUTE_MS
_DOMAINS_KEPT = 10_000
_LONGEST_NAME = 200  # characters in a key; the broker hangs up on a subject of more than 4096
_NOT_IN_KEYS = re.compile(r"[^a-z0-9._-]|\.(?=\.)")  # two dots in a row, too: the broker would not take them
_suffixes = PublicSuffixList()


class HostState(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the replicas tell each other of a domain; all times are Unix epoch milliseconds."""

    holder: str = ""  # the replica whose turn it is …
    until_ms: int = 0  # … until then
    recent_ms: tuple[int, ...] = ()  # when it was asked within the last minute
    held_ms: int = 0  # it wants to be left alone until then
    status: int = 0  # with which it said so
    strikes: int = 0  # how often in a row it did


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How a request waits for its turn."""

    patience: float  # seconds that it may wait
    share: float  # of the rate that requests like it may use up: the rest is kept for those that matter more
    joins: bool = False  # a line of others that wait; else it comes again later
    told: bool = False  # that the domain wants to be left alone; else it comes again when that is over


ASKED = Manner(patience=10.0, share=1.0, joins=True, told=True)  # somebody waits for the poll
SCHEDULED = Manner(patience=2.0, share=0.8)
ASIDE = Manner(patience=1.0, share=0.5)  # what a poll would like to have besides


class Busy(Exception):
    """The domain cannot be asked now: come again at `at_ms` (Unix epoch milliseconds)."""

    def __init__(self, domain: str, at_ms: int) -> None:
        super().__init__(f"{domain} is being asked enough already")
        self.at_ms = at_ms


class Held(HalftoneError):
    """The domain has said that it wants to be left alone for `seconds` more."""

    def __init__(self, domain: str, status: int, seconds: float) -> None:
        minutes = math.ceil(seconds / 60)
        super().__init__(f"{domain} answered HTTP {status} and wants to be left alone for {minutes} min")
        self.status = status
        self.seconds = seconds


@lru_cache(20_000)
def domain_of(url: str) -> str:
    """Return the registrable domain of a URL; of an address or a lone name that with its port; of no URL, ""."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return ""
    registrable = None if ":" in host or host.replace(".", "").isdigit() else _suffixes.privatesuffix(host)
    return registrable or f"{host}:{port}"


def wait_ms(state: HostState, me: str, now_ms: int, rate: int) -> int:
    """Return for how many milliseconds `me` must leave the domain alone; `rate` requests a minute, 0: any number."""
    leased = state.until_ms if state.holder != me and state.until_ms < now_ms + MINUTE_MS else 0  # else a wrong clock
    recent = _recent(state, now_ms)
    full = recent[-rate] + MINUTE_MS if 0 < rate <= len(recent) else 0
    return max(0, leased - now_ms, full - now_ms, state.held_ms - now_ms)


def taken(state: HostState, me: str, now_ms: int) -> HostState:
    """Return the state once `me` asks."""
    recent = (*_recent(state, now_ms), now_ms)
    return msgspec.structs.replace(state, holder=me, until_ms=now_ms + LEASE_MS, recent_ms=recent)


def answered(state: HostState, status: int, headers: Mapping[str, str], now_ms: int) -> HostState:
    """Return the state after an answer: a 429 or 503 holds the domain, an hour at most.

    For as long as `Retry-After` says, or else longer each time.
    """
    if status not in _SLOW_DOWN:
        return msgspec.structs.replace(state, strikes=0, held_ms=0) if state.strikes else state
    asked = read_answer(status, headers, now_ms=now_ms).retry_after
    hold = asked * 1000 if asked is not None else _FIRST_HOLD_MS * 2.0**state.strikes
    held = now_ms + round(min(hold, _LONGEST_HOLD_MS))
    strikes = min(state.strikes + 1, 30)
    return msgspec.structs.replace(state, held_ms=max(held, state.held_ms), status=status, strikes=strikes)


def _recent(state: HostState, now_ms: int) -> tuple[int, ...]:
    """Return the requests of the last minute; what a wrong clock put into the future does not count."""
    return tuple(at for at in state.recent_ms if now_ms - MINUTE_MS < at <= now_ms + LEASE_MS)


class Turn:
    """A request that may be made now."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Say how the server answered."""
        self.status, self.headers = status, headers


class _Domain:
    """What this replica knows of a domain."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.key = "polite." + _key_of(name)
        self.lock = asyncio.Lock()
        self.waiting = 0
        self.state = HostState()
        self.revision: int | None = None
        self.next_ms = 0  # when what was sent away last comes again


class Politeness:
    """Gives out turns.

    Args:
        bus: Where the replicas share what they know.
        rate: Requests per minute and domain; 0: any number, but one at a time.
        me: The replica's name, unique to the process.
    """

    def __init__(self, bus: Bus, *, rate: int, me: str) -> None:
        self._hosts = bus.bucket(HOSTS)
        self._rate = rate
        self._me = me
        self._domains: OrderedDict[str, _Domain] = OrderedDict()

    @asynccontextmanager
    async def turn(self, url: str, manner: Manner) -> AsyncGenerator[Turn]:
        """Hold the domain of `url` while the block runs.

        Raises:
            Busy: It is not our turn soon.
            Held: The domain wants to be left alone, and the request is to be told so.
        """
        domain = self._domain(domain_of(url))
        await self._queue(domain, manner)
        try:
            await self._take(domain, manner)
            turn = Turn()
            async with self._renewed(domain):
                yield turn
            await self._note(domain, turn)
        finally:
            domain.lock.release()

    def _domain(self, name: str) -> _Domain:
        domain = self._domains.pop(name, None) or _Domain(name)
        self._domains[name] = domain
        if len(self._domains) > _DOMAINS_KEPT:
            oldest = next(iter(self._domains))
            if not self._domains[oldest].lock.locked():
                del self._domains[oldest]
        return domain

    async def _queue(self, domain: _Domain, manner: Manner) -> None:
        """Wait for the requests of our own; where one waits already, only those that join it wait too."""
        if domain.waiting and not manner.joins:
            raise self._later(domain, 0)
        domain.waiting += 1
        try:
            async with asyncio.timeout(manner.patience):
                await domain.lock.acquire()
        except TimeoutError:
            raise self._later(domain, 0) from None
        finally:
            domain.waiting -= 1

    async def _take(self, domain: _Domain, manner: Manner) -> None:
        """Write that it is our turn, once it may be."""
        rate = math.ceil(self._rate * manner.share)
        deadline = _now_ms() + 1000 * manner.patience
        while wait := await self._try(domain, rate):
            if manner.told and domain.state.held_ms > deadline:
                raise Held(domain.name, domain.state.status, (domain.state.held_ms - _now_ms()) / 1000)
            if _now_ms() + wait > deadline:
                raise self._later(domain, wait)
            await asyncio.sleep((wait + 1) / 1000)

    async def _try(self, domain: _Domain, rate: int) -> int:
        """Take the turn and return 0, or return for how many milliseconds it cannot be ours."""
        known = False
        while True:
            wait = wait_ms(domain.state, self._me, _now_ms(), rate)
            if wait and not known:
                await self._reload(domain)
                known = True
            elif wait or await self._write(domain, taken(domain.state, self._me, _now_ms())):
                return wait

    def _later(self, domain: _Domain, wait: int) -> Busy:
        """Return when to come again: each that is sent away a little after the one before."""
        pace = MINUTE_MS / (self._rate * SCHEDULED.share) if self._rate else 1000.0
        soonest = max(domain.next_ms, _now_ms() + wait) + pace
        domain.next_ms = round(min(soonest, _now_ms() + wait + _LONGEST_QUEUE_MS))
        return Busy(domain.name, domain.next_ms + round(random.uniform(0, pace)))  # noqa: S311 - jitter, not a secret

    @asynccontextmanager
    async def _renewed(self, domain: _Domain) -> AsyncGenerator[None]:
        renewing = asyncio.create_task(self._renew(domain))
        try:
            yield
        finally:
            renewing.cancel()

    async def _renew(self, domain: _Domain) -> None:
        """Keep the lease of a request that takes long."""
        with suppress(HalftoneError):
            while True:
                await asyncio.sleep(LEASE_MS / 2500)
                if not await self._write(domain, _until(domain.state, _now_ms() + LEASE_MS)):
                    return

    async def _note(self, domain: _Domain, turn: Turn) -> None:
        """Tell the other replicas what the answer means for them, if anything."""
        while (after := answered(domain.state, turn.status, turn.headers, _now_ms())) != domain.state:
            if await self._write(domain, after):
                return

    async def _reload(self, domain: _Domain) -> None:
        entry = await self._hosts.get(domain.key)
        domain.state = msgspec.json.decode(entry.value, type=HostState) if entry else HostState()
        domain.revision = entry.revision if entry else None

    async def _write(self, domain: _Domain, state: HostState) -> bool:
        """Write over what we know; where that is old, know better and return False."""
        value = msgspec.json.encode(state)
        try:
            if domain.revision is None:
                domain.revision = await self._hosts.create(domain.key, value)
            else:
                domain.revision = await self._hosts.update(domain.key, value, domain.revision)
        except Conflict:
            await self._reload(domain)
            return False
        domain.state = state
        return True


def _key_of(name: str) -> str:
    """Return the name as it may stand in a key: of a name that no DNS would know, its SHA-256."""
    if len(name) > _LONGEST_NAME:
        return hashlib.sha256(name.encode()).hexdigest()
    return _NOT_IN_KEYS.sub("_", name).strip(".")


def _until(state: HostState, until_ms: int) -> HostState:
    return msgspec.structs.replace(state, until_ms=until_ms)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
