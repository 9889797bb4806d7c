"""Events as they happen, over server-sent events (WHATWG HTML, section 9.2); a client that was cut off resumes."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated

from litestar import Request, get
from litestar.datastructures import State
from litestar.exceptions import ServiceUnavailableException
from litestar.params import QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage
from sqlalchemy import func, select

from services.api.services import Api, ApiParts
from services.api.tables import events
from shared.errors import Reject

LOOK_SECONDS = 1.0  # how often to look for what another replica has written
REST_SECONDS = 0.1  # between looks: a burst costs few queries
SIGN_OF_LIFE_SECONDS = 15.0
LARGEST_ID = 2**62
LONGEST_ID = 19  # digits

Subjects = Annotated[list[str] | None, QueryParameter(name="subject", description="Only these, e.g. evt.record.*")]
Since = Annotated[int | None, QueryParameter(ge=0, lt=LARGEST_ID, description="Only events with a higher id.")]


@get("/api/events", media_type="text/event-stream")
async def follow_events(
    request: Request[None, None, State], api: ApiParts, subjects: Subjects = None, after: Since = None
) -> ServerSentEvent:
    """Follow events; `Last-Event-ID` (or `after`) resumes behind that one, without: from now on.

    An id that this database never gave out resumes at its first event.
    """
    if api.following.full:
        raise ServiceUnavailableException("as many as can be served follow the events already: try again later")
    newest = await _newest(api)
    start = _last_event_id(request.headers.get("last-event-id")) if after is None else after
    if start is None:
        start = newest
    elif start > newest:  # another database gave it out: whoever has it has seen nothing of this one
        start = 0
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return ServerSentEvent(_follow(request, api, start, subjects or []), headers=headers)


async def _follow(
    request: Request[None, None, State], api: Api, position: int, patterns: list[str]
) -> AsyncGenerator[ServerSentEventMessage]:
    with api.following.place():
        yield ServerSentEventMessage(data=None, comment="ok", retry=2_000)
        silent = 0.0
        while not api.tidings.over and await _may_go_on(request, api):
            rows = await api.following.after(position)
            for row in rows:
                if not patterns or any(takes(pattern, row.subject) for pattern in patterns):
                    yield ServerSentEventMessage(id=str(row.id), event=row.subject, data=row.data.decode())
            if rows:
                position, silent = rows[-1].id, 0.0
                await asyncio.sleep(REST_SECONDS)
                continue
            await api.tidings.wait(_until_next_look())
            silent += LOOK_SECONDS
            if silent >= SIGN_OF_LIFE_SECONDS:
                silent = 0.0
                yield ServerSentEventMessage(data=None, comment="still here")


async def _may_go_on(request: Request[None, None, State], api: Api) -> bool:
    """Tell whether the follower's token has its rights still; who leaves meanwhile breaks no connection off."""
    return await api.following.unbroken(api.doorkeeper.still_lets_in(request))


def _until_next_look() -> float:
    """Return the seconds until the time at which all look."""
    return LOOK_SECONDS - asyncio.get_running_loop().time() % LOOK_SECONDS


def takes(pattern: str, subject: str) -> bool:
    """Tell whether a subject pattern takes the subject: `*` stands for one token, a last `>` for all that follow."""
    wanted, tokens = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, tokens = wanted[:-1], tokens[: len(wanted) - 1] if len(tokens) >= len(wanted) else []
    return len(wanted) == len(tokens) and all(name in {"*", token} for name, token in zip(wanted, tokens, strict=True))


async def _newest(api: Api) -> int:
    async with api.database.read() as connection:
        return int((await connection.execute(select(func.max(events.c.id)))).scalar() or 0)


def _last_event_id(header: str | None) -> int | None:
    if not header:
        return None
    if not header.isascii() or not header.isdigit() or len(header) > LONGEST_ID or int(header) >= LARGEST_ID:
        raise Reject("Last-Event-ID is none of ours: send back the `id` of the last event that you saw")
    return int(header)
