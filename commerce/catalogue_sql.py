"""The catalogue's statements: each function runs inside the caller's transaction.

Every one that names a room or product also names its merchant, and raises ``NotFound`` when they do not belong
together; reads for the public page pass ``merchant=None``.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from sqlalchemy import Connection, Row, RowMapping, TextClause, bindparam, text

from commerce.catalogue_views import (
    Card,
    CouponTemplate,
    Merchant,
    ProductView,
    RoomView,
    Staff,
    VariantView,
    clip_address,
)
from commerce.domain.offer import VERSIONS_OF_AN_OFFER, price_at
from commerce.errors import NotFound, Refused
from commerce.outlet_coupons_sql import bind_template, of_templates

Transaction: TypeAlias = Connection
"""The open transaction that callers pass through without knowing SQLAlchemy."""

PINS_MAX = 3  # what fits beside the picture on a phone (domain: up to 3 pinned)
SHELF_MAX = 200  # products in one room; the whole shelf travels in each snapshot
ROOMS_MAX = 500  # rooms listed; a merchant's archive beyond that is not this list's business
PRODUCTS_PAGE_MAX = 200
VARIANTS_MAX = 50  # SKUs of one product: sizes times colours; the card of each travels in the snapshot


def _free(sku: str) -> str:
    """What is free of a SKU wherever it is: in the warehouse and in the stores."""
    return f"coalesce(st.free, 0) + coalesce((SELECT sum(o.free) FROM outlet_stock o WHERE o.sku = {sku}), 0)"  # noqa: S608


# A product's default SKU is its oldest.
_FIRST_SKU = "(SELECT min(k.id) FROM sku k WHERE k.product = p.id)"
_CARD = (
    "SELECT p.id AS product, s.id AS sku, p.title, s.price, s.list_price, p.image, s.version, s.kind, s.bonus,"  # noqa: S608 - constants
    f" p.category, s.offer_price, s.offer_from_ms, s.offer_until_ms, {_free('s.id')} AS stock,"
    " coalesce(n.explaining, false) AS explaining, n.media_ms, f.state,"
    " (SELECT c.id FROM clip c WHERE c.room = f.room AND c.product = f.product ORDER BY c.id DESC LIMIT 1) AS clip"
    f" FROM shelf f JOIN product p ON p.id = f.product AND p.on_shelf JOIN sku s ON s.id = {_FIRST_SKU}"
    " LEFT JOIN stock st ON st.sku = s.id LEFT JOIN pin n ON n.room = f.room AND n.product = f.product"
    " WHERE f.room = :room"
)
_SHELF = text(f"{_CARD} ORDER BY f.position")
_PINS = text(f"{_CARD} AND n.product IS NOT NULL ORDER BY n.explaining DESC, n.pinned_ms, f.position")
_PRODUCT = (
    "SELECT p.id AS product, s.id AS sku, p.title, s.price, s.list_price, p.image, p.detail, s.version, p.on_shelf,"  # noqa: S608 - constants
    " s.kind, s.bonus, p.category, s.offer_price, s.offer_from_ms, s.offer_until_ms,"
    f" {_free('s.id')} AS stock FROM product p JOIN sku s ON s.id = {_FIRST_SKU}"
    " LEFT JOIN stock st ON st.sku = s.id WHERE p.merchant = :merchant"
)
_VARIANTS = text(
    f"SELECT k.*, {_free('k.id')} AS stock FROM sku k LEFT JOIN stock st ON st.sku = k.id WHERE k.product IN"  # noqa: S608
    " (SELECT m.product FROM sku m WHERE m.product IN :products GROUP BY m.product HAVING count(*) > 1)"
    " ORDER BY k.product, k.id"
).bindparams(bindparam("products", expanding=True))
_SKU = text("SELECT * FROM sku WHERE id = :sku AND merchant = :merchant")
_INSERT_SKU = text(
    "INSERT INTO sku (id, product, merchant, name, price, list_price, version, kind, bonus, slot_ms)"
    " VALUES (:sku, :product, :merchant, :name, :price, :list_price, :version, :kind, :bonus, :slot)"
)
_ONE_PRODUCT = text(f"{_PRODUCT} AND p.id = :product")
_PRODUCTS = text(f"{_PRODUCT} AND p.id > :after AND (:every OR p.category = :category) ORDER BY p.id LIMIT :limit")
_ROOM = "SELECT id, merchant, title, host_name, cover, created_ms, closed_ms FROM room"
_ONE_ROOM = text(f"{_ROOM} WHERE id = :room")
_ROOMS = text(f"{_ROOM} WHERE merchant = :merchant ORDER BY created_ms DESC, id DESC LIMIT :limit")
_EVERY_ROOM = text(f"{_ROOM} WHERE closed_ms IS NULL ORDER BY id")
_STAFF = "SELECT id, merchant, login, role, name, room"


def insert_merchant(db: Connection, merchant: Merchant, now_ms: int) -> None:
    """Write a new merchant."""
    db.execute(
        text("INSERT INTO merchant (id, name, created_ms) VALUES (:id, :name, :now)"),
        {"id": merchant.id, "name": merchant.name, "now": now_ms},
    )


def merchant(db: Connection, merchant_id: str) -> Merchant:
    """Read a merchant. Raises ``NotFound``."""
    row = db.execute(text("SELECT id, name FROM merchant WHERE id = :id"), {"id": merchant_id}).one_or_none()
    if row is None:
        raise NotFound("no such merchant")
    return Merchant(row.id, row.name)


def insert_staff(db: Connection, staff: Staff, password_hash: str, now_ms: int) -> None:
    """Write a member of staff. Raises ``Refused("already")`` when the login is taken."""
    merchant(db, staff.merchant)
    if staff.room is not None:
        room(db, staff.room, staff.merchant)
    done = db.execute(
        text(
            "INSERT INTO staff (id, merchant, login, password_hash, role, name, room, created_ms)"
            " VALUES (:id, :merchant, :login, :hash, :role, :name, :room, :now) ON CONFLICT (login) DO NOTHING"
        ),
        {
            "id": staff.id,
            "merchant": staff.merchant,
            "login": staff.login,
            "hash": password_hash,
            "role": staff.role,
            "name": staff.name,
            "room": staff.room,
            "now": now_ms,
        },
    )
    if done.rowcount == 0:
        raise Refused("already", "this login is taken")


def staff_by_login(db: Connection, login: str) -> tuple[Staff, str] | None:
    """Read who logs in by this name, with the stored hash."""
    row = db.execute(text(f"{_STAFF}, password_hash FROM staff WHERE login = :login"), {"login": login}).one_or_none()
    if row is None:
        return None
    return Staff(row.id, row.merchant, row.login, row.role, row.name, row.room), row.password_hash


def staff_of(db: Connection, merchant_id: str) -> list[Staff]:
    """List a merchant's staff by name of login."""
    found = db.execute(text(f"{_STAFF} FROM staff WHERE merchant = :m ORDER BY login"), {"m": merchant_id})
    return [Staff(row.id, row.merchant, row.login, row.role, row.name, row.room) for row in found]


