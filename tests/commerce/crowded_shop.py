"""A small shop in which everything is scarce and under way, and all that can be done to it, for the interleaver.

``furnish`` makes it once; every example begins with a copy. ``OPERATIONS`` are the things to do: each by its public
way where that takes several transactions, else by its command. A new command of the ledger needs one here, or (stores,
couriers, purchasing, processing, memberships, events) in ``crowded_back``, (freight, partners) in ``crowded_dues``, or
in ``crowded_custom``, ``crowded_aftersale``.
"""

from typing import Any

import orjson
from sqlalchemy import Connection, text

from commerce.basket import DropTerms
from commerce.commissions import ClearHold, DecideWithdrawal, Release, Withdraw
from commerce.crm.automations_sql import BeginRuns
from commerce.domain.day import DAY_MS, day_of
from commerce.domain.member import Program
from commerce.domain.order import Delivery
from commerce.domain.passes import PassTerms
from commerce.domain.pos import Receipt
from commerce.domain.presale import Missed, Presale
from commerce.domain.sale import SaleMode, SaleTerms
from commerce.domain.station import StationTerms
from commerce.domain.takings import Takings
from commerce.identity.join import DecideConflict, Erase, ImportMembers, Join, MemberRow, MergePeople, UndoMerge
from commerce.identity.privacy_sql import CloseAccount, Forget
from commerce.ledger import ClosePayment, FailRefund
from commerce.market_sql import Revoke
from commerce.moments import Offer
from commerce.pos_sql import TakeReceipt, TakeRefund
from commerce.pos_takings_sql import CloseTill, TellTakings
from tests.commerce.crowded_back import furnish_back
from tests.commerce.crowded_desk import HOLD_S, Desk, Names, operation, simple
from tests.commerce.crowded_dues import furnish_dues, furnish_partners
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU

CHANNEL = "m2"
PEOPLE = ("ann", "bo", "cy", "di", "ed", "fay", "gus", "dora", "dan", "pia", "pio", "leader")
ENTER_S = 60


def _rows(db: Connection) -> None:
    for n, name in enumerate(PEOPLE, 1):
        db.exec_driver_sql(f"INSERT INTO person VALUES ('{name}', '{MERCHANT}', '{name}', {n})")
        db.exec_driver_sql(f"INSERT INTO identity VALUES ('{MERCHANT}', 'guest', '{name}', '{name}', {n})")
    for name in ("dora", "dan"):
        db.exec_driver_sql(f"INSERT INTO distributor VALUES ('{MERCHANT}', '{name}', '{name}', NULL, '', 'active', 1)")
    db.exec_driver_sql(f"INSERT INTO commission_rate VALUES ('{MERCHANT}', 'shop', '', 1000, 0)")
    for sku, price, kind, bonus in (("card", 10_000, "stored", 2_000), ("pass", 3_000, "goods", 0)):
        db.exec_driver_sql(f"INSERT INTO product VALUES ('p-{sku}', '{MERCHANT}', '{sku}', '', '', true, 0, '')")
        db.exec_driver_sql(
            "INSERT INTO sku (id, product, merchant, name, price, list_price, version, kind, bonus)"
            f" VALUES ('{sku}', 'p-{sku}', '{MERCHANT}', '', {price}, {price}, 1, '{kind}', {bonus})"
        )
    db.execute(
        text(
            "INSERT INTO automation (id, merchant, name, condition, action, delay_ms, again_days, active, staff,"
            " created_ms) VALUES ('auto', :merchant, 'tag', :condition, :action, 0, 1, true, 'boss', 1)"
        ),
        {
            "merchant": MERCHANT,
            "condition": orjson.dumps({"measure": "orders", "at_least": 1}).decode(),
            "action": orjson.dumps({"kind": "tag", "tag": "regular"}).decode(),
        },
    )


def _brought_by(distributor: str) -> dict[str, Any]:
    return {"credits": {"distributor": {"issuer": distributor}}}


