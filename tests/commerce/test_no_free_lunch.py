"""No free lunch: three buyers and a distributor who know one another do all that a shop allows, and are no richer.

The shop has everything switched on that is given for buying: points, stored value with a bonus, coupons, gifts with a
payment, a paid membership, passes, a flash sale, exchanges, freight, commission. The judge stands outside: it knows
prices as they were asked, money that came and went, and what the shop has said that it gives. After each step what the
four have together (money back, goods kept, wallets, coupons, commission) is at most what they paid and were promised;
once everything was given back they have at most their money, and nothing of what came with buying.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from commerce.attribution.service import Attribution
from commerce.attribution.touches_sql import open_touch_log
from commerce.basket import DropTerms
from commerce.commissions import Release
from commerce.distribution import Distribution
from commerce.domain.aftersale import Counted
from commerce.domain.freight import FreightTerms
from commerce.domain.member import Program
from commerce.domain.membership import Benefits, PlanTerms
from commerce.domain.order import Delivery
from commerce.domain.passes import PassTerms
from commerce.events import AfterSaleView, OrderView
from commerce.freight_sql import set_rule
from commerce.identity.join import MergePeople
from commerce.ledger import CouponGranted
from tests.commerce.loop_machine import LoopMachine
from tests.commerce.people_kit import SECRET
from tests.commerce.quick_checks import findings
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU
from tests.commerce.test_ledger_machine import QUIET

DAN = "dan"
PEOPLE = ("ann", "bo", "cy", DAN)
CARD, CARD_BONUS = 10_000, 2_000
FLASH, PLAN, PASS, USES = 5_000, 3_000, 3_000, 3
COUPON, GIFT, MONTHLY = 1_000, 300, 500
SIGN_IN, GIFT_POINTS, GIFT_FROM = 30, 20, 4_000
MEMBER_PERCENT, MEMBER_POINTS, COMMISSION_PERCENT = 80, 300, 10
people = st.sampled_from(PEOPLE)
picks = st.integers(0, 40)


@dataclass
class Promised:
    """What the four were given by name, beside what comes with buying."""

    points: int = 0
    coupons: int = 0
    goodwill: dict[str, int] = field(default_factory=dict)


_ORDERS = (
    "SELECT o.id, o.person, o.kind, o.amount, o.refunded, o.created_ms, coalesce(f.amount, 0) AS freight,"
    " o.decision LIKE '%\"distributor\":{%' AS brought FROM orders AS o LEFT JOIN order_freight AS f"
    " ON f.order_id = o.id WHERE o.status NOT IN ('pending', 'cancelled')"
)
_LINES = (
    "SELECT l.order_id, l.sku, l.sale IS NOT NULL AS flash, l.price, l.list_price, l.quantity"
    " - coalesce((SELECT sum(r.returned) FROM refund_line AS r WHERE r.order_id = l.order_id AND r.n = l.n), 0) AS kept"
    " FROM order_line AS l JOIN orders AS o ON o.id = l.order_id WHERE o.status NOT IN ('pending', 'cancelled')"
    " AND o.kind = 'goods'"
)
_IN = "SELECT coalesce(sum(amount), 0) FROM payment WHERE state IN ('settled', 'refund_due', 'refunded')"
_OUT = "SELECT coalesce(sum(amount - stored), 0) FROM refund"
_EARNED = (
    "SELECT coalesce(sum(balance), 0) FROM account WHERE owner <> '' AND kind LIKE 'commission%'"
    " AND kind <> 'commission_pending'"
)  # fmt: skip
_PAID_OUT = "SELECT coalesce(sum(amount), 0) FROM withdrawal WHERE state = 'paid'"
_WALLETS = (
    "SELECT coalesce(sum(balance), 0) FROM account WHERE owner <> ''"
    " AND kind IN ('principal', 'principal_held', 'bonus', 'bonus_held', 'points', 'points_pending', 'points_held',"
    " 'points_owed')"
)
_BONUS = "SELECT coalesce(sum(balance), 0) FROM account WHERE owner <> '' AND kind IN ('principal', 'bonus')"
_POINTS = "SELECT coalesce(sum(balance), 0) FROM account WHERE owner <> '' AND kind LIKE 'points%'"
_COUPONS = (
    "SELECT coalesce(sum(c.amount), 0) FROM coupon AS c JOIN drop_ AS d ON d.id = c.drop_id"
    " WHERE (c.state = 'locked' OR (c.state = 'unused' AND c.expires_ms > {now}))"
)
# A gift that was spent before its payment went back stays spent: the one that the giving's limit per person bounds.
_SPENT_GIFTS = (
    "SELECT g.order_id, u.amount FROM payment_gift AS g JOIN coupon AS c ON c.id = g.coupon"
    " JOIN order_coupon AS u ON u.coupon = c.id AND u.order_id = c.order_id WHERE c.state IN ('used', 'locked')"
)
_PLANS = "SELECT id, person, order_id, from_ms, until_ms, state, coupons FROM membership"
_PASSES = "SELECT state, uses, left_uses FROM pass_"


class NoFreeLunch(LoopMachine):
    """Everything that a buyer, the shop's staff and the clock can do, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[OrderView] = []
        self.promised = Promised()
        self.signed: set[tuple[str, str]] = set()
        self.asked: list[str] = []
        self.fair = False

    # --- the shop ----------------------------------------------------------------------------------------------------

    def run(self, awaitable: Any) -> Any:
        return self.loop.run_until_complete(awaitable)

    @initialize()
    def open(self) -> None:
        self.run(self.stores[0].write(_catalogue))
        terms = Program(1, 7, 30, sign_in=(SIGN_IN,), gift_points=GIFT_POINTS, gift_amount=GIFT_FROM)
        self.must(lambda shop: shop.members.set_program(MERCHANT, "boss", terms))
        for sku in (SKU, OTHER_SKU, "card", "plan", "pass"):
            self.must(lambda shop, sku=sku: shop.stock_up(MERCHANT, sku, 1_000))
        plan = PlanTerms(1, Benefits(MEMBER_PERCENT, MEMBER_POINTS, MONTHLY, 0, 20))
        self.must(lambda shop: shop.memberships.set_plan(MERCHANT, "boss", "plan", plan))
        self.must(lambda shop: shop.passes.set_terms(MERCHANT, "boss", "pass", PassTerms(USES, days=20)))
        self.must(lambda shop: shop.members.set_mall_item(MERCHANT, "boss", OTHER_SKU, 20, 1, 2))
        give, way = (10, 2, 366 * 86_400, 30 * 86_400), DropTerms(way="gift")
        self.must(lambda shop: shop.start_drop(MERCHANT, ROOM, "gift", "支付有礼", GIFT, 0, *give, more=way))
        self.drop = self.must(
            lambda shop: shop.start_drop(MERCHANT, ROOM, "drop", "店庆", COUPON, 3_000, 10, 1, 86_400, 30 * 86_400)
        ).drop
        made = self.must(lambda shop: shop.create_sale(MERCHANT, ROOM, SKU, FLASH, 9_900, 20, 2, 300, 1_200))
        self.sale = self.must(lambda shop: shop.start_sale(MERCHANT, made.sale, 0)).sale
        self.distribute()

    def distribute(self) -> None:
        store, shop = self.stores[0], self.shops[0]
        self.touches = open_touch_log(self.folder, clock=self.clock)
        self.attribution = Attribution(
            store, self.touches, secret=SECRET, clock=self.clock, now_person=shop.aliases.now, host_of=lambda room: ""
        )
        self.distribution = Distribution(store, shop.ledger, self.attribution.binder, clock=self.clock)
        self.run(self.distribution.set_rate(MERCHANT, "shop", "", COMMISSION_PERCENT * 100, 0))
        self.run(self.distribution.enrol(MERCHANT, DAN, DAN, parent=None, level="", approved=True))
        link = self.run(self.attribution.mint_link(MERCHANT, DAN, "distributor"))
        for person in PEOPLE:
            self.run(self.attribution.touch_token(MERCHANT, link.token, person, "share_open"))

    def must(self, call: Any) -> Any:
        done = self.do(call)
        assert not isinstance(done, str), done
        return done

    def who(self, person: str) -> str:
        return self.shops[0].aliases.now(person)

    # --- buying ------------------------------------------------------------------------------------------------------

    def order(self, person: str, pay: bool, **what: Any) -> None:
        self.clock.advance(1)
        me = self.who(person)
        decision = self.run(self.attribution.decision_json(MERCHANT, me, self.clock(), room=ROOM))
        more = {"decision": decision, **what}
        made = self.do(lambda shop: shop.create_order(MERCHANT, ROOM, me, self.key(), **more))
        if isinstance(made, OrderView):
            self.orders.append(made)
            if pay:
                self.pay(len(self.orders) - 1)

    @rule(
        person=people, units=st.integers(1, 4), coupons=st.booleans(), points=st.sampled_from([0, 7, 60]),
        stored=st.sampled_from([0, 333, 9_000]), brought=st.booleans(), pay=st.booleans(),
    )  # fmt: skip
    def buy(
        self, person: str, units: int, coupons: bool, points: int, stored: int, brought: bool, pay: bool
    ) -> None:  # fmt: skip
        """Goods from the shelf, with what is at hand."""
        mine = self.do(lambda shop: shop.coupons(MERCHANT, self.who(person))) if coupons else []
        usable = [one for one in mine if one.state == "unused" and one.threshold <= 2_000 * units]
        spent = {"points": points, "stored": stored, "coupons": [one.coupon for one in usable[:1]]}
        to = Delivery("express", "x", "13800138000", "road") if brought else None
        self.order(person, pay, lines=[(OTHER_SKU, units)], delivery=to, **spent)

    @rule(person=people, sku=st.sampled_from(["card", "plan", "pass"]), pay=st.booleans())
    def buy_what_is_used_later(self, person: str, sku: str, pay: bool) -> None:
        self.order(person, pay, lines=[(sku, 1)])

    @rule(person=people, shelf=st.integers(0, 2), stored=st.sampled_from([0, 2_500]))
    def buy_a_flash_unit(self, person: str, shelf: int, stored: int) -> None:
        me = self.who(person)
        held = self.do(lambda shop: shop.hold(MERCHANT, ROOM, me, self.sale, 1, self.key()))
        if not isinstance(held, str):
            self.order(person, True, hold=held.hold, lines=[(OTHER_SKU, shelf)] if shelf else [], stored=stored)

    @rule(person=people)
    def exchange(self, person: str) -> None:
        self.order(person, True, lines=[(OTHER_SKU, 1)], mall=True)

    @rule(n=picks)
    def pay(self, n: int) -> None:
        if self.orders:
            order = self.orders[n % len(self.orders)]
            self.do(lambda shop: shop.pay_order(MERCHANT, self.who(order.person), order.order, self.key()))

    @rule(n=picks)
    def cancel(self, n: int) -> None:
        if self.orders:
            order = self.orders[n % len(self.orders)].order
            self.do(lambda shop: shop.cancel_order(MERCHANT, None, order))

    @rule(person=people)
    def sign_in(self, person: str) -> None:
        done = self.do(lambda shop: shop.members.sign_in(MERCHANT, self.who(person)))
        if done.fresh:
            assert (self.who(person), done.day) not in self.signed, "twice a day"
            self.signed.add((self.who(person), done.day))
            self.promised.points += done.points

    @rule(person=people)
    def claim(self, person: str) -> None:
        got = self.do(lambda shop: shop.claim_coupon(MERCHANT, ROOM, self.who(person), self.drop, self.key()))
        if isinstance(got, CouponGranted):
            self.promised.coupons += got.amount
            assert self.promised.coupons <= COUPON * len(PEOPLE), "more than one each"

    # --- giving back -------------------------------------------------------------------------------------------------

    def refund(self, order: OrderView, **what: Any) -> Any:
        self.clock.advance(1)
        return self.do(lambda shop: shop.aftersale.refund(MERCHANT, "boss", order.order, self.key(), **what))

    @rule(n=picks, line=st.integers(0, 1), units=st.integers(1, 2), stock=st.sampled_from(["sellable", "quarantine"]))
    def give_back_units(self, n: int, line: int, units: int, stock: str) -> None:
        if self.orders:
            order = self.orders[n % len(self.orders)]
            sku = order.lines[line % len(order.lines)].sku
            self.refund(order, lines=[(sku, units)], stock=stock)

    @rule(n=picks)
    def give_back_all(self, n: int) -> None:
        """All of an order; passes and memberships have terms of their own, beyond which only the shop's grace goes."""
        if self.orders:
            order = self.orders[n % len(self.orders)]
            if order.lines[0].sku not in ("plan", "pass"):
                self.refund(order, stock="sellable")

    @rule(n=picks, amount=st.sampled_from([1, 99, 1_234]))
    def goodwill(self, n: int, amount: int) -> None:
        if self.orders:
            order = self.orders[n % len(self.orders)]
            given = self.refund(order, amount=amount)
            if not isinstance(given, str) and order.kind == "goods":
                # With the money go the points that were paid beside it, and with the last of it the coupon.
                whole = self.must(lambda shop: shop.order(MERCHANT, order.order)).status == "refunded"
                so_far = self.promised.goodwill.get(order.order, 0)
                self.promised.goodwill[order.order] = so_far + amount + (order.discount if whole else given.points)

    @rule(n=picks, kind=st.sampled_from([("refund", "mind"), ("return", "no_reason")]))
    def ask(self, n: int, kind: tuple[str, str]) -> None:
        if self.orders:
            order = self.orders[n % len(self.orders)]
            asked = (MERCHANT, self.who(order.person), order.order, self.key(), *kind, [(order.lines[0].sku, 1)])
            view = self.do(lambda shop: shop.requests.ask(*asked))
            self.asked += [view.request] if isinstance(view, AfterSaleView) else []

    @rule(n=picks, quarantined=st.integers(0, 1))
    def answer(self, n: int, quarantined: int) -> None:
        """The shop approves; what comes back is counted."""
        if not self.asked:
            return
        request = self.asked[n % len(self.asked)]
        view = self.do(lambda shop: shop.requests.approve(MERCHANT, "boss", request))
        if isinstance(view, AfterSaleView) and view.state == "approved":
            came = [Counted(view.lines[0].sku, 1 - quarantined, quarantined)]
            self.do(lambda shop: shop.requests.receive(MERCHANT, "boss", request, came))

    @rule(n=picks)
    def arrives(self, n: int) -> None:
        if self.orders:
            order = self.orders[n % len(self.orders)].order
            self.do(lambda shop: shop.aftersale.ship(MERCHANT, order, "SF", "1"))
            self.do(lambda shop: shop.aftersale.finish(MERCHANT, order))

    @rule(person=people)
    def give_a_membership_back(self, person: str) -> None:
        for one in self.do(lambda shop: shop.memberships.of_person(MERCHANT, self.who(person))):
            if one.state == "active":
                self.do(lambda shop, id=one.membership: shop.memberships.refund(MERCHANT, "boss", id, self.key(), ""))
                return

    @rule(person=people, back=st.booleans())
    def use_a_pass(self, person: str, back: bool) -> None:
        for card in self.do(lambda shop: shop.passes.of_person(MERCHANT, self.who(person)))[:1]:
            if back:
                self.do(lambda shop, id=card.card: shop.passes.refund(MERCHANT, "boss", id, self.key(), ""))
            else:
                self.do(lambda shop, code=card.code: shop.passes.use(MERCHANT, "till", code, 1, "", self.key()))

    # --- commission, days, people ------------------------------------------------------------------------------------

    @rule(amount=st.sampled_from([100, 990]), paid=st.booleans())
    def withdraw(self, amount: int, paid: bool) -> None:
        asked = self.do(lambda shop: self.distribution.withdraw(MERCHANT, self.who(DAN), amount, self.key()))
        if not isinstance(asked, str):
            for step in ("approved", "paid") if paid else ():
                decided = (MERCHANT, asked.withdrawal, step, "boss", "T", "")
                self.do(lambda shop, decided=decided: self.distribution.decide(*decided))

    @rule(hours=st.sampled_from([1, 25, 24 * 8, 24 * 16]))
    def time_passes(self, hours: int) -> None:
        self.clock.advance(hours * 3_600_000)
        for _ in range(2):
            self.do(lambda shop: shop.sweep())
        self.do(lambda shop: shop.ledger.submit(Release()))

    @rule(one=people, other=people)
    def merge(self, one: str, other: str) -> None:
        async def merged(shop: Any) -> Any:
            joined = await shop.ledger.submit(MergePeople(MERCHANT, one, other, "boss", "one person"))
            shop.aliases.learn(joined.aliases)
            return joined

        self.do(merged)

    # --- the judge ---------------------------------------------------------------------------------------------------

    def rows(self, query: str) -> list[Any]:
        def read(db: Any) -> list[Any]:
            return list(db.exec_driver_sql(query))

        return list(self.run(self.stores[0].read(read)))

    def sum(self, query: str) -> int:
        return int(self.rows(query)[0][0])

    def membership_of(self, order: Any) -> Any:
        """The membership that an order was made under, unless it was given back."""
        there = [one for one in self.plans if one.person == order.person and one.state != "refunded"]
        return next((one for one in there if one.from_ms <= order.created_ms < one.until_ms), None)

    def have(self) -> int:
        """What the four have together, beside what they had before."""
        total: int = self.sum(_OUT) + self.sum(_EARNED) + self.sum(_PAID_OUT) + self.sum(_WALLETS)
        total += self.sum(_COUPONS.format(now=self.clock()))
        for line in self.rows(_LINES):
            if line.sku not in ("plan", "pass"):
                total += line.kept * (line.price if line.flash else line.list_price)
        total += PLAN * sum(one.state != "refunded" for one in self.plans)
        for one in self.rows(_PASSES):
            total += PASS * (one.uses - (one.left_uses if one.state == "refunded" else 0)) // one.uses
        for order in self.paid.values():
            total += order.freight - max(0, order.refunded - (order.amount - order.freight))
        return total

    def may_have(self) -> int:
        """What they paid, and what the shop says that it gives for it."""
        total: int = self.sum(_IN) + self.promised.points + self.promised.coupons
        goodwill = 0
        for order in self.paid.values():
            net = max(0, order.amount - order.freight - order.refunded)
            if order.kind == "stored":
                total += -(-CARD_BONUS * (order.amount - order.refunded) // CARD)
                continue
            more = MEMBER_POINTS if self.membership_of(order) else 100
            total += net * more // 10_000 + (net * COMMISSION_PERCENT // 100 if order.brought else 0)
            if order.amount - order.freight >= GIFT_FROM:
                total += -(-GIFT_POINTS * net // (order.amount - order.freight)) + (GIFT if net >= GIFT_FROM else 0)
            goodwill += self.promised.goodwill.get(order.id, 0)
        for line in self.rows(_LINES):
            if not line.flash and self.membership_of(self.paid[line.order_id]):
                total += line.kept * (line.list_price - line.price)
        total += MONTHLY * sum(one.coupons for one in self.plans if one.state != "refunded")
        for gift in self.rows(_SPENT_GIFTS):
            origin = self.paid[gift.order_id]
            if origin.amount - origin.freight - origin.refunded < GIFT_FROM:
                total += gift.amount
        return total + goodwill

    @invariant()
    def nobody_has_more_than_was_paid_and_promised(self) -> None:
        self.plans = self.rows(_PLANS)
        self.paid = {order.id: order for order in self.rows(_ORDERS)}
        have, may = self.have(), self.may_have()
        self.fair = have <= may
        assert self.fair, f"{have - may} 分 for nothing"

    @invariant()
    def the_books_are_right(self) -> None:
        broken = self.run(self.stores[0].read(lambda db: findings(db, self.clock())))
        assert not broken, broken

    def unwind(self) -> None:
        """Give everything back, and look that nothing is left of what came with it."""
        for order in self.orders:
            self.do(lambda shop, id=order.order: shop.cancel_order(MERCHANT, None, id))
        for kind in ("goods", "stored"):
            for order in self.orders:
                if order.kind == kind:
                    self.refund(order, stock="sellable")
        self.the_books_are_right()
        self.paid = {order.id: order for order in self.rows(_ORDERS)}
        left = [one for one in self.paid.values() if one.refunded < one.amount]
        kept = sum(one.amount - one.refunded for one in left)
        assert self.sum(_OUT) <= self.sum(_IN)
        # Freight of goods that were brought, and cards that paid for it: nothing else stays with the shop.
        assert all(one.freight or one.kind == "stored" for one in left), left
        assert self.sum(_EARNED) + self.sum(_PAID_OUT) == 0
        assert self.sum(_BONUS) <= kept + CARD_BONUS * sum(one.kind == "stored" for one in left)
        assert self.sum(_POINTS) <= self.promised.points
        gifts = _COUPONS.format(now=self.clock()) + " AND d.way IN ('gift', 'member')"
        assert self.sum(gifts) == 0

    def teardown(self) -> None:
        try:
            if self.fair:
                self.unwind()
        finally:
            if hasattr(self, "attribution"):
                self.run(self.attribution.binder.close())
                self.touches.close()
            super().teardown()


def _catalogue(db: Any) -> None:
    for sku, price, kind, bonus in (
        ("card", CARD, "stored", CARD_BONUS),
        ("plan", PLAN, "goods", 0),
        ("pass", PASS, "goods", 0),
    ):
        db.exec_driver_sql(f"INSERT INTO product VALUES ('p{sku}', '{MERCHANT}', '{sku}', '', '', true, 0, '')")
        db.exec_driver_sql(
            "INSERT INTO sku (id, product, merchant, name, price, list_price, version, kind, bonus)"
            f" VALUES ('{sku}', 'p{sku}', '{MERCHANT}', '', {price}, {price}, 1, '{kind}', {bonus})"
        )
    for n, person in enumerate(PEOPLE):
        db.exec_driver_sql(f"INSERT INTO person VALUES ('{person}', '{MERCHANT}', '', {n})")
    set_rule(db, MERCHANT, "", "express", FreightTerms(((0, 800),), 9_000), "boss", 1)


TestNoFreeLunch = NoFreeLunch.TestCase
TestNoFreeLunch.settings = settings(
    max_examples=4, stateful_step_count=30, deadline=None, derandomize=True, suppress_health_check=QUIET
)


def test_points_that_were_spent_are_taken_from_each_lot_once_when_their_order_is_refunded() -> None:
    # Its own points and its gift's are two lots: what was spent of the one was taken from the other, and then again.
    town = NoFreeLunch()
    town.open()
    try:
        town.buy_a_flash_unit(person="bo", shelf=1, stored=0)
        for n in range(4):
            town.arrives(n=n)
        town.time_passes(hours=192)
        town.sign_in(person="bo")
        town.exchange(person="bo")
        assert town.sum("SELECT sum(units) FROM points_use") > 0
        town.refund(town.orders[0], stock="sellable")
        town.the_books_are_right()
    finally:
        town.teardown()


@pytest.mark.soak
def test_two_hundred_months_of_four_who_know_one_another_have_no_free_lunch() -> None:
    limits = settings(max_examples=200, stateful_step_count=60, deadline=None, suppress_health_check=QUIET)
    run_state_machine_as_test(NoFreeLunch, settings=limits)
