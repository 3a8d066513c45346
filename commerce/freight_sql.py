"""Freight in SQL: the rules of a shop and its stores, what an order's comes to, what it paid."""

from typing import Any

import orjson
from sqlalchemy import Connection, Row, text

from commerce.domain.freight import FREIGHT_WAYS, Freight, FreightTerms, freight_of
from commerce.domain.pos import distance_m
from commerce.errors import NotFound

CARRIED = "LEFT JOIN order_freight AS f ON f.order_id = o.id"
"""Behind ``orders AS o``: what follows tells an order's goods and freight apart. Freight is no turnover of goods."""
GOODS = "(o.amount - coalesce(f.amount, 0))"
"""What was paid for an order's goods: what is counted as sold, and earns."""
BACK = f"(CASE WHEN o.refunded > {GOODS} THEN {GOODS} ELSE o.refunded END)"
"""What of it went back: the goods' money goes first, as ``domain/freight.freight_back`` has it."""
FREIGHT = "coalesce(f.amount, 0)"
FREIGHT_BACK = f"(o.refunded - {BACK})"
EARNS = "(o.amount - CASE WHEN f.counts THEN 0 ELSE coalesce(f.amount, 0) END)"
"""What points and tiers count: ``GOODS``, and of orders from before these were told apart the freight as well."""
EARNS_BACK = f"(CASE WHEN o.refunded > {EARNS} THEN {EARNS} ELSE o.refunded END)"

_RULE = text(
    "SELECT * FROM freight_rule WHERE merchant = :merchant AND way = :way AND outlet IN (:outlet, '')"
    " ORDER BY outlet DESC LIMIT 1"
)
_RULES = text(
    "SELECT r.*, coalesce(o.name, '') AS name FROM freight_rule AS r LEFT JOIN outlet AS o ON o.id = r.outlet"
    " WHERE r.merchant = :merchant ORDER BY r.outlet, r.way"
)
_SET = text(
    "INSERT INTO freight_rule (merchant, outlet, way, bands, free_from, keeps, staff, updated_ms) VALUES (:merchant,"
    " :outlet, :way, :bands, :free_from, :keeps, :staff, :now) ON CONFLICT (merchant, outlet, way) DO UPDATE SET"
    " bands = excluded.bands, free_from = excluded.free_from, keeps = excluded.keeps, staff = excluded.staff,"
    " updated_ms = excluded.updated_ms"
)
_UNSET = text("DELETE FROM freight_rule WHERE merchant = :merchant AND outlet = :outlet AND way = :way")
_PLACE = text("SELECT lat_e6, lng_e6 FROM outlet WHERE id = :outlet AND merchant = :merchant AND closed_ms IS NULL")
_WRITE = text(
    "INSERT INTO order_freight (order_id, merchant, way, amount, keeps, counts)"
    " VALUES (:order, :merchant, :way, :amount, :keeps, :counts)"
)
_OF = text("SELECT amount, keeps, counts FROM order_freight WHERE order_id = :order")


def read_freight(
    db: Connection, merchant: str, way: str, outlet: str, target: tuple[int, int] | None
) -> Freight | None:
    """What bringing goods from a store (or, ``outlet`` empty, the shop) costs: None where nothing is asked for it.

    ``target`` is the buyer's place (degrees × 10⁶); what is not known is as far as the last band.
    """
    if way not in FREIGHT_WAYS:
        return None
    rule = db.execute(_RULE, {"merchant": merchant, "way": way, "outlet": outlet}).one_or_none()
    if rule is None:
        return None
    place = db.execute(_PLACE, {"outlet": outlet, "merchant": merchant}).one_or_none() if outlet else None
    known = place is not None and target is not None
    distance = distance_m((place.lat_e6, place.lng_e6), target) if known and place and target else None
    return freight_of(_terms(rule), way, distance)


def _terms(row: Row[Any]) -> FreightTerms:
    bands = tuple((metres, fee) for metres, fee in orjson.loads(row.bands))
    return FreightTerms(bands, row.free_from, bool(row.keeps))


def write_freight(db: Connection, merchant: str, order: str, freight: Freight | None, amount: int) -> None:
    """Keep what an order pays for being brought, if it does, with the rule of this moment."""
    if freight is not None and amount:
        row = {"order": order, "merchant": merchant, "way": freight.way, "amount": amount, "keeps": freight.keeps}
        db.execute(_WRITE, row | {"counts": False})


def freight_paid(db: Connection, order: str) -> tuple[int, bool]:
    """What of an order is freight, and whether it stays the shop's once the goods are on their way."""
    row = db.execute(_OF, {"order": order}).one_or_none()
    return (0, False) if row is None else (int(row.amount), bool(row.keeps))


def earning_of(db: Connection, order: str, amount: int) -> int:
    """What of an order's ``amount`` earns points and tiers: see ``EARNS``."""
    row = db.execute(_OF, {"order": order}).one_or_none()
    return amount if row is None or row.counts else amount - int(row.amount)


def read_rules(db: Connection, merchant: str) -> list[dict[str, Any]]:
    """The rules of a shop, its own before those of its stores."""
    rows = db.execute(_RULES, {"merchant": merchant}).mappings()
    return [{**row, "bands": orjson.loads(row["bands"]), "keeps": bool(row["keeps"])} for row in rows]


def set_rule(
    db: Connection, merchant: str, outlet: str, way: str, terms: FreightTerms | None, staff: str, now_ms: int
) -> None:
    """Write a rule for orders from now on; None takes it away. Raises NotFound (store)."""
    if outlet and db.execute(_PLACE, {"outlet": outlet, "merchant": merchant}).one_or_none() is None:
        raise NotFound("no such store", field="outlet")
    where = {"merchant": merchant, "outlet": outlet, "way": way}
    if terms is None:
        db.execute(_UNSET, where)
        return
    bands = orjson.dumps(terms.bands).decode()
    more = {"bands": bands, "free_from": terms.free_from, "keeps": terms.keeps, "staff": staff, "now": now_ms}
    db.execute(_SET, where | more)
