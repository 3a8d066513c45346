"""Statements of what the regulator asks: each function runs inside the caller's transaction."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, Row, bindparam, text

from commerce.domain.ids import AFTER_ALL
from commerce.domain.policy import Policy, policy_of
from commerce.errors import NotFound, Refused

PAGE_MAX = 200
FORGOTTEN_MAX = 10_000
"""Lines of chat forgotten in one go, past their time."""

_POLICY = text("SELECT terms FROM shop_policy WHERE merchant = :merchant")
_POLICIES = text("SELECT merchant, terms FROM shop_policy")
_SET_POLICY = text(
    "INSERT INTO shop_policy (merchant, terms, staff, updated_ms) VALUES (:merchant, :terms, :staff, :now)"
    " ON CONFLICT (merchant) DO UPDATE SET terms = excluded.terms, staff = excluded.staff,"
    " updated_ms = excluded.updated_ms"
)
_LICENCE = text(
    "SELECT company, number, address, image, permits, updated_ms FROM shop_licence WHERE merchant = :merchant"
)
_SET_LICENCE = text(
    "INSERT INTO shop_licence (merchant, company, number, address, image, permits, staff, updated_ms) VALUES"
    " (:merchant, :company, :number, :address, :image, :permits, :staff, :now) ON CONFLICT (merchant) DO UPDATE SET"
    " company = excluded.company, number = excluded.number, address = excluded.address, image = excluded.image,"
    " permits = excluded.permits, staff = excluded.staff, updated_ms = excluded.updated_ms"
)
_BASIS = text("SELECT list_basis FROM sku_detail WHERE sku = :sku")
_SET_BASIS = text(
    "INSERT INTO sku_detail (sku, merchant, list_basis) VALUES (:sku, :merchant, :basis)"
    " ON CONFLICT (sku) DO UPDATE SET list_basis = excluded.list_basis"
)
_SET_RETURNS = text(
    "INSERT INTO product_detail (product, merchant, returns) VALUES (:product, :merchant, :returns)"
    " ON CONFLICT (product) DO UPDATE SET returns = excluded.returns"
)
_NOTICE = text(
    "SELECT p.id AS product, p.title, p.merchant, coalesce(d.returns, 'seven_days') AS returns,"
    " coalesce(d.media, '[]') AS media FROM product AS p LEFT JOIN product_detail AS d ON d.product = p.id"
    " WHERE p.id = :product AND p.on_shelf"
)
_NOTICE_SKUS = text(
    "SELECT k.id AS sku, k.name, k.list_price, coalesce(d.list_basis, '') AS list_basis, coalesce(d.grams, 0) AS grams"
    " FROM sku AS k LEFT JOIN sku_detail AS d ON d.sku = k.id WHERE k.product = :product ORDER BY k.id"
)
_RETURNS_OF = text(
    "SELECT DISTINCT coalesce(d.returns, 'seven_days') AS returns FROM order_line AS l"
    " LEFT JOIN product_detail AS d ON d.product = l.product WHERE l.order_id = :order AND l.sku IN :skus"
).bindparams(bindparam("skus", expanding=True))
_HOSTS = text(
    "SELECT id, room, shown, staff, created_ms, ended_ms FROM host_identity WHERE merchant = :merchant"
    " AND (:room = '' OR room = :room) ORDER BY id DESC LIMIT :limit"
)
_HOST = text("SELECT id, room, sealed FROM host_identity WHERE id = :id AND merchant = :merchant")
_END_HOST = text(
    "UPDATE host_identity SET ended_ms = :now WHERE merchant = :merchant AND room = :room AND ended_ms IS NULL"
)
_ADD_HOST = text(
    "INSERT INTO host_identity (id, merchant, room, sealed, shown, staff, created_ms)"
    " VALUES (:id, :merchant, :room, :sealed, :shown, :staff, :now)"
)
_HAS_HOST = text("SELECT count(*) FROM host_identity WHERE merchant = :merchant AND room = :room AND ended_ms IS NULL")
_KEEP_LINE = text(
    "INSERT INTO chat_line (id, merchant, room, person, role, name, text, at_ms)"
    " VALUES (:id, :merchant, :room, :person, :role, :name, :text, :at) ON CONFLICT (id) DO NOTHING"
)
_LINES = text(
    "SELECT id, room, person, role, name, text, at_ms FROM chat_line WHERE merchant = :merchant"
    " AND (:room = '' OR room = :room) AND (:person = '' OR person = :person) AND at_ms >= :since AND at_ms < :until"
    " AND id > :after ORDER BY id LIMIT :limit"
)
_FORGET_LINES = text(
    "DELETE FROM chat_line WHERE id IN (SELECT id FROM chat_line WHERE merchant = :merchant AND at_ms < :before"
    " LIMIT :limit)"
)
_TAKE_DOWN = text(
    "INSERT INTO takedown (id, merchant, kind, ref, reason, basis, staff, created_ms)"
    " VALUES (:id, :merchant, :kind, :ref, :reason, :basis, :staff, :now)"
)
_DOWN = text(
    "SELECT id, reason FROM takedown WHERE merchant = :merchant AND kind = :kind AND ref = :ref AND lifted_ms IS NULL"
    " ORDER BY id LIMIT 1"
)
_DOWN_PRODUCTS = text(
    "SELECT ref FROM takedown WHERE merchant = :merchant AND kind = 'product' AND lifted_ms IS NULL AND ref IN :refs"
).bindparams(bindparam("refs", expanding=True))
_LIFT = text(
    "UPDATE takedown SET lifted_by = :staff, lifted_ms = :now WHERE id = :id AND merchant = :merchant"
    " AND lifted_ms IS NULL"
)
_TAKEDOWNS = text(
    "SELECT id, kind, ref, reason, basis, staff, created_ms, lifted_by, lifted_ms FROM takedown"
    " WHERE merchant = :merchant AND id < :before ORDER BY id DESC LIMIT :limit"
)


def policy(db: Connection, merchant: str) -> Policy:
    """A shop's switches; the plain ones when it has set none."""
    stored = db.execute(_POLICY, {"merchant": merchant}).scalar_one_or_none()
    return Policy() if stored is None else policy_of(orjson.loads(stored))


