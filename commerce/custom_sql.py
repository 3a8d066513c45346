"""Goods made to wishes, inside the ledger's transaction: what a line's wishes cost, and how far the making is.

Called from where orders are priced, paid, sent and refunded. Requests and their offers are in requests_sql.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import Connection, Row, bindparam, text

from commerce.domain.custom import NEXT, CustomField, CustomForm, Option, Wanted, Wish, grant
from commerce.domain.day import DAY_MS
from commerce.domain.policy import SEVEN_DAYS
from commerce.errors import Invalid, NotFound, Refused
from commerce.ledger_batch_sql import Batch
from commerce.ledger_custom import FormView, SetForm, WorkView
from commerce.pricing_sql import Line

LIST_MAX = 200
PICTURES = "pictures"
"""The heading of those that belong to no field of a form."""

_TARGET = text(
    "SELECT id FROM sku WHERE id = :target AND merchant = :merchant AND kind = 'goods'"
    " UNION ALL SELECT id FROM product WHERE id = :target AND merchant = :merchant"
)
_SET = text(
    "INSERT INTO custom_form (target, merchant, fields, making_days, asked, staff, updated_ms)"
    " VALUES (:target, :merchant, :fields, :days, :asked, :staff, :now) ON CONFLICT (target) DO UPDATE SET"
    " fields = excluded.fields, making_days = excluded.making_days, asked = excluded.asked, staff = excluded.staff,"
    " updated_ms = excluded.updated_ms"
)
_UNSET = text("DELETE FROM custom_form WHERE target = :target AND merchant = :merchant")
_FORMS = text("SELECT * FROM custom_form WHERE merchant = :merchant AND target IN :targets").bindparams(
    bindparam("targets", expanding=True)
)
_EVERY = text(
    "SELECT f.*, coalesce(d.returns, 'seven_days') AS returns FROM custom_form AS f LEFT JOIN sku AS k"
    " ON k.id = f.target LEFT JOIN product_detail AS d ON d.product = coalesce(k.product, f.target)"
    " WHERE f.merchant = :merchant ORDER BY f.target LIMIT :limit"
)
_PARENTS = text("SELECT id, product FROM sku WHERE merchant = :merchant AND id IN :targets").bindparams(
    bindparam("targets", expanding=True)
)
_RETURNS = text("SELECT product, returns FROM product_detail WHERE product IN :products").bindparams(
    bindparam("products", expanding=True)
)
_CUSTOM = text("SELECT product, sku FROM order_line WHERE order_id = :order AND wishes IS NOT NULL")
_DELIVER = text("SELECT deliver_ms FROM custom_request WHERE order_id IN (:order, :root) AND state = 'ordered'")
_BEGIN = text(
    "INSERT INTO production (id, merchant, stage, due_ms, paid_ms) VALUES (:id, :merchant, 'paid', :due, :now)"
    " ON CONFLICT (id) DO NOTHING"
)
_PRODUCTION = text("SELECT * FROM production WHERE id = :id")
_SENT = text("UPDATE production SET stage = 'sent', sent_ms = :now WHERE id = :id AND ended_ms IS NULL")
_END = text("UPDATE production SET ended_ms = :now WHERE id = :id AND ended_ms IS NULL AND stage <> 'sent'")
_GO_ON = text("UPDATE production SET ended_ms = NULL WHERE id = :id")
_OPEN = text(
    "SELECT p.*, g.id AS goods_order, g.person, g.delivery, g.status FROM production AS p"
    " JOIN orders AS o ON o.id = p.id LEFT JOIN presale AS s ON s.id = p.id"
    " JOIN orders AS g ON g.id = coalesce(s.balance, o.id)"
    " WHERE p.merchant = :merchant AND p.ended_ms IS NULL AND p.stage <> 'sent' AND (:stage = '' OR p.stage = :stage)"
    " AND (:after = '' OR (p.due_ms, p.id) > (SELECT l.due_ms, l.id FROM production AS l"
    " WHERE l.id = :after AND l.merchant = :merchant))"
    " ORDER BY p.due_ms, p.id LIMIT :limit"
)
_MADE_LINES = text(
    "SELECT order_id, title, quantity, wishes FROM order_line WHERE order_id IN :orders ORDER BY order_id, n"
).bindparams(bindparam("orders", expanding=True))


def set_form(batch: Batch, command: SetForm) -> bool:
    """Write a form; what was ordered stays as it is. Whether there is one now. Raises NotFound."""
    if batch.one(_TARGET, target=command.target, merchant=command.merchant) is None:
        raise NotFound("no such goods", target=command.target)
    form = command.form
    if form is None:
        batch.run(_UNSET, target=command.target, merchant=command.merchant)
        return False
    batch.run(
        _SET,
        target=command.target,
        merchant=command.merchant,
        fields=orjson.dumps(form.fields).decode(),
        days=form.making_days,
        asked=int(form.asked),
        staff=command.staff,
        now=batch.now_ms,
    )
    return True


def form_of(row: Row[Any]) -> CustomForm:
    """A row of ``custom_form``."""
    fields = [
        CustomField(**{**one, "options": tuple(Option(**option) for option in one["options"])})
        for one in orjson.loads(row.fields)
    ]
    return CustomForm(tuple(fields), row.making_days, bool(row.asked))


def forms_of(connection: Connection, merchant: str, goods: Sequence[tuple[str, str]]) -> dict[str, CustomForm]:
    """The forms of some goods (product, SKU), by SKU: a SKU's own before its product's."""
    targets = {target for pair in goods for target in pair}
    if not targets:
        return {}
    rows = connection.execute(_FORMS, {"merchant": merchant, "targets": sorted(targets)})
    forms = {row.target: form_of(row) for row in rows}
    found = {sku: forms.get(sku) or forms.get(product) for product, sku in goods}
    return {sku: form for sku, form in found.items() if form is not None}


def granted(form: CustomForm | None, sku: str, wanted: Wanted) -> tuple[Wish, ...] | None:
    """What was wished of a SKU, with its price; None of goods that are as they are. Raises Invalid."""
    if form is None and not wanted:
        return None
    try:
        return grant(form or CustomForm(), wanted)
    except ValueError as error:
        raise Invalid(str(error), field="custom", sku=sku) from error


def with_wishes(connection: Connection, merchant: str, lines: Sequence[Line]) -> list[Line]:
    """The lines with what their wishes add to the price of a unit. Raises Invalid, Refused (not_open).

    An offer's line has been granted its wishes before.
    """
    open_ = [line for line in lines if not line.request]
    forms = forms_of(connection, merchant, [(line.product, line.priced.sku) for line in open_])
    made = []
    for line in lines:
        form = forms.get(line.priced.sku)
        if line.request or (form is None and not line.wanted):
            made.append(line)
            continue
        if form is not None and form.asked:
            raise Refused("not_open", "these goods are made on request: ask for their price first", sku=line.priced.sku)
        wishes = granted(form, line.priced.sku, line.wanted)
        extra = sum(wish.amount for wish in wishes or ())
        if extra and line.presale_price:
            raise Invalid("a presale takes no wishes that cost more: make an offer instead", field="custom")
        made.append(replace(line, wishes=wishes, priced=replace(line.priced, extra=extra)))
    return made


def wishes_text(wishes: Sequence[Wish] | None) -> str | None:
    """Wishes as a line keeps them."""
    return None if wishes is None else orjson.dumps([wish.as_json() for wish in wishes]).decode()


def in_words(wishes: str | None) -> str:
    """A line's kept wishes on one line of a packing list or an invoice."""
    return "; ".join(wish_words(wish) for wish in orjson.loads(wishes or "[]"))


