"""The one way in which a SKU's stock row moves: counters and the entry that explains them, in one step.

``stock_entry`` is the stock's journal: one row of signed differences per movement, never changed. Their sum per SKU is
the stock row (``siyu audit`` compares them), and the sum up to midnight is a day's closing balance. Holds inside a
flash sale move the sale's row alone and are no movement of the SKU's.
"""

from sqlalchemy import text

from commerce.ledger_batch_sql import Batch

COUNTERS = ("received", "adjusted", "free", "held", "sold", "shipped", "quarantined")
"""The columns of ``stock`` and of ``stock_entry``, in the order of the tables."""

_MOVE = text(
    "UPDATE stock SET "  # noqa: S608 - constants of this module
    + ", ".join(f"{name} = {name} + :{name}" for name in COUNTERS)
    + " WHERE sku = :sku AND merchant = :merchant AND free + :free >= 0"
)
_ENTER = text(
    "INSERT INTO stock_entry (id, merchant, sku, kind, ref, "  # noqa: S608 - constants of this module
    + ", ".join(COUNTERS)
    + ", created_ms) VALUES (:id, :merchant, :sku, :kind, :ref, "
    + ", ".join(f":{name}" for name in COUNTERS)
    + ", :now)"
)


def move_stock(batch: Batch, merchant: str, sku: str, kind: str, ref: str, **differences: int) -> bool:
    """Add ``differences`` to a SKU's counters; False (nothing done) when fewer units are free, or it is not theirs.

    ``kind`` is received, adjusted, reserved, unreserved, held, released, sold, shipped or returned; ``ref`` the order,
    sale or refund behind it, or the reason that a person gave.
    """
    counters = dict.fromkeys(COUNTERS, 0) | differences
    if not batch.run(_MOVE, sku=sku, merchant=merchant, **counters).rowcount:
        return False
    batch.run(_ENTER, id=batch.mint(), merchant=merchant, sku=sku, kind=kind, ref=ref, now=batch.now_ms, **counters)
    return True
