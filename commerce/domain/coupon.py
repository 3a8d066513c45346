"""Coupon rules: a drop gives out at most ``total``, each person at most ``per_person``; a coupon is used once.

A coupon's life: unused → locked (an order was made with it) → used (the order was paid), and back to unused when the
order ends unpaid; unused → expired.
"""

from dataclasses import dataclass
from enum import StrEnum

DROP_SECONDS_MAX = 24 * 3600
COUPONS_MAX = 10_000_000
"""Coupons in one drop."""


class DropState(StrEnum):
    """Where a drop is in its life."""

    OPEN = "open"
    GONE = "gone"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class DropRow:
    """One coupon drop as stored; 分 and Unix milliseconds."""

    id: str
    merchant: str
    room: str
    template: str | None
    title: str
    reason: str
    amount: int
    threshold: int
    total: int
    issued: int
    per_person: int
    starts_ms: int
    ends_ms: int
    valid_ms: int
    closed_ms: int | None
    announced: str


def drop_state(drop: DropRow, now_ms: int) -> DropState:
    """The state of a drop at a time."""
    if drop.closed_ms is not None or now_ms >= drop.ends_ms:
        return DropState.CLOSED
    return DropState.OPEN if drop.issued < drop.total else DropState.GONE


def decide_claim(left: int, used: int, per_person: int) -> str | None:
    """None when one more coupon is given, else the refusal's code."""
    if used >= per_person:
        return "limit"
    if left <= 0:
        return "gone"
    return None


def unusable(state: str, expires_ms: int, threshold: int, goods: int, now_ms: int) -> str | None:
    """Why a coupon cannot be put on goods worth ``goods`` 分, as a sentence, or None when it can."""
    if state == "locked":
        return "the coupon is on another order"
    if state == "used":
        return "the coupon was used"
    if state == "expired" or now_ms >= expires_ms:
        return "the coupon has expired"
    if goods < threshold:
        return f"the coupon needs goods of {threshold} 分, these are {goods}"
    return None