def wish_words(wish: Mapping[str, Any]) -> str:
    """A kept wish in words; of pictures, how many."""
    return f"{wish['label'] or PICTURES}: {wish['value']}"


def returns_of(connection: Connection, products: Sequence[str]) -> dict[str, str]:
    """Under which rule of giving back products fall, where it is not the plain one."""
    if not products:
        return {}
    return {row.product: row.returns for row in connection.execute(_RETURNS, {"products": list(products)})}


# --- the making ------------------------------------------------------------------------------------------------------


def begin_production(batch: Batch, row: Row[Any]) -> None:
    """An order was paid: what is made to wishes waits to be confirmed. Told again nothing happens."""
    goods = [(line.product, line.sku) for line in batch.run(_CUSTOM, order=row.id)]
    if not goods:
        return
    root = row.presale or row.id
    due = batch.run(_DELIVER, order=row.id, root=root).scalar()
    if due is None:
        forms = forms_of(batch.connection, row.merchant, goods).values()
        due = batch.now_ms + max((form.making_days for form in forms), default=0) * DAY_MS
    batch.run(_BEGIN, id=root, merchant=row.merchant, due=due, now=batch.now_ms)


def check_made(batch: Batch, row: Row[Any]) -> None:
    """Raise Refused (not_open) when an order's goods are still to be made."""
    made = batch.one(_PRODUCTION, id=row.presale or row.id)
    if made is not None and made.ended_ms is None and made.stage in NEXT:
        raise Refused("not_open", f"its goods are not ready yet: they are {made.stage}", order=row.id, stage=made.stage)


