"""The ledger's commands for pickup stations, and what they answer."""

from dataclasses import dataclass

from commerce.domain.station import StationTerms


@dataclass(frozen=True, slots=True)
class SetStation:
    """Make a pickup station (``station`` empty) or change one."""

    merchant: str
    staff: str
    station: str
    terms: StationTerms


@dataclass(frozen=True, slots=True)
class HandOver:
    """Hand the order with a code over at a station: by its leader (``person``), or by staff (None)."""

    merchant: str
    person: str | None
    station: str
    code: str


@dataclass(frozen=True, slots=True)
class StationView:
    """A pickup station; an order of this moment is fetched on ``day``, on which there are ``left`` places."""

    station: str
    name: str
    address: str
    leader: str
    capacity: int
    cutoff: int
    open: bool
    day: str
    left: int


@dataclass(frozen=True, slots=True)
class StationOrderView:
    """An order that is fetched at a station, as its leader sees it."""

    order: str
    day: str
    name: str
    goods: tuple[str, ...]
    fetched: bool
