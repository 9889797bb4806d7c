"""Know a feed that a page led to by its own address, too."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("feeds", sa.Column("own_key", sa.Text(), nullable=True))
    op.create_index("feeds_by_own_key", "feeds", ["own_key"], unique=False)