async def furnish(desk: Desk) -> Names:
    """Fill the shop; the names of what is in it."""
    names: Names = {}
    await desk.store.write(_rows)
    for sku, units in ((SKU, 40), (OTHER_SKU, 30), ("card", 5), ("pass", 5)):
        await desk.shop.stock_up(MERCHANT, sku, units)
    await desk.shop.members.set_program(
        MERCHANT, "boss", Program(yuan_points=1, window_days=1, valid_days=30, sign_in=(30,))
    )
    for name in ("dora", "dan"):
        await desk.buy("ed", f"early {name}", units=2, decision=_brought_by(name))
    await furnish_partners(desk, names)
    desk.clock.advance(15 * DAY_MS)
    await desk.do(Release())
    await _people(desk, names)
    await _goods(desk, names)
    await _orders(desk, names)
    await _moments(desk, names)
    await _market(desk, names)
    await furnish_back(desk, names)
    await furnish_dues(desk, names)
    return names


async def _people(desk: Desk, names: Names) -> None:
    await desk.identities.show_phone(MERCHANT, "bo", "13800138022")
    names["conflict"] = str((await desk.identities.show_phone(MERCHANT, "bo", "13911112222")).conflict)
    names["phone"] = str(await desk.one("SELECT digest FROM person_phone WHERE person = 'bo'"))
    names["merged"] = str((await desk.identities.merge(MERCHANT, "pia", "pio", "boss", "one")).merged)
    for person, key in (("dora", "first"), ("dan", "second")):
        asked = await desk.do(Withdraw(MERCHANT, person, 200, key, ""))
        names[f"withdrawal of {person}"] = asked.withdrawal
    await desk.do(DecideWithdrawal(MERCHANT, names["withdrawal of dan"], "approved", "boss"))
    await desk.buy("fay", "late", decision=_brought_by("dora"))
    names["commission"] = str(await desk.one("SELECT id FROM commission WHERE state = 'frozen'"))
    await desk.store.write(
        lambda db: db.exec_driver_sql("UPDATE commission SET held = 'velocity' WHERE state = 'frozen'")
    )
    for person in ("ann", "bo"):
        await desk.buy(person, "card", "card")
        await desk.shop.members.sign_in(MERCHANT, person)
    await desk.shop.members.fund_budget(MERCHANT, "boss", "guide", 1_000, "f")


async def _goods(desk: Desk, names: Names) -> None:
    await desk.shop.passes.set_terms(MERCHANT, "boss", "pass", PassTerms(3, days=60))
    await desk.buy("bo", "pass", "pass")
    [one] = await desk.shop.passes.of_person(MERCHANT, "bo")
    names["pass"], names["pass code"] = one.card, one.code
    await desk.shop.members.set_mall_item(MERCHANT, "boss", OTHER_SKU, 20, 1, 2)
    terms = StationTerms("Gate 3", "12 Lake Road", "leader", 2, 1_200)
    names["station"] = (await desk.shop.stations.set(MERCHANT, "boss", "", terms)).station
    await desk.store.write(
        lambda db: db.exec_driver_sql(
            "INSERT INTO outlet (id, merchant, name, address, phone, lat_e6, lng_e6, pickup, key_digest, created_ms)"
            f" VALUES ('till', '{MERCHANT}', 'store', 'a street', '', 0, 0, true, 'd', 1)"
        )
    )
    await desk.do(TakeReceipt(MERCHANT, "till", Receipt("R1", 5_000, desk.clock()), "bo"))


