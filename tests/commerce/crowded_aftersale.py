"""Requests after the sale in the crowded shop: one in each state in which somebody has to do something."""

from typing import Any

from commerce.domain.aftersale import Counted
from commerce.domain.order import Delivery
from tests.commerce.crowded_desk import Desk, Names, simple
from tests.commerce.shop_world import MERCHANT

VASE = "vase"
TO = Delivery("express", "Ann", "13800138000", "some road 1")


async def furnish_aftersale(desk: Desk, names: Names) -> None:
    """Sell vases: nobody asked about one yet, one is asked about unsent, others come back or were offered for."""
    await desk.shop.stock_up(MERCHANT, VASE, 4)
    for person in ("ann", "bo", "cy", "gus"):
        names[f"vase of {person}"] = (await desk.buy(person, f"vase {person}", VASE, delivery=TO)).order
    names["vase asked"] = (await _ask(desk, names, "ann", "refund", "mind")).request
    for person in ("bo", "cy"):
        await desk.shop.aftersale.ship(MERCHANT, names[f"vase of {person}"], "SF", "1")
    names["vase approved"] = approved = (await _ask(desk, names, "bo", "return", "faulty")).request
    await desk.shop.requests.approve(MERCHANT, "boss", approved)
    names["vase offered"] = offered = (await _ask(desk, names, "cy", "return", "damaged")).request
    await desk.shop.requests.offer(MERCHANT, "boss", offered, 500, keeps=True)


async def _ask(desk: Desk, names: Names, person: str, kind: str, reason: str) -> Any:
    order = names[f"vase of {person}"]
    return await desk.shop.requests.ask(MERCHANT, person, order, f"ask {person}", kind, reason, [(VASE, 1)])


simple("ask_for_a_vase_s_money", lambda d, n: _ask(d, n, "gus", "refund", "late"))
simple("approve_the_vase", lambda d, n: d.shop.requests.approve(MERCHANT, "boss", n["vase asked"]))
simple("refuse_the_vase", lambda d, n: d.shop.requests.refuse(MERCHANT, "boss", n["vase asked"], "it is packed"))
simple("offer_less_for_the_vase", lambda d, n: d.shop.requests.offer(
    MERCHANT, "boss", n["vase asked"], 300, keeps=True
))  # fmt: skip
simple("withdraw_the_vase", lambda d, n: d.shop.requests.withdraw(MERCHANT, "ann", n["vase asked"]))
simple("ship_the_vase", lambda d, n: d.shop.aftersale.ship(MERCHANT, n["vase of ann"], "SF", "2"))
simple("refund_the_vase", lambda d, n: d.shop.aftersale.refund(
    MERCHANT, "boss", n["vase of ann"], "vase", stock="sellable"
))  # fmt: skip
simple("send_the_vase_back", lambda d, n: d.shop.requests.send(MERCHANT, "bo", n["vase approved"], "SF", "3"))
simple("count_the_vase", lambda d, n: d.shop.requests.receive(
    MERCHANT, "boss", n["vase approved"], [Counted(VASE, 0, 1)]
))  # fmt: skip
simple("take_the_vase_s_offer", lambda d, n: d.shop.requests.take(MERCHANT, "cy", n["vase offered"], 500))
simple("leave_the_vase_s_offer", lambda d, n: d.shop.requests.leave(MERCHANT, "cy", n["vase offered"]))
