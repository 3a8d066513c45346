"""Pickup stations of a community group buy: a leader's (团长) door, a cut-off, and so many orders a day.

What is ordered before the day's cut-off can be fetched the next day, what comes after it a day later. The capacity is
of the day of fetching: that many orders a leader's home holds.
"""

from dataclasses import dataclass

from commerce.domain.day import DAY_MS, OFFSET_MS, day_of

NAME_CHARACTERS_MAX = 60
ADDRESS_CHARACTERS_MAX = 200
CAPACITY_MAX = 5_000
"""Orders a day at one door; merchants report that 500 overflow a home."""
MINUTES_OF_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class StationTerms:
    """``cutoff`` is the minute of the shop's day; ``capacity`` orders can be fetched on one day."""

    name: str
    address: str
    leader: str
    capacity: int
    cutoff: int
    open: bool = True


def station_fault(terms: StationTerms) -> tuple[str, str] | None:
    """The field at fault and why, or None."""
    for field, text, most in (
        ("name", terms.name, NAME_CHARACTERS_MAX),
        ("address", terms.address, ADDRESS_CHARACTERS_MAX),
    ):
        if not 0 < len(text) <= most or not text.strip() or not text.isprintable():
            return field, f"{field} has 1 to {most} printable characters"
    if not 0 < terms.capacity <= CAPACITY_MAX:
        return "capacity", f"a station takes 1 to {CAPACITY_MAX} orders a day"
    if not 0 <= terms.cutoff < MINUTES_OF_DAY:
        return "cutoff", "the cut-off is a minute of the day, 0 to 1439"
    return None


def fetch_day(now_ms: int, cutoff: int) -> str:
    """The day ``YYYY-MM-DD`` on which an order of this moment can be fetched."""
    minute = (now_ms + OFFSET_MS) % DAY_MS // 60_000
    return day_of(now_ms + (1 if minute < cutoff else 2) * DAY_MS)
