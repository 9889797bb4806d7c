"""The page: overview, feed, record, article, accounts, adding feeds."""

from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery, PathParameter, URLEncodedBody
from litestar.response import Redirect
from sqlalchemy import select

from services.api.doorkeeper import COOKIE
from services.api.facts import Facts
from services.api.page.rendering import page
from services.api.page.waterfall import lines, stretches
from services.api.reading import read_facts
from services.api.record import build
from services.api.requests import AnyRequest
from services.api.routes_articles import After, Words, article_lines, read_full
from services.api.routes_feeds import FeedView, feed_row, record_lines, view
from services.api.services import Api, ApiParts
from services.api.tables import feeds, polls
from services.api.wire import Record
from services.api.wording import wording
from shared.html import rewrite_images, sanitise
from shared.topology import ACCOUNTS

FEEDS_SHOWN = 200
RECORDS_SHOWN = 12
ROWS_SHOWN = 400  # of a record's images
MISSING = "/static/missing.svg"

FeedId = Annotated[int, PathParameter(ge=1, lt=2**31)]


@get("/", include_in_schema=False)
async def overview(api: ApiParts) -> Response[str]:
    """Show what there is and what goes on."""
    numbers = await api.counter.numbers()
    records = await record_lines(api, limit=RECORDS_SHOWN)
    shown = await _feeds(api)
    return page(
        "overview",
        numbers=numbers,
        records=records,
        feeds=shown,
        names={feed.id: feed.name or feed.url for feed in shown},
    )


@get("/feed/{feed_id:int}", include_in_schema=False)
async def feed_page(feed_id: FeedId, api: ApiParts) -> Response[str]:
    """Show one feed: its mirrored addresses, its history."""
    feed = view(api, await feed_row(api, feed_id))
    records = await record_lines(api, feed=feed_id, limit=30)
    articles = await article_lines(api, feed=feed_id, limit=24)
    return page("feed", feed=feed, records=records, articles=articles)


@get("/record/{request_id:str}", include_in_schema=False)
async def record_page(request_id: FromPath[str], api: ApiParts) -> Response[str]:
    """Show one record: its stages and each image on one time axis."""
    async with api.database.read() as connection:
        poll = (await connection.execute(select(polls).where(polls.c.request_id == request_id))).first()
        if poll is None:
            raise NotFoundException("no poll has this requestId")
        facts: Facts = await read_facts(connection, poll, now_ms=poll.started_ms)
    made = msgspec.json.decode(poll.record, type=Record) if poll.record else None
    so_far = made or build(facts, wording("en", "UTC"), deadline=api.settings.record_deadline)
    feed = view(api, await feed_row(api, poll.feed)) if await _exists(api, poll.feed) else None
    end_ms = poll.completed_ms or max([facts.poll.started_ms, *(each.settled_ms for each in facts.settled.values())])
    rows = lines(facts, [*so_far.mirrored, *so_far.failed], end_ms)
    return page(
        "record",
        poll=poll,
        feed=feed,
        record=made,
        articles=facts.articles,
        stages=stretches(facts, end_ms),
        rows=rows[:ROWS_SHOWN],
        more=max(0, len(rows) - ROWS_SHOWN),
        error=facts.poll.polled.error if facts.poll.polled else "",
    )


@get("/article/{link_md5:str}", include_in_schema=False)
async def article_page(link_md5: FromPath[str], api: ApiParts, source: FromQuery[bool] = False) -> Response[str]:
    """Show an article as a reader would, its images from the CDN or, to compare, from their source."""
    article, body, urls, failed = await read_full(api, link_md5)
    missing = dict.fromkeys(failed, MISSING)
    html = rewrite_images(body.body, missing if source else urls | missing) if body.body_type == "html" else ""
    feed = view(api, await feed_row(api, article.feed)) if await _exists(api, article.feed) else None
    return page(
        "article",
        article=article,
        feed=feed,
        html=sanitise(html),
        text="" if html else body.body,
        source=source,
        mirrored=len(urls),
        failed=len(failed),
    )


@get("/articles", include_in_schema=False)
async def articles_page(api: ApiParts, q: Words = None, after: After = None) -> Response[str]:
    """Show the newest articles, or those that hold the words."""
    found = await article_lines(api, query=q, before=after, limit=48)
    return page("articles", articles=found, query=q or "", next=found[-1].id if len(found) == 48 else None)  # noqa: PLR2004 - the limit above


@get("/accounts", include_in_schema=False)
async def accounts_page(api: ApiParts) -> Response[str]:
    """Show the storage accounts: what they hold and how they are."""
    bucket = api.bus.bucket(ACCOUNTS)
    accounts: list[dict[str, Any]] = []
    for name in sorted(await bucket.keys()):
        entry = await bucket.get(name)
        if entry:
            accounts.append({"name": name} | msgspec.json.decode(entry.value, type=dict[str, Any]))
    return page("accounts", accounts=accounts)


@get("/add", include_in_schema=False)
async def add_page() -> Response[str]:
    """Show the forms that add a feed, or many."""
    return page("add")


@get("/login", opt={"public": True}, include_in_schema=False)
async def login_page() -> Response[str]:
    """Ask for a token."""
    return page("login", wrong=False)


class Login(msgspec.Struct, frozen=True):
    """The token that was typed in."""

    token: str = ""


@post("/login", opt={"public": True}, include_in_schema=False)
async def login(data: URLEncodedBody[Login], request: AnyRequest, api: ApiParts) -> Response[Any]:
    """Keep the token in a cookie that no script and no other site can use."""
    if not await api.doorkeeper.token(data.token.strip()):
        return page("login", status=403, wrong=True)
    cookie = Cookie(
        key=COOKIE,
        value=data.token.strip(),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        max_age=30 * 86_400,
    )
    return Redirect("/", status_code=303, cookies=[cookie])


async def _feeds(api: Api) -> list[FeedView]:
    statement = select(feeds).order_by(feeds.c.subscribed.desc(), feeds.c.polled_ms.desc()).limit(FEEDS_SHOWN)
    async with api.database.read() as connection:
        return [view(api, row) for row in (await connection.execute(statement)).all()]


async def _exists(api: Api, feed: int) -> bool:
    async with api.database.read() as connection:
        return (await connection.execute(select(feeds.c.id).where(feeds.c.id == feed))).first() is not None
