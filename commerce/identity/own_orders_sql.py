"""Commission of orders whose buyer turns out to be who earns it: held with the merge, until somebody looks.

What was released by then stays theirs, as what an order earns was judged when it was made.
"""

from sqlalchemy import text

from commerce.attribution import bindings_sql
from commerce.ledger_batch_sql import Batch

_BOUGHT = (
    "(EXISTS (SELECT 1 FROM orders AS o WHERE o.id = commission.order_id AND o.person = commission.person)"
    " OR EXISTS (SELECT 1 FROM pos_receipt AS r WHERE r.id = commission.order_id AND r.person = commission.person))"
)
_HOLD = text(
    "UPDATE commission SET held = 'own_order' WHERE merchant = :merchant AND person = :person AND held = ''"  # noqa: S608
    f" AND state IN ('pending', 'frozen') AND {_BOUGHT}"
)
_FREE = text(
    "UPDATE commission SET held = '' WHERE merchant = :merchant AND person = :person AND held = 'own_order'"  # noqa: S608
    f" AND NOT {_BOUGHT}"
)


def merged(batch: Batch, merchant: str, person: str) -> None:
    """Hold what a person would earn of their own orders, where the shop pays nothing for such."""
    if not bindings_sql.terms(batch.connection, merchant).self_purchase:
        batch.run(_HOLD, merchant=merchant, person=person)


def parted(batch: Batch, merchant: str, *persons: str) -> None:
    """They are two after all: nobody has to look at what one brought the other to buy."""
    for person in persons:
        batch.run(_FREE, merchant=merchant, person=person)
