"""Invoices of orders and refunds: what is asked for, and what was issued, each in one transaction.

A blue one is of the money that an order cost and that did not go back before; each refund after it that gave money is
answered by a red one of its amount. Goods paid with stored value have no invoice: that was invoiced when it was bought.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text

from commerce.books_sql import RATED, SHOP_RATE
from commerce.custom_sql import in_words
from commerce.domain.ids import AFTER_ALL
from commerce.domain.money import allocate, portion
from commerce.errors import NotFound, Refused
from commerce.fresh_ids import fresh_id
from commerce.invoice import InvoiceLine, InvoiceRequest, IssuedInvoice

INVOICES_PAGE_MAX = 200
UNFINISHED_MAX = 500
"""Invoices asked for again in one go."""

LINE_CHARACTERS_MAX = 300
"""Of a line's title with what it is made to."""

_ORDER = text("SELECT * FROM orders WHERE id = :order AND merchant = :merchant")
_FREIGHT = text(
    f"SELECT '配送费' AS title, '' AS wishes, 1 AS quantity, f.amount AS price, 0 AS discount, {SHOP_RATE} AS rate"  # noqa: S608
    " FROM order_freight AS f JOIN orders AS o ON o.id = f.order_id WHERE o.id = :order"
)
_LINES = text(RATED.replace(" l.title,", " l.title, l.wishes,") + " WHERE o.id = :order ORDER BY l.n")
_REFUNDS = text(
    "SELECT id, amount - stored AS money FROM refund WHERE order_id = :order AND kind = 'order' ORDER BY created_ms, id"
)
_BLUE = text("SELECT * FROM invoice WHERE order_id = :order AND refund = ''")
_REDS = text("SELECT refund, amount FROM invoice WHERE blue = :blue")
_INSERT = text(
    "INSERT INTO invoice (id, merchant, order_id, refund, blue, kind, state, issuer, title, tax_number, amount, tax,"
    " lines, created_ms) VALUES (:id, :merchant, :order, :refund, :blue, :kind, 'asked', :issuer, :title,"
    " :tax_number, :amount, :tax, :lines, :now) ON CONFLICT (order_id, refund) DO NOTHING"
)
_ONE = text("SELECT * FROM invoice WHERE id = :id")
_SELLER = text("SELECT name FROM merchant WHERE id = :merchant")
_ISSUED = text(
    "UPDATE invoice SET state = 'issued', number = :number, document = :document, media_type = :media_type,"
    " error = '', issued_ms = :now WHERE id = :id AND state = 'asked'"
)
_FAILED = text("UPDATE invoice SET error = :error WHERE id = :id AND state = 'asked'")
_UNFINISHED = text(
    "SELECT id FROM invoice WHERE state = 'asked' AND (:order = '' OR order_id = :order)"
    " AND (:merchant = '' OR merchant = :merchant) ORDER BY id LIMIT :limit"
)
_LISTED = text(
    "SELECT id, order_id, refund, kind, state, issuer, number, title, tax_number, amount, tax, error, created_ms,"
    " issued_ms FROM invoice WHERE merchant = :merchant AND (:order = '' OR order_id = :order) AND id < :before"
    " ORDER BY id DESC LIMIT :limit"
)
_NUMBER = text("SELECT n FROM invoice_number WHERE invoice = :invoice")
_NEXT = text(
    "INSERT INTO invoice_number (issuer, year, n, invoice) SELECT CAST(:issuer AS varchar(32)), CAST(:year AS integer),"
    " coalesce(max(n), 0) + 1, CAST(:invoice AS varchar(64)) FROM invoice_number WHERE issuer = :issuer"
    " AND year = :year RETURNING n"
)


def find_order(db: Connection, merchant: str, order: str, person: str | None) -> Row[Any]:
    """An order; for its buyer when ``person`` is given. Raises NotFound."""
    row = db.execute(_ORDER, {"order": order, "merchant": merchant}).one_or_none()
    if row is None or (person is not None and row.person != person):
        raise NotFound("no such order")
    return row


def ask_blue(db: Connection, row: Row[Any], issuer: str, title: str, tax_number: str, now_ms: int) -> str:
    """Note down an order's invoice; its id. One that is there already stays. Raises Refused (not_open, already)."""
    there = db.execute(_BLUE, {"order": row.id}).one_or_none()
    if there is not None:
        if (there.title, there.tax_number) != (title, tax_number):
            raise Refused("already", "this order has an invoice for somebody else", invoice=there.id)
        return str(there.id)
    if row.paid_ms is None:
        raise Refused("not_open", "an order is invoiced when it is paid")
    refunds = db.execute(_REFUNDS, {"order": row.id}).all()
    amount = row.amount - row.stored - sum(one.money for one in refunds)
    if amount <= 0:
        raise Refused("not_open", "nothing is left to invoice: it went back, or was paid with stored value")
    lines = _lines(db, row, amount)
    body = {"lines": [asdict(line) for line in lines], "refunds": [one.id for one in refunds]}
    invoice = fresh_id(now_ms)
    db.execute(
        _INSERT,
        {
            "id": invoice,
            "merchant": row.merchant,
            "order": row.id,
            "refund": "",
            "blue": None,
            "kind": "blue",
            "issuer": issuer,
            "title": title,
            "tax_number": tax_number,
            "amount": amount,
            "tax": sum(line.tax for line in lines),
            "lines": orjson.dumps(body).decode(),
            "now": now_ms,
        },
    )
    return invoice


