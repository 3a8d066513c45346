"""What holds after every run of the interleaver: the audit, the replay, and the money at both sides."""

from sqlalchemy import Connection, text

from commerce.audit_sql import _CHECKS, LEAK_GRACE_MS, Finding, _books, _recompute, audit_all
from commerce.domain.credit import ACCOUNT
from commerce.ledger import PAYMENT_GRACE_MS
from commerce.replay_sql import REPLAYS, replay_one
from tests.commerce.crowded_desk import Desk

_ANY_BROKEN = text(
    " UNION ALL ".join(f"SELECT 1 AS broken WHERE EXISTS (SELECT 1 FROM ({one.broken}) AS b)" for one in _CHECKS)
)
_MONEY = text(
    "SELECT p.id, p.provider, coalesce((SELECT sum(e.amount) FROM payment_event AS e WHERE e.payment = p.id"
    " AND e.provider = p.provider AND e.kind = 'paid'), 0) AS paid, coalesce((SELECT sum(r.amount - r.stored)"
    " FROM refund AS r WHERE r.payment = p.id AND r.state <> 'failed'), 0) AS back FROM payment AS p"
)
_FAILED = text("SELECT id FROM refund WHERE state = 'failed'")


def _broken(db: Connection, now_ms: int) -> list[Finding]:
    """What the audit finds; its queries for broken rows are asked as one, as they nearly always find nothing."""
    due = {"leaked": now_ms - LEAK_GRACE_MS - PAYMENT_GRACE_MS, "now": now_ms}
    if db.execute(_ANY_BROKEN, due).first() is None:
        return [finding for finding in (_recompute(db), _books(db)) if not finding.ok]
    return [finding for finding in audit_all(db, now_ms) if not finding.ok]


def _findings(db: Connection, now_ms: int) -> list[Finding]:
    return _broken(db, now_ms) + [one for one in (replay_one(db, replay) for replay in REPLAYS) if not one.ok]


async def audited(desk: Desk) -> None:
    """The audit finds nothing."""
    broken = await desk.store.read(lambda db: _broken(db, desk.clock()))
    assert not broken, broken


async def clean(desk: Desk) -> None:
    """The audit finds nothing, and every balance can be rebuilt."""
    broken = await desk.store.read(lambda db: _findings(db, desk.clock()))
    assert not broken, broken


async def money_agrees(desk: Desk) -> None:
    """What each provider took and gave back is what the shop says."""
    rows = await desk.store.read(lambda db: db.execute(_MONEY).all())
    # The provider was said to refuse these: what it knows of them says nothing.
    failed = set(await desk.store.read(lambda db: db.execute(_FAILED).scalars().all()))
    for row in rows:
        if row.provider == ACCOUNT:
            # Nobody outside knows of it: the audit compares each with its debt.
            continue
        known = desk.shop.payments.named(row.provider)._transactions.get(row.id)  # type: ignore[attr-defined]
        paid = known.request.amount if known is not None and known.state == "paid" else 0
        gone = {} if known is None else known.refunds
        back = sum(amount for refund, amount in gone.items() if refund not in failed)
        assert (row.paid, row.back) == (paid, back), f"{row.provider} has {paid} less {back} of {row}"