def policies(db: Connection) -> dict[str, Policy]:
    """The switches of all shops that have set some."""
    return {row.merchant: policy_of(orjson.loads(row.terms)) for row in db.execute(_POLICIES)}


def set_policy(db: Connection, **row: Any) -> None:
    """Write a shop's switches."""
    db.execute(_SET_POLICY, row)


def licence(db: Connection, merchant: str) -> dict[str, Any] | None:
    """A shop's licence, as the viewer page shows it."""
    row = db.execute(_LICENCE, {"merchant": merchant}).mappings().one_or_none()
    return None if row is None else {**row, "permits": orjson.loads(row["permits"])}


def set_licence(db: Connection, **row: Any) -> None:
    """Write a shop's licence."""
    db.execute(_SET_LICENCE, row)


def check_basis(db: Connection, merchant: str, sku: str, price: int, list_price: int, basis: str | None = None) -> None:
    """Raises Refused (no_basis) when a struck-through price has no basis and the shop wants one; ``basis`` is new."""
    if list_price <= price or not policy(db, merchant).list_basis_required:
        return
    known = basis if basis is not None else db.execute(_BASIS, {"sku": sku}).scalar_one_or_none()
    if not known:
        raise Refused("no_basis", "a struck-through price needs its basis: where and when it was asked", sku=sku)


def set_basis(db: Connection, merchant: str, sku: str, basis: str) -> None:
    """Write what a struck-through price stands on."""
    db.execute(_SET_BASIS, {"merchant": merchant, "sku": sku, "basis": basis})


def set_returns(db: Connection, merchant: str, product: str, returns: str) -> None:
    """Write whether a product can be given back without a reason."""
    db.execute(_SET_RETURNS, {"merchant": merchant, "product": product, "returns": returns})