def insert_room(db: Connection, view: RoomView) -> None:
    """Write a new room."""
    merchant(db, view.merchant)
    db.execute(
        text(
            "INSERT INTO room (id, merchant, title, host_name, cover, created_ms, closed_ms)"
            " VALUES (:id, :merchant, :title, :host, :cover, :created, NULL)"
        ),
        {
            "id": view.id,
            "merchant": view.merchant,
            "title": view.title,
            "host": view.host,
            "cover": view.cover,
            "created": view.created_ms,
        },
    )


def update_room(db: Connection, view: RoomView) -> None:
    """Write a room's title, host, cover and end."""
    db.execute(
        text("UPDATE room SET title = :title, host_name = :host, cover = :cover, closed_ms = :closed WHERE id = :id"),
        {"id": view.id, "title": view.title, "host": view.host, "cover": view.cover, "closed": view.closed_ms},
    )


def room(db: Connection, room_id: str, merchant_id: str | None) -> RoomView:
    """Read a room. Raises ``NotFound``, also for another merchant's."""
    row = db.execute(_ONE_ROOM, {"room": room_id}).one_or_none()
    if row is None or (merchant_id is not None and row.merchant != merchant_id):
        raise NotFound("no such room")
    return RoomView(row.id, row.merchant, row.title, row.host_name, row.cover, row.created_ms, row.closed_ms)


