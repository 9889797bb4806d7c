"""Polls that somebody asks for: shared while they are open, asked for again until they are answered."""

import time

import pytest
from sqlalchemy import update

from services.api.tables import polls
from tests.api.builders import SITE
from tests.api.running import Site, next_due


async def test_asking_twice_shares_the_open_poll(site: Site) -> None:
    url = {"url": f"{SITE}/feed.xml"}
    first, second = [(await site.client.post("/api/fetches", json=url)).json()["requestId"] for _ in range(2)]

    assert first == second
    due = await next_due(site.bus)
    assert (due.request_id, first) == (first, f"{first[:32]}_{due.feed}")


async def test_a_question_that_got_lost_is_asked_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.api.asking.REPEAT_SECONDS", 0.2)
    await site.client.post("/api/fetches", json={"url": f"{SITE}/feed.xml"})
    first = await next_due(site.bus)

    assert (await next_due(site.bus)).request_id == first.request_id


@pytest.mark.parametrize(
    ("said_ago", "asked_ago", "again"),
    [
        (9, 9, False),
        (11, 11, True),
        (11, 21, True),
        (11, 31, False),
        (21, 31, True),
        (119, 400, False),
        (121, 400, True),
    ],
)
async def test_the_pauses_between_repeats_double(site: Site, said_ago: int, asked_ago: int, *, again: bool) -> None:
    await site.client.post("/api/fetches", json={"url": f"{SITE}/feed.xml"})
    first = await next_due(site.bus)
    now = int(time.time() * 1000)
    values = {"due_ms": now - said_ago * 1000, "started_ms": now - asked_ago * 1000}
    async with site.running.api.database.write() as connection:
        await connection.execute(update(polls).values(values))
    await site.running.api.asking.repeat()

    assert await site.bus.scheduled() == ({first.feed} if again else set())
