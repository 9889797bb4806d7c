"""Fetching a feed now, and the records of polls."""

from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy import select

from services.api.problems import JSON
from services.api.routes_feeds import feed_row
from services.api.services import Api, ApiParts
from services.api.tables import polls
from services.api.wire import Record
from shared.errors import Reject

LONGEST_WAIT = 600.0  # seconds


Wait = Annotated[float, QueryParameter(ge=0, le=LONGEST_WAIT, description="Seconds to wait for the record.")]


class FetchRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which feed to poll now: by its address, or by its id where it is known."""

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=8_192, description="The feed's address.")] | None = None
    feed: Annotated[int, msgspec.Meta(ge=1, lt=2**31, description="The feed's id.")] | None = None
    wait: Annotated[
        float, msgspec.Meta(ge=0, le=LONGEST_WAIT, description="Seconds to wait for the record; 0: not at all.")
    ] = 0


class Accepted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The poll is on its way; its record will be at `record`."""

    request_id: str
    record: str


_RECORD = ResponseSpec(Record, description="The record.", generate_examples=False)
_ACCEPTED = ResponseSpec(Accepted, description="Not complete yet; the record will be there.", generate_examples=False)


@post("/api/fetches", status_code=200, responses={200: _RECORD, 202: _ACCEPTED})
async def fetch(data: JSONBody[FetchRequest], api: ApiParts) -> Response[bytes] | Response[Accepted]:
    """Poll a feed now and wait for its record; whoever asks while a poll is open gets that one."""
    if data.url is not None and data.feed is None:
        row = await api.feeds.get_or_add(data.url)
    elif data.feed is not None and data.url is None:
        row = await feed_row(api, data.feed)
    else:
        raise Reject("say which feed: either its 'url' or its 'feed', the id")
    request_id = await api.asking.ask(row)
    return await _record_or_accepted(api, request_id, data.wait)


@get("/api/records/{request_id:str}", responses={200: _RECORD, 202: _ACCEPTED})
async def read_record(request_id: FromPath[str], api: ApiParts, wait: Wait = 0) -> Response[bytes] | Response[Accepted]:
    """Return the record of a poll, waiting for it up to `wait` seconds."""
    async with api.database.read() as connection:
        known = (await connection.execute(select(polls.c.feed).where(polls.c.request_id == request_id))).first()
    if not known:
        raise NotFoundException("no poll has this requestId: POST /api/fetches gives one, a feed's records list them")
    return await _record_or_accepted(api, request_id, wait)


async def _record_or_accepted(api: Api, request_id: str, wait: float) -> Response[bytes] | Response[Accepted]:
    record = await api.waiters.record(request_id, wait)
    if record is not None:
        return Response(record, media_type=JSON, headers={"Cache-Control": "no-store"})
    location = f"/api/records/{request_id}"
    headers = {"Location": location, "Retry-After": "1"}
    return Response(Accepted(request_id=request_id, record=location), status_code=202, headers=headers)