def rooms(db: Connection, merchant_id: str) -> list[RoomView]:
    """List a merchant's rooms, newest first, at most ``ROOMS_MAX``."""
    return [
        RoomView(row.id, row.merchant, row.title, row.host_name, row.cover, row.created_ms, row.closed_ms)
        for row in db.execute(_ROOMS, {"merchant": merchant_id, "limit": ROOMS_MAX})
    ]


def every_room(db: Connection) -> list[RoomView]:
    """List the open rooms of all merchants."""
    return [
        RoomView(row.id, row.merchant, row.title, row.host_name, row.cover, row.created_ms, row.closed_ms)
        for row in db.execute(_EVERY_ROOM)
    ]


def insert_product(db: Connection, merchant_id: str, view: ProductView, now_ms: int) -> None:
    """Write a product and its default SKU."""
    merchant(db, merchant_id)
    row = {
        "product": view.product,
        "merchant": merchant_id,
        "title": view.title,
        "image": view.image,
        "detail": view.detail,
        "on_shelf": view.on_shelf,
        "category": view.category,
        "now": now_ms,
        "sku": view.sku,
        "price": view.price,
        "list_price": view.list_price,
        "version": view.version,
    }
    db.execute(
        text(
            "INSERT INTO product (id, merchant, title, image, detail, on_shelf, category, created_ms)"
            " VALUES (:product, :merchant, :title, :image, :detail, :on_shelf, :category, :now)"
        ),
        row,
    )
    db.execute(_INSERT_SKU, row | {"name": "", "kind": view.kind, "bonus": view.bonus, "slot": None})


def product(db: Connection, merchant_id: str, product_id: str) -> ProductView:
    """Read a product with its SKU. Raises ``NotFound``."""
    row = db.execute(_ONE_PRODUCT, {"merchant": merchant_id, "product": product_id}).mappings().one_or_none()
    if row is None:
        raise NotFound("no such product")
    return _product(row, _variants(db, [product_id]))


def products(
    db: Connection, merchant_id: str, after: str, limit: int, category: str | None = None
) -> list[ProductView]:
    """List a merchant's products by age, those after the id ``after``; of one ``category``, "" for those without."""
    asked = {"merchant": merchant_id, "after": after, "limit": limit}
    which = {"every": category is None, "category": category or ""}
    found = db.execute(_PRODUCTS, asked | which).mappings().all()
    variants = _variants(db, [row["product"] for row in found])
    return [_product(row, variants) for row in found]


def update_product(db: Connection, view: ProductView) -> None:
    """Write a product's texts and its SKU's price; the caller has set the version."""
    row = {
        "product": view.product,
        "title": view.title,
        "image": view.image,
        "detail": view.detail,
        "on_shelf": view.on_shelf,
        "category": view.category,
        "sku": view.sku,
        "price": view.price,
        "list_price": view.list_price,
        "version": view.version,
    }
    db.execute(
        text(
            "UPDATE product SET title = :title, image = :image, detail = :detail, on_shelf = :on_shelf,"
            " category = :category WHERE id = :product"
        ),
        row,
    )
    db.execute(text("UPDATE sku SET price = :price, list_price = :list_price, version = :version WHERE id = :sku"), row)


