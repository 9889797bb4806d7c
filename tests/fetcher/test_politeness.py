"""Turns at a domain: pure decisions first, then several replicas on one bus, the real one too."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator

import msgspec
import pytest

from services.fetcher.politeness import (
    ASKED,
    LEASE_MS,
    MINUTE_MS,
    SCHEDULED,
    Busy,
    Held,
    HostState,
    Politeness,
    answered,
    domain_of,
    taken,
    wait_ms,
)
from shared.bus import Bus
from shared.memory import MemoryBus
from shared.topology import HOSTS

NOW = 1_700_000_000_000
URL = "http://feeds.example.com/a"


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://feeds.blog.example.co.uk/x", "example.co.uk"),
        ("http://EXAMPLE.com:8080/x", "example.com"),
        ("http://user:pw@a.example.com./", "example.com"),
        ("http://someone.github.io/feed", "someone.github.io"),
        ("http://127.0.0.1:8001/x", "127.0.0.1:8001"),
        ("http://[::1]:8001/x", "::1:8001"),
        ("http://localhost:8001/x", "localhost:8001"),
        ("http://com/", "com:None"),
        ("http://x:y/", ""),
        ("http://[/", ""),
    ],
)
def test_a_domain_is_what_somebody_registered(url: str, domain: str) -> None:
    assert domain_of(url) == domain


def test_a_domain_that_nobody_asks_is_free() -> None:
    assert wait_ms(HostState(), "a", NOW, 30) == 0


def test_who_has_the_turn_may_go_on_and_others_wait_for_its_lease() -> None:
    state = taken(HostState(), "a", NOW)
    assert (wait_ms(state, "a", NOW + 10, 30), wait_ms(state, "b", NOW + 10, 30)) == (0, LEASE_MS - 10)
    assert wait_ms(state, "b", NOW + LEASE_MS, 30) == 0


def test_no_minute_has_more_requests_than_the_rate() -> None:
    state, now, asked = HostState(), NOW, list[int]()
    while len(asked) < 200:
        now += wait_ms(state, "a", now, 30) or 7
        if wait_ms(state, "a", now, 30) == 0:
            state = taken(state, "a", now)
            asked.append(now)
    assert max(sum(at <= other < at + MINUTE_MS for other in asked) for at in asked) == 30
    assert len(state.recent_ms) <= 30


def test_without_a_rate_only_the_lease_counts() -> None:
    state = HostState(recent_ms=tuple(range(NOW - 500, NOW)))
    assert wait_ms(state, "a", NOW, 0) == 0


def test_a_request_in_the_far_future_is_a_wrong_clock() -> None:
    assert wait_ms(HostState(recent_ms=(NOW + 3_600_000,)), "a", NOW, 1) == 0


def test_a_lease_that_ends_in_the_far_future_is_a_wrong_clock() -> None:
    assert wait_ms(taken(HostState(), "a", NOW + 3_600_000), "b", NOW, 30) == 0


@pytest.mark.parametrize(
    ("value", "seconds"), [("120", 120), ("Tue, 14 Nov 2023 22:23:20 GMT", 600), ("9999999", 3_600)]
)
def test_retry_after_holds_the_domain_for_an_hour_at_most(value: str, seconds: int) -> None:
    state = answered(HostState(), 429, {"retry-after": value}, NOW)
    assert (wait_ms(state, "a", NOW, 30), state.status) == (seconds * 1000, 429)


def test_without_retry_after_it_is_held_longer_each_time() -> None:
    state, holds = HostState(), list[int]()
    for _ in range(8):
        state = answered(msgspec.structs.replace(state, held_ms=0), 503, {}, NOW)
        holds.append((state.held_ms - NOW) // MINUTE_MS)
    assert holds == [1, 2, 4, 8, 16, 32, 60, 60]


def test_an_answer_that_is_none_of_these_forgives() -> None:
    state = answered(answered(HostState(), 429, {}, NOW), 200, {}, NOW)
    assert (state.strikes, state.held_ms) == (0, 0)
    assert answered(HostState(), 404, {}, NOW) == HostState()


async def ask(polite: Politeness, seen: list[float], url: str = URL, *, asked: bool = False, status: int = 200) -> None:
    async with polite.turn(url, ASKED if asked else SCHEDULED) as turn:
        seen.append(time.monotonic())
        await asyncio.sleep(0.02)
        turn.answered(status, {})
        seen.append(time.monotonic())


@pytest.fixture
async def memory() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus()
    yield bus
    await bus.close()


async def test_what_people_ask_for_waits_in_line_one_at_a_time(memory: MemoryBus) -> None:
    polite, seen = Politeness(memory, rate=30, me="a"), list[float]()
    await asyncio.gather(*(ask(polite, seen, asked=True) for _ in range(10)))
    assert (len(seen), seen) == (20, sorted(seen))
    assert all(end - start > 0.015 for start, end in zip(seen[::2], seen[1::2], strict=True))


async def test_of_the_schedules_polls_one_waits_and_the_others_come_again_spaced(memory: MemoryBus) -> None:
    polite, seen = Politeness(memory, rate=30, me="a"), list[float]()
    results = await asyncio.gather(*(ask(polite, seen) for _ in range(20)), return_exceptions=True)
    later = sorted(result.at_ms for result in results if isinstance(result, Busy))
    assert (len(seen), len(later)) == (4, 18)
    assert later[-1] - later[0] > 17 * 2_500 - 5_000


async def test_the_schedule_leaves_a_part_of_the_rate_to_people(memory: MemoryBus) -> None:
    polite, seen = Politeness(memory, rate=5, me="a"), list[float]()
    for _ in range(4):
        await ask(polite, seen)
    with pytest.raises(Busy):
        await ask(polite, seen)
    await ask(polite, seen, asked=True)
    assert len(seen) == 10


async def test_a_domain_that_is_held_does_not_keep_others_waiting(memory: MemoryBus) -> None:
    polite, seen = Politeness(memory, rate=30, me="a"), list[float]()
    await ask(polite, seen, status=429)
    with pytest.raises(Busy) as busy:
        await ask(polite, seen, url="http://other.example.com/b")
    assert 55_000 < busy.value.at_ms - time.time() * 1000 < 70_000
    with pytest.raises(Held, match=r"example\.com answered HTTP 429 and wants to be left alone for 1 min"):
        await ask(polite, seen, asked=True)
    await ask(polite, seen, url="http://example.org/")
    assert len(seen) == 4


async def test_replicas_share_a_domain_and_a_hold(bus: Bus) -> None:
    first, second, seen = Politeness(bus, rate=30, me="a"), Politeness(bus, rate=30, me="b"), list[float]()
    await ask(first, seen)
    with pytest.raises(Busy):
        await ask(second, seen)
    started = time.monotonic()
    await ask(second, seen, asked=True)
    assert LEASE_MS / 1000 - 0.5 < time.monotonic() - started < ASKED.patience
    await ask(second, seen, status=503)
    with pytest.raises(Held):
        await ask(first, seen, asked=True)


async def test_a_request_that_takes_long_keeps_its_lease(bus: Bus) -> None:
    first, second = Politeness(bus, rate=30, me="a"), Politeness(bus, rate=30, me="b")
    async with first.turn(URL, SCHEDULED):
        await asyncio.sleep(LEASE_MS / 1000 + 1)
        with pytest.raises(Busy):
            await ask(second, [])


async def test_a_dead_holder_holds_nobody_up_for_long(memory: MemoryBus) -> None:
    lease = taken(HostState(), "dead", int(time.time() * 1000) - LEASE_MS + 500)
    await memory.bucket(HOSTS).put("polite.example.com", msgspec.json.encode(lease))
    heir, seen, started = Politeness(memory, rate=30, me="b"), list[float](), time.monotonic()
    await ask(heir, seen)
    assert 0.4 < seen[0] - started < SCHEDULED.patience


async def test_many_replicas_never_ask_at_the_same_time(bus: Bus) -> None:
    replicas = [Politeness(bus, rate=0, me=str(number)) for number in range(5)]
    at_once, most = 0, 0

    async def keep_asking(polite: Politeness) -> None:
        nonlocal at_once, most
        for _ in range(3):
            try:
                async with polite.turn(URL, SCHEDULED):
                    at_once += 1
                    most = max(most, at_once)
                    await asyncio.sleep(0.01)
                    at_once -= 1
            except Busy:
                await asyncio.sleep(SCHEDULED.patience / 10)

    await asyncio.gather(*map(keep_asking, replicas))
    assert most == 1


async def test_a_domain_that_one_replica_polls_alone_costs_one_write_a_request(memory: MemoryBus) -> None:
    polite, seen = Politeness(memory, rate=30, me="a"), list[float]()
    for _ in range(3):
        await ask(polite, seen)
    entry = await memory.bucket(HOSTS).get("polite.example.com")
    assert entry
    assert entry.revision == 3


async def test_a_host_of_any_length_has_a_key_that_the_broker_takes(bus: Bus) -> None:
    name = "a" * 5000 + ".example"
    await ask(Politeness(bus, rate=30, me="a"), [], url=f"http://{name}/feed")
    entry = await bus.bucket(HOSTS).get("polite." + hashlib.sha256(name.encode()).hexdigest())
    assert entry


async def test_a_host_with_a_dot_too_many_has_a_key_that_the_broker_takes(bus: Bus) -> None:
    await ask(Politeness(bus, rate=30, me="a"), [], url="http://a..example:81/feed")
    assert await bus.bucket(HOSTS).get("polite.a_.example_81")
