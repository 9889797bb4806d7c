"""List articles by when they were published."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replace the index."""
    op.create_index("articles_by_age", "articles", ["published_ms", "id"], unique=False)
    op.create_index("articles_by_feed_and_age", "articles", ["feed", "published_ms", "id"], unique=False)
    op.drop_index("articles_by_feed", "articles")
