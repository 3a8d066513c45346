"""The waiting list of a sold-out sale: units that come back go to who waits, in their order, in the same transaction.

So a sale that is open has free units or people who wait, never both (``siyu audit`` looks).
"""

from collections.abc import Sequence

from sqlalchemy import text

from commerce.domain.sale import SaleMode, SaleRow, SaleState, state_of
from commerce.errors import NotFound, Refused
from commerce.ledger_batch_sql import Batch
from commerce.ledger_moments import LeaveWaiting, Wait, Waiting
from commerce.units_sql import grant_holds

WAITING_MAX = 10_000
"""People on one list: beyond it nobody has a chance."""

_MINE = text("SELECT place, state, hold FROM waiter WHERE sale = :sale AND person = :person")
_LAST = text("SELECT coalesce(max(place), 0) FROM waiter WHERE sale = :sale")
_AHEAD = text("SELECT count(*) FROM waiter WHERE sale = :sale AND state = 'waiting' AND place < :place")
_ENTER = text(
    "INSERT INTO waiter (sale, person, place, state) VALUES (:sale, :person, :place, 'waiting')"
    " ON CONFLICT (sale, person) DO UPDATE SET place = excluded.place, state = 'waiting', hold = NULL"
)
_COUNT = text("UPDATE sale SET waiting = waiting + :units WHERE id = :id")
_NEXT = text(
    "SELECT w.person, coalesce(q.used, 0) AS used, coalesce(a.person, w.person) AS now FROM waiter AS w"
    " LEFT JOIN quota AS q ON q.scope = w.sale AND q.person = w.person"
    " LEFT JOIN person_alias AS a ON a.alias = w.person"
    " WHERE w.sale = :sale AND w.state = 'waiting' ORDER BY w.place LIMIT :limit"
)
_END = text("UPDATE waiter SET state = :state, hold = :hold WHERE sale = :sale AND person = :person")
_QUOTA = text("SELECT used FROM quota WHERE scope = :scope AND person = :person")


def enter_waiting(batch: Batch, sale: SaleRow, people: Sequence[str]) -> None:
    """Put people at the end of a sale's list, in their order."""
    last = int(batch.run(_LAST, sale=sale.id).scalar_one())
    batch.run_many(
        _ENTER,
        [{"sale": sale.id, "person": person, "place": place} for place, person in enumerate(people, last + 1)],
    )
    batch.run(_COUNT, id=sale.id, units=len(people))


def serve(batch: Batch, sale: SaleRow) -> None:
    """Give an open sale's free units to who waits. Nothing is given while it is paused, by draw, or over."""
    free = sale.free
    while free and state_of(sale, batch.now_ms) is SaleState.OPEN:
        found = batch.run(_NEXT, sale=sale.id, limit=free).all()
        if not found:
            return
        # Who goes on as another has that one's place.
        people = [row.person for row in found if row.used < sale.per_person and row.now == row.person]
        holds = grant_holds(batch, sale, people, batch.now_ms + sale.hold_ms, "waiting")
        served = dict(zip(people, holds, strict=True))
        batch.run_many(
            _END,
            [
                {
                    "sale": sale.id,
                    "person": row.person,
                    # Who had all they may have by another way needs no more.
                    "state": "served" if row.person in served else "left",
                    "hold": served.get(row.person),
                }
                for row in found
            ],
        )
        batch.run(_COUNT, id=sale.id, units=-len(found))
        free -= len(people)


def wait(batch: Batch, command: Wait) -> Waiting:
    """Stand in the line of a sold-out sale; who stands there already keeps the place.

    Raises NotFound, Refused (not_open, closed, paused, by_draw, limit, gone; ``free`` when a unit can be had at once).
    """
    sale = batch.sales([command.sale]).get(command.sale)
    if sale is None or sale.merchant != command.merchant or sale.room != command.room:
        raise NotFound("no such sale in this room")
    state = state_of(sale, batch.now_ms)
    if sale.mode not in (SaleMode.RUSH, SaleMode.DRAW) or state is not SaleState.SOLD_OUT:
        raise Refused(*_NO_LINE.get(state, ("closed", "nobody can wait for this sale")))
    mine = batch.one(_MINE, sale=sale.id, person=command.person)
    if mine is None or mine.state != "waiting":
        used = batch.one(_QUOTA, scope=sale.id, person=command.person)
        if used is not None and used.used >= sale.per_person:
            raise Refused("limit", "the limit per person is reached")
        if sale.waiting >= WAITING_MAX:
            raise Refused("gone", "too many people wait already")
        enter_waiting(batch, sale, [command.person])
        batch.sale_moved(sale.id)
        mine = batch.one(_MINE, sale=sale.id, person=command.person)
    assert mine is not None
    return Waiting(sale.id, int(batch.run(_AHEAD, sale=sale.id, place=mine.place).scalar_one()) + 1)


_NO_LINE = {
    SaleState.SCHEDULED: ("not_open", "the sale is not open yet"),
    SaleState.COUNTDOWN: ("not_open", "the sale is not open yet"),
    SaleState.ENTERING: ("by_draw", "enter its draw: who does not win waits"),
    SaleState.PAUSED: ("paused", "the sale is paused"),
    SaleState.OPEN: ("free", "units are free: take one"),
}


def leave_waiting(batch: Batch, command: LeaveWaiting) -> Waiting:
    """Leave the line; who stood in none is told the same."""
    sale = batch.sales([command.sale]).get(command.sale)
    if sale is None or sale.merchant != command.merchant:
        raise NotFound("no such sale")
    mine = batch.one(_MINE, sale=sale.id, person=command.person)
    if mine is not None and mine.state == "waiting":
        batch.run(_END, sale=sale.id, person=command.person, state="left", hold=None)
        batch.run(_COUNT, id=sale.id, units=-1)
        batch.sale_moved(sale.id)
    return Waiting(sale.id, 0)
