"""What a refund gives back: money split over an order's lines to the last 分 (promise P14), and units.

A line was paid with ``quantity × price − discount``. Its first r units give ``paid × r // quantity`` back, so however a
line is refunded, in one go or unit by unit, the parts add up to what was paid. Money given back without goods (a
goodwill) lessens what is left: later parts are cut there, and never in all more than the order's amount goes back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

REASON_CHARACTERS_MAX = 200
BACK_OFF_FIRST_MS = 10_000
BACK_OFF_MOST_MS = 6 * 3_600_000
TRIES_MAX = 15
"""Asked for so often, over about 29 hours, a refund is left to people: providers settle within a day."""
STOCK_WAYS = ("sellable", "quarantine", "none")
"""Where refunded units go: back on sale, aside to be looked at, or nowhere (the buyer keeps them)."""


@dataclass(frozen=True, slots=True)
class PaidLine:
    """A line as it was paid, and the units of it that were refunded before."""

    n: int
    sku: str
    quantity: int
    price: int
    discount: int
    refunded: int

    def share(self, units: int) -> int:
        """分 that the first ``units`` units cost, after the line's discount."""
        return (self.quantity * self.price - self.discount) * units // self.quantity


@dataclass(frozen=True, slots=True)
class RefundPart:
    """Units of one line and their money."""

    n: int
    sku: str
    quantity: int
    amount: int


@dataclass(frozen=True, slots=True)
class Refundable:
    """What a refund comes to: ``amount`` 分 in all; ``rest`` when it leaves nothing to refund.

    ``whole``: nothing is left but freight that the shop keeps.
    """

    amount: int
    parts: tuple[RefundPart, ...]
    rest: bool
    whole: bool


def decide_refund(
    lines: Sequence[PaidLine],
    left: int,
    wanted: Sequence[tuple[str, int]] | None = None,
    amount: int | None = None,
    freight: int = 0,
    *,
    keeps: bool = False,
    most: int | None = None,
) -> Refundable | str:
    """Split a refund, or the refusal's code (already, over_refund, not_found).

    ``left`` is what may still go back. ``wanted`` are (sku, units), ``amount`` is money without goods; neither asks for
    all that is left. ``freight`` 分 of what is left were for bringing the goods: they go back with the last units, or
    (``keeps``) only as money that somebody names. ``most``: no more than that for the lines, and no freight.
    """
    if amount is not None:
        if left == 0:
            return "already"
        whole = amount == left
        return Refundable(amount, (), whole, whole) if 0 < amount <= left else "over_refund"
    for_goods, stays = left - freight, freight if keeps else 0
    if wanted is None:
        units = [(line, line.quantity - line.refunded) for line in lines if line.quantity > line.refunded]
        if left == stays and not units:
            return "already"
        return Refundable(left - stays, tuple(_parts(units, for_goods)), stays == 0, whole=True)
    chosen = _choose(lines, wanted)
    if isinstance(chosen, str):
        return chosen
    parts = tuple(_parts(chosen, for_goods if most is None else min(for_goods, most)))
    given = sum(part.amount for part in parts)
    last = sum(line.quantity - line.refunded for line in lines) == sum(part.quantity for part in parts)
    if most is not None:
        return Refundable(given, parts, given == left, last and given >= for_goods)
    given += freight - stays if last else 0
    return Refundable(given, parts, given == left, given == left - stays)


def _choose(lines: Sequence[PaidLine], wanted: Sequence[tuple[str, int]]) -> list[tuple[PaidLine, int]] | str:
    """Units of each line: the same SKU may be on two lines (a flash unit and one from the shelf), first ones first."""
    asked: dict[str, int] = {}
    for sku, units in wanted:
        asked[sku] = asked.get(sku, 0) + units
    if not asked.keys() <= {line.sku for line in lines}:
        return "not_found"
    chosen: list[tuple[PaidLine, int]] = []
    for line in lines:
        units = min(asked.get(line.sku, 0), line.quantity - line.refunded)
        if units > 0:
            asked[line.sku] -= units
            chosen.append((line, units))
    if any(asked.values()):
        return "over_refund" if chosen else "already"
    return chosen


def _parts(chosen: Sequence[tuple[PaidLine, int]], left: int) -> list[RefundPart]:
    parts = []
    for line, units in chosen:
        amount = min(left, line.share(line.refunded + units) - line.share(line.refunded))
        left -= amount
        parts.append(RefundPart(line.n, line.sku, units, amount))
    return parts


def back_off_ms(tries: int, first_ms: int = BACK_OFF_FIRST_MS, most_ms: int = BACK_OFF_MOST_MS) -> int:
    """How long after the ``tries``-th attempt (from 1) the next one is made: doubling, up to ``most_ms``."""
    return int(min(most_ms, first_ms << min(tries - 1, 32)))
