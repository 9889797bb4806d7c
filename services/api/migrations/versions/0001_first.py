"""Make the first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# An external-content table, kept current as sqlite.org/fts5.html (section 4.4.3) says.
SQLITE_SEARCH = (
    """CREATE VIRTUAL TABLE article_words USING fts5(
        title, author, words, content=articles, content_rowid=id, tokenize="unicode61 remove_diacritics 2")""",
    """CREATE TRIGGER article_words_insert AFTER INSERT ON articles BEGIN
        INSERT INTO article_words(rowid, title, author, words) VALUES (new.id, new.title, new.author, new.words);
    END""",
    """CREATE TRIGGER article_words_delete AFTER DELETE ON articles BEGIN
        INSERT INTO article_words(article_words, rowid, title, author, words)
        VALUES ('delete', old.id, old.title, old.author, old.words);
    END""",
    """CREATE TRIGGER article_words_update AFTER UPDATE ON articles BEGIN
        INSERT INTO article_words(article_words, rowid, title, author, words)
        VALUES ('delete', old.id, old.title, old.author, old.words);
        INSERT INTO article_words(rowid, title, author, words) VALUES (new.id, new.title, new.author, new.words);
    END""",
)
POSTGRESQL_SEARCH = (
    """ALTER TABLE articles ADD COLUMN search tsvector
        GENERATED ALWAYS AS (to_tsvector('simple', title || ' ' || author || ' ' || words)) STORED""",
    "CREATE INDEX article_words ON articles USING gin (search)",
)


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "articles",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("feed", sa.Integer(), nullable=False),
        sa.Column("link_md5", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.Float(53), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("published_ms", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("feed", "link_md5"),
    )
    op.create_index("articles_by_feed", "articles", ["feed", "id"], unique=False)
    op.create_index("articles_by_link", "articles", ["link_md5"], unique=False)
    op.create_table(
        "events",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sequence", "at_ms"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "feeds",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("url_key", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("subscribed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("paused", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("interval_s", sa.Integer(), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("headers", sa.Text(), server_default="{}", nullable=False),
        sa.Column("proxy", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("folder", sa.Text(), server_default="", nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("polled_ms", sa.BigInteger(), nullable=True),
        sa.Column("ok", sa.Boolean(), nullable=True),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("next_ms", sa.BigInteger(), nullable=True),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("link", sa.Text(), server_default="", nullable=False),
        sa.Column("website", sa.Text(), nullable=True),
        sa.Column("weekly", sa.Integer(), nullable=True),
        sa.Column("icon", sa.Text(), nullable=True),
        sa.Column("icon_image", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token"),
        sa.UniqueConstraint("url_key"),
    )
    op.create_table(
        "image_uses",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("link_md5", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("since", sa.Float(53), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("overdue", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", "link_md5", "position"),
    )
    op.create_index("image_uses_by_image", "image_uses", ["image"], unique=False)
    op.create_index(
        "image_uses_unsettled",
        "image_uses",
        ["request_id"],
        unique=False,
        sqlite_where=sa.text("settled = 0"),
        postgresql_where=sa.text("NOT settled"),
    )
    op.create_table(
        "images",
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="wanted", nullable=False),
        sa.Column("settled_at", sa.Float(53), nullable=True),
        sa.Column("message", sa.LargeBinary(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("source_bytes", sa.BigInteger(), nullable=True),
        sa.Column("rendition_bytes", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("image"),
    )
    op.create_index(
        "images_failed",
        "images",
        ["host"],
        unique=False,
        sqlite_where=sa.text("state = 'failed'"),
        postgresql_where=sa.text("state = 'failed'"),
    )
    op.create_table(
        "poll_articles",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("link_md5", sa.Text(), nullable=False),
        sa.Column("feed", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("found", sa.Boolean(), nullable=False),
        sa.Column("article", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("request_id", "link_md5"),
    )
    op.create_index(
        "poll_articles_missing",
        "poll_articles",
        ["request_id"],
        unique=False,
        sqlite_where=sa.text("article IS NULL"),
        postgresql_where=sa.text("article IS NULL"),
    )
    op.create_table(
        "polls",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("feed", sa.Integer(), nullable=False),
        sa.Column("asked", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("open", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("polled", sa.LargeBinary(), nullable=True),
        sa.Column("waiting", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("deadline_ms", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("ok", sa.Boolean(), nullable=True),
        sa.Column("articles", sa.Integer(), nullable=True),
        sa.Column("mirrored", sa.Integer(), nullable=True),
        sa.Column("failed", sa.Integer(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("total_ms", sa.BigInteger(), nullable=True),
        sa.Column("completed_ms", sa.BigInteger(), nullable=True),
        sa.Column("updated_ms", sa.BigInteger(), nullable=True),
        sa.Column("announced", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.PrimaryKeyConstraint("request_id"),
    )
    op.create_index("polls_by_feed", "polls", ["feed", "started_ms"], unique=False)
    op.create_index(
        "polls_open",
        "polls",
        ["feed"],
        unique=True,
        sqlite_where=sa.text("open = 1 AND asked = 1"),
        postgresql_where=sa.text("open AND asked"),
    )
    op.create_index("polls_started", "polls", ["started_ms"], unique=False)
    op.create_index(
        "polls_unannounced",
        "polls",
        ["request_id"],
        unique=False,
        sqlite_where=sa.text("announced = 0"),
        postgresql_where=sa.text("NOT announced"),
    )
    op.create_index(
        "polls_waiting",
        "polls",
        ["deadline_ms"],
        unique=False,
        sqlite_where=sa.text("waiting = 1"),
        postgresql_where=sa.text("waiting"),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "touched",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("touched_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("request_id"),
    )
    dialect = op.get_bind().dialect.name
    for statement in POSTGRESQL_SEARCH if dialect == "postgresql" else SQLITE_SEARCH:
        op.execute(statement)
