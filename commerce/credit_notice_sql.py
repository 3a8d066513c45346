"""Telling debtors: that a debt comes due, that it is overdue, that the shop asks for it.

A debt has one deadline at a time: some time before its day, then the moment after it. Each writes an event (for the
rooms where the debtor is, and the shop's own systems) and, where the shop has a template for it, a message, in the
transaction that takes the deadline away; so neither is lost or written twice. Messages are kept apart from events in
three ways: a person gets one of a kind for a day, with the sum of that day; at night they wait for the morning; and
what was paid meanwhile is not asked for any more (``debt_stands``, when their turn comes).
"""

from typing import Any

import orjson
from sqlalchemy import Connection, text

from commerce.crm import messages_sql, policy_sql
from commerce.crm.notices_sql import service_row, template_body
from commerce.deadlines_sql import arm
from commerce.domain.credit import DUE, OVERDUE, REMINDED, DebtNotice, debt_key
from commerce.domain.day import day_bounds_ms, day_of
from commerce.domain.outreach import waits_until_ms
from commerce.events import DebtDue, DebtorReminded, DebtOverdue
from commerce.ledger_batch_sql import Batch

Row = dict[str, Any]

DEADLINE = "debt"

_NOTICE = text("SELECT * FROM credit_notice WHERE merchant = :merchant")
_SET = text(
    "INSERT INTO credit_notice (merchant, channel, due_template, overdue_template, fields, page, updated_ms)"
    " VALUES (:merchant, :channel, :due_template, :overdue_template, :fields, :page, :now)"
    " ON CONFLICT (merchant) DO UPDATE SET channel = excluded.channel, due_template = excluded.due_template,"
    " overdue_template = excluded.overdue_template, fields = excluded.fields, page = excluded.page,"
    " updated_ms = excluded.updated_ms"
)
_DEBT = text(
    "SELECT r.merchant, r.person, r.order_id, r.due_ms, r.amount - r.repaid - r.returned - r.lost AS left_fen, o.room"
    " FROM receivable AS r JOIN orders AS o ON o.id = r.order_id WHERE r.order_id = :order AND r.closed_ms IS NULL"
)
_UNTIL = text(
    "SELECT CAST(coalesce(sum(amount - repaid - returned - lost), 0) AS bigint) AS amount, count(*) AS orders"
    " FROM receivable WHERE merchant = :merchant AND person = :person AND closed_ms IS NULL AND due_ms < :until"
)


def notice(db: Connection, merchant: str) -> Row | None:
    """How a shop tells debtors outside the page; None when it does not."""
    found = db.execute(_NOTICE, {"merchant": merchant}).mappings().one_or_none()
    return None if found is None else {**found, "fields": orjson.loads(found["fields"])}


def set_notice(db: Connection, row: Row) -> None:
    """Write how a shop tells debtors outside the page."""
    db.execute(_SET, {**row, "fields": orjson.dumps(row["fields"]).decode()})


def debt_due(batch: Batch, order: str) -> None:
    """A debt's deadline has come: tell of it, and arm the next. Who was late with it tells only that it is overdue."""
    row = batch.one(_DEBT, order=order)
    if row is None:
        return
    late = row.due_ms < batch.now_ms
    event = DebtOverdue if late else DebtDue
    debt = DebtNotice(row.order_id, int(row.left_fen), row.due_ms)
    batch.emit(event(batch.mint(), row.merchant, row.room, batch.now_ms, row.person, debt))
    _write(batch, row.merchant, row.person, OVERDUE if late else DUE, row.due_ms)
    if not late:
        arm(batch, DEADLINE, order, row.due_ms + 1)


def tell_reminded(batch: Batch, merchant: str, person: str, oldest: str, overdue: int) -> None:
    """The shop asks for the ``overdue`` 分, of which those of ``oldest`` are so the longest."""
    row = batch.one(_DEBT, order=oldest)
    assert row is not None
    debt = DebtNotice(None, overdue, row.due_ms)
    batch.emit(DebtorReminded(batch.mint(), merchant, row.room, batch.now_ms, person, debt))
    _write(batch, merchant, person, REMINDED, batch.now_ms)


def _write(batch: Batch, merchant: str, person: str, why: str, at_ms: int) -> None:
    """Write the message of a day, unless the shop has no template or the person has that message."""
    how = notice(batch.connection, merchant)
    template = "" if how is None else how["due_template" if why == DUE else "overdue_template"]
    if how is None or not template:
        return
    day = day_of(at_ms)
    # Who bought twice that day is told of both at once. Of what is not yet due nobody is reminded.
    until = batch.now_ms if why == REMINDED else day_bounds_ms(day)[1]
    owes = batch.run(_UNTIL, merchant=merchant, person=person, until=until).one()
    said = {"amount": f"{owes.amount // 100}.{owes.amount % 100:02}", "due": day, "orders": str(owes.orders)}
    row = service_row(merchant, debt_key(why, person, day), batch.now_ms)
    row |= {"person": person, "channel": how["channel"], "body": template_body(how, template, said)}
    # Nobody is asked for money at night.
    row["next"] = waits_until_ms("marketing", policy_sql.terms(batch.connection, merchant), batch.now_ms)
    messages_sql.put(batch.connection, [row])
