"""Suppliers as rows, and the merchant's SKUs by the codes that a supplier's sheet names."""

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, text

from commerce.errors import NotFound, Refused

_INSERT = text(
    "INSERT INTO supplier (id, merchant, name, contact, phone, note, created_ms)"
    " VALUES (:id, :merchant, :name, :contact, :phone, :note, :now)"
)
_UPDATE = text(
    "UPDATE supplier SET name = :name, contact = :contact, phone = :phone, note = :note, closed_ms = :closed"
    " WHERE id = :id AND merchant = :merchant"
)
_NAMED = text("SELECT id FROM supplier WHERE merchant = :merchant AND name = :name")
_SKUS = text(
    "SELECT k.id, d.code, coalesce(d.grams, 0) AS grams FROM sku AS k LEFT JOIN sku_detail AS d ON d.sku = k.id"
    " WHERE k.merchant = :merchant AND (k.id IN :names OR d.code IN :names)"
).bindparams(bindparam("names", expanding=True))

_PRODUCTS = text("SELECT product FROM sku WHERE merchant = :merchant AND id IN :skus").bindparams(
    bindparam("skus", expanding=True)
)


def save_supplier(
    db: Connection, merchant: str, supplier: str, fields: dict[str, str], now_ms: int, *, new: bool, closed: bool
) -> None:
    """Write a supplier. Raises NotFound, Refused (already: the name is taken)."""
    there = db.execute(_NAMED, {"merchant": merchant, "name": fields["name"]}).scalar_one_or_none()
    if there not in (None, supplier):
        raise Refused("already", "there is a supplier of this name", supplier=there)
    known = {**fields, "id": supplier, "merchant": merchant}
    if new:
        db.execute(_INSERT, {**known, "now": now_ms})
    elif not db.execute(_UPDATE, {**known, "closed": now_ms if closed else None}).rowcount:
        raise NotFound("no such supplier")


def find_skus(db: Connection, merchant: str, names: Iterable[str]) -> dict[str, tuple[str, int]]:
    """SKUs by their code or id: our id, and the grams of one unit (0: by the piece)."""
    found: dict[str, tuple[str, int]] = {}
    for row in db.execute(_SKUS, {"merchant": merchant, "names": sorted({"", *names})}):
        found[row.id] = (row.id, row.grams)
        if row.code:
            found[row.code] = (row.id, row.grams)
    return found


def products_of(db: Connection, merchant: str, skus: Iterable[str]) -> list[str]:
    """The products that SKUs are variants of."""
    found = db.execute(_PRODUCTS, {"merchant": merchant, "skus": sorted({"", *skus})})
    return sorted(set(found.scalars()))
