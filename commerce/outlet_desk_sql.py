"""Stores inside the ledger's transaction: what they offer, their prices, and units that move between places.

A transfer is one row and two entries of kind ``moved`` with its id, which together are nothing: units leave one place
and are at the other in the same step, counted as ``adjusted`` on both sides.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, text

from commerce import outlets_sql
from commerce.changes import Change, Hand
from commerce.changes_sql import note
from commerce.domain.cost import moved_value
from commerce.domain.ids import AFTER_ALL
from commerce.domain.offer import VERSIONS_OF_AN_OFFER, price_at, price_in_store
from commerce.errors import Invalid, NotFound, Refused
from commerce.ledger_batch_sql import Batch
from commerce.ledger_outlets import (
    CloseOutlet,
    MoveStock,
    OutletDone,
    OutletPriceView,
    SetOutlet,
    SetOutletPrice,
    TransferView,
)
from commerce.pricing_sql import own_price
from commerce.stock_sql import free_at, move_stock, on_hand, open_place

_SKU = text("SELECT * FROM sku WHERE id = :sku AND merchant = :merchant")
_TRANSFER = text(
    "INSERT INTO stock_transfer (id, merchant, sku, source, target, quantity, staff, why, created_ms)"
    " VALUES (:id, :merchant, :sku, :source, :target, :quantity, :staff, :why, :now)"
)
_TRANSFERRED = text("SELECT * FROM stock_transfer WHERE id = :id")
_OWN = text("SELECT * FROM outlet_price WHERE outlet = :outlet AND sku = :sku")
_SET_OWN = text(
    "INSERT INTO outlet_price (outlet, sku, merchant, price, offer_price, offer_from_ms, offer_until_ms, version)"
    " VALUES (:outlet, :sku, :merchant, :price, :offer, :from_ms, :until_ms, :version)"
    " ON CONFLICT (outlet, sku) DO UPDATE SET price = excluded.price, offer_price = excluded.offer_price,"
    " offer_from_ms = excluded.offer_from_ms, offer_until_ms = excluded.offer_until_ms, version = excluded.version"
)


def set_outlet(batch: Batch, command: SetOutlet) -> OutletDone:
    """Write a store anew. Raises NotFound, Refused (in_use)."""
    outlets_sql.update(batch.connection, id=command.outlet, merchant=command.merchant, **command.row)
    return OutletDone(command.outlet)


def close_outlet(batch: Batch, command: CloseOutlet) -> OutletDone:
    """Close a store. Raises NotFound, Refused (in_use) while units are there."""
    outlets_sql.close(batch.connection, command.merchant, command.outlet, batch.now_ms)
    return OutletDone(command.outlet)


def transfer(batch: Batch, command: MoveStock) -> TransferView:
    """Move free units. Raises NotFound, Conflict, Invalid, Refused (not_open: a store without stock; sold_out)."""
    known = batch.replay(command.merchant, command.staff, "stock.move", command.key, command.hash)
    if known is not None:
        return _view(batch, known)
    if command.source == command.target:
        raise Invalid("the two places are one", field="target")
    outlets_sql.stocked(batch.connection, command.merchant, command.target)
    if command.source:
        outlets_sql.one(batch.connection, command.merchant, command.source)
    identifier = batch.mint()
    what = {"merchant": command.merchant, "sku": command.sku}
    if batch.one(_SKU, **what) is None:
        raise NotFound("no such product", sku=command.sku)
    for place in (command.source, command.target):
        open_place(batch, command.merchant, command.sku, place)
    there = on_hand(batch, command.merchant, command.sku, command.source)
    if there is None or there.free < command.quantity:
        raise Refused("sold_out", "not that many are free there", sku=command.sku, outlet=command.source)
    # What left one place at its average came to the other at the same.
    value = -moved_value(there.units, there.cost, -command.quantity)
    for place, units, cost in ((command.source, -command.quantity, None), (command.target, command.quantity, value)):
        moved = {"adjusted": units, "free": units}
        assert move_stock(batch, command.merchant, command.sku, "moved", identifier, outlet=place, cost=cost, **moved)
    batch.run(
        _TRANSFER,
        id=identifier,
        source=command.source,
        target=command.target,
        quantity=command.quantity,
        staff=command.staff,
        why=command.why,
        now=batch.now_ms,
        **what,
    )
    batch.remember(command.merchant, command.staff, "stock.move", command.key, command.hash, identifier)
    return _view(batch, identifier)


def _view(batch: Batch, identifier: str) -> TransferView:
    row = batch.one(_TRANSFERRED, id=identifier)
    assert row is not None
    left, there = (free_at(batch, row.sku, place) for place in (row.source, row.target))
    return TransferView(row.id, row.sku, row.quantity, row.source, row.target, left, there)


def set_price(batch: Batch, command: SetOutletPrice) -> OutletPriceView:
    """Write a store's price of a SKU. Raises NotFound, Refused (not_open), Invalid."""
    outlets_sql.stocked(batch.connection, command.merchant, command.outlet)
    sku = batch.one(_SKU, sku=command.sku, merchant=command.merchant)
    if sku is None or sku.kind != "goods" or sku.slot_ms is not None:
        raise NotFound("no such goods", sku=command.sku)
    shelf = sku.price if command.price is None else command.price
    if command.offer is not None and command.offer >= shelf:
        raise Invalid("a limited-time price lies below the price of the store", field="offer")
    old = batch.one(_OWN, outlet=command.outlet, sku=command.sku)
    batch.run(
        _SET_OWN,
        outlet=command.outlet,
        sku=command.sku,
        merchant=command.merchant,
        price=command.price,
        offer=command.offer,
        from_ms=command.from_ms,
        until_ms=command.until_ms,
        version=1 if old is None else old.version + VERSIONS_OF_AN_OFFER,
    )
    pairs = (
        ("price", None if old is None else old.price, command.price),
        ("offer", None if old is None else old.offer_price, command.offer),
    )
    made = [Change(command.sku, what, was, now, command.outlet) for what, was, now in pairs if was != now]
    _note(batch, command.merchant, command.by, made)
    return read_price(batch.connection, command.merchant, command.outlet, command.sku, batch.now_ms)


