# ruff: noqa: S608 (statements are put together from constants)
"""What a guide is credited with, one by one and summed up: orders by the guide's own credit (A5), and what was sold at
tills with the guide's code, each as the board counts it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, text

from commerce.domain.ids import time_prefix
from commerce.freight_sql import BACK, CARRIED, FREIGHT, FREIGHT_BACK, GOODS

RECEIPTS_MAX = 200
"""Receipts listed with a statement, the newest; the sums are of all."""

_SOLD = (
    f"SELECT o.id, o.person, p.name, {GOODS} AS amount, {BACK} AS refunded, {FREIGHT} AS freight,"
    f" {FREIGHT_BACK} AS freight_refunded, o.status, o.created_ms, o.decision"
    f" FROM order_credit AS c JOIN orders AS o ON o.id = c.order_id {CARRIED} LEFT JOIN person AS p ON p.id = o.person"
    " WHERE c.model = 'guide' AND c.issuer = :guide AND c.order_id >= :lowest AND c.order_id < :highest"
    " AND o.merchant = :merchant AND o.kind = 'goods'"
)
_ORDERS = text(f"{_SOLD} AND o.id < :before ORDER BY o.id DESC LIMIT :limit")
_SUMS = text(
    "SELECT count(*) AS orders, coalesce(sum(CASE WHEN status NOT IN ('pending', 'cancelled') THEN 1 ELSE 0 END), 0)"
    " AS paid, coalesce(sum(CASE WHEN status NOT IN ('pending', 'cancelled') THEN amount ELSE 0 END), 0) AS amount,"
    " coalesce(sum(CASE WHEN status NOT IN ('pending', 'cancelled') THEN freight ELSE 0 END), 0) AS freight,"
    " coalesce(sum(freight_refunded), 0) AS freight_refunded,"
    f" coalesce(sum(refunded), 0) AS refunded FROM ({_SOLD}) AS sold"
)
_AT_TILLS = "FROM pos_receipt WHERE merchant = :merchant AND seller = :guide AND sold_ms >= :since AND sold_ms < :until"
_TILLS = text(
    "SELECT count(*) AS receipts, coalesce(sum(amount), 0) AS amount, coalesce(sum(refunded), 0) AS refunded"
    f" {_AT_TILLS}"
)
_RECEIPTS = text(
    f"SELECT id AS receipt, number, outlet, amount, refunded, sold_ms AS sold {_AT_TILLS}"
    f" ORDER BY sold_ms DESC, id DESC LIMIT {RECEIPTS_MAX}"
)


@dataclass(frozen=True, slots=True)
class GuideStatement:
    """Orders, paid ones, their goods' amount and what was given back of a period; and some of the orders, newest first.

    ``freight`` was paid beside the goods; ``till_amount`` and ``till_refunded`` are of ``till_receipts`` receipts, the
    newest of which are ``receipts``.
    """

    orders: int
    paid: int
    amount: int
    refunded: int
    freight: int
    freight_refunded: int
    till_receipts: int
    till_amount: int
    till_refunded: int
    rows: tuple[Mapping[str, Any], ...]
    receipts: tuple[Mapping[str, Any], ...]


def read(
    db: Connection, merchant: str, guide: str, since_ms: int, until_ms: int, before: str, limit: int
) -> GuideStatement:
    """A guide's period: ``since_ms`` included, ``until_ms`` not; orders with an id below ``before``."""
    asked = {"merchant": merchant, "guide": guide, "lowest": time_prefix(since_ms), "highest": time_prefix(until_ms)}
    sums = db.execute(_SUMS, asked).one()
    at_tills = {"merchant": merchant, "guide": guide, "since": since_ms, "until": until_ms}
    tills = db.execute(_TILLS, at_tills).one()
    receipts = tuple(dict(row) for row in db.execute(_RECEIPTS, at_tills).mappings())
    found = db.execute(_ORDERS, {**asked, "before": before, "limit": limit}).mappings()
    rows = tuple(_row(dict(row)) for row in found)
    return GuideStatement(
        orders=sums.orders,
        paid=sums.paid,
        amount=int(sums.amount),
        refunded=int(sums.refunded),
        freight=int(sums.freight),
        freight_refunded=int(sums.freight_refunded),
        till_receipts=tills.receipts,
        till_amount=int(tills.amount),
        till_refunded=int(tills.refunded),
        rows=rows,
        receipts=receipts,
    )


def _row(row: Mapping[str, Any]) -> Mapping[str, Any]:
    credit = ((orjson.loads(row["decision"] or "{}").get("credits")) or {}).get("guide") or {}
    return {
        "order": row["id"],
        "person": row["person"],
        "name": row["name"] or "",
        "amount": row["amount"],
        "refunded": row["refunded"],
        "freight": row["freight"],
        "status": row["status"],
        "created": row["created_ms"],
        "rule": credit.get("rule", ""),
        "channel": credit.get("channel") or "",
    }
