"""Connections drop and come back: nothing of the room is lost or doubled, and personal events wait for their ack."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness import live_server
from tests.integration.scene import Scene, undisturbed
from tests.integration.shopfloor import Shopfloor
from tests.integration.sockets import HubClient

LINES_PER_S = 50
SECONDS = 6.0


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shopfloor]:
    with live_server(tmp_path_factory.mktemp("resume")) as server:
        shop = Shopfloor(server)
        yield shop
        assert server.stop() == 0
        assert '"level":"error"' not in server.log()


@pytest.fixture
def scene(shop: Shopfloor) -> Iterator[Scene]:
    with undisturbed(shop) as scene:
        yield scene


def _room(client: HubClient) -> dict[str, Any]:
    assert client.room is not None
    return client.room


class Wanderer:
    """A viewer who loses the connection again and again, and remembers epoch, offset and every kept event."""

    def __init__(self, scene: Scene, person: str) -> None:
        self._scene = scene
        self._person = person
        self.joins = 0
        self.seen: list[dict[str, Any]] = []
        self.since: str | None = None
        self._come()

    def _come(self) -> None:
        self.client = self._scene.shop.join(self._scene.crowd, self._person, since=self.since)
        self.joins += 1
        room = _room(self.client)
        assert room["resumed"] is (self.since is not None)
        if room["resumed"]:
            self.seen += room["history"]

    def leave(self) -> None:
        """Take what came, and drop the connection."""
        self.client.cut()
        room = _room(self.client)
        self.seen += [event for event in self.client.events if "o" in event]
        self.since = f"{room['epoch']}:{max([room['offset'], *(event['o'] for event in self.seen)])}"

    def wander(self) -> None:
        self.leave()
        self._come()


def test_who_is_cut_off_again_and_again_has_every_line_once_in_order(scene: Scene) -> None:
    randomness = random.Random(8)
    talkers = [scene.guest(f"talker-{n}") for n in range(LINES_PER_S)]
    wanderers = [Wanderer(scene, scene.name(f"wanderer-{n}")) for n in range(5)]
    said: list[str] = []
    began = time.monotonic()
    moves = sorted((began + randomness.uniform(0.2, SECONDS), n) for n in range(len(wanderers)) for _ in range(6))
    for number in itertools.count():
        due = began + number / LINES_PER_S
        if due > began + SECONDS:
            break
        scene.crowd.idle(max(0.0, due - time.monotonic()))
        talkers[number % LINES_PER_S].send("chat.send", text=f"第{number}句")
        said.append(f"第{number}句")
        while moves and moves[0][0] <= time.monotonic():
            wanderers[moves.pop(0)[1]].wander()
    scene.crowd.run(
        lambda: len([e for e in scene.bystander.of("chat") if e["text"] in set(said)]) == len(said), "all lines"
    )
    for wanderer in wanderers:
        wanderer.wander()
        wanderer.leave()
        offsets = [event["o"] for event in wanderer.seen]
        assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
        assert [event["text"] for event in wanderer.seen if event["t"] == "chat"] == said
        assert wanderer.joins == 8


@pytest.mark.parametrize(
    "since",
    [
        "",
        ":",
        "garbage",
        "EPOCH",
        "EPOCH:",
        "EPOCH:-1",
        "EPOCH:x",
        "EPOCH:1.5",
        "EPOCH:१",
        "EPOCH:" + "9" * 30,
        "EPOCH:" + "9" * 5_000,
        "EPOCH:0x10",
        "EPOCH: 1",
        "EPOCH:1:1",
        "EPOCH\u0000:1",
        ":1",
        "another:1",
        "epoch-" * 20 + ":1",
        "'; DROP TABLE hold; --:1",
    ],
)
def test_a_since_that_means_nothing_gets_the_room_afresh(scene: Scene, since: str) -> None:
    epoch = _room(scene.bystander)["epoch"]
    client = scene.shop.join(scene.crowd, scene.name("muddled"), since=since.replace("EPOCH", epoch))
    room = _room(client)
    assert room["resumed"] is False
    assert room["sales"]
    assert client.command("like", n=1)["ok"]


def test_an_offset_of_the_future_gets_the_room_afresh(scene: Scene) -> None:
    room = _room(scene.bystander)
    client = scene.shop.join(scene.crowd, scene.name("ahead"), since=f"{room['epoch']}:{room['offset'] + 1_000}")
    assert _room(client)["resumed"] is False


def test_the_epoch_of_before_a_restart_gets_the_room_afresh(shop: Shopfloor) -> None:
    with undisturbed(shop) as scene:
        scene.talker.command("chat.send", text="再见")
        before = _room(shop.join(scene.crowd, scene.name("faithful")))
        scene.assert_undisturbed()
        shop.server.stop()
        scene.crowd.run(lambda: scene.bystander.closed is not None, "the farewell")
        assert scene.bystander.closed is not None
        assert scene.bystander.closed[0] == 4000
        shop.server.start()
        scene.bystander, scene.talker = scene.guest("bystander"), scene.guest("talker")
        client = shop.join(scene.crowd, scene.name("faithful"), since=f"{before['epoch']}:{before['offset']}")
        assert _room(client)["resumed"] is False
        assert _room(client)["epoch"] != before["epoch"]


def test_coupons_and_orders_come_again_at_each_join_until_they_are_acknowledged(scene: Scene) -> None:
    person, shop = scene.name("forgetful"), scene.shop
    client = shop.join(scene.crowd, person)
    hold = client.command("sale.hold", sale=shop.sale(5), quantity=1, key="k")["hold"]
    coupon = client.command("coupon.claim", drop=shop.drop(5), key="k")["coupon"]["coupon"]
    order = client.command("order.create", hold=hold, coupon=coupon, key="k")["order"]["order"]

    def personal(at: HubClient) -> list[tuple[int, str, str]]:
        return [(e["a"], e["t"], e[e["t"]][e["t"]]) for e in at.events if "a" in e]

    expected = [(1, "coupon", coupon), (2, "order", order)]

    def assert_both(at: HubClient) -> None:
        scene.crowd.run(lambda: len(personal(at)) >= 2, "both events")
        assert personal(at) == expected

    assert_both(client)
    for since in (None, "OFFSET"):
        room = _room(client)
        client.cut()
        client = shop.join(scene.crowd, person, since=since and f"{room['epoch']}:{room['offset']}")
        assert_both(client)
    assert client.command("ack", to=1)["ok"]
    client.cut()
    client = shop.join(scene.crowd, person)
    scene.crowd.run(lambda: bool(personal(client)), "what is not acknowledged")
    assert personal(client) == expected[1:]
    client.command("order.pay", order=order, key="k")
    scene.crowd.run(lambda: len(personal(client)) >= 2, "the paid order")
    assert personal(client) == [(2, "order", order), (3, "order", order)]
    assert [event["order"]["status"] for event in client.of("order")] == ["pending", "paid"]
    client.command("ack", to=3)
    client.cut()
    client = shop.join(scene.crowd, person)
    scene.crowd.idle(0.3)
    assert personal(client) == []


def test_who_was_away_gets_the_personal_events_of_that_time(scene: Scene) -> None:
    person, shop = scene.name("away"), scene.shop
    client = shop.join(scene.crowd, person)
    hold = client.command("sale.hold", sale=shop.sale(5, hold_s=2), quantity=1, key="k")["hold"]
    order = client.command("order.create", hold=hold, key="k")["order"]["order"]
    scene.crowd.run(lambda: bool(client.of("order")), "the order")
    client.command("ack", to=client.of("order")[-1]["a"])
    client.cut()

    def cancelled() -> bool:
        scene.crowd.idle(0.2)
        return bool(shop.rows("SELECT 1 FROM orders WHERE id = ? AND status = 'cancelled'", order))

    scene.crowd.run(cancelled, "the order's end")
    scene.crowd.idle(0.3)
    client = shop.join(scene.crowd, person)
    scene.crowd.run(lambda: bool(client.of("order")), "the order's end")
    assert [(e["order"]["order"], e["order"]["status"]) for e in client.of("order")] == [(order, "cancelled")]


def test_both_connections_of_a_person_get_personal_events_and_one_ack_serves_both(scene: Scene) -> None:
    person, shop = scene.name("two-phones"), scene.shop
    left, right = shop.join(scene.crowd, person), shop.join(scene.crowd, person)
    stranger = scene.guest("stranger")
    left.command("coupon.claim", drop=shop.drop(5), key="k")
    scene.crowd.run(lambda: bool(left.of("coupon") and right.of("coupon")), "the coupon on both")
    assert left.of("coupon") == right.of("coupon")
    right.command("ack", to=1)
    left.cut()
    again = shop.join(scene.crowd, person)
    scene.crowd.idle(0.2)
    assert again.of("coupon") == stranger.of("coupon") == []


def test_an_ack_of_what_was_never_sent_loses_nothing_that_comes_later(scene: Scene) -> None:
    person, shop = scene.name("hasty"), scene.shop
    client = shop.join(scene.crowd, person)
    assert client.command("ack", to=2**53 - 1)["ok"]
    client.command("coupon.claim", drop=shop.drop(5), key="k")
    client.cut()
    again = shop.join(scene.crowd, person)
    scene.crowd.run(lambda: bool(again.of("coupon")), "the coupon")
    assert len(again.of("coupon")) == 1
