"""Coupon rules: a drop gives out at most ``total``, each person at most ``per_person``; a coupon is used once.

A coupon's life: unused → locked (an order was made with it) → used (the order was paid), and back to unused when the
order ends unpaid; unused → expired.

Who may have one is the drop's ``audience``: ``all``, ``new`` (never paid for anything here, as the merged person),
``tier:N`` (members of at least tier N) or ``tag:NAME`` (who have the tag). ``way`` is how coupons of it come to people:
``drop`` by a tap in the room, ``entry`` on coming in (进店送券), ``sign_in`` with the day's sign-in, ``gift`` with a
payment, ``auto`` by an automation, ``partner`` by the code of a partner who issues it.
"""

import re
from collections.abc import Container
from dataclasses import dataclass
from enum import StrEnum

DROP_SECONDS_MAX = 24 * 3600
COUPONS_MAX = 10_000_000
"""Coupons in one drop."""
PERCENT_MAX = 90
"""Percent off: more is a slip of the finger, or a gift, which has its own ways."""
GROUP_CHARACTERS_MAX = 20
GIVING_SECONDS_MAX = 366 * 86_400
"""A giving (entry, sign-in, gift) lasts for months; a drop in a room for a day at most."""
WAYS = ("drop", "entry", "sign_in", "gift", "auto")
TIERS_MAX = 9
TAG_CHARACTERS_MAX = 20
AUDIENCE_PATTERN = r"^(all|new|tier:[1-9]|tag:[^\s:\x00-\x1f\x7f]{1,20})$"
"""Of an audience's name; a tag is one word."""
_AUDIENCE = re.compile(AUDIENCE_PATTERN)


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
    percent: int = 0
    stack: str = ""
    audience: str = "all"
    issuer: str = ""
    way: str = "drop"
    for_tag: str = ""

    @property
    def whom(self) -> str:
        """The audience with its tag, as it is shown."""
        return f"tag:{self.for_tag}" if self.for_tag else self.audience


def audience_columns(audience: str) -> tuple[str, str]:
    """An audience as a drop stores it: its kind and, of a tag, which."""
    kind, _, tag = audience.partition(":")
    return (kind, tag) if kind == "tag" else (audience, "")


def drop_state(drop: DropRow, now_ms: int) -> DropState:
    """The state of a drop at a time."""
    if drop.closed_ms is not None or now_ms >= drop.ends_ms:
        return DropState.CLOSED
    return DropState.OPEN if drop.issued < drop.total else DropState.GONE


def audience_fault(audience: str) -> str | None:
    """What is wrong with the name of an audience, as a sentence, or None."""
    return None if _AUDIENCE.fullmatch(audience) else "an audience is all, new, tier:1 to tier:9 or tag:NAME"


def in_audience(audience: str, person: str, bought: Container[str], tiers: "dict[str, int]") -> bool:
    """Whether a person is of an audience; ``bought`` are those who paid before, ``tiers`` the tiers of members."""
    if audience == "new":
        return person not in bought
    if audience.startswith("tier:"):
        return tiers.get(person, 0) >= int(audience.removeprefix("tier:"))
    return True


def decide_claim(left: int, used: int, per_person: int, welcome: bool = True) -> str | None:
    """None when one more coupon is given, else the refusal's code; ``welcome`` is whether they are of its audience."""
    if not welcome:
        return "not_for_you"
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
