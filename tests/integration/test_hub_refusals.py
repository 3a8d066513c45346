"""Commands that cannot be done: each gets the refusal that docs/hub.md lists, and leaves the books as they were."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness import live_server
from tests.integration.scene import Scene, undisturbed
from tests.integration.shopfloor import Shopfloor
from tests.integration.sockets import HubClient


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shopfloor]:
    with live_server(tmp_path_factory.mktemp("refusals")) as server:
        # A second merchant in the same books, which only one process at a time may write.
        server.stop()
        other = json.loads(server.run("seed", "--json").stdout)
        server.start()
        shop = Shopfloor(server)
        shop.other = other
        shop.second_room = shop.ask("POST", "/rooms", {"title": "二号直播间"}, token=server.seed["merchant_token"])[
            "id"
        ]
        yield shop
        shop.assert_audited()
        assert server.stop() == 0
        assert '"level":"error"' not in server.log()


@pytest.fixture
def scene(shop: Shopfloor) -> Iterator[Scene]:
    with undisturbed(shop) as scene:
        yield scene


def _code(answer: dict[str, Any]) -> str:
    """The refusal's code; a refusal says in words what is wrong."""
    assert "error" in answer, answer
    assert answer["error"]["message"]
    code: str = answer["error"]["code"]
    return code


def _hold(client: HubClient, sale: str, key: str = "key", **more: Any) -> dict[str, Any]:
    return client.command("sale.hold", **{"sale": sale, "quantity": 1, "key": key, **more})


# Words and values


@pytest.mark.parametrize("cmd", ["no.such", "sale", "SALE.HOLD", "__class__", "sale.hold ", "房间", "x" * 64])
def test_a_command_there_is_not_is_answered_so(scene: Scene, cmd: str) -> None:
    client = scene.guest("creative")
    assert _code(client.command(cmd)) == "unknown_command"
    assert client.command("like", n=1)["ok"]


@pytest.mark.parametrize("quantity", [0, -1, 1.5, 1.0, 1_001, 2**63, 2**64, 10**30, 1e300, "1", True, None, [1], {}])
def test_a_quantity_that_is_no_count_is_invalid(scene: Scene, quantity: Any) -> None:
    client, sale = scene.guest("counter"), scene.shop.sale(5, per_person=5)
    assert _code(_hold(client, sale, quantity=quantity)) == "invalid"
    assert scene.shop.holds(sale) == {}


@pytest.mark.parametrize(
    ("cmd", "arguments"),
    [
        ("sale.hold", {}),
        ("sale.hold", {"sale": 5, "key": "k"}),
        ("sale.hold", {"sale": "", "key": "k"}),
        ("sale.hold", {"sale": ["s"], "key": "k"}),
        ("sale.hold", {"sale": "s"}),
        ("sale.hold", {"sale": "s", "key": 7}),
        ("sale.hold", {"sale": "s", "key": "k", "version": "1"}),
        ("sale.hold", {"sale": "x" * 65, "key": "k"}),
        ("coupon.claim", {}),
        ("coupon.claim", {"drop": None}),
        ("coupon.claim", {"drop": "d", "key": {}}),
        ("order.create", {}),
        ("order.create", {"key": "k"}),
        ("order.create", {"key": "k", "lines": {}}),
        ("order.create", {"key": "k", "lines": ["sku"]}),
        ("order.create", {"key": "k", "lines": [{"sku": "s"}]}),
        ("order.create", {"key": "k", "lines": [{"sku": "s", "quantity": -3}]}),
        ("order.create", {"key": "k", "lines": [{"sku": "s", "quantity": 1, "price": 1}]}),
        ("order.create", {"key": "k", "lines": [{"sku": "s", "quantity": 1}] * 51}),
        ("order.create", {"key": "k", "hold": 1}),
        ("order.pay", {"order": "o"}),
        ("order.pay", {"key": "k"}),
        ("chat.send", {}),
        ("chat.send", {"text": 5}),
        ("chat.send", {"text": "   "}),
        ("chat.send", {"text": "x" * 501}),
        ("chat.send", {"text": "a\u0000b"}),
        ("like", {"n": 0}),
        ("like", {"n": -5}),
        ("like", {"n": "many"}),
        ("like", {"n": 1.5}),
        ("ack", {}),
        ("ack", {"to": "all"}),
        ("ack", {"to": -1}),
    ],
)
def test_arguments_of_a_wrong_kind_are_invalid(scene: Scene, cmd: str, arguments: dict[str, Any]) -> None:
    client = scene.guest("sloppy")
    assert _code(client.command(cmd, **arguments)) == "invalid"
    assert client.closed is None


