"""The database: migrated as the tables say, by one process at a time, and kept from growing for ever."""

import asyncio
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event, func, select, text, update

from services.api.database import HEAD, MIGRATIONS, Database, open_database
from services.api.retention import forget
from services.api.tables import articles, events, feeds, image_uses, metadata, poll_articles, polls
from shared.memory import MemoryBus
from tests.api.builders import SITE, article, found, mirrored, polled, wanted
from tests.api.postgres import new_database
from tests.api.running import Site, eventually, next_due, running_api
from tests.api.stories import told

EVENTS = 9  # that a poll of `told` makes, its record among them
OWN = {"article_words", "search", "articles_search"}  # full-text search, which the tables do not describe


def differences(connection: Connection) -> list[str]:
    context = MigrationContext.configure(connection, opts={"compare_type": False})
    found = [str(each) for each in compare_metadata(context, metadata)]
    return [each for each in found if not any(name in each for name in OWN)]


async def test_the_migrations_make_what_the_tables_say(database: Database) -> None:
    async with database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_processes_that_start_together_migrate_once(tmp_path: Path, postgres: str) -> None:
    for url in ("", await new_database(postgres)):
        opened = await asyncio.gather(*(open_database(url, tmp_path) for _ in range(3)))
        async with opened[0].read() as connection:
            assert len((await connection.execute(text("SELECT version_num FROM alembic_version"))).all()) == 1
        for database in opened:
            await database.close()


def test_head_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == HEAD


async def test_a_current_database_is_opened_without_alembic(migrated: Path) -> None:
    assert await is_alembic_loaded(migrated.parent) is False


async def test_a_new_database_is_migrated(tmp_path: Path) -> None:
    assert await is_alembic_loaded(tmp_path) is True


async def test_nobody_else_on_this_machine_reads_the_database(tmp_path: Path) -> None:
    database = await open_database("", tmp_path)
    async with database.write() as connection:
        await connection.execute(select(1))
        names = ("halftone.db", "halftone.db-wal", "halftone.db-shm")
        modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names]
    await database.close()

    assert modes == [0o600] * 3


async def is_alembic_loaded(data: Path) -> bool:
    """Open the database in a process of its own; return whether Alembic was imported for it."""
    script = (
        "import asyncio, sys; from pathlib import Path; from services.api.database import open_database\n"
        "async def main(): await (await open_database('', Path(sys.argv[1]))).close()\n"
        "asyncio.run(main()); print('alembic' in sys.modules)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(data), stdout=subprocess.PIPE)
    printed, _ = await process.communicate()
    return {"True\n": True, "False\n": False}[printed.decode()]


async def test_what_a_failed_block_wrote_is_not_there(database: Database) -> None:
    row = {"url": "u", "url_key": "k", "token": "t", "created_ms": 1, "updated_ms": 1}

    async def write_and_fail() -> None:
        async with database.write() as connection:
            await connection.execute(feeds.insert().values(row))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await write_and_fail()
    async with database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(feeds))).scalar() == 0


async def count(database: Database) -> dict[str, int]:
    async with database.read() as connection:
        return {
            table.name: (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (polls, poll_articles, image_uses, articles, events)
        }


async def test_old_records_and_events_go_and_articles_stay_readable(site: Site) -> None:
    _, request_id = await told(site)
    database = site.running.api.database
    await eventually(lambda: count(database), lambda rows: rows["events"] == EVENTS)
    async with database.write() as connection:
        await connection.execute(update(polls).values(started_ms=1))
        await connection.execute(update(events).values(at_ms=events.c.id))
    forgotten = await forget(database, records_days=30, events_days=7)
    left = await count(database)

    assert forgotten >= 1
    assert (left["polls"], left["events"], left["articles"], left["poll_articles"]) == (0, 0, 3, 3)
    assert (await site.client.get(f"/api/records/{request_id}")).status_code == 404
    (line, *_) = (await site.client.get("/api/articles")).json()["articles"]
    assert (await site.client.get(f"/api/articles/{line['link_md5']}")).status_code == 200


async def test_young_records_are_kept(site: Site) -> None:
    await told(site)
    database = site.running.api.database
    before = await eventually(lambda: count(database), lambda rows: rows["events"] == EVENTS)
    async with database.write() as connection:
        await connection.execute(update(polls).values(started_ms=int(time.time() * 1000)))
    await forget(database, records_days=30, events_days=7)

    assert await count(database) == before


async def test_a_subscribed_feed_without_a_schedule_is_polled(
    memory_bus: MemoryBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.clock.RECONCILE_SECONDS", 0.2)
    async with running_api(memory_bus, tmp_path) as site:
        row = await site.running.api.feeds.get_or_add(f"{SITE}/feed.xml", subscribed=True)
        paused = await site.running.api.feeds.get_or_add(f"{SITE}/paused.xml", subscribed=True, paused=True)
        due = await next_due(memory_bus)

        assert (due.feed, due.request_id) == (row.id, "")
        assert paused.id not in await eventually(memory_bus.scheduled, lambda _: True)


async def test_the_work_per_event_does_not_grow_with_the_poll(site: Site) -> None:
    """Count statements instead of seconds: a poll ten times as large takes no more of them per record."""
    seen: list[str] = []

    def note(*arguments: object) -> None:
        seen.append(str(arguments[2]))

    event.listen(Engine, "before_cursor_execute", note)
    costs: list[int] = []
    for number, size in enumerate((5, 50)):
        seen.clear()
        await _told_of_size(site, f"{number:032x}_1", size)
        costs.append(sum("FROM poll_articles" in statement and "position" in statement for statement in seen))

    event.remove(Engine, "before_cursor_execute", note)

    assert costs[1] <= costs[0] + 1


async def _told_of_size(site: Site, request_id: str, size: int) -> None:
    made = [article(f"{request_id}-{n}", wanted(f"{request_id}-{n}.png")) for n in range(size)]
    await site.say(*(found(request_id, it) for it in made), polled(request_id, *made, started_ms=int(time.time())))
    await site.say(*(mirrored(f"{request_id}-{n}.png") for n in range(size)))
    await site.record(request_id)