def rooms_showing(db: Connection, product_id: str) -> list[tuple[str, bool]]:
    """List the open rooms that have the product on their shelf, each with whether it is pinned there."""
    found = db.execute(
        text(
            "SELECT f.room, n.product IS NOT NULL AS pinned FROM shelf f JOIN room r ON r.id = f.room"
            " LEFT JOIN pin n ON n.room = f.room AND n.product = f.product"
            " WHERE f.product = :product AND r.closed_ms IS NULL ORDER BY f.room"
        ),
        {"product": product_id},
    )
    return [(row.room, bool(row.pinned)) for row in found]


def shelf(db: Connection, room_id: str, now_ms: int) -> tuple[Card, ...]:
    """Read a room's shelf in order, at the prices of a moment; goods taken off sale are left out."""
    return _cards(db, _SHELF, room_id, now_ms)


def pins(db: Connection, room_id: str, now_ms: int) -> tuple[Card, ...]:
    """Read a room's pins at the prices of a moment, the one being explained first."""
    return _cards(db, _PINS, room_id, now_ms)


def place(db: Connection, room_id: str, product_id: str, position: int | None) -> bool:
    """Put a product at a position of the shelf (1 is the top, ``None`` keeps its place or takes the end).

    Says whether anything changed. Raises ``Refused("limit")`` on a full shelf.
    """
    order = _order(db, room_id)
    present = product_id in order
    if present and position is None:
        return False
    if not present and len(order) >= SHELF_MAX:
        raise Refused("limit", f"a shelf holds at most {SHELF_MAX} products")
    wanted = [one for one in order if one != product_id]
    wanted.insert(len(wanted) if position is None else position - 1, product_id)
    if wanted == order:
        return False
    if not present:
        db.execute(
            text("INSERT INTO shelf (room, product, position, state) VALUES (:room, :product, :position, 'on')"),
            {"room": room_id, "product": product_id, "position": len(order) + 1},
        )
    _renumber(db, room_id, wanted)
    return True


def take_off(db: Connection, room_id: str, product_id: str) -> tuple[bool, bool]:
    """Take a product off a room's shelf and its pin with it: (was on the shelf, was pinned)."""
    pinned = unpin(db, room_id, product_id)
    gone = db.execute(
        text("DELETE FROM shelf WHERE room = :room AND product = :product"), {"room": room_id, "product": product_id}
    )
    if gone.rowcount:
        _renumber(db, room_id, _order(db, room_id))
    return bool(gone.rowcount), pinned


def mark(db: Connection, room_id: str, product_id: str, state: str) -> None:
    """Set a shelf entry's state, ``on`` or ``sold_out``. Raises ``NotFound`` when it is not on the shelf."""
    done = db.execute(
        text("UPDATE shelf SET state = :state WHERE room = :room AND product = :product"),
        {"state": state, "room": room_id, "product": product_id},
    )
    if done.rowcount == 0:
        raise NotFound("this product is not on the shelf of this room")


def pin(db: Connection, room_id: str, product_id: str, *, explaining: bool, media_ms: int | None, now_ms: int) -> None:
    """Pin a product; explaining it moves the mark from the one explained before. Raises ``Refused("limit")``."""
    row = {"room": room_id, "product": product_id, "explaining": explaining, "media": media_ms, "now": now_ms}
    others = db.execute(text("SELECT count(*) FROM pin WHERE room = :room AND product <> :product"), row).scalar_one()
    if others >= PINS_MAX:
        raise Refused("limit", f"at most {PINS_MAX} products are pinned at once; unpin one first")
    if explaining:
        db.execute(
            text("UPDATE pin SET explaining = false WHERE room = :room AND explaining AND product <> :product"), row
        )
    db.execute(
        text(
            "INSERT INTO pin (room, product, explaining, pinned_ms, media_ms)"
            " VALUES (:room, :product, :explaining, :now, :media) ON CONFLICT (room, product)"
            " DO UPDATE SET explaining = excluded.explaining, media_ms = excluded.media_ms"
        ),
        row,
    )


def unpin(db: Connection, room_id: str, product_id: str) -> bool:
    """Take a pin off and say whether there was one."""
    gone = db.execute(
        text("DELETE FROM pin WHERE room = :room AND product = :product"), {"room": room_id, "product": product_id}
    )
    return bool(gone.rowcount)


