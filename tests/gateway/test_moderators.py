"""Moderators: accounts that keep order in a room's chat, and have no part in the shop."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from chat.errors import TokenRefused
from chat.rights import RIGHTS
from gateway.hub_contract import FOR_VIEWERS, SHOP_COMMANDS
from gateway.opening import authenticate
from tests.commerce.people_kit import cheap_passwords
from tests.gateway.org_world import PASSWORD
from tests.gateway.rig import Rig, rig
from tests.gateway.test_org_reach import operations

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ids = itertools.count(1)
DOORS = {"POST /api/v1/rooms/{room}/commands"}
"""The operations with a role that are a moderator's."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    folder: Path = tmp_path_factory.mktemp("moderators")
    async with rig(folder) as made:
        made.application.services.catalogue._passwords = cheap_passwords()
        yield made


async def done(live: Rig, method: str, path: str, body: Any = None, **more: Any) -> Any:
    answer = await live.call(method, path, body, **more)
    assert answer.status_code < 300, (method, path, answer.text)
    return answer.json()


async def appoint(live: Rig, login: str) -> tuple[str, dict[str, Any]]:
    """A moderator of a store with the shop's room, who signs in: the node of the store, and what signing in told."""
    boss = live.shop.merchant_token
    tree = await done(live, "GET", "/org", token=boss)
    if not tree["nodes"]:
        group = await done(live, "POST", "/org/nodes", {"kind": "group", "name": "集团"}, token=boss)
        store = {"kind": "store", "name": "门店", "parent": group["node"]}
        node = (await done(live, "POST", "/org/nodes", store, token=boss))["node"]
        await done(live, "PUT", f"/org/rooms/{live.shop.room}", {"node": node}, token=boss)
    else:
        node = next(one["node"] for one in tree["nodes"] if one["kind"] == "store")
    seat = {"node": node, "role": "moderator", "name": "房管小周", "login": login, "password": PASSWORD}
    staff = (await done(live, "POST", "/org/members", seat, token=boss))["staff"]
    signed = await done(live, "POST", "/auth/login", {"login": login, "password": PASSWORD})
    return staff, signed


async def ask(live: Rig, token: str, room: str, cmd: str, **arguments: Any) -> Mapping[str, Any]:
    """One hub command over HTTP; its answer."""
    answer = await live.call(
        "POST", f"/rooms/{room}/commands", {"id": next(_ids), "cmd": cmd, **arguments}, token=token
    )
    assert answer.status_code == 200, answer.text
    [one] = answer.json()
    assert isinstance(one, dict)
    return one


async def test_a_moderator_is_given_a_seat_signs_in_and_keeps_order_until_the_seat_ends(live: Rig) -> None:
    staff, signed = await appoint(live, "mod-one")
    token, room = signed["token"], live.shop.room
    assert (signed["role"], [one["room"] for one in signed["rooms"]]) == ("moderator", [room])
    guest = await live.guest(name="吵闹", device="device-of-a-loud-one")
    assert "until" in await ask(live, token, room, "mute", person=guest["person"], seconds=60)
    said = await ask(live, guest["token"], room, "chat.send", text="还在")
    assert said["error"]["code"] == "muted"
    trail = await done(live, "GET", f"/rooms/{room}/audit", token=live.shop.merchant_token)
    assert [(one["action"], one["by"]["role"]) for one in trail["items"][:1]] == [("mute", "moderator")]
    await done(live, "POST", f"/org/members/{staff}/leave", {"reason": "不做了"}, token=live.shop.merchant_token)
    services = live.application.services
    with pytest.raises(TokenRefused, match="left"):
        authenticate(services.tokens, services.rooms, room, token)
    gone = await live.call("POST", f"/rooms/{room}/commands", {"id": 1, "cmd": "bans.list"}, token=token)
    assert (gone.status_code, gone.json()["code"]) == (401, "token_revoked")


@pytest.mark.parametrize("seated", [True, False])
async def test_no_operation_but_the_room_s_commands_is_a_moderator_s(live: Rig, seated: bool) -> None:
    token = (await appoint(live, "mod-two"))[1]["token"] if seated else bound(live, live.shop.room)
    contract = (await live.client.get("/openapi.json")).json()
    asked = [one for one in operations(contract) if one.roles != "ANYONE"]
    assert len(asked) > 200
    for one in asked:
        path = one.address({"room": live.shop.room, "order": "1"})
        answer = await live.client.request(one.method, path, headers={"authorization": f"Bearer {token}"})
        theirs = f"{one.method} {one.path}" in DOORS
        assert (answer.status_code != 403) is theirs, (one.method, one.path, answer.text)


def bound(live: Rig, room: str, person: str = "mod-of-a-room") -> str:
    """The token of a moderator of one room, without a seat, as a shop's own server may mint it."""
    tokens = live.application.services.tokens
    shop = live.shop.merchant
    return tokens.mint(person=person, name="房管", role="moderator", merchant=shop, room=room)[0]


async def test_a_moderator_gives_the_commands_of_order_and_none_of_the_shop(live: Rig) -> None:
    room = live.shop.room
    for cmd in (*RIGHTS, *SHOP_COMMANDS):
        # One of their own for each: so many of one person in a moment are refused whatever they are.
        answer = await ask(live, bound(live, room, f"mod-{cmd}"), room, cmd)
        allowed = cmd in RIGHTS and (not RIGHTS[cmd] or "moderator" in RIGHTS[cmd])
        assert (answer.get("error", {}).get("code") != "forbidden") is allowed, (cmd, answer)
    guest = (await live.guest())["token"]
    for cmd in FOR_VIEWERS:
        assert (await ask(live, guest, room, cmd)).get("error", {}).get("code") != "forbidden", cmd


async def test_a_moderator_of_one_room_is_nobody_in_another(live: Rig) -> None:
    token = bound(live, live.shop.room)
    other = await done(live, "POST", "/rooms", {"title": "另一间"}, token=live.shop.merchant_token)
    for room in (other["id"], live.other.room):
        answer = await live.call("POST", f"/rooms/{room}/commands", {"id": 1, "cmd": "bans.list"}, token=token)
        assert (answer.status_code, answer.json()["code"]) == (404, "no_room")


@pytest.mark.parametrize("role", ["moderator", "host"])
async def test_a_room_of_a_node_above_is_not_theirs_to_keep_by_either_door(live: Rig, role: str) -> None:
    boss = live.shop.merchant_token
    await appoint(live, f"mod-of-the-tree-{role}")
    tree = await done(live, "GET", "/org", token=boss)
    group, store = (next(one["node"] for one in tree["nodes"] if one["kind"] == kind) for kind in ("group", "store"))
    above = await done(live, "POST", "/rooms", {"title": "集团直播间", "node": group}, token=boss)
    seat = {"node": store, "role": role, "name": "小周", "login": f"below-{role}", "password": PASSWORD}
    await done(live, "POST", "/org/members", seat, token=boss)
    signed = await done(live, "POST", "/auth/login", {"login": f"below-{role}", "password": PASSWORD})
    services = live.application.services
    assert authenticate(services.tokens, services.rooms, above["id"], signed["token"]).role == "guide"
    assert authenticate(services.tokens, services.rooms, live.shop.room, signed["token"]).role == role
    answer = await ask(live, signed["token"], above["id"], "mute", person="somebody", seconds=60)
    assert answer["error"]["code"] == "forbidden"
