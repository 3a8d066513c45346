"""Random orders of every kind against the real ledger: presales, passes, exchanges, pickup stations, in any order.

After each step the audit is clean; what it cannot know is held against the rules here: what becomes of a deposit, how
often a pass was used, and that a refused command changed nothing.
"""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from commerce.domain.day import DAY_MS
from commerce.domain.member import Program
from commerce.domain.order import Delivery
from commerce.domain.passes import PassTerms
from commerce.domain.presale import Missed, Presale
from commerce.domain.sale import SaleTerms
from commerce.domain.station import StationTerms
from commerce.events import OrderView
from commerce.ledger_passes import PassView
from commerce.moments import Offer
from tests.commerce.loop_machine import LoopMachine, on_postgres
from tests.commerce.quick_checks import findings
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU
from tests.commerce.test_ledger_machine import QUIET
from tests.postgres import Cluster

PEOPLE = ("ann", "bo", "cy")
USES, DAYS, CAPACITY = 3, 2, 2
people = st.sampled_from(PEOPLE)


class OrdersMachine(LoopMachine):
    """Presales of one SKU by both rules; the other is a pass, in the mall, and fetched at a station."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[OrderView] = []
        self.used: dict[str, int] = {}

    @initialize()
    def open(self) -> None:
        self.do(lambda shop: shop.stock_up(MERCHANT, SKU, 8))
        self.do(lambda shop: shop.stock_up(MERCHANT, OTHER_SKU, 8))
        self.do(lambda shop: shop.members.set_program(MERCHANT, "boss", Program(yuan_points=1, sign_in=(30,))))
        self.do(lambda shop: shop.passes.set_terms(MERCHANT, "boss", OTHER_SKU, PassTerms(USES, days=DAYS)))
        self.do(lambda shop: shop.members.set_mall_item(MERCHANT, "boss", OTHER_SKU, 20, 1, 2))
        self.sales = [self.presale(missed) for missed in Missed]
        self.run(self.stores[0].write(_people))
        terms = StationTerms("Gate 3", "12 Lake Road", "leader", CAPACITY, 1_200)
        self.station = self.do(lambda shop: shop.stations.set(MERCHANT, "boss", "", terms)).station

    def run(self, awaitable: Any) -> Any:
        return self.loop.run_until_complete(awaitable)

    def presale(self, missed: Missed) -> Any:
        now = self.clock()
        terms = SaleTerms(presale=Presale(1_000, now + DAY_MS // 2, now + 2 * DAY_MS, missed))
        offer = Offer(SKU, 5_000, 0, 3, 2, 300, 86_000, terms)
        sale = self.do(lambda shop: shop.moments.create_sale(MERCHANT, ROOM, offer))
        return self.do(lambda shop: shop.start_sale(MERCHANT, sale.sale, 0))

    def keep(self, order: Any) -> None:
        if isinstance(order, OrderView):
            self.orders.append(order)

    @rule(person=people, which=st.integers(0, 1))
    def pay_a_deposit(self, person: str, which: int) -> None:
        sale = self.sales[which].sale
        held = self.do(lambda shop: shop.hold(MERCHANT, ROOM, person, sale, 1, self.key()))
        if isinstance(held, str):
            return
        self.keep(self.do(lambda shop: shop.create_order(MERCHANT, ROOM, person, self.key(), hold=held.hold)))
        self.pay(len(self.orders) - 1)
        paid = self.now(len(self.orders) - 1)
        if paid.presale is not None and paid.presale.balance_order is not None:
            balance = paid.presale.balance_order
            self.keep(self.do(lambda shop: shop.order(MERCHANT, balance)))

    @rule(person=people, mall=st.booleans(), fetched=st.booleans())
    def order(self, person: str, mall: bool, fetched: bool) -> None:
        delivery = Delivery("pickup", person, "13800138000", station=self.station) if fetched else None
        what = {"lines": [(OTHER_SKU, 1)], "mall": mall, "delivery": delivery}
        self.keep(self.do(lambda shop: shop.create_order(MERCHANT, ROOM, person, self.key(), **what)))

    @rule(person=people)
    def sign_in(self, person: str) -> None:
        self.do(lambda shop: shop.members.sign_in(MERCHANT, person))

    def now(self, n: int) -> OrderView:
        order = self.orders[n]
        found: OrderView = self.do(lambda shop: shop.order(MERCHANT, order.order))
        return found

    @rule(n=st.integers(0, 30))
    def pay(self, n: int) -> None:
        if self.orders:
            order = self.orders[n % len(self.orders)]
            self.do(lambda shop: shop.pay_order(MERCHANT, order.person, order.order, self.key()))

    @rule(n=st.integers(0, 30))
    def cancel(self, n: int) -> None:
        if self.orders:
            order = self.orders[n % len(self.orders)]
            self.do(lambda shop: shop.cancel_order(MERCHANT, order.person, order.order))

    @rule(n=st.integers(0, 30))
    def refund(self, n: int) -> None:
        if self.orders:
            order = self.orders[n % len(self.orders)].order
            self.do(lambda shop: shop.aftersale.refund(MERCHANT, "boss", order, self.key(), reason="asked"))

    @rule(n=st.integers(0, 30), code=st.booleans())
    def hand_over(self, n: int, code: bool) -> None:
        if self.orders:
            delivery = self.now(n % len(self.orders)).delivery or {}
            said = str(delivery.get("code", "")) if code else "xxxxxx"
            given = self.do(lambda shop: shop.stations.hand_over(MERCHANT, self.station, said, "leader"))
            assert code or given == "bad_code"

    @rule(person=people, units=st.integers(1, 2), back=st.booleans())
    def use_a_pass(self, person: str, units: int, back: bool) -> None:
        mine = self.do(lambda shop: shop.passes.of_person(MERCHANT, person))
        if not mine:
            return
        card, key = mine[0], self.key()
        if back:
            self.do(lambda shop: shop.passes.refund(MERCHANT, "boss", card.card, key, ""))
            return
        done = self.do(lambda shop: shop.passes.use(MERCHANT, "till", card.code, units, "", key))
        if isinstance(done, PassView):
            self.used[card.card] = self.used.get(card.card, 0) + units
            assert done.left == USES - self.used[card.card]

    @rule(hours=st.sampled_from([1, 13, 49]))
    def wait(self, hours: int) -> None:
        self.clock.advance(hours * 3_600_000)
        for _ in range(2):
            self.do(lambda shop: shop.sweep())
        for n, order in enumerate(self.orders):
            view = self.now(n)
            if view.presale is None or order.order == view.presale.deposit_order or view.status != "cancelled":
                continue
            deposit = self.do(lambda shop, id=view.presale.deposit_order: shop.order(MERCHANT, id))
            assert view.presale.ended is not None
            assert view.presale.missed == "keep" or deposit.status == "refunded"

    @invariant()
    def the_books_are_right(self) -> None:
        broken = self.run(self.stores[0].read(lambda db: findings(db, self.clock())))
        assert not broken, broken


def _people(connection: Any) -> None:
    for person in (*PEOPLE, "leader"):
        connection.exec_driver_sql(f"INSERT INTO person VALUES ('{person}', '{MERCHANT}', '{person}', 1)")


TestOrdersMachine = OrdersMachine.TestCase
TestOrdersMachine.settings = settings(
    max_examples=2, stateful_step_count=15, deadline=None, derandomize=False, suppress_health_check=QUIET
)


@pytest.mark.parametrize(
    ("examples", "steps"), [(1, 12), pytest.param(100, 40, marks=pytest.mark.soak)], ids=["short", "long"]
)
def test_orders_of_every_kind_on_two_processes_keep_the_books_right(
    cluster: Cluster, examples: int, steps: int
) -> None:
    limits = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=QUIET)
    run_state_machine_as_test(on_postgres(OrdersMachine, cluster), settings=limits)


@pytest.mark.soak
def test_a_hundred_months_of_orders_keep_the_books_right() -> None:
    limits = settings(max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=QUIET)
    run_state_machine_as_test(OrdersMachine, settings=limits)