def insert_template(db: Connection, template: CouponTemplate, now_ms: int) -> None:
    """Write a coupon template. Raises ``NotFound`` for a store that is not the merchant's."""
    merchant(db, template.merchant)
    db.execute(
        text(
            "INSERT INTO coupon_template"
            " (id, merchant, title, reason, amount, threshold, total, per_person, valid_s, created_ms,"
            " percent, stack, audience, issuer) VALUES (:id, :merchant, :title, :reason, :amount, :threshold, :total,"
            " :per_person, :valid_s, :now, :percent, :stack, :audience, :issuer)"
        ),
        {
            "id": template.id,
            "merchant": template.merchant,
            "title": template.title,
            "reason": template.reason,
            "amount": template.amount,
            "threshold": template.threshold,
            "total": template.total,
            "per_person": template.per_person,
            "valid_s": template.valid_s,
            "now": now_ms,
            "percent": template.percent,
            "stack": template.stack,
            "audience": template.audience,
            "issuer": template.issuer,
        },
    )
    bind_template(db, template.merchant, template.id, template.outlets)


def templates(db: Connection, merchant_id: str) -> list[CouponTemplate]:
    """List a merchant's coupon templates, newest first."""
    found = db.execute(
        text(
            "SELECT id, merchant, title, reason, amount, threshold, total, per_person, valid_s,"
            " percent, stack, audience, issuer FROM coupon_template"
            " WHERE merchant = :merchant ORDER BY id DESC LIMIT :limit"
        ),
        {"merchant": merchant_id, "limit": PRODUCTS_PAGE_MAX},
    )
    bound = of_templates(db, merchant_id)
    return [replace(CouponTemplate(*row), outlets=tuple(bound.get(row.id, ()))) for row in found]


def add_variant(db: Connection, merchant_id: str, product_id: str, view: VariantView) -> None:
    """Write one more SKU of a product. Raises ``Refused("limit")``, ``Refused("already")`` for a name it has."""
    there = db.execute(text("SELECT id, name FROM sku WHERE product = :product"), {"product": product_id}).all()
    if len(there) >= VARIANTS_MAX:
        raise Refused("limit", f"a product has at most {VARIANTS_MAX} variants")
    if view.name in {row.name for row in there}:
        raise Refused("already", "the product has a variant of this name")
    row = {"sku": view.sku, "product": product_id, "merchant": merchant_id, "name": view.name, "price": view.price}
    more = {"list_price": view.list_price, "version": view.version, "kind": "goods", "bonus": 0, "slot": view.slot}
    db.execute(_INSERT_SKU, {**row, **more})


def newest_sku(db: Connection, product_id: str) -> str:
    """The id of the SKU that a product got last."""
    return str(db.execute(text("SELECT max(id) FROM sku WHERE product = :product"), {"product": product_id}).scalar())


def name_default(db: Connection, sku: str, name: str) -> None:
    """Write the name of the SKU that a product was made with."""
    db.execute(text("UPDATE sku SET name = :name WHERE id = :sku"), {"sku": sku, "name": name})


def sku(db: Connection, merchant_id: str, sku_id: str) -> Row[Any]:
    """Read a SKU's row. Raises ``NotFound``."""
    row = db.execute(_SKU, {"sku": sku_id, "merchant": merchant_id}).one_or_none()
    if row is None:
        raise NotFound("no such product", sku=sku_id)
    return row


def set_sku_price(db: Connection, sku_id: str, price: int, list_price: int, version: int) -> None:
    """Write a SKU's shelf price; the caller has set the version."""
    row = {"sku": sku_id, "price": price, "list_price": list_price, "version": version}
    db.execute(text("UPDATE sku SET price = :price, list_price = :list_price, version = :version WHERE id = :sku"), row)


