"""What holds after every run of the interleaver: the audit, the replay, and the money at both sides."""

from sqlalchemy import text

from commerce.domain.credit import ACCOUNT
from tests.commerce.crowded_desk import Desk
from tests.commerce.quick_checks import broken_rows, findings

_MONEY = text(
    "SELECT p.id, p.provider, coalesce((SELECT sum(e.amount) FROM payment_event AS e WHERE e.payment = p.id"
    " AND e.provider = p.provider AND e.kind = 'paid'), 0) AS paid, coalesce((SELECT sum(r.amount - r.stored)"
    " FROM refund AS r WHERE r.payment = p.id AND r.state <> 'failed'), 0) AS back FROM payment AS p"
)
_FAILED = text("SELECT id FROM refund WHERE state = 'failed'")


async def audited(desk: Desk) -> None:
    """The audit finds nothing."""
    broken = await desk.store.read(lambda db: broken_rows(db, desk.clock()))
    assert not broken, broken


async def clean(desk: Desk) -> None:
    """The audit finds nothing, and every balance can be rebuilt."""
    broken = await desk.store.read(lambda db: findings(db, desk.clock()))
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
