"""Random wallets against a plain model: points that wait, are good and expire, oldest first; stored value; merges.

The model knows the rules and no more: lots by the date on which they end, principal and bonus, what each order holds
and has spent. After every step each wallet is what it says; at the end every balance is rebuilt from its entries.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from commerce.domain.day import DAY_MS, day_of
from commerce.domain.member import Program
from commerce.events import OrderView
from commerce.identity.join import MergePeople
from commerce.ledger import ORDER_HOLD_MS
from tests.commerce.loop_machine import LoopMachine, on_postgres
from tests.commerce.quick_checks import findings
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM
from tests.commerce.test_ledger_machine import QUIET
from tests.postgres import Cluster

PEOPLE = ("ann", "bo", "cy", "di")
WINDOW_DAYS, VALID_DAYS, RETURNED_DAYS, SIGN_IN, STORED_MOST = 7, 20, 30, (5, 10, 20), 50_000
CARD, CARD_BONUS, GOODS = 10_000, 2_000, 2_000
people = st.sampled_from(PEOPLE)


@dataclass(eq=False)
class Lot:
    """Points of one giving; ``ready`` is when they are good, ``ends`` until when."""

    left: int
    granted: int
    order: str = ""
    state: str = "pending"
    ready: int | None = None
    ends: int = 0


@dataclass
class Wallet:
    """What one person has."""

    lots: list[Lot] = field(default_factory=list)
    owed: int = 0
    principal: int = 0
    bonus: int = 0
    days: set[str] = field(default_factory=set)

    def usable(self, now: int) -> list[Lot]:
        """Lots to spend from, what ends first before the rest."""
        there = [lot for lot in self.lots if lot.state == "ready" and lot.left and lot.ends > now]
        return sorted(there, key=lambda lot: (lot.ends, self.lots.index(lot)))

    def sum_of(self, state: str) -> int:
        return sum(lot.left for lot in self.lots if lot.state == state)

    def give(self, points: int, ends: int) -> None:
        """Points that are good at once; what is owed is paid from them first."""
        if points:
            lot = Lot(points, points, state="ready", ends=ends)
            self.lots.append(lot)
            self.repay(lot)

    def repay(self, lot: Lot) -> None:
        paid = min(lot.left, self.owed)
        lot.left -= paid
        self.owed -= paid

    def take(self, points: int, now: int) -> list[tuple[Lot, int]]:
        """Spend, oldest first."""
        taken = []
        for lot in self.usable(now):
            units = min(points, lot.left)
            lot.left -= units
            points -= units
            taken.append((lot, units))
            if not points:
                break
        return taken


@dataclass
class Order:
    """An order: of a card (``card``) or of goods."""

    name: str
    person: str
    amount: int
    points: int
    stored: int
    bonus: int
    card: bool
    due: int
    used: list[tuple[Lot, int]]
    status: str = "pending"
    refunded: int = 0

    def back(self, refunded: int) -> tuple[int, int, int]:
        """Stored value, bonus of it and points that are back when so much is: each rounded down."""
        stored = self.stored * refunded // self.amount
        bonus = self.bonus * stored // self.stored if self.stored else 0
        return stored, bonus, self.points * refunded // self.amount


class WalletMachine(LoopMachine):
    """Top up, spend, cancel, refund in part and whole, sign in, wait, merge."""

    def __init__(self) -> None:
        super().__init__()
        self.wallets = {name: Wallet() for name in PEOPLE}
        self.who = {name: name for name in PEOPLE}
        self.orders: list[Order] = []
        # The order in which lots came, of all persons.
        self.given: dict[Lot, int] = {}

    @initialize()
    def open(self) -> None:
        def rows(db: Any) -> None:
            db.exec_driver_sql(f"INSERT INTO product VALUES ('pc', '{MERCHANT}', 'card', '', '', true, 0, '')")
            db.exec_driver_sql(
                "INSERT INTO sku (id, product, merchant, name, price, list_price, version, kind, bonus)"
                f" VALUES ('card', 'pc', '{MERCHANT}', '', {CARD}, {CARD}, 1, 'stored', {CARD_BONUS})"
            )
            for n, name in enumerate(PEOPLE):
                db.exec_driver_sql(f"INSERT INTO person VALUES ('{name}', '{MERCHANT}', '', {n})")

        self.loop.run_until_complete(self.stores[0].write(rows))
        program = Program(1, WINDOW_DAYS, VALID_DAYS, sign_in=SIGN_IN, stored_most=STORED_MOST)
        self.do(lambda shop: shop.members.set_program(MERCHANT, "boss", program))
        for sku in ("card", OTHER_SKU):
            self.do(lambda shop, sku=sku: shop.stock_up(MERCHANT, sku, 1_000))

    def wallet(self, person: str) -> Wallet:
        return self.wallets[self.who[person]]

    def tick(self) -> int:
        """No two steps are of one moment: lots of one end by the order in which they came."""
        self.clock.advance(1)
        return self.clock()

    # --- orders --------------------------------------------------------------------------------------------------

    @rule(person=people, pay=st.booleans())
    def top_up(self, person: str, pay: bool) -> None:
        now, mine = self.tick(), self.wallet(person)
        made = self.order_of(person, "card", 1)
        cards = [one for one in self.orders if one.card and one.person == self.who[person]]
        ordered = [one for one in cards if one.status == "pending"]
        if mine.principal + mine.bonus + (1 + len(ordered)) * (CARD + CARD_BONUS) > STORED_MOST:
            assert made == "limit"
            return
        assert (made.amount, made.due) == (CARD, CARD)
        order = Order(made.order, self.who[person], CARD, 0, 0, CARD_BONUS, True, now + ORDER_HOLD_MS, [])
        self.orders.append(order)
        if pay:
            self.pay(len(self.orders) - 1)

    @rule(
        person=people,
        units=st.integers(1, 3),
        points=st.integers(0, 60),
        stored=st.integers(0, 9_000),
        pay=st.booleans(),
    )
    def buy(self, person: str, units: int, points: int, stored: int, pay: bool) -> None:
        now, mine, goods = self.tick(), self.wallet(person), units * GOODS
        made = self.order_of(person, OTHER_SKU, units, points=points, stored=stored)
        spent = min(points, goods // 2)
        if (
            points > mine.sum_of("ready")
            or stored > mine.principal + mine.bonus
            or spent > sum(lot.left for lot in mine.usable(now))
        ):
            assert made == "insufficient"
            return
        paid = min(stored, goods - spent)
        assert (made.amount, made.points, made.stored) == (goods - spent, spent, paid)
        # In the ratio in which they are there, to the cent: whichever way that cent goes.
        bonus = self.bonus_of(made.order)
        have = mine.principal + mine.bonus
        assert abs(bonus * have - paid * mine.bonus) <= have
        used = mine.take(spent, now)
        mine.bonus -= bonus
        mine.principal -= paid - bonus
        due = now + ORDER_HOLD_MS
        self.orders.append(Order(made.order, self.who[person], made.amount, spent, paid, bonus, False, due, used))
        if pay:
            self.pay(len(self.orders) - 1)

    def order_of(self, person: str, sku: str, units: int, **more: int) -> Any:
        key = self.key()
        return self.do(lambda shop: shop.create_order(MERCHANT, ROOM, person, key, lines=[(sku, units)], **more))

    def bonus_of(self, order: str) -> int:
        def read(db: Any) -> int:
            return int(db.exec_driver_sql(f"SELECT bonus FROM orders WHERE id = '{order}'").scalar_one())

        return int(self.loop.run_until_complete(self.stores[0].read(read)))

    @rule(n=st.integers(0, 40))
    def pay(self, n: int) -> None:
        if not self.orders:
            return
        order = self.orders[n % len(self.orders)]
        now, key = self.tick(), self.key()
        answer = self.do(lambda shop: shop.pay_order(MERCHANT, order.person, order.name, key))
        if order.status == "cancelled":
            assert answer == "gone"
        elif order.status == "pending" and order.due <= now:
            assert answer == "expired"
        elif order.status == "pending":
            assert isinstance(answer, OrderView) and answer.status == "paid"
            order.status = "paid"
            mine = self.wallets[order.person]
            if order.card:
                mine.principal += CARD
                mine.bonus += CARD_BONUS
            elif points := (order.amount - order.bonus) // 100:
                mine.lots.append(Lot(points, points, order.name))

    @rule(n=st.integers(0, 40))
    def cancel(self, n: int) -> None:
        if not self.orders:
            return
        order = self.orders[n % len(self.orders)]
        self.tick()
        answer = self.do(lambda shop: shop.cancel_order(MERCHANT, order.person, order.name))
        if order.status in ("pending", "cancelled"):
            assert answer.status == "cancelled"
            self.end(order)
        else:
            assert answer == "already"

    def end(self, order: Order) -> None:
        """What an unpaid order held is back where it was."""
        if order.status != "pending":
            return
        order.status = "cancelled"
        mine = self.wallets[order.person]
        for lot, units in order.used:
            lot.left += units
            lot.state = "ready"
        if not order.card:
            mine.bonus += order.bonus
            mine.principal += order.stored - order.bonus

    @rule(n=st.integers(0, 40))
    def arrives(self, n: int) -> None:
        if not self.orders:
            return
        order = self.orders[n % len(self.orders)]
        now = self.tick()
        self.do(lambda shop: shop.aftersale.ship(MERCHANT, order.name, "SF", "1"))
        done = self.do(lambda shop: shop.aftersale.finish(MERCHANT, order.name))
        assert isinstance(done, OrderView) or done in ("not_open", "already")
        if isinstance(done, OrderView):
            for lot in self.wallets[order.person].lots:
                if lot.order == order.name and lot.state == "pending" and lot.ready is None:
                    lot.ready = now + WINDOW_DAYS * DAY_MS

    @rule(n=st.integers(0, 40), part=st.none() | st.integers(1, 6_000))
    def refund(self, n: int, part: int | None) -> None:
        if not self.orders:
            return
        order = self.orders[n % len(self.orders)]
        now, key = self.tick(), self.key()
        left = order.amount - order.refunded
        answer = self.do(lambda shop: shop.aftersale.refund(MERCHANT, "boss", order.name, key, amount=part))
        amount = left if part is None else part
        mine = self.wallets[order.person]
        if order.status != "paid":
            assert answer == "not_open"
        elif not left and part is None:
            assert answer == "already"
        elif amount > left:
            assert answer in ("over_refund", "already")
        elif order.card and not self.can_unbuy(order, amount):
            assert answer == "insufficient"
        elif order.card:
            bonus = self.unbought(order, amount)
            mine.principal -= amount
            mine.bonus -= bonus
            order.refunded += amount
        else:
            self.give_back(order, amount, answer, now)

    def unbought(self, order: Order, amount: int) -> int:
        return CARD_BONUS * (order.refunded + amount) // CARD - CARD_BONUS * order.refunded // CARD

    def can_unbuy(self, order: Order, amount: int) -> bool:
        mine = self.wallets[order.person]
        return mine.principal >= amount and mine.bonus >= self.unbought(order, amount)

    def give_back(self, order: Order, amount: int, answer: Any, now: int) -> None:
        before, after = order.back(order.refunded), order.back(order.refunded + amount)
        stored, bonus, points = (new - old for new, old in zip(after, before, strict=True))
        assert (answer.amount, answer.stored, answer.points) == (amount, stored, points)
        mine = self.wallets[order.person]
        mine.bonus += bonus
        mine.principal += stored - bonus
        mine.give(points, max([now + RETURNED_DAYS * DAY_MS, *(lot.ends for lot, _ in order.used)]))
        own = next((lot for lot in mine.lots if lot.order == order.name), None)
        if own is not None:
            kept_before = own.granted * (order.amount - order.refunded) // order.amount
            kept_after = own.granted * (order.amount - order.refunded - amount) // order.amount
            rest = kept_before - kept_after
            here = min(rest, own.left)
            own.left -= here
            rest -= here
            mine.owed += rest - sum(units for _, units in mine.take(rest, now)) if rest else 0
        order.refunded += amount

    # --- days, people --------------------------------------------------------------------------------------------

    @rule(person=people)
    def sign_in(self, person: str) -> None:
        now, mine = self.tick(), self.wallet(person)
        signed = self.do(lambda shop: shop.members.sign_in(MERCHANT, person))
        today = day_of(now)
        assert signed.fresh is (today not in mine.days) and signed.points in SIGN_IN
        if signed.fresh:
            mine.days.add(today)
            mine.give(signed.points, now + VALID_DAYS * DAY_MS)

    @rule(hours=st.sampled_from([1, 25, 24 * 8, 24 * 15]))
    def time_passes(self, hours: int) -> None:
        self.clock.advance(hours * 3_600_000)
        for _ in range(2):
            self.do(lambda shop: shop.sweep())
        now = self.clock()
        for order in self.orders:
            if order.due <= now:
                self.end(order)
        for mine in self.wallets.values():
            due = [lot for lot in mine.lots if lot.state == "pending" and lot.ready is not None and lot.ready <= now]
            for lot in sorted(due, key=lambda lot: lot.ready or 0):
                lot.state, lot.ends = "ready", now + VALID_DAYS * DAY_MS
                mine.repay(lot)
            for lot in mine.lots:
                if lot.state == "ready" and lot.ends <= now:
                    lot.state, lot.left = "ended", 0

    @rule(one=people, other=people)
    def merge(self, one: str, other: str) -> None:
        self.tick()
        elder, younger = sorted((self.who[one], self.who[other]), key=PEOPLE.index)
        command = MergePeople(MERCHANT, one, other, "boss", "one person")

        async def merge(shop: Any) -> Any:
            joined = await shop.ledger.submit(command)
            for process in self.shops:
                process.aliases.learn(joined.aliases)
            return joined

        done = self.do(merge)
        if elder == younger:
            assert done == "already"
            return
        assert done.person == elder
        kept, gone = self.wallets[elder], self.wallets.pop(younger)
        self.who = {name: elder if person == younger else person for name, person in self.who.items()}
        kept.lots = sorted([*kept.lots, *gone.lots], key=lambda lot: self.given[lot])
        kept.owed += gone.owed
        kept.principal += gone.principal
        kept.bonus += gone.bonus
        kept.days |= gone.days
        for order in self.orders:
            if order.person == younger:
                order.person = elder

    # --- what must hold ------------------------------------------------------------------------------------------

    @invariant()
    def every_wallet_is_what_the_model_says(self) -> None:
        for mine in self.wallets.values():
            for lot in mine.lots:
                self.given.setdefault(lot, len(self.given))
        for person, mine in self.wallets.items():
            has = self.do(lambda shop, person=person: shop.members.member(MERCHANT, person))
            told = (has.points, has.points_pending, has.points_owed, has.principal, has.bonus)
            assert told == (mine.sum_of("ready"), mine.sum_of("pending"), mine.owed, mine.principal, mine.bonus), person

    @invariant()
    def the_books_are_right(self) -> None:
        broken = self.loop.run_until_complete(self.stores[0].read(lambda db: findings(db, self.clock())))
        assert not broken, broken


TestWalletMachine = WalletMachine.TestCase
TestWalletMachine.settings = settings(
    max_examples=3, stateful_step_count=20, deadline=None, derandomize=False, suppress_health_check=QUIET
)


@pytest.mark.parametrize(
    ("examples", "steps"), [(1, 12), pytest.param(100, 40, marks=pytest.mark.soak)], ids=["short", "long"]
)
def test_wallets_on_two_processes_are_what_the_model_says(cluster: Cluster, examples: int, steps: int) -> None:
    limits = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=QUIET)
    run_state_machine_as_test(on_postgres(WalletMachine, cluster), settings=limits)


@pytest.mark.soak
def test_two_hundred_years_of_wallets_are_what_the_model_says() -> None:
    limits = settings(max_examples=200, stateful_step_count=50, deadline=None, suppress_health_check=QUIET)
    run_state_machine_as_test(WalletMachine, settings=limits)
