"""Products have a category, lines of orders keep it, and the trail of manual changes tells of words too."""

import sqlalchemy as sa
from alembic import op

revision: str = "0110"
down_revision: str | None = "0108b"
branch_labels: str | None = None
depends_on: str | None = None

_FIGURES = "'price', 'list_price', 'offer', 'stock', 'cost'"
_KEPT = "manual changes are kept as they were written"


def upgrade() -> None:
    """Add the columns: goods and orders that are there have no category."""
    op.add_column("product", sa.Column("category", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.add_column("order_line", sa.Column("category", sa.String(40), nullable=False, server_default=sa.text("''")))
    for name in ("before_text", "after_text"):
        op.add_column("manual_change", sa.Column(name, sa.String(40), nullable=False, server_default=sa.text("''")))
    _check(f"what IN ({_FIGURES}, 'category')")
    _keep()


def _check(what: str) -> None:
    """Say what the trail may tell of. SQLite copies the table for that, and its triggers stay behind."""
    anew = op.get_bind().dialect.name == "sqlite"
    with op.batch_alter_table("manual_change", recreate="always" if anew else "never") as trail:
        trail.drop_constraint(op.f("ck_manual_change_what"), type_="check")
        trail.create_check_constraint(op.f("ck_manual_change_what"), what)


def _keep() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER manual_change_kept_{verb.lower()} BEFORE {verb} ON manual_change"
                f" BEGIN SELECT RAISE(ABORT, '{_KEPT}'); END"
            )
