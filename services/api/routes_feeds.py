"""Feeds: listed, subscribed to, changed, dropped; OPML in and out; the records of each."""

import re
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.exceptions import NotFoundException
from litestar.params import JSONBody, PathParameter, QueryParameter
from sqlalchemy import ColumnElement, case, func, select

from services.api import opml
from services.api.feeds import FeedRow
from services.api.services import Api, ApiParts
from services.api.tables import feeds, polls
from shared.errors import Reject
from shared.urls import resolve, without_user

Limit = Annotated[int, QueryParameter(ge=1, le=500, description="How many at the most.")]
After = Annotated[int | None, QueryParameter(ge=0, lt=2**62, description="`next` of the page before.")]
AfterFeed = Annotated[int | None, QueryParameter(ge=0, lt=2**31, description="`next` of the page before.")]
FeedId = Annotated[int, PathParameter(ge=1, lt=2**31)]

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,4000}")
_USER = re.compile(r"//[^/?#]*@")
_PROXY = re.compile(r"https?://[^/?#]+/?")
_FORBIDDEN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection"})
LARGEST_OPML = 8 * 1024 * 1024  # bytes: as many feeds as one import takes
TextField = Annotated[str, msgspec.Meta(max_length=opml.LONGEST_NAME)]


class Subscribe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A feed to subscribe to."""

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=8_192)]
    name: TextField = ""
    folder: TextField = ""


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a feed; what is left out stays."""

    paused: bool | msgspec.UnsetType = msgspec.UNSET
    subscribed: bool | msgspec.UnsetType = msgspec.UNSET
    name: TextField | msgspec.UnsetType = msgspec.UNSET
    folder: TextField | msgspec.UnsetType = msgspec.UNSET
    interval_s: Annotated[int, msgspec.Meta(ge=60, le=2_592_000)] | msgspec.UnsetType | None = msgspec.UNSET
    user_agent: TextField | msgspec.UnsetType | None = msgspec.UNSET
    proxy: TextField | msgspec.UnsetType | None = msgspec.UNSET
    headers: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class FeedView(msgspec.Struct, frozen=True, kw_only=True):
    """A feed; times in epoch ms."""

    id: int
    url: str
    name: str  # the subscriber's own, else the feed's title
    title: str
    description: str
    link: str
    folder: str
    subscribed: bool
    paused: bool
    interval_s: int | None
    user_agent: str | None
    proxy: str | None  # with *** for its password
    header_names: list[str]  # their values are secrets
    icon: str | None
    weekly: int | None
    polled_ms: int | None
    ok: bool | None
    error: str
    http_status: int | None
    next_ms: int | None
    mirrored: dict[str, str]  # format → URL of the mirrored feed
    request_id: str | None = None  # of the poll that this very request asked for


class FeedPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some feeds, by id."""

    feeds: list[FeedView]
    next: int | None


class RecordLine(msgspec.Struct, frozen=True, kw_only=True):
    """One record in a list; times in epoch ms."""

    request_id: str
    feed: int
    asked: bool
    started_ms: int
    completed_ms: int | None  # None: not complete yet
    ok: bool | None
    articles: int | None
    mirrored: int | None
    failed: int | None
    bytes: int | None
    total_ms: int | None
    error: str = ""  # why the poll failed


class _Outcome(msgspec.Struct, frozen=True):
    """Of a stored `FeedPolled`, what a list shows."""

    error: str = ""


_outcome = msgspec.json.Decoder(_Outcome)


class RecordPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some records, the newest first."""

    records: list[RecordLine]
    next: int | None


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did."""

    subscribed: int
    refused: list[str]  # a line for each that is no usable URL


@get("/api/feeds")
async def list_feeds(api: ApiParts, after: AfterFeed = None, limit: Limit = 100) -> FeedPage:
    """List the feeds, by id."""
    async with api.database.read() as connection:
        statement = select(feeds).where(feeds.c.id > (after or 0)).order_by(feeds.c.id).limit(limit)
        rows = (await connection.execute(statement)).all()
    return FeedPage(feeds=[view(api, row) for row in rows], next=rows[-1].id if len(rows) == limit else None)


@post("/api/feeds")
async def subscribe(data: JSONBody[Subscribe], api: ApiParts) -> FeedView:
    """Subscribe to a feed: polled now, then on its schedule."""
    _check_names({"name": data.name, "folder": data.folder})
    row, request_id = await subscribe_to(api, data.url, name=data.name, folder=data.folder)
    return msgspec.structs.replace(view(api, row), request_id=request_id)


@get("/api/feeds/{feed_id:int}")
async def read_feed(feed_id: FeedId, api: ApiParts) -> FeedView:
    """Return one feed."""
    return view(api, await feed_row(api, feed_id))


@patch("/api/feeds/{feed_id:int}")
async def change_feed(feed_id: FeedId, data: JSONBody[Change], api: ApiParts) -> FeedView:
    """Change a feed: pause it, its interval, name, folder, headers."""
    values: dict[str, Any] = {
        name: value for name, value in msgspec.structs.asdict(data).items() if value is not msgspec.UNSET
    }
    _check_names(values)
    if "headers" in values:
        values["headers"] = msgspec.json.encode(_checked(values["headers"])).decode()
    if not _HEADER_VALUE.fullmatch(values.get("user_agent") or ""):
        raise Reject("'user_agent' has a character that no header may carry: use those of printable ASCII")
    if values.get("proxy") is not None:
        values["proxy"] = _proxy(values["proxy"])
    return view(api, await changed(api, feed_id, **values))


@delete("/api/feeds/{feed_id:int}")
async def unsubscribe(feed_id: FeedId, api: ApiParts) -> None:
    """Unsubscribe from a feed; its articles and records stay as long as the retention says."""
    await changed(api, feed_id, subscribed=False)


@get("/api/feeds/{feed_id:int}/records")
async def list_records(feed_id: FeedId, api: ApiParts, after: After = None, limit: Limit = 50) -> RecordPage:
    """List a feed's records, the newest first."""
    await feed_row(api, feed_id)
    lines = await record_lines(api, feed=feed_id, before_ms=after, limit=limit)
    return RecordPage(records=lines, next=lines[-1].started_ms if len(lines) == limit else None)


@post("/api/feeds/import", status_code=200, request_max_body_size=LARGEST_OPML)
async def import_opml(request: Request[Any, Any, Any], api: ApiParts) -> Imported:
    """Subscribe to all feeds of an OPML 2.0 file, sent as the request's body."""
    return await subscribe_all(api, opml.parse(await request.body()))


@get("/api/feeds/export", media_type="text/x-opml", opt={"scope": "write"})
async def export_opml(api: ApiParts) -> Response[bytes]:
    """Return the subscriptions as an OPML 2.0 file, users and passwords in their URLs included."""
    return opml_file("halftone.opml", opml.render("Halftone", [_subscription(row, row.url) for row in await _all(api)]))


def opml_file(name: str, data: bytes) -> Response[bytes]:
    """Return the file as a download."""
    return Response(data, media_type="text/x-opml", headers={"Content-Disposition": f'attachment; filename="{name}"'})


async def mirrored_opml(api: Api) -> bytes:
    """Return the mirrored feeds as an OPML 2.0 file."""
    outlines = [
        msgspec.structs.replace(_subscription(row, without_user(row.url)), url=mirror_urls(api, row)["atom"])
        for row in await _all(api)
    ]
    return opml.render("Halftone: mirrored feeds", outlines)


async def subscribe_to(
    api: Api, url: str, *, name: str | ColumnElement[str] = "", folder: str | ColumnElement[str] = ""
) -> tuple[FeedRow, str]:
    """Subscribe to the feed at `url` and have it polled now; return it with the poll's requestId."""
    named = {
        key: value for key, value in {"name": name, "folder": folder}.items() if not isinstance(value, str) or value
    }
    row = await api.feeds.get_or_add(url, subscribed=True, paused=False, **named)
    return row, await api.asking.ask(row)


async def subscribe_all(api: Api, subscriptions: list[opml.Subscription]) -> Imported:
    """Subscribe to all of them; those with an unusable URL are named, and what has a name or folder keeps it."""
    refused: list[str] = []
    for each in subscriptions:
        try:
            await subscribe_to(
                api,
                each.url,
                name=_unless_set(feeds.c.name, each.title),
                folder=_unless_set(feeds.c.folder, each.folder),
            )
        except Reject as error:
            refused.append(str(error))
    return Imported(subscribed=len(subscriptions) - len(refused), refused=refused)


