"""The points mall: an exchange is an order at a price of points and a little money, so stock and points move as one.

A line costs ``points · POINT_FEN + cash`` a unit and exactly its points are spent on it: what is left to pay is the
cash, at least 1 分 (decision 15). So holds, payment, late money, refunds and the books are those of any order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, text

from commerce.accounts_sql import balance
from commerce.domain.offer import price_at
from commerce.domain.order import WantedLine
from commerce.domain.pricing import POINT_FEN, PricedLine, Purse
from commerce.errors import Invalid, NotFound, Refused
from commerce.ledger_batch_sql import Batch
from commerce.ledger_members import MallItemView, SetMallItem
from commerce.pricing_sql import Line, lines_of_skus

ITEMS_MAX = 200
"""Things in one shop's mall."""

_SKU = text("SELECT kind FROM sku WHERE id = :sku AND merchant = :merchant")
_SET = text(
    "INSERT INTO mall_item (sku, merchant, points, cash, per_person, staff, updated_ms)"
    " VALUES (:sku, :merchant, :points, :cash, :per_person, :staff, :now) ON CONFLICT (sku) DO UPDATE SET"
    " points = excluded.points, cash = excluded.cash, per_person = excluded.per_person, staff = excluded.staff,"
    " updated_ms = excluded.updated_ms"
)
_UNSET = text("DELETE FROM mall_item WHERE sku = :sku AND merchant = :merchant")
_COUNT = text("SELECT count(*) FROM mall_item WHERE merchant = :merchant AND sku <> :sku")
_ITEM = text("SELECT * FROM mall_item WHERE sku = :sku AND merchant = :merchant")
_ITEMS = text(
    "SELECT m.*, k.product, k.name, k.price, k.version, k.offer_price, k.offer_from_ms, k.offer_until_ms, p.title,"
    " p.image, coalesce(t.free, 0) AS free FROM mall_item AS m JOIN sku AS k ON k.id = m.sku"
    " JOIN product AS p ON p.id = k.product LEFT JOIN stock AS t ON t.sku = m.sku"
    " WHERE m.merchant = :merchant AND p.on_shelf ORDER BY m.points, m.sku LIMIT :limit"
)
_HAD = text(
    "SELECT coalesce(sum(m.units), 0) FROM mall_order AS m JOIN orders AS o ON o.id = m.order_id"
    " WHERE m.sku = :sku AND o.merchant = :merchant AND o.person = :person"
    " AND o.status NOT IN ('cancelled', 'refunded')"
)
_EXCHANGED = text(
    "SELECT m.sku, m.units, coalesce(i.per_person, 0) AS per_person FROM mall_order AS m"
    " LEFT JOIN mall_item AS i ON i.sku = m.sku WHERE m.order_id = :order"
)
_WRITE = text(
    "INSERT INTO mall_order (order_id, merchant, sku, units, points) VALUES (:order, :merchant, :sku, :units, :points)"
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is exchanged: the order's line, and the points that it costs in all."""

    line: Line
    points: int

    @property
    def purse(self) -> Purse:
        """Exactly these points, however much of an ordinary order points may pay."""
        return Purse(self.points, 0, 100)


def set_item(batch: Batch, command: SetMallItem) -> bool:
    """Put a SKU into the mall, or (``points`` 0) take it out; whether it is in. Raises NotFound, Refused."""
    sku = batch.one(_SKU, sku=command.sku, merchant=command.merchant)
    if sku is None:
        raise NotFound("no such product")
    if command.points == 0:
        batch.run(_UNSET, sku=command.sku, merchant=command.merchant)
        return False
    if sku.kind != "goods":
        raise Refused("closed", "stored value is not had for points")
    if batch.run(_COUNT, sku=command.sku, merchant=command.merchant).scalar_one() >= ITEMS_MAX:
        raise Refused("limit", f"a mall has at most {ITEMS_MAX} things")
    terms = {"points": command.points, "cash": command.cash, "per_person": command.per_person}
    batch.run(_SET, sku=command.sku, merchant=command.merchant, staff=command.staff, now=batch.now_ms, **terms)
    return True


def read_mall(connection: Connection, merchant: str, now_ms: int) -> list[MallItemView]:
    """What can be had for points, the cheapest first."""
    return [
        MallItemView(
            row.sku,
            row.product,
            f"{row.title} {row.name}".strip(),
            row.image or "",
            row.points,
            row.cash,
            price_at(row.price, row.version, row.offer_price, row.offer_from_ms, row.offer_until_ms, now_ms).price,
            row.free,
            row.per_person,
        )
        for row in connection.execute(_ITEMS, {"merchant": merchant, "limit": ITEMS_MAX})
    ]


def exchange_of(
    connection: Connection, merchant: str, person: str, lines: Sequence[WantedLine], now_ms: int
) -> Exchange:
    """The one line of an exchange at its price in points.

    Raises Invalid, NotFound, Refused (gone, closed, limit, insufficient, price_changed).
    """
    if len(lines) != 1:
        raise Invalid("an exchange is of one thing", field="lines")
    [line] = lines_of_skus(connection, merchant, [replace(lines[0], version=None)], now_ms)
    units = line.priced.quantity
    item: Any = connection.execute(_ITEM, {"sku": line.priced.sku, "merchant": merchant}).one_or_none()
    if item is None:
        raise Refused("gone", "this is not to be had for points", sku=line.priced.sku)
    had = connection.execute(_HAD, {"sku": item.sku, "merchant": merchant, "person": person}).scalar_one()
    if item.per_person and had + units > item.per_person:
        raise Refused("limit", "the limit per person is reached", left=max(0, item.per_person - had))
    points = item.points * units
    have = balance(connection, merchant, person, "points")
    if have < points:
        raise Refused("insufficient", "there are not that many points", left=have)
    priced = PricedLine(item.sku, units, item.points * POINT_FEN + item.cash)
    return Exchange(replace(line, priced=priced), points)


def retake_exchange(batch: Batch, row: Row[Any]) -> None:
    """An exchange that was cancelled is paid after all: it counts again. Raises Refused (limit) when others came."""
    for one in batch.run(_EXCHANGED, order=row.id).all():
        had = batch.run(_HAD, sku=one.sku, merchant=row.merchant, person=row.person).scalar_one()
        if one.per_person and had + one.units > one.per_person:
            raise Refused("limit", "the limit per person is reached", left=max(0, one.per_person - had))


def write_exchange(batch: Batch, merchant: str, order: str, exchange: Exchange) -> None:
    """Remember that an order is an exchange: its units count towards the limit while it stands."""
    units = exchange.line.priced.quantity
    batch.run(_WRITE, order=order, merchant=merchant, sku=exchange.line.priced.sku, units=units, points=exchange.points)
