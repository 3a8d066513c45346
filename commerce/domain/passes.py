"""Passes: what is bought now and used later with a code, once or many times (次卡, event tickets, services).

    active ──last use──▶ used        active ──its time is over──▶ expired
    active, expired ──staff──▶ refunded: the unused part of what was paid

A pass for an event has a time of its own from which it can be used; others are good for some days from their payment.
"""

from dataclasses import dataclass

USES_MAX = 1_000
DAYS_MAX = 366 * 3
"""A pass is a debt of the shop: it is not sold for longer than a shop can be expected to stand for it."""
PLACE_CHARACTERS_MAX = 60
CODE_DIGITS = 12
"""A code is shown and typed at a till; whoever tries codes is staff, signed in and written down."""
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class PassTerms:
    """What a unit of a SKU is good for: ``uses``, for ``days`` from payment or from ``from_ms`` to ``until_ms``.

    ``place`` is where, as the buyer reads it; empty: anywhere in the shop.
    """

    uses: int
    days: int = 0
    from_ms: int | None = None
    until_ms: int | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class PassState:
    """What decides about a use."""

    state: str
    left_uses: int
    from_ms: int
    until_ms: int


def terms_fault(terms: PassTerms, now_ms: int) -> tuple[str, str] | None:
    """The field at fault and why, or None."""
    if not 0 < terms.uses <= USES_MAX:
        return "uses", f"a pass has 1 to {USES_MAX} uses"
    if len(terms.place) > PLACE_CHARACTERS_MAX or not terms.place.isprintable():
        return "place", f"a place has at most {PLACE_CHARACTERS_MAX} printable characters"
    if (terms.days > 0) == (terms.until_ms is not None):
        return "days", "a pass is good for some days, or until a time"
    if not 0 <= terms.days <= DAYS_MAX:
        return "days", f"a pass is good for at most {DAYS_MAX} days"
    if terms.until_ms is not None and not now_ms < terms.until_ms <= now_ms + DAYS_MAX * DAY_MS:
        return "until", f"a pass ends within {DAYS_MAX} days"
    if terms.from_ms is not None and (terms.until_ms is None or not terms.from_ms < terms.until_ms):
        return "from", "a pass begins before it ends"
    return None


def good_times(terms: PassTerms, paid_ms: int) -> tuple[int, int]:
    """From when and until when (Unix ms) a pass that was paid at a time can be used."""
    until_ms = paid_ms + terms.days * DAY_MS if terms.until_ms is None else terms.until_ms
    return terms.from_ms or paid_ms, until_ms


def decide_use(card: PassState, units: int, now_ms: int) -> str | None:
    """None when ``units`` uses are granted, else the refusal's code."""
    if card.state == "active" and now_ms < card.from_ms:
        return "not_open"
    if card.state == "expired" or (card.state == "active" and now_ms >= card.until_ms):
        return "expired"
    if card.state != "active":
        return "already"
    return None if units <= card.left_uses else "insufficient"


def unused_share(paid: int, uses: int, left_uses: int) -> int:
    """分 of what was paid that belong to the uses that are left; what does not divide stays with those that were."""
    return paid * left_uses // uses
