"""The organisation over the API: its tree, seats, whose the orders are, sums that roll up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chat.errors import TokenRefused
from commerce.audit_sql import audit
from gateway.opening import authenticate
from tests.commerce.people_kit import cheap_passwords
from tests.gateway.org_world import PASSWORD, World, org_world, seated_token
from tests.gateway.rig import rig

_filled: list[tuple[Path, World]] = []
"""The shop is filled once, and each test has a copy."""


@pytest.fixture
async def world(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    if not _filled:
        folder = tmp_path_factory.mktemp("org")
        async with rig(folder) as made:
            _filled.append((folder / "data", await org_world(made)))
    data, world = _filled[0]
    async with rig(tmp_path, filled=data) as copy:
        copy.application.services.catalogue._passwords = cheap_passwords()
        yield replace(world, live=copy)


async def refused(world: World, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, str]:
    """Status and code of a request that fails."""
    answer = await world.live.call(method, path, body, **more)
    assert answer.status_code >= 400, answer.text
    return answer.status_code, answer.json()["code"]


async def buy(world: World, room: str, sku: str, token: str, key: str) -> str:
    """An order paid; its id."""
    lines = {"room": room, "lines": [{"sku": sku, "quantity": 1, "version": 1}]}
    order = await world.done("POST", "/orders", lines, token=token, key=f"o{key}")
    await world.done("POST", f"/orders/{order['order']['order']}/pay", token=token, key=f"p{key}")
    number: str = order["order"]["order"]
    return number


async def test_sums_roll_up_and_open_node_by_node(world: World) -> None:
    boss, owner = world.live.shop.merchant_token, world.mine.tokens["owner"]
    group = await world.done("GET", "/org/figures", token=boss)
    assert (group["kind"], group["total"]["gmv"], group["total"]["refunded"]) == ("group", 4_000, 2_000)
    assert [child["sums"]["gmv"] for child in group["children"]] == [2_000, 2_000]
    dealer = await world.done("GET", "/org/figures", token=owner)
    assert (dealer["node"], dealer["parent"], dealer["total"]["gmv"]) == (world.mine.dealer, None, 2_000)
    store = await world.done("GET", f"/org/figures?node={world.mine.store}", token=owner)
    [guide] = store["children"]
    assert (guide["kind"], guide["sums"]["orders"], guide["sums"]["customers"]) == ("guide", 1, 1)
    assert store["own"]["orders"] == 0 and store["total"]["refunds"] == 1
    above = [world.theirs.store, world.group]
    for node in above:
        assert await refused(world, "GET", f"/org/figures?node={node}", token=owner) == (404, "not_found")


async def test_an_order_without_a_guide_counts_for_its_room_and_one_without_either_for_the_merchant(
    world: World,
) -> None:
    stranger = await world.live.guest(world.mine.ids["room"])
    await buy(world, world.mine.ids["room"], world.mine.ids["sku"], stranger["token"], "s")
    guest = await world.live.guest()
    await buy(world, world.live.shop.room, str(world.live.shop.products[1]["sku"]), guest["token"], "m")
    owner = world.mine.tokens["owner"]
    store = await world.done("GET", f"/org/figures?node={world.mine.store}", token=owner)
    assert (store["own"]["gmv"], store["total"]["gmv"]) == (1_000, 3_000)
    group = await world.done("GET", "/org/figures", token=world.live.shop.merchant_token)
    assert group["own"]["orders"] == 1 and group["total"]["orders"] == 4
    people = await world.done("GET", "/people", token=owner)
    assert {one["person"] for one in people["items"]} == {world.mine.ids["person"], stranger["person"]}


async def test_what_was_sold_stays_when_a_guide_moves_and_what_comes_counts_for_the_new_node(world: World) -> None:
    boss, guide = world.live.shop.merchant_token, world.mine.staff["guide"]
    body = {"node": world.theirs.store, "role": "guide"}
    moved = await world.done("PUT", f"/org/members/{guide}", body, token=boss)
    assert moved["node"] not in (world.mine.ids["node"], world.theirs.store)
    await buy(world, world.mine.ids["room"], world.mine.ids["sku"], world.mine.tokens["viewer"], "later")
    before = await world.done("GET", "/org/figures", token=world.mine.tokens["owner"])
    after = await world.done("GET", "/org/figures", token=world.theirs.tokens["owner"])
    assert (before["total"]["gmv"], before["total"]["customers"]) == (2_000, 0)
    assert (after["total"]["gmv"], after["total"]["customers"]) == (3_000, 2)
    one = {"other": world.theirs.ids["person"], "reason": "the same telephone"}
    await world.done("POST", f"/people/{world.mine.ids['person']}/merges", one, token=boss)
    merged = await world.done("GET", "/org/figures", token=world.theirs.tokens["owner"])
    assert (merged["total"]["gmv"], merged["total"]["customers"]) == (3_000, 1)


async def test_a_guide_who_leaves_hands_over_for_the_future_and_is_let_in_no_more(world: World) -> None:
    owner, guide = world.mine.tokens["owner"], world.mine.staff["guide"]
    heir = {"node": world.mine.store, "role": "guide", "name": "接班", "login": "heir-1", "password": PASSWORD}
    await world.done("POST", "/org/members", heir, token=owner)
    seats = (await world.done("GET", f"/org/members?node={world.mine.store}", token=owner))["items"]
    [new] = [seat for seat in seats if seat["login"] == "heir-1"]
    path, body = f"/org/members/{guide}/leave", {"heir": new["staff"], "reason": "离职"}
    outside = {"heir": world.theirs.staff["guide"]}
    assert await refused(world, "POST", path, outside, token=owner) == (404, "not_found")
    assert await world.done("POST", path, body, token=owner) == {"customers": 1}
    assert await refused(world, "GET", "/orders", token=world.mine.tokens["guide"]) == (401, "token_revoked")
    with pytest.raises(TokenRefused):
        authenticate(
            world.live.application.services.tokens,
            world.live.application.services.rooms,
            world.mine.ids["room"],
            world.mine.tokens["guide"],
        )
    number = await buy(world, world.mine.ids["room"], world.mine.ids["sku"], world.mine.tokens["viewer"], "after")
    read = await world.done("GET", f"/orders/{number}", token=owner)
    assert read["order"]["decision"]["credits"]["guide"]["issuer"] == new["staff"]
    old = await world.done("GET", f"/orders/{world.mine.ids['order']}", token=owner)
    assert old["order"]["decision"]["credits"]["guide"]["issuer"] == guide
    sums = await world.done("GET", f"/org/figures?node={world.mine.store}", token=owner)
    assert sorted(child["sums"]["gmv"] for child in sums["children"]) == [1_000, 2_000]
    assert await refused(world, "POST", path, body, token=owner) == (422, "already")


async def test_a_guide_without_heir_is_credited_no_more(world: World) -> None:
    owner, guide = world.mine.tokens["owner"], world.mine.staff["guide"]
    await world.done("POST", f"/org/members/{guide}/leave", {}, token=owner)
    viewer = world.mine.tokens["viewer"]
    number = await buy(world, world.mine.ids["room"], world.mine.ids["sku"], viewer, "x")
    read = (await world.done("GET", f"/orders/{number}", token=owner))["order"]
    assert read["decision"]["credits"]["guide"] is None
    assert any("the guide has left" in loser["why"] for loser in read["decision"]["losers"])


async def test_an_account_is_made_with_its_seat_or_not_at_all_and_signs_in(world: World) -> None:
    owner = world.mine.tokens["owner"]
    login = {"login": "new-host", "password": PASSWORD}
    body = {"node": world.mine.store, "role": "host", "name": "主播", **login}
    assert await refused(world, "POST", "/org/members", body | {"node": "nosuch"}, token=owner) == (404, "not_found")
    assert await refused(world, "POST", "/auth/login", login) == (401, "bad_login")
    seat = await world.done("POST", "/org/members", body, token=owner)
    assert (seat["role"], seat["node"]) == ("host", world.mine.store)
    assert await refused(world, "POST", "/org/members", body, token=owner) == (422, "already")
    signed = await world.done("POST", "/auth/login", login)
    assert signed["role"] == "host" and [room["room"] for room in signed["rooms"]] == [world.mine.ids["room"]]
    await world.done(
        "POST", f"/rooms/{world.mine.ids['room']}/pin", {"product": world.mine.ids["product"]}, token=signed["token"]
    )


async def test_a_manager_makes_no_owner_and_nobody_changes_what_is_above_them(world: World) -> None:
    manager = world.mine.tokens["manager"]
    seat = {"node": world.mine.store, "role": "owner", "name": "x", "login": "x-owner", "password": PASSWORD}
    assert await refused(world, "POST", "/org/members", seat, token=manager) == (403, "forbidden")
    owner = world.mine.staff["owner"]
    assert await refused(world, "POST", f"/org/members/{owner}/leave", {}, token=manager) == (403, "forbidden")
    own = f"/org/nodes/{world.mine.dealer}"
    assert await refused(world, "PATCH", own, {"name": "自己"}, token=manager) == (403, "forbidden")
    me = world.mine.staff["manager"]
    assert await refused(world, "POST", f"/org/members/{me}/leave", {}, token=manager) == (403, "forbidden")
    await world.done("PATCH", f"/org/nodes/{world.mine.store}", {"name": "新店名"}, token=manager)
    made = {"kind": "store", "name": "二店", "parent": world.mine.dealer}
    assert (await world.done("POST", "/org/nodes", made, token=manager))["parent"] == world.mine.dealer


async def test_who_only_reads_changes_nothing_and_an_accountant_reads_no_customers(world: World) -> None:
    reader, accountant = world.mine.tokens["readonly"], world.mine.tokens["accountant"]
    node = {"kind": "store", "name": "x", "parent": world.mine.dealer}
    assert await refused(world, "POST", "/org/nodes", node, token=reader) == (403, "forbidden")
    keys = f"/rooms/{world.mine.ids['room']}/keys"
    assert (await refused(world, "GET", keys, token=reader))[0] == 403
    assert (await world.done("GET", "/people", token=reader))["items"]
    assert await refused(world, "GET", "/people", token=accountant) == (403, "forbidden")
    assert (await world.done("GET", "/orders", token=accountant))["items"]
    assert (await refused(world, "GET", "/statements", token=accountant)) == (403, "outside")
    staff = {"node": world.group, "role": "accountant"}
    path = f"/org/members/{world.mine.staff['accountant']}"
    await world.done("PUT", path, staff, token=world.live.shop.merchant_token)
    assert (await world.done("GET", "/statements", token=accountant))["day"]


async def test_a_room_of_a_node_above_is_entered_and_shared_but_not_run(world: World) -> None:
    boss = world.live.shop.merchant_token
    brand = next(
        node["parent"]
        for node in (await world.done("GET", "/org", token=boss))["nodes"]
        if node["node"] == world.mine.dealer
    )
    show = (await world.done("POST", "/rooms", {"title": "品牌直播", "node": brand}, token=boss))["id"]
    for role in ("owner", "host", "guide"):
        token = world.mine.tokens[role]
        assert (await world.done("POST", "/links", {"room": show}, token=token))["token"]
        assert (await refused(world, "GET", f"/rooms/{show}/stats", token=token))[0] == 403
        services = world.live.application.services
        assert authenticate(services.tokens, services.rooms, show, token).role == "guide"
    assert (await refused(world, "POST", "/links", {"room": show}, token=world.theirs.tokens["owner"]))[0] == 404


async def test_goods_that_others_sell_too_are_not_a_dealers_to_price(world: World) -> None:
    owner, mine = world.mine.tokens["owner"], world.mine.ids
    price = f"/rooms/{mine['room']}/products/{mine['product']}"
    await world.done("PATCH", price, {"price": 900}, token=owner)
    await world.done(
        "POST",
        f"/rooms/{world.theirs.ids['room']}/pin",
        {"product": mine["product"]},
        token=world.theirs.tokens["owner"],
    )
    assert await refused(world, "PATCH", price, {"price": 800}, token=owner) == (403, "outside")
    stock = f"/rooms/{mine['room']}/stock/{mine['sku']}"
    assert await refused(world, "POST", stock, {"quantity": 5, "reason": "x"}, token=owner) == (403, "outside")


async def test_a_tree_keeps_its_order_and_what_is_in_use_is_not_closed(world: World) -> None:
    boss = world.live.shop.merchant_token
    wrong = {"kind": "brand", "name": "x", "parent": world.mine.dealer}
    assert await refused(world, "POST", "/org/nodes", wrong, token=boss) == (400, "invalid")
    assert await refused(world, "POST", "/org/nodes", {"kind": "group", "name": "x"}, token=boss) == (422, "already")
    assert await refused(world, "PATCH", f"/org/nodes/{world.mine.store}", {"closed": True}, token=boss) == (
        422,
        "in_use",
    )
    path = f"/org/nodes/{world.mine.store}"
    moved = await world.done("PATCH", path, {"parent": world.theirs.dealer}, token=boss)
    assert moved["parent"] == world.theirs.dealer
    theirs = await world.done("GET", "/org/figures", token=world.theirs.tokens["owner"])
    assert theirs["total"]["gmv"] == 4_000
    assert (await world.done("GET", "/org/figures", token=world.mine.tokens["owner"]))["total"]["gmv"] == 0


async def test_a_seat_holds_for_a_token_that_was_made_before(world: World) -> None:
    boss, staff = world.live.shop.merchant_token, world.mine.staff["manager"]
    token = seated_token(world.live, staff, "manager")
    assert (await world.done("GET", "/orders", token=token))["items"]
    await world.done("PUT", f"/org/members/{staff}", {"node": world.theirs.dealer, "role": "readonly"}, token=boss)
    [order] = (await world.done("GET", "/orders", token=token))["items"]
    assert order["order"] == world.theirs.ids["order"]


async def test_a_guide_gives_customers_coupons_until_the_budget_is_used_up(world: World) -> None:
    guide, mine = world.mine.tokens["guide"], world.mine.ids
    coupon = {"person": mine["person"], "room": mine["room"], "title": "老客券", "reason": "生日", "amount": 3_000}
    path = "/guide/coupons"
    first = await world.done("POST", path, coupon, token=guide, key="one")
    assert (await world.done("POST", path, coupon, token=guide, key="one"))["coupon"] == first["coupon"]
    assert await refused(world, "POST", path, coupon, token=guide, key="two") == (422, "insufficient")
    assert await refused(world, "POST", path, coupon | {"amount": 1}, token=guide, key="one") == (409, "key_reused")
    theirs = coupon | {"person": world.theirs.ids["person"], "amount": 1}
    assert await refused(world, "POST", path, theirs, token=guide, key="three") == (404, "not_found")
    budget = await world.done("GET", "/guide/budget", token=guide)
    assert (budget["free"], budget["reserved"]) == (2_000, 3_000)
    [given] = (await world.done("GET", path, token=guide))["items"]
    assert (given["coupon"], given["name"], given["state"]) == (first["coupon"], "客户甲", "unused")
    [had] = await world.done("GET", "/coupons", token=world.mine.tokens["viewer"])
    assert (had["coupon"], had["reason"]) == (first["coupon"], "生日")
    givings = await world.done("GET", f"/rooms/{mine['room']}/givings", token=world.mine.tokens["owner"])
    # What a guide gives is nothing that the room gives; that is what its partner's visitors get.
    assert [one["title"] for one in givings] == ["邻里甲"]
    findings = audit(world.live.application.services.settings.database)
    assert [found for found in findings if not found.ok] == []


async def test_a_wecom_contact_moves_twice_in_ninety_days_and_once_more_when_the_guide_leaves(world: World) -> None:
    boss, mine = world.live.shop.merchant_token, world.mine
    body = {"node": mine.store, "role": "guide", "name": "二号", "login": "second-guide", "password": PASSWORD}
    second = (await world.done("POST", "/org/members", body, token=mine.tokens["owner"]))["staff"]
    services = world.live.application.services
    await services.identities.show_key(world.live.shop.merchant, mine.ids["person"], "wecom", "wm-external-1")
    pair = [mine.staff["guide"], second]

    async def hand(of: str, to: str) -> dict[str, int]:
        wanted = {"role": "guide", "of": of, "to": to, "reason": "换人"}
        answer: dict[str, int] = await world.done("POST", "/hand-overs", wanted, token=boss)
        return answer

    assert await hand(*pair) == {"count": 1, "kept": 0}
    assert await hand(*reversed(pair)) == {"count": 1, "kept": 0}
    assert await hand(*pair) == {"count": 0, "kept": 1}
    left = await world.done("POST", f"/org/members/{pair[0]}/leave", {"heir": second}, token=boss)
    assert left == {"customers": 1}


async def test_a_stores_people_steer_their_own_store_and_hand_over_what_is_fetched_there(world: World) -> None:
    """Stock, prices, transfers and orders of a dealer's store; those of the other dealer are not there for them."""
    live, mine, theirs, boss = world.live, world.mine, world.theirs, world.live.shop.merchant_token
    owner, outlet, sku = mine.tokens["owner"], mine.ids["outlet"], mine.ids["sku"]
    stores = {one["outlet"]: one["mine"] for one in await world.done("GET", "/outlets", token=owner)}
    assert (stores[outlet], stores[theirs.ids["outlet"]]) == (True, False)
    [row] = (await world.done("GET", f"/outlets/{outlet}/stock", token=owner))["items"]
    assert (row["free"], row["price"]) == (6, 900)
    second = {"name": "二店", "address": "二街", "lat": 31.2, "lng": 121.4, "stocked": True, "node": mine.store}
    other = (await world.done("POST", "/outlets", second, token=boss))["outlet"]
    move = {"sku": sku, "quantity": 1, "source": outlet, "target": other, "why": "x"}
    assert (await world.done("POST", "/stock/moves", move, token=owner, key="k"))["there"] == 1
    for place in ("", theirs.ids["outlet"]):
        assert await refused(world, "POST", "/stock/moves", move | {"target": place}, token=owner, key="n") == (
            404,
            "not_found",
        )
    assert await refused(world, "GET", "/stock/moves", token=owner) == (403, "outside")
    assert await refused(world, "PATCH", f"/outlets/{outlet}", {"node": mine.dealer}, token=owner) == (403, "outside")
    await world.done("PATCH", f"/outlets/{outlet}", {"phone": "021"}, token=owner)
    for role, status in (("readonly", 403), ("accountant", 403), ("host", 403)):
        count = {"sku": sku, "quantity": 1}
        assert (await refused(world, "POST", f"/outlets/{outlet}/stock", count, token=mine.tokens[role]))[0] == status
    # Sold in the other dealer's room, fetched in this one's store: both reach it, and it counts for who sold it.
    buyer = theirs.tokens["viewer"]
    delivery = {"method": "pickup", "name": "Ann", "phone": "13800138000", "outlet": outlet}
    lines = {"room": theirs.ids["room"], "lines": [{"sku": sku, "quantity": 1}], "delivery": delivery}
    order = (await world.done("POST", "/orders", lines, token=buyer, key="fetch"))["order"]
    assert order["amount"] == 900
    await world.done("POST", f"/orders/{order['order']}/pay", token=buyer, key="pay")
    assert order["order"] in [one["order"] for one in (await world.done("GET", "/orders", token=owner))["items"]]
    code = (await world.done("GET", f"/orders/{order['order']}", token=buyer))["order"]["delivery"]["code"]
    handed = await world.done("POST", f"/orders/{order['order']}/pickup", {"code": code}, token=owner)
    assert handed["order"]["status"] == "fulfilled"
    assert not [one for one in audit(live.application.services.settings.database) if not one.ok]
