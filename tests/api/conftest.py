"""Fixtures of the api's tests: both databases, and the whole api on a bus in memory."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.api.database import Database, open_database
from shared.memory import MemoryBus
from tests.api.postgres import new_database, running_postgres
from tests.api.running import Site, running_api

TEMPLATE = "migrated"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server's URL; new databases on it are migrated already."""
    with running_postgres() as url:
        in_own_loop(lambda: _migrate_template(url))
        yield url


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to copy."""
    folder = tmp_path_factory.mktemp("migrated")
    in_own_loop(lambda: _migrate("", folder))
    return folder / "halftone.db"


def in_own_loop(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Do the work in a thread: the test that wants it has a running loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(work())).result()


async def _migrate_template(server: str) -> None:
    await _migrate(await new_database(server, TEMPLATE), Path())


async def _migrate(url: str, data: Path) -> None:
    await (await open_database(url, data)).close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database_url(request: pytest.FixtureRequest, migrated: Path, tmp_path: Path) -> str:
    """The URL of a database without rows, of each kind in turn; empty for SQLite in the data directory."""
    if request.param == "sqlite":
        shutil.copy(migrated, tmp_path / "halftone.db")
        return ""
    server: str = request.getfixturevalue("postgres")
    return await new_database(server, template=TEMPLATE)


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """A migrated database of either kind."""
    opened = await open_database(database_url, tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
async def memory_bus() -> AsyncIterator[MemoryBus]:
    """A bus in memory."""
    bus = MemoryBus()
    yield bus
    await bus.close()


@pytest.fixture
async def site(memory_bus: MemoryBus, database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    """The whole api over HTTP, on either database."""
    async with running_api(memory_bus, tmp_path, database_url) as running:
        yield running
