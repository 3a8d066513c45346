"""Stores: what each offers and has; the nearest that has the goods; stock, prices and transfers for who runs them."""

from __future__ import annotations

from functools import partial
from typing import Any

from commerce.changes import Hand
from commerce.domain.freight import FreightTerms
from commerce.domain.order import LINES_MAX, WantedLine
from commerce.domain.outlet import OutletTerms
from commerce.domain.sale import QUANTITY_MAX
from commerce.outlets import OutletView
from gateway.answers import page_of
from gateway.api import SIGNED_IN, Call, Operation, call_key, page_limit
from gateway.auth import Claims
from gateway.encode import plain
from gateway.errors import Problem
from gateway.parameters import PAGING
from gateway.schemas import Empty
from gateway.schemas_outlets import (
    FreightBody,
    FreightView,
    OutletAnswer,
    OutletBody,
    OutletChange,
    OutletPriceAnswer,
    OutletPriceBody,
    OutletStockBody,
    OutletStockPage,
    OutletUnits,
    TransferAnswer,
    TransferBody,
    TransferPage,
    WaysAnswer,
    WaysBody,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
ONE = "/api/v1/outlets/{outlet}"
_TERMS = ("express", "pickup", "courier", "stocked")


def outlet_operations(services: Services) -> list[Operation]:
    """Operations under /api/v1/outlets and /api/v1/stock."""
    return [*_stores(services), *_ways(services), *_freight(services), *_stock(services), *_moves(services)]


def _answer(view: OutletView, mine: frozenset[str] | None, key: str | None = None) -> OutletAnswer:
    """``mine``: the stores that an account of staff runs, None for all of them."""
    row, terms = view.row, view.terms
    own = mine is None or row["id"] in mine
    return OutletAnswer(
        outlet=row["id"],
        name=row["name"],
        address=row["address"],
        phone=row["phone"],
        lat=row["lat_e6"] / 1e6,
        lng=row["lng_e6"] / 1e6,
        pickup=terms.pickup,
        distance=view.distance,
        key=key,
        ways=list(view.ways),  # type: ignore[arg-type]
        offers=list(terms.ways),  # type: ignore[arg-type]
        open=view.open,
        has=view.has,
        stocked=terms.stocked,
        radius=terms.radius_m,
        hours=[list(day) for day in terms.hours],
        mine=own,
        node=row["node"] if own else "",
    )


def _degrees(call: Call, name: str, most: float) -> int | None:
    text = call.query.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = most + 1
    # Written so that NaN fails, too.
    if not -most <= value <= most:
        raise Problem(400, "invalid", f"{name} is degrees from -{most:.0f} to {most:.0f}")
    return round(value * 1e6)


def _goods(call: Call) -> list[WantedLine]:
    """``?goods=SKU:UNITS,SKU:UNITS``. Raises ``Problem``."""
    named = [one for one in call.query.get("goods", "").split(",") if one]
    lines = []
    for one in named:
        sku, _, units = one.rpartition(":")
        if not (sku and units.isascii() and units.isdigit() and 0 < int(units[:9]) <= QUANTITY_MAX):
            raise Problem(400, "invalid", f"goods are SKU:UNITS, SKU:UNITS … with 1 to {QUANTITY_MAX} units each")
        lines.append(WantedLine(sku, int(units)))
    if len(lines) > LINES_MAX:
        raise Problem(400, "invalid", f"at most {LINES_MAX} goods")
    return lines


def _terms(body: OutletBody) -> OutletTerms:
    hours = tuple((since, until) for since, until in body.hours)
    return OutletTerms(body.express, body.pickup, body.courier, body.stocked, body.radius, hours)


def _stores(services: Services) -> list[Operation]:
    outlets, pos, org = services.shop.outlets, services.pos, services.org

    async def mine(who: Claims) -> frozenset[str] | None:
        if not who.staff:
            return frozenset()
        return None if who.reach is None else await outlets.reached(who.merchant, who.reach)

    async def list_outlets(call: Call) -> list[OutletAnswer]:
        lat, lng = _degrees(call, "lat", 90), _degrees(call, "lng", 180)
        if (lat is None) != (lng is None):
            raise Problem(400, "invalid", "lat and lng belong together")
        here = None if lat is None or lng is None else (lat, lng)
        own = await mine(call.who)
        return [_answer(view, own) for view in await outlets.offered(call.who.merchant, here, _goods(call))]

    async def add_outlet(call: Call) -> OutletAnswer:
        body: OutletBody = call.body
        merchant = call.who.merchant
        if body.node:
            org.require_node(call.who.scope, merchant, body.node)
        place = (round(body.lat * 1e6), round(body.lng * 1e6))
        outlet, key = await pos.add(
            merchant, body.name, body.address, body.phone, *place, terms=_terms(body), node=body.node
        )
        return _answer(await outlets.one(merchant, outlet), None, key)

    async def change_outlet(call: Call) -> OutletAnswer:
        body: OutletChange = call.body
        who, outlet = call.who, call.path["outlet"]
        old = await outlets.one(who.merchant, outlet, who.reach)
        if body.node is not None and body.node != old.row["node"]:
            if who.reach is not None:
                raise Problem(403, "outside", "whose a store is is said by who has the whole shop")
            if body.node:
                org.require_node(who.scope, who.merchant, body.node)
        made = OutletBody(**plain(_body_of(old)) | {k: v for k, v in plain(body).items() if v is not None})
        changed = await outlets.change(
            who.merchant,
            outlet,
            name=made.name,
            address=made.address,
            phone=made.phone,
            place=(round(made.lat * 1e6), round(made.lng * 1e6)),
            terms=_terms(made),
            node=made.node,
        )
        return _answer(changed, None)

    async def close_outlet(call: Call) -> Empty:
        await outlets.close(call.who.merchant, call.path["outlet"])
        return Empty()

    path = "/api/v1/outlets"
    query = {
        "lat": "degrees: the nearest first, with ``lng``",
        "lng": "degrees",
        "goods": "SKU:UNITS,SKU:UNITS …: stores that have all of them free come first",
    }
    return [
        Operation("GET", path, "The stores", list_outlets, SIGNED_IN, answer=list[OutletAnswer], query=query),
        Operation("POST", path, "Add a store", add_outlet, MERCHANT, OutletBody, OutletAnswer, 201),
        Operation("PATCH", ONE, "Change a store", change_outlet, MERCHANT, OutletChange, OutletAnswer, within="node"),
        Operation("DELETE", ONE, "Close a store", close_outlet, MERCHANT, answer=Empty),
    ]


def _freight(services: Services) -> list[Operation]:
    outlets = services.shop.outlets

    async def list_freight(call: Call) -> Any:
        return [_freight_view(row) for row in await outlets.freight_rules(call.who.merchant)]

    async def set_freight(call: Call) -> Any:
        body, who = call.body, call.who
        bands = tuple((metres, fee) for metres, fee in body.bands)
        terms = FreightTerms(bands, body.free_from, body.keeps) if bands else None
        rules = await outlets.set_freight(who.merchant, who.person, body.outlet, body.way, terms)
        return [_freight_view(row) for row in rules]

    path = "/api/v1/freight"
    return [
        Operation("GET", path, "What bringing costs", list_freight, MERCHANT, answer=list[FreightView]),
        Operation("PUT", path, "Set what bringing costs", set_freight, MERCHANT, FreightBody, list[FreightView]),
    ]


def _freight_view(row: dict[str, Any]) -> FreightView:
    return FreightView(*(row[name] for name in FreightView.__struct_fields__))


def _ways(services: Services) -> list[Operation]:
    outlets = services.shop.outlets

    async def read_ways(call: Call) -> WaysAnswer:
        return WaysAnswer(list(await outlets.ways(call.who.merchant)))  # type: ignore[arg-type]

    async def set_ways(call: Call) -> WaysAnswer:
        body: WaysBody = call.body
        who = call.who
        ways = await outlets.set_ways(who.merchant, who.person, express=body.express, pickup=body.pickup)
        return WaysAnswer(list(ways))  # type: ignore[arg-type]

    return [
        Operation("GET", "/api/v1/ways", "How the shop hands over", read_ways, SIGNED_IN, answer=WaysAnswer),
        Operation("PUT", "/api/v1/ways", "Choose how", set_ways, MERCHANT, WaysBody, WaysAnswer),
    ]


def _body_of(view: OutletView) -> OutletBody:
    row, terms = view.row, view.terms
    return OutletBody(
        name=row["name"],
        address=row["address"],
        phone=row["phone"],
        lat=row["lat_e6"] / 1e6,
        lng=row["lng_e6"] / 1e6,
        **{name: getattr(terms, name) for name in _TERMS},
        radius=terms.radius_m,
        hours=[list(day) for day in terms.hours],
        node=row["node"],
    )


def _stock(services: Services) -> list[Operation]:
    outlets = services.shop.outlets

    async def asked(call: Call) -> str:
        """The store of the path, if it is within the reach of who asks."""
        outlet = call.path["outlet"]
        await outlets.one(call.who.merchant, outlet, call.who.reach)
        return outlet

    async def list_outlet_stock(call: Call) -> Any:
        limit = page_limit(call)
        rows = await outlets.stock(call.who.merchant, await asked(call), call.query.get("after", ""), limit)
        items = [_stock_line(row) for row in rows]
        return OutletStockPage(items, rows[-1]["sku"] if len(rows) == limit else None)  # type: ignore[arg-type]

    async def stock_outlet(call: Call) -> Any:
        body: OutletStockBody = call.body
        who = call.who
        return await outlets.stock_up(who.merchant, who.person, await asked(call), body.sku, body.quantity, body.reason)

    async def set_outlet_price(call: Call) -> Any:
        body: OutletPriceBody = call.body
        who, by = call.who, Hand(call.who.person, body.why)
        where = (who.merchant, await asked(call), call.path["sku"])
        return await outlets.set_price(*where, body.price, body.offer, body.since, body.until, by)

    async def read_outlet_prices(call: Call) -> Any:
        skus = [line.sku for line in _goods(call)]
        return await outlets.prices(call.who.merchant, call.path["outlet"], skus)

    own = partial(Operation, within="node")
    prices = f"{ONE}/prices"
    return [
        own("GET", f"{ONE}/stock", "Its stock", list_outlet_stock, MERCHANT, answer=OutletStockPage, query=PAGING),
        own("POST", f"{ONE}/stock", "Receive or count", stock_outlet, MERCHANT, OutletStockBody, OutletUnits),
        own("PUT", f"{prices}/{{sku}}", "Its price", set_outlet_price, MERCHANT, OutletPriceBody, OutletPriceAnswer),
        Operation(
            "GET",
            prices,
            "What goods cost there",
            read_outlet_prices,
            SIGNED_IN,
            answer=list[OutletPriceAnswer],
            query={"goods": "SKU:UNITS,SKU:UNITS …"},
        ),
    ]


def _moves(services: Services) -> list[Operation]:
    outlets = services.shop.outlets

    async def move_stock(call: Call) -> Any:
        body: TransferBody = call.body
        who, key = call.who, call_key(call)
        for place in (body.source, body.target):
            await outlets.require(who.merchant, place, who.reach)
        moved = (body.sku, body.quantity, body.source, body.target, body.why)
        return await outlets.transfer(who.merchant, who.person, *moved, key)

    async def list_transfers(call: Call) -> Any:
        limit, outlet = page_limit(call), call.query.get("outlet", "")
        if call.who.reach is not None and not outlet:
            raise Problem(403, "outside", "name the store: this account has a part of the shop")
        await outlets.require(call.who.merchant, outlet, call.who.reach)
        return page_of(await outlets.transfers(call.who.merchant, outlet, call.query.get("after"), limit), limit)

    own, moves = partial(Operation, within="node"), "/api/v1/stock/moves"
    return [
        own("POST", moves, "Move stock", move_stock, MERCHANT, TransferBody, TransferAnswer, 201, keyed=True),
        own(
            "GET",
            moves,
            "Stock that was moved",
            list_transfers,
            MERCHANT,
            answer=TransferPage,
            query={**PAGING, "outlet": "only from or to this store"},
        ),
    ]


def _stock_line(row: dict[str, Any]) -> dict[str, Any]:
    units = {name: row[name] or 0 for name in ("free", "held", "sold", "shipped", "quarantined")}
    texts = {name: row[name] for name in ("sku", "title", "name", "code", "shop_price", "price")}
    offer = {"offer": row["offer_price"], "since": row["offer_from_ms"], "until": row["offer_until_ms"]}
    return texts | units | offer