async def _orders(desk: Desk, names: Names) -> None:
    shop = desk.shop
    names["sale"] = await desk.sale(SKU, 3)
    names["hold"] = (await shop.hold(MERCHANT, ROOM, "ann", names["sale"], 1, "h")).hold
    await shop.hold(MERCHANT, ROOM, "di", names["sale"], 1, "h")
    names["gone"] = await desk.sale(SKU, 1)
    names["last hold"] = (await shop.hold(MERCHANT, ROOM, "ed", names["gone"], 1, "h")).hold
    await shop.moments.wait(MERCHANT, ROOM, "cy", names["gone"])
    drop = await shop.start_drop(MERCHANT, ROOM, "drop", "店庆", 100, 0, 3, 2, 86_000, 86_000)
    names["drop"] = drop.drop
    for person in ("ann", "bo"):
        names[f"coupon of {person}"] = (await shop.claim_coupon(MERCHANT, ROOM, person, drop.drop, "c")).coupon
    names["paid"] = (await desk.buy("bo", "paid", units=2, points=5, stored=600)).order
    names["picked"] = (await desk.buy("cy", "picked", delivery=Delivery("pickup", "cy", "13800138000"))).order
    names["shipped"] = (await desk.buy("ed", "shipped", units=2)).order
    await shop.aftersale.ship(MERCHANT, names["shipped"], "SF", "1")
    names["refund"] = (await shop.aftersale.refund(MERCHANT, "boss", names["shipped"], "r1", amount=100)).refund
    failed = await shop.aftersale.refund(MERCHANT, "boss", names["shipped"], "r2", amount=200)
    names["failed refund"] = failed.refund
    await desk.do(FailRefund(failed.refund, "no"))
    fetched = Delivery("pickup", "ann", "13800138000", station=names["station"])
    at_station = await desk.buy("ann", "station", delivery=fetched)
    names["station code"] = str((at_station.delivery or {})["code"])
    names["pick code"] = str(((await shop.order(MERCHANT, names["picked"])).delivery or {})["code"])
    desk.provider._hold_back = True
    pending = await shop.create_order(
        MERCHANT, ROOM, "ann", "pending", lines=[(OTHER_SKU, 1)], coupon=names["coupon of ann"], points=5, stored=500
    )
    await shop.pay_order(MERCHANT, "ann", pending.order, "start")
    desk.provider._hold_back = False
    names["pending"] = pending.order
    names["payment"] = str(await desk.one(f"SELECT id FROM payment WHERE order_id = '{pending.order}'"))


async def _moments(desk: Desk, names: Names) -> None:
    moments, now = desk.shop.moments, desk.clock()
    plan = Offer(SKU, 1_000, 0, 1, 1, HOLD_S, 600)
    names["plan"] = (await moments.create_plan(MERCHANT, ROOM, "FREQ=DAILY;BYHOUR=10;BYMINUTE=0", plan)).plan
    names["soon"] = (await moments.create_sale(MERCHANT, ROOM, Offer(SKU, 1_000, 0, 1, 1, HOLD_S, 600))).sale
    await moments.start_at(MERCHANT, names["soon"], now + 600_000)
    team = SaleTerms(SaleMode.TEAM, team_size=2, team_winners=1, team_ms=300_000)
    names["team sale"] = await desk.sale(SKU, 3, team, per_person=1)
    seat = await moments.join_team(MERCHANT, ROOM, "ed", names["team sale"], None, "t")
    names["team"] = seat.team
    first = await desk.shop.create_order(MERCHANT, ROOM, "ed", "team", hold=seat.hold)
    await desk.shop.pay_order(MERCHANT, "ed", first.order, "team")
    names["bag"] = (await moments.open_bag(MERCHANT, ROOM, SKU, 1, ENTER_S, hold_s=HOLD_S)).draw
    await moments.enter(MERCHANT, ROOM, "ed", names["bag"])
    names["packet"] = (await moments.open_packet(MERCHANT, ROOM, "red", 100, 2, ENTER_S)).draw
    await moments.enter(MERCHANT, ROOM, "ed", names["packet"])
    presale = SaleTerms(presale=Presale(300, now, now + 2 * DAY_MS, Missed.KEEP))
    names["presale"] = await desk.sale(SKU, 2, presale)
    hold = await desk.shop.hold(MERCHANT, ROOM, "cy", names["presale"], 1, "p")
    deposit = await desk.shop.create_order(MERCHANT, ROOM, "cy", "deposit", hold=hold.hold)
    paid = await desk.shop.pay_order(MERCHANT, "cy", deposit.order, "deposit")
    assert paid.presale is not None
    names["deposit"], names["balance"] = deposit.order, str(paid.presale.balance_order)