def notice(db: Connection, product: str) -> dict[str, Any]:
    """What a buyer is told of a product beside its price. Raises NotFound."""
    row = db.execute(_NOTICE, {"product": product}).mappings().one_or_none()
    if row is None:
        raise NotFound("no such product")
    skus = [dict(one) for one in db.execute(_NOTICE_SKUS, {"product": product}).mappings()]
    return {**row, "media": orjson.loads(row["media"]), "skus": skus}


def returns_of(db: Connection, order: str, skus: Sequence[str]) -> set[str]:
    """Under which exceptions the goods of an order fall."""
    return set(db.execute(_RETURNS_OF, {"order": order, "skus": ["", *skus]}).scalars())


def hosts(db: Connection, merchant: str, room: str) -> list[dict[str, Any]]:
    """Who hosts and hosted, newest first, masked."""
    asked = {"merchant": merchant, "room": room, "limit": PAGE_MAX}
    return [dict(row) for row in db.execute(_HOSTS, asked).mappings()]


def set_host(db: Connection, **row: Any) -> None:
    """Let somebody answer for a room from now on."""
    db.execute(_END_HOST, {name: row[name] for name in ("merchant", "room", "now")})
    db.execute(_ADD_HOST, row)


def host(db: Connection, merchant: str, identifier: str) -> Row[Any]:
    """One record, sealed as it is. Raises NotFound."""
    row = db.execute(_HOST, {"id": identifier, "merchant": merchant}).one_or_none()
    if row is None:
        raise NotFound("no such record of a host")
    return row


def has_host(db: Connection, merchant: str, room: str) -> bool:
    """Whether somebody answers for a room."""
    return bool(db.execute(_HAS_HOST, {"merchant": merchant, "room": room}).scalar_one())


def keep_lines(db: Connection, lines: Sequence[dict[str, Any]]) -> None:
    """Keep lines of chat; one that is there already stays."""
    if lines:
        db.execute(_KEEP_LINE, list(lines))


def lines(db: Connection, **asked: Any) -> list[dict[str, Any]]:
    """Kept lines of chat in the order of time."""
    return [dict(row) for row in db.execute(_LINES, asked).mappings()]


def forget_lines(db: Connection, merchant: str, before_ms: int) -> int:
    """Forget lines past their time; how many."""
    asked = {"merchant": merchant, "before": before_ms, "limit": FORGOTTEN_MAX}
    return int(db.execute(_FORGET_LINES, asked).rowcount)


def take_down(db: Connection, **row: Any) -> None:
    """Write a takedown. Raises Refused (already)."""
    if down(db, row["merchant"], row["kind"], row["ref"]) is not None:
        raise Refused("already", "it is down already")
    db.execute(_TAKE_DOWN, row)


def down(db: Connection, merchant: str, kind: str, ref: str) -> str | None:
    """The takedown that keeps a thing down, or None."""
    row = db.execute(_DOWN, {"merchant": merchant, "kind": kind, "ref": ref}).one_or_none()
    return None if row is None else str(row.id)


def check_up(db: Connection, merchant: str, products: Sequence[str]) -> None:
    """Raises Refused (taken_down) when one of these products may not be on sale."""
    found = db.execute(_DOWN_PRODUCTS, {"merchant": merchant, "refs": ["", *products]}).scalars().first()
    if found is not None:
        raise Refused("taken_down", "this product was taken down: lift that first", product=found)


def lift(db: Connection, **row: Any) -> None:
    """End a takedown. Raises NotFound."""
    if not db.execute(_LIFT, row).rowcount:
        raise NotFound("no such takedown, or it was lifted")


def takedowns(db: Connection, merchant: str, before: str | None, limit: int) -> list[dict[str, Any]]:
    """Takedowns, newest first."""
    asked = {"merchant": merchant, "before": before or AFTER_ALL, "limit": limit}
    return [dict(row) for row in db.execute(_TAKEDOWNS, asked).mappings()]
