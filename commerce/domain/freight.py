"""What bringing goods costs their buyer: flat or by distance, free from an amount. Pure; 分 and metres."""

from collections.abc import Sequence
from dataclasses import dataclass

from commerce.domain.money import AMOUNT_MAX
from commerce.domain.outlet import RADIUS_M_MAX

FREIGHT_WAYS = ("express", "courier")
"""What is fetched is brought by nobody."""
BANDS_MAX = 10
"""Bands of distance in one rule: what a buyer can still be told."""
FEE_MAX = 100_000
"""分: a thousand yuan for bringing something is a slip of the finger."""

Bands = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class FreightTerms:
    """One rule: ``bands`` are (metres up to, 分), the nearest first; a flat fee is one band of 0 metres.

    Beyond the last band its fee holds: how far anybody goes at all is the store's. ``free_from``: 分 paid for the goods
    from which it is free. ``keeps``: once the goods are on their way the fee stays the shop's when they come back.
    """

    bands: Bands
    free_from: int | None = None
    keeps: bool = True


@dataclass(frozen=True, slots=True)
class Freight:
    """What one order's freight comes to before it is known whether it is free, and why."""

    way: str
    fee: int
    why: str
    free_from: int | None = None
    keeps: bool = True

    def of(self, goods: int) -> int:
        """分 for goods that are paid with ``goods`` 分."""
        return 0 if self.free_from is not None and goods >= self.free_from else self.fee

    def said(self, goods: int) -> str:
        """The step's reason."""
        return f"{self.why}, free from {yuan_of(self.free_from)}" if self.of(goods) != self.fee else self.why


def yuan_of(fen: int | None) -> str:
    """Yuan, as a reason tells them."""
    return "" if fen is None else f"{fen / 100:.2f}"


def terms_fault(terms: FreightTerms) -> tuple[str, str] | None:
    """The field at fault and why, or None."""
    if not 0 < len(terms.bands) <= BANDS_MAX:
        return "bands", f"a rule has 1 to {BANDS_MAX} bands of distance"
    ends = [metres for metres, _ in terms.bands]
    flat = len(ends) == 1 and ends[0] == 0
    if not flat and (any(not 0 < end <= RADIUS_M_MAX for end in ends) or ends != sorted(set(ends))):
        return "bands", f"bands end at 1 to {RADIUS_M_MAX} metres, each further than the one before; one of 0 is flat"
    if any(not 0 <= fee <= FEE_MAX for _, fee in terms.bands):
        return "bands", f"a fee is 0 to {FEE_MAX} 分"
    if terms.free_from is not None and not 0 < terms.free_from <= AMOUNT_MAX:
        return "free_from", "freight is free from 1 分 or more, or never"
    return None


def fee_at(bands: Sequence[tuple[int, int]], distance_m: int | None) -> int:
    """The fee of the first band that reaches so far, else of the last; without a distance the last."""
    reached = (fee for metres, fee in bands if distance_m is not None and (not metres or distance_m <= metres))
    return next(reached, bands[-1][1])


def freight_of(terms: FreightTerms, way: str, distance_m: int | None) -> Freight:
    """What a rule asks for one way."""
    why = way if distance_m is None or len(terms.bands) == 1 else f"{way}, {distance_m / 1000:.1f} km"
    return Freight(way, fee_at(terms.bands, distance_m), why, terms.free_from, terms.keeps)


def freight_back(amount: int, freight: int, refunded: int) -> int:
    """What of the freight went back, when ``refunded`` of ``amount`` did: the goods' money goes first."""
    return max(0, refunded - (amount - freight))