async def _market(desk: Desk, names: Names) -> None:
    market = desk.market
    for name, sku in (("listed", SKU), ("granted", OTHER_SKU)):
        offer = await market.offer(MERCHANT, sku, 500, 800, "tea")
        names[name] = await market.apply(CHANNEL, offer)
        await market.decide(MERCHANT, names[name], "boss", "", granted=True)
    product = await market.list_offer(CHANNEL, names["listed"], 900)
    names["channel sku"] = (await desk.catalogue.product(CHANNEL, product)).sku
    await market.allot(MERCHANT, names["listed"], 2)
    lines = [(names["channel sku"], 1)]
    order = await desk.shop.create_order(CHANNEL, "r2", "buyer", "o", lines=lines)
    await desk.shop.pay_order(CHANNEL, "buyer", order.order, "p")
    names["channel order"] = order.order
    await market.book()


# --- stock, sales, holds, coupons ------------------------------------------------------------------------------------

simple("receive", lambda d, n: d.shop.stock_up(MERCHANT, OTHER_SKU, 3))
simple("count_again", lambda d, n: d.shop.stock_up(MERCHANT, OTHER_SKU, -1, "broken"))
simple("create_sale", lambda d, n: d.sale(OTHER_SKU, 2))
simple("pause", lambda d, n: d.shop.pause_sale(MERCHANT, n["sale"]))
simple("close_sale", lambda d, n: d.shop.close_sale(MERCHANT, n["sale"]))
simple("reprice", lambda d, n: d.shop.reprice_sale(MERCHANT, n["sale"], 900))
simple("hold", lambda d, n: d.shop.hold(MERCHANT, ROOM, "bo", n["sale"], 1, "new"))
simple("hold_of_another", lambda d, n: d.shop.hold(MERCHANT, ROOM, "ann", n["sale"], 1, "new"))
simple("claim", lambda d, n: d.shop.claim_coupon(MERCHANT, ROOM, "cy", n["drop"], "new"))
simple("claim_again", lambda d, n: d.shop.claim_coupon(MERCHANT, ROOM, "bo", n["drop"], "new"))
simple("start_drop", lambda d, n: d.shop.start_drop(
    MERCHANT, ROOM, "of the guide", "x", 400, 0, 9, 1, 600, 600, None, DropTerms(issuer="guide")
))  # fmt: skip
simple("close_drop", lambda d, n: d.shop.close_drop(MERCHANT, n["drop"]))
simple("take_budget", lambda d, n: d.shop.members.fund_budget(MERCHANT, "boss", "guide", -800, "new"))
simple("give_coupon", lambda d, n: d.shop.members.give_coupon(
    MERCHANT, ROOM, "guide", "bo", "new", title="x", reason="x", amount=600, threshold=0, valid_s=600
))  # fmt: skip
simple("import_goods", lambda d, n: d.goods.import_rows(
    MERCHANT, "boss", [{"product": "new", "sku": "new-1", "title": "tea", "price": 100, "stock": 3}], "list"
))  # fmt: skip


@operation
async def time_passes(desk: Desk, names: Names) -> Any:
    """Holds, groups and draws are due."""
    desk.clock.advance(301_000)
    swept = await desk.shop.sweep()
    for due in swept.unsettled:
        await desk.shop.payments.resolve(due)


@operation
async def half_an_hour_passes(desk: Desk, names: Names) -> Any:
    """Orders are due, too: their providers are asked."""
    desk.clock.advance(1_801_000)
    swept = await desk.shop.sweep()
    for due in swept.unsettled:
        await desk.shop.payments.resolve(due)


# --- orders, payments, refunds ---------------------------------------------------------------------------------------


@operation
async def order_the_hold(desk: Desk, names: Names) -> Any:
    """Buy-now of what is held, with a share of everything."""
    return await desk.shop.create_order(
        MERCHANT, ROOM, "ann", "new", hold=names["hold"], lines=[(OTHER_SKU, 1)], points=10, stored=300
    )


