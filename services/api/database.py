"""The database: SQLite by default, PostgreSQL where the URL says so; brought up to date when it is opened."""

import asyncio
import fcntl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Table, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.errors import Misconfigured

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0003"  # the newest migration
MIGRATION_LOCK = 4_838_331  # names our advisory lock among others of the same PostgreSQL database
CHUNK = 10_000  # values in one IN: both databases take some 32,000

Rows = Sequence[Mapping[str, Any]]


class Database:
    """Two pools: one that reads, one that writes (on SQLite a single connection: it has one writer at a time)."""

    def __init__(self, readers: AsyncEngine, writers: AsyncEngine) -> None:
        self._readers = readers
        self._writers = writers

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """Give a connection that reads, within one transaction."""
        async with self._readers.begin() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """Give a connection that may write; what it wrote is there once the block ends without an exception."""
        async with self._writers.begin() as connection:
            yield connection

    async def close(self) -> None:
        """Close all connections."""
        await self._readers.dispose()
        await self._writers.dispose()


async def open_database(url: str, data: Path) -> Database:
    """Open the database and migrate it, one process at a time.

    Args:
        url: SQLAlchemy's URL of it; empty: `halftone.db` in `data`.
        data: The data directory.

    Raises:
        Misconfigured: It cannot be reached, written or migrated.
    """
    try:
        if url:
            return await _migrated(_postgres(url) if url.startswith("postgresql") else _sqlite(url))
        async with _alone(data):
            await asyncio.to_thread(_keep_private, data / "halftone.db")
            return await _migrated(_sqlite(f"sqlite+aiosqlite:///{data / 'halftone.db'}"))
    except (OSError, SQLAlchemyError) as error:
        shown = url.rpartition("@")[2] or data / "halftone.db"
        raise Misconfigured(
            f"cannot use the database {shown}: {error.__cause__ or error}; see HALFTONE_DATA and HALFTONE_DATABASE_URL"
        ) from error


def _sqlite(url: str) -> Database:
    readers = create_async_engine(url, pool_size=4, max_overflow=4)
    writers = create_async_engine(url, pool_size=1, max_overflow=0, pool_timeout=60)
    for engine, begin in ((readers, "BEGIN"), (writers, "BEGIN IMMEDIATE")):
        event.listen(engine.sync_engine, "connect", _configure_sqlite)
        event.listen(engine.sync_engine, "begin", partial(_begin, begin))
    return Database(readers, writers)


def _begin(statement: str, connection: Connection) -> None:
    connection.exec_driver_sql(statement)


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are ours to begin
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "cache_size=-65536"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _postgres(url: str) -> Database:
    engine = create_async_engine(url, pool_size=8, max_overflow=8, pool_pre_ping=True)
    return Database(engine, engine)


@asynccontextmanager
async def _alone(data: Path) -> AsyncGenerator[None]:
    """Keep other processes from the data directory's database while the block runs."""
    await asyncio.to_thread(data.mkdir, parents=True, exist_ok=True)
    with (data / "halftone.lock").open("w") as file:
        await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)
        yield


def _keep_private(file: Path) -> None:
    """Have nobody else on this machine read it: it holds feeds' passwords. What SQLite puts beside it is like it."""
    file.touch(mode=0o600)
    file.chmod(0o600)


async def _migrated(database: Database) -> Database:
    if await is_current(database):
        return database
    async with database.write() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        await connection.run_sync(_upgrade)
    return database


async def is_current(database: Database) -> bool:
    """Tell whether there is nothing to migrate: one read, and Alembic need not be loaded."""
    try:
        async with database.read() as connection:
            versions = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalars().all()
    except DBAPIError:  # a new database has no such table; one that cannot be had says so again
        return False
    return versions == [HEAD]


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - 0.3 s of CPU that most starts do without
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def insert(connection: AsyncConnection, table: Table) -> sqlite.Insert:
    """Return the dialect's INSERT, which knows what to do on a conflict; PostgreSQL's has the same methods."""
    if connection.dialect.name == "postgresql":
        return cast("sqlite.Insert", postgresql.insert(table))
    return sqlite.insert(table)


async def add(connection: AsyncConnection, table: Table, rows: Rows) -> None:
    """Insert the rows that are not there yet, in the order of their keys, so that writers cannot deadlock."""
    if rows:
        await connection.execute(insert(connection, table).on_conflict_do_nothing(), in_key_order(table, rows))


def in_key_order(table: Table, rows: Rows) -> list[Mapping[str, Any]]:
    """Return the rows sorted by the table's primary key, or by its first unique columns where that is a serial."""
    keys = [column.name for column in table.primary_key.columns]
    return sorted(rows, key=lambda row: tuple(str(row.get(key)) for key in keys))
