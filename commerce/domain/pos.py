"""Sales in a store, as its till tells of them: receipts, member codes, distances. Pure; 分, Unix ms, degrees × 10⁶."""

import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from commerce.domain.money import AMOUNT_MAX
from commerce.domain.takings import Takings, takings_fault

NUMBER_CHARACTERS_MAX = 64
"""A receipt's number as the till prints it; unique in one store."""
LINES_MAX = 200
AHEAD_MS_MAX = 10 * 60_000
"""How far a till's clock may be ahead of ours; what it says beyond is a wrong clock."""
LATE_MS_MAX = 400 * 86_400_000
"""How old a receipt may be that a till brings when it is online again: over a year's closing of the books."""
CODE_STEP_MS = 300_000
"""A member code is shown for five minutes and good for the five after: time for a queue, too short to sell on."""
_CODE_DIGITS = 8
EARTH_M = 6_371_008.8


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """What was sold: the shop's own number of the article, units, 分 in all for them."""

    article: str
    title: str
    quantity: int
    amount: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """A sale at a till, paid there. ``staff_code`` is the seller's; ``sold_ms`` the till's own time.

    ``takings``: how it was paid; None of a till that tells of it later, or never.
    """

    number: str
    amount: int
    sold_ms: int
    lines: tuple[ReceiptLine, ...] = ()
    staff_code: str = ""
    takings: Takings | None = None


def receipt_fault(receipt: Receipt, now_ms: int) -> str | None:
    """What is wrong with a receipt, as a sentence, or None."""
    if not _fits(receipt.number, NUMBER_CHARACTERS_MAX):
        return f"number has 1 to {NUMBER_CHARACTERS_MAX} printable characters"
    if not 0 < receipt.amount <= AMOUNT_MAX:
        return "amount is at least 1 分"
    if len(receipt.lines) > LINES_MAX:
        return f"a receipt has at most {LINES_MAX} lines"
    if any(line.quantity < 1 or line.amount < 0 for line in receipt.lines):
        return "a line has at least one unit and no amount below 0"
    if receipt.lines and sum(line.amount for line in receipt.lines) != receipt.amount:
        return "the lines do not add up to the amount"
    fault = None if receipt.takings is None else takings_fault(receipt.takings, receipt.amount)
    if fault is not None:
        return fault[1]
    return time_fault(receipt.sold_ms, now_ms)


def time_fault(at_ms: int, now_ms: int) -> str | None:
    """What is wrong with a till's time, or None."""
    if at_ms > now_ms + AHEAD_MS_MAX:
        return "this time has not come yet: the till's clock is ahead"
    if at_ms < now_ms - LATE_MS_MAX:
        return f"this is older than {LATE_MS_MAX // 86_400_000} days"
    return None


def _fits(text: str, most: int) -> bool:
    return 0 < len(text) <= most and text.isprintable()


def member_code(secret: bytes, person: str, at_ms: int) -> str:
    """What a member shows at the till: their id and eight digits of this moment's."""
    return f"{person}{_digits(secret, person, at_ms // CODE_STEP_MS)}"


def read_member_code(secret: bytes, code: str, at_ms: int) -> str | None:
    """The person whose code was good at ``at_ms``, or None."""
    person, digits = code[:-_CODE_DIGITS], code[-_CODE_DIGITS:]
    step = at_ms // CODE_STEP_MS
    for one in (step, step - 1):
        if one >= 0 and hmac.compare_digest(digits.encode(), _digits(secret, person, one).encode()):
            return person
    return None


def _digits(secret: bytes, person: str, step: int) -> str:
    number = int.from_bytes(hmac.digest(secret, f"{person}/{step}".encode(), sha256)[:8], "big")
    return str(number % 10**_CODE_DIGITS).rjust(_CODE_DIGITS, "0")


def distance_m(one: tuple[int, int], other: tuple[int, int]) -> int:
    """Metres between two places (latitude, longitude in 10⁻⁶ degrees), along the great circle (haversine)."""
    lat, lng, to_lat, to_lng = (math.radians(value / 1e6) for value in (*one, *other))
    half = math.sin((to_lat - lat) / 2) ** 2 + math.cos(lat) * math.cos(to_lat) * math.sin((to_lng - lng) / 2) ** 2
    return round(2 * EARTH_M * math.asin(min(1.0, math.sqrt(half))))


def nearest(places: Sequence[tuple[str, int, int]], here: tuple[int, int]) -> list[tuple[int, str]]:
    """Places (id, latitude, longitude) by their distance in metres, the nearest first; equally far ones by id."""
    return sorted((distance_m((lat, lng), here), place) for place, lat, lng in places)
