"""What bringing costs and what partners get in the crowded shop: rules of freight, contracts, shares, settlements."""

from typing import Any

from commerce.commissions import DecideWithdrawal
from commerce.domain.freight import FreightTerms
from commerce.domain.order import Delivery
from commerce.events import DropView
from commerce.ledger import Claim, StartDrop
from commerce.partner_coupons_sql import WAY
from tests.commerce.crowded_desk import Desk, Names, operation, simple
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM

CHANNEL, CINEMA = "m2", "m3"
RULE = FreightTerms(((500, 300), (3_000, 500)), free_from=50_000)
DEARER = FreightTerms(((500, 400), (3_000, 900)))
FLAT = FreightTerms(((0, 600),), free_from=4_000, keeps=False)
NEAR = Delivery("courier", "gus", "13800138000", "some road 2", "north", lat_e6=31_234_600, lng_e6=121_474_100)
LEAST: dict[str, Any] = {
    "since": "",
    "until": "",
    "days": 30,
    "first_only": False,
    "cap_order": 0,
    "cap_month": 0,
    "sees": "rows",
    "coupon_bp": 4_000,
    "rates": [{"scope": "shop", "target": "", "bp": 1_000}],
}


def brought_by(partner: str) -> dict[str, Any]:
    """The decision that a partner brought the buyer."""
    return {"credits": {"partner": {"issuer": partner}}}


async def furnish_partners(desk: Desk, names: Names) -> None:
    """Partners of another trade, one of them a merchant here, with shares that are good soon; and one who may come."""
    for name in ("gym", "spa"):
        names[name] = str((await desk.partners.add(MERCHANT, "boss", name, "fitness", LEAST))["id"])
        await desk.buy("ed", f"early {name}", units=2, decision=brought_by(names[name]))
    baths = await desk.partners.add(MERCHANT, "boss", "baths", "wellness", LEAST, counterpart=CHANNEL)
    names["baths"] = str(baths["id"])
    await desk.partners.decide(CHANNEL, str(baths["contracts"][0]["id"]), "boss", agreed=True)
    await desk.buy("ed", "early baths", units=2, decision=brought_by(names["baths"]))
    row = f"INSERT INTO merchant (id, name, created_ms) VALUES ('{CINEMA}', '{CINEMA}', 0)"
    await desk.store.write(lambda db: db.exec_driver_sql(row))
    asked = await desk.partners.add(MERCHANT, "boss", "cinema", "films", LEAST, counterpart=CINEMA)
    names["cinema"], names["proposed"] = str(asked["id"]), str(asked["contracts"][0]["id"])


async def furnish_dues(desk: Desk, names: Names) -> None:
    """Shares asked for and shares that wait; an order with freight on its way, and one that nobody called for."""
    names["share asked"] = (await desk.partners.settle(MERCHANT, names["spa"], 200, "first")).withdrawal
    names["channel asked"] = (await desk.partners.settle(MERCHANT, names["baths"], 300, "first")).withdrawal
    names["shared"] = (await desk.buy("fay", "shared", units=2, decision=brought_by(names["gym"]))).order
    await desk.shop.outlets.stock_up(MERCHANT, "boss", "north", OTHER_SKU, 3, "received")
    await desk.shop.outlets.set_freight(MERCHANT, "boss", "north", "courier", RULE)
    for name in ("carried", "waiting"):
        names[name] = (await desk.buy("gus", name, delivery=NEAR)).order
    names["carrying"] = (await desk.couriers.call(MERCHANT, names["carried"], "boss")).errand


async def _freight(desk: Desk, outlet: str, way: str, terms: FreightTerms | None) -> Any:
    return await desk.shop.outlets.set_freight(MERCHANT, "boss", outlet, way, terms)


# --- freight ---------------------------------------------------------------------------------------------------------

