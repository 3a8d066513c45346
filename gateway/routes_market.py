"""The distribution market: offers, grants, listings, orders to send, debts and payments between merchants."""

from __future__ import annotations

from typing import Any

from gateway.api import Call, Operation, page_limit
from gateway.encode import plain
from gateway.parameters import PAGING
from gateway.schemas import Empty, Page
from gateway.schemas_market import (
    AllotBody,
    AllottedAnswer,
    DebtView,
    DropView,
    GrantAnswer,
    GrantBody,
    GrantView,
    ListBody,
    ListedAnswer,
    OfferAnswer,
    OfferBody,
    OfferView,
    SendBody,
    SettleBody,
    SettledAnswer,
    ShelfView,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
PATH = "/api/v1/market"


def market_operations(services: Services) -> list[Operation]:
    """Operations under /api/v1/market, for who runs a shop."""
    return [*_offers(services), *_grants(services), *_orders(services)]


def _offers(services: Services) -> list[Operation]:
    market = services.market

    async def list_market_offers(call: Call) -> Page:
        limit = page_limit(call)
        rows = await market.offers(call.query.get("after"), limit)
        items = [
            plain(
                OfferView(
                    row["id"],
                    row["supplier"],
                    row["supplier_name"],
                    row["sku"],
                    row["title"],
                    row["image"],
                    row["supply_price"],
                    row["least_price"],
                    row["note"],
                    row["created_ms"],
                )
            )
            for row in rows
        ]
        return Page(items=items, next=rows[-1]["id"] if len(rows) == limit else None)

    async def offer_to_market(call: Call) -> OfferAnswer:
        body: OfferBody = call.body
        return OfferAnswer(
            await market.offer(call.who.merchant, body.sku, body.supply_price, body.least_price, body.note)
        )

    async def close_market_offer(call: Call) -> Empty:
        await market.close_offer(call.who.merchant, call.path["offer"])
        return Empty()

    async def apply_for_offer(call: Call) -> GrantAnswer:
        return GrantAnswer(await market.apply(call.who.merchant, call.path["offer"]))

    async def list_endless_shelf(call: Call) -> Page:
        limit = page_limit(call)
        rows = await market.shelf(call.who.merchant, call.query.get("after", ""), limit)
        items = [plain(ShelfView(**row)) for row in rows]
        return Page(items=items, next=rows[-1]["product"] if len(rows) == limit else None)

    offers = f"{PATH}/offers"
    return [
        Operation("GET", offers, "What suppliers offer", list_market_offers, MERCHANT, answer=Page, query=PAGING),
        Operation("POST", offers, "Offer a SKU", offer_to_market, MERCHANT, OfferBody, OfferAnswer, 201),
        Operation("DELETE", f"{offers}/{{offer}}", "Close an offer", close_market_offer, MERCHANT, answer=Empty),
        Operation(
            "POST",
            f"{offers}/{{offer}}/applications",
            "Apply for an offer",
            apply_for_offer,
            MERCHANT,
            answer=GrantAnswer,
            status=201,
        ),
        Operation(
            "GET",
            f"{PATH}/shelf",
            "Our products, and those of others that we may sell",
            list_endless_shelf,
            MERCHANT,
            answer=Page,
            query=PAGING,
        ),
    ]


def _grant(row: dict[str, Any], merchant: str) -> GrantView:
    return GrantView(
        grant=row["id"],
        side="supplier" if row["supplier"] == merchant else "channel",
        state=row["state"],
        supplier_name=row["supplier_name"],
        channel=row["channel"],
        channel_name=row["channel_name"],
        title=row["title"],
        image=row["image"],
        supply_price=row["supply_price"],
        least_price=row["least_price"],
        product=row["listed_product"],
        allotted=row["allotted"],
        free=row["free"],
        applied=row["applied_ms"],
        reason=row["reason"],
    )


def _grants(services: Services) -> list[Operation]:
    market = services.market

    async def list_grants(call: Call) -> list[GrantView]:
        return [_grant(row, call.who.merchant) for row in await market.grants(call.who.merchant)]

    async def decide_grant(call: Call) -> Empty:
        who, body = call.who, call.body
        if body.decision == "revoked":
            await market.revoke(who.merchant, call.path["grant"], who.person, body.reason)
        else:
            granted = body.decision == "granted"
            await market.decide(who.merchant, call.path["grant"], who.person, body.reason, granted=granted)
        return Empty()

    async def list_granted(call: Call) -> ListedAnswer:
        return ListedAnswer(await market.list_offer(call.who.merchant, call.path["grant"], call.body.price))

    async def allot_units(call: Call) -> AllottedAnswer:
        return AllottedAnswer(await market.allot(call.who.merchant, call.path["grant"], call.body.units))

    path = f"{PATH}/grants"
    one = f"{path}/{{grant}}"
    return [
        Operation("GET", path, "Grants, on both sides", list_grants, MERCHANT, answer=list[GrantView]),
        Operation("POST", one, "Grant, refuse, revoke", decide_grant, MERCHANT, GrantBody, Empty),
        Operation("POST", f"{one}/listing", "Sell it as our own", list_granted, MERCHANT, ListBody, ListedAnswer, 201),
        Operation("POST", f"{one}/units", "Give units over", allot_units, MERCHANT, AllotBody, AllottedAnswer),
    ]


def _orders(services: Services) -> list[Operation]:
    market = services.market

    async def list_drop_orders(call: Call) -> Page:
        limit, merchant = page_limit(call), call.who.merchant
        rows = await market.orders(merchant, call.query.get("after"), limit)
        items = [
            plain(
                DropView(
                    drop=row["id"],
                    side="supplier" if row["supplier"] == merchant else "channel",
                    order=row["order_id"],
                    title=row["title"],
                    quantity=row["quantity"],
                    supply=row["supply"],
                    owed=row["owed"],
                    state=row["state"],
                    delivery=row["delivery"],
                    carrier=row["carrier"],
                    number=row["number"],
                    created=row["created_ms"],
                )
            )
            for row in rows
        ]
        return Page(items=items, next=rows[-1]["id"] if len(rows) == limit else None)

    async def send_drop_order(call: Call) -> Empty:
        await market.send(call.who.merchant, call.path["drop"], call.body.carrier, call.body.number)
        return Empty()

    async def list_debts(call: Call) -> list[DebtView]:
        return [DebtView(one.kind, one.merchant, one.name, one.amount) for one in await market.debts(call.who.merchant)]

    async def settle_supply(call: Call) -> SettledAnswer:
        who, body = call.who, call.body
        done = await market.settle(who.merchant, body.channel, body.amount, body.number, who.person)
        return SettledAnswer(done.settlement, done.owed)

    orders = f"{PATH}/orders"
    return [
        Operation(
            "GET", orders, "Orders sent for others, or by others", list_drop_orders, MERCHANT, answer=Page, query=PAGING
        ),
        Operation("POST", f"{orders}/{{drop}}/shipment", "It went out", send_drop_order, MERCHANT, SendBody, Empty),
        Operation("GET", f"{PATH}/debts", "What we owe and are owed", list_debts, MERCHANT, answer=list[DebtView]),
        Operation(
            "POST", f"{PATH}/settlements", "A channel's money came", settle_supply, MERCHANT, SettleBody, SettledAnswer
        ),
    ]
