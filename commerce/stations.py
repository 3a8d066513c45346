"""Pickup stations for clients: what there is, what waits at one, handing over. ``Shop.stations`` is one."""

from collections.abc import Callable

from commerce.domain.day import day_bounds_ms, day_of
from commerce.domain.station import StationTerms, station_fault
from commerce.errors import Invalid, NotFound
from commerce.events import OrderView
from commerce.ledger import Ledger
from commerce.ledger_stations import HandOver, SetStation, StationOrderView, StationView
from commerce.stations_sql import read_stations, read_to_fetch
from commerce.store_sql import Store


class Stations:
    """Pickup stations of all merchants of one database."""

    def __init__(self, store: Store, ledger: Ledger, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock

    async def set(self, merchant: str, staff: str, station: str, terms: StationTerms) -> StationView:
        """Make a station (``station`` empty) or change one. Raises NotFound, Refused, Invalid with the ``field``."""
        fault = station_fault(terms)
        if fault is not None:
            raise Invalid(fault[1], field=fault[0])
        result: StationView = await self._ledger.submit(SetStation(merchant, staff, station, terms))
        return result

    async def all(self, merchant: str) -> list[StationView]:
        """A shop's stations with the day and places that an order of this moment gets."""
        now_ms = self._clock()
        return await self._store.read(lambda connection: read_stations(connection, merchant, now_ms))

    async def to_fetch(
        self, merchant: str, station: str, day: str = "", person: str | None = None
    ) -> list[StationOrderView]:
        """Paid orders of a day (today) at a station, for staff or its leader. Raises NotFound, Invalid."""
        found = next((one for one in await self.all(merchant) if one.station == station), None)
        if found is None or person not in (None, found.leader):
            raise NotFound("no such pickup station")
        chosen = day or day_of(self._clock())
        try:
            day_bounds_ms(chosen)
        except ValueError as error:
            raise Invalid(str(error), field="day") from error
        return await self._store.read(lambda connection: read_to_fetch(connection, station, chosen))

    async def hand_over(self, merchant: str, station: str, code: str, person: str | None = None) -> OrderView:
        """Hand the order with a code over: staff, or ``person`` who leads the station. Raises NotFound, Refused."""
        result: OrderView = await self._ledger.submit(HandOver(merchant, person, station, code))
        return result
