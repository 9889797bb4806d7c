"""Full-text search over articles: FTS5 on SQLite, tsvector on PostgreSQL; all words must be there."""

from sqlalchemy import ColumnElement, text
from sqlalchemy.ext.asyncio import AsyncConnection


def holding(connection: AsyncConnection, query: str) -> ColumnElement[bool]:
    """Return the condition that an article holds every word of the query."""
    words = query.replace("\0", " ").split()
    if connection.dialect.name == "postgresql":
        clause = "articles.search @@ plainto_tsquery('simple', :words)"
        return text(clause).bindparams(words=" ".join(words))  # pyright: ignore[reportReturnType] - a text clause stands where a condition does
    quoted = " ".join('"' + word.replace('"', '""') + '"' for word in words)
    # With the plus, SQLite walks the index by age and stops at the limit, instead of looking up whatever matches.
    clause = "+articles.id IN (SELECT rowid FROM article_words WHERE article_words MATCH :words)"
    return text(clause).bindparams(words=quoted)  # pyright: ignore[reportReturnType] - as above
