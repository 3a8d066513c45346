"""The server dies by SIGKILL in the middle of a rush: what it acknowledged is in the books, and not a unit too many.

SIGKILL leaves the kernel's page cache: that a sync comes before each answer is shown in test_durability.py.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness import live_server
from tests.integration.rush import (
    CLEAR_REFUSALS,
    Attempt,
    Rush,
    assert_books_agree,
    gather,
    plan_attempts,
)
from tests.integration.shopfloor import Shopfloor
from tests.integration.sockets import LOST, Crowd, HubClient

UNITS = 100


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shopfloor]:
    with live_server(tmp_path_factory.mktemp("crash")) as server:
        yield Shopfloor(server)


def _rush_into_a_kill(shop: Shopfloor, rush: Rush, crowd: Crowd, kill_after: int) -> None:
    """Rush, and SIGKILL the server when so many answers came, a granted one among them; then read what was under way.

    On a machine that stands still the first answers may all be that the server is busy.
    """
    assert shop.server.process is not None
    rush.run(crowd, stop=lambda: rush.sent - rush.unanswered >= kill_after and bool(rush.granted()))
    shop.server.kill()
    crowd.run(lambda: all(client.closed is not None for client in crowd.clients), "the end of every connection")
    assert {client.closed for client in crowd.clients} == {(LOST, "")}


def _assert_acknowledged_is_kept(shop: Shopfloor, rush: Rush, total: int) -> None:
    """Every hold a client heard of is in the database as it heard it, and all that are there are within the stock."""
    in_books = shop.holds(rush.sale)
    for attempt in rush.attempts:
        if attempt.answer is not None and attempt.hold is not None:
            row = in_books[attempt.hold]
            told = (attempt.client.person, attempt.answer["quantity"], attempt.answer["price"])
            assert (row["person"], row["quantity"], row["price"]) == told
            assert row["expires_ms"] == attempt.answer["expires"]
    assert sum(row["quantity"] for row in in_books.values() if row["state"] in ("held", "sold")) <= total


def _come_back(shop: Shopfloor, before: Rush, crowd: Crowd) -> Rush:
    """All clients on new connections with the attempts they had sent, in the same order and with the same keys."""
    again = Rush(before.sale, [])
    crowd.answered = again.answered
    people: dict[str, HubClient] = {}
    sent = before.attempts[: before.sent]
    for attempt in sent:
        person = attempt.client.person
        if person not in people:
            people[person] = shop.knock(crowd, person, watch=False)
    crowd.settle(list(people.values()))
    again.attempts = [Attempt(people[attempt.client.person], attempt.key) for attempt in sent]
    again.run(crowd)
    return again


def _without_id(attempt: Attempt) -> dict[str, Any]:
    assert attempt.answer is not None
    return {field: value for field, value in attempt.answer.items() if field != "re"}


def _figures(rush: Rush) -> str:
    return (
        f"crash: killed after {rush.sent} of {len(rush.attempts)} attempts were sent and {rush.sent - rush.unanswered} "
        f"answered, {len(rush.granted())} holds acknowledged, refused {dict(rush.refusals())}"
    )


@pytest.mark.parametrize(
    ("seed", "people", "attempts", "units"),
    [
        (1, 2_000, 5_000, UNITS),
        (2, 500, 1_250, UNITS),
        (3, 500, 1_250, 400),
        (4, 500, 1_250, 400),
        (5, 500, 1_250, 450),
        *(pytest.param(seed, 500, 1_250, 200 + seed, marks=pytest.mark.soak) for seed in range(6, 30)),
    ],
)
def test_what_was_acknowledged_before_a_sigkill_is_kept_and_a_repeated_key_gets_the_same_answer(
    shop: Shopfloor, seed: int, people: int, attempts: int, units: int
) -> None:
    randomness = random.Random(seed)
    sale = shop.sale(units)
    with Crowd(shop.server.http_port) as crowd:
        rush = Rush(sale, [])
        crowd.answered = rush.answered
        rush.attempts = plan_attempts(gather(shop, crowd, people, f"crash-{seed}"), attempts, randomness)
        _rush_into_a_kill(shop, rush, crowd, randomness.randrange(1, units))
        print(_figures(rush))
        _assert_acknowledged_is_kept(shop, rush, units)
        shop.assert_audited()

    shop.server.start()

    _assert_acknowledged_is_kept(shop, rush, units)
    with Crowd(shop.server.http_port) as crowd:
        again = _come_back(shop, rush, crowd)
        assert again.unanswered == 0
        assert again.refusals().keys() <= CLEAR_REFUSALS
        for before, after in zip(rush.attempts, again.attempts, strict=False):
            if before.hold is not None:
                assert _without_id(after) == _without_id(before)
        # Whoever never came to the door before the kill comes now: all units find somebody, and not one more.
        late = Rush(sale, [Attempt(client, "late") for client in gather(shop, crowd, units, f"late-{seed}")])
        for attempt in late.attempts:
            attempt.client.answered = late.answered
        late.run(crowd)
        together = Rush(sale, [*again.attempts, *late.attempts])
        assert len(together.granted()) == units
        together.assert_one_answer_per_key()
        assert_books_agree(shop, together, units)
        shop.assert_audited()


def test_holds_of_before_a_sigkill_expire_after_it_and_their_units_are_sold_again(shop: Shopfloor) -> None:
    sale = shop.sale(UNITS, hold_s=2)
    with Crowd(shop.server.http_port) as crowd:
        rush = Rush(sale, [])
        crowd.answered = rush.answered
        rush.attempts = plan_attempts(gather(shop, crowd, 500, "hasty"), 1_250, random.Random(6))
        _rush_into_a_kill(shop, rush, crowd, UNITS // 2)
    acknowledged = rush.granted()
    assert acknowledged

    shop.server.start()

    with Crowd(shop.server.http_port) as crowd:
        bystander = shop.join(crowd, "onlooker")

        def left() -> int:
            figures: list[int] = [e["left"] for e in bystander.of("stock") if e["sale"] == sale]
            figures += [e["sale"]["left"] for e in bystander.of("sale") if e["sale"]["sale"] == sale]
            figures += [s["left"] for s in (bystander.room or {})["sales"] if s["sale"] == sale]
            return max(figures)

        crowd.run(lambda: left() == UNITS, "all units back in the sale")
        in_books = shop.holds(sale)
        assert acknowledged.keys() <= in_books.keys()
        assert {row["state"] for row in in_books.values()} == {"expired"}
        second = Rush(sale, [])
        crowd.answered = second.answered
        # People whose hold ran out may try again: their limit was given back with the units.
        names = [*list(acknowledged.values())[:20], *(f"second-{n}" for n in range(UNITS))]
        clients = [shop.knock(crowd, name, watch=False) for name in names]
        crowd.settle(clients)
        second.attempts = [Attempt(client, "another day") for client in clients]
        second.run(crowd)
        assert len(second.granted()) == UNITS
        assert {attempt.hold is not None for attempt in second.attempts[:20]} == {True}
        assert second.refusals() == {"sold_out": len(names) - UNITS}
        shop.assert_books()


def _die_with_news_untold(shop: Shopfloor, person: str, drop: str, sale: str) -> tuple[str, str, str]:
    """A hold, a coupon and an order acknowledged, and the server dead before it wrote down that their events were told.

    It writes that down once a second: when it just did, the next person tries.
    """
    with Crowd(shop.server.http_port) as crowd:
        client = shop.join(crowd, person)
        hold: str = client.command("sale.hold", sale=sale, quantity=1, key="hold")["hold"]
        claim = client.send("coupon.claim", drop=drop, key="coupon")
        order = client.send("order.create", hold=hold, key="order")
        crowd.run(lambda: {claim, order} <= client.answers.keys(), "both answers")
        shop.server.kill()
        return hold, client.answers[claim]["coupon"]["coupon"], client.answers[order]["order"]["order"]


def test_a_coupon_and_an_order_of_the_moment_before_a_sigkill_are_told_after_it(shop: Shopfloor) -> None:
    drop, sale = shop.drop(10), shop.sale(10)
    for n in range(5):
        person = f"unlucky-{n}"
        hold, coupon, order = _die_with_news_untold(shop, person, drop, sale)
        untold = shop.rows("SELECT type FROM outbox WHERE delivered_ms IS NULL")
        shop.server.start()
        if {"CouponClaimed", "OrderCreated"} <= {row["type"] for row in untold}:
            break
    else:
        raise AssertionError("the outbox was always empty: the kill came too late")

    with Crowd(shop.server.http_port) as crowd:
        client = shop.join(crowd, person)
        # Promise P13: at least once. The connection was there to hear it, the server was not there to know that.
        crowd.run(lambda: bool(client.of("coupon") and client.of("order")), "the personal events of before the kill")
        assert {event["coupon"]["coupon"] for event in client.of("coupon")} == {coupon}
        assert {event["order"]["order"] for event in client.of("order")} == {order}
        assert client.command("coupon.claim", drop=drop, key="coupon")["coupon"]["coupon"] == coupon
        assert client.command("order.create", hold=hold, key="order")["order"]["order"] == order
        assert client.command("order.pay", order=order, key="pay")["order"]["status"] == "paid"
        shop.assert_books()


def test_a_server_killed_again_and_again_over_one_sale_never_sells_a_unit_twice(shop: Shopfloor) -> None:
    randomness = random.Random(7)
    sale = shop.sale(300)
    told: dict[str, str] = {}
    for life in itertools.count():
        with Crowd(shop.server.http_port) as crowd:
            rush = Rush(sale, [])
            crowd.answered = rush.answered
            rush.attempts = plan_attempts(gather(shop, crowd, 200, f"life-{life}"), 500, randomness)
            if life < 3:
                _rush_into_a_kill(shop, rush, crowd, randomness.randrange(1, 80))
                shop.server.start()
            else:
                rush.run(crowd)
            granted = rush.granted()
            assert not told.keys() & granted.keys()
            told |= granted
            in_books = shop.holds(sale)
            assert {hold: in_books[hold]["person"] for hold in told} == told
            assert len(in_books) <= 300
            shop.assert_books()
        if life == 3:
            break
    assert rush.refusals()["sold_out"] > 0
    assert len(shop.holds(sale)) == 300
