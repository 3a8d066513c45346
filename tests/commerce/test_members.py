"""Points, stored value, tiers, sign-in and gifts: double entry, FIFO, the refund window, refunds (P7, P10)."""

import asyncio
import itertools
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from commerce.basket import Basket, DropTerms, wanted_lines
from commerce.domain.accounts import KINDS, Leg, checked_legs
from commerce.domain.day import DAY_MS
from commerce.domain.member import Paid, Program, Tier, kept, points_for, program_fault, program_of, split_stored
from commerce.errors import CommerceError, Invalid
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, World, shop_world

TERMS = Program(
    yuan_points=1,
    sign_in=(5, 10, 20),
    tiers=(Tier("银卡", 5_000, 100), Tier("金卡", 20_000, 200)),
    member_weekday=None,
)
CARD = "card"


async def code_of(awaitable: Any) -> str:
    """The code of the refusal, or ``ok``."""
    try:
        await awaitable
    except CommerceError as error:
        return error.code
    return "ok"


async def member_world(world: World, terms: Program = TERMS) -> None:
    """A shop with terms, goods at 20 yuan each, and a card: 100 yuan that give 120."""

    def card(connection: Any) -> None:
        connection.execute(text("INSERT INTO product VALUES ('pc', 'm1', '充值卡', '', '', true, 0, '')"))
        connection.execute(
            text(
                "INSERT INTO sku (id, product, merchant, name, price, list_price, version, kind, bonus)"
                " VALUES ('card', 'pc', 'm1', '', 10000, 10000, 1, 'stored', 2000)"
            )
        )

    await world.store.write(card)
    await world.shop.stock_up(MERCHANT, CARD, 100)
    await world.shop.stock_up(MERCHANT, OTHER_SKU, 1_000)
    await world.shop.members.set_program(MERCHANT, "boss", terms)


async def buy(world: World, person: str, key: str, units: int = 1, sku: str = OTHER_SKU, **more: Any) -> Any:
    """A paid order."""
    order = await world.shop.create_order(MERCHANT, ROOM, person, key, lines=[(sku, units, None)], **more)
    return await world.shop.pay_order(MERCHANT, person, order.order, f"pay-{key}")


async def done(world: World, order: Any, days: int = 7) -> None:
    """The order arrives, and its refund window closes."""
    await world.shop.aftersale.ship(MERCHANT, order.order, "carrier", "number")
    await world.shop.aftersale.finish(MERCHANT, order.order, order.person)
    world.clock.advance(days * DAY_MS)
    await world.shop.sweep()


async def wallet(world: World, person: str = "one") -> Any:
    """A person's membership."""
    return await world.shop.members.member(MERCHANT, person)


@given(
    st.lists(st.tuples(st.sampled_from(["a", ""]), st.sampled_from(sorted(KINDS)), st.integers(-99, 99)), max_size=6)
)
def test_a_transfer_adds_up_to_nothing_or_is_none(legs: list[tuple[str, str, int]]) -> None:
    sums: dict[str, int] = {}
    for _, kind, amount in legs:
        sums[KINDS[kind].unit] = sums.get(KINDS[kind].unit, 0) + amount
    if any(sums.values()):
        with pytest.raises(ValueError, match="add up to 0"):
            checked_legs(Leg(*leg) for leg in legs)
    else:
        assert all(leg.amount for leg in checked_legs(Leg(*leg) for leg in legs))


@given(st.integers(1, 10**6), st.data())
def test_what_goes_back_step_by_step_is_all_there_was(amount: int, data: st.DataObject) -> None:
    stored = data.draw(st.integers(0, amount))
    paid = Paid(amount, stored, data.draw(st.integers(0, stored)), data.draw(st.integers(0, amount)))
    steps = sorted(data.draw(st.lists(st.integers(0, amount), max_size=6)))
    before = (0, 0, 0)
    for refunded in [*steps, amount]:
        now = paid.back(refunded)
        assert all(new >= old for new, old in zip(now, before, strict=True))
        assert now[1] <= now[0] <= refunded
        assert now[0] - now[1] >= before[0] - before[1]
        before = now
    assert before == (paid.stored, paid.bonus, paid.points)
    assert kept(paid.points, amount, amount) == 0 and kept(paid.points, amount, 0) == paid.points


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.data())
def test_stored_value_is_spent_in_the_ratio_of_principal_and_bonus(
    principal: int, bonus: int, data: st.DataObject
) -> None:
    spent = data.draw(st.integers(0, principal + bonus))
    from_principal, from_bonus = split_stored(spent, principal, bonus)
    assert from_principal + from_bonus == spent
    assert 0 <= from_principal <= principal and 0 <= from_bonus <= bonus
    assert abs(from_principal * (principal + bonus) - spent * principal) <= principal + bonus


