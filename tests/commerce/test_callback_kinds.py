"""Whatever is paid for, bad callbacks have one effect: what one good callback alone would have had (promise P6).

``KINDS`` is the table: how the payment comes to be, and what must be there once it is paid. A new kind of payment needs
a line. What a shop has after a storm of callbacks is compared with what it has after a single one, row count by row
count, account by account and SKU by SKU.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text

from commerce import outlets_sql
from commerce.compliance_sql import set_policy
from commerce.domain.credit import CreditTerms
from commerce.domain.custom import CustomForm, Offer
from commerce.domain.day import DAY_MS
from commerce.domain.freight import FreightTerms
from commerce.domain.member import Program
from commerce.domain.membership import Benefits, PlanTerms
from commerce.domain.order import Delivery, WantedLine
from commerce.domain.outlet import OutletTerms
from commerce.domain.passes import PassTerms
from commerce.domain.presale import Missed, Presale
from commerce.domain.sale import SaleMode, SaleTerms
from commerce.domain.signup import EventTerms
from commerce.domain.station import StationTerms
from commerce.errors import NotFound
from commerce.moments import Offer as SaleOffer
from commerce.payment import SignedMessage
from commerce.pos import outlet_row
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU
from tests.commerce.template import migrated
from tests.commerce.test_payment_callbacks import Till, till

HOUR_MS = DAY_MS // 24
GOODS = {"card": (10_000, "stored", 2_000), "pass": (3_000, "goods", 0), "plan": (6_000, "goods", 0)}
GOODS |= {"seat": (1_000, "goods", 0), "kitchen": (9_000, "goods", 0)}
HERE = (31_234_567, 121_474_000)
TO = Delivery("express", "Ann", "13800138000", "some road 1")
STORM_SEED = 7


def _rows(db: Connection) -> None:
    for sku, (price, kind, bonus) in GOODS.items():
        db.exec_driver_sql(f"INSERT INTO product VALUES ('p-{sku}', '{MERCHANT}', '{sku}', '', '', true, 0, '')")
        db.exec_driver_sql(
            "INSERT INTO sku (id, product, merchant, name, price, list_price, version, kind, bonus)"
            f" VALUES ('{sku}', 'p-{sku}', '{MERCHANT}', '', {price}, {price}, 1, '{kind}', {bonus})"
        )
    db.exec_driver_sql(f"INSERT INTO person VALUES ('one', '{MERCHANT}', '', 1)")
    row = outlet_row("north", "north street", "", HERE, OutletTerms(courier=True), "")
    outlets_sql.add(db, id="north", merchant=MERCHANT, key_digest="n", now=2, **row)


async def furnish(at: Till) -> None:
    """A shop that sells everything that can be paid for."""
    shop, now = at.world.shop, at.world.clock()
    await at.world.store.write(_rows)
    for sku in (SKU, OTHER_SKU, *GOODS):
        await shop.stock_up(MERCHANT, sku, 5)
    program = Program(yuan_points=1, window_days=1, valid_days=30, stored_most=50_000)
    await shop.members.set_program(MERCHANT, "boss", program)
    await shop.passes.set_terms(MERCHANT, "boss", "pass", PassTerms(3, days=60))
    await shop.memberships.set_plan(MERCHANT, "boss", "plan", PlanTerms(3, Benefits(90, 300, 500, 2_000, 20)))
    await shop.outlets.set_freight(MERCHANT, "boss", "north", "courier", FreightTerms(((3_000, 500),)))
    terms = EventTerms("show", "", "lake", now + HOUR_MS, now + 2 * HOUR_MS, now + HOUR_MS, 3, "seat", 3_600)
    await shop.signups.save(MERCHANT, "boss", None, terms)
    await shop.custom.set_form(MERCHANT, "boss", "kitchen", CustomForm(making_days=3, asked=True))


async def ordered(at: Till, sku: str = OTHER_SKU, key: str = "o", **more: Any) -> str:
    """An order of one unit."""
    if "hold" not in more and "offer" not in more:
        more["lines"] = [WantedLine(sku, 1)]
    return (await at.world.shop.create_order(MERCHANT, ROOM, "one", key, **more)).order


async def opened(at: Till, order: str) -> str:
    """The payment with which a provider was asked for an order's money."""
    await at.world.shop.payments.pay(MERCHANT, "one", order, f"pay-{order}", method="native")
    [row] = await at.world.query("SELECT id FROM payment WHERE order_id = :order", order=order)
    return str(row.id)


