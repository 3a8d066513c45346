"""The back rooms of the crowded shop: stores, couriers, purchasing, processing, memberships and events."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from commerce import outlets_sql
from commerce.changes import Hand
from commerce.domain.day import DAY_MS
from commerce.domain.membership import Benefits, PlanTerms
from commerce.domain.order import Delivery
from commerce.domain.outlet import OutletTerms
from commerce.domain.purchase import PurchaseStep
from commerce.domain.signup import EventTerms
from commerce.pos import outlet_row
from tests.commerce.crowded_aftersale import VASE, furnish_aftersale
from tests.commerce.crowded_custom import KITCHEN, RING, furnish_custom
from tests.commerce.crowded_desk import Desk, Names, operation, simple
from tests.commerce.shop_world import MERCHANT, OTHER_SKU

HOUR_MS = DAY_MS // 24
HERE = (31_234_567, 121_474_000)
FREE = OutletTerms(express=True, courier=True)
STOCKED = replace(FREE, stocked=True)
FISH, FILLET, PLAN, SEAT = "fish", "fillet", "plan", "seat"
TERMS = PlanTerms(3, Benefits(90, 300, 500, 2_000, 20))


async def furnish_back(desk: Desk, names: Names) -> None:
    """Fill the back rooms."""
    await desk.store.write(_rows)
    await _stores(desk, names)
    await _purchases(desk, names)
    await _memberships(desk, names)
    await _events(desk, names)
    await furnish_custom(desk, names)
    await furnish_aftersale(desk, names)


def _rows(db: Connection) -> None:
    for sku, price in (
        (FISH, 4_000),
        (FILLET, 1_500),
        (PLAN, 6_000),
        (SEAT, 1_000),
        (RING, 2_500),
        (KITCHEN, 9_000),
        (VASE, 1_200),
    ):
        db.exec_driver_sql(f"INSERT INTO product VALUES ('p-{sku}', '{MERCHANT}', '{sku}', '', '', true, 0, '')")
        db.exec_driver_sql(
            "INSERT INTO sku (id, product, merchant, name, price, list_price, version)"
            f" VALUES ('{sku}', 'p-{sku}', '{MERCHANT}', '', {price}, {price}, 1)"
        )
    for sku, grams in ((FISH, 1_000), (FILLET, 250)):
        db.exec_driver_sql(
            f"INSERT INTO sku_detail (sku, merchant, code, grams) VALUES ('{sku}', '{MERCHANT}', '{sku}', {grams})"
        )
    for outlet, terms in (("north", STOCKED), ("south", STOCKED), ("kiosk", FREE)):
        row = outlet_row(outlet, f"{outlet} street", "", HERE, terms, "")
        outlets_sql.add(db, id=outlet, merchant=MERCHANT, key_digest=outlet, now=2, **row)


def _brought(person: str, outlet: str) -> Delivery:
    return Delivery("courier", person, "13800138000", "some road 1", outlet, lat_e6=HERE[0], lng_e6=HERE[1])


def _fetched(person: str) -> Delivery:
    return Delivery("pickup", person, "13800138000", outlet="north")


async def _stores(desk: Desk, names: Names) -> None:
    await desk.shop.outlets.stock_up(MERCHANT, "boss", "north", OTHER_SKU, 2, "received")
    names["on its way"] = (await desk.buy("ann", "brought", delivery=_brought("ann", "north"))).order
    names["errand"] = (await desk.couriers.call(MERCHANT, names["on its way"], "boss")).errand
    names["to be called"] = (await desk.buy("cy", "kiosk", delivery=_brought("cy", "kiosk"))).order


async def _purchases(desk: Desk, names: Names) -> None:
    bought = desk.purchases
    names["supplier"] = supplier = await bought.save_supplier(MERCHANT, None, "the mill")
    lines = [(OTHER_SKU, 3, 700), (FISH, 2, 3_333)]
    names["purchase"] = (await bought.save(MERCHANT, "boss", None, supplier, lines)).purchase
    await bought.step(MERCHANT, "boss", names["purchase"], PurchaseStep("order"))
    came = [(OTHER_SKU, 2, None), (FISH, 2, None)]
    await bought.receive(MERCHANT, "boss", names["purchase"], came, "first")
    names["draft"] = (await bought.save(MERCHANT, "boss", None, supplier, [(FISH, 1, 3_000)])).purchase
    names["recipe"] = await desk.processing.save_recipe(MERCHANT, None, "fillets", 3_000, "grams")


async def _memberships(desk: Desk, names: Names) -> None:
    await desk.shop.stock_up(MERCHANT, PLAN, 2)
    await desk.shop.memberships.set_plan(MERCHANT, "boss", PLAN, TERMS)
    names["plan order"] = (await desk.buy("fay", "plan", PLAN)).order
    [one] = await desk.shop.memberships.of_person(MERCHANT, "fay")
    names["membership"] = one.membership


async def _events(desk: Desk, names: Names) -> None:
    signups, begins = desk.shop.signups, desk.clock() + 12 * HOUR_MS
    await desk.shop.stock_up(MERCHANT, SEAT, 3)
    tasting = EventTerms("tasting", "", "lake", begins, begins + HOUR_MS, begins, 2)
    names["tasting"] = (await signups.save(MERCHANT, "boss", None, tasting)).event
    for person in ("ann", "bo", "cy"):
        ticket = await signups.sign_up(MERCHANT, person, names["tasting"], person)
        names[f"ticket of {person}"] = ticket.code
    show = replace(tasting, title="show", sku=SEAT, pay_s=600)
    names["show"] = (await signups.save(MERCHANT, "boss", None, show)).event
    for person in ("ed", "cy", "di"):
        await signups.sign_up(MERCHANT, person, names["show"], person)
    names["seat"] = (await desk.buy("ed", "seat", SEAT)).order


async def _event(desk: Desk, name: str) -> EventTerms:
    """The terms of an event, as staff see them."""
    [one] = [one for one in await desk.shop.signups.events(MERCHANT) if one.title == name]
    return EventTerms(
        one.title, one.detail, one.place, one.starts, one.ends, one.closes, one.places, one.sku, one.pay_s
    )


# --- stores and couriers ---------------------------------------------------------------------------------------------


async def _write_store(desk: Desk, outlet: str, terms: OutletTerms) -> Any:
    return await desk.shop.outlets.change(
        MERCHANT, outlet, name=outlet, address="a street", phone="", place=HERE, terms=terms, node=""
    )


simple("buy_at_a_store", lambda d, n: d.buy("bo", "store", delivery=_fetched("bo")))
simple("move_stock", lambda d, n: d.shop.outlets.transfer(
    MERCHANT, "boss", OTHER_SKU, 1, "north", "south", "rebalance", "new"
))  # fmt: skip
simple("set_store_price", lambda d, n: d.shop.outlets.set_price(
    MERCHANT, "north", OTHER_SKU, 1_800, None, 0, 0, Hand("boss", "rain")
))  # fmt: skip
simple("keep_no_stock", lambda d, n: _write_store(d, "south", FREE))
simple("send_no_couriers", lambda d, n: _write_store(d, "kiosk", OutletTerms()))
simple("close_the_empty_store", lambda d, n: d.shop.outlets.close(MERCHANT, "south"))
simple("close_the_kiosk", lambda d, n: d.shop.outlets.close(MERCHANT, "kiosk"))
simple("call_a_courier", lambda d, n: d.couriers.call(MERCHANT, n["to be called"], "boss"))
simple("call_the_courier_off", lambda d, n: d.couriers.cancel(MERCHANT, n["on its way"], "no rider"))
simple("refund_what_is_on_its_way", lambda d, n: d.shop.aftersale.refund(
    MERCHANT, "boss", n["on its way"], "way", stock="sellable"
))  # fmt: skip


@operation
async def courier_arrives(desk: Desk, names: Names) -> Any:
    """The rider brought the goods; the notice comes twice."""
    brought = desk.courier.move(names["errand"], "delivered")
    for _ in range(2):
        answer = await desk.couriers.answer("sandbox", brought.body, brought.headers)
        assert answer.status == 200, answer
    return answer


# --- purchasing, processing ------------------------------------------------------------------------------------------

simple("draft_a_purchase", lambda d, n: d.purchases.save(MERCHANT, "boss", None, n["supplier"], [(FISH, 2, 3_000)]))
simple("edit_the_draft", lambda d, n: d.purchases.save(MERCHANT, "boss", n["draft"], n["supplier"], [(FISH, 9, 1)]))
simple("order_the_draft", lambda d, n: d.purchases.step(MERCHANT, "boss", n["draft"], PurchaseStep("order")))
simple("close_short", lambda d, n: d.purchases.step(
    MERCHANT, "boss", n["purchase"], PurchaseStep("close_short"), "sold out"
))  # fmt: skip
simple("receive_the_rest", lambda d, n: d.purchases.receive(
    MERCHANT, "boss", n["purchase"], [(OTHER_SKU, 1, 800)], "rest"
))  # fmt: skip
simple("send_back", lambda d, n: d.purchases.send_back(
    MERCHANT, "boss", n["purchase"], [(OTHER_SKU, 2), (FISH, 1)], "back", "", "damp"
))  # fmt: skip
simple("pay_the_supplier", lambda d, n: d.purchases.pay(MERCHANT, "boss", n["supplier"], 2 * 700 + 2 * 3_333, "T1"))
simple("set_cost", lambda d, n: d.purchases.set_cost(MERCHANT, "boss", OTHER_SKU, 900, "as of the books"))
simple("process", lambda d, n: d.processing.run(
    MERCHANT, "boss", n["recipe"], [(FISH, 2, 0)], [(FILLET, 6, 0)], "new"
))  # fmt: skip
simple("buy_the_raw_goods", lambda d, n: d.buy("bo", "fish", FISH, 2))


# --- memberships, events ---------------------------------------------------------------------------------------------

simple("end_the_plan", lambda d, n: d.shop.memberships.set_plan(MERCHANT, "boss", PLAN, None))
simple("renew", lambda d, n: d.buy("fay", "again", PLAN))
simple("refund_membership", lambda d, n: d.shop.memberships.refund(MERCHANT, "boss", n["membership"], "m", "moved"))
simple("refund_the_plan_order", lambda d, n: d.shop.aftersale.refund(MERCHANT, "boss", n["plan order"], "plan"))
simple("buy_at_member_price", lambda d, n: d.buy("fay", "member"))
simple("sign_up", lambda d, n: d.shop.signups.sign_up(MERCHANT, "di", n["tasting"], "Di"))
simple("leave_event", lambda d, n: d.shop.signups.leave(MERCHANT, "ann", n["tasting"]))
simple("check_in", lambda d, n: d.shop.signups.check_in(MERCHANT, "host", n["ticket of ann"]))
simple("call_off", lambda d, n: d.shop.signups.call_off(MERCHANT, "boss", n["tasting"]))
simple("buy_the_place", lambda d, n: d.buy("cy", "place", SEAT))
simple("leave_the_show", lambda d, n: d.shop.signups.leave(MERCHANT, "cy", n["show"]))
simple("refund_the_place", lambda d, n: d.shop.aftersale.refund(MERCHANT, "boss", n["seat"], "seat", stock="sellable"))
simple("call_off_the_show", lambda d, n: d.shop.signups.call_off(MERCHANT, "boss", n["show"]))


@operation
async def one_more_place(desk: Desk, names: Names) -> Any:
    """The room is larger than they thought."""
    terms = await _event(desk, "tasting")
    return await desk.shop.signups.save(MERCHANT, "boss", names["tasting"], replace(terms, places=3))