@pytest.mark.parametrize("key", ["", "k" * 65, "k" * 10_000, "钥" * 65, "a\u0000b"])
def test_a_key_that_cannot_be_kept_is_invalid_everywhere(scene: Scene, key: str) -> None:
    client, sale, drop = scene.guest("locksmith"), scene.shop.sale(5, per_person=5), scene.shop.drop(5, per_person=5)
    hold = _hold(client, sale, "good")["hold"]
    for _ in range(2):
        assert _code(_hold(client, sale, key)) == "invalid"
        if key:
            assert _code(client.command("coupon.claim", drop=drop, key=key)) == "invalid"
        assert _code(client.command("order.create", hold=hold, key=key)) == "invalid"
        assert _code(client.command("order.pay", order="x", key=key)) == "invalid"


@pytest.mark.parametrize(
    "key", ["钥" * 64, "🔑" * 64, "é", "e\u0301", "\u202e", "' OR 1=1 --", '"\\', "\n", "%s:?1", "\ufeff", "{}"]
)
def test_a_key_may_have_any_characters_and_stands_for_one_hold(scene: Scene, key: str) -> None:
    client, sale = scene.guest("poet"), scene.shop.sale(5, per_person=5)
    first, again, other = _hold(client, sale, key), _hold(client, sale, key), _hold(client, sale, "another key")
    assert first["hold"] == again["hold"] != other["hold"]
    assert len(scene.shop.holds(sale)) == 2


def test_keys_that_only_look_alike_are_two(scene: Scene) -> None:
    client, sale = scene.guest("twins"), scene.shop.sale(5, per_person=5)
    holds = {_hold(client, sale, key)["hold"] for key in ("é", "e\u0301", "E", " e", "e")}
    assert len(holds) == 5


# Sales


def test_a_sale_there_is_not_or_of_another_room_or_merchant_is_not_found(scene: Scene) -> None:
    client, shop = scene.guest("lost"), scene.shop
    elsewhere = shop.join_room(scene.crowd, shop.second_room, scene.name("lost"))
    sale = shop.sale(5)
    assert _code(_hold(client, "nothing")) == "not_found"
    assert _code(_hold(client, shop.other["sale"])) == "not_found"
    assert _code(_hold(elsewhere, sale)) == "not_found"
    assert _code(_hold(client, sale + "\u0000x")) == "not_found"
    assert shop.holds(sale) == {}


def test_a_sale_that_is_not_open_says_why(scene: Scene) -> None:
    client, host, shop = scene.guest("early"), scene.host(), scene.shop
    sale = shop.sale(5, start=False)
    assert _code(_hold(client, sale)) == "not_open"
    assert host.command("sale.start", sale=sale, countdown_s=200)["sale"]["state"] == "countdown"
    assert _code(_hold(client, sale)) == "not_open"
    assert host.command("sale.pause", sale=sale)["sale"]["state"] == "paused"
    assert _code(_hold(client, sale)) == "paused"
    assert host.command("sale.close", sale=sale)["sale"]["state"] == "closed"
    assert _code(_hold(client, sale)) == "closed"
    assert _code(host.command("sale.start", sale=sale, countdown_s=0)) == "closed"


def test_more_than_there_is_or_than_one_person_may_have_is_refused(scene: Scene) -> None:
    client, sale = scene.guest("greedy"), scene.shop.sale(3, per_person=10)
    many = _hold(client, sale, quantity=5)
    assert _code(many) == "sold_out"
    assert many["error"]["left"] == 3
    assert _code(_hold(client, sale, quantity=11)) == "limit"
    assert _hold(client, sale, "all", quantity=3)["quantity"] == 3
    assert _code(_hold(scene.guest("late"), sale)) == "sold_out"


