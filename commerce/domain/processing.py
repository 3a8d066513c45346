"""Processing of goods by weight: raw goods go in, other goods and a loss come out, the cost goes over whole. Pure.

    in_grams = out_grams + loss_grams      Σ cost of what came out = Σ cost of what went in

The usual loss is part of what the yield costs (合理损耗): nothing is left over. The cost is shared among the yields by
their weight, or by what they sell for (what is cut off for soup does not cost what the fillet costs); parts of a 分 go
by the one rounding rule (P14).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from commerce.domain.money import allocate

LINES_MAX = 50
"""SKUs on each side of one run."""
RUN_GRAMS_MAX = 100_000_000
"""A hundred tonnes in one run: more is a slip of the finger."""
BASES = ("grams", "value")
WHOLE_BP = 10_000


@dataclass(frozen=True, slots=True)
class Portion:
    """Units of one SKU and what all of them weigh; ``worth`` is what they sell for (分)."""

    sku: str
    units: int
    grams: int
    worth: int = 0


def weigh(sku: str, unit_grams: int, units: int, grams: int, price: int) -> Portion | str:
    """A line as typed, or why it is none: goods by weight by their units or grams, others by units and grams."""
    if unit_grams == 0:
        if units < 1 or grams < 1:
            return "goods by the piece need their units, and what all of them weigh"
        return Portion(sku, units, grams, units * price)
    if not (units or grams) or (units and grams and grams != units * unit_grams):
        return "goods by weight need their units or their grams"
    whole, rest = (units, 0) if units else divmod(grams, unit_grams)
    if rest:
        return f"whole units of {unit_grams} g: {grams} g are none"
    return Portion(sku, whole, whole * unit_grams, whole * price)


def loss_of(raw: Sequence[Portion], yields: Sequence[Portion]) -> int:
    """Grams that were lost; below 0 when more came out than went in."""
    return sum(one.grams for one in raw) - sum(one.grams for one in yields)


def share_cost(cost: int, yields: Sequence[Portion], basis: str) -> list[int]:
    """What of ``cost`` 分 each yield takes over, by ``basis`` (grams, value); the parts sum to it exactly."""
    return allocate(cost, [one.grams if basis == "grams" else one.worth for one in yields])


def basis_points(part: int, whole: int) -> int:
    """``part`` of ``whole`` in 0.01 %, rounded half up."""
    return (part * WHOLE_BP * 2 + whole) // (whole * 2) if whole else 0