@operation
async def buy_it_all(desk: Desk, names: Names) -> Any:
    """All that is on the shelf, by all stored value, and paid."""
    free = await desk.one(f"SELECT free FROM stock WHERE sku = '{OTHER_SKU}'")
    return await desk.buy("bo", "new", units=int(free), coupon=names["coupon of bo"], stored=5_000)


@operation
async def fetch_at_the_station(desk: Desk, names: Names) -> Any:
    """The last place of a day."""
    where = Delivery("pickup", "ed", "13800138000", station=names["station"])
    return await desk.buy("ed", "new", delivery=where)


async def _money(desk: Desk, payment: str, kind: str, number: str, **more: Any) -> Any:
    amount = await desk.one(f"SELECT amount FROM payment WHERE id = '{payment}'")
    body = {"number": number, "kind": kind, "payment": payment, "merchant": MERCHANT, "amount": int(amount)}
    message = desk.provider.sign(orjson.dumps(body | more))
    return await desk.shop.settle("sandbox", message.body, message.headers)


@operation
async def money_comes(desk: Desk, names: Names) -> Any:
    """The customer confirms in the wallet; the callback comes twice."""
    message = desk.provider.pay(names["payment"])
    if message is None:
        return "too late"
    await desk.shop.settle("sandbox", message.body, message.headers)
    return await desk.shop.settle("sandbox", message.body, message.headers)


@operation
async def refund_is_confirmed(desk: Desk, names: Names) -> Any:
    """The provider's word on a refund."""
    payment = await desk.one(f"SELECT payment FROM refund WHERE id = '{names['refund']}'")
    return await _money(desk, payment, "refunded", f"r-{names['refund']}", amount=100, refund=names["refund"])


simple("order_for_points", lambda d, n: d.shop.create_order(
    MERCHANT, ROOM, "ann", "mall", lines=[(OTHER_SKU, 1)], mall=True
))  # fmt: skip
simple("cancel", lambda d, n: d.shop.cancel_order(MERCHANT, "ann", n["pending"]))
simple("pay", lambda d, n: d.shop.pay_order(MERCHANT, "ann", n["pending"], "new"))
simple("pay_otherwise", lambda d, n: d.shop.payments.pay(MERCHANT, "ann", n["pending"], "other", provider="wallet"))
simple("close_payment", lambda d, n: d.do(ClosePayment(MERCHANT, n["payment"])))
simple("pay_the_balance", lambda d, n: d.shop.pay_order(MERCHANT, "cy", n["balance"], "new"))
simple("cancel_the_balance", lambda d, n: d.shop.cancel_order(MERCHANT, "cy", n["balance"]))
simple("refund_the_deposit", lambda d, n: d.shop.aftersale.refund(MERCHANT, "boss", n["deposit"], "d"))
simple("refund_a_unit", lambda d, n: d.shop.aftersale.refund(
    MERCHANT, "boss", n["paid"], "unit", lines=[(OTHER_SKU, 1)], stock="sellable"
))  # fmt: skip
simple("refund_the_rest", lambda d, n: d.shop.aftersale.refund(MERCHANT, "boss", n["paid"], "rest", stock="sellable"))
simple("retry_refund", lambda d, n: d.shop.aftersale.retry_refund(MERCHANT, n["shipped"], n["failed refund"]))
simple("fail_refund", lambda d, n: d.do(FailRefund(n["refund"], "never")))
simple("ship", lambda d, n: d.shop.aftersale.ship(MERCHANT, n["paid"], "SF", "2"))
simple("pick_up", lambda d, n: d.shop.aftersale.pick_up(MERCHANT, n["picked"], n["pick code"]))
simple("finish", lambda d, n: d.shop.aftersale.finish(MERCHANT, n["shipped"], "ed"))
simple("hand_over", lambda d, n: d.shop.stations.hand_over(MERCHANT, n["station"], n["station code"], "leader"))


# --- members, passes, stations, tills --------------------------------------------------------------------------------