simple("set_dearer_freight", lambda d, n: _freight(d, "north", "courier", DEARER))
simple("set_no_freight", lambda d, n: _freight(d, "north", "courier", None))
simple("set_freight_of_all", lambda d, n: _freight(d, "", "express", FLAT))
simple("buy_with_freight", lambda d, n: d.buy("ed", "freight", delivery=NEAR))
simple("refund_before_it_goes", lambda d, n: d.shop.aftersale.refund(
    MERCHANT, "boss", n["waiting"], "waiting", stock="sellable"
))  # fmt: skip
simple("refund_on_the_road", lambda d, n: d.shop.aftersale.refund(MERCHANT, "boss", n["carried"], "road"))
simple("refund_its_freight", lambda d, n: d.shop.aftersale.refund(MERCHANT, "boss", n["carried"], "fee", amount=300))
simple("call_for_what_waits", lambda d, n: d.couriers.call(MERCHANT, n["waiting"], "boss"))
simple("call_off_what_is_carried", lambda d, n: d.couriers.cancel(MERCHANT, n["carried"], "no rider"))


@operation
async def courier_is_owed(desk: Desk, names: Names) -> Any:
    """The goods were taken and brought: what that costs is owed from now on; each notice comes twice."""
    for kind in ("accepted", "carried", "delivered"):
        told = desk.courier.move(names["carrying"], kind)
        for _ in range(2):
            answer = await desk.couriers.answer("sandbox", told.body, told.headers)
            assert answer.status == 200, answer
    return answer


# --- partners --------------------------------------------------------------------------------------------------------

simple("buy_from_the_gym", lambda d, n: d.buy("cy", "gym", decision=brought_by(n["gym"])))
simple("refund_what_is_shared", lambda d, n: d.shop.aftersale.refund(
    MERCHANT, "boss", n["shared"], "shared", lines=[(OTHER_SKU, 1)], stock="sellable"
))  # fmt: skip
simple("settle_a_share", lambda d, n: d.partners.settle(MERCHANT, n["gym"], 300, "new"))
simple("settle_another_share", lambda d, n: d.partners.settle(MERCHANT, n["gym"], 400, "other"))
simple("propose_less", lambda d, n: d.partners.propose(MERCHANT, n["gym"], "boss", {**LEAST, "cap_order": 50}))
simple("pause_the_gym", lambda d, n: d.partners.change(MERCHANT, n["gym"], {"state": "paused"}))
simple("end_the_gym", lambda d, n: d.partners.change(MERCHANT, n["gym"], {"state": "ended"}))
simple("agree_to_share", lambda d, n: d.partners.decide(CINEMA, n["proposed"], "boss", agreed=True))
simple("refuse_to_share", lambda d, n: d.partners.decide(CINEMA, n["proposed"], "boss", agreed=False))
simple("buy_from_the_cinema", lambda d, n: d.buy("di", "cinema", decision=brought_by(n["cinema"])))
simple("refuse_the_settlement", lambda d, n: d.do(
    DecideWithdrawal(MERCHANT, n["share asked"], "rejected", "boss", "", "no")
))  # fmt: skip


async def _offered(desk: Desk, names: Names, key: str) -> DropView:
    terms = (MERCHANT, ROOM, "spa", "next door", 100, 0, 5, 1, 60_000, 3_600_000)
    return await desk.partners.offer(StartDrop(*terms, issuer=names["spa"], way=WAY), 500, "boss", key)


simple("offer_the_spas_visitors_a_coupon", lambda d, n: _offered(d, n, "spa offer"))


@operation
async def spend_a_coupon_of_the_spas(desk: Desk, names: Names) -> Any:
    """The partner bears a part of what it takes off."""
    offer = await _offered(desk, names, "spent")
    given = await desk.do(Claim(MERCHANT, ROOM, "gus", offer.drop, "entry", "", WAY))
    return await desk.buy("gus", "spa's", coupon=given.coupon, decision=brought_by(names["spa"]))


async def _paid(desk: Desk, asked: str) -> Any:
    await desk.do(DecideWithdrawal(MERCHANT, asked, "approved", "boss"))
    return await desk.do(DecideWithdrawal(MERCHANT, asked, "paid", "boss", "T-9"))


simple("pay_another_merchant", lambda d, n: _paid(d, n["channel asked"]))


@operation
async def spend_what_the_guide_gave(desk: Desk, names: Names) -> Any:
    """A coupon at the cost of a guide's budget, used at once."""
    given = await desk.shop.members.give_coupon(
        MERCHANT, ROOM, "guide", "gus", "spent", title="x", reason="x", amount=300, threshold=0, valid_s=600
    )
    return await desk.buy("gus", "given", coupon=given.coupon)


@operation
async def pay_the_settlement(desk: Desk, names: Names) -> Any:
    """Approved, and paid by hand."""
    return await _paid(desk, names["share asked"])