def test_a_stale_price_is_refused_with_the_new_one(scene: Scene) -> None:
    client, sale = scene.guest("remembering"), scene.shop.sale(5)
    refused = _hold(client, sale, version=99)
    assert _code(refused) == "price_changed"
    assert (refused["error"]["price"], refused["error"]["version"]) == (990, 1)
    assert _hold(client, sale, version=1)["price"] == 990


def test_one_key_for_two_requests_is_refused(scene: Scene) -> None:
    client, sale = scene.guest("reuser"), scene.shop.sale(5, per_person=5)
    assert _hold(client, sale)["quantity"] == 1
    assert _code(_hold(client, sale, quantity=2)) == "key_reused"
    assert len(scene.shop.holds(sale)) == 1


# Coupons


def test_a_coupon_twice_is_the_same_with_one_key_and_refused_with_another(scene: Scene) -> None:
    client, drop = scene.guest("collector"), scene.shop.drop(5)
    first = client.command("coupon.claim", drop=drop, key="a")
    again = client.command("coupon.claim", drop=drop, key="a")
    assert first["coupon"] == again["coupon"]
    assert _code(client.command("coupon.claim", drop=drop, key="b")) in {"limit", "already"}
    assert _code(client.command("coupon.claim", drop=drop)) in {"limit", "already"}


def test_a_coupon_without_a_key_is_one_however_often_it_is_asked_for(scene: Scene) -> None:
    client, drop = scene.guest("keyless"), scene.shop.drop(5, per_person=3)
    first = client.command("coupon.claim", drop=drop)
    again = client.command("coupon.claim", drop=drop)
    assert first["coupon"] == again["coupon"]


def test_a_drop_there_is_not_or_of_another_room_or_merchant_is_not_found(scene: Scene) -> None:
    client, shop = scene.guest("lost"), scene.shop
    elsewhere = shop.drop(5, room=shop.second_room, token=shop.server.seed["merchant_token"])
    foreign = shop.drop(5, room=shop.other["room"], token=shop.other["host_token"])
    for drop in ("nothing", "x" * 64, elsewhere, foreign):
        assert _code(client.command("coupon.claim", drop=drop)) == "not_found"
        assert _code(client.command("coupon.claim", drop=drop, key="k")) == "not_found"


def test_a_drop_that_is_over_is_gone_or_closed(scene: Scene) -> None:
    client, host, shop = scene.guest("slow"), scene.host(), scene.shop
    small, closed = shop.drop(1), shop.drop(1)
    scene.guest("quick").command("coupon.claim", drop=small, key="k")
    assert _code(client.command("coupon.claim", drop=small, key="k")) == "gone"
    assert host.command("drop.close", drop=closed)["drop"]["state"] == "closed"
    assert _code(client.command("coupon.claim", drop=closed, key="k")) == "closed"


# Orders


def test_an_order_is_paid_once_however_often_it_is_asked_for(scene: Scene) -> None:
    client, shop = scene.guest("payer"), scene.shop
    hold = _hold(client, shop.sale(5))["hold"]
    order = client.command("order.create", hold=hold, key="k")["order"]["order"]
    paid = [client.command("order.pay", order=order, key=key)["order"] for key in ("p", "p", "q")]
    assert {view["status"] for view in paid} == {"paid"}
    assert paid[0] == paid[1] == paid[2]
    assert shop.rows("SELECT state FROM payment WHERE order_id = ?", order)[0]["state"] == "settled"
    assert shop.rows("SELECT count(*) FROM payment WHERE order_id = ?", order)[0][0] == 1


def test_two_payments_of_one_order_at_the_same_moment_are_one(scene: Scene) -> None:
    left, shop = scene.guest("both-hands"), scene.shop
    right = scene.guest("both-hands")
    order = left.command("order.create", hold=_hold(left, shop.sale(5))["hold"], key="k")["order"]["order"]
    numbers = [(client, client.send("order.pay", order=order, key=f"{client.port}")) for client in (left, right)]
    scene.crowd.run(lambda: all(number in client.answers for client, number in numbers), "both answers")
    assert {client.answers[number]["order"]["status"] for client, number in numbers} == {"paid"}
    settled = shop.rows("SELECT count(*) FROM payment WHERE order_id = ? AND state = 'settled'", order)
    assert settled[0][0] == 1