async def changed(api: Api, feed_id: int, **values: object) -> FeedRow:
    """Change the feed, and its schedule where that follows."""
    row = await api.feeds.change(feed_id, **values)
    if row is None:
        raise no_such_feed()
    if row.paused or not row.subscribed:
        await api.bus.unschedule(row.id)
    elif "paused" in values or "subscribed" in values or "interval_s" in values:
        await api.asking.ask(row)
    return row


async def feed_row(api: Api, feed_id: int) -> FeedRow:
    """Return the feed's row."""
    async with api.database.read() as connection:
        row = (await connection.execute(select(feeds).where(feeds.c.id == feed_id))).first()
    if row is None:
        raise no_such_feed()
    return row


def no_such_feed() -> NotFoundException:
    """Return what to say of a feed that is not there."""
    return NotFoundException("no feed has this id: GET /api/feeds lists them")


async def record_lines(
    api: Api, *, limit: int, feed: int | None = None, before_ms: int | None = None
) -> list[RecordLine]:
    """Return the newest records, of one feed or of all."""
    columns: list[ColumnElement[Any]] = [polls.c[name] for name in RecordLine.__struct_fields__ if name != "error"]
    columns.append(case((~polls.c.ok, polls.c.polled)).label("polled"))
    statement = select(*columns).order_by(polls.c.started_ms.desc()).limit(limit)
    if feed is not None:
        statement = statement.where(polls.c.feed == feed)
    if before_ms is not None:
        statement = statement.where(polls.c.started_ms < before_ms)
    async with api.database.read() as connection:
        return [_record_line(**row) for row in (await connection.execute(statement)).mappings()]


def _record_line(polled: bytes | None, **columns: Any) -> RecordLine:
    return RecordLine(**columns, error=_outcome.decode(polled).error if polled else "")


async def count_feeds(api: Api) -> int:
    """Return how many feeds are subscribed to."""
    async with api.database.read() as connection:
        statement = select(func.count()).select_from(feeds).where(feeds.c.subscribed)
        return int((await connection.execute(statement)).scalar() or 0)


def view(api: Api, row: FeedRow) -> FeedView:
    """Return the feed as the api shows it."""
    values: dict[str, Any] = {name: getattr(row, name) for name in FeedView.__struct_fields__ if hasattr(row, name)}
    headers = msgspec.json.decode(row.headers, type=dict[str, str])
    values |= {"name": row.name or row.title, "header_names": sorted(headers), "mirrored": mirror_urls(api, row)}
    values["url"] = without_user(row.url)
    if row.paused or not row.subscribed:
        values["next_ms"] = None
    values["proxy"] = row.proxy and _USER.sub("//***@", row.proxy)
    return FeedView(**values)


def mirror_urls(api: Api, row: FeedRow) -> dict[str, str]:
    """Return the addresses of the mirrored feed, by format; they need no login."""
    return {form: f"{api.settings.url}/feeds/{row.token}.{form}" for form in ("atom", "rss", "json")}


async def _all(api: Api) -> list[FeedRow]:
    async with api.database.read() as connection:
        statement = select(feeds).where(feeds.c.subscribed).order_by(feeds.c.folder, feeds.c.id)
        return list((await connection.execute(statement)).all())


def _subscription(row: FeedRow, url: str) -> opml.Subscription:
    return opml.Subscription(url=url, title=row.name or row.title or url, site=row.link, folder=row.folder)


def _unless_set(column: ColumnElement[str], value: str) -> ColumnElement[str]:
    return case((column == "", value), else_=column)


def _check_names(values: dict[str, Any]) -> None:
    for field in ("name", "folder"):
        if opml.CONTROL.search(values.get(field, "")):
            raise Reject(f"{field!r} has a control character, which no list of feeds could hold: leave it out")


def _proxy(address: str) -> str:
    """Return the address as the fetcher takes it; an error repeats none of it, for it may hold a password."""
    url = resolve(address) if address.lower().startswith(("http://", "https://")) else None
    if url is None or not _PROXY.fullmatch(url):
        raise Reject("'proxy' is no address of a proxy: give one such as http://user:password@proxy.example:3128")
    if "//***@" in url:
        raise Reject("'proxy' has *** for user and password, which is how it is shown: give them or leave it out")
    return url


def _checked(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or name.lower() in _FORBIDDEN_HEADERS or not _HEADER_VALUE.fullmatch(value):
            raise Reject(f"{name[:100]!r} with this value is no header that a request may carry")
    return headers
