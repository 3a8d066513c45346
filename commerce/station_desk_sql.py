"""Pickup stations inside the ledger's transaction: made and changed by staff, handed over at by their leaders."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import text

from commerce.domain.order import Step
from commerce.errors import NotFound, Refused
from commerce.events import OrderView
from commerce.fulfilment_sql import fulfil
from commerce.identity.merge_sql import survivor
from commerce.ledger import Fulfil
from commerce.ledger_batch_sql import Batch
from commerce.ledger_stations import HandOver, SetStation, StationView
from commerce.stations_sql import LIST_MAX, leader_of, station_view

_PERSON = text("SELECT 1 FROM person WHERE id = :person AND merchant = :merchant")
_COUNT = text("SELECT count(*) FROM station WHERE merchant = :merchant")
_SET = text(
    "INSERT INTO station (id, merchant, name, address, person, capacity, cutoff, open, staff, updated_ms)"
    " VALUES (:id, :merchant, :name, :address, :person, :capacity, :cutoff, :open, :staff, :now)"
    " ON CONFLICT (id) DO UPDATE SET name = excluded.name, address = excluded.address, person = excluded.person,"
    " capacity = excluded.capacity, cutoff = excluded.cutoff, open = excluded.open, staff = excluded.staff,"
    " updated_ms = excluded.updated_ms"
)
_STATION = text("SELECT * FROM station WHERE id = :id")
_BY_CODE = text(
    "SELECT s.order_id FROM station_order AS s JOIN orders AS o ON o.id = s.order_id WHERE s.station = :station"
    " AND s.code = :code AND s.counted = 1 AND o.fulfilment = 'open' AND o.status IN ('paid', 'partly_refunded')"
    " ORDER BY s.day LIMIT 1"
)


def set_station(batch: Batch, command: SetStation) -> StationView:
    """Write a station's terms: they hold for orders from now on. Raises NotFound (station, leader), Refused (limit)."""
    merchant, terms = command.merchant, command.terms
    person = survivor(batch.connection, terms.leader)
    if batch.one(_PERSON, person=person, merchant=merchant) is None:
        raise NotFound("no such person to lead it")
    station = command.station
    if station:
        leader_of(batch, merchant, station)
    elif batch.run(_COUNT, merchant=merchant).scalar_one() >= LIST_MAX:
        raise Refused("limit", f"a shop has at most {LIST_MAX} pickup stations")
    else:
        station = batch.mint()
    batch.run(
        _SET,
        id=station,
        merchant=merchant,
        name=terms.name,
        address=terms.address,
        person=person,
        capacity=terms.capacity,
        cutoff=terms.cutoff,
        open=int(terms.open),
        staff=command.staff,
        now=batch.now_ms,
    )
    row = batch.one(_STATION, id=station)
    assert row is not None
    return station_view(batch.connection, row, batch.now_ms)


def hand_over(batch: Batch, command: HandOver) -> OrderView:
    """Give the goods of the order with this code to who came. Raises NotFound, Refused (bad_code, not_open)."""
    leader = leader_of(batch, command.merchant, command.station)
    if command.person is not None and command.person != leader:
        # Who does not lead it learns nothing of it.
        raise NotFound("no such pickup station")
    row = batch.one(_BY_CODE, station=command.station, code=command.code)
    if row is None:
        raise Refused("bad_code", "no order that waits here has this code", station=command.station)
    return fulfil(batch, Fulfil(command.merchant, row.order_id, Step.PICK_UP, code=command.code))


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {SetStation: set_station, HandOver: hand_over}
