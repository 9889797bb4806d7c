"""The assembler: any order, any repetition, deadlines, late facts, a crash in between, on both databases."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update

from services.api.completer import Built
from services.api.tables import image_uses, polls, touched
from services.api.wire import Record
from shared.bus import Bus
from shared.feeds import FeedConfig, decode_config
from shared.memory import MemoryBus
from shared.messages import FeedFacts, Message, RecordCompleted, decode, encode
from shared.topology import FEED_CONFIGS
from tests.api.builders import SITE, STARTED, article, failed, found, mirrored, polled, updated, wanted
from tests.api.contract import RECORD, check_identities, check_keys
from tests.api.postgres import new_database
from tests.api.running import Site, eventually, running_api

REQUEST = "0123456789abcdef0123456789abcdef_1"
LATER = "fedcba9876543210fedcba9876543210_1"

ONE = article("one", wanted("a.gif", "cover"), wanted("a.gif"), wanted("b.png"), wanted("dead.png"))
TWO = article("two", wanted("c.jpg", "cover"), wanted("b.png"))
THREE = article("three")
STORY: Sequence[Message] = (
    found(REQUEST, ONE, 0),
    found(REQUEST, TWO, 1),
    found(REQUEST, THREE, 2),
    polled(REQUEST, ONE, TWO, THREE),
    mirrored("a.gif", size=300),
    mirrored("b.png", size=20),
    mirrored("c.jpg", size=1),
    failed("dead.png"),
)


def steady(record: dict[str, Any]) -> dict[str, Any]:
    """Return the record without what depends on when the test ran."""
    return record | {"record": record["record"] | {"totalMs": 0}, "extra4": record["extra4"] | {"total": 0}}


async def completions(bus: Bus, seen: list[RecordCompleted]) -> None:
    async for _, data in bus.follow("evt.record.completed"):
        message = decode(data)
        assert isinstance(message, RecordCompleted)
        seen.append(message)


@pytest.fixture
async def announced(memory_bus: MemoryBus) -> Any:
    seen: list[RecordCompleted] = []
    task = asyncio.create_task(completions(memory_bus, seen))
    await asyncio.sleep(0)
    yield seen
    task.cancel()


async def test_a_poll_becomes_one_record(site: Site, announced: list[RecordCompleted]) -> None:
    await site.say(*STORY)
    record = await site.record(REQUEST)

    check_keys(RECORD, record)
    check_identities(record)
    assert [each["linkMd5"] for each in record["toInsertArticleList"]] == [ONE.link_md5, TWO.link_md5]
    assert (record["extra5"], record["extra6"]) == (4, 3)
    await eventually(lambda: asyncio.sleep(0, len(announced)), lambda count: count == 1)
    assert (announced[0].mirrored, announced[0].failed, announced[0].articles) == (3, 1, 3)
    assert decode_record(announced[0]) == record


def decode_record(message: RecordCompleted) -> Any:
    return msgspec.json.decode(message.record)


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_and_any_repetition_give_the_same_record(
    seed: int, memory_bus: MemoryBus, tmp_path: Path
) -> None:
    async with running_api(memory_bus, tmp_path / "straight") as site:
        await site.say(*STORY)
        straight = await site.record(REQUEST)
    shuffled = MemoryBus()
    async with running_api(shuffled, tmp_path / "shuffled") as site:
        said = [*STORY, *STORY, *STORY]
        Random(seed).shuffle(said)  # noqa: S311 - a reproducible order
        for message in said:
            await shuffled.publish_raw(message.subject, encode(message), {})
        record = await site.record(REQUEST)

    assert steady(record) == steady(straight)


async def test_an_image_mirrored_before_settles_a_later_poll_at_once(site: Site) -> None:
    await site.say(*STORY)
    await site.record(REQUEST)
    again = article("again", wanted("a.gif"))
    await site.say(polled(LATER, again, started_ms=STARTED + 60_000), found(LATER, again))
    record = await site.record(LATER)

    assert [image["isDone"] for image in record["extra12ImgCdnSuccessResultVector"]] == [True]
    assert record["successGithubMap"] == {}


async def test_one_result_settles_every_record_that_waits_for_the_image(site: Site) -> None:
    other = article("other", wanted("b.png"))
    await site.say(*STORY[:5], *STORY[6:], polled(LATER, other), found(LATER, other))
    early = await site.client.get(f"/api/records/{REQUEST}")
    await site.say(STORY[5])

    assert early.status_code in {202, 404}
    assert [(await site.record(name))["code"] for name in (REQUEST, LATER)] == [1, 1]


async def test_a_late_image_changes_the_record_and_announces_it_again(
    site: Site, announced: list[RecordCompleted]
) -> None:
    await site.say(*STORY)
    before = await site.record(REQUEST)
    await site.say(mirrored("dead.png", size=7, job=9))
    after = await eventually(lambda: site.record(REQUEST), lambda record: record["extra6"] == 4)

    check_identities(after)
    assert after["extra7ImgCdnFailResultVector"] == []
    assert after["record"]["totalMs"] == before["record"]["totalMs"]
    await eventually(lambda: asyncio.sleep(0, len(announced)), lambda count: count == 2)
    assert announced[0].digest != announced[1].digest


async def test_what_changes_nothing_announces_nothing(site: Site, announced: list[RecordCompleted]) -> None:
    await site.say(*STORY)
    await site.record(REQUEST)
    await site.say(mirrored("a.gif", size=300, job=5, known=True), failed("a.gif", job=6), failed("dead.png", job=7))
    marker = article("marker")
    await site.say(polled(LATER, marker), found(LATER, marker))
    await site.record(LATER)

    assert [each.request_id for each in announced].count(REQUEST) == 1


async def test_a_poll_that_found_nothing_is_complete_at_once(site: Site) -> None:
    await site.say(polled(REQUEST, unchanged=True, http_status=304, facts=None))

    assert (await site.record(REQUEST))["isDone"] is True


async def test_the_images_of_changed_articles_are_waited_for_but_the_record_holds_new_articles_only(
    site: Site,
) -> None:
    changed = article("changed", wanted("z.png"))
    await site.say(
        polled(REQUEST, ONE, updated=(changed.link_md5,)), found(REQUEST, ONE), updated(REQUEST, changed), *STORY[4:]
    )
    early = await site.client.get(f"/api/records/{REQUEST}")
    await site.say(mirrored("z.png"))
    record = await site.record(REQUEST)

    assert early.status_code in {202, 404}
    assert [each["linkMd5"] for each in record["toInsertArticleList"]] == [ONE.link_md5]
    assert (record["extra5"], record["extra6"]) == (3, 2)


async def test_the_icon_is_waited_for_and_named_in_the_feed_alone(site: Site) -> None:
    feed = await site.running.api.feeds.get_or_add(f"{SITE}/feed.xml")
    request_id = f"{'a' * 32}_{feed.id}"
    icon = wanted("favicon.ico", "icon")
    await site.say(
        polled(request_id, feed=feed.id, icon=icon, facts=None), mirrored("favicon.ico", url="http://cdn/i.webp")
    )
    record = await site.record(request_id)
    assert (record["extra5"], record["feed"]["icon_jsdelivr"]) == (0, None)

    request_id = f"{'b' * 32}_{feed.id}"
    facts = FeedFacts(title="A feed", icon=icon.source)
    await site.say(polled(request_id, feed=feed.id, icon=icon, facts=facts))
    record = await site.record(request_id)
    assert (record["extra5"], record["feed"]["icon_jsdelivr"]) == (0, "http://cdn/i.webp")


async def test_at_the_deadline_open_images_failed_and_a_late_one_still_gets_in(
    memory_bus: MemoryBus, tmp_path: Path, database_url: str
) -> None:
    async with running_api(memory_bus, tmp_path, database_url, record_deadline=0.3) as site:
        await site.say(*STORY[:5], *STORY[6:])
        record = await site.record(REQUEST)
        check_identities(record)
        reasons = [image["extra22GetBytesInfo"] for image in record["extra7ImgCdnFailResultVector"]]
        await site.say(STORY[5])
        late = await eventually(lambda: site.record(REQUEST), lambda record: record["extra6"] == 3)

    assert "not settled within 0 s" in reasons
    check_identities(late)


async def test_a_poll_that_is_never_answered_fails_at_its_deadline(
    memory_bus: MemoryBus, tmp_path: Path, database_url: str
) -> None:
    async with running_api(memory_bus, tmp_path, database_url, record_deadline=0.3) as site:
        answer = await site.client.post("/api/fetches", json={"url": f"{SITE}/feed.xml", "wait": 10}, timeout=15)

    assert (answer.status_code, answer.json()["code"]) == (200, 0)


async def test_a_failure_from_long_ago_does_not_answer_a_new_use(site: Site) -> None:
    await site.say(*STORY)
    await site.record(REQUEST)
    again = article("again", wanted("dead.png"))
    await site.say(found(LATER, again))
    await eventually(lambda: site.known(LATER), lambda known: known)
    async with site.running.api.database.write() as connection:
        far = {"settled": False, "since": 4_000_000_000.0}
        await connection.execute(update(image_uses).where(image_uses.c.request_id == LATER).values(**far))
    await site.say(polled(LATER, again))
    await asyncio.sleep(0.2)

    assert (await site.client.get(f"/api/records/{LATER}")).status_code == 202


async def test_a_failure_of_just_now_answers_a_new_use(site: Site) -> None:
    await site.say(*STORY)
    await site.record(REQUEST)
    again = article("again", wanted("dead.png"))
    await site.say(found(LATER, again), polled(LATER, again))

    assert (await site.record(LATER))["extra5"] == 1


async def test_a_restart_forgets_nothing(memory_bus: MemoryBus, tmp_path: Path, database_url: str) -> None:
    async with running_api(memory_bus, tmp_path, database_url) as site:
        await site.say(*STORY[:4])
        await eventually(lambda: site.known(REQUEST), lambda known: known)
    async with running_api(memory_bus, tmp_path, database_url) as site:
        await site.say(*STORY[4:])
        record = await site.record(REQUEST)

    check_identities(record)
    assert record["extra6"] == 3


async def test_a_record_that_was_not_announced_before_a_crash_is_announced_after_it(
    memory_bus: MemoryBus, tmp_path: Path, database_url: str
) -> None:
    async with running_api(memory_bus, tmp_path, database_url) as site:
        await site.say(*STORY)
        await site.record(REQUEST)
        await asyncio.sleep(0.1)
        async with site.running.api.database.write() as connection:
            await connection.execute(update(polls).values(announced=False, completed_ms=1, digest="another"))
    seen: list[RecordCompleted] = []
    task = asyncio.create_task(completions(memory_bus, seen))
    async with running_api(memory_bus, tmp_path, database_url):
        await eventually(lambda: asyncio.sleep(0, len(seen)), lambda count: count == 1)
    task.cancel()

    assert seen[0].request_id == REQUEST


async def test_work_left_behind_by_a_replica_that_died_is_taken_over(
    memory_bus: MemoryBus, tmp_path: Path, database_url: str
) -> None:
    async with running_api(memory_bus, tmp_path, database_url) as site:
        await site.say(*STORY)
        await site.record(REQUEST)
        async with site.running.api.database.write() as connection:
            await connection.execute(update(polls).values(record=None, completed_ms=None, waiting=True))
            await connection.execute(
                touched.insert().values(request_id=REQUEST, version=1, touched_ms=1)  # long ago
            )
        assert (await site.record(REQUEST))["code"] == 1


async def test_a_record_built_from_facts_that_have_moved_on_is_not_kept(site: Site) -> None:
    await site.say(*STORY)
    made = await site.record(REQUEST)
    stale = Built(msgspec.convert(made, Record), b"stale", "stale")
    async with site.running.api.database.write() as connection:
        await connection.execute(touched.insert().values(request_id=REQUEST, version=2, touched_ms=2**50))
        poll = (await connection.execute(select(polls).where(polls.c.request_id == REQUEST))).one()
    completer = site.running._completer  # pyright: ignore[reportPrivateUsage] - the race cannot be had from outside

    assert not await completer._keep(poll, 1, stale, ready=True)  # pyright: ignore[reportPrivateUsage]
    assert await site.record(REQUEST) == made


async def test_nothing_stays_touched_once_all_is_built(site: Site) -> None:
    await site.say(*STORY)
    await site.record(REQUEST)

    async def left() -> int:
        async with site.running.api.database.read() as connection:
            return len((await connection.execute(select(touched))).all())

    assert await eventually(left, lambda count: count == 0) == 0


async def test_two_replicas_share_the_work(memory_bus: MemoryBus, tmp_path: Path, postgres: str) -> None:
    url = await new_database(postgres)
    names = [f"{number:032x}_1" for number in range(30)]
    async with running_api(memory_bus, tmp_path, url) as one, running_api(memory_bus, tmp_path, url) as two:
        said = [message for name in names for message in story_of(name)]
        Random(1).shuffle(said)  # noqa: S311 - a reproducible order
        await one.say(*said)
        records = [await (one, two)[number % 2].record(name) for number, name in enumerate(names)]

    assert {(record["code"], record["extra6"]) for record in records} == {(1, 3)}


def story_of(name: str) -> list[Message]:
    """Thirty polls that all want the same three images, and one of their own that fails."""
    own = article(f"own-{name}", wanted("a.gif"), wanted("b.png"), wanted("c.jpg"), wanted(f"{name}.png"))
    return [found(name, own), polled(name, own), *STORY[4:7], failed(f"{name}.png")]


async def test_a_feed_that_a_page_led_to_is_polled_at_its_own_address_from_then_on(site: Site) -> None:
    page, own = f"{SITE}/", f"{SITE}/feed.xml"
    feed = (await site.client.post("/api/feeds", json={"url": page})).json()["id"]
    await site.say(polled(REQUEST, feed=feed, facts=FeedFacts(title="A", url=own, website=page)))
    config = await eventually(lambda: config_of(site, feed), lambda config: config.url == own)
    first = await site.record(REQUEST)
    await site.say(polled(LATER, feed=feed, started_ms=STARTED + 1, facts=FeedFacts(title="A", url=own)))
    later = await site.record(LATER)

    assert config.subscribed
    assert [(it["feed"]["url"], it["feed"]["website"]) for it in (first, later)] == [(own, page)] * 2
    for address in (page, own):
        assert (await site.client.post("/api/feeds", json={"url": address})).json()["id"] == feed


@pytest.mark.parametrize(("own", "kept"), [(f"{SITE}/feed.xml", {"X-Key": "secret"}), ("http://other.example/", {})])
async def test_headers_are_not_kept_for_a_feed_elsewhere_that_a_page_led_to(
    site: Site, own: str, kept: dict[str, str]
) -> None:
    feed = (await site.client.post("/api/feeds", json={"url": f"{SITE}/"})).json()["id"]
    await site.client.patch(f"/api/feeds/{feed}", json={"headers": {"X-Key": "secret"}})
    before = await config_of(site, feed)
    await site.say(polled(REQUEST, feed=feed, facts=FeedFacts(title="A", url=own, website=f"{SITE}/")))
    after = await eventually(lambda: config_of(site, feed), lambda config: config.url == own)

    assert (before.headers, after.headers) == ({"X-Key": "secret"}, kept)


async def config_of(site: Site, feed: int) -> FeedConfig:
    entry = await site.bus.bucket(FEED_CONFIGS).get(str(feed))
    assert entry
    return decode_config(entry.value)
