"""`halftone fetch`: one poll on a system of its own, with the images' progress on stderr and the record on stdout."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import httpx

from services.standalone.progress import Progress
from services.standalone.system import Options, System, running
from shared.errors import HalftoneError
from shared.messages import Event, RecordCompleted, decode

SETTLE_SECONDS = 900.0  # the record's own deadline comes first


class FetchFailed(HalftoneError):
    """The poll did not work."""


async def fetch(url: str, options: Options) -> bytes:
    """Return the record of one poll of `url`, a JSON object.

    Raises:
        FetchFailed: The poll did not work; the text says why.
        Misconfigured: The system cannot run.
    """
    async with running(options) as system:
        return await ask(system, url)


async def ask(system: System, url: str) -> bytes:
    """Ask a running system for a poll and return its record; see `fetch`."""
    async with aclosing(_events(system)) as events:
        first = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.05)  # the subscription is on its way before the poll is
        request_id = await _start_poll(system, url)
        progress = Progress(request_id, sys.stderr)
        event = await first
        async with asyncio.timeout(SETTLE_SECONDS):
            while not (isinstance(event, RecordCompleted) and event.request_id == request_id):
                progress.see(event)
                event = await anext(events)
        if not event.ok:
            raise FetchFailed(progress.error or "the poll failed")
        progress.done()
        return await _record(system, request_id)


async def _events(system: System) -> AsyncGenerator[Event]:
    async for _, data in system.bus.follow("evt.>"):
        yield cast("Event", decode(data))  # what else `evt.` never holds


async def _start_poll(system: System, url: str) -> str:
    async with _client(system) as client:
        answer = await client.post("/api/fetches", json={"url": url, "wait": 0})
    body = answer.json()
    if not answer.is_success:
        raise FetchFailed(str(body.get("detail") or body.get("title")))
    return str(body["requestId"])


async def _record(system: System, request_id: str) -> bytes:
    async with _client(system) as client:
        return (await client.get(f"/api/records/{request_id}")).raise_for_status().content


def _client(system: System) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=60)
