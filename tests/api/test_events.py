"""Events over HTTP: resumed without a gap or a repeat."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import msgspec
import pytest

from services.api.following import MOST, EventRow, Following
from services.api.routes_events import takes
from tests.api.builders import article, found, mirrored, polled, wanted
from tests.api.running import Site, eventually
from tests.api.stories import told

Event = tuple[int, str, Any]


async def lines(response: httpx.Response) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "data" in fields:
            yield int(fields["id"]), fields["event"], msgspec.json.decode(fields["data"])
            fields = {}


async def take(site: Site, count: int, after: int | None = None, **params: Any) -> list[Event]:
    """Read `count` events, then cut the line."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    taken: list[Event] = []
    async with asyncio.timeout(10), site.client.stream("GET", "/api/events", headers=headers, params=params) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for event in lines(answer):
            taken.append(event)
            if len(taken) == count:
                break
    return taken


async def test_a_poll_is_told_as_it_happens(site: Site) -> None:
    following = asyncio.create_task(take(site, 9))
    await asyncio.sleep(0.3)
    await told(site)
    events = await following

    assert sorted(subject for _, subject, _ in events) == sorted(
        ["evt.article.found"] * 3
        + ["evt.feed.polled", "evt.image.failed", "evt.record.completed"]
        + ["evt.image.mirrored"] * 3
    )
    assert all("body" not in data.get("article", {}) for _, _, data in events)


async def test_a_client_of_another_database_begins_with_the_first_event(site: Site) -> None:
    await told(site)
    events = await take(site, 2, after=10**9)

    assert [number for number, _, _ in events] == [1, 2]


async def test_a_client_that_was_cut_off_misses_nothing_and_sees_nothing_twice(site: Site) -> None:
    told_all = 150

    async def tell() -> None:
        for number in range(told_all):
            await site.say(mirrored(f"{number}.png"))
            if number % 7 == 0:
                await asyncio.sleep(0.01)

    telling = asyncio.create_task(tell())
    seen: list[Event] = []
    while len(seen) < told_all:
        seen += await take(site, min(13, told_all - len(seen)), after=seen[-1][0] if seen else 0)
    await telling

    assert len({data["image"] for _, _, data in seen}) == told_all
    assert [number for number, _, _ in seen] == sorted({number for number, _, _ in seen})


async def test_a_subject_filters(site: Site) -> None:
    await told(site)
    events = await take(site, 4, after=0, subject=["evt.image.*"])

    assert {subject for _, subject, _ in events} == {"evt.image.mirrored", "evt.image.failed"}


async def test_an_event_that_comes_again_is_told_once(site: Site) -> None:
    it = article("one", wanted("a.gif"))
    name = f"{'c' * 32}_1"
    await site.say(found(name, it), found(name, it), polled(name, it), mirrored("a.gif"))
    await site.record(name)

    assert [subject for _, subject, _ in await take(site, 4, after=0)].count("evt.article.found") == 1


@pytest.mark.parametrize("header", ["x", "-1", "9" * 19, "0" * 30 + "1", "1" * 5_000])
async def test_a_last_event_id_that_is_none_is_refused(site: Site, header: str) -> None:
    answer = await site.client.get("/api/events", headers={"Last-Event-ID": header})

    assert answer.status_code == 400


def test_subject_patterns_are_the_brokers() -> None:
    assert takes("evt.>", "evt.image.mirrored")
    assert takes("evt.*.mirrored", "evt.image.mirrored")
    assert not takes("evt.*", "evt.image.mirrored")
    assert not takes("evt.image.mirrored.>", "evt.image.mirrored")


async def test_followers_share_what_is_read_for_them(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    look = Following._look  # pyright: ignore[reportPrivateUsage] - what is to be rare

    async def counted(following: Following, position: int) -> Sequence[EventRow]:
        nonlocal looks
        looks += 1
        return await look(following, position)

    monkeypatch.setattr(Following, "_look", counted)
    all_following = [asyncio.create_task(take(site, 9)) for _ in range(20)]
    following = site.running.api.following
    async with asyncio.timeout(10):
        while following._places > MOST - 20:  # noqa: ASYNC110 # pyright: ignore[reportPrivateUsage] - until all do
            await asyncio.sleep(0.01)
    await told(site)
    taken = await asyncio.gather(*all_following)

    assert all(events == taken[0] for events in taken)
    assert looks < 100  # each for itself would be more than nine times as many


async def test_who_finds_no_place_is_told_and_finds_one_once_another_left(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.running.api.following, "_places", 1)
    async with site.client.stream("GET", "/api/events") as first:
        await anext(first.aiter_lines())
        refused = await site.client.get("/api/events")

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    await eventually(lambda: has_place(site), bool)


async def has_place(site: Site) -> bool:
    return not site.running.api.following.full