def set_offer(db: Connection, sku_id: str, price: int | None, from_ms: int | None, until_ms: int | None) -> None:
    """Write a SKU's limited-time price, or none, with a version past all that the one before had."""
    db.execute(
        text(
            "UPDATE sku SET offer_price = :price, offer_from_ms = :from_ms, offer_until_ms = :until_ms,"
            " version = version + :versions WHERE id = :sku"
        ),
        {"sku": sku_id, "price": price, "from_ms": from_ms, "until_ms": until_ms, "versions": VERSIONS_OF_AN_OFFER},
    )


def _variants(db: Connection, products: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """The SKUs of those products that have several."""
    found: dict[str, list[Row[Any]]] = {}
    if products:
        for row in db.execute(_VARIANTS, {"products": sorted(set(products))}):
            found.setdefault(row.product, []).append(row)
    return found


def _variant(row: Row[Any], now_ms: int | None) -> VariantView:
    """A SKU as a card shows it now, or, without a time, at its shelf price."""
    if now_ms is None:
        return VariantView(row.id, row.name, row.price, row.list_price, row.version, row.stock, row.slot_ms)
    now = price_at(row.price, row.version, row.offer_price, row.offer_from_ms, row.offer_until_ms, now_ms)
    stock = 0 if row.slot_ms is not None and row.slot_ms <= now_ms else row.stock
    return VariantView(row.id, row.name, now.price, max(row.list_price, now.shelf), now.version, stock, row.slot_ms)


def _turns(row: Any, now_ms: int) -> list[int]:
    """The moments to come at which a SKU's price changes, or its time begins."""
    moments = (row.offer_from_ms, row.offer_until_ms, getattr(row, "slot_ms", None))
    return [moment for moment in moments if moment is not None and moment > now_ms]


def _cards(db: Connection, query: TextClause, room_id: str, now_ms: int) -> tuple[Card, ...]:
    rows = db.execute(query, {"room": room_id}).all()
    variants = _variants(db, [row.product for row in rows])
    return tuple(_card(row, variants.get(row.product, []), now_ms) for row in rows)


def _card(row: Row[Any], variants: Sequence[Row[Any]], now_ms: int) -> Card:
    now = price_at(row.price, row.version, row.offer_price, row.offer_from_ms, row.offer_until_ms, now_ms)
    shown = tuple(_variant(one, now_ms) for one in variants)
    turns = [moment for one in (row, *variants) for moment in _turns(one, now_ms)]
    return Card(
        row.product,
        row.sku,
        row.title,
        now.price,
        max(row.list_price, now.shelf),
        row.image,
        sum(one.stock for one in shown) if shown else row.stock,
        now.version,
        bool(row.explaining),
        row.media_ms,
        row.state,
        clip_address(row.clip) if row.clip else None,
        row.kind,
        row.bonus,
        None if now.limited is None else row.offer_until_ms,
        min(turns, default=None),
        shown,
        row.category,
    )


def _product(row: RowMapping, variants: dict[str, list[Row[Any]]]) -> ProductView:
    return ProductView(
        row["product"],
        row["sku"],
        row["title"],
        row["price"],
        row["list_price"],
        row["image"],
        row["detail"],
        row["stock"],
        row["version"],
        bool(row["on_shelf"]),
        row["kind"],
        row["bonus"],
        row["offer_price"],
        row["offer_from_ms"],
        row["offer_until_ms"],
        tuple(_variant(one, None) for one in variants.get(row["product"], [])),
        row["category"],
    )


def _order(db: Connection, room_id: str) -> list[str]:
    found = db.execute(text("SELECT product FROM shelf WHERE room = :room ORDER BY position"), {"room": room_id})
    return [row.product for row in found]


def _renumber(db: Connection, room_id: str, order: Sequence[str]) -> None:
    if order:
        db.execute(
            text("UPDATE shelf SET position = :position WHERE room = :room AND product = :product").bindparams(
                bindparam("position"), bindparam("room"), bindparam("product")
            ),
            [{"room": room_id, "product": one, "position": n} for n, one in enumerate(order, 1)],
        )
