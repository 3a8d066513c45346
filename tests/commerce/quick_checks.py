"""The audit and the replay of a shop that is nearly always right, at a quarter of their cost."""

from sqlalchemy import Connection, text

from commerce.audit_sql import _CHECKS, LEAK_GRACE_MS, Finding, _books, _recompute, audit_all
from commerce.ledger import PAYMENT_GRACE_MS
from commerce.replay_sql import REPLAYS, replay_one

_ANY_BROKEN = text(
    " UNION ALL ".join(f"SELECT 1 AS broken WHERE EXISTS (SELECT 1 FROM ({one.broken}) AS b)" for one in _CHECKS)
)


def broken_rows(db: Connection, now_ms: int) -> list[Finding]:
    """What the audit finds; its queries for broken rows are asked as one, as they nearly always find nothing."""
    due = {"leaked": now_ms - LEAK_GRACE_MS - PAYMENT_GRACE_MS, "now": now_ms}
    if db.execute(_ANY_BROKEN, due).first() is None:
        return [finding for finding in (_recompute(db), _books(db)) if not finding.ok]
    return [finding for finding in audit_all(db, now_ms) if not finding.ok]


def findings(db: Connection, now_ms: int) -> list[Finding]:
    """What audit and replay find."""
    return broken_rows(db, now_ms) + [one for one in (replay_one(db, replay) for replay in REPLAYS) if not one.ok]