def production_sent(batch: Batch, row: Row[Any]) -> None:
    """The goods of an order left."""
    batch.run(_SENT, id=row.presale or row.id, now=batch.now_ms)


def end_production(batch: Batch, row: Row[Any]) -> None:
    """All of an order went back, or its deposit is kept: nothing more is made for it."""
    batch.run(_END, id=row.presale or row.id, now=batch.now_ms)


def resume_production(batch: Batch, row: Row[Any]) -> None:
    """Money for a balance came after all."""
    batch.run(_GO_ON, id=row.presale or row.id)


# --- reads -----------------------------------------------------------------------------------------------------------


def read_forms(connection: Connection, merchant: str, targets: Sequence[str]) -> list[FormView]:
    """The forms of some SKUs, each with the form that holds for it; of no SKUs: all forms as they are kept."""
    if not targets:
        rows = connection.execute(_EVERY, {"merchant": merchant, "limit": LIST_MAX}).all()
        return [_form_view(row.target, form_of(row), row.returns) for row in rows]
    asked = connection.execute(_PARENTS, {"merchant": merchant, "targets": list(targets)[:LIST_MAX]}).all()
    products = {row.id: row.product for row in asked}
    forms = forms_of(connection, merchant, [(row.product, row.id) for row in asked])
    returns = returns_of(connection, sorted(set(products.values())))
    return [_form_view(sku, form, returns.get(products[sku], SEVEN_DAYS)) for sku, form in sorted(forms.items())]


def _form_view(target: str, form: CustomForm, returns: str) -> FormView:
    fields = tuple(orjson.loads(orjson.dumps(form.fields)))
    return FormView(target, fields, form.making_days, form.asked, returns)


def read_work(connection: Connection, merchant: str, stage: str, limit: int, after: str = "") -> list[WorkView]:
    """What is to be made, most urgent first, behind the order ``after``."""
    asked = {"merchant": merchant, "stage": stage, "limit": min(limit, LIST_MAX), "after": after}
    rows = connection.execute(_OPEN, asked).all()
    lines: dict[str, list[dict[str, Any]]] = {}
    if rows:
        for line in connection.execute(_MADE_LINES, {"orders": [row.goods_order for row in rows]}):
            wishes = orjson.loads(line.wishes or "[]")
            lines.setdefault(line.order_id, []).append(
                {"title": line.title, "quantity": line.quantity, "wishes": wishes}
            )
    return [
        WorkView(
            row.id, row.goods_order, row.person, row.stage, row.due_ms, row.paid_ms, tuple(lines[row.goods_order]),
            None if row.delivery is None else orjson.loads(row.delivery), row.status not in ("pending", "cancelled"),
        )
        for row in rows
    ]  # fmt: skip
