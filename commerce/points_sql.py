"""Points inside the ledger's transaction: lots that come, wait, are spent oldest first, go back, and expire.

Each function moves lots and accounts together, so that the sum of the lots is the account at every commit.
"""

from typing import Any

from sqlalchemy import Row, text

from commerce.accounts_sql import balance, move
from commerce.domain.accounts import SHOP, Leg
from commerce.domain.day import DAY_MS
from commerce.domain.member import RETURNED_DAYS_MIN, kept
from commerce.errors import Refused
from commerce.freight_sql import earning_of
from commerce.ledger_batch_sql import Batch

_INSERT = text(
    "INSERT INTO points_lot (id, merchant, person, granted, left_units, state, ready_ms, expires_ms, why, ref,"
    " created_ms) VALUES (:id, :merchant, :person, :points, :points, :state, :ready_ms, :expires_ms, :why, :ref, :now)"
)
_READY = text(
    "SELECT * FROM points_lot WHERE merchant = :merchant AND person = :person AND state = 'ready'"
    " AND left_units > 0 AND expires_ms > :now ORDER BY expires_ms, id"
)
_TAKE = text("UPDATE points_lot SET left_units = left_units - :units WHERE id = :id AND left_units >= :units")
_USE = text("INSERT INTO points_use (order_id, lot, units) VALUES (:order, :lot, :units)")
_USED = text(
    "SELECT u.lot, u.units, l.expires_ms FROM points_use AS u JOIN points_lot AS l ON l.id = u.lot"
    " WHERE u.order_id = :order ORDER BY u.lot"
)
# A lot that ended meanwhile is ready again, and ends with the next sweep.
_PUT_BACK = text("UPDATE points_lot SET left_units = left_units + :units, state = 'ready' WHERE id = :id")
_UNUSE = text("DELETE FROM points_use WHERE order_id = :order")
_OF_ORDER = text(
    "SELECT * FROM points_lot WHERE ref = :order AND merchant = :merchant AND why IN ('order', 'gift') ORDER BY id"
)
_DONE = text("UPDATE points_lot SET ready_ms = :ready_ms WHERE ref = :order AND state = 'pending' AND ready_ms IS NULL")
_PENDING_DUE = text(
    "SELECT * FROM points_lot AS l WHERE state = 'pending' AND ready_ms <= :now"
    # What nobody has paid for earns nobody anything: not yet, and not what was given up of it.
    " AND NOT EXISTS (SELECT 1 FROM receivable AS d WHERE d.order_id = l.ref AND (d.closed_ms IS NULL OR d.lost > 0))"
    " ORDER BY ready_ms, id LIMIT :limit"
)
_MAKE_READY = text("UPDATE points_lot SET state = 'ready', expires_ms = :expires_ms WHERE id = :id")
_EXPIRED = text(
    "SELECT * FROM points_lot WHERE state = 'ready' AND expires_ms <= :now ORDER BY expires_ms, id LIMIT :limit"
)
_END = text("UPDATE points_lot SET state = 'ended', left_units = 0 WHERE id = :id")


def grant(
    batch: Batch, merchant: str, person: str, points: int, why: str, ref: str, *, expires_ms: int | None = None
) -> None:
    """Give points: ready until ``expires_ms``; without it pending until ``order_done`` says when they are ready."""
    if points <= 0:
        return
    kind = "points_pending" if expires_ms is None else "points"
    move(batch, merchant, why, ref, [Leg(SHOP, "points_issued", -points), Leg(person, kind, points)])
    lot = batch.mint()
    batch.run(
        _INSERT,
        id=lot,
        merchant=merchant,
        person=person,
        points=points,
        state="pending" if expires_ms is None else "ready",
        ready_ms=None if expires_ms is None else batch.now_ms,
        expires_ms=expires_ms,
        why=why,
        ref=ref,
        now=batch.now_ms,
    )
    if expires_ms is not None:
        _repay(batch, merchant, person, lot, points)


def _repay(batch: Batch, merchant: str, person: str, lot: str, points: int) -> None:
    """What is owed after a refund is paid first, out of what becomes ready."""
    paid = min(points, -balance(batch.connection, merchant, person, "points_owed"))
    if paid > 0:
        batch.run(_TAKE, id=lot, units=paid)
        move(batch, merchant, "repaid", lot, [Leg(person, "points", -paid), Leg(person, "points_owed", paid)])


def hold(batch: Batch, merchant: str, person: str, points: int, order: str) -> None:
    """Set points aside for a pending order, those first that expire first. Raises Refused (insufficient)."""
    if points <= 0:
        return
    for lot, units in _oldest(batch, merchant, person, points):
        batch.run(_TAKE, id=lot, units=units)
        batch.run(_USE, order=order, lot=lot, units=units)
    move(batch, merchant, "held", order, [Leg(person, "points", -points), Leg(person, "points_held", points)])


