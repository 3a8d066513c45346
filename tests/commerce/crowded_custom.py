"""Custom orders in the crowded shop: forms, requests, offers, the making."""

from typing import Any

from commerce.domain.custom import CustomField, CustomForm, Offer
from commerce.domain.day import DAY_MS
from commerce.domain.order import Delivery, WantedLine
from tests.commerce.crowded_desk import Desk, Names, simple
from tests.commerce.shop_world import MERCHANT, ROOM

RING, KITCHEN = "ring", "kitchen"
FORM = CustomForm((CustomField("name", "text", required=True, most=20, amount=300),), making_days=3)
ON_REQUEST = CustomForm(making_days=3, asked=True)
WISHED = (("name", "Ann"),)
TO = Delivery("express", "Ann", "13800138000", "some road 1")


async def furnish_custom(desk: Desk, names: Names) -> None:
    """Fill the workshop."""
    for sku, form in ((RING, FORM), (KITCHEN, ON_REQUEST)):
        await desk.shop.stock_up(MERCHANT, sku, 3)
        await desk.shop.custom.set_form(MERCHANT, "boss", sku, form)
    names["ring"] = await _ring(desk, "ann", "ring")
    names["asked"] = (await _ask(desk, "di", "asked")).request
    for person in ("cy", "lou"):
        names[f"offer of {person}"] = request = (await _ask(desk, person, "ask")).request
        await _offer(desk, request, 30)
    order = await desk.shop.create_order(MERCHANT, ROOM, "lou", "kitchen", offer=(names["offer of lou"], 1), delivery=TO)
    names["kitchen"] = order.order
    paid = await desk.shop.pay_order(MERCHANT, "lou", order.order, "pay-kitchen")
    assert paid.presale is not None and paid.presale.balance_order is not None
    names["kitchen balance"] = paid.presale.balance_order


async def _ring(desk: Desk, person: str, key: str) -> str:
    lines = [WantedLine(RING, 1, None, WISHED)]
    order = await desk.shop.create_order(MERCHANT, ROOM, person, key, lines=lines, delivery=TO)
    return (await desk.shop.pay_order(MERCHANT, person, order.order, f"pay-{key}")).order


async def _ask(desk: Desk, person: str, key: str) -> Any:
    return await desk.shop.custom.ask(MERCHANT, ROOM, person, KITCHEN, 1, (), "white", key)


async def _offer(desk: Desk, request: str, percent: int) -> Any:
    now_ms = desk.clock()
    offer = Offer(5_000, percent, "keep", now_ms + 2 * DAY_MS, now_ms + DAY_MS)
    return await desk.shop.custom.offer(MERCHANT, "boss", request, offer, "")


simple("buy_a_ring", lambda d, n: _ring(d, "bo", "another ring"))
simple("set_no_form", lambda d, n: d.shop.custom.set_form(MERCHANT, "boss", RING, None))
simple("confirm_the_ring", lambda d, n: d.shop.custom.produce(MERCHANT, n["ring"], "confirmed"))
simple("cancel_the_ring", lambda d, n: d.shop.custom.cancel(MERCHANT, "ann", n["ring"], "no ring"))
simple("refund_the_ring", lambda d, n: d.shop.aftersale.refund(MERCHANT, "boss", n["ring"], "ring", stock="sellable"))
simple("ask_for_a_kitchen", lambda d, n: _ask(d, "ed", "new"))
simple("offer_a_kitchen", lambda d, n: _offer(d, n["asked"], 0))
simple("offer_it_anew", lambda d, n: _offer(d, n["offer of cy"], 20))
simple("decline_the_kitchen", lambda d, n: d.shop.custom.decline(MERCHANT, "boss", n["offer of cy"], "too far"))
simple("withdraw_the_request", lambda d, n: d.shop.custom.withdraw(MERCHANT, "cy", n["offer of cy"]))
simple("accept_the_offer", lambda d, n: d.shop.create_order(
    MERCHANT, ROOM, "cy", "accepted", offer=(n["offer of cy"], 1), delivery=TO
))  # fmt: skip
simple("pay_the_kitchen", lambda d, n: d.shop.pay_order(MERCHANT, "lou", n["kitchen balance"], "kitchen balance"))
simple("cancel_the_kitchen", lambda d, n: d.shop.custom.cancel(MERCHANT, "lou", n["kitchen"], "no kitchen"))
simple("let_the_balance_go", lambda d, n: d.shop.cancel_order(MERCHANT, "lou", n["kitchen balance"]))
