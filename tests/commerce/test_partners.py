"""Partners of another trade: a share of what their visitors buy, by a recorded contract and nothing else."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commerce.commission_sql import DAY_MS
from commerce.domain.commission import Earning, SoldLine, Terms, bases, order_cap, within
from commerce.domain.order import Delivery
from commerce.domain.partner import Contract, ShareRate, contract_fault, shared
from commerce.errors import Conflict, Invalid, NotFound, Refused
from commerce.identity.phone import Vault
from commerce.identity.service import Identities
from commerce.ledger import StartDrop
from commerce.partner_statement_sql import as_csv, month_days
from commerce.partners import Partners
from tests.commerce.people_kit import SECRET
from tests.commerce.shop_world import MERCHANT, ROOM
from tests.commerce.test_distribution import PRICE, Market, opened

TEN = {"scope": "shop", "target": "", "bp": 1_000}
LEAST: dict[str, Any] = {
    "since": "",
    "until": "",
    "days": 30,
    "first_only": False,
    "cap_order": 0,
    "cap_month": 0,
    "sees": "rows",
    "rates": [TEN],
}
SHARE = PRICE // 10


class Street:
    """A shop and the gym next door."""

    gym = ""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.partners = Partners(
            market.world.store, market.world.shop.ledger, market.attribution, clock=market.world.clock
        )

    def people(self) -> Identities:
        """Who merges and forgets persons."""
        world = self.market.world
        return Identities(world.store, world.shop.ledger, world.shop.aliases, Vault(SECRET), clock=world.clock)

    async def agree(self, name: str = "gym", **terms: Any) -> str:
        more = {key: terms.pop(key) for key in ("counterpart", "owner") if key in terms}
        made = await self.partners.add(MERCHANT, "boss", name, "fitness", {**LEAST, **terms}, **more)
        return str(made["id"])

    async def comes(self, person: str, partner: str) -> None:
        link = await self.partners.link(MERCHANT, partner, None, None, "counter")
        await self.market.attribution.touch_token(MERCHANT, link.token, person, "scan")
        await self.market.attribution.binder.flushed(60.0)

    async def buys(self, person: str, quantity: int = 1, *, pay: bool = True, **more: Any) -> Any:
        order = await self.market.order(person, quantity, **more)
        return await self.market.pay(order) if pay else order

    async def on(self, partner: str) -> tuple[int, int, int, int]:
        """Pending, frozen, available, leaving."""
        row = await self.partners.alone(partner)
        return (row["pending"], row["frozen"], row["available"], row["leaving"])

    async def why(self, order: Any) -> str:
        found = await self.partners.share_of(MERCHANT, order.order)
        assert found is not None
        return str(found["why"])


@pytest.fixture
async def street(anywhere: Path | str) -> AsyncIterator[Street]:
    async with opened(anywhere) as market:
        yield Street(market)


async def test_a_share_goes_from_the_order_to_the_settlement(street: Street) -> None:
    gym, buyer = await street.agree(), await street.market.person("bo")
    await street.comes(buyer, gym)
    order = await street.buys(buyer, pay=False)
    assert order.decision["credits"]["partner"]["issuer"] == gym
    assert await street.on(gym) == (SHARE, 0, 0, 0)
    await street.market.pay(order)
    assert await street.on(gym) == (0, SHARE, 0, 0)
    street.market.world.clock.advance(15 * DAY_MS)
    await street.market.distribution.release()
    assert await street.on(gym) == (0, 0, SHARE, 0)
    with pytest.raises(Refused, match="not that much"):
        await street.partners.settle(MERCHANT, gym, SHARE + 1, "k1")
    asked = await street.partners.settle(MERCHANT, gym, 600, "k2")
    assert (await street.partners.settle(MERCHANT, gym, 600, "k2")).withdrawal == asked.withdrawal
    decide = street.market.distribution.decide
    await decide(MERCHANT, asked.withdrawal, "approved", "boss", "", "")
    await decide(MERCHANT, asked.withdrawal, "paid", "boss", "T-1", "")
    assert await street.on(gym) == (0, 0, SHARE - 600, 0)
    (row,) = await street.market.world.query("SELECT balance FROM account WHERE kind = 'share_paid'")
    assert row.balance == 600


async def test_what_goes_back_takes_the_share_back_and_what_was_settled_is_carried(street: Street) -> None:
    gym, buyer = await street.agree(), await street.market.person("bo")
    await street.comes(buyer, gym)
    order = await street.buys(buyer)
    street.market.world.clock.advance(15 * DAY_MS)
    await street.market.distribution.release()
    asked = await street.partners.settle(MERCHANT, gym, SHARE, "k")
    for decision in ("approved", "paid"):
        await street.market.distribution.decide(MERCHANT, asked.withdrawal, decision, "boss", "T", "")
    await street.market.refund(order, "r")
    assert await street.on(gym) == (0, 0, -SHARE, 0)
    statement = await street.partners.statement(MERCHANT, gym, None)
    assert (statement.reversed, statement.closing["available"]) == (SHARE, -SHARE)


async def test_a_contract_that_pays_for_first_purchases_pays_for_one(street: Street) -> None:
    gym, buyer = await street.agree(first_only=True), await street.market.person("bo")
    await street.comes(buyer, gym)
    one, two = await street.buys(buyer, pay=False), await street.buys(buyer, pay=False)
    assert await street.on(gym) == (2 * SHARE, 0, 0, 0)
    await street.market.pay(two)
    await street.market.pay(one)
    assert await street.on(gym) == (0, SHARE, 0, 0)
    assert (await street.why(one), await street.why(two)) == ("not_first", "")
    assert await street.why(await street.buys(buyer)) == "not_first"


async def test_a_visit_counts_for_the_days_of_the_contract(street: Street) -> None:
    short, long = await street.agree("café", days=2), await street.agree("gym", days=40)
    ann, bo = await street.market.person("ann"), await street.market.person("bo")
    await street.comes(ann, short)
    await street.comes(bo, long)
    street.market.world.clock.advance(3 * DAY_MS)
    assert "partner" not in (await street.buys(ann)).decision["credits"]
    street.market.world.clock.advance(30 * DAY_MS)
    assert (await street.buys(bo)).decision["credits"]["partner"]["issuer"] == long
    street.market.world.clock.advance(8 * DAY_MS)
    assert "partner" not in (await street.buys(bo)).decision["credits"]


async def test_caps_hold_of_an_order_and_of_a_month_and_of_everybody_together(street: Street) -> None:
    gym, buyer = await street.agree(cap_order=500, cap_month=800), await street.market.person("bo")
    await street.comes(buyer, gym)
    first, second, third = [await street.buys(buyer) for _ in range(3)]
    assert [await street.why(one) for one in (first, second, third)] == ["order_cap", "month_cap", "month_cap"]
    assert await street.on(gym) == (0, 800, 0, 0)
    await street.market.refund(first, "r")
    assert await street.why(await street.buys(buyer)) == "order_cap"
    street.market.world.clock.advance(31 * DAY_MS)
    await street.comes(buyer, gym)
    assert await street.why(await street.buys(buyer)) == "order_cap"
    await street.market.distribution.set_terms(MERCHANT, {"cap_percent": 15}, "boss")
    whole = await street.agree("hotel", rates=[{**TEN, "bp": 2_000}])
    ann = await street.market.distributor("ann")
    cy = await street.market.person("cy")
    await street.market.comes_by(cy, ann)
    await street.comes(cy, whole)
    order = await street.buys(cy)
    both = (await street.market.on(ann))[1] + (await street.on(whole))[1]
    assert both == PRICE * 15 // 100 and await street.why(order) == "cap"


async def test_without_a_contract_that_stands_nothing_is_shared(street: Street) -> None:
    gym, buyer = await street.agree(until="2030-01-01"), await street.market.person("bo")
    await street.comes(buyer, gym)
    order = await street.buys(buyer, pay=False)
    await street.partners.change(MERCHANT, gym, {"state": "paused"})
    assert "partner" not in (await street.buys(buyer)).decision["credits"]
    await street.market.pay(order)
    assert (await street.on(gym))[1] == SHARE  # what was earned stays
    await street.partners.change(MERCHANT, gym, {"state": "ended"})
    with pytest.raises(Refused, match="ended"):
        await street.partners.propose(MERCHANT, gym, "boss", LEAST)


async def test_another_merchant_agrees_first_and_reads_nothing_but_its_share(street: Street) -> None:
    gym = await street.agree("sister", counterpart="m2")
    buyer = await street.market.person("王小明")
    await street.comes(buyer, gym)
    assert "partner" not in (await street.buys(buyer)).decision["credits"]
    ((contract,),) = [row["contracts"] for row in await street.partners.incoming("m2")]
    with pytest.raises(NotFound):
        await street.partners.decide(MERCHANT, contract["id"], "boss", agreed=True)
    await street.partners.decide("m2", contract["id"], "chief", agreed=True)
    with pytest.raises(Conflict):
        await street.partners.decide("m2", contract["id"], "chief", agreed=False)
    order = await street.buys(buyer)
    row = await street.partners.partnership("m2", gym)
    (sale,) = (await street.partners.own_statement(row, None)).sales or ()
    assert (sale.sale, sale.name, sale.person, sale.amount) == (order.order, "王**", "", SHARE)
    with pytest.raises(NotFound):
        await street.partners.partnership("m3", gym)
    street.market.world.clock.advance(15 * DAY_MS)
    await street.market.distribution.release()
    asked = await street.partners.own_settle(row, SHARE, "k")
    for decision in ("approved", "paid"):
        await street.market.distribution.decide(MERCHANT, asked.withdrawal, decision, "boss", "T", "")
    (got,) = await street.market.world.query(
        "SELECT balance FROM account WHERE merchant = 'm2' AND kind = 'share_received'"
    )
    assert got.balance == SHARE
    await street.partners.propose(MERCHANT, gym, "boss", {**LEAST, "sees": "sums"})
    (newest, _) = (await street.partners.incoming("m2"))[0]["contracts"]
    await street.partners.decide("m2", newest["id"], "chief", agreed=True)
    assert (await street.partners.own_statement(row, None)).sales is None


async def test_who_runs_the_business_earns_nothing_of_themselves_and_friends_are_looked_at(street: Street) -> None:
    owner, friend = await street.market.person("olga"), await street.market.person("bo")
    gym = await street.agree(owner=owner)
    where = Delivery("express", "O", "13800138022", "1 Road")
    for person in (owner, friend):
        await street.comes(person, gym)
    assert await street.why(await street.buys(owner, delivery=where)) == "own"
    other = await street.buys(friend, delivery=replace(where, phone="13911112222"))
    theirs = await street.buys(friend, delivery=where)
    held = {row["order_id"]: row["held"] for row in await street.market.distribution.held(MERCHANT)}
    assert held == {theirs.order: "same_phone"} and other.order not in held
    street.market.world.clock.advance(15 * DAY_MS)
    await street.market.distribution.release()
    assert await street.on(gym) == (0, SHARE, SHARE, 0)


async def test_a_share_of_a_shared_code_is_the_partners_and_goes_no_further(street: Street) -> None:
    gym, ann, bo = await street.agree(), await street.market.person("ann"), await street.market.person("bo")
    link = await street.partners.link(MERCHANT, gym, None, None, "counter")
    shared_on = await street.market.attribution.mint_link(MERCHANT, ann, "viewer", parent_token=link.token)
    await street.market.attribution.touch_token(MERCHANT, shared_on.token, bo, "share_open")
    order = await street.buys(bo)
    assert order.decision["credits"]["partner"]["issuer"] == gym
    (row,) = await street.market.world.query("SELECT count(*) AS n, max(level) AS level FROM commission")
    assert (row.n, row.level) == (1, 1)


async def test_a_statement_adds_up_and_opens_in_a_spreadsheet(street: Street) -> None:
    gym, buyer = await street.agree("=gym"), await street.market.person("bo")
    await street.comes(buyer, gym)
    order = await street.buys(buyer, 2)
    await street.market.refund(order, "r", amount=PRICE)
    found = await street.partners.statement(MERCHANT, gym, None)
    assert (found.visitors, found.orders, found.base, found.amount) == (1, 1, 2 * PRICE, 2 * SHARE)
    assert found.amount - found.reversed == sum(found.closing.values()) - sum(found.opening.values()) == SHARE
    sheet = as_csv(found)
    assert "'=gym" in sheet and order.order in sheet
    with pytest.raises(Invalid):
        await street.partners.statement(MERCHANT, gym, "2026-13")
    assert month_days("2028-02") == ("2028-02-01", "2028-02-29")


def test_rates_are_of_a_sku_before_all_the_shop_and_less_than_a_cent_is_nothing() -> None:
    rates = (ShareRate("shop", "", 100), ShareRate("sku", "a", 5_000), ShareRate("category", "tea", 200))
    contract = Contract("2026-01-01", "", 30, False, 0, 0, "rows", rates)
    lines = [SoldLine(0, "a", 100), SoldLine(1, "b", 99), SoldLine(2, "c", 1_000, "tea")]
    found = shared(contract, "c1", lines, bases(lines, 0), None)
    assert [(one.n, one.rate.name, one.amount) for one in found.earned] == [(0, "sku:a", 50), (2, "category:tea", 20)]
    assert shared(contract, "c1", lines[1:2], [99], None).why == "no_rate"
    assert shared(contract, "c1", lines, bases(lines, 0), -5).earned == ()
    kept: list[Earning] = within(found.earned, order_cap([100, 99, 1_000], Terms(cap_percent=5)))
    assert sum(one.amount for one in kept) == 59


@pytest.mark.parametrize(
    ("field", "value"),
    [("since", "soon"), ("until", "2025-12-31"), ("days", 0), ("cap_order", -1), ("sees", "all"), ("rates", ())],
)
def test_a_contract_that_cannot_be_says_why(field: str, value: Any) -> None:
    given = {"since": "2026-01-01", "until": "", "days": 30, "first_only": False, "cap_order": 0, "cap_month": 0}
    good: dict[str, Any] = {**given, "sees": "rows", "rates": (ShareRate("shop", "", 1),)}
    assert contract_fault(Contract(**good)) is None
    assert contract_fault(Contract(**{**good, field: value})) is not None


async def test_two_who_are_found_to_be_one_are_one_visitor_until_it_is_undone(street: Street) -> None:
    gym, ann, bo = await street.agree(), await street.market.person("ann"), await street.market.person("bo")
    await street.comes(ann, gym)
    await street.comes(bo, gym)
    order = await street.buys(bo)
    people = street.people()

    async def told() -> tuple[int, int, str, str, int]:
        found = await street.partners.statement(MERCHANT, gym, None)
        assert found.sales is not None
        [sale] = found.sales
        return (found.visitors, (await street.partners.alone(gym))["visitors"], sale.person, sale.name, found.amount)

    assert await told() == (2, 2, "bo", "bo", SHARE)
    await people.merge(MERCHANT, ann, bo, "boss", "one number")
    assert await told() == (1, 1, "ann", "ann", SHARE)
    await street.market.refund(order, "r")
    assert await street.on(gym) == (0, 0, 0, 0)
    [merged] = await people.merges(MERCHANT, ann, None, 10)
    await people.undo(MERCHANT, merged["id"], "boss")
    assert await told() == (2, 2, "bo", "bo", SHARE)


async def test_a_merge_brings_along_the_visit_and_what_was_bought_before(street: Street) -> None:
    first, any_ = await street.agree("first", first_only=True), await street.agree("any")
    ann, bo = await street.market.person("ann"), await street.market.person("bo")
    cy, di = await street.market.person("cy"), await street.market.person("di")
    await street.buys(ann)
    await street.comes(bo, first)
    await street.comes(di, any_)
    people = street.people()
    await people.merge(MERCHANT, ann, bo, "boss", "one number")
    await people.merge(MERCHANT, cy, di, "boss", "one number")
    again, later = await street.buys(ann), await street.buys(cy)
    assert again.decision["credits"]["partner"]["issuer"] == first
    assert await street.why(again) == "not_first" and await street.on(first) == (0, 0, 0, 0)
    assert later.decision["credits"]["partner"]["issuer"] == any_
    assert await street.on(any_) == (0, SHARE, 0, 0)


async def test_whom_the_shop_forgets_no_partner_is_told_of_and_what_was_reported_stays(street: Street) -> None:
    gym, ann = await street.agree(), await street.market.person("ann")
    cafe, bo = await street.agree("café"), await street.market.person("bo")
    also_ann = await street.market.person("cy")
    for partner in (gym, cafe):
        await street.comes(ann, partner)
    await street.comes(also_ann, gym)
    await street.comes(bo, gym)
    order = await street.buys(bo)
    await street.market.refund(order, "r")
    people = street.people()
    await people.merge(MERCHANT, ann, also_ann, "boss", "one number")
    for person in (ann, bo):
        await people.erase(MERCHANT, person, "boss", "asked for it")
    world = street.market.world
    rows = await world.query("SELECT person FROM partner_visit")
    # Nothing says any more that it was one person who came to both.
    assert len({row.person for row in rows}) == 3 and not {row.person for row in rows} & {ann, bo}
    found = await street.partners.statement(MERCHANT, gym, None)
    assert (found.visitors, found.orders, found.amount, found.reversed) == (2, 1, SHARE, SHARE)
    known = await street.partners.known(gym)
    assert known is not None
    shown = (await street.partners.own_statement(known, None)).sales
    assert shown is not None and [(sale.person, sale.name) for sale in shown] == [("", "**")]


def coupon_of(partner: str, **more: Any) -> StartDrop:
    """An offer of ¥10 off ¥50 to the visitors of a partner."""
    terms = {"total": 100, "per_person": 1, "length_ms": 10 * DAY_MS, "valid_ms": 5 * DAY_MS, **more}
    return StartDrop(MERCHANT, ROOM, "健身房专享", "邻里开业", 1_000, 5_000, issuer=partner, way="partner", **terms)


def audited(street: Street) -> None:
    """Every invariant holds."""
    street.market.world.assert_clean()


async def test_a_coupon_of_a_partners_is_its_visitors_and_its_cost_is_split_by_the_contract(street: Street) -> None:
    gym, bo = await street.agree(coupon_bp=4_000), await street.market.person("bo")
    ann, shop = await street.market.person("ann"), street.market.world.shop
    made = await street.partners.offer(coupon_of(gym), 2_500, "boss", "k")
    assert (await street.partners.offer(coupon_of(gym), 2_500, "boss", "k")).drop == made.drop
    await street.comes(bo, gym)
    [given] = await shop.entry_coupons(MERCHANT, ROOM, bo)
    assert await shop.entry_coupons(MERCHANT, ROOM, bo) == await shop.entry_coupons(MERCHANT, ROOM, ann) == []
    order = await street.buys(bo, coupons=(given.coupon,))
    assert order.amount == PRICE - 1_000
    share = order.amount // 10
    assert await street.on(gym) == (0, share, -400, 0)
    audited(street)
    await street.market.refund(order, "half", amount=order.amount // 2)
    assert (await street.on(gym))[2] == -400 + 400 * (order.amount // 2) // order.amount
    await street.market.refund(order, "rest")
    assert await street.on(gym) == (0, 0, 0, 0)
    found = await street.partners.statement(MERCHANT, gym, None)
    assert (found.discount, found.borne, found.borne_back) == (1_000, 400, 400)
    assert found.coupons is not None and [one.took for one in found.coupons] == [1_000]
    assert "健身房专享" in as_csv(found) and set(found.closing.values()) == {0}
    [row] = await street.partners.offers(MERCHANT, gym)
    assert (row["issued"], row["used"], row["took"], row["borne"] - row["back"]) == (1, 1, 1_000, 0)
    audited(street)


async def test_an_offer_ends_with_its_budget_its_visit_its_audience_and_its_partner(street: Street) -> None:
    gym, shop = await street.agree(days=3), street.market.world.shop
    people = [await street.market.person(name) for name in ("a1", "a2", "a3", "a4")]
    offered = await street.partners.offer(coupon_of(gym), 2_000, "boss", "k")
    for person in people:
        await street.comes(person, gym)
    got = [len(await shop.entry_coupons(MERCHANT, ROOM, person)) for person in people[:3]]
    assert got == [1, 1, 0]  # the budget pays for two
    await street.partners.end_offer(MERCHANT, gym, offered.drop)
    bought = people[3]
    await street.buys(bought)
    await street.partners.offer(coupon_of(gym, audience="new"), 9_000, "boss", "new")
    assert await shop.entry_coupons(MERCHANT, ROOM, bought) == []
    assert len(await shop.entry_coupons(MERCHANT, ROOM, people[0])) == 1
    street.market.world.clock.advance(4 * DAY_MS)
    assert await shop.entry_coupons(MERCHANT, ROOM, people[1]) == []  # the visit is too long ago
    await street.comes(people[1], gym)
    await street.partners.change(MERCHANT, gym, {"state": "paused"})
    assert await shop.entry_coupons(MERCHANT, ROOM, people[1]) == []
    with pytest.raises(Refused):
        await street.partners.offer(coupon_of(gym), 9_000, "boss", "paused")
    with pytest.raises(NotFound):
        await street.partners.offer(coupon_of("nobody"), 9_000, "boss", "none")
    with pytest.raises(Invalid):
        await street.partners.offer(coupon_of(gym), 999, "boss", "less than one coupon")
    audited(street)


async def test_what_was_offered_under_a_contract_is_borne_by_it_although_it_has_ended(street: Street) -> None:
    gym, bo = await street.agree(coupon_bp=10_000), await street.market.person("bo")
    await street.partners.offer(coupon_of(gym), 9_000, "boss", "k")
    await street.comes(bo, gym)
    [given] = await street.market.world.shop.entry_coupons(MERCHANT, ROOM, bo)
    street.market.world.clock.advance(1)
    await street.partners.propose(MERCHANT, gym, "boss", {**LEAST, "coupon_bp": 0})
    order = await street.buys(bo, coupons=(given.coupon,))
    assert await street.on(gym) == (0, order.amount // 10, -1_000, 0)
    audited(street)
