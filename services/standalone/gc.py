"""`halftone gc`: objects that no record refers to any more, in every account; removed where it is told to."""

import asyncio
import re
from pathlib import Path

from rich.filesize import decimal
from sqlalchemy import select

from services.api.database import Database, open_database
from services.api.settings import ApiSettings
from services.api.tables import images, polls
from services.standalone.accounts import Unwell, uploader_beside
from services.standalone.administration import administration
from services.uploader.housekeeping import Collected, collect_garbage
from services.uploader.names import EXTENSIONS
from shared.bus import KeyValue
from shared.errors import Misconfigured
from shared.messages import ImageMirrored, decode
from shared.settings import load
from shared.topology import IMAGES

DAY = 86_400.0
AT_ONCE = 64  # keys that are being read

# How each object's URL ends, in whatever a record says about it.
_OBJECT = re.compile(rf"[0-9a-f]{{32}}\.(?:{'|'.join(sorted(set(EXTENSIONS.values())))})\b".encode())


async def collect(data: Path, *, retention_days: float, delete: bool) -> None:
    """Print what nothing refers to, and remove it where `delete` says so.

    Referred to is what a record names, what an image of an article leads to, and what is remembered as mirrored.

    Args:
        data: The data directory; the database is there unless `HALFTONE_DATABASE_URL` says otherwise.
        retention_days: How long an object is kept after its bytes were last uploaded, whatever refers to it.
        delete: Remove; otherwise only tell.

    Raises:
        Misconfigured: No broker answers, the database or the accounts cannot be used, or all would be removed.
        Unwell: Some account could not be gone through.
    """
    referenced = await _in_database(data)
    async with administration(data) as bus:
        referenced |= await _remembered(bus.bucket(IMAGES))
    dry = not delete or not referenced
    async with uploader_beside(data) as uploader:
        collected = await collect_garbage(uploader, referenced, retention=retention_days * DAY, dry_run=dry)
    if delete and dry and any(account.garbage for account in collected):
        raise Misconfigured("nothing refers to any object: all would go. Is this the right database and broker?")
    _tell(collected, delete=delete)


async def _in_database(data: Path) -> set[str]:
    """Return how the URLs end that the api's database holds."""
    url = load(ApiSettings).database_url
    if not url and not (data / "halftone.db").exists():
        raise Misconfigured(f"no database in {data}: see HALFTONE_DATA and HALFTONE_DATABASE_URL")
    database = await open_database(url, data)
    try:
        return await _named(database)
    finally:
        await database.close()


async def _named(database: Database) -> set[str]:
    named: set[str] = set()
    async with database.read() as connection:
        for column in (images.c.url, polls.c.record):  # a record may name what its image led to before
            async for (value,) in await connection.stream(select(column).where(column.is_not(None))):
                named |= _objects(value.encode() if isinstance(value, str) else value)
    return named


async def _remembered(bucket: KeyValue) -> set[str]:
    """Return how the URLs end that images would be given without being mirrored again."""
    keys = await bucket.keys()
    remembered: set[str] = set()
    for start in range(0, len(keys), AT_ONCE):
        entries = await asyncio.gather(*(bucket.get(key) for key in keys[start : start + AT_ONCE]))
        for settled in (decode(entry.value) for entry in entries if entry):
            remembered |= _objects(settled.url.encode()) if isinstance(settled, ImageMirrored) else set()
    return remembered


def _objects(text: bytes) -> set[str]:
    return {match.decode() for match in _OBJECT.findall(text)}


def _tell(collected: list[Collected], *, delete: bool) -> None:
    for account in collected:
        for name in account.garbage:
            print(f"{'removed' if delete else 'would remove'} {account.account}/{name}")
    for account in collected:
        print(_line(account))
    if not delete:
        print("dry run: nothing was removed; --delete removes")
    failed = sum(bool(account.failure) for account in collected)
    if failed:
        raise Unwell(f"{failed} of {len(collected)} storage accounts could not be gone through")


def _line(account: Collected) -> str:
    failure = f"; FAILED: {account.failure}" if account.failure else ""
    garbage = f"{len(account.garbage)} ({decimal(account.garbage_bytes)}) that nothing refers to"
    return f"{account.account}: {account.objects} objects ({decimal(account.bytes)}), {garbage}{failure}"
