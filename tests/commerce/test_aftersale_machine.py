"""Random requests after the sale against the real ledger, beside a model of their states and money.

The model is the table of domain/aftersale.py and the rule of deadlines; after each step the audit is clean, each
request is in the model's state, and no order gave back more than was paid.
"""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from commerce.audit_sql import audit_all
from commerce.domain.aftersale import BY_CLOCK, OPEN, Counted, Kind, Move, State, state_after
from commerce.events import AfterSaleView, OrderView
from commerce.replay_sql import REPLAYS, replay_one
from tests.commerce.loop_machine import LoopMachine, on_postgres
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU
from tests.commerce.test_ledger_machine import QUIET
from tests.postgres import Cluster

REASONS = {"refund": ("mind", "missing"), "return": ("no_reason", "faulty")}
picks = st.integers(0, 30)
kinds = st.sampled_from(tuple(Kind))


@dataclass(frozen=True)
class Known:
    """What the model knows of a request."""

    kind: Kind
    state: State
    keeps: bool = False


class AfterSaleMachine(LoopMachine):
    """Orders of two SKUs at 9,900 and 2,000; whatever can be asked and answered, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[OrderView] = []
        self.known: dict[str, Known] = {}
        self.views: dict[str, AfterSaleView] = {}

    @initialize()
    def open(self) -> None:
        for sku in (SKU, OTHER_SKU):
            self.do(lambda shop, sku=sku: shop.stock_up(MERCHANT, sku, 30))

    @rule(units=st.integers(1, 3))
    def buy(self, units: int) -> None:
        lines = [(SKU, units), (OTHER_SKU, 1)]
        made = self.do(lambda shop: shop.create_order(MERCHANT, ROOM, "ann", self.key(), lines=lines))
        if isinstance(made, OrderView):
            self.orders.append(self.do(lambda shop: shop.pay_order(MERCHANT, "ann", made.order, self.key())))

    @rule(
        n=picks, kind=st.sampled_from(tuple(Kind)), which=st.integers(0, 1), units=st.integers(1, 3), less=st.booleans()
    )
    def ask(self, n: int, kind: Kind, which: int, units: int, less: bool) -> None:
        if not self.orders:
            return
        order = self.orders[n % len(self.orders)].order
        lines, amount = [((SKU, OTHER_SKU)[which], units)], 777 if less else None
        asked = (MERCHANT, "ann", order, self.key(), str(kind), REASONS[kind][which], lines)
        view = self.do(lambda shop: shop.requests.ask(*asked, amount=amount))
        if isinstance(view, AfterSaleView):
            self.known[view.request], self.views[view.request] = Known(kind, State.ASKED), view

    def step(self, n: int, move: Move, call: Any) -> None:
        """Take a step with the n-th request: it succeeds if the table says so, and leads where that says."""
        if not self.known:
            return
        request = sorted(self.known)[n % len(self.known)]
        known = self.known[request]
        after = state_after(known.kind, known.state, move, keeps=known.keeps)
        view = self.do(lambda shop: call(shop, request))
        if after is None:
            assert isinstance(view, str) or known.state == view.state == State.WITHDRAWN
        elif isinstance(view, AfterSaleView):
            assert view.state == after, (known, move)
            keeps = view.keeps if after is State.OFFERED else False
            self.known[request], self.views[request] = Known(known.kind, after, keeps), view
        self.look_again()

    @rule(n=picks)
    def approve(self, n: int) -> None:
        self.step(n, Move.APPROVE, lambda shop, id: shop.requests.approve(MERCHANT, "boss", id))

    @rule(n=picks)
    def refuse(self, n: int) -> None:
        self.step(n, Move.REFUSE, lambda shop, id: shop.requests.refuse(MERCHANT, "boss", id, "no"))

    @rule(n=picks, keeps=st.booleans(), amount=st.integers(1, 2_500))
    def offer(self, n: int, keeps: bool, amount: int) -> None:
        def call(shop: Any, id: str) -> Any:
            kept = keeps or self.known[id].kind is Kind.REFUND
            return shop.requests.offer(MERCHANT, "boss", id, amount, keeps=kept)

        self.step(n, Move.OFFER, call)

    @rule(n=picks)
    def take(self, n: int) -> None:
        offer = {id: view.offer or 1 for id, view in self.views.items()}
        self.step(n, Move.TAKE, lambda shop, id: shop.requests.take(MERCHANT, "ann", id, offer[id]))

    @rule(n=picks)
    def leave(self, n: int) -> None:
        self.step(n, Move.LEAVE, lambda shop, id: shop.requests.leave(MERCHANT, "ann", id))

    @rule(n=picks)
    def withdraw(self, n: int) -> None:
        self.step(n, Move.WITHDRAW, lambda shop, id: shop.requests.withdraw(MERCHANT, "ann", id))

    @rule(n=picks)
    def send(self, n: int) -> None:
        self.step(n, Move.SEND, lambda shop, id: shop.requests.send(MERCHANT, "ann", id, "SF", "1"))

    @rule(n=picks, sellable=st.integers(0, 3), aside=st.integers(0, 3))
    def receive(self, n: int, sellable: int, aside: int) -> None:
        def call(shop: Any, id: str) -> Any:
            [line] = self.views[id].lines
            good = min(sellable, line.quantity)
            # At least one: of none at all the shop says no.
            rest = max(min(aside, line.quantity - good), int(good == 0))
            return shop.requests.receive(MERCHANT, "boss", id, [Counted(line.sku, good, rest)])

        self.step(n, Move.RECEIVE, call)

    @rule(n=picks)
    def ship(self, n: int) -> None:
        if self.orders:
            order = self.orders[n % len(self.orders)].order
            self.do(lambda shop: shop.aftersale.ship(MERCHANT, order, "SF", "1"))
            self.look_again()

    @rule(n=picks)
    def arrive(self, n: int) -> None:
        if self.orders:
            order = self.orders[n % len(self.orders)].order
            self.do(lambda shop: shop.aftersale.finish(MERCHANT, order, "ann"))

    @rule(n=picks, units=st.integers(1, 2))
    def refund_by_hand(self, n: int, units: int) -> None:
        if self.orders:
            order, lines = self.orders[n % len(self.orders)].order, [(SKU, units)]
            self.do(lambda shop: shop.aftersale.refund(MERCHANT, "boss", order, self.key(), lines=lines, stock="none"))
            self.look_again()

    @rule(hours=st.sampled_from([1, 25, 73, 200]))
    def wait(self, hours: int) -> None:
        self.clock.advance(hours * 3_600_000)
        self.do(lambda shop: shop.sweep())
        self.look_again(waited=True)

    def look_again(self, *, waited: bool = False) -> None:
        """What others moved: only an open request moves, by overtaking, or (after a wait) as the clock may move it."""
        for id, known in self.known.items():
            view = self.do(lambda shop, id=id: shop.requests.one(MERCHANT, id))
            state, now_ms = State(view.state), self.clock()
            if state is not known.state:
                may = {state_after(known.kind, known.state, Move.OVERTAKE)}
                if waited:
                    may.add(state_after(known.kind, known.state, BY_CLOCK[known.state]))
                assert known.state in OPEN and state in may and view.why, (known, view)
                self.known[id] = replace(known, state=state, keeps=False)
            assert view.due is None or not waited or view.due > now_ms
            self.views[id] = view

    @invariant()
    def nothing_gives_back_more_than_was_paid(self) -> None:
        now_ms = self.clock()

        def look(connection: Any) -> list[Any]:
            return audit_all(connection, now_ms) + [replay_one(connection, one) for one in REPLAYS]

        found = self.loop.run_until_complete(self.stores[0].read(look))
        assert not (broken := [finding for finding in found if not finding.ok]), broken
        for order in self.orders:
            given = [view.refunded for view in self.views.values() if view.order == order.order]
            assert sum(given) <= order.amount


TestAfterSaleMachine = AfterSaleMachine.TestCase
TestAfterSaleMachine.settings = settings(
    max_examples=2, stateful_step_count=15, deadline=None, derandomize=False, suppress_health_check=QUIET
)


@pytest.mark.soak
def test_hundreds_of_months_of_requests_keep_the_books_right() -> None:
    limits = settings(max_examples=150, stateful_step_count=50, deadline=None, suppress_health_check=QUIET)
    run_state_machine_as_test(AfterSaleMachine, settings=limits)


@pytest.mark.soak
def test_requests_on_two_processes_of_one_database_keep_the_books_right(cluster: Cluster) -> None:
    limits = settings(max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=QUIET)
    run_state_machine_as_test(on_postgres(AfterSaleMachine, cluster), settings=limits)