async def held(at: Till, terms: SaleTerms) -> str:
    offer = SaleOffer(SKU, 1_000, 0, 3, 2, 600, 86_000, terms)
    made = await at.world.shop.moments.create_sale(MERCHANT, ROOM, offer)
    await at.world.shop.start_sale(MERCHANT, made.sale, 0)
    if terms.mode is SaleMode.TEAM:
        return (await at.world.shop.moments.join_team(MERCHANT, ROOM, "one", made.sale, None, "t")).hold
    return (await at.world.shop.hold(MERCHANT, ROOM, "one", made.sale, 1, "h")).hold


async def deposit(at: Till) -> str:
    now = at.world.clock()
    terms = SaleTerms(presale=Presale(300, now, now + 2 * DAY_MS, Missed.KEEP))
    return await ordered(at, hold=await held(at, terms))


async def kitchen(at: Till) -> str:
    now, custom = at.world.clock(), at.world.shop.custom
    asked = await custom.ask(MERCHANT, ROOM, "one", "kitchen", 1, (), "white", "ask")
    await custom.offer(MERCHANT, "boss", asked.request, Offer(5_000, 30, "keep", now + 2 * DAY_MS, now + DAY_MS), "why")
    return await ordered(at, offer=(asked.request, 1), delivery=TO)


async def balance_of(at: Till, order: str) -> str:
    """What is still to be paid once the deposit came."""
    await at.deliver(at.pays(await opened(at, order)))
    paid = await at.world.shop.order(MERCHANT, order)
    assert paid.presale is not None and paid.presale.balance_order is not None
    return paid.presale.balance_order


async def seat(at: Till) -> str:
    [event] = await at.world.shop.signups.events(MERCHANT)
    await at.world.shop.signups.sign_up(MERCHANT, "one", event.event, "One")
    return await ordered(at, "seat")


async def station(at: Till) -> str:
    terms = StationTerms("Gate 3", "12 Lake Road", "one", 2, 1_200)
    made = await at.world.shop.stations.set(MERCHANT, "boss", "", terms)
    return await ordered(at, delivery=Delivery("pickup", "One", "13800138000", station=made.station))


async def brought(at: Till) -> str:
    where = Delivery("courier", "One", "13800138000", "a road", "north", "", *HERE)
    order = await ordered(at, delivery=where)
    assert (await at.world.shop.order(MERCHANT, order)).freight == 500
    return order


def _of(column: str, table: str, where: str = "true") -> str:
    return f"SELECT {column} AS found FROM {table} WHERE {where}"


@dataclass(frozen=True)
class Kind:
    """Something that is paid for: how its order is made, and what a query finds once it is paid, and not before."""

    order: Callable[[Till], Awaitable[str]]
    query: str
    found: Any
    revives: bool = True
    """Whether late money buys it after a cancel while its units are there; a group's seat was given up."""


