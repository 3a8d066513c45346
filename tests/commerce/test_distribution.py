"""Bindings, credits and commission: who earns what of an order, from its making to the transfer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commerce.attribution.service import Attribution
from commerce.attribution.touches_sql import TouchLog, open_touch_log
from commerce.distribution import Distribution
from commerce.domain.commission import BP, Rate, SoldLine, Terms, earnings, kept, refunded_lines, terms_of
from commerce.errors import Invalid, NotFound, Refused
from tests.commerce.people_kit import SECRET
from tests.commerce.shop_world import MERCHANT, ROOM, World, shop_world

DAY_MS = 86_400_000
PRICE = 9_900  # of k1, as seed_catalogue writes it


class Market:
    """A shop with a log of touches, distributors and customers."""

    def __init__(self, world: World, touches: TouchLog) -> None:
        self.world = world
        self.hosts: dict[str, str] = {}
        self.attribution = Attribution(
            world.store,
            touches,
            secret=SECRET,
            clock=world.clock,
            now_person=world.shop.aliases.now,
            host_of=lambda room: self.hosts.get(room, ""),
        )
        self.distribution = Distribution(world.store, world.shop.ledger, self.attribution.binder, clock=world.clock)
        self._orders = 0

    async def person(self, name: str) -> str:
        await self.world.store.write(
            lambda db: db.exec_driver_sql(f"INSERT INTO person VALUES ('{name}', '{MERCHANT}', '{name}', 1)")
        )
        return name

    async def distributor(self, name: str, parent: str | None = None, level: str = "") -> str:
        person = await self.person(name)
        await self.distribution.enrol(MERCHANT, person, name, parent=parent, level=level, approved=True)
        return person

    async def comes_by(self, person: str, issuer: str, role: str = "distributor") -> str:
        link = await self.attribution.mint_link(MERCHANT, issuer, role)
        await self.attribution.touch_token(MERCHANT, link.token, person, "share_open")
        return link.token

    async def order(self, person: str, quantity: int = 1, sku: str = "k1", room: str = ROOM, **more: Any) -> Any:
        self._orders += 1
        await self.world.shop.stock_up(MERCHANT, sku, quantity)
        decision = await self.attribution.decision_json(MERCHANT, person, self.world.clock(), room=room)
        key = f"o{self._orders}"
        return await self.world.shop.create_order(
            MERCHANT, room, person, key, lines=[(sku, quantity, None)], decision=decision, **more
        )

    async def pay(self, order: Any) -> Any:
        return await self.world.shop.pay_order(MERCHANT, order.person, order.order, f"p{order.order}")

    async def refund(self, order: Any, key: str, **what: Any) -> None:
        await self.world.shop.aftersale.refund(MERCHANT, "boss", order.order, key, reason="back", **what)

    async def on(self, person: str) -> tuple[int, int, int, int]:
        """Pending, frozen, available, leaving."""
        found = (await self.distribution.statement(MERCHANT, person))["balances"]
        return (*found.values(),)

    async def sum_of_all(self) -> int:
        (row,) = await self.world.query(
            "SELECT coalesce(sum(balance), 0) AS total FROM account WHERE kind LIKE 'commission%'"
        )
        return int(row.total)


@asynccontextmanager
async def opened(where: Path | str, **provider: Any) -> AsyncIterator[Market]:
    """A market in which the shop pays 10 %, and 2 % to who recruited."""
    async with shop_world(where, **provider) as world:
        touches = open_touch_log(where, clock=world.clock)
        market = Market(world, touches)
        await market.distribution.set_rate(MERCHANT, "shop", "", 1_000, 200)
        try:
            yield market
        finally:
            await market.attribution.binder.close()
            touches.close()


@pytest.fixture
async def market(anywhere: Path | str) -> AsyncIterator[Market]:
    async with opened(anywhere) as found:
        yield found


async def test_commission_goes_from_the_order_to_the_transfer(market: Market) -> None:
    ann, buyer = await market.distributor("ann"), await market.person("bo")
    await market.comes_by(buyer, ann)
    order = await market.order(buyer)
    assert order.decision["credits"]["distributor"]["issuer"] == ann
    assert await market.on(ann) == (990, 0, 0, 0)
    await market.pay(order)
    assert await market.on(ann) == (0, 990, 0, 0)
    assert await market.distribution.release() == 0
    market.world.clock.advance(15 * DAY_MS)
    assert await market.distribution.release() == 1
    assert await market.on(ann) == (0, 0, 990, 0)
    with pytest.raises(Refused, match="not that much"):
        await market.distribution.withdraw(MERCHANT, ann, 991, "w1")
    asked = await market.distribution.withdraw(MERCHANT, ann, 600, "w2")
    assert (await market.distribution.withdraw(MERCHANT, ann, 600, "w2")).withdrawal == asked.withdrawal
    with pytest.raises(Refused, match="under way"):
        await market.distribution.withdraw(MERCHANT, ann, 300, "w3")
    await market.distribution.decide(MERCHANT, asked.withdrawal, "approved", "boss", "", "")
    with pytest.raises(Invalid):
        await market.distribution.decide(MERCHANT, asked.withdrawal, "paid", "boss", "", "")
    await market.distribution.decide(MERCHANT, asked.withdrawal, "paid", "boss", "T-1", "")
    with pytest.raises(Refused):
        await market.distribution.decide(MERCHANT, asked.withdrawal, "rejected", "boss", "", "")
    assert await market.on(ann) == (0, 0, 390, 0)
    assert await market.sum_of_all() == 0


async def test_a_rejected_withdrawal_comes_back(market: Market) -> None:
    ann, buyer = await market.distributor("ann"), await market.person("bo")
    await market.comes_by(buyer, ann)
    await market.pay(await market.order(buyer))
    market.world.clock.advance(15 * DAY_MS)
    await market.distribution.release()
    asked = await market.distribution.withdraw(MERCHANT, ann, 990, "w")
    assert await market.on(ann) == (0, 0, 0, 990)
    await market.distribution.decide(MERCHANT, asked.withdrawal, "rejected", "boss", "", "wrong account")
    assert await market.on(ann) == (0, 0, 990, 0)


@pytest.mark.parametrize("when", ["pending", "frozen", "available", "withdrawn"])
async def test_a_full_refund_takes_all_back_wherever_it_is_by_then(market: Market, when: str) -> None:
    ann, buyer = await market.distributor("ann"), await market.person("bo")
    await market.comes_by(buyer, ann)
    order = await market.order(buyer, quantity=3)
    if when == "pending":
        await market.world.shop.cancel_order(MERCHANT, buyer, order.order)
        assert await market.on(ann) == (0, 0, 0, 0)
        return
    await market.pay(order)
    if when != "frozen":
        market.world.clock.advance(15 * DAY_MS)
        await market.distribution.release()
    if when == "withdrawn":
        asked = await market.distribution.withdraw(MERCHANT, ann, 2_970, "w")
        await market.distribution.decide(MERCHANT, asked.withdrawal, "approved", "boss", "", "")
        await market.distribution.decide(MERCHANT, asked.withdrawal, "paid", "boss", "T", "")
    await market.refund(order, "r1", lines=[("k1", 1)])
    await market.refund(order, "r2", amount=500)
    await market.refund(order, "r3")
    rows = (await market.distribution.statement(MERCHANT, ann))["rows"]
    assert [row["amount"] - row["reversed"] for row in rows] == [0]
    # What was paid out before is owed, and carried to the next orders.
    assert sum(await market.on(ann)) == (-2_970 if when == "withdrawn" else 0)
    assert await market.sum_of_all() == 0


async def test_a_sku_beats_a_level_and_that_the_shop_and_later_rates_change_nothing(market: Market) -> None:
    ann, buyer = await market.distributor("ann", level="gold"), await market.person("bo")
    await market.comes_by(buyer, ann)
    await market.distribution.set_rate(MERCHANT, "level", "gold", 2_000, 0)
    await market.order(buyer)
    await market.distribution.set_rate(MERCHANT, "sku", "k1", 500, 0)
    market.world.clock.advance(1)
    await market.order(buyer)
    await market.distribution.set_rate(MERCHANT, "sku", "k1", 0, 0)
    await market.distribution.set_rate(MERCHANT, "level", "gold", 0, 0)
    market.world.clock.advance(1)
    await market.order(buyer)
    rows = (await market.distribution.statement(MERCHANT, ann))["rows"]
    assert [(row["rate_of"], row["amount"]) for row in reversed(rows)] == [
        ("level:gold", 1_980),
        ("sku:k1", 495),
        ("shop", 990),
    ]


async def test_the_recruiter_earns_the_second_level_where_there_is_one_and_nobody_above_does(market: Market) -> None:
    top = await market.distributor("top")
    mid = await market.distributor("mid", parent=top)
    low = await market.distributor("low", parent=mid)
    buyer = await market.person("bo")
    await market.comes_by(buyer, low)
    await market.order(buyer)
    assert [sum(await market.on(one)) for one in (low, mid, top)] == [990, 0, 0]
    await market.distribution.set_terms(MERCHANT, {"levels": 2}, "boss")
    await market.order(buyer)
    assert [sum(await market.on(one)) for one in (low, mid, top)] == [1_980, 198, 0]


async def test_a_share_by_a_customer_still_carries_the_distributor_it_came_from(market: Market) -> None:
    ann, friend, buyer = await market.distributor("ann"), await market.person("fay"), await market.person("bo")
    token = await market.comes_by(friend, ann)
    share = await market.attribution.mint_link(MERCHANT, friend, "viewer", parent_token=token)
    await market.attribution.touch_token(MERCHANT, share.token, buyer, "share_open")
    order = await market.order(buyer)
    assert order.decision["winner"]["issuer"] == friend
    assert order.decision["credits"]["distributor"]["issuer"] == ann


async def test_one_who_buys_by_their_own_link_earns_only_where_the_shop_allows_it(market: Market) -> None:
    ann = await market.distributor("ann")
    await market.comes_by(ann, ann)
    assert (await market.order(ann)).decision["credits"]["distributor"] is None
    await market.distribution.set_terms(MERCHANT, {"self_purchase": True}, "boss")
    assert (await market.order(ann)).decision["credits"]["distributor"]["issuer"] == ann


async def test_a_disabled_distributor_earns_nothing_more(market: Market) -> None:
    ann, buyer = await market.distributor("ann"), await market.person("bo")
    await market.comes_by(buyer, ann)
    await market.order(buyer)
    await market.distribution.change(MERCHANT, ann, "disabled", None)
    order = await market.order(buyer)
    assert order.decision["credits"]["distributor"] is None
    assert await market.on(ann) == (990, 0, 0, 0)


async def test_the_first_who_brought_a_customer_keeps_them_after_the_window(market: Market) -> None:
    ann, eve, buyer = await market.distributor("ann"), await market.distributor("eve"), await market.person("bo")
    await market.comes_by(buyer, ann)
    await market.comes_by(buyer, eve)
    market.world.clock.advance(8 * DAY_MS)
    credit = (await market.order(buyer)).decision["credits"]["distributor"]
    assert (credit["issuer"], credit["source"]) == (ann, "binding")


async def test_a_protected_customer_is_not_taken_by_a_later_link_and_an_unprotected_one_is(market: Market) -> None:
    await market.distribution.set_terms(MERCHANT, {"bind": "override", "protection_days": 3}, "boss")
    ann, eve, buyer = await market.distributor("ann"), await market.distributor("eve"), await market.person("bo")
    await market.comes_by(buyer, ann)
    market.world.clock.advance(DAY_MS)
    await market.comes_by(buyer, eve)
    assert (await market.order(buyer)).decision["credits"]["distributor"]["issuer"] == ann
    market.world.clock.advance(4 * DAY_MS)
    await market.comes_by(buyer, eve)
    bindings = await market.distribution.bindings(MERCHANT, buyer)
    assert [(one["issuer"], one["closed_why"]) for one in bindings] == [(eve, None), (ann, "another's link")]


async def test_a_binding_lapses_and_an_order_renews_it(market: Market) -> None:
    await market.distribution.set_terms(MERCHANT, {"valid_days": 10}, "boss")
    ann, buyer, other = await market.distributor("ann"), await market.person("bo"), await market.person("cy")
    for customer in (buyer, other):
        await market.comes_by(customer, ann)
    market.world.clock.advance(9 * DAY_MS)
    await market.pay(await market.order(buyer))
    market.world.clock.advance(9 * DAY_MS)
    assert (await market.order(buyer)).decision["credits"]["distributor"]["issuer"] == ann
    assert (await market.order(other)).decision["credits"]["distributor"] is None


async def test_nobody_is_bound_to_themselves_to_whom_they_recruited_or_to_a_stranger(market: Market) -> None:
    top = await market.distributor("top")
    low = await market.distributor("low", parent=top)
    stranger = await market.person("stan")
    await market.comes_by(top, top)
    await market.comes_by(top, low)
    await market.comes_by(top, stranger)
    assert await market.distribution.bindings(MERCHANT, top) == []
    for issuer in (top, low, stranger):
        with pytest.raises(NotFound):
            await market.distribution.bind(MERCHANT, top, issuer, "distributor", "please")


async def test_a_decision_never_changes_and_a_hand_over_is_for_the_future_only(market: Market) -> None:
    ann, eve, buyer = await market.distributor("ann"), await market.distributor("eve"), await market.person("bo")
    await market.comes_by(buyer, ann)
    before = await market.order(buyer)
    market.world.clock.advance(8 * DAY_MS)
    assert (await market.distribution.hand_over(MERCHANT, "distributor", ann, eve, "moved away")).moved == 1
    after = await market.order(buyer)
    assert after.decision["credits"]["distributor"]["issuer"] == eve
    assert (await market.world.shop.order(MERCHANT, before.order)).decision == before.decision
    assert [sum(await market.on(one)) for one in (ann, eve)] == [990, 990]


async def test_commission_of_a_buyer_with_the_distributors_phone_waits_for_somebody_to_look(market: Market) -> None:
    from commerce.domain.order import Delivery

    ann, buyer = await market.distributor("ann"), await market.person("bo")
    home = Delivery("express", "Ann", "138 0013 8022", "Street 1")
    await market.order(ann, delivery=home)
    await market.comes_by(buyer, ann)
    await market.pay(await market.order(buyer, delivery=Delivery("express", "Bo", "13800138022", "Street 1")))
    market.world.clock.advance(15 * DAY_MS)
    assert await market.distribution.release() == 0
    (held,) = await market.distribution.held(MERCHANT)
    assert held["held"] == "same_phone"
    assert await market.distribution.clear(MERCHANT, held["id"], "boss") == 1
    assert await market.distribution.release() == 1


async def test_too_many_orders_a_day_are_held(market: Market) -> None:
    await market.distribution.set_terms(MERCHANT, {"orders_a_day": 2}, "boss")
    ann, buyer = await market.distributor("ann"), await market.person("bo")
    await market.comes_by(buyer, ann)
    for _ in range(3):
        await market.order(buyer)
    assert [one["held"] for one in await market.distribution.held(MERCHANT)] == ["velocity"]


@pytest.mark.parametrize(
    "given",
    [{"bind": "never"}, {"levels": 3}, {"valid_days": 0}, {"renew": 1}, {"fee": 5}, {"cap_percent": 101}],
)
def test_terms_that_cannot_be_are_refused_in_words(given: dict[str, Any]) -> None:
    assert isinstance(terms_of(given), str)


lines = st.lists(st.integers(1, 100_000), min_size=1, max_size=6)
rates = st.tuples(st.integers(0, BP), st.integers(0, BP)).filter(lambda pair: sum(pair) <= BP)


@given(lines, rates, st.integers(0, 100), st.sampled_from([1, 2]), st.data())
def test_all_commission_of_an_order_stays_under_its_cap_and_a_full_refund_leaves_nothing(
    paid: list[int], rate: tuple[int, int], cap: int, levels: int, data: st.DataObject
) -> None:
    bonus = data.draw(st.integers(0, sum(paid)))
    sold = [SoldLine(n, f"k{n}", amount) for n, amount in enumerate(paid)]
    terms = Terms(cap_percent=cap, levels=levels)
    found = earnings(sold, bonus, {("shop", ""): Rate("shop", "", *rate)}, terms, "", parent_level="")
    assert sum(one.amount for one in found) <= (sum(paid) - bonus) * cap // 100
    assert {one.level for one in found} <= set(range(1, levels + 1))
    for one in found:
        assert kept(one.amount, one.paid, one.paid) == 0
        assert kept(one.amount, one.paid, 0) == one.amount


@given(lines, st.data())
def test_what_went_back_is_shared_over_the_lines_to_the_last_fen(paid: list[int], data: st.DataObject) -> None:
    whole = dict(enumerate(paid))
    by_line = {n: data.draw(st.integers(0, amount)) for n, amount in whole.items() if data.draw(st.booleans())}
    refunded = data.draw(st.integers(sum(by_line.values()), sum(paid)))
    back = refunded_lines(whole, by_line, refunded)
    assert sum(back.values()) == refunded
    assert all(by_line.get(n, 0) <= back[n] <= whole[n] for n in whole)


async def test_who_comes_back_by_an_earlier_link_is_taken_over_again(market: Market) -> None:
    ann, ben, buyer = await market.distributor("ann"), await market.distributor("ben"), await market.person("bo")
    await market.distribution.set_terms(MERCHANT, {"bind": "override"}, "boss")
    for issuer in (ann, ben, ann):
        await market.comes_by(buyer, issuer)
        await market.attribution.binder.flushed(60)
        market.world.clock.advance(1)
    assert [one["issuer"] for one in await market.distribution.bindings(MERCHANT, buyer)] == [ann, ben, ann]


async def test_a_binding_that_lapsed_is_made_anew_by_the_same_link(market: Market) -> None:
    ann, buyer = await market.distributor("ann"), await market.person("bo")
    await market.distribution.set_terms(MERCHANT, {"valid_days": 1}, "boss")
    await market.comes_by(buyer, ann)
    await market.attribution.binder.flushed(60)
    market.world.clock.advance(2 * DAY_MS)
    await market.comes_by(buyer, ann)
    found = await market.distribution.bindings(MERCHANT, buyer)
    assert [(one["issuer"], one["closed_ms"] is None) for one in found] == [(ann, True), (ann, False)]
