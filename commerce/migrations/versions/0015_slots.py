"""Bookable slots: a SKU may be a time, sold until it begins."""

from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Add the column."""
    op.execute("ALTER TABLE sku ADD COLUMN slot_ms BIGINT")
