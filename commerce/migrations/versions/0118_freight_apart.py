"""Freight earns no points and no tier from now on; receipts of tills count for a node of the organisation."""

import sqlalchemy as sa
from alembic import op

revision: str = "0118"
down_revision: str | None = "0116"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Add the columns. What earlier orders earned stays; earlier receipts count for where they were sold."""
    op.add_column("order_freight", sa.Column("counts", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE order_freight SET counts = true")
    op.add_column("pos_receipt", sa.Column("node", sa.String(64), nullable=False, server_default=sa.text("''")))
    op.execute(
        "UPDATE pos_receipt SET node = coalesce((SELECT m.node FROM org_member AS m WHERE m.staff = pos_receipt.seller"
        " AND m.merchant = pos_receipt.merchant AND m.left_ms IS NULL),"
        " (SELECT x.node FROM outlet AS x WHERE x.id = pos_receipt.outlet), '')"
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_column("pos_receipt", "node")
    op.drop_column("order_freight", "counts")