def _lines(db: Connection, order: Row[Any], amount: int) -> list[InvoiceLine]:
    """The order's lines with their shares of ``amount``, and the tax inside each, rounded half up."""
    rows = [*db.execute(_LINES, {"order": order.id}).all(), *db.execute(_FREIGHT, {"order": order.id}).all()]
    shares = allocate(amount, [row.quantity * row.price - row.discount for row in rows])
    made = []
    for row, share in zip(rows, shares, strict=True):
        # What is bought with stored value is taxed when it is spent.
        rate = 0 if order.kind == "stored" else row.rate
        tax = (share * rate * 2 + 10_000 + rate) // (2 * (10_000 + rate)) if rate else 0
        # What was made to wishes is told by them, as on the order that the buyer has.
        title = f"{row.title} ({in_words(row.wishes)})"[:LINE_CHARACTERS_MAX] if row.wishes else row.title
        made.append(InvoiceLine(title, row.quantity, share, tax, rate))
    return [line for line in made if line.amount]


def ask_reds(db: Connection, order: str, now_ms: int) -> list[str]:
    """Note down the red-letter invoices that an order's refunds still need; their ids."""
    blue = db.execute(_BLUE, {"order": order}).one_or_none()
    if blue is None:
        return []
    body = orjson.loads(blue.lines)
    reds = db.execute(_REDS, {"blue": blue.id}).all()
    done = {*body["refunds"], *(red.refund for red in reds)}
    back = sum(red.amount for red in reds)
    made = []
    for refund in db.execute(_REFUNDS, {"order": order}).all():
        amount = min(refund.money, blue.amount - back)
        if refund.id in done or amount <= 0:
            continue
        made.append(_ask_red(db, blue, body["lines"], refund.id, back, amount, now_ms))
        back += amount
    return made


def _ask_red(
    db: Connection, blue: Row[Any], lines: Sequence[dict[str, Any]], refund: str, back: int, amount: int, now_ms: int
) -> str:
    # Each step is the difference of two portions: so all red ones together take back exactly the blue one's tax.
    tax = portion(blue.tax, back + amount, blue.amount) - portion(blue.tax, back, blue.amount)
    shares = allocate(amount, [line["amount"] for line in lines])
    taxes = allocate(tax, [line["tax"] for line in lines]) if blue.tax else [0] * len(lines)
    body = [
        {**line, "amount": share, "tax": part} for line, share, part in zip(lines, shares, taxes, strict=True) if share
    ]
    invoice = fresh_id(now_ms)
    db.execute(
        _INSERT,
        {
            "id": invoice,
            "merchant": blue.merchant,
            "order": blue.order_id,
            "refund": refund,
            "blue": blue.id,
            "kind": "red",
            "issuer": blue.issuer,
            "title": blue.title,
            "tax_number": blue.tax_number,
            "amount": amount,
            "tax": tax,
            "lines": orjson.dumps({"lines": body, "refunds": []}).decode(),
            "now": now_ms,
        },
    )
    return invoice


def request_of(db: Connection, invoice: str) -> tuple[str, InvoiceRequest] | None:
    """The issuer and what it is to be asked; None of what is issued, or a red one whose blue one is not."""
    row = db.execute(_ONE, {"id": invoice}).one_or_none()
    if row is None or row.state == "issued":
        return None
    blue_number = ""
    if row.blue is not None:
        blue = db.execute(_ONE, {"id": row.blue}).one()
        if blue.number is None:
            return None
        blue_number = blue.number
    seller = db.execute(_SELLER, {"merchant": row.merchant}).scalar_one_or_none() or row.merchant
    lines = tuple(InvoiceLine(**line) for line in orjson.loads(row.lines)["lines"])
    made = InvoiceRequest(
        row.id, row.kind, seller, "", row.title, row.tax_number, row.amount, row.tax, lines, row.order_id,
        row.created_ms, blue_number,
    )  # fmt: skip
    return row.issuer, made


def keep_issued(db: Connection, invoice: str, issued: IssuedInvoice, now_ms: int) -> None:
    """Keep what was issued; once."""
    row = {"id": invoice, "number": issued.number, "document": issued.document, "media_type": issued.media_type}
    db.execute(_ISSUED, {**row, "now": now_ms})


def keep_failure(db: Connection, invoice: str, error: str) -> None:
    """Say why it was not issued yet."""
    db.execute(_FAILED, {"id": invoice, "error": error[:200]})


def invoiced(db: Connection, order: str) -> bool:
    """Whether an order has an invoice, or is to have one."""
    return db.execute(_BLUE, {"order": order}).first() is not None


def unfinished(db: Connection, *, merchant: str = "", order: str = "") -> list[str]:
    """Invoices (of one shop or order) that were asked for and are not there: blue ones before their red ones."""
    asked = {"order": order, "merchant": merchant, "limit": UNFINISHED_MAX}
    return list(db.execute(_UNFINISHED, asked).scalars())


def listed(db: Connection, merchant: str, order: str, before: str | None, limit: int) -> list[dict[str, Any]]:
    """A merchant's invoices, newest first; of one order when one is named."""
    asked = {
        "merchant": merchant,
        "order": order,
        "before": before or AFTER_ALL,
        "limit": min(limit, INVOICES_PAGE_MAX),
    }
    return [dict(row) for row in db.execute(_LISTED, asked).mappings()]


def one(db: Connection, merchant: str, invoice: str) -> Row[Any]:
    """An invoice with its document. Raises NotFound."""
    row = db.execute(_ONE, {"id": invoice}).one_or_none()
    if row is None or row.merchant != merchant:
        raise NotFound("no such invoice")
    return row


def next_number(db: Connection, issuer: str, year: int, invoice: str) -> int:
    """The running number of an invoice, without gaps; the same when asked again."""
    there = db.execute(_NUMBER, {"invoice": invoice}).scalar_one_or_none()
    if there is not None:
        return int(there)
    return int(db.execute(_NEXT, {"issuer": issuer, "year": year, "invoice": invoice}).scalar_one())
