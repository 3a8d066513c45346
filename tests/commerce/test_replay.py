"""Balances rebuilt from their entries, and what audit and replay say of a database that somebody changed by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine

from commerce import outlets_sql, partners_sql
from commerce.audit_sql import audit
from commerce.domain.member import Program
from commerce.domain.order import Delivery
from commerce.domain.outlet import OutletTerms
from commerce.domain.partner import Contract, ShareRate
from commerce.pos import outlet_row
from commerce.replay_sql import REPLAYS, replay
from gateway.cli import main
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, START_MS, shop_world

FORGED = {
    "stock by its journal": "UPDATE stock SET free = free + 1, received = received + 1",
    "stock of stores by its journal": "UPDATE outlet_stock SET free = free + 1, received = received + 1",
    "sales by their holds": "UPDATE sale SET held = held + 1, free = free - 1",
    "limits per person by holds and coupons": "UPDATE quota SET used = used + 1",
    "drops by their coupons": "UPDATE drop_ SET issued = issued + 1",
    "refunded money by refunds": "UPDATE orders SET refunded = refunded + 1 WHERE refunded > 0",
    "money of orders and repayments by the providers' notices": "UPDATE payment_event SET amount = amount - 1"
    " WHERE kind = 'paid'",
    "accounts by their entries: bounded": "UPDATE account SET balance = balance + 1 WHERE kind = 'budget'",
    "accounts by their entries: unbounded": "UPDATE account SET balance = balance + 1 WHERE kind = 'budget_source'",
    "lots of points by what each account has of them": "UPDATE points_lot SET left_units = left_units - 1",
    "commission of orders by the entries of its cost": "UPDATE commission SET reversed = reversed + 1"
    " WHERE contract = ''",
    "partners' share of orders by the entries of its cost": "UPDATE commission SET reversed = reversed + 1"
    " WHERE contract <> ''",
}
BROKEN = {
    "merchants: what belongs": "UPDATE payment SET merchant = 'm2'",
    "payments: each notice": "UPDATE payment_event SET payment = 'nobody'",
    "payments: at most one": "INSERT INTO payment (id, order_id, merchant, person, provider, amount, state, created_ms)"
    " SELECT n.id, o.id, o.merchant, o.person, 'sandbox', o.amount, 'started', 1 FROM orders AS o"
    " CROSS JOIN (SELECT 'x' AS id UNION SELECT 'y') AS n WHERE o.status = 'pending' LIMIT 2",
    "share tree": "INSERT INTO link (id, merchant, issuer, role, room, sku, channel, campaign, parent, root, depth,"
    " created_ms) VALUES ('a', 'm1', 'p', 'viewer', '', '', '', '', NULL, 'a', 0, 1),"
    " ('b', 'm1', 'p', 'viewer', '', '', '', '', 'a', 'b', 3, 1)",
    "stores: the journal's entries": "UPDATE stock_entry SET free = 9, adjusted = 9 WHERE kind = 'moved' AND free > 0",
    "stores: counters equal": "UPDATE hold SET outlet = NULL WHERE outlet IS NOT NULL",
    "stores: a transfer is": "UPDATE stock_transfer SET quantity = quantity + 1",
    "stores: stock, prices": "UPDATE outlet SET merchant = 'm2'",
    "personal events": "INSERT INTO personal_box (box, last, acked) VALUES ('r/p', 1, 2)",
}


def agree_with_the_gym(db: Connection) -> None:
    """A partner of another trade with a contract."""
    partners_sql.add(db, id="gym", merchant=MERCHANT, name="gym", trade="", counterpart=None, owner=None, now=START_MS)
    contract = Contract("2020-01-01", "", 30, False, 0, 0, "rows", (ShareRate("shop", "", 1_000),))
    partners_sql.propose(db, "gym", MERCHANT, contract, {"id": "c", "by": "boss", "note": "", "now": START_MS})


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed shop in which something of everything happened."""
    import asyncio

    folder = tmp_path_factory.mktemp("replayed")

    async def live() -> None:
        async with shop_world(folder) as world:
            view = await world.sale()
            drop = await world.drop()
            coupon = await world.shop.claim_coupon(MERCHANT, ROOM, "one", drop.drop, "c")
            held = await world.hold(view.sale, "one", 2, key="h")
            await world.hold(view.sale, "two", 1, key="h")
            order = await world.shop.create_order(MERCHANT, ROOM, "one", "o", hold=held.hold, coupon=coupon.coupon)
            await world.shop.pay_order(MERCHANT, "one", order.order, "p")
            await world.shop.aftersale.refund(MERCHANT, "boss", order.order, "r", amount=700)
            await world.shop.members.set_program(MERCHANT, "boss", Program(yuan_points=1))
            await world.shop.members.fund_budget(MERCHANT, "boss", "guide", 5_000, "b")
            distributor = f"INSERT INTO distributor VALUES ('{MERCHANT}', 'dora', 'dora', NULL, '', 'active', 1)"
            rate = f"INSERT INTO commission_rate VALUES ('{MERCHANT}', 'shop', '', 1000, 0)"
            await world.store.write(lambda db: (db.exec_driver_sql(distributor), db.exec_driver_sql(rate)))
            await world.shop.stock_up(MERCHANT, OTHER_SKU, 9)
            credit = {"credits": {"distributor": {"issuer": "dora"}}}
            brought = await world.shop.create_order(
                MERCHANT, ROOM, "four", "o", lines=[(OTHER_SKU, 2)], decision=credit
            )
            await world.shop.pay_order(MERCHANT, "four", brought.order, "p")
            await world.shop.aftersale.refund(MERCHANT, "boss", brought.order, "r2", lines=[(OTHER_SKU, 1)])
            await world.store.write(agree_with_the_gym)
            sent = {"credits": {"partner": {"issuer": "gym"}}}
            await world.shop.create_order(MERCHANT, ROOM, "three", "o", lines=[(OTHER_SKU, 2)], decision=sent)
            terms = outlet_row("北店", "北路 1 号", "", (0, 0), OutletTerms(stocked=True), "")
            made = {**terms, "id": "north", "merchant": MERCHANT, "key_digest": "x", "now": 0}
            await world.store.write(lambda db: outlets_sql.add(db, **made))
            await world.shop.outlets.transfer(MERCHANT, "boss", OTHER_SKU, 3, "", "north", "why", "m")
            delivery = Delivery("pickup", "Ann", "13800138000", outlet="north")
            await world.shop.create_order(MERCHANT, ROOM, "five", "o", lines=[(OTHER_SKU, 2)], delivery=delivery)

    asyncio.run(live())
    return folder