KINDS: dict[str, Kind] = {
    "goods": Kind(ordered, _of("count(*)", "stock_entry", "kind = 'sold'"), 1),
    "goods with freight": Kind(brought, _of("count(*)", "stock_entry", "kind = 'sold'"), 1),
    "goods at a station": Kind(station, _of("count(*)", "stock_entry", "kind = 'sold'"), 1),
    "a flash sale's hold": Kind(
        lambda at: _held(at, SaleTerms()), _of("count(*)", "hold", "state = 'sold' AND sale IS NOT NULL"), 1
    ),
    "a seat in a group": Kind(
        lambda at: _held(at, SaleTerms(SaleMode.TEAM, team_size=2, team_ms=3_600_000)),
        _of("count(*)", "orders", "paid_ms IS NOT NULL"),
        1,
        revives=False,
    ),
    "a presale's deposit": Kind(deposit, _of("count(*)", "orders"), 2),
    "a presale's balance": Kind(lambda at: _second(at, deposit), _of("count(*)", "stock_entry", "kind = 'sold'"), 1),
    "a custom order's deposit": Kind(kitchen, _of("count(*)", "orders"), 2),
    "a custom order's balance": Kind(
        lambda at: _second(at, kitchen), _of("count(*)", "orders", "paid_ms IS NOT NULL"), 2
    ),
    "stored value": Kind(
        lambda at: ordered(at, "card"), _of("coalesce(sum(balance), 0)", "account", "kind = 'principal'"), 10_000
    ),
    "a multi-use card": Kind(lambda at: ordered(at, "pass"), _of("count(*)", "pass_"), 1),
    "a membership": Kind(lambda at: ordered(at, "plan"), _of("count(*)", "membership"), 1),
    "a place at an event": Kind(seat, _of("count(*)", "ticket", "state = 'good'"), 1),
}


async def _held(at: Till, terms: SaleTerms) -> str:
    return await ordered(at, hold=await held(at, terms))


async def _second(at: Till, first: Callable[[Till], Awaitable[str]]) -> str:
    return await balance_of(at, await first(at))


def _figures(db: Connection) -> dict[str, Any]:
    tables = [name for name in inspect(db).get_table_names() if name != "alembic_version"]
    counts = {name: db.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in tables}
    accounts = db.execute(text("SELECT merchant, owner, kind, balance FROM account ORDER BY 1, 2, 3")).all()
    stock = db.execute(text("SELECT sku, free, held FROM stock ORDER BY sku")).all()
    orders = db.execute(text("SELECT status, amount, refunded FROM orders ORDER BY 1, 2, 3")).all()
    return {**counts, "accounts": accounts, "stock": stock, "orders": orders}


Storm = Callable[[Till, str, str], Awaitable[None]]


async def outcome(folder: Path, kind: Kind, storm: Storm) -> dict[str, Any]:
    """What a shop has after a payment of this kind went through a storm. The audit is clean then."""
    migrated(folder)
    async with till(folder, "wechat") as at:
        await furnish(at)
        order = await kind.order(at)
        payment = await opened(at, order)
        before = (await at.world.query(kind.query))[0].found
        await storm(at, order, payment)
        async with asyncio.timeout(60):
            while await at.world.query("SELECT 1 FROM refund WHERE state = 'requested'"):
                await asyncio.sleep(0.01)
        await at.world.shop.payments.idle()
        found = (await at.world.query(kind.query))[0].found
        status = (await at.world.shop.order(MERCHANT, order)).status
        given = sum(len(trade.refunds) for trade in at.there.trades.values())
        figures = await at.world.store.read(_figures)
        return {**figures, "before": before, "found": found, "status": status, "given back": given}


async def once(at: Till, _order: str, payment: str) -> None:
    assert (await at.deliver(at.pays(payment))).effect == "paid"


async def storm(at: Till, _order: str, payment: str) -> None:
    """Before the commit of its payment; five times at once among all that must not act, in any order; once more."""
    right = at.pays(payment)
    await _before_its_commit(at, payment, right)
    wrong = [make() for make in at.wrongly(payment).values()]
    messages = wrong + [right] * 5
    random.Random(STORM_SEED).shuffle(messages)
    done = await asyncio.gather(*(at.deliver(message) for message in messages), return_exceptions=True)
    effects = sorted(one.effect for one in done if not isinstance(one, BaseException))
    assert effects == ["paid"] + ["repeat"] * 4
    assert (await at.deliver(right)).effect == "repeat"


