"""Fixtures of the api's tests: both databases, and the whole api on a bus in memory."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.api.database import Database, open_database
from shared.memory import MemoryBus
from tests.api.postgres import new_database, running_postgres
from tests.api.running import Site, running_api


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server's URL."""
    with running_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
async def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database, of each kind in turn; empty for SQLite in the data directory."""
    if request.param == "sqlite":
        return ""
    server: str = request.getfixturevalue("postgres")
    return await new_database(server)


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
