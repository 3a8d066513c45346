"""Pickup stations: where goods are fetched, for buyers, leaders and staff."""

from __future__ import annotations

from typing import Any

from commerce.domain.station import StationTerms
from commerce.ledger_stations import StationView
from gateway.api import SIGNED_IN, Call, Operation
from gateway.auth import HOST_ROLES, Claims
from gateway.encode import plain
from gateway.parameters import day
from gateway.schemas_stations import HandOverBody, StationAnswer, StationBody, StationOrderAnswer
from gateway.services import Services

MERCHANT = frozenset({"merchant"})


def station_operations(services: Services) -> list[Operation]:
    """Operations on pickup stations."""
    stations = services.shop.stations

    async def list_stations(call: Call) -> Any:
        found = [_answer(one, call.who) for one in await stations.all(call.who.merchant)]
        return [one for one in found if one["open"] or one["mine"] or call.who.role in HOST_ROLES]

    async def make_station(call: Call) -> Any:
        return _answer(await stations.set(call.who.merchant, call.who.person, "", _terms(call.body)), call.who)

    async def change_station(call: Call) -> Any:
        terms = _terms(call.body)
        return _answer(await stations.set(call.who.merchant, call.who.person, call.path["station"], terms), call.who)

    async def list_station_orders(call: Call) -> Any:
        day = call.query.get("day", "")
        return await stations.to_fetch(call.who.merchant, call.path["station"], day, _leader(call.who))

    async def hand_over_at_station(call: Call) -> Any:
        body: HandOverBody = call.body
        station, who = call.path["station"], call.who
        order = await stations.hand_over(who.merchant, station, body.code, _leader(who))
        goods = [f"{line.title} × {line.quantity}" for line in order.lines]
        delivery = order.delivery or {}
        return StationOrderAnswer(order.order, str(delivery.get("day")), str(delivery.get("name")), goods, True)

    base = "/api/v1/stations"
    orders = list[StationOrderAnswer]
    of_day = {"day": day("YYYY-MM-DD, without it today")}
    one = base + "/{station}"
    return [
        Operation("GET", base, "Pickup stations", list_stations, SIGNED_IN, answer=list[StationAnswer]),
        Operation("POST", base, "A new station", make_station, MERCHANT, StationBody, StationAnswer, 201),
        Operation("PUT", one, "Change a station", change_station, MERCHANT, StationBody, StationAnswer),
        Operation(
            "GET", one + "/orders", "What is fetched there", list_station_orders, SIGNED_IN, answer=orders, query=of_day
        ),
        Operation(
            "POST",
            one + "/handovers",
            "Hand over by code",
            hand_over_at_station,
            SIGNED_IN,
            HandOverBody,
            StationOrderAnswer,
        ),
    ]


def _terms(body: StationBody) -> StationTerms:
    return StationTerms(body.name, body.address, body.leader, body.capacity, body.cutoff, body.open)


def _leader(who: Claims) -> str | None:
    """As whom somebody acts at a station: staff as the shop (None), everybody else as who they are."""
    return None if who.role in HOST_ROLES and who.reach is None else who.person


def _answer(view: StationView, who: Claims) -> dict[str, Any]:
    answer: dict[str, Any] = plain(view)
    answer["mine"] = view.leader == who.person
    if who.role not in HOST_ROLES:
        answer["leader"] = None
    return answer