def test_what_belongs_to_another_person_is_not_found(scene: Scene) -> None:
    owner, thief, shop = scene.guest("owner"), scene.guest("thief"), scene.shop
    sale = shop.sale(5)
    hold = _hold(owner, sale)["hold"]
    coupon = owner.command("coupon.claim", drop=shop.drop(5), key="k")["coupon"]["coupon"]
    assert _code(thief.command("order.create", hold=hold, key="k")) == "not_found"
    own = _hold(thief, sale)["hold"]
    assert _code(thief.command("order.create", hold=own, coupon=coupon, key="k")) in {"not_found", "coupon_invalid"}
    order = owner.command("order.create", hold=hold, coupon=coupon, key="k")["order"]["order"]
    assert _code(thief.command("order.pay", order=order, key="k")) == "not_found"
    assert _code(thief.command("order.pay", order="nothing", key="k")) == "not_found"
    # The other shop's host sees it as little as a stranger does.
    foreign = scene.crowd.join(shop.other["room"], shop.other["host_token"])
    assert _code(foreign.command("order.pay", order=order, key="k")) == "not_found"
    assert not thief.of("order")
    assert owner.command("order.pay", order=order, key="k")["order"]["status"] == "paid"


def test_a_hold_and_a_coupon_are_good_for_one_order(scene: Scene) -> None:
    client, shop = scene.guest("doubler"), scene.shop
    sale = shop.sale(5, per_person=2)
    one, two = _hold(client, sale, "1")["hold"], _hold(client, sale, "2")["hold"]
    coupon = client.command("coupon.claim", drop=shop.drop(5), key="k")["coupon"]["coupon"]
    order = client.command("order.create", hold=one, coupon=coupon, key="k")["order"]
    assert client.command("order.create", hold=one, coupon=coupon, key="k")["order"]["order"] == order["order"]
    assert _code(client.command("order.create", hold=one, key="other")) == "already"
    assert _code(client.command("order.create", hold=two, coupon=coupon, key="more")) == "coupon_invalid"
    assert _code(client.command("order.create", hold=two, key="k")) == "key_reused"


def test_lines_are_refused_when_they_are_stale_unknown_or_too_many_units(scene: Scene) -> None:
    client, shop = scene.guest("shopper"), scene.shop
    card = shop.product("茶", price=500, stock=10)
    good = {"sku": card["sku"], "quantity": 6, "version": card["version"]}

    def order(*lines: dict[str, Any]) -> dict[str, Any]:
        return client.command("order.create", lines=lines, key="k")

    stale = order({**good, "version": 99})
    assert _code(stale) == "price_changed"
    assert stale["error"]["price"] == 500
    assert _code(order({**good, "sku": "nothing"})) == "not_found"
    assert _code(order({**good, "sku": shop.other["products"][0]["sku"]})) == "not_found"
    assert _code(order(good, good)) == "sold_out"
    assert _code(order({**good, "quantity": 11})) == "sold_out"
    assert _code(order({**good, "quantity": 1_001})) == "invalid"
    assert order({**good, "quantity": 5}, {**good, "quantity": 5})["order"]["amount"] == 5_000


# Staff


STAFF_COMMANDS: list[tuple[str, dict[str, Any]]] = [
    ("pin", {"product": "PRODUCT"}),
    ("unpin", {"product": "PRODUCT"}),
    ("drop.start", {"title": "t", "reason": "r", "amount": 1, "total": 1}),
    ("drop.close", {"drop": "DROP"}),
    ("sale.create", {"sku": "SKU", "price": 1, "total": 1}),
    ("sale.start", {"sale": "SALE", "countdown_s": 0}),
    ("sale.pause", {"sale": "SALE"}),
    ("sale.resume", {"sale": "SALE"}),
    ("sale.close", {"sale": "SALE"}),
    ("mute", {"person": "PERSON", "seconds": 60}),
    ("unmute", {"person": "PERSON"}),
    ("notice", {"text": "免费"}),
]


