"""Who wants to be reminded of a sale, or of each sale of a plan; told by the duty a minute before it opens."""

from sqlalchemy import text

from commerce.domain.sale import SaleState, state_of
from commerce.errors import NotFound, Refused
from commerce.events import SaleSoon
from commerce.ledger_batch_sql import Batch
from commerce.ledger_moments import Remind, Reminded
from commerce.views_sql import sale_view

DUE = "remind"
REMIND_MS = 60_000
"""Long enough to come back to the room, short enough not to be forgotten."""
REMINDERS_MAX = 10_000
"""People of one sale or plan who are reminded: each is an event of one transaction."""

_PLAN = text("SELECT room, merchant, ended_ms FROM sale_plan WHERE id = :id")
_INSERT = text(
    "INSERT INTO reminder (subject, person, created_ms) VALUES (:subject, :person, :now)"
    " ON CONFLICT (subject, person) DO NOTHING"
)
_DELETE = text("DELETE FROM reminder WHERE subject = :subject AND person = :person")
_COUNT = text("SELECT count(*) FROM reminder WHERE subject = :subject")
_SET = text("UPDATE sale SET reserved = :reserved WHERE id = :id")
_PEOPLE = text("SELECT DISTINCT person FROM reminder WHERE subject IN (:sale, :plan) ORDER BY person LIMIT :limit")
_FORGET = text("DELETE FROM reminder WHERE subject = :sale")


def remind(batch: Batch, command: Remind) -> Reminded:
    """Remember (or forget) that a person wants to hear of a sale or plan; twice changes nothing.

    Raises NotFound, Refused (already: it has opened; gone: too many).
    """
    sale = batch.sales([command.subject]).get(command.subject)
    if sale is None:
        plan = batch.one(_PLAN, id=command.subject)
        if plan is None or plan.merchant != command.merchant or plan.room != command.room:
            raise NotFound("no such sale in this room")
        if plan.ended_ms is not None:
            raise Refused("closed", "this sale comes no more")
    elif sale.merchant != command.merchant or sale.room != command.room:
        raise NotFound("no such sale in this room")
    elif state_of(sale, batch.now_ms) not in (SaleState.SCHEDULED, SaleState.COUNTDOWN):
        raise Refused("already", "the sale has opened")
    before = int(batch.run(_COUNT, subject=command.subject).scalar_one())
    if command.on and before >= REMINDERS_MAX:
        raise Refused("gone", "too many want to be reminded of it already")
    change = _INSERT if command.on else _DELETE
    parameters = {"now": batch.now_ms} if command.on else {}
    batch.run(change, subject=command.subject, person=command.person, **parameters)
    reserved = int(batch.run(_COUNT, subject=command.subject).scalar_one())
    if sale is not None and reserved != before:
        batch.run(_SET, id=sale.id, reserved=reserved)
        batch.sale_moved(sale.id)
    return Reminded(command.subject, reserved)


def remind_due(batch: Batch, sale_id: str) -> None:
    """Tell all who asked for it that the sale is about to open (or, were we away then, that it has)."""
    sale = batch.sales([sale_id]).get(sale_id)
    if sale is None or state_of(sale, batch.now_ms) in (SaleState.CLOSED, SaleState.PAUSED):
        return
    view = sale_view(sale, batch.now_ms)
    people = batch.run(_PEOPLE, sale=sale.id, plan=sale.plan or "", limit=REMINDERS_MAX).scalars().all()
    for person in people:
        batch.emit(SaleSoon(batch.mint(), sale.merchant, sale.room, batch.now_ms, person, view))
    batch.run(_FORGET, sale=sale.id)
