# ruff: noqa: S608 (statements are put together from constants)
"""The orders that a guide is credited with, one by one and summed up: by the guide's own credit (A5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, text

from commerce.domain.ids import time_prefix

_SOLD = (
    "SELECT o.id, o.person, p.name, o.amount, o.refunded, o.status, o.created_ms, o.decision"
    " FROM order_credit AS c JOIN orders AS o ON o.id = c.order_id LEFT JOIN person AS p ON p.id = o.person"
    " WHERE c.model = 'guide' AND c.issuer = :guide AND c.order_id >= :lowest AND c.order_id < :highest"
    " AND o.merchant = :merchant AND o.kind = 'goods'"
)
_ORDERS = text(f"{_SOLD} AND o.id < :before ORDER BY o.id DESC LIMIT :limit")
_SUMS = text(
    "SELECT count(*) AS orders, coalesce(sum(CASE WHEN status NOT IN ('pending', 'cancelled') THEN 1 ELSE 0 END), 0)"
    " AS paid, coalesce(sum(CASE WHEN status NOT IN ('pending', 'cancelled') THEN amount ELSE 0 END), 0) AS amount,"
    f" coalesce(sum(refunded), 0) AS refunded FROM ({_SOLD}) AS sold"
)


@dataclass(frozen=True, slots=True)
class GuideStatement:
    """Orders, paid ones, their amount and what was given back of a period; and some of the orders, newest first."""

    orders: int
    paid: int
    amount: int
    refunded: int
    rows: tuple[Mapping[str, Any], ...]


def read(
    db: Connection, merchant: str, guide: str, since_ms: int, until_ms: int, before: str, limit: int
) -> GuideStatement:
    """A guide's period: ``since_ms`` included, ``until_ms`` not; orders with an id below ``before``."""
    asked = {"merchant": merchant, "guide": guide, "lowest": time_prefix(since_ms), "highest": time_prefix(until_ms)}
    sums = db.execute(_SUMS, asked).one()
    found = db.execute(_ORDERS, {**asked, "before": before, "limit": limit}).mappings()
    rows = tuple(_row(dict(row)) for row in found)
    return GuideStatement(sums.orders, sums.paid, int(sums.amount), int(sums.refunded), rows)


def _row(row: Mapping[str, Any]) -> Mapping[str, Any]:
    credit = ((orjson.loads(row["decision"] or "{}").get("credits")) or {}).get("guide") or {}
    return {
        "order": row["id"],
        "person": row["person"],
        "name": row["name"] or "",
        "amount": row["amount"],
        "refunded": row["refunded"],
        "status": row["status"],
        "created": row["created_ms"],
        "rule": credit.get("rule", ""),
        "channel": credit.get("channel") or "",
    }