def changed(shop: Path, folder: Path, statement: str) -> Path:
    """A copy of the shop in which somebody changed something."""
    shutil.copytree(shop, folder / "data")
    engine = create_engine(f"sqlite:///{folder / 'data' / 'shop.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        connection.exec_driver_sql(statement)
    engine.dispose()
    return folder / "data"


def test_every_balance_is_rebuilt_from_its_entries(shop: Path) -> None:
    found = replay(shop)
    assert [finding.name for finding in found if not finding.ok] == []
    assert all(finding.figures["entries"] > 0 for finding in found)


@pytest.mark.parametrize("name", [one.name for one in REPLAYS])
def test_a_balance_that_was_changed_by_hand_is_named(shop: Path, tmp_path: Path, name: str) -> None:
    data = changed(shop, tmp_path, FORGED[name])
    assert name in [finding.name for finding in replay(data) if not finding.ok]


def test_a_counter_that_was_below_zero_once_is_found(shop: Path, tmp_path: Path) -> None:
    # The audit adds up and sees nothing: the units that were missing came later.
    entry = "INSERT INTO stock_entry (id, merchant, sku, kind, ref, free, held, created_ms) VALUES"
    data = changed(
        shop, tmp_path, f"{entry} ('x', 'm1', 'k1', 'held', '', -9, 9, 1), ('y', 'm1', 'k1', 'released', '', 9, -9, 2)"
    )
    [broken] = [finding for finding in replay(data) if not finding.ok]
    assert broken.detail[0] == {"key": "k1", "at": 1, "below_0": ["free"]}
    assert [finding.name for finding in audit(data, now_ms=START_MS) if not finding.ok] == []


@pytest.mark.parametrize("name", BROKEN)
def test_the_audit_names_what_crosses_a_border(shop: Path, tmp_path: Path, name: str) -> None:
    data = changed(shop, tmp_path, BROKEN[name])
    broken = [finding.name for finding in audit(data, now_ms=START_MS) if not finding.ok]
    assert any(one.startswith(name) for one in broken), broken


def test_the_command_exits_with_one_when_a_balance_differs(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "--data", str(shop)]) == 0
    assert "kinds of balances rebuilt from their entries, 0 broken" in capsys.readouterr().out
    data = changed(shop, tmp_path, FORGED["stock by its journal"])
    assert main(["replay", "--data", str(data), "--json"]) == 1
    assert '"key":"k1"' in capsys.readouterr().out


def test_reconcile_prints_reports_and_files_and_says_when_there_is_none(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    import asyncio

    async def live() -> None:
        async with shop_world(tmp_path) as world:
            await world.shop.stock_up(MERCHANT, OTHER_SKU, 1)
            order = await world.shop.create_order(MERCHANT, ROOM, "one", "o", lines=[(OTHER_SKU, 1)])
            await world.shop.pay_order(MERCHANT, "one", order.order, "p")
            world.clock.advance(86_400_000)
            await world.shop.reconciliation.fetch("sandbox", "2027-01-15")

    asyncio.run(live())
    command = ["reconcile", "--data", str(tmp_path), "--day"]
    assert main([*command, "2027-01-15"]) == 0
    assert (
        b"paid 1 (20.00), refunded 0 (0.00), fees 0.00, net 20.00, 1 matched, 0 differ" in capsysbinary.readouterr().out
    )
    assert main([*command, "2027-01-15", "--csv"]) == 0
    assert b"sandbox,net,figure" in capsysbinary.readouterr().out
    assert main([*command, "2027-01-15", "--file", "sandbox"]) == 0
    assert capsysbinary.readouterr().out.startswith(b"[{")
    assert main([*command, "2027-01-16"]) == 2
    assert main([*command, "yesterday"]) == 2
