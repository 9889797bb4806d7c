"""Mirrored feeds over HTTP: for readers, by an unguessable address that needs no login."""

import asyncio
import hashlib
import re
from email.utils import formatdate, parsedate_to_datetime
from typing import Annotated, Any

from litestar import Response, get, route
from litestar.exceptions import NotAuthorizedException, NotFoundException
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect
from sqlalchemy import select

from services.api.feeds import FeedRow
from services.api.mirrored import TYPES, Entry, Feed, render
from services.api.mirrors import Kept
from services.api.requests import AnyRequest
from services.api.routes_articles import urls_of, with_bodies
from services.api.routes_feeds import mirror_urls, mirrored_opml, opml_file, subscribe_to
from services.api.services import Api, ApiParts
from services.api.tables import articles, feeds, images
from shared.urls import without_user

MOST_ENTRIES = 100
_LINE = [articles.c[name] for name in ("request_id", "link_md5", "created_ms", "updated_ms")]
_NAME = re.compile(r"/?([A-Za-z0-9_-]{1,64})\.(atom|rss|json)")


@route("/feeds/{name:path}", http_method=["GET", "HEAD"], opt={"public": True}, include_in_schema=False)
async def read_mirrored_feed(request: AnyRequest, name: FromPath[str], api: ApiParts) -> Response[bytes]:
    """Return a feed with its images from the CDN; by its token, or by its id where the api itself is open to you."""
    match = _NAME.fullmatch(name)
    row = await _feed_row(request, api, match[1]) if match else None
    if not match or row is None:
        raise no_such_mirror()
    kept = await api.mirrors.get((row.id, match[2]), api.tidings.count, lambda: rendered(api, row, match[2]))
    headers = {
        "ETag": kept.tag,
        "Last-Modified": formatdate(kept.updated_ms // 1000, usegmt=True),
        "Cache-Control": "private, max-age=300" if await api.doorkeeper.is_closed() else "public, max-age=300",
    }
    if _unchanged(request, kept.tag, kept.updated_ms):
        return Response(b"", status_code=304, headers=headers)
    headers["Content-Length"] = str(len(kept.data))
    body = b"" if request.method == "HEAD" else kept.data
    return Response(body, headers=headers, media_type=f"{TYPES[match[2]]}; charset=utf-8")


def no_such_mirror() -> NotFoundException:
    """Return what to say of a mirrored feed that is not there."""
    return NotFoundException("no mirrored feed is here: a feed's page and GET /api/feeds give its address")


@get("/mirrored.opml", include_in_schema=False)
async def read_mirrored_opml(api: ApiParts) -> Response[bytes]:
    """Return all mirrored feeds, to import into a reader at once."""
    return opml_file("mirrored.opml", await mirrored_opml(api))


@get("/mirror", opt={"scope": "write"}, include_in_schema=False)
async def mirror(url: Annotated[str, QueryParameter(min_length=1, max_length=8_192)], api: ApiParts) -> Redirect:
    """Subscribe to a feed and go to its mirrored one."""
    row, _ = await subscribe_to(api, url)
    return Redirect(mirror_urls(api, row)["atom"], status_code=303)


async def rendered(api: Api, row: FeedRow, form: str) -> Kept:
    """Render the mirrored feed, beside the loop: a hundred long articles take a while."""
    feed = await _feed(api, row, form)
    data = await asyncio.to_thread(render, feed, form)
    return Kept(data, f'"{hashlib.sha256(data).hexdigest()[:32]}"', feed.updated_ms)


async def _feed_row(request: AnyRequest, api: Api, name: str) -> FeedRow | None:
    async with api.database.read() as connection:
        row = (await connection.execute(select(feeds).where(feeds.c.token == name))).first()
        if row is None and name.isascii() and name.isdigit() and int(name) < 2**31:
            row = (await connection.execute(select(feeds).where(feeds.c.id == int(name)))).first()
            await _admit(request, api)
    return row


async def _admit(request: AnyRequest, api: Api) -> None:
    """Have only those know a feed by its number who may read the api.

    Raises:
        NotFoundException: The request has no token.
        HTTPException: It names another host, or asks too often; see `Doorkeeper.admit`.
    """
    try:
        await api.doorkeeper.admit(request, "read")
    except NotAuthorizedException:
        raise no_such_mirror() from None


async def _feed(api: Api, row: FeedRow, form: str) -> Feed:
    statement = (
        select(*_LINE)
        .where(articles.c.feed == row.id)
        .order_by(articles.c.published_ms.desc(), articles.c.id)
        .limit(MOST_ENTRIES)
    )
    async with api.database.read() as connection:
        rows = (await connection.execute(statement)).all()
        full = await with_bodies(connection, rows)
        icon = (await connection.execute(select(images.c.url).where(images.c.image == row.icon_image))).scalar()
        settled = await _settled(connection, [use.image for _, _, uses in full for use in uses])
    entries = [
        Entry(
            article=article,
            urls=urls_of(uses),
            created_ms=line.created_ms,
            updated_ms=line.updated_ms,
            cover=next((use.url for use in uses if use.role == "cover" and use.url), None),
        )
        for line, article, uses in full
    ]
    return Feed(
        title=row.name or row.title,
        description=row.description,
        link=row.link,
        source=without_user(row.url),
        self_url=mirror_urls(api, row)[form],
        icon=icon,
        updated_ms=max([row.created_ms, settled, *(entry.updated_ms for entry in entries)]),
        entries=entries,
    )


async def _settled(connection: Any, names: list[str]) -> int:
    """Return when the last of these images was settled, epoch ms."""
    statement = select(images.c.settled_at).where(images.c.image.in_(sorted(set(names))))
    times = [at for at in (await connection.execute(statement)).scalars() if at]
    return int(max(times) * 1000) if times else 0


def _unchanged(request: AnyRequest, tag: str, updated_ms: int) -> bool:
    """Evaluate the conditions of the request (RFC 9110, section 13.2.2)."""
    tags = request.headers.get("if-none-match")
    if tags is not None:
        return tag in tags or tags.strip() == "*"
    try:
        since = parsedate_to_datetime(request.headers.get("if-modified-since", "")).timestamp()
    except (ValueError, OverflowError):  # no date, or one that no clock shows
        return False
    return updated_ms // 1000 <= since
