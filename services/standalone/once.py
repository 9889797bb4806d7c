"""`halftone fetch`: one poll on a system of its own, with the images' progress on stderr and the record on stdout."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, cast

import httpx
import msgspec

from services.standalone.progress import Progress, say_where
from services.standalone.system import Options, System, plain_client, running
from shared.errors import HalftoneError, Misconfigured
from shared.messages import Event, RecordCompleted, decode

SETTLE_SECONDS = 900.0  # the record's own deadline comes first
WAIT_SECONDS = 20.0  # that one request waits for the record
LAST_EVENTS_SECONDS = 1.0  # for the events on the way when the record is there


_UNFINISHED = """halftone: stopped before the record was complete. The next fetch tells only what is new since then;
`halftone up` on the same data directory completes this record, at /api/records/{}"""


class FetchFailed(HalftoneError):
    """The poll did not work."""


async def fetch(url: str, options: Options) -> bytes:
    """Return the record of one poll of `url`, a JSON object.

    Raises:
        FetchFailed: The poll did not work; the text says why.
        Misconfigured: The system cannot run.
    """
    async with running(options) as system:
        record = await ask(system, url)
    say_where(options.data, sys.stderr)
    return record


async def ask(system: System, url: str) -> bytes:
    """Ask a running system for a poll and return its record; see `fetch`.

    The events are for the progress alone, since some get lost when the broker dies: the record comes over HTTP.
    """
    async with _following(system) as events:
        request_id = await _start_poll(system, url)
        progress = Progress(request_id, sys.stderr)
        showing = asyncio.create_task(_show(progress, events, request_id))
        try:
            record = await _record(system, request_id)
        except asyncio.CancelledError:
            print(_UNFINISHED.format(request_id), file=sys.stderr)
            raise
        await asyncio.wait({showing}, timeout=LAST_EVENTS_SECONDS)
        showing.cancel()
    poll = msgspec.json.decode(record)
    if not poll["code"]:
        raise FetchFailed(progress.error or poll["extra4"]["statList"][0]["msg"])
    progress.done(articles=poll["record"]["newArticles"], images=poll["extra5"], mirrored=poll["extra6"])
    return record


@asynccontextmanager
async def _following(system: System) -> "AsyncGenerator[asyncio.Queue[Event]]":
    """Collect the system's events while the block runs."""
    events: asyncio.Queue[Event] = asyncio.Queue()

    async def follow() -> None:
        async for _, data in system.bus.follow("evt.>"):
            events.put_nowait(cast("Event", decode(data)))  # what else `evt.` never holds

    following = asyncio.create_task(follow())
    await asyncio.sleep(0)  # the subscription is on its way before any request is
    try:
        yield events
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def _show(progress: Progress, events: "asyncio.Queue[Event]", request_id: str) -> None:
    """Show events until the record is announced."""
    event = await events.get()
    while not (isinstance(event, RecordCompleted) and event.request_id == request_id):
        progress.see(event)
        event = await events.get()


async def _start_poll(system: System, url: str) -> str:
    answer = await _call(system, "POST", "/api/fetches", json={"url": url})
    return str(answer.json()["requestId"])


async def _record(system: System, request_id: str) -> bytes:
    """Return the poll's record once it is complete, however often the api dies meanwhile."""
    try:
        async with asyncio.timeout(SETTLE_SECONDS):
            while True:
                answer = await _call(system, "GET", f"/api/records/{request_id}", params={"wait": WAIT_SECONDS})
                if answer.status_code == HTTPStatus.OK:
                    return answer.content
    except TimeoutError:
        raise FetchFailed(f"no record after {SETTLE_SECONDS:.0f} s") from None


async def _call(system: System, method: str, path: str, **request: Any) -> httpx.Response:
    """Return the api's answer; one that is being restarted is waited for.

    Raises:
        FetchFailed: It refuses.
        Misconfigured: A service cannot go on.
    """
    while not system.supervisor.refusal:
        with suppress(httpx.TransportError):
            async with plain_client(system.url, timeout=2 * WAIT_SECONDS) as client:
                answer = await client.request(method, path, **request)
            if answer.is_success:
                return answer
            if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise FetchFailed(reason(answer.json()))
        await asyncio.sleep(0.2)
    raise Misconfigured(system.supervisor.refusal)


def reason(problem: Mapping[str, Any]) -> str:
    """Return what is wrong by the api's `application/problem+json`, field by field where it says so."""
    return "; ".join(problem.get("errors") or [str(problem["detail"])])
