"""The JSON API: the whole path of a purchase, and what it answers to those who err."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from commerce.store_sql import read_engine
from gateway import schemas, schemas_moments
from tests.gateway.rig import Rig, rig


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        yield running


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The problem details of an answer that must be this refusal."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status and body["code"] == code and body["title"] and body["detail"]
    return body


async def held(live: Rig, token: str, key: str = "h1") -> dict[str, Any]:
    """A unit of the seeded sale, held by the bearer of ``token``."""
    path = f"/rooms/{live.shop.room}/sales/{live.shop.sale}"
    started = await live.call("POST", f"{path}/start", {"countdown_s": 0}, token=live.shop.host_token)
    assert started.status_code in {200, 422}, started.text
    answer = await live.call("POST", f"{path}/holds", {"quantity": 1}, token=token, key=key)
    assert answer.status_code == 201, answer.text
    hold: dict[str, Any] = answer.json()
    return hold


async def test_a_viewer_buys_a_flash_sale_unit_with_a_coupon_and_the_merchant_sees_who_brought_them(live: Rig) -> None:
    room = live.shop.room
    link = await live.call("POST", "/links", {"room": room, "channel": "社群"}, token=live.shop.merchant_token)
    assert link.status_code == 201 and link.json()["url"].endswith(f"/r/{room}?s={link.json()['token']}")
    guest = await live.guest(name="小雨", scene=link.json()["token"])
    drop = await live.call(
        "POST",
        f"/rooms/{room}/drops",
        {
            "title": "立减",
            "reason": "上新",
            "amount": 300,
            "threshold": 500,
            "total": 5,
            "per_person": 1,
            "seconds": 60,
        },
        token=live.shop.host_token,
    )
    assert drop.status_code == 201, drop.text
    shop = live.application.services.shop
    coupon = await shop.claim_coupon(live.shop.merchant, room, guest["person"], drop.json()["drop"], "c1")
    hold = await held(live, guest["token"])
    body = {"room": room, "hold": hold["hold"], "coupon": coupon.coupon}
    ordered = await live.call("POST", "/orders", body, token=guest["token"], key="o1")
    assert ordered.status_code == 201, ordered.text
    order = ordered.json()["order"]
    assert (order["amount"], order["discount"], order["status"]) == (690, 300, "pending")
    paid = await live.call("POST", f"/orders/{order['order']}/pay", token=guest["token"], key="p1")
    assert paid.status_code == 200 and paid.json()["order"]["status"] == "paid", paid.text
    board = (await live.call("GET", "/board", token=live.shop.merchant_token)).json()
    (row,) = board["orders"]
    assert row["order"] == order["order"] and row["channel"] == "社群" and row["name"] == "小雨"
    assert board["gmv"] == 690


async def test_answers_have_the_shape_that_the_contract_says(live: Rig) -> None:
    room = live.shop.room
    shapes: list[tuple[str, Any, str | None]] = [
        (f"/rooms/{room}", schemas.RoomAnswer, None),
        (f"/rooms/{room}/products", list[schemas.CardView], None),
        (f"/rooms/{room}/sales", list[schemas_moments.SaleView], None),
        (f"/rooms/{room}/plans", list[schemas_moments.PlanView], live.shop.host_token),
        (f"/rooms/{room}/draws", list[schemas_moments.DrawView], None),
        (f"/rooms/{room}/teams", list[schemas_moments.TeamView], None),
        (f"/rooms/{room}/streams", schemas.StreamsAnswer, live.shop.host_token),
        (f"/rooms/{room}/stats", schemas.StatsAnswer, live.shop.host_token),
        ("/rooms", schemas.Page, live.shop.merchant_token),
        ("/orders", schemas.Page, live.shop.merchant_token),
        ("/people", schemas.Page, live.shop.merchant_token),
    ]
    for path, shape, token in shapes:
        answer = await live.call("GET", path, token=token)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        msgspec.json.decode(answer.content, type=shape)


async def test_a_new_product_is_answered_as_the_card_that_the_shelf_shows(live: Rig) -> None:
    path = f"/rooms/{live.shop.room}/products"
    made = await live.call("POST", path, {"title": "高山红茶", "price": 6_800, "stock": 50}, token=live.shop.host_token)
    assert made.status_code == 201, made.text
    card = msgspec.json.decode(made.content, type=schemas.CardView)
    assert (card.title, card.price, card.stock) == ("高山红茶", 6_800, 50)
    assert made.json() in (await live.call("GET", path)).json()


async def test_the_contract_lists_every_operation_and_its_bodies(live: Rig) -> None:
    contract = (await live.client.get("/openapi.json")).json()
    assert contract["openapi"].startswith("3.1")
    assert set(contract["paths"]["/api/v1/orders"]) == {"get", "post"}
    order = contract["paths"]["/api/v1/orders"]["post"]
    assert order["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/OrderBody"}
    names = [operation["operationId"] for path in contract["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/auth/guest", {}),
        ("POST", "/auth/guest", {"room": 7}),
        ("POST", "/auth/guest", {"room": "ROOM", "name": "x" * 41}),
        ("POST", "/auth/guest", {"room": "ROOM", "surprise": 1}),
        ("POST", "/rooms/ROOM/products", {"title": "", "price": 1, "stock": 1}),
        ("POST", "/rooms/ROOM/products", {"title": "x", "price": -1, "stock": 1}),
        ("POST", "/rooms/ROOM/products", {"title": "x", "price": 1.5, "stock": 1}),
        ("POST", "/rooms/ROOM/products", {"title": "x", "price": 10**18, "stock": 1}),
        ("POST", "/rooms/ROOM/products", {"title": "x", "price": "9", "stock": 1}),
        ("POST", "/rooms/ROOM/sales", {"sku": "s", "price": 1, "total": 0}),
        ("POST", "/rooms/ROOM/drops", {"title": "t", "reason": "", "amount": 1, "total": 1}),
        ("POST", "/orders", {"room": "ROOM", "lines": [{"sku": "x", "quantity": 0}]}),
        ("POST", "/orders", {"room": "ROOM", "lines": [{"sku": "x", "quantity": 1}] * 51}),
        ("POST", "/orders", []),
        ("POST", "/links", {"room": "ROOM", "parent": "x" * 65}),
        ("POST", "/touches", {"kind": "room_entry"}),
    ],
)
async def test_a_body_of_wrong_shape_is_refused_with_what_is_wrong(
    live: Rig, method: str, path: str, body: Any
) -> None:
    room = live.shop.room
    if isinstance(body, dict) and body.get("room") == "ROOM":
        body = {**body, "room": room}
    answer = await live.call(method, path.replace("ROOM", room), body, token=live.shop.merchant_token, key="k")
    problem(answer, 400, "invalid")


@pytest.mark.parametrize("raw", [b"{", b"\xff\xfe", b"[" * 50_000, b'{"room":"' + b"x" * 70_000 + b'"}'])
async def test_bytes_that_are_no_json_are_refused(live: Rig, raw: bytes) -> None:
    answer = await live.client.post("/api/v1/auth/guest", content=raw)
    problem(answer, 413 if len(raw) > 65_536 else 400, "too_long" if len(raw) > 65_536 else "invalid")


async def test_a_missing_a_forged_and_an_expired_token_are_told_apart(live: Rig) -> None:
    assert "missing" in problem(await live.call("GET", "/orders"), 401, "token")["detail"]
    answer = await live.call("GET", "/orders", token=live.shop.merchant_token[:-4] + "AAAA")
    problem(answer, 401, "token")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    guest = await live.guest()
    live.clock.ahead_ms = 13 * 3_600_000
    problem(await live.call("GET", "/orders", token=guest["token"]), 401, "token_expired")


async def test_a_viewer_may_not_do_what_staff_does(live: Rig) -> None:
    token = (await live.guest())["token"]
    room = live.shop.room
    product = live.shop.products[0]["product"]
    for method, path, body in [
        ("POST", f"/rooms/{room}/pin", {"product": product}),
        ("POST", f"/rooms/{room}/products", {"title": "x", "price": 1, "stock": 1}),
        ("GET", f"/rooms/{room}/streams", None),
        ("GET", "/board", None),
        ("GET", "/people", None),
        ("POST", "/rooms", {"title": "x"}),
    ]:
        problem(await live.call(method, path, body, token=token), 403, "forbidden")


async def test_nothing_crosses_merchants(live: Rig) -> None:
    mine, theirs = live.shop, live.other
    guest = await live.guest()
    hold = await held(live, guest["token"])
    answer = await live.call(
        "POST", "/orders", {"room": mine.room, "hold": hold["hold"]}, token=guest["token"], key="o"
    )
    order = answer.json()["order"]["order"]
    stranger = await live.guest(theirs.room)
    path = f"/rooms/{mine.room}"
    tries: list[tuple[str, str, Any, str]] = [
        ("GET", f"/orders/{order}", None, theirs.merchant_token),
        ("GET", f"/orders/{order}", None, stranger["token"]),
        ("POST", f"/orders/{order}/pay", None, stranger["token"]),
        ("POST", f"/orders/{order}/cancel", None, stranger["token"]),
        ("POST", f"{path}/pin", {"product": mine.products[0]["product"]}, theirs.host_token),
        ("POST", f"{path}/sales/{mine.sale}/start", {}, theirs.host_token),
        ("POST", f"/rooms/{theirs.room}/sales/{mine.sale}/start", {}, theirs.host_token),
        ("POST", f"/rooms/{theirs.room}/pin", {"product": mine.products[0]["product"]}, theirs.host_token),
        ("POST", f"{path}/sales/{mine.sale}/holds", {"quantity": 1}, stranger["token"]),
        ("GET", f"{path}/streams", None, theirs.host_token),
        ("POST", "/links", {"room": mine.room}, stranger["token"]),
        ("POST", "/orders", {"room": mine.room, "hold": hold["hold"]}, stranger["token"]),
    ]
    for method, place, body, token in tries:
        answer = await live.call(method, place, body, token=token, key="x")
        assert answer.status_code == 404, f"{method} {place}: {answer.status_code} {answer.text}"
    assert (await live.call("GET", "/orders", token=stranger["token"])).json()["items"] == []
    board = (await live.call("GET", "/board", token=theirs.merchant_token)).json()
    assert board["orders"] == [] and board["gmv"] == 0


async def test_another_viewer_of_the_same_room_does_not_see_my_order(live: Rig) -> None:
    guest, neighbour = await live.guest(), await live.guest()
    hold = await held(live, guest["token"])
    answer = await live.call(
        "POST", "/orders", {"room": live.shop.room, "hold": hold["hold"]}, token=guest["token"], key="o"
    )
    order = answer.json()["order"]["order"]
    problem(await live.call("GET", f"/orders/{order}", token=neighbour["token"]), 404, "not_found")
    problem(await live.call("POST", f"/orders/{order}/pay", token=neighbour["token"], key="p"), 404, "not_found")


async def test_a_price_that_changed_is_refused_with_the_new_one(live: Rig) -> None:
    guest = await live.guest()
    product = live.shop.products[1]
    path = f"/rooms/{live.shop.room}/products/{product['product']}"
    problem(await live.call("PATCH", path, {"price": 6_100}, token=guest["token"]), 403, "forbidden")
    problem(await live.call("PATCH", path, {"price": 6_100}, token=live.other.host_token), 404, "no_room")
    changed = await live.call("PATCH", path, {"price": 6_100}, token=live.shop.host_token)
    assert changed.status_code == 200 and changed.json()["version"] == 2, changed.text
    body = {"room": live.shop.room, "lines": [{"sku": product["sku"], "quantity": 1, "version": 1}]}
    refused = problem(await live.call("POST", "/orders", body, token=guest["token"], key="o"), 422, "price_changed")
    assert (refused["price"], refused["version"]) == (6_100, 2)
    body["lines"][0]["version"] = 2  # type: ignore[index]
    assert (await live.call("POST", "/orders", body, token=guest["token"], key="o2")).status_code == 201


async def test_a_key_acts_once_and_not_for_another_body(live: Rig) -> None:
    guest = await live.guest()
    line = {"sku": live.shop.products[1]["sku"], "quantity": 1, "version": 1}
    body = {"room": live.shop.room, "lines": [line]}
    first = await live.call("POST", "/orders", body, token=guest["token"], key="same")
    again = await live.call("POST", "/orders", body, token=guest["token"], key="same")
    assert first.json() == again.json()
    body["lines"][0]["quantity"] = 2  # type: ignore[index]
    problem(await live.call("POST", "/orders", body, token=guest["token"], key="same"), 409, "key_reused")
    problem(await live.call("POST", "/orders", body, token=guest["token"]), 400, "invalid")


async def test_an_unknown_address_method_and_room_are_problems_too(live: Rig) -> None:
    problem(await live.client.get("/nowhere"), 404, "not_found")
    problem(await live.client.put("/api/v1/orders"), 405, "method")
    problem(await live.call("GET", "/rooms/nope"), 404, "no_room")
    problem(await live.client.get("/r/nope"), 404, "no_room")
    problem(await live.client.get("/live/nope.flv"), 404, "no_stream")
    problem(await live.client.get(f"/live/{live.shop.room}.avi"), 404, "no_stream")
    problem(await live.client.get(f"/ws/{live.shop.room}"), 426, "upgrade")


async def test_a_wrong_password_and_an_unknown_login_look_the_same(live: Rig) -> None:
    login = live.shop.logins["host"]["login"]
    wrong = await live.call("POST", "/auth/login", {"login": login, "password": "nope"})
    unknown = await live.call("POST", "/auth/login", {"login": "nobody", "password": "nope"})
    assert problem(wrong, 401, "bad_login") == problem(unknown, 401, "bad_login")
    good = await live.call("POST", "/auth/login", live.shop.logins["host"])
    assert good.status_code == 200 and good.json()["role"] == "host"


async def test_a_new_room_is_open_at_once(live: Rig) -> None:
    made = await live.call("POST", "/rooms", {"title": "第二间"}, token=live.shop.merchant_token)
    assert made.status_code == 201
    room = made.json()["id"]
    assert (await live.call("GET", f"/rooms/{room}")).json()["room"]["title"] == "第二间"
    assert room in live.application.services.hub.rooms()


async def test_a_share_of_a_share_is_its_child_and_a_bad_parent_does_not_stop_a_viewer(live: Rig) -> None:
    room = live.shop.room
    first, second = await live.guest(name="甲"), await live.guest(name="乙")
    parent = (await live.call("POST", "/links", {"room": room}, token=first["token"])).json()["token"]
    child = await live.call("POST", "/links", {"room": room, "parent": parent}, token=second["token"])
    assert child.status_code == 201, child.text
    forged = await live.call("POST", "/links", {"room": room, "parent": "1forgedforgedforge"}, token=first["token"])
    assert forged.status_code == 201, forged.text
    listed = (await live.call("GET", "/links", token=live.shop.merchant_token)).json()
    links = {link["token"]: link for link in listed}
    shared = links[child.json()["token"]]
    assert (shared["parent"], shared["depth"]) == (links[parent]["link"], 1)
    assert links[forged.json()["token"]]["depth"] == 0


async def test_an_order_keeps_when_the_buyer_came_in_and_what_was_explained(live: Rig) -> None:
    guest = await live.guest()
    product = live.shop.products[1]
    pin = {"product": product["product"], "explaining": True}
    pinned = await live.call("POST", f"/rooms/{live.shop.room}/pin", pin, token=live.shop.host_token)
    assert pinned.status_code == 200, pinned.text
    body = {"room": live.shop.room, "lines": [{"sku": product["sku"], "quantity": 1, "version": 1}]}
    answer = await live.call("POST", "/orders", body, token=guest["token"], key="o")
    query = text("SELECT entered_ms, card FROM orders WHERE id = :id")
    store = read_engine(live.application.services.settings.data)
    with store.connect() as connection:
        entered_ms, card = connection.execute(query, {"id": answer.json()["order"]["order"]}).one()
    store.dispose()
    assert card == product["product"] and 0 <= live.clock() - entered_ms < 60_000


async def test_a_callback_with_a_forged_signature_is_refused(live: Rig) -> None:
    answer = await live.client.post("/api/v1/payments/sandbox", content=b"{}", headers={"siyu-signature": "0" * 64})
    assert answer.status_code in {400, 422}, answer.text


async def test_a_shop_on_a_public_address_takes_no_sandbox_money_unless_asked(tmp_path: Path) -> None:
    async with rig(tmp_path, host="0.0.0.0") as public:
        guest = await public.guest()
        line = {"sku": public.shop.products[1]["sku"], "quantity": 1, "version": 1}
        body = {"room": public.shop.room, "lines": [line]}
        order = (await public.call("POST", "/orders", body, token=guest["token"], key="o")).json()["order"]["order"]
        problem(await public.call("POST", f"/orders/{order}/pay", token=guest["token"], key="p"), 422, "no_provider")
        problem(await public.client.post("/api/v1/payments/sandbox", content=b"{}"), 404, "not_found")


async def test_the_metrics_are_in_the_text_format(live: Rig) -> None:
    text = (await live.client.get("/metrics")).text
    assert "siyu_hub_rooms 2.0" in text and "siyu_ledger_commands_total" in text
