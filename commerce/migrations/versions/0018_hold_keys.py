"""Request keys of holds move into the holds themselves, chained from the newest by person and sale."""

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | None = None
depends_on: str | None = None

# Ids begin with their time; those of one millisecond are put in some order, which is all that a chain needs.
_KEYS = (
    "UPDATE hold SET key = q.key, hash = q.hash FROM request AS q WHERE q.answer = hold.id AND q.person = hold.person"
    " AND q.route = 'hold/' || hold.sale"
)
_EARLIER = (
    "UPDATE hold SET earlier = c.earlier FROM (SELECT id,"
    " lag(id) OVER (PARTITION BY sale, person ORDER BY id) AS earlier FROM hold WHERE key IS NOT NULL) AS c"
    " WHERE c.id = hold.id AND c.earlier IS NOT NULL"
)
_LATEST = (
    "UPDATE quota SET latest = c.latest FROM (SELECT sale, person, max(id) AS latest FROM hold WHERE key IS NOT NULL"
    " GROUP BY sale, person) AS c WHERE c.sale = quota.scope AND c.person = quota.person"
)
_MOVED = (
    "DELETE FROM request WHERE route LIKE 'hold/%' AND EXISTS"
    " (SELECT 1 FROM hold AS h WHERE h.id = request.answer AND h.key = request.key)"
)
_BACK = (
    "INSERT INTO request (merchant, route, person, key, hash, answer, created_ms)"
    " SELECT merchant, 'hold/' || sale, person, key, hash, id, expires_ms FROM hold WHERE key IS NOT NULL"
)


def upgrade() -> None:
    """Add the columns and carry the keys over."""
    op.add_column("hold", sa.Column("key", sa.String(64), nullable=True))
    op.add_column("hold", sa.Column("hash", sa.String(64), nullable=True))
    op.add_column("hold", sa.Column("earlier", sa.String(64), nullable=True))
    op.add_column("quota", sa.Column("latest", sa.String(64), nullable=True))
    for statement in (_KEYS, _EARLIER, _LATEST, _MOVED):
        op.execute(statement)


def downgrade() -> None:
    """Carry the keys back."""
    op.execute(_BACK)
    op.drop_column("quota", "latest")
    for name in ("earlier", "hash", "key"):
        op.drop_column("hold", name)
