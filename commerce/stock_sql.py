"""The one way in which a SKU's stock row moves: counters, cost, and the entry that explains them, in one step.

``stock_entry`` is the stock's journal: one row of signed differences per movement, never changed. Their sum per SKU and
place is the place's row, ``stock`` of the warehouse (``outlet`` empty) or ``outlet_stock`` of a store (``siyu audit``
compares them), and the sum up to midnight is a day's closing balance. Holds inside a flash sale move the sale's row
alone and are no movement of the SKU's.

Units on hand are ``received + adjusted − shipped``. A movement that changes them changes what they cost, too
(domain/cost.py), in its place; holding and selling do not, and so look nothing up.
"""

from typing import Any

from sqlalchemy import Row, text

from commerce.domain.cost import moved_value
from commerce.ledger_batch_sql import Batch

COUNTERS = ("received", "adjusted", "free", "held", "sold", "shipped", "quarantined")
"""The columns of ``stock`` and of ``stock_entry`` that count units, in the order of the tables."""

_CHANGE = (
    "SET cost = cost + :cost, "
    + ", ".join(f"{name} = {name} + :{name}" for name in COUNTERS)
    + " WHERE sku = :sku AND merchant = :merchant AND free + :free >= 0"
)
_MOVE = text(f"UPDATE stock {_CHANGE}")
_MOVE_THERE = text(f"UPDATE outlet_stock {_CHANGE} AND outlet = :outlet")
_ENTER = text(
    "INSERT INTO stock_entry (id, merchant, sku, outlet, kind, ref, cost, "  # noqa: S608 - constants of this module
    + ", ".join(COUNTERS)
    + ", created_ms) VALUES (:id, :merchant, :sku, :outlet, :kind, :ref, :cost, "
    + ", ".join(f":{name}" for name in COUNTERS)
    + ", :now)"
)
_HAND = "SELECT received + adjusted - shipped AS units, cost, free, quarantined FROM"
_ON_HAND = text(f"{_HAND} stock WHERE sku = :sku AND merchant = :merchant")
_ON_HAND_THERE = text(f"{_HAND} outlet_stock WHERE sku = :sku AND merchant = :merchant AND outlet = :outlet")
_OPEN = text("INSERT INTO stock (sku, merchant) VALUES (:sku, :merchant) ON CONFLICT (sku) DO NOTHING")
_OPEN_THERE = text(
    "INSERT INTO outlet_stock (outlet, sku, merchant) VALUES (:outlet, :sku, :merchant)"
    " ON CONFLICT (outlet, sku) DO NOTHING"
)
_FREE = text("SELECT free FROM stock WHERE sku = :sku")
_FREE_THERE = text("SELECT free FROM outlet_stock WHERE outlet = :outlet AND sku = :sku")


def move_stock(
    batch: Batch,
    merchant: str,
    sku: str,
    kind: str,
    ref: str,
    *,
    outlet: str = "",
    cost: int | None = None,
    **differences: int,
) -> bool:
    """Add ``differences`` to a SKU's counters; False (nothing done) when fewer units are free, or it is not theirs.

    ``kind`` is received, adjusted, reserved, unreserved, held, released, sold, shipped, returned, allotted, moved,
    till, purchased, sent_back, processed or yielded; ``ref`` the order, sale, refund, transfer, receipt, delivery or
    run behind it, or the reason that a person gave. ``outlet`` is the store whose stock moves, empty for the warehouse.
    ``cost``: 分 that all of the units which come cost; by default the average of those that are there.
    """
    counters = dict.fromkeys(COUNTERS, 0) | differences
    gained = counters["received"] + counters["adjusted"] - counters["shipped"]
    moved = 0
    if gained:
        there = on_hand(batch, merchant, sku, outlet)
        if there is None or there.free + counters["free"] < 0:
            return False
        moved = moved_value(there.units, there.cost, gained, cost)
    place = {"outlet": outlet} if outlet else {}
    statement = _MOVE_THERE if outlet else _MOVE
    if not batch.run(statement, sku=sku, merchant=merchant, cost=moved, **place, **counters).rowcount:
        return False
    _enter(batch, merchant, sku, kind, ref, moved, counters, outlet)
    return True


def on_hand(batch: Batch, merchant: str, sku: str, outlet: str = "") -> Row[Any] | None:
    """``units`` on hand with their ``cost``, and those ``free`` and ``quarantined``; None when it is not theirs."""
    if outlet:
        return batch.one(_ON_HAND_THERE, sku=sku, merchant=merchant, outlet=outlet)
    return batch.one(_ON_HAND, sku=sku, merchant=merchant)


def value_stock(batch: Batch, merchant: str, sku: str, ref: str, cost: int) -> None:
    """Change what the units on hand in the warehouse cost by ``cost`` 分, without any coming or going."""
    counters = dict.fromkeys(COUNTERS, 0)
    batch.run(_MOVE, sku=sku, merchant=merchant, cost=cost, **counters)
    _enter(batch, merchant, sku, "valued", ref, cost, counters, "")


def _enter(
    batch: Batch, merchant: str, sku: str, kind: str, ref: str, cost: int, counters: dict[str, int], outlet: str
) -> None:
    known = {"merchant": merchant, "sku": sku, "outlet": outlet, "kind": kind, "ref": ref, "cost": cost}
    batch.run(_ENTER, id=batch.mint(), now=batch.now_ms, **known, **counters)


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
