"""Stores of a merchant: read by orders that they hand over, kept by whoever runs the shop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, text

from commerce.domain.order import Delivery
from commerce.domain.org import Reach
from commerce.domain.outlet import OutletTerms, way_fault
from commerce.errors import NotFound, Refused

OUTLETS_MAX = 500
"""Stores of one merchant: all of them are looked at for the nearest."""

_INSERT = text(
    "INSERT INTO outlet (id, merchant, name, address, phone, lat_e6, lng_e6, pickup, key_digest, created_ms, express,"
    " courier, stocked, radius_m, hours, node) VALUES (:id, :merchant, :name, :address, :phone, :lat_e6, :lng_e6,"
    " :pickup, :key_digest, :now, :express, :courier, :stocked, :radius_m, :hours, :node)"
)
_UPDATE = text(
    "UPDATE outlet SET name = :name, address = :address, phone = :phone, lat_e6 = :lat_e6, lng_e6 = :lng_e6,"
    " pickup = :pickup, express = :express, courier = :courier, stocked = :stocked, radius_m = :radius_m,"
    " hours = :hours, node = :node WHERE id = :id AND merchant = :merchant AND closed_ms IS NULL"
)
_ALL = text("SELECT * FROM outlet WHERE merchant = :merchant AND closed_ms IS NULL ORDER BY id LIMIT :limit")
_ONE = text("SELECT * FROM outlet WHERE id = :id AND merchant = :merchant AND closed_ms IS NULL")
_BY_KEY = text("SELECT id, merchant FROM outlet WHERE key_digest = :digest AND closed_ms IS NULL")
_CLOSE = text("UPDATE outlet SET closed_ms = :now WHERE id = :id AND merchant = :merchant AND closed_ms IS NULL")
_LEFT = text("SELECT coalesce(sum(free + held + sold + quarantined), 0) FROM outlet_stock WHERE outlet = :id")
_REACHED = text(
    "SELECT o.id FROM outlet AS o JOIN org_above AS a ON a.node = o.node WHERE o.merchant = :merchant"
    " AND a.above = :node"
)
_FREE = text(
    "SELECT s.outlet, s.sku, s.free FROM outlet_stock AS s JOIN outlet AS o ON o.id = s.outlet"
    " WHERE o.merchant = :merchant AND o.closed_ms IS NULL AND s.sku IN :skus"
).bindparams(bindparam("skus", expanding=True))
_SHOP_FREE = text("SELECT sku, free FROM stock WHERE merchant = :merchant AND sku IN :skus").bindparams(
    bindparam("skus", expanding=True)
)
_WAYS = text("SELECT express, pickup FROM shop_ways WHERE merchant = :merchant")
_SET_WAYS = text(
    "INSERT INTO shop_ways (merchant, express, pickup, staff, updated_ms) VALUES (:merchant, :express, :pickup, :staff,"
    " :now) ON CONFLICT (merchant) DO UPDATE SET express = excluded.express, pickup = excluded.pickup,"
    " staff = excluded.staff, updated_ms = excluded.updated_ms"
)


@dataclass(frozen=True, slots=True)
class Handing:
    """Which store hands an order over (empty: none), whose stock it takes (empty: the warehouse's), its node."""

    outlet: str = ""
    stock: str = ""
    node: str = ""


def add(db: Connection, **row: Any) -> None:
    """Write a store. Raises Refused (limit)."""
    if len(every(db, row["merchant"])) >= OUTLETS_MAX:
        raise Refused("limit", f"a shop has at most {OUTLETS_MAX} stores")
    db.execute(_INSERT, row)


def update(db: Connection, **row: Any) -> None:
    """Write a store anew. Raises NotFound, Refused (in_use) when it is to keep no stock and has some."""
    if not row["stocked"]:
        _check_empty(db, row["id"], "move its stock away first")
    if not db.execute(_UPDATE, row).rowcount:
        raise NotFound("no such store")


def every(db: Connection, merchant: str) -> list[dict[str, Any]]:
    """A merchant's open stores."""
    return [dict(row) for row in db.execute(_ALL, {"merchant": merchant, "limit": OUTLETS_MAX}).mappings()]


def one(db: Connection, merchant: str, outlet: str) -> dict[str, Any]:
    """An open store. Raises NotFound."""
    row = db.execute(_ONE, {"merchant": merchant, "id": outlet}).mappings().one_or_none()
    if row is None:
        raise NotFound("no such store", field="outlet")
    return dict(row)


def stocked(db: Connection, merchant: str, outlet: str) -> str:
    """A store that keeps stock of its own; empty for the warehouse (``outlet`` empty). Raises NotFound, Refused."""
    if outlet and not one(db, merchant, outlet)["stocked"]:
        raise Refused("not_open", "this store keeps no stock of its own", outlet=outlet)
    return outlet


def reached(db: Connection, merchant: str, reach: Reach) -> frozenset[str]:
    """The stores that stand under a node."""
    return frozenset(db.execute(_REACHED, {"merchant": merchant, "node": reach.node}).scalars())


def terms_of(row: Mapping[str, Any]) -> OutletTerms:
    """What a row of ``outlet`` offers."""
    hours = tuple((since, until) for since, until in orjson.loads(row["hours"]))
    flags = {name: bool(row[name]) for name in ("express", "pickup", "courier", "stocked")}
    return OutletTerms(**flags, radius_m=row["radius_m"], hours=hours)


def hands_over(db: Connection, merchant: str, wanted: Delivery | None, now_ms: int) -> Handing:
    """Who hands an order over.

    Raises NotFound, Refused (way, too_far, closed) when that is not offered: by the shop where no store is named.
    """
    if wanted is None or wanted.station:
        return Handing()
    if not wanted.outlet:
        if wanted.method not in shop_ways(db, merchant):
            raise Refused("way", f"this shop does not offer {wanted.method}: choose a store, or another way")
        return Handing()
    row = one(db, merchant, wanted.outlet)
    terms, outlet = terms_of(row), row["id"]
    fault = way_fault(terms, wanted.method, (row["lat_e6"], row["lng_e6"]), wanted.place, now_ms)
    if fault is not None:
        raise Refused(*fault, outlet=outlet)
    return Handing(outlet, outlet if terms.stocked else "", row["node"])


def stock_of(db: Connection, merchant: str, outlet: str) -> str:
    """Whose stock and prices an order from a store has: its own, or (empty) the shop's. Raises NotFound."""
    return outlet if outlet and one(db, merchant, outlet)["stocked"] else ""


def free_units(db: Connection, merchant: str, skus: Sequence[str]) -> dict[tuple[str, str], int]:
    """What is free of SKUs, by (outlet, sku); the outlet of the warehouse is empty."""
    asked = {"merchant": merchant, "skus": ["", *skus]}
    found = {(row.outlet, row.sku): int(row.free) for row in db.execute(_FREE, asked)}
    return found | {("", row.sku): int(row.free) for row in db.execute(_SHOP_FREE, asked)}


def shop_ways(db: Connection, merchant: str) -> tuple[str, ...]:
    """The ways that a shop offers where no store is named: express and pickup, unless it said otherwise."""
    row = db.execute(_WAYS, {"merchant": merchant}).one_or_none()
    if row is None:
        return ("express", "pickup")
    return tuple(way for way in ("express", "pickup") if getattr(row, way))


def set_shop_ways(db: Connection, merchant: str, staff: str, express: bool, pickup: bool, now_ms: int) -> None:
    """Write those ways."""
    row = {"merchant": merchant, "staff": staff, "express": int(express), "pickup": int(pickup), "now": now_ms}
    db.execute(_SET_WAYS, row)


def close(db: Connection, merchant: str, outlet: str, now_ms: int) -> None:
    """Close a store: its till's key opens nothing any more. Raises NotFound, Refused (in_use) while it has stock."""
    _check_empty(db, outlet, "move its stock away first, and hand over what was sold there")
    if not db.execute(_CLOSE, {"merchant": merchant, "id": outlet, "now": now_ms}).rowcount:
        raise NotFound("no such store")


def _check_empty(db: Connection, outlet: str, what: str) -> None:
    if db.execute(_LEFT, {"id": outlet}).scalar_one():
        raise Refused("in_use", what, outlet=outlet)


def of_key(db: Connection, digest: str) -> tuple[str, str] | None:
    """Store and merchant of a till's key."""
    row = db.execute(_BY_KEY, {"digest": digest}).one_or_none()
    return None if row is None else (row.id, row.merchant)
