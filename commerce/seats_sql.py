"""Seats of group buys, as what happens to their holds and orders moves them: left, paid, refunded.

Called from where holds and orders end; what a team's deadline does is in teams_sql.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, bindparam, text

from commerce.deadlines_sql import arm, disarm
from commerce.events import TeamChanged, TeamView
from commerce.ledger_batch_sql import Batch
from commerce.views_moments_sql import read_team

DUE = "team"
"""The kind of a team's deadline."""

_HELD = text("SELECT hold, team FROM seat WHERE state = 'held' AND hold IN :holds").bindparams(
    bindparam("holds", expanding=True)
)
_LEAVE = text("UPDATE seat SET state = 'left' WHERE hold = :hold AND state = 'held'")
_LESS = text("UPDATE team SET taken = taken - :taken, paid = paid - :paid WHERE id = :id AND state = 'open'")
_OF_ORDER = text(
    "SELECT s.hold, s.team, s.state, t.size, t.winners, t.state AS team_state, t.draw FROM order_line AS l"
    " JOIN seat AS s ON s.hold = l.hold JOIN team AS t ON t.id = s.team WHERE l.order_id = :order"
)
_PAY = text("UPDATE seat SET state = 'paid', order_id = :order, paid_ms = :now WHERE hold = :hold AND state = 'held'")
_MORE = text("UPDATE team SET paid = paid + 1 WHERE id = :id AND state = 'open' AND paid < size")
_FULL = text("UPDATE team SET state = 'full', ended_ms = :now WHERE id = :id AND state = 'open' AND paid = size")
_REFUND = text("UPDATE seat SET state = 'refunded' WHERE hold = :hold AND state = 'paid'")
_UNDRAWN = text("SELECT 1 FROM draw WHERE id = :id AND drawn_ms IS NULL")


def tell_team(batch: Batch, team: str) -> TeamView:
    """Tell of a team as it is now."""
    view = read_team(batch.connection, team)
    row = batch.sales([view.sale])[view.sale] if view is not None else None
    assert view is not None and row is not None
    batch.emit(TeamChanged(batch.mint(), row.merchant, row.room, batch.now_ms, view))
    return view


def leave_seats(batch: Batch, holds: Sequence[str]) -> None:
    """The holds ended unpaid: their seats are free again."""
    left: dict[str, int] = {}
    for seat in batch.run(_HELD, holds=list(holds)).all():
        batch.run(_LEAVE, hold=seat.hold)
        left[seat.team] = left.get(seat.team, 0) + 1
    for team, seats in sorted(left.items()):
        # Of a team that has failed nobody counts any more.
        if batch.run(_LESS, id=team, taken=seats, paid=0).rowcount:
            tell_team(batch, team)


def seats_of_order(batch: Batch, order: str) -> Sequence[Row[Any]]:
    """Seats whose holds the order has, each with its team's size, winners, state and draw."""
    return batch.run(_OF_ORDER, order=order).all()


def pay_seats(batch: Batch, order: str) -> None:
    """The order was paid: its seats count, and the n-th one makes a team full."""
    for seat in seats_of_order(batch, order):
        if seat.state != "held" or not batch.run(_MORE, id=seat.team).rowcount:
            continue
        batch.run(_PAY, hold=seat.hold, order=order, now=batch.now_ms)
        if batch.run(_FULL, id=seat.team, now=batch.now_ms).rowcount:
            if seat.winners:
                arm(batch, DUE, seat.team, batch.now_ms)
            else:
                disarm(batch, DUE, seat.team)
        tell_team(batch, seat.team)


def refund_seats(batch: Batch, order: str) -> None:
    """All of the order's money goes back: its seats are nobody's, and an open team needs others for them."""
    for seat in seats_of_order(batch, order):
        if batch.run(_REFUND, hold=seat.hold).rowcount and seat.team_state == "open":
            batch.run(_LESS, id=seat.team, taken=1, paid=1)
            tell_team(batch, seat.team)


def awaits_draw(batch: Batch, order: str) -> bool:
    """Whether an order is in a full group whose lottery is not drawn: a seat that went now would be missed there."""
    seats = seats_of_order(batch, order)
    return any(seat.draw is not None and batch.one(_UNDRAWN, id=seat.draw) is not None for seat in seats)


def waits_for_team(batch: Batch, order: str) -> bool:
    """Whether an order's goods must not go out yet: its team is not full, or its lottery not drawn."""
    return any(
        seat.state == "paid"
        and (seat.team_state == "open" or (seat.draw is not None and batch.one(_UNDRAWN, id=seat.draw) is not None))
        for seat in seats_of_order(batch, order)
    )