def _note(batch: Batch, merchant: str, by: Hand, made: list[Change]) -> None:
    note(batch.connection, merchant, by, made, [batch.mint() for _ in made], batch.now_ms)


def read_price(db: Connection, merchant: str, outlet: str, sku_id: str, now_ms: int) -> OutletPriceView:
    """What a SKU costs in a store now. Raises NotFound."""
    sku = db.execute(_SKU, {"sku": sku_id, "merchant": merchant}).one_or_none()
    if sku is None:
        raise NotFound("no such goods", sku=sku_id)
    own = db.execute(_OWN, {"outlet": outlet, "sku": sku_id}).one_or_none()
    shop = price_at(sku.price, sku.version, sku.offer_price, sku.offer_from_ms, sku.offer_until_ms, now_ms)
    now = price_in_store(shop, None if own is None else own_price(own), now_ms)
    return OutletPriceView(outlet, sku_id, now.shelf, now.limited, now.version)


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {
    SetOutlet: set_outlet,
    CloseOutlet: close_outlet,
    MoveStock: transfer,
    SetOutletPrice: set_price,
}


# --- outside the ledger ----------------------------------------------------------------------------------------------

_STOCK = text(
    "SELECT k.id AS sku, p.title, k.name, coalesce(d.code, '') AS code, k.price AS shop_price, s.received, s.adjusted,"
    " s.free, s.held, s.sold, s.shipped, s.quarantined, o.price, o.offer_price, o.offer_from_ms, o.offer_until_ms"
    " FROM sku AS k JOIN product AS p ON p.id = k.product LEFT JOIN sku_detail AS d ON d.sku = k.id"
    " LEFT JOIN outlet_stock AS s ON s.sku = k.id AND s.outlet = :outlet"
    " LEFT JOIN outlet_price AS o ON o.sku = k.id AND o.outlet = :outlet"
    " WHERE k.merchant = :merchant AND (s.sku IS NOT NULL OR o.sku IS NOT NULL) AND k.id > :after"
    " ORDER BY k.id LIMIT :limit"
)
_TRANSFERS = text(
    "SELECT t.id, t.sku, p.title, k.name, t.source, t.target, t.quantity, t.staff, t.why, t.created_ms"
    " FROM stock_transfer AS t JOIN sku AS k ON k.id = t.sku JOIN product AS p ON p.id = k.product"
    " WHERE t.merchant = :merchant AND t.id < :before AND (:outlet = '' OR t.source = :outlet OR t.target = :outlet)"
    " ORDER BY t.id DESC LIMIT :limit"
)


def read_stock(db: Connection, merchant: str, outlet: str, after: str, limit: int) -> list[dict[str, Any]]:
    """What a store has or has had, and what it asks for it, by the age of the SKUs."""
    asked = {"merchant": merchant, "outlet": outlet, "after": after, "limit": limit}
    return [dict(row) for row in db.execute(_STOCK, asked).mappings()]


def read_transfers(db: Connection, merchant: str, outlet: str, before: str | None, limit: int) -> list[dict[str, Any]]:
    """Transfers, newest first; of one store when one is named."""
    asked = {"merchant": merchant, "outlet": outlet, "before": before or AFTER_ALL, "limit": limit}
    return [dict(row) for row in db.execute(_TRANSFERS, asked).mappings()]
