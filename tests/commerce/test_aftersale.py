"""After-sale requests: who may ask for what, what each step does to money and units, deadlines, what overtakes them."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from commerce import compliance_sql
from commerce.domain.aftersale import (
    BY_CLOCK,
    HOUR_MS,
    OPEN,
    STATE_AFTER,
    AskedLine,
    Counted,
    Kind,
    Move,
    State,
    amount_for,
    came_fault,
    state_after,
)
from commerce.domain.freight import FreightTerms
from commerce.domain.order import Delivery
from commerce.domain.passes import PassTerms
from commerce.domain.policy import DAY_MS, Policy, policy_fault
from commerce.domain.presale import Missed, Presale
from commerce.domain.sale import SaleTerms
from commerce.errors import Conflict, Invalid, NotFound, Refused
from commerce.events import AfterSaleChanged, AfterSaleView, OrderView
from commerce.freight_sql import set_rule
from commerce.moments import Offer
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU, World, crash, shop_world, upgraded
from tests.commerce.test_presale import settle_down
from tests.commerce.test_privacy import Rights
from tests.commerce.test_refunds import paid, settled, stock

TO = Delivery("express", "Ann", "13800138000", "some road 1")


async def code_of(awaitable: Any) -> str:
    with pytest.raises(Refused) as caught:
        await awaitable
    return caught.value.code


async def bought(world: World, units: int = 3, key: str = "o", person: str = "one") -> OrderView:
    """A paid order of units of one SKU, at 2,000 each."""
    await world.shop.stock_up(MERCHANT, OTHER_SKU, units)
    lines = [(OTHER_SKU, units)]
    order = await world.shop.create_order(MERCHANT, ROOM, person, key, lines=lines, delivery=TO)
    return await world.shop.pay_order(MERCHANT, person, order.order, f"{key}-p")


async def sent(world: World, order: OrderView, *, arrived: bool = True) -> OrderView:
    await world.shop.aftersale.ship(MERCHANT, order.order, "SF", "1")
    return await world.shop.aftersale.finish(MERCHANT, order.order, "one") if arrived else order


async def ask(world: World, order: OrderView, kind: str, reason: str, units: int = 1, **more: Any) -> AfterSaleView:
    lines = more.pop("lines", [(OTHER_SKU, units)])
    key = more.pop("key", f"{kind}-{reason}-{units}-{world.clock()}")
    return await world.shop.requests.ask(MERCHANT, "one", order.order, key, kind, reason, lines, **more)


async def now(world: World, request: AfterSaleView) -> AfterSaleView:
    return await world.shop.requests.one(MERCHANT, request.request)


async def switch(world: World, **terms: Any) -> None:
    body = orjson.dumps(terms).decode()
    await world.store.write(
        lambda db: compliance_sql.set_policy(db, merchant=MERCHANT, terms=body, staff="boss", now=world.clock())
    )


# --- the table -------------------------------------------------------------------------------------------------------


def test_every_open_state_has_a_step_of_the_clock_and_a_way_out_for_the_shop() -> None:
    for kind in Kind:
        reached = {to for (_, _), to in STATE_AFTER[kind].items()} | {State.ASKED}
        for state in reached & OPEN:
            assert state_after(kind, state, BY_CLOCK[state]) is not None, (kind, state)
            assert state_after(kind, state, Move.OVERTAKE) is State.CLOSED
        for state in reached - OPEN:
            assert all(of is not state for of, _ in STATE_AFTER[kind])
    assert state_after(Kind.RETURN, State.OFFERED, Move.TAKE) is State.APPROVED
    assert state_after(Kind.RETURN, State.OFFERED, Move.TAKE, keeps=True) is State.DONE


def test_money_for_what_came_is_in_proportion_and_all_of_it_for_all() -> None:
    asked = [AskedLine("a", 3, 1_000), AskedLine("b", 1, 1)]
    everything = [Counted("a", 2, 1), Counted("b", 0, 1)]
    assert amount_for(asked, 777, everything) == 777
    assert amount_for(asked, 1_001, [Counted("a", 1, 0)]) == 333
    assert came_fault(asked, everything) is None
    for wrong in ([], [Counted("a", 4, 0)], [Counted("c", 1, 0)], [Counted("a", 0, 0)], [Counted("a", 1, 0)] * 2):
        assert came_fault(asked, wrong) is not None
    assert came_fault(asked, [Counted("a", -1, 2)]) is not None


def test_settings_have_bounds() -> None:
    for field, wrong in (
        ("answer_hours", Policy(answer_hours=0)),
        ("offer_hours", Policy(offer_hours=169)),
        ("send_back_days", Policy(send_back_days=2)),
        ("back_to", Policy(back_to="x" * 201)),
    ):
        fault = policy_fault(wrong)
        assert fault is not None and fault[0] == field


# --- refunds of what was not sent ------------------------------------------------------------------------------------


async def test_an_unsent_order_is_refunded_when_the_shop_approves(place: Path | str) -> None:
    async with shop_world(place) as world:
        order = await bought(world)
        request = await ask(world, order, "refund", "mind", 3, words="bought twice")
        assert (request.state, request.most, request.amount, request.pays) == ("asked", 6_000, 6_000, "shop")
        assert request.due == world.clock() + 48 * HOUR_MS
        done = await world.shop.requests.approve(MERCHANT, "boss", request.request)
        assert (done.state, done.refunded, done.due) == ("done", 6_000, None)
        [refund] = await settled(world)
        assert (refund.id, refund.amount, refund.staff) == (done.refund, 6_000, "boss")
        assert (await world.shop.order(MERCHANT, order.order)).status == "refunded"
        assert (await stock(world, OTHER_SKU))["free"] == 3
        told = [event.request.state for event in await world.told() if isinstance(event, AfterSaleChanged)]
        assert told == ["asked", "done"]
        assert await code_of(world.shop.aftersale.ship(MERCHANT, order.order, "SF", "1")) == "already"


async def test_what_goes_out_first_overtakes_the_request_and_its_buyer_is_told(place: Path | str) -> None:
    async with shop_world(place) as world:
        order = await bought(world)
        request = await ask(world, order, "refund", "late", 2)
        await world.shop.aftersale.ship(MERCHANT, order.order, "SF", "1")
        seen = await now(world, request)
        assert (seen.state, seen.why, seen.refund) == ("closed", "sent", None)
        told = [event for event in await world.told() if isinstance(event, AfterSaleChanged)]
        assert (told[-1].person, told[-1].request.why) == ("one", "sent")
        assert await code_of(world.shop.requests.approve(MERCHANT, "boss", request.request)) == "already"
        # What is on its way can be asked about anew.
        again = await ask(world, order, "refund", "not_arrived", 2)
        assert (await world.shop.requests.approve(MERCHANT, "boss", again.request)).refunded == 4_000
        assert (await stock(world, OTHER_SKU))["shipped"] == 3


async def test_an_approval_and_a_shipment_of_the_same_moment_never_both_win(place: Path | str) -> None:
    async with shop_world(place) as world:
        for turn in range(6):
            order = await bought(world, 2, key=f"o{turn}")
            request = await ask(world, order, "refund", "mind", 2, key=f"r{turn}")
            calls = [
                world.shop.requests.approve(MERCHANT, "boss", request.request),
                world.shop.aftersale.ship(MERCHANT, order.order, "SF", "1"),
            ]
            results = await asyncio.gather(*(calls if turn % 2 else reversed(calls)), return_exceptions=True)
            assert sum(isinstance(result, Refused) for result in results) == 1, results
            seen = await world.shop.order(MERCHANT, order.order)
            gone, back = seen.fulfilment == "shipped", seen.refunded == 4_000
            assert gone != back and (await now(world, request)).state == ("closed" if gone else "done")


async def test_approvals_of_one_request_at_once_give_its_money_once(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        request = await ask(world, await bought(world), "refund", "mind", 1)
        calls = [world.shop.requests.approve(MERCHANT, f"boss{n}", request.request) for n in range(5)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(result, AfterSaleView) for result in results) == 1
        [refund] = await settled(world)
        assert refund.amount == 2_000


async def test_freight_goes_back_with_what_was_not_sent_and_stays_when_it_was(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        terms = FreightTerms(((5_000, 800),), None, False)
        await world.store.write(lambda db: set_rule(db, MERCHANT, "", "express", terms, "boss", 1))
        first, second = await bought(world, 1, "a"), await bought(world, 1, "b")
        assert first.freight == 800
        unsent = await ask(world, first, "refund", "mind")
        assert (await world.shop.requests.approve(MERCHANT, "boss", unsent.request)).refunded == 2_800
        await sent(world, second)
        faulty = await ask(world, second, "return", "faulty")
        assert (faulty.most, faulty.pays) == (2_000, "shop")
        await world.shop.requests.approve(MERCHANT, "boss", faulty.request)
        done = await world.shop.requests.receive(MERCHANT, "boss", faulty.request, [Counted(OTHER_SKU, 1, 0)])
        assert done.refunded == 2_000


async def test_a_courier_has_to_be_called_off_before_the_shop_approves(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        order = await bought(world)
        request = await ask(world, order, "refund", "mind", 3)
        row = f"('e', '{MERCHANT}', '{order.order}', 's', 'sandbox', 'asked', 'b', 1, 1)"
        await world.store.write(
            lambda db: db.exec_driver_sql(
                "INSERT INTO courier_errand (id, merchant, order_id, outlet, provider, state, staff, ask_ms,"
                f" created_ms) VALUES {row}"
            )
        )
        assert await code_of(world.shop.requests.approve(MERCHANT, "boss", request.request)) == "courier"
        world.clock.advance(49 * HOUR_MS)
        await world.shop.sweep()
        assert (await now(world, request)).state == "asked"
        await world.store.write(lambda db: db.exec_driver_sql("DELETE FROM courier_errand"))
        world.clock.advance(2 * HOUR_MS)
        await world.shop.sweep()
        assert (await now(world, request)).state == "done"
        await settled(world)


# --- returns ---------------------------------------------------------------------------------------------------------


async def test_goods_go_back_are_counted_and_paid_for(place: Path | str) -> None:
    async with shop_world(place) as world:
        await switch(world, back_to="1 Tea Road, Hangzhou")
        order = await sent(world, await bought(world))
        request = await ask(world, order, "return", "no_reason", 3)
        assert request.pays == "buyer"
        assert await code_of(world.shop.requests.send(MERCHANT, "one", request.request, "SF", "9")) == "not_open"
        approved = await world.shop.requests.approve(MERCHANT, "boss", request.request, "as you like")
        assert (approved.state, approved.back_to) == ("approved", "1 Tea Road, Hangzhou")
        with pytest.raises(NotFound):
            await world.shop.requests.send(MERCHANT, "two", request.request, "SF", "9")
        under_way = await world.shop.requests.send(MERCHANT, "one", request.request, "SF", "SF9")
        assert (under_way.state, under_way.number) == ("sent", "SF9")
        with pytest.raises(Invalid):
            await world.shop.requests.receive(MERCHANT, "boss", request.request, [Counted(OTHER_SKU, 4, 0)])
        counted = [Counted(OTHER_SKU, 1, 1)]
        done = await world.shop.requests.receive(MERCHANT, "boss", request.request, counted, "one was missing")
        assert (done.state, done.refunded, done.answer) == ("done", 4_000, "one was missing")
        left = await stock(world, OTHER_SKU)
        assert (left["free"], left["quarantined"], left["shipped"]) == (1, 1, 1)
        await settled(world)


async def test_a_return_has_its_window_its_exceptions_and_its_faults(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        order = await bought(world)
        assert await code_of(ask(world, order, "return", "no_reason")) == "not_open"
        await sent(world, order)
        await world.store.write(lambda db: compliance_sql.set_returns(db, MERCHANT, "p2", "perishable"))
        assert await code_of(ask(world, order, "return", "no_reason")) == "no_return"
        assert await code_of(ask(world, order, "return", "other")) == "no_return"
        faulty = await ask(world, order, "return", "faulty")
        await world.shop.requests.withdraw(MERCHANT, "one", faulty.request)
        await world.store.write(lambda db: compliance_sql.set_returns(db, MERCHANT, "p2", "seven_days"))
        world.clock.advance(7 * DAY_MS)
        last = await ask(world, order, "return", "no_reason")
        await world.shop.requests.refuse(MERCHANT, "boss", last.request, "it was worn")
        world.clock.advance(1)
        assert await code_of(ask(world, order, "return", "no_reason")) == "expired"
        world.clock.advance(8 * DAY_MS)
        assert await code_of(ask(world, order, "return", "faulty")) == "expired"
        assert await code_of(ask(world, order, "refund", "missing")) == "expired"


async def test_less_is_offered_left_offered_again_and_taken(place: Path | str) -> None:
    async with shop_world(place) as world:
        order = await sent(world, await bought(world))
        request = await ask(world, order, "return", "damaged", 2)
        assert await code_of(world.shop.requests.offer(MERCHANT, "boss", request.request, 4_000, keeps=True)) == (
            "over_refund"
        )
        await world.shop.requests.offer(MERCHANT, "boss", request.request, 500, keeps=True, answer="a coat of paint")
        asked_on = await world.shop.requests.leave(MERCHANT, "one", request.request)
        assert (asked_on.state, asked_on.offer) == ("asked", None)
        offered = await world.shop.requests.offer(MERCHANT, "boss", request.request, 1_501, keeps=False)
        assert (offered.state, offered.offer, offered.keeps) == ("offered", 1_501, False)
        assert await code_of(world.shop.requests.take(MERCHANT, "one", request.request, 500)) == "price_changed"
        agreed = await world.shop.requests.take(MERCHANT, "one", request.request, 1_501)
        assert (agreed.state, agreed.amount) == ("approved", 1_501)
        done = await world.shop.requests.receive(MERCHANT, "boss", request.request, [Counted(OTHER_SKU, 0, 2)])
        assert (done.state, done.refunded) == ("done", 1_501)
        # What was agreed on for two of three units; the third is worth what it was.
        rest = await ask(world, order, "return", "no_reason", 1)
        assert rest.most == 2_000
        await settled(world)


async def test_money_for_goods_that_are_kept_leaves_their_units_alone(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        order = await sent(world, await bought(world))
        request = await ask(world, order, "refund", "damaged", 3, amount=700)
        assert (await world.shop.requests.approve(MERCHANT, "boss", request.request)).refunded == 700
        offered = await ask(world, order, "return", "faulty", 3)
        assert offered.most == 5_300
        await world.shop.requests.offer(MERCHANT, "boss", offered.request, 300, keeps=True)
        done = await world.shop.requests.take(MERCHANT, "one", offered.request, 300)
        assert (done.state, done.refunded) == ("done", 300)
        assert (await stock(world, OTHER_SKU))["shipped"] == 3
        assert await world.query("SELECT 1 FROM refund_line") == []
        await settled(world)


# --- what cannot be asked --------------------------------------------------------------------------------------------


async def test_nobody_asks_for_more_than_is_left_or_twice_at_once(place: Path | str) -> None:
    async with shop_world(place) as world:
        order = await sent(world, await bought(world))
        for units, amount in ((4, None), (3, 6_001)):
            assert await code_of(ask(world, order, "refund", "missing", units, amount=amount)) == "over_refund"
        with pytest.raises(NotFound):
            await ask(world, order, "refund", "missing", lines=[("nothing", 1)])
        with pytest.raises(NotFound):
            await world.shop.requests.ask(MERCHANT, "two", order.order, "k", "refund", "missing", [(OTHER_SKU, 1)])
        with pytest.raises(Invalid, match="reason"):
            await ask(world, order, "refund", "mind")
        first = await ask(world, order, "refund", "missing", key="k")
        assert (await ask(world, order, "refund", "missing", key="k")).request == first.request
        with pytest.raises(Conflict):
            await ask(world, order, "refund", "missing", 2, key="k")
        assert await code_of(ask(world, order, "return", "faulty")) == "already"
        await world.shop.requests.approve(MERCHANT, "boss", first.request)
        assert await code_of(ask(world, order, "return", "faulty", 3)) == "over_refund"
        await ask(world, order, "return", "faulty", 2)
        await settled(world)


async def test_many_requests_of_one_line_at_once_leave_one_open(place: Path | str) -> None:
    async with shop_world(place) as world:
        order = await sent(world, await bought(world))
        asked = [ask(world, order, "return", "faulty", 1, key=f"k{n}") for n in range(8)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(result, AfterSaleView) for result in results) == 1
        assert {getattr(result, "code", "") for result in results if isinstance(result, Refused)} == {"already"}


async def test_deposits_passes_and_what_was_not_paid_are_refused_with_a_reason(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 5)
        plain = await world.shop.create_order(MERCHANT, ROOM, "one", "u", lines=[(OTHER_SKU, 1)])
        assert await code_of(ask(world, plain, "refund", "mind")) == "not_open"
        await world.shop.passes.set_terms(MERCHANT, "boss", OTHER_SKU, PassTerms(3, days=9))
        card = await world.shop.create_order(MERCHANT, ROOM, "one", "c", lines=[(OTHER_SKU, 1)])
        card = await world.shop.pay_order(MERCHANT, "one", card.order, "cp")
        assert await code_of(ask(world, card, "refund", "mind")) == "no_return"
        await world.shop.stock_up(MERCHANT, SKU, 2)
        at = world.clock()
        terms = SaleTerms(presale=Presale(1_000, at + DAY_MS // 2, at + 2 * DAY_MS, Missed.REFUND))
        offer = Offer(SKU, 5_000, 0, 2, 2, 300, 86_000, terms)
        sale = await world.shop.moments.create_sale(MERCHANT, ROOM, offer)
        await world.shop.start_sale(MERCHANT, sale.sale, 0)
        held = await world.shop.hold(MERCHANT, ROOM, "one", sale.sale, 1, "h")
        deposit = await world.shop.create_order(MERCHANT, ROOM, "one", "d", hold=held.hold)
        deposit = await world.shop.pay_order(MERCHANT, "one", deposit.order, "dp")
        assert await code_of(ask(world, deposit, "refund", "mind", lines=[(SKU, 1)])) == "no_return"


async def test_a_balance_goes_back_and_its_deposit_by_the_presale_s_rule(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.shop.stock_up(MERCHANT, SKU, 2)
        at = world.clock()
        terms = SaleTerms(presale=Presale(1_000, at + 1_000, at + 2 * DAY_MS, Missed.KEEP))
        sale = await world.shop.moments.create_sale(MERCHANT, ROOM, Offer(SKU, 5_000, 0, 2, 2, 300, 86_000, terms))
        await world.shop.start_sale(MERCHANT, sale.sale, 0)
        held = await world.shop.hold(MERCHANT, ROOM, "one", sale.sale, 1, "h")
        deposit = await world.shop.create_order(MERCHANT, ROOM, "one", "d", hold=held.hold)
        deposit = await world.shop.pay_order(MERCHANT, "one", deposit.order, "dp")
        world.clock.advance(2_000)
        assert deposit.presale is not None and deposit.presale.balance_order is not None
        balance = await world.shop.pay_order(MERCHANT, "one", deposit.presale.balance_order, "bp")
        request = await ask(world, balance, "refund", "mind", lines=[(SKU, 1)])
        assert (await world.shop.requests.approve(MERCHANT, "boss", request.request)).refunded == 4_000
        await settle_down(world)
        assert (await world.shop.order(MERCHANT, balance.order)).status == "refunded"


# --- what else happens to an order -----------------------------------------------------------------------------------


async def test_a_refund_by_hand_closes_the_request_that_it_leaves_nothing(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        order = await sent(world, await bought(world))
        request = await ask(world, order, "return", "faulty", 2)
        refund = world.shop.aftersale.refund
        await refund(MERCHANT, "boss", order.order, "a", lines=[(OTHER_SKU, 1)], stock="none")
        assert (await now(world, request)).state == "asked"
        await refund(MERCHANT, "boss", order.order, "b", lines=[(OTHER_SKU, 1)], stock="none")
        seen = await now(world, request)
        assert (seen.state, seen.why) == ("closed", "refunded")
        await settled(world)


async def test_coupon_points_and_a_flash_unit_come_back_with_a_request(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        order = await paid(world, coupon=1_000)
        lines = [(SKU, 1), (OTHER_SKU, 3)]
        request = await ask(world, order, "refund", "mind", lines=lines)
        assert request.most == order.amount
        await world.shop.requests.approve(MERCHANT, "boss", request.request)
        [coupon] = await world.query("SELECT state FROM coupon")
        assert coupon.state == "unused"
        await settled(world)


# --- deadlines -------------------------------------------------------------------------------------------------------


async def test_a_shop_that_does_not_answer_has_approved(place: Path | str) -> None:
    async with shop_world(place) as world:
        await switch(world, answer_hours=3)
        order = await bought(world)
        request = await ask(world, order, "refund", "mind", 3)
        world.clock.advance(3 * HOUR_MS - 1)
        await world.shop.sweep()
        assert (await now(world, request)).state == "asked"
        world.clock.advance(1)
        await world.shop.sweep()
        done = await now(world, request)
        assert (done.state, done.why, done.refunded) == ("done", "late", 6_000)
        await settled(world)


async def test_who_does_not_send_or_answer_wants_it_no_more_and_a_parcel_nobody_opens_has_come(
    place: Path | str,
) -> None:
    async with shop_world(place) as world:
        order = await sent(world, await bought(world))
        requests = world.shop.requests
        kept = await ask(world, order, "return", "no_reason", 3)
        world.clock.advance(49 * HOUR_MS)
        await world.shop.sweep()
        assert (await now(world, kept)).state == "approved"
        world.clock.advance(7 * DAY_MS)
        await world.shop.sweep()
        seen = await now(world, kept)
        assert (seen.state, seen.why, seen.refund) == ("closed", "late", None)
        offered = await ask(world, order, "return", "faulty", 3)
        await requests.offer(MERCHANT, "boss", offered.request, 100, keeps=True)
        world.clock.advance(73 * HOUR_MS)
        await world.shop.sweep()
        assert (await now(world, offered)).state == "closed"
        away = await ask(world, order, "refund", "missing", 1)
        await requests.withdraw(MERCHANT, "one", away.request)
        assert (await requests.withdraw(MERCHANT, "one", away.request)).state == "withdrawn"
        posted = await ask(world, order, "return", "faulty", 3)
        await requests.approve(MERCHANT, "boss", posted.request)
        under_way = await requests.send(MERCHANT, "one", posted.request, "SF", "1")
        world.clock.advance(DAY_MS)
        assert (await requests.send(MERCHANT, "one", posted.request, "SF", "2")).due == under_way.due
        world.clock.advance(9 * DAY_MS)
        await world.shop.sweep()
        done = await now(world, posted)
        # Nobody counted anything: the money goes back, no unit is booked.
        assert (done.state, done.why, done.refunded) == ("done", "late", 6_000)
        assert (await stock(world, OTHER_SKU))["shipped"] == 3
        await settled(world)


async def test_a_deadline_that_passed_while_nobody_ran_is_met_after_the_restart(anywhere: Path | str) -> None:
    from commerce.payment_sandbox import SandboxProvider
    from commerce.shop import Shop
    from commerce.store_sql import open_store

    async with shop_world(anywhere) as world:
        order = await bought(world)
        request = await ask(world, order, "refund", "late", 3)
        where = world.store.where
        await crash(world.shop)
        world.clock.advance(5 * DAY_MS)
        store = open_store(where)
        world.provider = SandboxProvider(b"sandbox-secret", clock=world.clock)
        world.shop = Shop(store, clock=world.clock, provider=world.provider, sweep_s=0)
        world.store = store
        await world.shop.start()
        await world.shop.sweep()
        assert (await now(world, request)).state == "done"
        await world.shop.close()


# --- whose it is -----------------------------------------------------------------------------------------------------


async def test_a_buyer_s_words_are_told_kept_from_an_erasure_while_open_and_emptied_after(place: Path | str) -> None:
    async with shop_world(place) as world:
        here = Rights(world)
        ann = await here.person()
        order = (await bought(world, 1, person=ann)).order
        asked = (MERCHANT, ann, order, "a", "refund", "mind", [(OTHER_SKU, 1)])
        request = await world.shop.requests.ask(*asked, words="bought it for my mother")
        [row] = (await here.privacy.holdings(MERCHANT, ann, ann))["tables"]["after_sale"]
        assert row["words"] == "bought it for my mother" and "staff" not in row
        await world.shop.requests.refuse(MERCHANT, "boss", request.request, "dear Ann, no")
        await world.shop.aftersale.refund(MERCHANT, "boss", order, "r", stock="sellable")
        await settled(world)
        await here.identities.erase(MERCHANT, ann, "boss", "asked")
        [left] = await world.query("SELECT words, answer, state, person FROM after_sale")
        assert (left.words, left.answer, left.state, left.person) == ("", "", "refused", ann)


async def test_requests_go_with_their_orders_when_persons_are_merged_and_parted(place: Path | str) -> None:
    async with shop_world(place) as world:
        here = Rights(world)
        elder, younger = await here.person(), await here.person()
        order = (await bought(world, 1, person=younger)).order
        asked = ("k", "refund", "mind", [(OTHER_SKU, 1)])
        first = await world.shop.requests.ask(MERCHANT, younger, order, *asked)
        merged = await here.identities.merge(MERCHANT, elder, younger, "boss", "one")
        assert (await world.shop.requests.one(MERCHANT, first.request, elder)).person == elder
        await world.shop.requests.withdraw(MERCHANT, elder, first.request)
        world.clock.advance(1)
        later = await world.shop.requests.ask(MERCHANT, elder, order, "k2", *asked[1:])
        await here.identities.undo(MERCHANT, merged.merged or "", "boss")
        theirs = await world.shop.requests.all(MERCHANT, younger)
        assert [row.request for row in theirs] == [later.request, first.request]
        assert await world.shop.requests.all(MERCHANT, elder) == []
        await world.shop.requests.withdraw(MERCHANT, younger, later.request)


BEFORE = (
    "INSERT INTO orders (id, merchant, room, person, status, goods, discount, amount, steps, created_ms, expires_ms,"
    " paid_ms, fulfilment) VALUES ('o1', 'm1', 'r1', 'one', 'done', 6000, 0, 6000, '[]', 1, 5, 2, 'done')",
    "INSERT INTO order_line (order_id, n, hold, product, sku, title, quantity, price, list_price, discount)"
    " VALUES ('o1', 0, 'h', 'p2', 'k2', 't', 3, 2000, 2000, 0)",
    "INSERT INTO return_request (id, merchant, order_id, person, lines, reason, state, answer, staff, created_ms,"
    " decided_ms) VALUES ('a', 'm1', 'o1', 'one', '[[\"k2\", 1]]', 'broken', 'refused', 'no', 'boss', 3, 4),"
    " ('b', 'm1', 'o1', 'one', '[[\"k2\", 2]]', '', 'asked', '', NULL, 5, NULL)",
)


def test_returns_that_were_asked_for_before_are_requests_now(tmp_path: Path) -> None:
    engine = upgraded(tmp_path, "0111", BEFORE)
    with engine.begin() as connection:
        rows = connection.execute(
            text("SELECT id, kind, state, words, amount, answer FROM after_sale ORDER BY id")
        ).all()
        assert [tuple(row) for row in rows] == [
            ("a", "return", "refused", "broken", 2_000, "no"),
            ("b", "return", "asked", "", 4_000, ""),
        ]
        [due] = connection.execute(text("SELECT subject FROM deadline WHERE kind = 'after'")).scalars()
        [line] = connection.execute(text("SELECT request, sku FROM after_sale_line WHERE open = 1")).all()
        assert (due, tuple(line)) == ("b", ("b", "k2"))
    engine.dispose()
