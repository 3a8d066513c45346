"""Membership rules: points, stored value, tiers, sign-in, payment gifts. All figures of a shop are one ``Program``.

Points are earned on what was paid (by money or by the principal of stored value; what a bonus, a coupon or points paid
earns nothing), wait until the refund window is closed, and are spent oldest first. A tier follows from what a person
has spent and not had back. Days are the shop's (Asia/Shanghai).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from itertools import pairwise
from typing import Any

from commerce.domain.coupon import TIERS_MAX
from commerce.domain.day import DAY_MS, OFFSET_MS
from commerce.domain.money import AMOUNT_MAX, allocate, portion

POINTS_MAX = 1_000_000_000
"""Points in one grant or on one order."""
TIER_NAME_CHARACTERS_MAX = 20
STREAK_DAYS_MAX = 31
RETURNED_DAYS_MIN = 30
"""Points that a refund gives back are good for at least so many days, however old they were."""
POINTS_DAYS_MAX = 3_660


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier from ``spent`` 分 on; its members earn ``points_percent`` of the plain points (100 is plain)."""

    name: str
    spent: int
    points_percent: int = 100


@dataclass(frozen=True, slots=True)
class Program:
    """A shop's terms of membership.

    ``yuan_points``: points per yuan paid, 0 is off. ``window_days``: the refund window after an order is done.
    ``valid_days``: how long points are good. ``points_percent``: what points may take of an order's goods.
    ``member_weekday``: 0 is Monday, None is none; on it points count ``member_day_percent``. ``sign_in``: points for
    the 1st, 2nd … day in a row, the last one for all later days. ``gift_points`` from ``gift_amount`` 分 paid on.
    ``stored_most``: 分 of stored value one person may have, 0 is no sale of it.
    """

    yuan_points: int = 0
    window_days: int = 7
    valid_days: int = 365
    points_percent: int = 50
    member_weekday: int | None = None
    member_day_percent: int = 200
    sign_in: tuple[int, ...] = ()
    gift_points: int = 0
    gift_amount: int = 0
    stored_most: int = 500_000
    tiers: tuple[Tier, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The JSON shape, as it is stored and shown."""
        return asdict(self)


PLAIN = Program()
"""The terms of a shop that has set none: no points, no tiers, no sign-in."""


def program_of(stored: Mapping[str, Any]) -> Program:
    """Terms from their JSON shape; what an older release stored without has its default."""
    known = {field.name for field in fields(Program)}
    given = {name: value for name, value in stored.items() if name in known}
    given["tiers"] = tuple(Tier(**tier) for tier in given.get("tiers", ()))
    given["sign_in"] = tuple(given.get("sign_in", ()))
    return Program(**given)


_BOUNDS: Mapping[str, tuple[int, int]] = {
    "yuan_points": (0, 1_000),
    "window_days": (0, 366),
    "valid_days": (1, POINTS_DAYS_MAX),
    "points_percent": (0, 100),
    "member_day_percent": (100, 1_000),
    "gift_points": (0, 1_000_000),
    "gift_amount": (0, AMOUNT_MAX),
    "stored_most": (0, 100_000_000),
}


def program_fault(program: Program) -> tuple[str, str] | None:
    """The field that is wrong and why, as a sentence, or None."""
    for name, (least, most) in _BOUNDS.items():
        if not least <= getattr(program, name) <= most:
            return name, f"{name} is a whole number from {least} to {most}"
    if program.member_weekday is not None and not 0 <= program.member_weekday <= 6:
        return "member_weekday", "member_weekday is 0 (Monday) to 6, or nothing"
    if len(program.sign_in) > STREAK_DAYS_MAX or any(not 0 <= points <= 1_000_000 for points in program.sign_in):
        return "sign_in", f"sign_in has up to {STREAK_DAYS_MAX} days of 0 to 1000000 points"
    return _tiers_fault(program.tiers)


def _tiers_fault(tiers: Sequence[Tier]) -> tuple[str, str] | None:
    if len(tiers) > TIERS_MAX:
        return "tiers", f"there are at most {TIERS_MAX} tiers"
    if any(low.spent >= high.spent for low, high in pairwise(tiers)):
        return "tiers", "each tier begins above the one before"
    for tier in tiers:
        if not 0 < len(tier.name.strip()) <= TIER_NAME_CHARACTERS_MAX:
            return "tiers", f"a tier's name has 1 to {TIER_NAME_CHARACTERS_MAX} characters"
        if not 1 <= tier.spent <= AMOUNT_MAX or not 0 <= tier.points_percent <= 1_000:
            return "tiers", f"a tier begins at 1 to {AMOUNT_MAX} 分 and earns 0 to 1000 percent"
    return None


def tier_at(program: Program, spent: int) -> int:
    """The number of the tier for what was spent: 1 is the first, 0 is none."""
    return sum(spent >= tier.spent for tier in program.tiers)


def points_for(program: Program, tier: int, paid: int, now_ms: int, plan_percent: int = 100) -> int:
    """Points for 分 paid by a member of a tier, on a day that may be member day; rounded down once, at the end.

    ``plan_percent`` is what a paid membership makes of them.
    """
    percent = program.tiers[tier - 1].points_percent if 0 < tier <= len(program.tiers) else 100
    if program.member_weekday is not None and weekday_of(now_ms) == program.member_weekday:
        percent = percent * program.member_day_percent // 100
    return min(POINTS_MAX, paid * program.yuan_points * percent * plan_percent // 1_000_000)


def weekday_of(now_ms: int) -> int:
    """The shop's weekday, 0 is Monday; 1970-01-01 was a Thursday."""
    return ((now_ms + OFFSET_MS) // DAY_MS + 3) % 7


def streak_after(last_day: str | None, streak: int, today: str) -> int:
    """Days in a row with today, after the last sign-in and its streak."""
    if last_day is not None and (date.fromisoformat(today) - date.fromisoformat(last_day)).days == 1:
        return streak + 1
    return 1


def sign_in_points(program: Program, streak: int) -> int:
    """Points for the ``streak``-th day in a row."""
    return program.sign_in[min(streak, len(program.sign_in)) - 1] if program.sign_in else 0


def split_stored(spent: int, principal: int, bonus: int) -> tuple[int, int]:
    """What of ``spent`` 分 comes from principal and from bonus: in the ratio in which they are there."""
    from_principal, from_bonus = allocate(spent, (principal, bonus))
    return from_principal, from_bonus


@dataclass(frozen=True, slots=True)
class Paid:
    """How an order was paid, beside money: stored value of which ``bonus``, points spent."""

    amount: int
    stored: int
    bonus: int
    points: int

    def back(self, refunded: int) -> tuple[int, int, int]:
        """(stored, bonus, points) that have gone back when ``refunded`` of ``amount`` have."""
        stored = portion(self.stored, refunded, self.amount)
        return stored, portion(self.bonus, stored, self.stored), portion(self.points, refunded, self.amount)


def kept(granted: int, amount: int, refunded: int) -> int:
    """Points of a grant that stay when ``refunded`` of the order's ``amount`` went back."""
    return portion(granted, amount - refunded, amount)
