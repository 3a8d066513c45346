"""In which stores coupons count: said of a template, and kept with each drop as it was when the drop began."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from commerce.outlets_sql import one

_OF_TEMPLATE = text("SELECT outlet FROM template_outlet WHERE template = :template ORDER BY outlet")
_BIND = text("INSERT INTO drop_outlet (drop_id, outlet) VALUES (:of, :outlet)")
_BIND_TEMPLATE = text("INSERT INTO template_outlet (template, outlet) VALUES (:of, :outlet)")
_ALL = text(
    "SELECT t.template, t.outlet FROM template_outlet AS t JOIN coupon_template AS c ON c.id = t.template"
    " WHERE c.merchant = :merchant ORDER BY t.template, t.outlet"
)


def bind_template(db: Connection, merchant: str, template: str, outlets: Sequence[str]) -> None:
    """Let a new template's coupons count in these stores alone. Raises NotFound."""
    for outlet in dict.fromkeys(outlets):
        db.execute(_BIND_TEMPLATE, {"of": template, "outlet": one(db, merchant, outlet)["id"]})


def bind_drop(db: Connection, merchant: str, drop: str, template: str | None, outlets: Sequence[str]) -> None:
    """Let a new drop's coupons count in ``outlets``, or without these in its template's. Raises NotFound."""
    named = [one(db, merchant, outlet)["id"] for outlet in outlets]
    if not named and template is not None:
        named = list(db.execute(_OF_TEMPLATE, {"template": template}).scalars())
    for outlet in named:
        db.execute(_BIND, {"of": drop, "outlet": outlet})


def of_templates(db: Connection, merchant: str) -> dict[str, list[str]]:
    """The stores of those templates that are bound to some."""
    found: dict[str, list[str]] = {}
    for row in db.execute(_ALL, {"merchant": merchant}):
        found.setdefault(row.template, []).append(row.outlet)
    return found
