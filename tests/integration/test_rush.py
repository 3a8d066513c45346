"""Two thousand people want a hundred units at once: a hundred get one, everybody is told, nobody else notices."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.harness import live_server
from tests.integration.rush import (
    CLEAR_REFUSALS,
    Rush,
    Talk,
    assert_books_agree,
    gather,
    plan_attempts,
)
from tests.integration.shopfloor import Shopfloor
from tests.integration.sockets import Crowd

CONNECTIONS = 2_000
ATTEMPTS = 5_000
UNITS = 100
SEED = 20_260_101


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shopfloor]:
    with live_server(tmp_path_factory.mktemp("rush")) as server:
        yield Shopfloor(server)


def test_of_five_thousand_attempts_for_a_hundred_units_a_hundred_are_granted_and_all_are_answered(
    shop: Shopfloor,
) -> None:
    sale = shop.sale(UNITS)
    before_kib = shop.memory_kib()
    with Crowd(shop.server.http_port) as crowd:
        bystanders = gather(shop, crowd, 20, "bystander", watch=True)
        rush = Rush(sale, [])
        crowd.answered = rush.answered
        clients = gather(shop, crowd, CONNECTIONS, "rusher")
        joined_kib = shop.memory_kib()
        rush.attempts = plan_attempts(clients, ATTEMPTS, random.Random(SEED))
        talk = Talk(bystanders[:10])

        rush.run(crowd, stop=talk.on)

        print(
            f"rush: {ATTEMPTS} attempts of {CONNECTIONS} connections in {rush.seconds:.2f} s, "
            f"{len(rush.granted())} granted, refused {dict(rush.refusals())}, resident before {before_kib} KiB, "
            f"with all connected {joined_kib} KiB, after {shop.memory_kib()} KiB"
        )
        assert rush.unanswered == 0
        assert len(rush.granted()) == UNITS
        assert len(set(rush.granted().values())) == UNITS, "the limit per person is 1"
        assert rush.refusals().keys() <= CLEAR_REFUSALS
        assert rush.refusals().total() + sum(attempt.hold is not None for attempt in rush.attempts) == ATTEMPTS
        rush.assert_one_answer_per_key()
        assert [client.closed for client in crowd.clients if client.closed is not None] == []
        assert len(talk.said) > 3
        crowd.run(lambda: all(map(talk.heard_by, bystanders)), "every line of the chat at every bystander")
        crowd.run(
            lambda: all(client.of("sale")[-1]["sale"]["state"] == "sold_out" for client in bystanders),
            "the news that all is gone",
        )
        assert_books_agree(shop, rush, UNITS)
        shop.assert_audited()


def test_of_five_hundred_people_fifty_catch_a_coupon(shop: Shopfloor) -> None:
    drop = shop.drop(50)
    with Crowd(shop.server.http_port) as crowd:
        clients = gather(shop, crowd, 500, "catcher")
        wanted = [(client, client.send("coupon.claim", drop=drop, key="catch")) for client in clients]
        crowd.run(lambda: all(number in client.answers for client, number in wanted), "an answer to everyone")

        answers = {client.person: client.answers[number] for client, number in wanted}
        caught = {person: answer["coupon"]["coupon"] for person, answer in answers.items() if "coupon" in answer}
        assert len(caught) == len(set(caught.values())) == 50
        assert Counter(answer["error"]["code"] for answer in answers.values() if "error" in answer) == {"gone": 450}
        in_books = shop.rows("SELECT id, person FROM coupon WHERE drop_id = ?", drop)
        assert {row["person"]: row["id"] for row in in_books} == caught
        shop.assert_books()


def test_a_person_on_two_connections_with_two_keys_catches_one_coupon(shop: Shopfloor) -> None:
    drop = shop.drop(50)
    with Crowd(shop.server.http_port) as crowd:
        pairs = [(shop.knock(crowd, f"twin-{n}"), shop.knock(crowd, f"twin-{n}")) for n in range(20)]
        crowd.settle([client for pair in pairs for client in pair])
        wanted = [
            [(client, client.send("coupon.claim", drop=drop, key=f"hand-{hand}")) for hand, client in enumerate(pair)]
            for pair in pairs
        ]
        crowd.run(lambda: all(number in client.answers for pair in wanted for client, number in pair), "answers")

        for pair in wanted:
            codes = sorted(client.answers[number].get("error", {}).get("code", "") for client, number in pair)
            assert codes == ["", "limit"]
        assert shop.rows("SELECT count(*) FROM coupon WHERE drop_id = ?", drop)[0][0] == 20
        shop.assert_books()


def test_a_person_on_two_connections_with_one_key_gets_one_hold_and_hears_of_it_twice(shop: Shopfloor) -> None:
    sale = shop.sale(50, per_person=3)
    with Crowd(shop.server.http_port) as crowd:
        left, right = shop.join(crowd, "two-phones"), shop.join(crowd, "two-phones")
        one, two = (client.send("sale.hold", sale=sale, quantity=1, key="same") for client in (left, right))
        crowd.run(lambda: one in left.answers and two in right.answers, "both answers")

        assert left.answers[one]["hold"] == right.answers[two]["hold"]
        assert len(shop.holds(sale)) == 1
        shop.assert_books()