simple("set_program", lambda d, n: d.shop.members.set_program(MERCHANT, "boss", Program(yuan_points=2)))
simple("sign_in", lambda d, n: d.shop.members.sign_in(MERCHANT, "cy"))
simple("set_mall_item", lambda d, n: d.shop.members.set_mall_item(MERCHANT, "boss", OTHER_SKU, 0))
simple("buy_stored_value", lambda d, n: d.buy("bo", "more", "card"))
simple("set_pass_terms", lambda d, n: d.shop.passes.set_terms(MERCHANT, "boss", "pass", PassTerms(5, days=1)))
simple("buy_a_pass", lambda d, n: d.buy("bo", "pass 2", "pass"))
simple("use_a_pass", lambda d, n: d.shop.passes.use(MERCHANT, "till", n["pass code"], 2, "", "new"))
simple("refund_a_pass", lambda d, n: d.shop.passes.refund(MERCHANT, "boss", n["pass"], "pass", ""))
simple("set_station", lambda d, n: d.shop.stations.set(
    MERCHANT, "boss", n["station"], StationTerms("Gate 3", "12 Lake Road", "leader", 1, 600)
))  # fmt: skip
simple("close_till", lambda d, n: d.do(
    CloseTill(MERCHANT, "till", "boss", day_of(d.clock() - DAY_MS), 7, why="change was put in")
))  # fmt: skip


@operation
async def tell_takings(desk: Desk, names: Names) -> Any:
    """How a sale was paid that its till never told of."""
    ref = await desk.one("SELECT id FROM pos_receipt WHERE outlet = 'till'")
    return await desk.do(TellTakings(MERCHANT, "boss", ref, Takings((("cash", 5_000),)), "the slip"))


simple("take_receipt", lambda d, n: d.do(TakeReceipt(MERCHANT, "till", Receipt("R2", 900, d.clock()), "bo")))
simple("take_refund", lambda d, n: d.do(TakeRefund(MERCHANT, "till", "B1", "R1", 3_000, d.clock())))


# --- moments ---------------------------------------------------------------------------------------------------------

simple("create_plan", lambda d, n: d.shop.moments.create_plan(
    MERCHANT, ROOM, "FREQ=WEEKLY;BYDAY=MO;BYHOUR=10;BYMINUTE=0", Offer(SKU, 990, 0, 1, 1, HOLD_S, 600)
))  # fmt: skip
simple("end_plan", lambda d, n: d.shop.moments.end_plan(MERCHANT, n["plan"]))
simple("remind", lambda d, n: d.shop.moments.remind(MERCHANT, ROOM, "bo", n["soon"]))
simple("wait", lambda d, n: d.shop.moments.wait(MERCHANT, ROOM, "bo", n["gone"]))
simple("leave_waiting", lambda d, n: d.shop.moments.leave_waiting(MERCHANT, "cy", n["gone"]))
simple("open_bag", lambda d, n: d.shop.moments.open_bag(MERCHANT, ROOM, SKU, 2, ENTER_S))
simple("open_packet", lambda d, n: d.shop.moments.open_packet(MERCHANT, ROOM, "red", 50, 2, ENTER_S))
simple("void_bag", lambda d, n: d.shop.moments.void_draw(MERCHANT, n["bag"]))
simple("enter_bag", lambda d, n: d.shop.moments.enter(MERCHANT, ROOM, "ann", n["bag"]))
simple("enter_packet", lambda d, n: d.shop.moments.enter(MERCHANT, ROOM, "bo", n["packet"]))
simple("follow", lambda d, n: d.shop.moments.follow(MERCHANT, "bo"))


@operation
async def join_team(desk: Desk, names: Names) -> Any:
    """Take the last seat and pay for it."""
    seat = await desk.shop.moments.join_team(MERCHANT, ROOM, "bo", names["team sale"], names["team"], "new")
    order = await desk.shop.create_order(MERCHANT, ROOM, "bo", "seat", hold=seat.hold)
    return await desk.shop.pay_order(MERCHANT, "bo", order.order, "seat")


# --- people ----------------------------------------------------------------------------------------------------------