def test_points_count_by_tier_and_double_on_member_day() -> None:
    monday = 1_800_000_000_000 - 1_800_000_000_000 % DAY_MS + 4 * DAY_MS
    terms = Program(yuan_points=1, tiers=TERMS.tiers, member_weekday=0)
    days = {points_for(terms, 0, 10_050, monday + day * DAY_MS) for day in range(7)}
    assert days == {100, 201}
    assert points_for(TERMS, 2, 10_050, monday) == 201
    assert program_of(terms.as_json()) == terms
    assert program_fault(Program(tiers=(Tier("a", 5), Tier("b", 5)))) == (
        "tiers",
        "each tier begins above the one before",
    )


async def test_points_wait_for_the_refund_window_and_are_spent_oldest_first(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await member_world(world)
        first = await buy(world, "one", "a", 5)
        now = await wallet(world)
        assert (now.points, now.points_pending, now.tier) == (0, 100, 1)
        assert await code_of(buy(world, "one", "b", points=1)) == "insufficient"
        await done(world, first, days=6)
        assert (await wallet(world)).points == 0
        world.clock.advance(DAY_MS)
        await world.shop.sweep()
        assert ((await wallet(world)).points, (await wallet(world)).points_pending) == (100, 0)
        await world.shop.members.sign_in(MERCHANT, "one")
        order = await world.shop.create_order(MERCHANT, ROOM, "one", "c", lines=[(OTHER_SKU, 1, None)], points=102)
        assert (order.points, order.amount, order.discount) == (102, 1_898, 102)
        lots = await world.query("SELECT left_units FROM points_lot ORDER BY expires_ms, id")
        assert [row.left_units for row in lots] == [0, 3]
        world.assert_clean()
        await world.shop.cancel_order(MERCHANT, "one", order.order)
        assert (await wallet(world)).points == 105
        world.clock.advance(365 * DAY_MS)
        await world.shop.sweep()
        assert (await wallet(world)).points == 0


async def test_a_hundred_gives_a_hundred_and_twenty_spent_and_refunded_in_ratio(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await member_world(world)
        await buy(world, "one", "card", sku=CARD)
        now = await wallet(world)
        assert (now.principal, now.bonus, now.points_pending, now.tier) == (10_000, 2_000, 0, 0)
        order = await buy(world, "one", "o", 3, stored=6_000)
        assert (order.status, order.amount, order.stored, order.due) == ("paid", 6_000, 6_000, 0)
        now = await wallet(world)
        assert (now.principal, now.bonus) == (5_000, 1_000)
        assert now.points_pending == 50
        refund = await world.shop.aftersale.refund(
            MERCHANT, "boss", order.order, "r", lines=[(OTHER_SKU, 1)], stock="sellable"
        )
        assert (refund.state, refund.amount, refund.stored) == ("done", 2_000, 2_000)
        now = await wallet(world)
        assert (now.principal + now.bonus, now.bonus) == (8_000, 1_333)
        world.assert_clean()
        await world.shop.aftersale.refund(MERCHANT, "boss", order.order, "r2", stock="sellable")
        now = await wallet(world)
        assert (now.principal, now.bonus, now.points_pending, now.spent) == (10_000, 2_000, 0, 0)


async def test_a_room_has_sold_goods_and_not_the_stored_value_that_pays_for_them(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await member_world(world)
        await buy(world, "one", "card", sku=CARD)
        await buy(world, "one", "o", 3, stored=6_000)
        sold = await world.shop.sold(MERCHANT, ROOM, world.clock() - DAY_MS)
        assert (sold.orders, sold.amount) == (1, 6_000)


async def test_money_and_stored_value_share_a_refund(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await member_world(world)
        await buy(world, "one", "card", sku=CARD)
        order = await buy(world, "one", "o", 2, stored=1_000)
        assert (order.amount, order.due) == (4_000, 3_000)
        refund = await world.shop.aftersale.refund(MERCHANT, "boss", order.order, "r", amount=2_000)
        assert (refund.amount, refund.stored, refund.state) == (2_000, 500, "requested")
        async with asyncio.timeout(60):
            while (await world.shop.aftersale.refunds(MERCHANT, order.order))[0].state != "done":
                await asyncio.sleep(0.01)
        assert (
            await code_of(world.shop.aftersale.refund(MERCHANT, "boss", order.order, "r2", amount=2_001))
            == "over_refund"
        )


async def test_stored_value_that_was_spent_cannot_be_given_back_for_money(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await member_world(world)
        card = await buy(world, "one", "card", sku=CARD)
        await buy(world, "one", "o", stored=100)
        assert await code_of(world.shop.aftersale.refund(MERCHANT, "boss", card.order, "r")) == "insufficient"
        part = await world.shop.aftersale.refund(MERCHANT, "boss", card.order, "r2", amount=9_000)
        assert part.amount == 9_000
        now = await wallet(world)
        assert (now.principal, now.bonus) == (917, 183)


async def test_stored_value_is_bought_alone_with_money_and_up_to_the_shops_limit(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await member_world(world, Program(stored_most=24_000))
        mixed = world.shop.create_order(MERCHANT, ROOM, "one", "m", lines=[(CARD, 1, None), (OTHER_SKU, 1, None)])
        assert await code_of(mixed) == "invalid"
        await buy(world, "one", "a", sku=CARD)
        assert await code_of(buy(world, "one", "b", sku=CARD, stored=100)) == "invalid"
        assert await code_of(buy(world, "one", "c", 2, sku=CARD)) == "limit"
        await buy(world, "one", "d", sku=CARD)


async def by_notice(world: World, order: Any, key: str) -> Any:
    """Pay through a provider that tells of it by callback only; what the callback did."""
    await world.shop.pay_order(MERCHANT, "one", order.order, f"pay-{key}")
    [row] = await world.query("SELECT id FROM payment WHERE order_id = :o ORDER BY id DESC LIMIT 1", o=order.order)
    body = {"number": f"t{key}", "kind": "paid", "payment": row.id, "merchant": MERCHANT, "amount": order.due}
    message = world.provider.sign(orjson.dumps(body))
    return lambda: world.shop.settle("sandbox", message.body, message.headers)


@pytest.mark.parametrize("spent_meanwhile", [False, True])
async def test_a_late_payment_takes_what_the_order_held_anew_or_goes_back(
    anywhere: Path | str, spent_meanwhile: bool
) -> None:
    async with shop_world(anywhere, hold_back=True) as world:
        await member_world(world)
        card = await world.shop.create_order(MERCHANT, ROOM, "one", "card", lines=[(CARD, 1, None)])
        await (await by_notice(world, card, "card"))()
        order = await world.shop.create_order(MERCHANT, ROOM, "one", "late", lines=[(OTHER_SKU, 4, None)], stored=7_000)
        notice = await by_notice(world, order, "late")
        assert (await wallet(world)).principal + (await wallet(world)).bonus == 5_000
        await world.shop.cancel_order(MERCHANT, "one", order.order)
        assert (await wallet(world)).principal + (await wallet(world)).bonus == 12_000
        if spent_meanwhile:
            await world.shop.create_order(MERCHANT, ROOM, "one", "o", lines=[(OTHER_SKU, 4, None)], stored=6_000)
        assert (await notice()).effect == ("refund" if spent_meanwhile else "paid")
        now = await wallet(world)
        assert now.principal + now.bonus == (6_000 if spent_meanwhile else 5_000)
        world.assert_clean()


async def test_points_of_a_refunded_order_are_taken_back_or_owed(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await member_world(world)
        first = await buy(world, "one", "a", 10)
        await done(world, first)
        assert (await wallet(world)).points == 200
        await buy(world, "one", "b", points=150)
        await world.shop.aftersale.refund(MERCHANT, "boss", first.order, "r")
        now = await wallet(world)
        assert (now.points, now.points_owed, now.tier) == (0, 150, 0)
        world.assert_clean()
        world.clock.advance(DAY_MS)
        for _ in range(16):
            await world.shop.members.sign_in(MERCHANT, "one")
            world.clock.advance(DAY_MS)
        now = await wallet(world)
        assert (now.points_owed, now.points) == (0, 5 + 10 + 14 * 20 - 150)


async def test_points_spent_on_a_refunded_order_come_back_in_proportion(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await member_world(world, Program(sign_in=(1_000,)))
        await world.shop.members.sign_in(MERCHANT, "one")
        order = await buy(world, "one", "a", 2, points=1_000)
        assert order.amount == 3_000
        refund = await world.shop.aftersale.refund(MERCHANT, "boss", order.order, "r", lines=[(OTHER_SKU, 1)])
        assert (refund.amount, refund.points, (await wallet(world)).points) == (1_500, 500, 500)
        await world.shop.aftersale.refund(MERCHANT, "boss", order.order, "r2")
        assert (await wallet(world)).points == 1_000


async def test_a_day_is_signed_once_and_a_missed_one_ends_the_streak(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        assert await code_of(world.shop.members.sign_in(MERCHANT, "one")) == "not_open"
        await member_world(world)
        answers = await asyncio.gather(*(world.shop.members.sign_in(MERCHANT, "one") for _ in range(5)))
        assert sum(answer.fresh for answer in answers) == 1
        assert {answer.points for answer in answers} == {5}
        streaks = []
        for days in (1, 1, 1, 2, 1):
            world.clock.advance(days * DAY_MS)
            streaks.append((await world.shop.members.sign_in(MERCHANT, "one")).streak)
        assert streaks == [2, 3, 4, 1, 2]
        assert (await wallet(world)).streak == 2
        world.clock.advance(2 * DAY_MS)
        assert ((await wallet(world)).streak, (await wallet(world)).signed_today) == (0, False)


async def test_a_payment_brings_its_gift_once_however_often_it_is_told_of(anywhere: Path | str) -> None:
    async with shop_world(anywhere, deliveries=3) as world:
        await member_world(world, Program(gift_points=50, gift_amount=4_000))
        giving = DropTerms(way="gift")
        await world.shop.start_drop(MERCHANT, ROOM, "谢谢", "支付有礼", 300, 0, 10, 5, 86_400, 3_600, more=giving)
        assert (await buy(world, "one", "small")).status == "paid"
        assert (await wallet(world)).points_pending == 0
        await buy(world, "one", "large", 2)
        [number] = await world.query("SELECT id, number, order_id, amount FROM payment ORDER BY id DESC LIMIT 1")
        body = {"number": number.number, "kind": "paid", "payment": number.id, "merchant": MERCHANT}
        message = world.provider.sign(orjson.dumps(body | {"amount": number.amount}))
        for _ in range(3):
            assert (await world.shop.settle("sandbox", message.body, message.headers)).effect == "repeat"
        assert (await wallet(world)).points_pending == 50
        assert [coupon.reason for coupon in await world.shop.coupons(MERCHANT, "one")] == ["支付有礼"]
        [row] = await world.query("SELECT count(*) FROM payment_gift")
        assert row[0] == 1


async def test_a_quote_says_what_the_order_then_costs(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await member_world(world, Program(yuan_points=1, sign_in=(300,), points_percent=10))
        await world.shop.members.sign_in(MERCHANT, "one")
        await buy(world, "one", "card", sku=CARD)
        drop = await world.drop(amount=500)
        await world.shop.claim_coupon(MERCHANT, ROOM, "one", drop.drop, "k")
        basket = Basket(lines=wanted_lines([(OTHER_SKU, 2, None)]))
        quote = await world.shop.members.quote(MERCHANT, ROOM, "one", basket, best=True, points=True, stored=True)
        assert [(step["step"], step["amount"]) for step in quote.steps] == [
            ("shelf", 4_000),
            ("coupon", -500),
            ("points", -300),
            ("stored", -3_200),
        ]
        order = await world.shop.create_order(
            MERCHANT,
            ROOM,
            "one",
            "o",
            lines=[(OTHER_SKU, 2, None)],
            coupons=quote.coupons,
            points=quote.points,
            stored=quote.stored,
        )
        assert (order.amount, order.due, order.steps) == (quote.amount, quote.due, quote.steps)
        card = Basket(lines=wanted_lines([(CARD, 1, None)]))
        plain = await world.shop.members.quote(MERCHANT, ROOM, "one", card, best=True, points=True, stored=True)
        assert (plain.due, plain.coupons, plain.points, plain.stored) == (10_000, (), 0, 0)


async def test_entries_are_never_changed_whatever_asks_for_it(place: Path | str) -> None:
    async with shop_world(place) as world:
        await member_world(world)
        await world.shop.members.sign_in(MERCHANT, "one")
        for statement in ("UPDATE entry SET amount = amount + 1", "DELETE FROM entry"):
            with pytest.raises(DBAPIError, match="never changed"):
                await world.store.write(partial(Connection.execute, statement=text(statement)))
        with pytest.raises(DBAPIError):
            await world.store.write(
                lambda connection: connection.execute(text("UPDATE account SET balance = -1 WHERE bounded"))
            )


async def test_terms_that_make_no_sense_are_refused_by_field(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        for terms, field in (
            (Program(yuan_points=-1), "yuan_points"),
            (Program(member_weekday=7), "member_weekday"),
            (Program(sign_in=(1,) * 40), "sign_in"),
            (Program(tiers=(Tier("", 5),)), "tiers"),
        ):
            with pytest.raises(Invalid) as refused:
                await world.shop.members.set_program(MERCHANT, "boss", terms)
            assert refused.value.extra["field"] == field


OPERATIONS = ("order", "points", "stored", "pay", "cancel", "refund", "part", "card", "sign", "finish", "day", "sweep")


class Walker:
    """Does operations to one person's wallet, whatever they come to; the audit is what must hold."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.keys = itertools.count(1)
        self.orders: list[Any] = []

    async def step(self, name: str) -> None:
        """One operation; a refusal is an answer, too."""
        shop, key = self.world.shop, f"k{next(self.keys)}"
        newest = self.orders[-1].order if self.orders else "none"
        made: dict[str, tuple[str, int, dict[str, Any]]] = {
            "order": (OTHER_SKU, 2, {}),
            "points": (OTHER_SKU, 3, {"points": 9}),
            "card": (CARD, 1, {}),
        }
        made["stored"] = (OTHER_SKU, 2, {"stored": 1_777})
        try:
            if name in made:
                sku, units, more = made[name]
                self.orders.append(
                    await shop.create_order(MERCHANT, ROOM, "one", key, lines=[(sku, units, None)], **more)
                )
            elif name == "pay":
                await shop.pay_order(MERCHANT, "one", newest, key)
            elif name == "cancel":
                await shop.cancel_order(MERCHANT, "one", newest)
            elif name in ("refund", "part"):
                asked: dict[str, Any] = {"amount": 333} if name == "part" else {"stock": "sellable"}
                await shop.aftersale.refund(MERCHANT, "boss", newest, key, **asked)
            elif name == "sign":
                await shop.members.sign_in(MERCHANT, "one")
            elif name == "finish":
                await shop.aftersale.ship(MERCHANT, newest, "carrier", "number")
                await shop.aftersale.finish(MERCHANT, newest, "one")
            elif name == "day":
                self.world.clock.advance(7 * DAY_MS)
                await shop.sweep()
            else:
                await shop.sweep()
        except CommerceError as error:
            assert error.code != "internal", error


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(OPERATIONS), min_size=5, max_size=30))
def test_whatever_is_done_to_a_wallet_its_books_are_right(names: list[str]) -> None:
    async def walk() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with shop_world(Path(folder)) as world:
                await member_world(world)
                walker = Walker(world)
                for name in ("card", "pay", "sign", *names):
                    await walker.step(name)
                    world.assert_clean()

    asyncio.run(walk())


@pytest.mark.soak
async def test_each_pair_of_operations_in_either_order_leaves_the_books_right(anywhere: Path | str) -> None:
    """The pairs run in one person's wallet one after another, in both orders, each pair at once in one batch."""
    async with shop_world(anywhere) as world:
        await member_world(world)
        walker = Walker(world)
        for name in ("card", "pay", "sign"):
            await walker.step(name)
        for pair in itertools.permutations(("stored", "points", "pay", "cancel", "refund", "part", "sweep"), 2):
            await walker.step("stored")
            await walker.step("pay" if pair[0] in ("refund", "part") else "order")
            await asyncio.gather(*(walker.step(name) for name in pair))
            world.assert_clean()