@pytest.mark.parametrize("role", ["viewer", "guest", "guide", "root", ""])
def test_what_only_staff_may_do_is_forbidden_to_everyone_else(scene: Scene, role: str) -> None:
    shop = scene.shop
    product = shop.server.seed["products"][0]
    things = {
        "PRODUCT": product["product"],
        "SKU": product["sku"],
        "DROP": shop.drop(5),
        "SALE": shop.sale(5),
        "PERSON": scene.talker.person,
    }
    before = shop.ask("GET", f"/rooms/{shop.server.room}")
    climber = scene.crowd.join(shop.server.room, shop.token(scene.name("climber"), role=role))
    for cmd, arguments in STAFF_COMMANDS:
        filled = {name: things.get(str(value), value) for name, value in arguments.items()}
        assert _code(climber.command(cmd, **filled)) == "forbidden", cmd
    after = shop.ask("GET", f"/rooms/{shop.server.room}")
    assert {name: after[name] for name in ("pins", "sales", "drops", "shelf")} == {
        name: before[name] for name in ("pins", "sales", "drops", "shelf")
    }


def test_a_host_steers_only_what_belongs_to_the_room(scene: Scene) -> None:
    host, shop = scene.host(), scene.shop
    boss = shop.server.seed["merchant_token"]
    elsewhere_sale = shop.sale(5, room=shop.second_room, token=boss)
    elsewhere_drop = shop.drop(5, room=shop.second_room, token=boss)
    foreign_drop = shop.drop(5, room=shop.other["room"], token=shop.other["host_token"])
    foreign_product = shop.other["products"][0]
    for drop in (elsewhere_drop, foreign_drop, "nothing"):
        assert _code(host.command("drop.close", drop=drop)) == "not_found"
    for verb in ("sale.start", "sale.pause", "sale.resume", "sale.close"):
        for sale in (elsewhere_sale, shop.other["sale"], "nothing"):
            assert _code(host.command(verb, sale=sale)) == "not_found", verb
    assert _code(host.command("pin", product=foreign_product["product"])) == "not_found"
    assert _code(host.command("sale.create", sku=foreign_product["sku"], price=1, total=1)) == "not_found"
    [sale] = shop.rows("SELECT closed_ms, paused_ms FROM sale WHERE id = ?", elsewhere_sale)
    assert (sale["closed_ms"], sale["paused_ms"]) == (None, None)


@pytest.mark.parametrize(
    ("cmd", "arguments"),
    [
        ("drop.start", {"title": "t", "reason": "r", "amount": 0, "total": 1}),
        ("drop.start", {"title": "t", "reason": "r", "amount": 1, "total": 10**12}),
        ("drop.start", {"title": "t", "reason": "", "amount": 1, "total": 1}),
        ("drop.start", {"title": "t", "reason": "r", "amount": 1, "total": 1, "free": True}),
        ("sale.create", {"sku": "SKU", "price": -1, "total": 1}),
        ("sale.create", {"sku": "SKU", "price": 1.5, "total": 1}),
        ("sale.create", {"sku": "SKU", "price": 1, "total": 0}),
        ("sale.create", {"sku": "SKU", "price": 1, "total": 1, "hold_s": 10**9}),
        ("sale.start", {"sale": "s", "countdown_s": -1}),
        ("mute", {"person": "p"}),
        ("mute", {"person": "p", "seconds": 10**12}),
        ("mute", {"person": 5, "seconds": 5}),
        ("notice", {"text": ""}),
        ("pin", {"product": "p", "explaining": "yes"}),
    ],
)
def test_staff_who_ask_for_nonsense_are_told_so(scene: Scene, cmd: str, arguments: dict[str, Any]) -> None:
    sku = scene.shop.server.seed["products"][0]["sku"]
    filled = {name: sku if value == "SKU" else value for name, value in arguments.items()}
    assert _code(scene.host().command(cmd, **filled)) == "invalid"


def test_a_sale_of_more_than_the_stock_is_refused(scene: Scene) -> None:
    card = scene.shop.product("少", stock=3)
    answer = scene.host().command("sale.create", sku=card["sku"], price=1, total=4)
    assert _code(answer) == "sold_out"