simple("show_phone", lambda d, n: d.do(Join(MERCHANT, "cy", "phone", n["phone"], "sealed")))
simple("undo_merge", lambda d, n: d.identities.undo(MERCHANT, n["merged"], "boss"))
simple("decide_conflict", lambda d, n: d.do(DecideConflict(MERCHANT, n["conflict"], "split", "boss")))
simple("import_members", lambda d, n: d.do(
    ImportMembers(MERCHANT, "boss", (MemberRow(1, n["phone"], "s", "Bo"),), "member", "contract", "list")
))  # fmt: skip
simple("erase", lambda d, n: d.do(Erase(MERCHANT, "di", "boss", "asked")))
simple("forget", lambda d, n: d.do(Forget(MERCHANT, "bo", ("name", "phone"), ("marketing",), "boss", "asked")))
simple("close_account", lambda d, n: d.do(CloseAccount(MERCHANT, "gus", "wechat", "closed")))
simple("begin_runs", lambda d, n: d.do(BeginRuns(MERCHANT, "auto", ("ann", "bo"))))


@operation
async def merge(desk: Desk, names: Names) -> Any:
    """Staff say that two buyers are one."""
    return await desk.identities.merge(MERCHANT, "ann", "bo", "boss", "one")


@operation
async def merge_and_undo(desk: Desk, names: Names) -> Any:
    """Two buyers are one for a while."""
    done = await desk.do(MergePeople(MERCHANT, "ed", "cy", "boss", "one"))
    return await desk.do(UndoMerge(MERCHANT, done.merged, "boss"))


# --- commission, the market, the books -------------------------------------------------------------------------------

simple("release", lambda d, n: d.do(Release()))
simple("clear_hold", lambda d, n: d.do(ClearHold(MERCHANT, n["commission"], "boss")))
simple("reject_withdrawal", lambda d, n: d.do(
    DecideWithdrawal(MERCHANT, n["withdrawal of dora"], "rejected", "boss", "", "no")
))  # fmt: skip
simple("approve_withdrawal", lambda d, n: d.do(
    DecideWithdrawal(MERCHANT, n["withdrawal of dora"], "approved", "boss")
))  # fmt: skip
simple("transfer", lambda d, n: d.transfers.start(MERCHANT, n["withdrawal of dan"], "boss"))
simple("list_offer", lambda d, n: d.market.list_offer(CHANNEL, n["granted"], 900))
simple("allot", lambda d, n: d.market.allot(MERCHANT, n["listed"], 1))
simple("take_back", lambda d, n: d.market.allot(MERCHANT, n["listed"], -1))
simple("revoke", lambda d, n: d.do(Revoke(MERCHANT, n["listed"], "boss", "over")))
simple("settle_supply", lambda d, n: d.market.settle(MERCHANT, CHANNEL, 200, "T1", "boss"))
simple("refund_of_the_channel", lambda d, n: d.shop.aftersale.refund(
    CHANNEL, "boss", n["channel order"], "c", stock="sellable"
))  # fmt: skip
simple("close_books", lambda d, n: d.books.close(MERCHANT, day_of(d.clock() - DAY_MS), "boss"))
simple("correct_books", lambda d, n: d.books.correct(MERCHANT, "6711", "1002", 5, "slip", "boss"))
simple("off_the_shelf", lambda d, n: d.catalogue.update_product(MERCHANT, "p2", on_shelf=False))


@operation
async def withdraw(desk: Desk, names: Names) -> Any:
    """Ask for the rest of the commission once the first is decided."""
    await desk.do(DecideWithdrawal(MERCHANT, names["withdrawal of dora"], "rejected", "boss", "", "no"))
    return await desk.do(Withdraw(MERCHANT, "dora", 300, "new", ""))


@operation
async def buy_from_the_channel(desk: Desk, names: Names) -> Any:
    """Another's goods, and what is owed for them."""
    order = await desk.shop.create_order(CHANNEL, "r2", "buyer", "new", lines=[(names["channel sku"], 1)])
    await desk.shop.pay_order(CHANNEL, "buyer", order.order, "new")
    return await desk.market.book()
