"""`halftone tokens`: who may use the API, in the database of the data directory or of HALFTONE_DATABASE_URL."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from services.api import tokens
from services.api.database import Database, open_database
from services.api.settings import ApiSettings
from shared.errors import HalftoneError, Misconfigured
from shared.settings import load

_NOBODY = "no token has rights any longer: nobody is let in until `halftone tokens new` makes one"


class NoSuchToken(HalftoneError):
    """There is no token with rights of that number."""


async def new_token(data: Path, name: str, scope: str | None) -> None:
    """Print a new token alone on stdout, so that a script can take it, and on stderr what it may."""
    async with _database(data, new=True) as database:
        scope = scope or ("read" if await tokens.any_token(database) else "admin")
        print(await tokens.new_token(database, name, scope))
    print(f"it may {scope}: send `Authorization: Bearer <token>`, or log in with it on the page", file=sys.stderr)


async def list_tokens(data: Path) -> None:
    """Print a line per token, oldest first."""
    async with _database(data) as database:
        known = await tokens.list_tokens(database)
    for token in known:
        revoked = f"revoked {_day(token.revoked_ms)}" if token.revoked_ms else ""
        name = "".join(letter for letter in token.name if letter.isprintable())  # a terminal would obey the others
        print(f"{token.id:>4}  {token.scope:<5}  made {_day(token.created_ms)}  {name}  {revoked}".rstrip())
    if not known:
        print("no tokens: everybody on this machine is let in, and nobody else")
    elif all(token.revoked_ms for token in known):
        print(_NOBODY)


async def revoke_token(data: Path, number: int) -> None:
    """Take a token's rights.

    Raises:
        NoSuchToken: There is none, or it has none any longer.
    """
    async with _database(data) as database:
        if not await tokens.revoke_token(database, number):
            raise NoSuchToken(f"no token with rights has the number {number}: `halftone tokens list` shows them")
        last = not await tokens.any_token(database)
    print(f"revoked token {number}")
    if last:
        print(_NOBODY, file=sys.stderr)


@asynccontextmanager
async def _database(data: Path, *, new: bool = False) -> AsyncGenerator[Database]:
    url = load(ApiSettings).database_url
    if not (new or url):
        _check_there(data)
    database = await open_database(url, data)
    try:
        yield database
    finally:
        await database.close()


def _check_there(data: Path) -> None:
    if not data.is_dir():
        raise Misconfigured(f"there is no data directory {data}: name that of `halftone up` with --data")


def _day(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d}"
