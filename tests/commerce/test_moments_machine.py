"""Random shows against the real ledger: draws, lines and groups in any order, the audit clean after each step.

What the audit cannot know is held against a plain model: who may win, whose turn it is, and that money and units of a
group that failed are back.
"""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from commerce.domain.sale import SaleMode, SaleTerms
from commerce.events import HoldGiven
from commerce.ledger_moments import Entered, Seated
from commerce.moments import Offer
from tests.commerce.loop_machine import LoopMachine, on_postgres
from tests.commerce.quick_checks import findings
from tests.commerce.shop_world import MERCHANT, ROOM, SKU
from tests.commerce.test_ledger_machine import QUIET
from tests.postgres import Cluster

STOCK, TOTAL, SIZE, HOLD_S, TEAM_S, ENTER_S = 12, 3, 2, 60, 300, 60
PEOPLE = ("ann", "bo", "cy", "di")
people = st.sampled_from(PEOPLE)


class MomentsMachine(LoopMachine):
    """A sale by draw with its line, a bag, and a lottery group buy, on one SKU."""

    def __init__(self) -> None:
        super().__init__()
        self.steered = False
        # draw → people, in the order of their entries
        self.entered: dict[str, list[str]] = {}
        self.waiting: list[str] = []
        self.seats: list[tuple[str, Seated]] = []
        self.orders: dict[str, tuple[str, str]] = {}

    @initialize()
    def open(self) -> None:
        self.do(lambda shop: shop.stock_up(MERCHANT, SKU, STOCK))
        self.sale = self.started(SaleTerms(SaleMode.DRAW, enter_ms=ENTER_S * 1000), 1)
        terms = SaleTerms(SaleMode.TEAM, team_size=SIZE, team_winners=1, team_ms=TEAM_S * 1000)
        self.offer = self.started(terms, 2)
        self.bag = self.do(lambda shop: shop.moments.open_bag(MERCHANT, ROOM, SKU, 2, ENTER_S, hold_s=HOLD_S))

    def started(self, terms: SaleTerms, per_person: int) -> Any:
        offer = Offer(SKU, 500, 0, TOTAL, per_person, HOLD_S, 3_000, terms)
        sale = self.do(lambda shop: shop.moments.create_sale(MERCHANT, ROOM, offer))
        return self.do(lambda shop: shop.start_sale(MERCHANT, sale.sale, 0))

    @rule(person=people, bag=st.booleans())
    def enter(self, person: str, bag: bool) -> None:
        draw, opened = (self.bag.draw, self.bag.opens) if bag else (self.sale.draw, self.sale.opens)
        entered = self.do(lambda shop: shop.moments.enter(MERCHANT, ROOM, person, draw))
        those = self.entered.setdefault(draw, [])
        if person in those:
            assert isinstance(entered, Entered) and entered.n == those.index(person) + 1
        elif isinstance(entered, Entered):
            # A pause gives the entries of the sale's draw more time.
            assert self.clock() < opened + ENTER_S * 1000 or (self.steered and not bag)
            assert entered.n == len(those) + 1
            those.append(person)
        else:
            assert entered == "closed"
            assert self.clock() >= opened + ENTER_S * 1000 or (self.steered and not bag)

    @rule(person=people)
    def rush(self, person: str) -> None:
        held = self.do(lambda shop: shop.hold(MERCHANT, ROOM, person, self.sale.sale, 1, self.key()))
        assert self.do(lambda shop: shop.hold(MERCHANT, ROOM, person, self.offer.sale, 1, self.key())) in (
            "by_team",
            "closed",
        )
        view = self.do(lambda shop: shop.sale(self.sale.sale))
        if view.state == "entering":
            assert held == "by_draw"

    @rule(person=people, leave=st.booleans())
    def wait(self, person: str, leave: bool) -> None:
        if leave:
            self.do(lambda shop: shop.moments.leave_waiting(MERCHANT, person, self.sale.sale))
        else:
            self.do(lambda shop: shop.moments.wait(MERCHANT, ROOM, person, self.sale.sale))

    @rule(person=people, new=st.booleans(), data=st.data())
    def join(self, person: str, new: bool, data: st.DataObject) -> None:
        teams = sorted({seat.team for _, seat in self.seats})
        team = None if new or not teams else data.draw(st.sampled_from(teams))
        seat = self.do(lambda shop: shop.moments.join_team(MERCHANT, ROOM, person, self.offer.sale, team, self.key()))
        if isinstance(seat, Seated):
            self.seats.append((person, seat))

    @rule(data=st.data(), pay=st.booleans(), cancel=st.booleans())
    def order(self, data: st.DataObject, pay: bool, cancel: bool) -> None:
        given = [(event.person, event.hold) for event in self.events if isinstance(event, HoldGiven)]
        holds = [*((person, seat.hold) for person, seat in self.seats), *given]
        fresh = [one for one in holds if one[1] not in self.orders]
        if not fresh:
            return
        person, hold = data.draw(st.sampled_from(fresh))
        made = self.do(lambda shop: shop.create_order(MERCHANT, ROOM, person, self.key(), hold=hold))
        if isinstance(made, str):
            assert made in ("gone", "already")
            return
        self.orders[hold] = (person, made.order)
        if pay:
            assert self.do(lambda shop: shop.pay_order(MERCHANT, person, made.order, self.key())).status == "paid"
        elif cancel:
            self.do(lambda shop: shop.cancel_order(MERCHANT, person, made.order))

    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        if self.orders:
            _, order = data.draw(st.sampled_from(sorted(self.orders.values())))
            refunds = {"stock": "sellable", "reason": "asked"}
            self.do(lambda shop: shop.aftersale.refund(MERCHANT, "staff", order, self.key(), **refunds))

    @rule(verb=st.sampled_from(["pause_sale", "resume_sale", "close_sale"]))
    def steer(self, verb: str) -> None:
        self.steered = True
        self.do(lambda shop: getattr(shop, verb)(MERCHANT, self.sale.sale))

    @rule()
    def reopen(self) -> None:
        self.do(lambda shop: shop.moments.reopen(MERCHANT, self.sale.sale, 600))

    @rule(seconds=st.sampled_from([1, 30, 60, 300, 900]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds * 1000)
        for _ in range(3):
            swept = self.do(lambda shop: shop.sweep())
            for unsettled in swept.unsettled:
                self.do(lambda shop, due=unsettled: shop._resolve(due))

    @invariant()
    def the_books_are_right(self) -> None:
        if not hasattr(self, "bag"):
            return
        broken = self.loop.run_until_complete(self.stores[0].read(lambda db: findings(db, self.clock())))
        assert not broken, broken

    @invariant()
    def only_who_entered_has_won_and_groups_that_failed_kept_nothing(self) -> None:
        if not hasattr(self, "bag"):
            return

        def read(connection: Any) -> tuple[list[Any], list[Any]]:
            won = connection.exec_driver_sql("SELECT draw, person FROM draw_entry WHERE place IS NOT NULL").all()
            kept = connection.exec_driver_sql(
                "SELECT o.status FROM seat AS s JOIN team AS t ON t.id = s.team JOIN orders AS o ON o.id = s.order_id"
                " WHERE t.state = 'failed'"
            ).all()
            return won, kept

        won, kept = self.loop.run_until_complete(self.stores[0].read(read))
        for row in won:
            if row.draw in self.entered:
                assert row.person in self.entered[row.draw]
        assert {row.status for row in kept} <= {"refunded", "cancelled"}


TestMomentsMachine = MomentsMachine.TestCase
TestMomentsMachine.settings = settings(
    max_examples=4, stateful_step_count=20, deadline=None, derandomize=False, suppress_health_check=QUIET
)


@pytest.mark.parametrize(
    ("examples", "steps"), [(1, 15), pytest.param(100, 40, marks=pytest.mark.soak)], ids=["short", "long"]
)
def test_shows_on_two_processes_keep_the_books_right(cluster: Cluster, examples: int, steps: int) -> None:
    limits = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=QUIET)
    run_state_machine_as_test(on_postgres(MomentsMachine, cluster), settings=limits)


@pytest.mark.soak
def test_a_hundred_shows_keep_the_books_right() -> None:
    limits = settings(max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=QUIET)
    run_state_machine_as_test(MomentsMachine, settings=limits)
