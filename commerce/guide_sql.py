"""A guide's own coupons: given to one customer each, out of the guide's budget, inside the ledger's transaction."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, text

from commerce.accounts_sql import balance
from commerce.drops_sql import start_drop
from commerce.errors import CommerceError, Refused
from commerce.ledger import Claim, CouponGranted, StartDrop
from commerce.ledger_batch_sql import Batch
from commerce.ledger_hot_sql import run_claims
from commerce.ledger_members import GiveCoupon

WAY = "guide"
"""How such coupons come; no room offers them."""
ROUTE = "guide_coupon"
MOMENT_MS = 1_000
"""What the coupon comes from is over when it is given; a drop has to last a while."""

_COUPON = text("SELECT id, title, amount, threshold, expires_ms, percent FROM coupon WHERE id = :id")
_CLOSE = text("UPDATE drop_ SET closed_ms = :now WHERE id = :id")
_GIVEN = text(
    "SELECT c.id, c.person, p.name, c.title, c.amount, c.threshold, c.state, c.reason, c.expires_ms, c.created_ms,"
    " c.order_id FROM drop_ AS d JOIN coupon AS c ON c.drop_id = d.id LEFT JOIN person AS p ON p.id = c.person"
    " WHERE d.merchant = :merchant AND d.issuer = :issuer AND c.id < :before ORDER BY c.id DESC LIMIT :limit"
)


def give_coupon(batch: Batch, command: GiveCoupon) -> CouponGranted:
    """Give one customer a coupon, once a key. Raises Conflict, Refused (insufficient: the budget; not_for_you)."""
    stored = batch.replay(command.merchant, command.issuer, ROUTE, command.key, command.hash)
    if stored is not None:
        row = batch.one(_COUPON, id=stored)
        assert row is not None, stored
        return CouponGranted(row.id, row.title, row.amount, row.threshold, row.expires_ms, row.percent)
    free = balance(batch.connection, command.merchant, command.issuer, "budget")
    if free < command.amount:
        raise Refused("insufficient", "the budget has not that much left", left=free)
    drop = start_drop(
        batch,
        StartDrop(
            command.merchant,
            command.room,
            command.title,
            command.reason,
            command.amount,
            command.threshold,
            total=1,
            per_person=1,
            length_ms=MOMENT_MS,
            valid_ms=command.valid_ms,
            issuer=command.issuer,
            way=WAY,
        ),
    )
    claim = Claim(command.merchant, command.room, command.person, drop.drop, command.key, "", WAY)
    [granted] = run_claims(batch, [claim])
    if isinstance(granted, CommerceError):
        raise granted
    assert isinstance(granted, CouponGranted)
    batch.run(_CLOSE, id=drop.drop, now=batch.now_ms)
    batch.remember(command.merchant, command.issuer, ROUTE, command.key, command.hash, granted.coupon)
    return granted


def given(db: Connection, merchant: str, issuer: str, before: str, limit: int) -> list[dict[str, Any]]:
    """Coupons out of an issuer's budget, newest first."""
    asked = {"merchant": merchant, "issuer": issuer, "before": before, "limit": limit}
    return [dict(row) for row in db.execute(_GIVEN, asked).mappings()]


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {GiveCoupon: give_coupon}
