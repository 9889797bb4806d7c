"""API tokens: `ht_<id>_<secret>`, only the secret's hash is kept."""

import hashlib
import hmac
import re
import secrets
import time

import msgspec
from sqlalchemy import exists, select, update

from services.api.database import Database
from services.api.tables import tokens
from shared.errors import Reject

SCOPES = ("read", "write", "admin")  # each holds those before it
_TOKEN = re.compile(r"ht_(\d{1,9})_([A-Za-z0-9_-]{43})")


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token without its secret; times in epoch ms."""

    id: int
    name: str
    scope: str
    created_ms: int
    revoked_ms: int | None


async def new_token(database: Database, name: str, scope: str) -> str:
    """Return a new token, which nobody can read again.

    Raises:
        Reject: There is no such scope.
    """
    if scope not in SCOPES:
        raise Reject(f"{scope!r} is no scope: say one of {', '.join(SCOPES)}")
    secret = secrets.token_urlsafe(32)
    values = {"name": name, "hash": _hash(secret), "scope": scope, "created_ms": int(time.time() * 1000)}
    async with database.write() as connection:
        made = await connection.execute(tokens.insert().values(values).returning(tokens.c.id))
        return f"ht_{made.scalar_one()}_{secret}"


async def list_tokens(database: Database) -> list[Token]:
    """Return all tokens, the revoked ones too."""
    columns = [tokens.c[name] for name in Token.__struct_fields__]
    async with database.read() as connection:
        rows = await connection.execute(select(*columns).order_by(tokens.c.id))
        return [Token(**row) for row in rows.mappings()]


async def revoke_token(database: Database, token_id: int) -> bool:
    """Take the token's rights; False where there is none of that id."""
    statement = update(tokens).where(tokens.c.id == token_id, tokens.c.revoked_ms.is_(None))
    async with database.write() as connection:
        revoked = await connection.execute(statement.values(revoked_ms=int(time.time() * 1000)))
        return bool(revoked.rowcount)


async def any_token(database: Database) -> bool:
    """Tell whether there is a token that is not revoked."""
    async with database.read() as connection:
        return bool((await connection.execute(select(exists().where(tokens.c.revoked_ms.is_(None))))).scalar())


async def ever_a_token(database: Database) -> bool:
    """Tell whether there is a token, or was one."""
    async with database.read() as connection:
        return bool((await connection.execute(select(exists().select_from(tokens)))).scalar())


async def check_token(database: Database, token: str) -> Token | None:
    """Return the token where it is one of ours and not revoked; compares in constant time."""
    match = _TOKEN.fullmatch(token)
    if not match:
        return None
    async with database.read() as connection:
        row = (await connection.execute(select(tokens).where(tokens.c.id == int(match[1])))).first()
    if row is None or row.revoked_ms is not None or not hmac.compare_digest(row.hash, _hash(match[2])):
        return None
    return Token(id=row.id, name=row.name, scope=row.scope, created_ms=row.created_ms, revoked_ms=None)


def allows(scope: str, wanted: str) -> bool:
    """Tell whether a token's scope holds the wanted one."""
    return SCOPES.index(scope) >= SCOPES.index(wanted)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
