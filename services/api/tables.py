"""The tables: what the api knows of feeds, polls, articles and images; the migrations make them so.

Times are epoch milliseconds (`…_ms`) or the broker's epoch seconds (`…_at`). Messages are kept as their own JSON.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    true,
)

metadata = MetaData()
Instant = Float(53)  # epoch seconds to the microsecond
Serial = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only INTEGER keys up by itself

feeds = Table(
    "feeds",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("url", Text, nullable=False),  # as asked for; the feed's own once a page has led to it
    Column("url_key", Text, nullable=False, unique=True),  # feed_token of what was asked for: one row per feed
    Column("own_key", Text),  # feed_token of the feed's own address, where a page has led to it
    Column("token", Text, nullable=False, unique=True),  # in the paths of its mirrored feeds: unguessable
    Column("subscribed", Boolean, nullable=False, server_default=false()),
    Column("paused", Boolean, nullable=False, server_default=false()),
    Column("interval_s", Integer),
    Column("user_agent", Text),
    Column("headers", Text, nullable=False, server_default="{}"),  # JSON object
    Column("proxy", Text),
    Column("name", Text, nullable=False, server_default=""),  # the subscriber's own name for it
    Column("folder", Text, nullable=False, server_default=""),  # its OPML folders, joined by "/"
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    # what the last poll said
    Column("polled_ms", BigInteger),
    Column("ok", Boolean),
    Column("error", Text, nullable=False, server_default=""),
    Column("http_status", Integer),
    Column("next_ms", BigInteger),
    # what the feed said of itself when it was last read
    Column("title", Text, nullable=False, server_default=""),
    Column("description", Text, nullable=False, server_default=""),
    Column("link", Text, nullable=False, server_default=""),
    Column("website", Text),  # the page that led to the feed
    Column("weekly", Integer),
    Column("icon", Text),
    Column("icon_image", Text),  # its image id
)

Index("feeds_by_own_key", feeds.c.own_key)

polls = Table(
    "polls",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("feed", Integer, nullable=False),
    Column("asked", Boolean, nullable=False, server_default=false()),
    Column("started_ms", BigInteger, nullable=False),  # asked for, or begun
    Column("due_ms", BigInteger),  # when FeedDue was last published for it; None: nobody asked
    Column("open", Boolean, nullable=False, server_default=true()),  # FeedPolled may still come
    Column("polled", LargeBinary),  # the FeedPolled
    Column("waiting", Boolean, nullable=False, server_default=true()),  # for the record to be completed
    Column("deadline_ms", BigInteger, nullable=False),
    Column("record", LargeBinary),  # the record's JSON
    Column("digest", Text),  # of `record`
    Column("ok", Boolean),
    Column("articles", Integer),  # new ones
    Column("mirrored", Integer),  # unique images
    Column("failed", Integer),
    Column("bytes", BigInteger),  # of the renditions
    Column("total_ms", BigInteger),
    Column("completed_ms", BigInteger),
    Column("updated_ms", BigInteger),
    Column("announced", Boolean, nullable=False, server_default=true()),  # RecordCompleted is published
)
Index("polls_by_feed", polls.c.feed, polls.c.started_ms)
Index("polls_started", polls.c.started_ms)
Index(
    "polls_open",
    polls.c.feed,
    unique=True,
    sqlite_where=polls.c.open & polls.c.asked,
    postgresql_where=polls.c.open & polls.c.asked,
)
Index("polls_waiting", polls.c.deadline_ms, sqlite_where=polls.c.waiting, postgresql_where=polls.c.waiting)
Index("polls_unannounced", polls.c.request_id, sqlite_where=~polls.c.announced, postgresql_where=~polls.c.announced)

poll_articles = Table(
    "poll_articles",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("link_md5", Text, primary_key=True),
    Column("feed", Integer, nullable=False),
    Column("position", Integer, nullable=False, server_default="0"),
    Column("found", Boolean, nullable=False),  # new; False: changed
    Column("article", LargeBinary),  # this version of it; None: not arrived yet
)
Index(
    "poll_articles_missing",
    poll_articles.c.request_id,
    sqlite_where=poll_articles.c.article.is_(None),
    postgresql_where=poll_articles.c.article.is_(None),
)

articles = Table(
    "articles",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("feed", Integer, nullable=False),
    Column("link_md5", Text, nullable=False),
    Column("request_id", Text, nullable=False),  # the poll that has its newest version
    Column("seen_at", Instant, nullable=False),  # when the broker took that version
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("published_ms", BigInteger, nullable=False),  # as the feed says, else created
    Column("title", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("link", Text, nullable=False),
    Column("words", Text, nullable=False),  # the body without its tags: for search
    UniqueConstraint("feed", "link_md5"),
)
Index("articles_by_link", articles.c.link_md5)
Index("articles_by_age", articles.c.published_ms, articles.c.id)
Index("articles_by_feed_and_age", articles.c.feed, articles.c.published_ms, articles.c.id)

images = Table(
    "images",
    metadata,
    Column("image", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="wanted"),  # wanted, mirrored or failed
    Column("settled_at", Instant),  # when the broker took `message`
    Column("message", LargeBinary),  # the ImageMirrored or ImageFailed
    Column("url", Text),  # the CDN's
    Column("source_bytes", BigInteger),
    Column("rendition_bytes", BigInteger),
)
Index(
    "images_failed", images.c.host, sqlite_where=images.c.state == "failed", postgresql_where=images.c.state == "failed"
)

image_uses = Table(
    "image_uses",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("link_md5", Text, primary_key=True),  # empty: the feed's icon
    Column("position", Integer, primary_key=True),  # in the article's images
    Column("image", Text, nullable=False),
    Column("source", Text, nullable=False),  # the URL as the body has it
    Column("role", Text, nullable=False),
    Column("since", Instant, nullable=False),  # epoch seconds: failures before it do not count for this use
    Column("settled", Boolean, nullable=False),
    Column("overdue", Boolean, nullable=False, server_default=false()),  # settled by the deadline
)
Index("image_uses_by_image", image_uses.c.image)
Index(
    "image_uses_unsettled",
    image_uses.c.request_id,
    sqlite_where=~image_uses.c.settled,
    postgresql_where=~image_uses.c.settled,
)

touched = Table(
    "touched",  # polls whose record may have to be built (again)
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),  # random: tells one touch from the next
    Column("touched_ms", BigInteger, nullable=False),
)

events = Table(
    "events",  # what subscribers over HTTP are told, in the order of its commits
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("sequence", BigInteger, nullable=False),  # of the event's message in its stream
    Column("subject", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),  # JSON
    UniqueConstraint("sequence", "at_ms"),  # a stream that was made anew counts from 1 again
    sqlite_autoincrement=True,  # an id is never given twice
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),  # SHA-256 hex
    Column("scope", Text, nullable=False),  # read, write or admin
    Column("created_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger),
    sqlite_autoincrement=True,
)
