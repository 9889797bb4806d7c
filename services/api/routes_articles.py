"""Articles: listed, searched, read with their images from the CDN."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, QueryParameter
from sqlalchemy import ColumnElement, Row, Table, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.facts import Use
from services.api.record import cdn_urls
from services.api.routes_feeds import After, Limit
from services.api.search import holding
from services.api.services import Api, ApiParts
from services.api.settling import FAILED
from services.api.tables import articles, image_uses, images, poll_articles
from shared.html import rewrite_images
from shared.messages import Article

EXCERPT = 280  # characters
_LINE: list[ColumnElement[Any]] = [column for column in articles.c if column.name != "words"]
_LINE.append(func.substr(articles.c.words, 1, EXCERPT).label("words"))  # all of them may be long
_AGE = (articles.c.published_ms, articles.c.id)
_article = msgspec.json.Decoder(Article)

FeedFilter = Annotated[int | None, QueryParameter(ge=1, lt=2**31, description="Only this feed's.")]
Words = Annotated[str | None, QueryParameter(max_length=500, description="Only those that hold all these words.")]


class ArticleLine(msgspec.Struct, frozen=True, kw_only=True):
    """One article in a list; times in epoch ms."""

    id: int
    feed: int
    link_md5: str
    title: str
    author: str
    link: str
    published_ms: int
    created_ms: int
    updated_ms: int
    excerpt: str
    cover: str | None  # the CDN's URL of its cover, else the source's


class ArticlePage(msgspec.Struct, frozen=True, kw_only=True):
    """Some articles, the newest first."""

    articles: list[ArticleLine]
    next: int | None


class ArticleView(msgspec.Struct, frozen=True, kw_only=True):
    """An article with its body."""

    article: ArticleLine
    body: str  # with its source image URLs
    mirrored_body: str  # with its images from the CDN
    body_type: str
    images: dict[str, str]  # source URL → CDN URL


@get("/api/articles")
async def list_articles(
    api: ApiParts, feed: FeedFilter = None, q: Words = None, after: After = None, limit: Limit = 50
) -> ArticlePage:
    """List articles, the newest first."""
    lines = await article_lines(api, feed=feed, query=q, before=after, limit=limit)
    return ArticlePage(articles=lines, next=lines[-1].id if len(lines) == limit else None)


@get("/api/articles/{link_md5:str}")
async def read_article(link_md5: FromPath[str], api: ApiParts, feed: FeedFilter = None) -> ArticleView:
    """Return an article by the MD5 of its link; where several feeds have it, the newest."""
    line, article, urls, _ = await read_full(api, link_md5, feed)
    return ArticleView(
        article=line,
        body=article.body,
        mirrored_body=rewrite_images(article.body, urls) if article.body_type == "html" else article.body,
        body_type=article.body_type,
        images=urls,
    )


async def read_full(
    api: Api, link_md5: str, feed: int | None = None
) -> tuple[ArticleLine, Article, dict[str, str], list[str]]:
    """Return an article's line and newest version, its CDN URLs by source, and the sources that failed."""
    statement = select(*_LINE).where(articles.c.link_md5 == link_md5).order_by(articles.c.seen_at.desc()).limit(1)
    if feed is not None:
        statement = statement.where(articles.c.feed == feed)
    async with api.database.read() as connection:
        row = (await connection.execute(statement)).first()
        full = await with_bodies(connection, [row]) if row else []
    if not full:
        raise NotFoundException("no article has this linkMd5: it is the MD5 hex of the article's link")
    row, article, uses = full[0]
    return _line(row, uses), article, urls_of(uses), [use.source for use in uses if use.state == FAILED]


async def article_lines(
    api: Api, *, limit: int, feed: int | None = None, query: str | None = None, before: int | None = None
) -> list[ArticleLine]:
    """Return the newest articles that fit, of those listed behind the one with the id `before`."""
    statement = select(*_LINE).order_by(*(column.desc() for column in _AGE)).limit(limit)
    if feed is not None:
        statement = statement.where(articles.c.feed == feed)
    async with api.database.read() as connection:
        if before is not None:
            last = (await connection.execute(select(*_AGE).where(articles.c.id == before))).first()
            if last is None:  # it has outlived the retention, and so have those before it
                return []
            statement = statement.where(tuple_(*_AGE) < tuple(last))
        if query and query.strip("\0 \t\n"):
            statement = statement.where(holding(connection, query))
        rows = (await connection.execute(statement)).all()
        uses = await uses_of(connection, rows)
    return [_line(row, uses.get((row.request_id, row.link_md5), [])) for row in rows]


async def with_bodies(
    connection: AsyncConnection, rows: Sequence[Row[Any]]
) -> list[tuple[Row[Any], Article, list[Row[Any]]]]:
    """Return each article's row with its newest version and that version's uses of images."""
    keys = [(row.request_id, row.link_md5) for row in rows]
    statement = select(poll_articles).where(_among(poll_articles, keys), poll_articles.c.article.is_not(None))
    bodies = {(row.request_id, row.link_md5): row.article for row in await connection.execute(statement)}
    uses = await uses_of(connection, rows)
    return [
        (row, _article.decode(bodies[key]), uses.get(key, []))
        for row, key in zip(rows, keys, strict=True)
        if key in bodies
    ]


async def uses_of(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> dict[tuple[str, str], list[Row[Any]]]:
    """Return the uses of images by articles, each with the image's state, CDN URL and sizes."""
    keys = [(row.request_id, row.link_md5) for row in rows]
    statement = (
        select(image_uses, images.c.url, images.c.state)
        .join(images, images.c.image == image_uses.c.image)
        .where(_among(image_uses, keys))
        .order_by(image_uses.c.position)
    )
    uses: dict[tuple[str, str], list[Row[Any]]] = {}
    for use in await connection.execute(statement):
        uses.setdefault((use.request_id, use.link_md5), []).append(use)
    return uses


def _among(table: Table, keys: Sequence[tuple[str, str]]) -> ColumnElement[bool]:
    """Return a condition that holds for the rows of these keys, and for few others, by the primary key's index.

    Pairs in an IN are beyond SQLite's indexes.
    """
    request_ids, link_md5s = sorted({key[0] for key in keys}), sorted({key[1] for key in keys})
    return table.c.request_id.in_(request_ids) & table.c.link_md5.in_(link_md5s)


def urls_of(uses: Iterable[Row[Any]]) -> dict[str, str]:
    """Return source URL → CDN URL of the mirrored ones, in the order of the body."""
    listed = list(uses)
    plain = [Use(link_md5=use.link_md5, image=use.image, source=use.source, role=use.role) for use in listed]
    return cdn_urls(plain, {use.image: use.url for use in listed if use.url})


def _line(row: Row[Any], uses: Sequence[Row[Any]]) -> ArticleLine:
    covers = [use.url or use.source for use in uses if use.role == "cover"]
    return ArticleLine(
        id=row.id,
        feed=row.feed,
        link_md5=row.link_md5,
        title=row.title,
        author=row.author,
        link=row.link,
        published_ms=row.published_ms,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
        excerpt=row.words,
        cover=covers[0] if covers else None,
    )
