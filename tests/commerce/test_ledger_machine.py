"""Random commands against the real ledger and a plain model in step; the audit is clean after each."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from commerce.errors import CommerceError
from commerce.payment_sandbox import SandboxProvider
from commerce.shop import Shop
from commerce.store_sql import Store, migrate, open_store
from tests.commerce.quick_checks import findings
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU, ManualClock, seed_catalogue
from tests.postgres import Cluster

TOTAL, PER_PERSON, HOLD_S, PRICE, COUPON = 6, 3, 60, 500, 120
PEOPLE = ("ann", "bo", "cy")
people = st.sampled_from(PEOPLE)


@dataclass
class ModelHold:
    person: str
    quantity: int
    expires_ms: int
    sale: bool
    state: str = "held"
    order: str | None = None


@dataclass
class ModelOrder:
    person: str
    holds: list[str]
    coupon: str | None
    expires_ms: int
    status: str = "pending"
    payment: str | None = None
    amount: int = 0
    refunded: int = 0
    returned: int = 0
    units: int = 0
    goods: str = "open"

    @property
    def settled(self) -> bool:
        return self.status not in ("pending", "cancelled")


@dataclass
class Model:
    """What the shop should be, by the rules and nothing else."""

    free: int = TOTAL
    shelf: int = 4
    holds: dict[str, ModelHold] = field(default_factory=dict)
    orders: dict[str, ModelOrder] = field(default_factory=dict)
    coupons: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)

    def used(self, person: str) -> int:
        return sum(
            h.quantity for h in self.holds.values() if h.person == person and h.sale and h.state in ("held", "sold")
        )

    def end(self, hold: ModelHold, state: str) -> None:
        hold.state = state
        if hold.sale:
            self.free += hold.quantity
        else:
            self.shelf += hold.quantity

    def cancel(self, order: ModelOrder, state: str) -> None:
        order.status = "cancelled"
        for name in order.holds:
            if self.holds[name].state == "held":
                self.end(self.holds[name], state)
        if order.coupon is not None:
            self.coupons[order.coupon] = "unused"

    def expire(self, now_ms: int) -> None:
        for hold in self.holds.values():
            if hold.state == "held" and hold.expires_ms <= now_ms and hold.order is None:
                self.end(hold, "expired")
        for order in self.orders.values():
            if order.status == "pending" and order.expires_ms <= now_ms:
                self.cancel(order, "expired")


_template: list[Path] = []


def template() -> Path:
    """A migrated, seeded database, made once and copied for each example."""
    if not _template:
        folder = Path(tempfile.mkdtemp(prefix="shop-machine-"))
        migrate(folder / "shop.db")
        store = open_store(folder)
        with store.writer.begin() as connection:
            seed_catalogue(connection)
            connection.exec_driver_sql("PRAGMA user_version = 1")
        store.close()
        _template.append(folder)
    return _template[0]


class ShopMachine(RuleBasedStateMachine):
    """Stock, holds, orders, payments, coupons and time."""

    def __init__(self) -> None:
        super().__init__()
        where = self.make()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.provider = SandboxProvider(b"s", clock=self.clock, hold_back=True, deliveries=0, mute_refunds=True)
        # Power loss is the trace test's matter; without syncs the machine takes more steps.
        self.stores: list[Store] = [open_store(where, synchronous="OFF") for _ in range(self.processes)]
        self.store = self.stores[0]
        self.shops = [Shop(store, clock=self.clock, provider=self.provider, sweep_s=0) for store in self.stores]
        for shop in self.shops:
            self.loop.run_until_complete(shop.start(self.loop))
        self.model = Model()
        self.keys = 0
        self.calls = 0

    processes = 1

    def make(self) -> Path | str:
        """A seeded database of this example's own."""
        self.folder = Path(tempfile.mkdtemp(prefix="shop-machine-"))
        shutil.copyfile(template() / "shop.db", self.folder / "shop.db")
        return self.folder

    @property
    def shop(self) -> Shop:
        """The next process in turn; what it was told by sold-out hints has lapsed, as another may have freed units."""
        self.calls += 1
        shop = self.shops[self.calls % len(self.shops)]
        if len(self.shops) > 1:
            shop.ledger._latches.clear()
        return shop

    def call(self, awaitable: Any) -> Any:
        """The result, or the code of the refusal."""

        async def run() -> Any:
            try:
                return await awaitable
            except CommerceError as error:
                return error.code

        return self.loop.run_until_complete(run())

    def do(self, name: str, *arguments: Any, **more: Any) -> Any:
        """Call the facade on the loop (``hold`` needs it running)."""

        async def run() -> Any:
            return await getattr(self.shop, name)(*arguments, **more)

        return self.call(run())

    def key(self) -> str:
        self.keys += 1
        return f"k{self.keys}"

    @initialize()
    def open(self) -> None:
        self.do("stock_up", MERCHANT, SKU, TOTAL)
        self.do("stock_up", MERCHANT, OTHER_SKU, self.model.shelf)
        self.sale = self.do("create_sale", MERCHANT, ROOM, SKU, PRICE, PRICE, TOTAL, PER_PERSON, HOLD_S, 86_400)
        self.do("start_sale", MERCHANT, self.sale.sale, 0)
        self.drop = self.do("start_drop", MERCHANT, ROOM, "t", "r", COUPON, 0, 4, 2, 86_400, 86_400)

    @rule(person=people, quantity=st.integers(1, 3))
    def hold(self, person: str, quantity: int) -> None:
        now = self.clock()
        # The batch reclaims due holds before it decides; orders whose payment is open wait for the sweep.
        self.model.expire(now)
        held = self.do("hold", MERCHANT, ROOM, person, self.sale.sale, quantity, self.key())
        if self.model.used(person) + quantity > PER_PERSON:
            assert held == "limit" or (held == "sold_out" and self.model.free == 0)
        elif quantity > self.model.free:
            assert held == "sold_out"
        else:
            assert held.expires_ms == now + HOLD_S * 1000
            self.model.free -= quantity
            self.model.holds[held.hold] = ModelHold(person, quantity, held.expires_ms, True)

    @rule(person=people)
    def claim(self, person: str) -> None:
        coupon = self.do("claim_coupon", MERCHANT, ROOM, person, self.drop.drop, self.key())
        mine = [name for name, owner in self.model.owners.items() if owner == person]
        if len(mine) >= 2:
            assert coupon in ("limit", "gone")
        elif len(self.model.owners) >= 4:
            assert coupon == "gone"
        else:
            self.model.owners[coupon.coupon] = person
            self.model.coupons[coupon.coupon] = "unused"

    @rule(data=st.data(), person=people, lines=st.integers(0, 2))
    def order(self, data: st.DataObject, person: str, lines: int) -> None:
        mine = [name for name, hold in self.model.holds.items() if hold.person == person and hold.sale]
        hold = data.draw(st.none() | st.sampled_from(mine)) if mine else None
        owned = [name for name, owner in self.model.owners.items() if owner == person]
        coupon = data.draw(st.sampled_from([*owned, None])) if owned else None
        wanted = [(OTHER_SKU, lines, None)] if lines else []
        made = self.do("create_order", MERCHANT, ROOM, person, self.key(), hold=hold, lines=wanted, coupon=coupon)
        now = self.clock()
        chosen = None if hold is None else self.model.holds[hold]
        if chosen is None and not lines:
            assert made == "invalid"
        elif chosen is not None and chosen.order is not None:
            assert made == "already"
        elif chosen is not None and (chosen.state != "held" or chosen.expires_ms <= now):
            assert made == "gone"
        elif lines > self.model.shelf:
            assert made == "sold_out"
        elif coupon is not None and self.model.coupons[coupon] != "unused":
            assert made == "coupon_invalid"
        else:
            self.ordered(made, person, hold, lines, coupon)

    def ordered(self, made: Any, person: str, hold: str | None, lines: int, coupon: str | None) -> None:
        names = []
        if hold is not None:
            self.model.holds[hold].order = made.order
            names.append(hold)
        if lines:
            self.model.shelf -= lines
            name = f"line-{made.order}"
            self.model.holds[name] = ModelHold(person, lines, made.expires, False, order=made.order)
            names.append(name)
        if coupon is not None:
            self.model.coupons[coupon] = "locked"
        units = sum(self.model.holds[name].quantity for name in names)
        self.model.orders[made.order] = ModelOrder(person, names, coupon, made.expires, amount=made.amount, units=units)
        goods = lines * 2_000 + (0 if hold is None else self.model.holds[hold].quantity * PRICE)
        assert made.goods == goods
        assert made.amount == goods - (COUPON if coupon else 0)

    def pick(
        self, data: st.DataObject, likely: Callable[[ModelOrder], bool] = lambda _: True
    ) -> tuple[str, ModelOrder] | None:
        """An order, mostly one that the rule can do something to."""
        if not self.model.orders:
            return None
        names = list(self.model.orders)
        fitting = [name for name in names if likely(self.model.orders[name])]
        name = data.draw(st.sampled_from(fitting or names) | st.sampled_from(names))
        return name, self.model.orders[name]

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        picked = self.pick(data)
        if picked is None:
            return
        name, order = picked
        answer = self.do("cancel_order", MERCHANT, order.person, name)
        if order.settled:
            assert answer == "already"
        else:
            assert answer.status == "cancelled"
            if order.status == "pending":
                self.model.cancel(order, "released")

    @rule(data=st.data())
    def start_paying(self, data: st.DataObject) -> None:
        picked = self.pick(data, lambda order: order.payment is None and order.status == "pending")
        if picked is None:
            return
        self.pay(*picked)

    def pay(self, name: str, order: ModelOrder) -> None:
        answer = self.do("pay_order", MERCHANT, order.person, name, self.key())
        if order.status == "cancelled":
            assert answer == "gone"
        elif order.settled:
            assert answer.status == order.status
        elif order.payment is None and order.expires_ms <= self.clock():
            assert answer == "expired"
        else:
            query = text("SELECT id FROM payment WHERE order_id = :order")
            [row] = self.call(self.store.read(lambda connection: connection.execute(query, {"order": name}).all()))
            order.payment = order.payment or row[0]

    @rule(data=st.data(), times=st.integers(1, 3))
    def money_comes(self, data: st.DataObject, times: int) -> None:
        picked = self.pick(data, lambda order: order.payment is not None and not order.settled)
        if picked is None or picked[1].payment is None:
            return
        self.settle(*picked, times)

    def settle(self, name: str, order: ModelOrder, times: int) -> None:
        view = self.do("order", MERCHANT, name)
        body = {"number": f"t{name}", "kind": "paid", "payment": order.payment, "merchant": MERCHANT}
        message = self.provider.sign(orjson.dumps(body | {"amount": view.amount}))
        effects = [self.do("settle", "sandbox", message.body, message.headers).effect for _ in range(times)]
        assert effects[1:] == ["repeat"] * (times - 1)
        if effects[0] == "repeat":
            assert order.status != "pending"
            return
        can = self.can_retake(order)
        assert effects[0] == (
            "paid" if order.status == "pending" or (order.status == "cancelled" and can) else "refund"
        )
        if effects[0] == "paid":
            self.paid(order)

    @rule(person=people, cancel=st.booleans())
    def a_coupon_is_spent(self, person: str, cancel: bool) -> None:
        unused = [c for c, owner in self.model.owners.items() if owner == person and self.model.coupons[c] == "unused"]
        if not unused or self.model.shelf < 1:
            return
        coupon = unused[0]
        made = self.do("create_order", MERCHANT, ROOM, person, self.key(), lines=[(OTHER_SKU, 1, 1)], coupon=coupon)
        self.ordered(made, person, None, 1, coupon)
        order = self.model.orders[made.order]
        self.pay(made.order, order)
        if cancel:
            self.do("cancel_order", MERCHANT, person, made.order)
            self.model.cancel(order, "released")
        self.settle(made.order, order, 1)

    def can_retake(self, order: ModelOrder) -> bool:
        holds = [self.model.holds[name] for name in order.holds]
        wanted = sum(hold.quantity for hold in holds if hold.sale)
        shelf = sum(hold.quantity for hold in holds if not hold.sale)
        limit = self.model.used(order.person) + wanted <= PER_PERSON if wanted else True
        coupon = order.coupon is None or self.model.coupons[order.coupon] == "unused"
        return limit and wanted <= self.model.free and shelf <= self.model.shelf and coupon

    def paid(self, order: ModelOrder) -> None:
        for name in order.holds:
            hold = self.model.holds[name]
            if hold.state != "held":
                if hold.sale:
                    self.model.free -= hold.quantity
                else:
                    self.model.shelf -= hold.quantity
            hold.state = "sold"
        if order.coupon is not None:
            self.model.coupons[order.coupon] = "used"
        order.status = "paid"
        if order.payment in self.provider._transactions:
            self.provider._transactions[order.payment].state = "paid"

    @rule(
        data=st.data(),
        kind=st.sampled_from(["units", "money", "rest"]),
        units=st.integers(1, 2),
        way=st.sampled_from(["sellable", "quarantine", "none"]),
        told=st.integers(0, 2),
    )
    def refund(self, data: st.DataObject, kind: str, units: int, way: str, told: int) -> None:
        picked = self.pick(data, lambda order: order.settled and order.status != "refunded")
        if picked is None:
            return
        name, order = picked
        asked: dict[str, dict[str, Any]] = {
            "units": {"lines": [(OTHER_SKU, units)], "stock": way},
            "money": {"amount": units * 333},
            "rest": {"stock": way},
        }
        key = self.key()
        answers = [self.call(self.shop.aftersale.refund(MERCHANT, "boss", name, key, **asked[kind])) for _ in range(2)]
        given = answers[0]
        if isinstance(given, str):
            assert given in ("not_open", "already", "over_refund", "not_found")
            assert order.settled or given in ("not_open", "not_found")
            return
        assert order.settled and answers[1].refund == given.refund
        left = order.amount - order.refunded
        assert given.amount == left if kind == "rest" else 0 <= given.amount <= left
        order.refunded += given.amount
        whole = order.refunded == order.amount
        if whole and order.status != "refunded" and order.coupon is not None:
            self.model.coupons[order.coupon] = "unused"
        order.status = "refunded" if whole else "partly_refunded"
        back = {line.sku: line.returned for line in given.lines}
        order.returned += sum(back.values())
        assert order.returned <= order.units
        if way == "sellable":
            self.model.shelf += back.get(OTHER_SKU, 0)
        self.hear_of_refund(given, order, told)

    def hear_of_refund(self, given: Any, order: ModelOrder, times: int) -> None:
        body = {"number": f"r{given.refund}", "kind": "refunded", "payment": order.payment, "merchant": MERCHANT}
        message = self.provider.sign(orjson.dumps(body | {"amount": given.amount, "refund": given.refund}))
        effects = [self.do("settle", "sandbox", message.body, message.headers).effect for _ in range(times)]
        assert effects[1:] == ["repeat"] * (times - 1 if times else 0)

    @rule(data=st.data())
    def ship(self, data: st.DataObject) -> None:
        picked = self.pick(data, lambda order: order.settled and order.goods == "open")
        if picked is None:
            return
        name, order = picked
        sent = self.call(self.shop.aftersale.ship(MERCHANT, name, "carrier", "number"))
        if not order.settled:
            assert sent == "not_open"
        elif order.goods != "open" or order.status == "refunded":
            assert sent == "already"
        elif order.returned == order.units:
            assert sent == "not_open"
        else:
            order.goods = sent.fulfilment
            order.status = "fulfilled" if order.status == "paid" else order.status
            assert sent.status == order.status

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        picked = self.pick(data, lambda order: order.goods == "shipped")
        if picked is None:
            return
        name, order = picked
        done = self.call(self.shop.aftersale.finish(MERCHANT, name, order.person))
        if isinstance(done, str):
            assert done in ("not_open", "already")
            assert order.goods != "shipped" or order.status == "refunded"
        else:
            assert order.goods == "shipped"
            order.goods = "done"
            order.status = "done" if order.status == "fulfilled" else order.status
            assert done.status == order.status

    @rule(seconds=st.sampled_from([1, 30, 60, 120, 900]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds * 1000)
        for _ in range(2):
            swept = self.do("sweep")
            for unsettled in swept.unsettled:
                self.call(self.shop.payments.resolve(unsettled))
        self.model.expire(self.clock())

    @invariant()
    def the_shop_is_what_the_model_says(self) -> None:
        if not hasattr(self, "sale"):
            return

        def read(connection: Any) -> Any:
            broken = findings(connection, self.clock())
            assert not broken, broken
            sale = connection.exec_driver_sql("SELECT free, held, sold FROM sale").one()
            shelf = connection.exec_driver_sql("SELECT free FROM stock WHERE sku = 'k2'").scalar_one()
            orders = {row.id: row.status for row in connection.exec_driver_sql("SELECT id, status FROM orders")}
            coupons = {row.id: row.state for row in connection.exec_driver_sql("SELECT id, state FROM coupon")}
            return tuple(sale), shelf, orders, coupons

        sale, shelf, orders, coupons = self.call(self.store.read(read))
        held = sum(h.quantity for h in self.model.holds.values() if h.sale and h.state == "held")
        sold = sum(h.quantity for h in self.model.holds.values() if h.sale and h.state == "sold")
        assert sale == (self.model.free, held, sold)
        assert shelf == self.model.shelf
        assert orders == {name: order.status for name, order in self.model.orders.items()}
        assert coupons == self.model.coupons

    def teardown(self) -> None:
        for shop in self.shops:
            self.loop.run_until_complete(shop.close())
        for store in self.stores:
            store.close()
        self.loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)


QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

TestShopMachine = ShopMachine.TestCase
TestShopMachine.settings = settings(
    max_examples=12, stateful_step_count=30, deadline=None, derandomize=False, suppress_health_check=QUIET
)


@pytest.mark.parametrize(
    ("examples", "steps"), [(3, 15), pytest.param(100, 40, marks=pytest.mark.soak)], ids=["short", "long"]
)
def test_two_processes_on_postgres_do_what_the_model_says(cluster: Cluster, examples: int, steps: int) -> None:
    name = cluster.database()

    class TwoProcesses(ShopMachine):
        """The same commands and the same model, but every other command goes to another process."""

        processes = 2

        def make(self) -> str:
            self.folder = Path(name)
            cluster.empty(name)
            store = open_store(cluster.address(name))
            with store.writer.begin() as connection:
                seed_catalogue(connection)
            store.close()
            return cluster.address(name)

    limits = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=QUIET)
    run_state_machine_as_test(TwoProcesses, settings=limits)
