"""What private traffic adds to the ledger: its commands, and what it books with each order, in the same transaction."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.exc import DataError, IntegrityError

from commerce import commission_sql, market_sql, pos_sql, withdrawals_sql
from commerce.attribution import bindings_sql
from commerce.errors import CommerceError
from commerce.events import Event, OrderCancelled, OrderCreated, OrderDone, OrderPaid, OrderRefunded
from commerce.identity import erasure_sql, join_sql, privacy_sql
from commerce.ledger_batch_sql import Batch
from commerce.webhooks_sql import enter_deliveries

log = logging.getLogger(__name__)

HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {
    **join_sql.HANDLERS,
    **erasure_sql.HANDLERS,
    **privacy_sql.HANDLERS,
    **commission_sql.HANDLERS,
    **withdrawals_sql.HANDLERS,
    **pos_sql.HANDLERS,
    **market_sql.HANDLERS,
}


def enter(batch: Batch, events: Sequence[Event]) -> None:
    """Book what a batch's events mean for those who brought the buyers, then the deliveries of webhooks.

    What cannot be booked is logged and found by ``siyu audit``; the order itself, which is decided, stands.
    """
    for event in events:
        if not isinstance(event, OrderCreated | OrderPaid | OrderCancelled | OrderDone | OrderRefunded):
            continue
        try:
            with batch.connection.begin_nested():
                _book(batch, event)
        except (CommerceError, ValueError, IntegrityError, DataError):
            log.exception("commission of order %s was not booked", event.order.order)
    enter_deliveries(batch, events)


def _book(batch: Batch, event: OrderCreated | OrderPaid | OrderCancelled | OrderDone | OrderRefunded) -> None:
    order = event.order
    if isinstance(event, OrderCreated):
        commission_sql.book(batch, event.merchant, order)
        return
    if isinstance(event, OrderPaid):
        bindings_sql.renew(batch.connection, event.merchant, order.person, event.now_ms)
        market_sql.order_paid(batch, event.merchant, order)
    elif isinstance(event, OrderRefunded):
        market_sql.order_refunded(batch, order)
    if not commission_sql.earns(order.decision):
        return
    if isinstance(event, OrderPaid):
        commission_sql.freeze(batch, event.merchant, order, event.now_ms)
    elif isinstance(event, OrderCancelled):
        commission_sql.cancel(batch, event.merchant, order.order)
    elif isinstance(event, OrderDone):
        commission_sql.arrived(batch, event.merchant, order.order, event.now_ms)
    else:
        commission_sql.refund(batch, event.merchant, order)
