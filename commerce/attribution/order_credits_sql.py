"""Whom an order credits, as columns: a row for each model of its decision and each role that is credited by itself.

Written in the order's own transaction from the decision that is stored with it, so that a board sums columns and need
not open some kilobytes of JSON for each order.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text

INSERT = text(
    "INSERT INTO order_credit (order_id, model, link, issuer, role, channel)"
    " VALUES (:order, :model, :link, :issuer, :role, :channel)"
)


def order_credits(order: str, decision: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """The rows of an order; none when nobody is credited."""
    if decision is None:
        return []
    judged = dict(decision.get("models") or {})
    judged["default"] = decision.get("winner")
    judged |= {role: one and {**one, "role": role} for role, one in (decision.get("credits") or {}).items()}
    return [
        {
            "order": order,
            "model": model,
            "link": one.get("link") or "",
            "issuer": one["issuer"],
            "role": one.get("role") or "",
            "channel": one.get("channel") or "",
        }
        for model, one in judged.items()
        if one
    ]
