"""Holds run out by the clock: units go back, the room hears of it, and somebody else gets them."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from tests.harness import live_server
from tests.integration.rush import Attempt, Rush, gather, plan_attempts
from tests.integration.shopfloor import Shopfloor
from tests.integration.sockets import Crowd, HubClient

UNITS = 100
HOLD_S = 4
"""Long enough for what must be done within it, on a machine that is busy with other things."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shopfloor]:
    with live_server(tmp_path_factory.mktemp("expiry")) as server:
        yield Shopfloor(server)


def _news(client: HubClient, sale: str) -> list[tuple[int, str]]:
    """What a client was told of a sale, in order: units left and state."""
    news = []
    for event in client.events:
        if event["t"] == "stock" and event["sale"] == sale:
            news.append((event["left"], event["state"]))
        elif event["t"] == "sale" and event["sale"]["sale"] == sale:
            news.append((event["sale"]["left"], event["sale"]["state"]))
    return news


def _rush(shop: Shopfloor, crowd: Crowd, sale: str, name: str) -> Rush:
    rush = Rush(sale, [])
    crowd.answered = rush.answered
    rush.attempts = plan_attempts(gather(shop, crowd, 300, name), 600, random.Random(name))
    rush.run(crowd)
    return rush


def test_holds_that_run_out_are_sold_again_until_somebody_pays(shop: Shopfloor) -> None:
    sale = shop.sale(UNITS, hold_s=HOLD_S)
    with Crowd(shop.server.http_port) as crowd:
        bystander = shop.join(crowd, "onlooker")
        first = _rush(shop, crowd, sale, "first")
        assert len(first.granted()) == UNITS
        crowd.run(lambda: (0, "sold_out") in _news(bystander, sale), "the news that all is gone")
        told = len(_news(bystander, sale))

        crowd.run(lambda: (UNITS, "open") in _news(bystander, sale)[told:], "the news that all is back")
        assert {row["state"] for row in shop.holds(sale).values()} == {"expired"}
        shop.assert_books()

        told = len(_news(bystander, sale))
        second = _rush(shop, crowd, sale, "second")
        assert len(second.granted()) == UNITS
        assert not first.granted().keys() & second.granted().keys()
        shop.assert_books()

        crowd.run(lambda: (0, "sold_out") in _news(bystander, sale)[told:], "the news that all is gone once more")
        crowd.run(lambda: _news(bystander, sale)[-1] == (UNITS, "open"), "the news that all is back once more")
        buyer = shop.join(crowd, "buyer")
        hold = buyer.command("sale.hold", sale=sale, quantity=1, key="k")["hold"]
        order = buyer.command("order.create", hold=hold, key="k")["order"]["order"]
        assert buyer.command("order.pay", order=order, key="k")["order"]["status"] == "paid"
        crowd.idle(HOLD_S + 1.5)
        [row] = shop.rows("SELECT free, held, sold FROM sale WHERE id = ?", sale)
        assert tuple(row) == (UNITS - 1, 0, 1)
        assert shop.holds(sale)[hold]["state"] == "sold"
        shop.assert_audited()


def test_a_newcomer_sees_the_units_that_came_back(shop: Shopfloor) -> None:
    sale = shop.sale(3, hold_s=HOLD_S, per_person=3)
    with Crowd(shop.server.http_port) as crowd:
        bystander = shop.join(crowd, "onlooker")
        hasty = shop.join(crowd, "hasty")
        assert hasty.command("sale.hold", sale=sale, quantity=3, key="k")["quantity"] == 3

        def shown(person: str) -> tuple[int, str]:
            room = shop.join(crowd, person).room
            assert room is not None
            return next((s["left"], s["state"]) for s in room["sales"] if s["sale"] == sale)

        crowd.run(lambda: bool(_news(bystander, sale)) and _news(bystander, sale)[-1][0] == 0, "all gone")
        assert shown("before") == (0, "sold_out")
        crowd.run(lambda: _news(bystander, sale)[-1] == (3, "open"), "all back")
        assert shown("after") == (3, "open")


def test_a_hold_that_has_run_out_makes_no_order_and_its_key_stays_used(shop: Shopfloor) -> None:
    sale = shop.sale(1, hold_s=HOLD_S)
    with Crowd(shop.server.http_port) as crowd:
        client = shop.join(crowd, "dreamer")
        held = client.command("sale.hold", sale=sale, quantity=1, key="k")
        crowd.idle(max(0.0, held["expires"] / 1_000 - time.time()) + 0.05)
        assert client.command("order.create", hold=held["hold"], key="k")["error"]["code"] == "gone"
        again = client.command("sale.hold", sale=sale, quantity=1, key="k")
        assert (again["hold"], again["expires"]) == (held["hold"], held["expires"])
        anew = client.command("sale.hold", sale=sale, quantity=1, key="another")
        assert anew["hold"] != held["hold"]
        shop.assert_books()


def test_an_order_that_is_not_paid_in_time_gives_units_and_coupon_back(shop: Shopfloor) -> None:
    sale, drop = shop.sale(1, hold_s=HOLD_S), shop.drop(1)
    with Crowd(shop.server.http_port) as crowd:
        bystander, client = shop.join(crowd, "onlooker"), shop.join(crowd, "forgetful")
        hold = client.command("sale.hold", sale=sale, quantity=1, key="k")["hold"]
        coupon = client.command("coupon.claim", drop=drop, key="k")["coupon"]["coupon"]
        order = client.command("order.create", hold=hold, coupon=coupon, key="k")["order"]["order"]

        crowd.run(lambda: any(e["order"]["status"] == "cancelled" for e in client.of("order")), "the order's end")
        crowd.run(lambda: _news(bystander, sale)[-1] == (1, "open"), "the unit back")
        assert client.command("order.pay", order=order, key="k")["error"]["code"] in {"gone", "expired"}
        assert shop.rows("SELECT state, order_id FROM coupon WHERE id = ?", coupon)[0]["state"] == "unused"
        hold = client.command("sale.hold", sale=sale, quantity=1, key="second")["hold"]
        second = client.command("order.create", hold=hold, coupon=coupon, key="second")["order"]
        assert second["amount"] == 990 - 100
        shop.assert_books()


def test_people_who_wait_at_a_sold_out_sale_get_the_units_when_they_come_back(shop: Shopfloor) -> None:
    sale = shop.sale(20, hold_s=HOLD_S)
    with Crowd(shop.server.http_port) as crowd:
        holders, waiting = gather(shop, crowd, 20, "holder"), gather(shop, crowd, 40, "waiting")
        first = Rush(sale, [Attempt(client, "k") for client in holders])
        for client in holders:
            client.answered = first.answered
        first.run(crowd)
        assert len(first.granted()) == 20

        later = Rush(sale, [])
        for client in waiting:
            client.answered = later.answered
        deadline = time.monotonic() + 60
        # Each tries again every 0.4 s with the key of before: a refusal is no result that a key would keep.
        while len(later.granted()) < 20:
            assert time.monotonic() < deadline, later.refusals()
            later.attempts += [Attempt(client, "k") for client in waiting]
            later.run(crowd)
            crowd.idle(0.4)
        assert len(later.granted()) == 20
        assert later.refusals().keys() <= {"sold_out"}
        assert len(first.granted().keys() | later.granted().keys()) == 40
        shop.assert_books()