def _oldest(batch: Batch, merchant: str, person: str, points: int) -> list[tuple[str, int]]:
    taken = []
    for row in batch.run(_READY, merchant=merchant, person=person, now=batch.now_ms).all():
        units = min(points, row.left_units)
        taken.append((row.id, units))
        points -= units
        if not points:
            return taken
    raise Refused("insufficient", "there are not that many points", kind="points")


def release(batch: Batch, merchant: str, person: str, points: int, order: str) -> None:
    """Give the points of an order that ended unpaid back to the lots that they came from."""
    if points <= 0:
        return
    for row in batch.run(_USED, order=order).all():
        batch.run(_PUT_BACK, id=row.lot, units=row.units)
    batch.run(_UNUSE, order=order)
    move(batch, merchant, "released", order, [Leg(person, "points_held", -points), Leg(person, "points", points)])


def spend(batch: Batch, merchant: str, person: str, points: int, order: str) -> None:
    """The order is paid: its points are gone."""
    if points > 0:
        move(batch, merchant, "spent", order, [Leg(person, "points_held", -points), Leg(SHOP, "points_spent", points)])


def give_back(batch: Batch, merchant: str, person: str, points: int, order: str) -> None:
    """A refund returns points that were spent: good as long as the last of them was, and for some weeks at least."""
    if points <= 0:
        return
    least = batch.now_ms + RETURNED_DAYS_MIN * DAY_MS
    expires_ms = max([least, *(row.expires_ms for row in batch.run(_USED, order=order))])
    move(batch, merchant, "returned", order, [Leg(SHOP, "points_spent", -points), Leg(SHOP, "points_issued", points)])
    grant(batch, merchant, person, points, "returned", order, expires_ms=expires_ms)


def order_done(batch: Batch, order: str, ready_ms: int) -> None:
    """The buyer has the goods: from now on the refund window runs."""
    batch.run(_DONE, order=order, ready_ms=ready_ms)


def reverse(batch: Batch, order: Row[Any], before: int, after: int) -> None:
    """Take back what an order earned, as its refunds grow from ``before`` to ``after`` 分 of its amount.

    The goods' money goes back before the freight's, and that earned nothing.
    From its lots themselves, then from the person's other points; what is missing is owed.
    """
    paid = earning_of(batch.connection, order.id, order.amount)
    shares = []
    # Each of its own lots first: to another of them they would be the person's other points.
    for lot in batch.run(_OF_ORDER, order=order.id, merchant=order.merchant).all():
        points = kept(lot.granted, paid, min(before, paid)) - kept(lot.granted, paid, min(after, paid))
        if points <= 0:
            continue
        here = min(points, lot.left_units)
        if here:
            batch.run(_TAKE, id=lot.id, units=here)
        shares.append((lot, points, here))
    for lot, points, here in shares:
        kind = "points_pending" if lot.state == "pending" else "points"
        legs = [Leg(SHOP, "points_issued", points), Leg(order.person, kind, -here)]
        rest = points - here
        for row in batch.run(_READY, merchant=order.merchant, person=order.person, now=batch.now_ms).all():
            units = min(rest, row.left_units)
            if units:
                batch.run(_TAKE, id=row.id, units=units)
                legs.append(Leg(order.person, "points", -units))
                rest -= units
        legs.append(Leg(order.person, "points_owed", -rest))
        move(batch, order.merchant, "reversed", order.id, legs)


def take_ready(batch: Batch, valid_ms: dict[str, int], limit: int) -> int:
    """Make the lots ready whose refund window is closed; ``valid_ms`` is how long points are good, by merchant."""
    due = batch.run(_PENDING_DUE, now=batch.now_ms, limit=limit).all()
    for lot in due:
        units = lot.left_units
        batch.run(_MAKE_READY, id=lot.id, expires_ms=batch.now_ms + valid_ms[lot.merchant])
        if units:
            legs = [Leg(lot.person, "points_pending", -units), Leg(lot.person, "points", units)]
            move(batch, lot.merchant, "ready", lot.ref, legs)
            _repay(batch, lot.merchant, lot.person, lot.id, units)
    return len(due)


def due_merchants(batch: Batch, limit: int) -> list[str]:
    """The merchants of lots that ``take_ready`` would make ready."""
    return sorted({row.merchant for row in batch.run(_PENDING_DUE, now=batch.now_ms, limit=limit)})


def expire(batch: Batch, limit: int) -> int:
    """End lots that are past their date."""
    due = batch.run(_EXPIRED, now=batch.now_ms, limit=limit).all()
    for lot in due:
        batch.run(_END, id=lot.id)
        if lot.left_units:
            legs = [Leg(lot.person, "points", -lot.left_units), Leg(SHOP, "points_expired", lot.left_units)]
            move(batch, lot.merchant, "expired", lot.id, legs)
    return len(due)
