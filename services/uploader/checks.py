"""Checks an account from end to end: write a probe, read it back, see it in public, remove it."""

import asyncio
import os
import struct
import time

import httpx
import msgspec

from services.uploader.accounts import Account, Accounts
from services.uploader.names import content_hash, object_name
from services.uploader.stores.store import Store
from shared.errors import HalftoneError, Retry

PROBES_DAY = "1970/01/01"  # a day that no poll has: nobody takes a probe for an image
PUBLIC_URL = "public URL"  # the step that asks for it
LOOK_SECONDS = 1.0
_ONE_PIXEL = bytes.fromhex("56503820180000003001009d012a010001000cc0ce25a400037000feebae0000")


class Checked(msgspec.Struct, frozen=True):
    """How an account did."""

    account: str
    store: str  # local, s3, github
    failure: str  # one line: the step and what went wrong; empty: it is well
    seconds: float


async def check_accounts(accounts: Accounts, *, patience: float = 30.0) -> list[Checked]:
    """Check every account, all at once.

    Args:
        accounts: Which.
        patience: Seconds that the public URL may take to answer; CDNs can be minutes behind.
    """
    return list(await asyncio.gather(*(_check(account, patience) for account in accounts)))


async def _check(account: Account, patience: float) -> Checked:
    began = time.monotonic()
    failure = await _failure(account.store, patience)
    kind = str(account.settings.__struct_config__.tag)
    return Checked(account.name, kind, failure, time.monotonic() - began)


async def _failure(store: Store, patience: float) -> str:
    data = probe()
    name = object_name(content_hash(data), "image/webp", PROBES_DAY)
    step = "check"
    try:
        await store.check()
        step = "write"
        url = (await store.put(name, data, "image/webp")).url
        try:
            step = "read back"
            if await store.get(name) != data:
                raise Retry("other bytes came back")
            step = PUBLIC_URL
            await _seen(url, data, patience)
        finally:
            await store.delete(name)
        step = "remove"
        if await store.find(name):
            raise Retry("it is still there")
    except HalftoneError as error:
        return f"{step}: {error}"
    return ""


async def _seen(url: str, data: bytes, patience: float) -> None:
    deadline = time.monotonic() + patience
    async with httpx.AsyncClient(trust_env=False, timeout=10, follow_redirects=True) as client:
        while problem := await _problem(client, url, data):
            if time.monotonic() + LOOK_SECONDS > deadline:
                raise Retry(f"{url}: {problem}")
            await asyncio.sleep(LOOK_SECONDS)


async def _problem(client: httpx.AsyncClient, url: str, data: bytes) -> str:
    try:
        answer = await client.get(url)
    except httpx.HTTPError as error:
        return f"no answer ({type(error).__name__})"
    if answer.status_code != httpx.codes.OK.value:
        return f"HTTP {answer.status_code}"
    return "" if answer.content == data else "other bytes than were written"


def probe() -> bytes:
    """Return a WebP of one pixel that nobody had before (RIFF; a reader skips chunks that it does not know)."""
    unique = os.urandom(16)
    chunks = b"WEBP" + _ONE_PIXEL + b"PRBE" + struct.pack("<I", len(unique)) + unique
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks
