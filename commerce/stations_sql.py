"""Places at pickup stations inside the ledger's transaction: taken with an order, given back when it ends.

Called from where orders are made, ended and refunded; handing over is in station_desk_sql.
"""

import secrets
from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text

from commerce.domain.station import fetch_day
from commerce.errors import NotFound, Refused
from commerce.ledger_batch_sql import Batch
from commerce.ledger_stations import StationOrderView, StationView

CODE_DIGITS = 6
CODE_TRIES_MAX = 50
"""A day has at most 5,000 of a million codes: ten tries in a row never meet one that is taken, fifty even less."""
LIST_MAX = 200

_STATION = text("SELECT * FROM station WHERE id = :id AND merchant = :merchant")
_OF_MERCHANT = text("SELECT * FROM station WHERE merchant = :merchant ORDER BY name, id LIMIT :limit")
_DAY = text("INSERT INTO station_day (station, day) VALUES (:station, :day) ON CONFLICT (station, day) DO NOTHING")
_TAKE = text(
    "UPDATE station_day SET orders = orders + 1 WHERE station = :station AND day = :day AND orders < :capacity"
)
_GIVE = text("UPDATE station_day SET orders = orders - 1 WHERE station = :station AND day = :day")
_CODE = text("SELECT 1 FROM station_order WHERE station = :station AND day = :day AND code = :code")
_WRITE = text(
    "INSERT INTO station_order (order_id, merchant, station, day, code)"
    " VALUES (:order, :merchant, :station, :day, :code)"
)
_OF_ORDER = text(
    "SELECT s.*, t.capacity FROM station_order AS s JOIN station AS t ON t.id = s.station WHERE s.order_id = :order"
)
_COUNT = text("UPDATE station_order SET counted = :counted WHERE order_id = :order AND counted <> :counted")
_FREE = text("SELECT day, orders FROM station_day WHERE station = :station AND day = :day")
_TO_FETCH = text(
    "SELECT s.order_id, s.day, o.fulfilment, o.delivery FROM station_order AS s JOIN orders AS o ON o.id = s.order_id"
    " WHERE s.station = :station"
    " AND s.day = :day AND o.status IN ('paid', 'fulfilled', 'done', 'partly_refunded')"
    " ORDER BY s.order_id LIMIT :limit"
)
_LINES = text("SELECT title, quantity FROM order_line WHERE order_id = :order ORDER BY n")


def take_place(batch: Batch, merchant: str, order: str, station_id: str) -> Mapping[str, Any]:
    """Take a place of the next day that can be had; what the delivery says of it.

    Raises NotFound, Refused (closed: the station; gone: that day is full).
    """
    station = batch.one(_STATION, id=station_id, merchant=merchant)
    if station is None:
        raise NotFound("no such pickup station")
    if not station.open:
        raise Refused("closed", "this pickup station takes no orders now", station=station.id)
    day = fetch_day(batch.now_ms, station.cutoff)
    _count(batch, station.id, day, station.capacity)
    where = {"station": station.id, "day": day}
    for _ in range(CODE_TRIES_MAX):
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        if batch.one(_CODE, code=code, **where) is None:
            break
    batch.run(_WRITE, order=order, merchant=merchant, code=code, **where)
    return {"station": station.id, "place": f"{station.name}，{station.address}", "day": day, "code": code}


def _count(batch: Batch, station: str, day: str, capacity: int) -> None:
    batch.run(_DAY, station=station, day=day)
    if not batch.run(_TAKE, station=station, day=day, capacity=capacity).rowcount:
        raise Refused("gone", "this pickup station is full for that day: choose another", station=station, day=day)


def give_place(batch: Batch, order: str) -> None:
    """An order was cancelled, or refunded before it was fetched: its place is free again."""
    row = batch.one(_OF_ORDER, order=order)
    if row is not None and batch.run(_COUNT, order=order, counted=0).rowcount:
        batch.run(_GIVE, station=row.station, day=row.day)


def retake_place(batch: Batch, order: str) -> None:
    """Money came late: the place is taken anew. Raises Refused (gone) when the day is full."""
    row = batch.one(_OF_ORDER, order=order)
    if row is not None and batch.run(_COUNT, order=order, counted=1).rowcount:
        _count(batch, row.station, row.day, row.capacity)


def leader_of(batch: Batch, merchant: str, station_id: str) -> str:
    """Who hands over at a station. Raises NotFound."""
    station = batch.one(_STATION, id=station_id, merchant=merchant)
    if station is None:
        raise NotFound("no such pickup station")
    return str(station.person)


def station_view(connection: Connection, row: Row[Any], now_ms: int) -> StationView:
    """A ``SELECT *`` row of ``station`` with the day and the places that an order of this moment gets."""
    day = fetch_day(now_ms, row.cutoff)
    there = connection.execute(_FREE, {"station": row.id, "day": day}).one_or_none()
    left = row.capacity - (0 if there is None else there.orders)
    return StationView(
        row.id, row.name, row.address, row.person, row.capacity, row.cutoff, bool(row.open), day, max(0, left)
    )


def read_stations(connection: Connection, merchant: str, now_ms: int) -> list[StationView]:
    """A shop's stations, by name."""
    rows = connection.execute(_OF_MERCHANT, {"merchant": merchant, "limit": LIST_MAX}).all()
    return [station_view(connection, row, now_ms) for row in rows]


def read_to_fetch(connection: Connection, station: str, day: str) -> list[StationOrderView]:
    """The paid orders of one day at a station, those that were fetched too."""
    rows = connection.execute(_TO_FETCH, {"station": station, "day": day, "limit": LIST_MAX * 25}).all()
    made = []
    for row in rows:
        lines = connection.execute(_LINES, {"order": row.order_id})
        goods = tuple(f"{line.title} × {line.quantity}" for line in lines)
        # Whoever was erased since has no name.
        name = "" if row.delivery is None else str(orjson.loads(row.delivery)["name"])
        made.append(StationOrderView(row.order_id, row.day, name, goods, row.fulfilment != "open"))
    return made
