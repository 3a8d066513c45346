"""What becomes of a presale's deposit when its balance did not come, or went back: decided once, by the sweep."""

from sqlalchemy import text

from commerce.custom_sql import end_production
from commerce.deposits_sql import keep
from commerce.domain.order import OrderStatus
from commerce.domain.presale import gives_back
from commerce.ledger import Refund
from commerce.ledger_batch_sql import Batch
from commerce.members_sql import order_done
from commerce.orders_sql import find_order
from commerce.refunds_sql import refund_order

STAFF = "presale"
"""Who books the refunds of deposits."""

_PRESALE = text("SELECT * FROM presale WHERE id = :id AND balance IS NOT NULL")
_END = text("UPDATE presale SET ended_ms = :now WHERE id = :id")


def presale_due(batch: Batch, deposit: str) -> None:
    """Refund the deposit or keep it, as the balance's end and the rule say; nothing while the balance stands."""
    presale = batch.one(_PRESALE, id=deposit)
    if presale is None:
        return
    balance = find_order(batch, presale.merchant, presale.balance)
    row = find_order(batch, presale.merchant, deposit)
    back = gives_back(presale.missed, balance.status)
    if back is None:
        return
    if not back:
        # What was paid for nothing counts as spent.
        order_done(batch, row)
        keep(batch, row)
        end_production(batch, row)
    elif row.status != OrderStatus.REFUNDED:
        reason = "the balance was refunded" if balance.status == OrderStatus.REFUNDED else "the balance was not paid"
        key = f"{deposit}/{balance.status}"
        refund_order(batch, Refund(row.merchant, STAFF, deposit, key, key, None, None, "none", reason))
    batch.run(_END, id=deposit, now=batch.now_ms)
