"""Who hosted the room of an order, beside whom it credits: of those before this, who hosts the room now."""

from alembic import op

revision: str = "0080"
down_revision: str | None = "0038"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Write the rows."""
    op.execute(
        "INSERT INTO order_credit (order_id, model, link, issuer, role, channel)"
        " SELECT o.id, 'host', '', r.host_name, 'host', '' FROM orders AS o JOIN room AS r ON r.id = o.room"
        " WHERE r.host_name <> ''"
    )


def downgrade() -> None:
    """Take them away again, and those of clips."""
    op.execute("DELETE FROM order_credit WHERE model IN ('host', 'clip')")
