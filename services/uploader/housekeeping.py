"""Removes objects that nothing refers to any more, and counts what is really in each account."""

import time
from collections.abc import Iterable

import msgspec

from services.uploader.accounts import Account
from services.uploader.names import hash_in
from services.uploader.stores.store import StoredObject
from services.uploader.uploader import Uploader
from shared.errors import HalftoneError

HASH_DIGITS = 32


class Collected(msgspec.Struct, frozen=True):
    """What was found in one account."""

    account: str
    objects: int = 0  # all that were there
    bytes: int = 0
    garbage: tuple[str, ...] = ()  # names that nothing refers to; removed unless it was a dry run
    garbage_bytes: int = 0
    failure: str = ""  # why the account could not be gone through; what was done before stays done


async def collect_garbage(
    uploader: Uploader, referenced: Iterable[str], *, retention: float, dry_run: bool = True
) -> list[Collected]:
    """Remove from every account the objects that no URL in `referenced` leads to.

    Args:
        uploader: Its accounts and what it knows of them; other replicas may go on uploading.
        referenced: The CDN URLs of all records, and of all images that are remembered as mirrored.
        retention: Seconds that an object is kept after its bytes were last uploaded.
        dry_run: Only tell.
    """
    wanted = {content for url in referenced if (content := _content(url))}
    before = time.time() - retention
    return [await _collect(uploader, account, wanted, before, dry_run=dry_run) for account in uploader.accounts]


async def _collect(
    uploader: Uploader, account: Account, wanted: set[str], before: float, *, dry_run: bool
) -> Collected:
    found: list[StoredObject] = []
    garbage: list[StoredObject] = []
    failure = ""
    try:
        found = [each async for each in account.store.list()]
        for each in found:
            unwanted = each.modified < before and await _is_garbage(uploader, account, each, wanted)
            if unwanted and (dry_run or await _removed(uploader, account, each, before)):
                garbage.append(each)
        if not dry_run:
            await _count(uploader, account, found, garbage)
    except HalftoneError as error:
        failure = str(error)
    return Collected(
        account=account.name,
        objects=len(found),
        bytes=_bytes(found),
        garbage=tuple(each.name for each in garbage),
        garbage_bytes=_bytes(garbage),
        failure=failure,
    )


async def _is_garbage(uploader: Uploader, account: Account, found: StoredObject, wanted: set[str]) -> bool:
    content = hash_in(found.name)
    if content not in wanted:
        return True
    # A second copy, left where an account stored the bytes and failed to say so.
    known = await uploader.renditions.stored(content)
    return known is not None and (known.account, known.name) != (account.name, found.name)


async def _removed(uploader: Uploader, account: Account, found: StoredObject, before: float) -> bool:
    removing = uploader.renditions.removing(hash_in(found.name), account.name, found.name, unused_since=before)
    async with removing as allowed:
        if allowed:
            await account.store.delete(found.name)
    return allowed


async def _count(uploader: Uploader, account: Account, found: list[StoredObject], garbage: list[StoredObject]) -> None:
    """Put right what the uploaders added up: one that was killed did not write its last second down."""
    objects, size = len(found) - len(garbage), _bytes(found) - _bytes(garbage)
    await uploader.healths.change(
        account.name, lambda health: msgspec.structs.replace(health, objects=objects, bytes=size)
    )


def _bytes(found: list[StoredObject]) -> int:
    return sum(each.bytes for each in found)


def _content(url: str) -> str:
    """Return the content hash that a CDN URL ends with, "" for a URL of others."""
    file = url.rpartition("/")[2].partition(".")[0]
    return file if len(file) == HASH_DIGITS else ""
