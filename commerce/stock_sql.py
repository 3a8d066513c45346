"""The one way in which a SKU's stock row moves: counters and the entry that explains them, in one step.

``stock_entry`` is the stock's journal: one row of signed differences per movement, never changed. Their sum per SKU and
place is the place's row, ``stock`` of the warehouse (``outlet`` empty) or ``outlet_stock`` of a store (``siyu audit``
compares them), and the sum up to midnight is a day's closing balance. Holds inside a flash sale move the sale's row
alone and are no movement of the SKU's.
"""

from sqlalchemy import text

from commerce.ledger_batch_sql import Batch

COUNTERS = ("received", "adjusted", "free", "held", "sold", "shipped", "quarantined")
"""The columns of ``stock`` and of ``stock_entry``, in the order of the tables."""

_CHANGE = (
    "SET "
    + ", ".join(f"{name} = {name} + :{name}" for name in COUNTERS)
    + " WHERE sku = :sku AND merchant = :merchant AND free + :free >= 0"
)
_MOVE = text(f"UPDATE stock {_CHANGE}")
_MOVE_THERE = text(f"UPDATE outlet_stock {_CHANGE} AND outlet = :outlet")
_ENTER = text(
    "INSERT INTO stock_entry (id, merchant, sku, outlet, kind, ref, "  # noqa: S608 - constants of this module
    + ", ".join(COUNTERS)
    + ", created_ms) VALUES (:id, :merchant, :sku, :outlet, :kind, :ref, "
    + ", ".join(f":{name}" for name in COUNTERS)
    + ", :now)"
)


def move_stock(
    batch: Batch, merchant: str, sku: str, kind: str, ref: str, *, outlet: str = "", **differences: int
) -> bool:
    """Add ``differences`` to a SKU's counters; False (nothing done) when fewer units are free, or it is not theirs.

    ``kind`` is received, adjusted, reserved, unreserved, held, released, sold, shipped, returned, allotted, moved or
    till; ``ref`` the order, sale, refund, transfer or receipt behind it, or the reason that a person gave. ``outlet``
    is the store whose stock moves, empty for the warehouse.
    """
    counters = dict.fromkeys(COUNTERS, 0) | differences
    there = {"sku": sku, "merchant": merchant}
    place = {"outlet": outlet} if outlet else {}
    if not batch.run(_MOVE_THERE if outlet else _MOVE, **place, **there, **counters).rowcount:
        return False
    batch.run(_ENTER, id=batch.mint(), outlet=outlet, kind=kind, ref=ref, now=batch.now_ms, **there, **counters)
    return True


_OPEN = text("INSERT INTO stock (sku, merchant) VALUES (:sku, :merchant) ON CONFLICT (sku) DO NOTHING")
_OPEN_THERE = text(
    "INSERT INTO outlet_stock (outlet, sku, merchant) VALUES (:outlet, :sku, :merchant)"
    " ON CONFLICT (outlet, sku) DO NOTHING"
)
_FREE = text("SELECT free FROM stock WHERE sku = :sku")
_FREE_THERE = text("SELECT free FROM outlet_stock WHERE outlet = :outlet AND sku = :sku")


def open_place(batch: Batch, merchant: str, sku: str, outlet: str) -> None:
    """Let a SKU have a row in a place, of a store or (``outlet`` empty) the warehouse."""
    if outlet:
        batch.run(_OPEN_THERE, outlet=outlet, sku=sku, merchant=merchant)
    else:
        batch.run(_OPEN, sku=sku, merchant=merchant)


def free_at(batch: Batch, sku: str, outlet: str) -> int:
    """Units of a SKU that are free in a place."""
    row = batch.one(_FREE_THERE, outlet=outlet, sku=sku) if outlet else batch.one(_FREE, sku=sku)
    return 0 if row is None else int(row.free)
