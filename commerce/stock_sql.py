"""The one way in which a SKU's stock row moves: counters, cost, and the entry that explains them, in one step.

``stock_entry`` is the stock's journal: one row of signed differences per movement, never changed. Their sum per SKU is
the stock row (``siyu audit`` compares them), and the sum up to midnight is a day's closing balance. Holds inside a
flash sale move the sale's row alone and are no movement of the SKU's.

Units on hand are ``received + adjusted − shipped``. A movement that changes them changes what they cost, too
(domain/cost.py); holding and selling do not, and so look nothing up.
"""

from typing import Any

from sqlalchemy import Row, text

from commerce.domain.cost import moved_value
from commerce.ledger_batch_sql import Batch

COUNTERS = ("received", "adjusted", "free", "held", "sold", "shipped", "quarantined")
"""The columns of ``stock`` and of ``stock_entry`` that count units, in the order of the tables."""

_MOVE = text(
    "UPDATE stock SET cost = cost + :cost, "  # noqa: S608 - constants of this module
    + ", ".join(f"{name} = {name} + :{name}" for name in COUNTERS)
    + " WHERE sku = :sku AND merchant = :merchant AND free + :free >= 0"
)
_ENTER = text(
    "INSERT INTO stock_entry (id, merchant, sku, kind, ref, cost, "  # noqa: S608 - constants of this module
    + ", ".join(COUNTERS)
    + ", created_ms) VALUES (:id, :merchant, :sku, :kind, :ref, :cost, "
    + ", ".join(f":{name}" for name in COUNTERS)
    + ", :now)"
)
_ON_HAND = text(
    "SELECT received + adjusted - shipped AS units, cost, free, quarantined FROM stock"
    " WHERE sku = :sku AND merchant = :merchant"
)


def move_stock(
    batch: Batch, merchant: str, sku: str, kind: str, ref: str, *, cost: int | None = None, **differences: int
) -> bool:
    """Add ``differences`` to a SKU's counters; False (nothing done) when fewer units are free, or it is not theirs.

    ``kind`` is received, adjusted, reserved, unreserved, held, released, sold, shipped, returned, allotted, purchased,
    sent_back, processed or yielded; ``ref`` the order, sale, refund, delivery or run behind it, or the reason that a
    person gave. ``cost``: 分 that all of the units which come cost; by default the average of those that are there.
    """
    counters = dict.fromkeys(COUNTERS, 0) | differences
    gained = counters["received"] + counters["adjusted"] - counters["shipped"]
    moved = 0
    if gained:
        there = on_hand(batch, merchant, sku)
        if there is None or there.free + counters["free"] < 0:
            return False
        moved = moved_value(there.units, there.cost, gained, cost)
    if not batch.run(_MOVE, sku=sku, merchant=merchant, cost=moved, **counters).rowcount:
        return False
    _enter(batch, merchant, sku, kind, ref, moved, counters)
    return True


def on_hand(batch: Batch, merchant: str, sku: str) -> Row[Any] | None:
    """``units`` on hand with their ``cost``, and those ``free`` and ``quarantined``; None when it is not theirs."""
    return batch.one(_ON_HAND, sku=sku, merchant=merchant)


def value_stock(batch: Batch, merchant: str, sku: str, ref: str, cost: int) -> None:
    """Change what the units on hand cost by ``cost`` 分, without any coming or going."""
    counters = dict.fromkeys(COUNTERS, 0)
    batch.run(_MOVE, sku=sku, merchant=merchant, cost=cost, **counters)
    _enter(batch, merchant, sku, "valued", ref, cost, counters)


def _enter(batch: Batch, merchant: str, sku: str, kind: str, ref: str, cost: int, counters: dict[str, int]) -> None:
    known = {"merchant": merchant, "sku": sku, "kind": kind, "ref": ref, "cost": cost, "now": batch.now_ms}
    batch.run(_ENTER, id=batch.mint(), **known, **counters)