async def _before_its_commit(at: Till, payment: str, message: SignedMessage) -> None:
    [row] = await at.world.query("SELECT * FROM payment WHERE id = :id", id=payment)
    kept = dict(row._mapping)
    await at.world.store.write(lambda db: db.execute(text("DELETE FROM payment WHERE id = :id"), {"id": payment}))
    assert await at.code(message) == "not_found"
    into = f"INSERT INTO payment ({', '.join(kept)}) VALUES ({', '.join(f':{name}' for name in kept)})"
    await at.world.store.write(lambda db: db.execute(text(into), kept))


async def _cancelled(at: Till, order: str, payment: str) -> SignedMessage:
    message = at.pays(payment)
    # The provider cannot be asked just now: the shop does not know that the money is there.
    at.there.failures.append(at.down)
    await at.world.shop.cancel_order(MERCHANT, "one", order)
    await at.world.shop.payments.idle()
    return message


async def late_once(at: Till, order: str, payment: str) -> None:
    message = await _cancelled(at, order, payment)
    await at.deliver(message)


async def late_storm(at: Till, order: str, payment: str) -> None:
    message = await _cancelled(at, order, payment)
    messages = [make() for make in at.wrongly(payment).values()] + [message] * 5
    random.Random(STORM_SEED).shuffle(messages)
    done = await asyncio.gather(*(at.deliver(one) for one in messages), return_exceptions=True)
    assert sum(not isinstance(one, BaseException) and one.effect == "repeat" for one in done) == 4


SOME = ("stored value", "a presale's balance", "a place at an event")
"""Tried in every run of the tests; the others in the soak."""
EVERY = [pytest.param(name, marks=() if name in SOME else pytest.mark.soak) for name in KINDS]


@pytest.mark.parametrize("name", EVERY)
async def test_a_storm_of_callbacks_has_the_effect_of_one(tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    one = await outcome(tmp_path / "one", kind, once)
    assert (one["status"], one["found"], one["given back"]) == ("paid", kind.found, 0)
    assert one["before"] != kind.found
    assert await outcome(tmp_path / "storm", kind, storm) == one


@pytest.mark.parametrize("name", EVERY)
async def test_a_storm_of_callbacks_after_a_cancel_has_the_effect_of_one(tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    one = await outcome(tmp_path / "one", kind, late_once)
    if kind.revives:
        assert (one["status"], one["found"], one["given back"]) == ("paid", kind.found, 0)
    else:
        assert (one["status"], one["found"], one["given back"]) == ("cancelled", one["before"], 1)
    assert await outcome(tmp_path / "storm", kind, late_storm) == one


async def test_a_debt_is_settled_by_no_callback(tmp_path: Path) -> None:
    migrated(tmp_path)
    async with till(tmp_path, "wechat") as at:
        await furnish(at)
        shop, now = at.world.shop, at.world.clock()
        terms = '{"credit_sale":true}'
        await at.world.store.write(lambda db: set_policy(db, merchant=MERCHANT, terms=terms, staff="boss", now=now))
        await shop.credit.set_line(MERCHANT, "boss", "one", CreditTerms(9_000, 30))
        order = await ordered(at)
        paid = await shop.payments.pay(MERCHANT, "one", order, "account", provider="account")
        [payment] = await at.world.query("SELECT id FROM payment")
        before = await at.world.store.read(_figures)
        goods = await ordered(at, key="p")
        right = at.pays(await opened(at, goods))
        # Nobody outside knows of a debt: neither under its own name, nor by another provider's word.
        for name in ("account", "nosuch"):
            with pytest.raises(NotFound):
                await shop.payments.answer(name, right.body, right.headers)
        trade = at.there.trades[list(at.there.trades)[-1]]
        inner = at.there.transaction(trade) | {"out_trade_no": payment.id}
        assert await at.code(at.there.callback("TRANSACTION.SUCCESS", inner)) in ("not_found", "merchant_mismatch")
        await shop.cancel_order(MERCHANT, "one", goods)
        assert paid.order.status == "paid"
        after = await at.world.store.read(_figures)
        assert (after["accounts"], after["payment_event"]) == (before["accounts"], before["payment_event"])
