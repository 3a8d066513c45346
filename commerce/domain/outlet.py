"""What a store offers: by which ways it hands goods over, when it is open, how far it delivers. Pure; metres, Unix ms.

Hours are of the shop's days: seven pairs of minutes (from, until) from Monday on, or none for a store that is always
open; a pair of two equal minutes is a day on which it is closed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from commerce.domain.day import local
from commerce.domain.order import WAYS
from commerce.domain.pos import distance_m

RADIUS_M_MAX = 100_000
"""Same-city couriers go no further."""
MINUTES_OF_DAY = 24 * 60
DAYS_OF_WEEK = 7

Hours = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class OutletTerms:
    """By which ways a store hands over, whether it keeps stock of its own, when it is open and how far it delivers."""

    express: bool = False
    pickup: bool = True
    courier: bool = False
    stocked: bool = False
    radius_m: int = 5_000
    hours: Hours = ()

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways it offers."""
        return tuple(way for way in WAYS if getattr(self, way))


def terms_fault(terms: OutletTerms) -> tuple[str, str] | None:
    """The field at fault and why, or None."""
    if not 0 < terms.radius_m <= RADIUS_M_MAX:
        return "radius", f"a courier goes 1 to {RADIUS_M_MAX} metres"
    if len(terms.hours) not in (0, DAYS_OF_WEEK):
        return "hours", "hours are seven pairs of minutes from Monday on, or none"
    if any(not 0 <= since <= until <= MINUTES_OF_DAY for since, until in terms.hours):
        return (
            "hours",
            f"a day's hours are two minutes of the day, 0 to {MINUTES_OF_DAY}, the first not after the second",
        )
    return None


def open_at(hours: Sequence[Sequence[int]], now_ms: int) -> bool:
    """Whether a store with these hours is open at a moment."""
    if not hours:
        return True
    now = local(now_ms)
    since, until = hours[now.weekday()]
    return since <= now.hour * 60 + now.minute < until


def way_fault(
    terms: OutletTerms, way: str, place: tuple[int, int], target: tuple[int, int] | None, now_ms: int
) -> tuple[str, str] | None:
    """Why an order cannot be had from a store at ``place`` by a way now: a code and a sentence, or None.

    A courier comes while the store is open, and takes it as far as the store's radius; places are degrees × 10⁶.
    """
    if way not in terms.ways:
        return "way", f"this store does not offer {way}"
    if way != "courier":
        return None
    if target is None:
        return "way", "a courier needs to know where to: send lat and lng with the address"
    if distance_m(place, target) > terms.radius_m:
        return "too_far", f"this store delivers within {terms.radius_m} metres"
    if not open_at(terms.hours, now_ms):
        return "closed", "this store is closed now"
    return None
