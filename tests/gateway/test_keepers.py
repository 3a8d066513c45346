"""Who is appointed, by whom, for where; and what becomes of a connection when its bearer's rights change."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.commerce.people_kit import cheap_passwords
from tests.gateway.org_world import PASSWORD
from tests.gateway.rig import Rig, rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ids = itertools.count(1)
PATIENCE_S = 60
"""Longest wait for what must come."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    folder: Path = tmp_path_factory.mktemp("keepers")
    async with rig(folder) as made:
        made.application.services.catalogue._passwords = cheap_passwords()
        boss = made.shop.merchant_token
        group = await done(made, "POST", "/org/nodes", {"kind": "group", "name": "集团"}, token=boss)
        for name in ("甲", "乙"):
            await done(made, "POST", "/org/nodes", {"kind": "store", "name": name, "parent": group["node"]}, token=boss)
        await done(made, "PUT", f"/org/rooms/{made.shop.room}", {"node": await node(made, "甲")}, token=boss)
        yield made


async def done(live: Rig, method: str, path: str, body: Any = None, **more: Any) -> Any:
    answer = await live.call(method, path, body, **more)
    assert answer.status_code < 300, (method, path, answer.text)
    return answer.json()


async def refused(live: Rig, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, str]:
    answer = await live.call(method, path, body, **more)
    return answer.status_code, answer.json()["code"]


async def node(live: Rig, name: str) -> str:
    tree = await done(live, "GET", "/org", token=live.shop.merchant_token)
    return str(next(one["node"] for one in tree["nodes"] if one["name"] == name))


async def account(live: Rig, role: str, at: str = "甲") -> tuple[str, str]:
    """An account with a seat, and its token."""
    login = f"{role}-{next(_ids)}"
    seat = {"node": await node(live, at), "role": role, "name": f"小{role}", "login": login, "password": PASSWORD}
    staff = (await done(live, "POST", "/org/members", seat, token=live.shop.merchant_token))["staff"]
    signed = await done(live, "POST", "/auth/login", {"login": login, "password": PASSWORD})
    return staff, signed["token"]


async def ask(live: Rig, token: str, cmd: str, room: str | None = None, **arguments: Any) -> Mapping[str, Any]:
    """One hub command over HTTP: its answer, or what it was refused with."""
    body = {"id": next(_ids), "cmd": cmd, **arguments}
    answer = await live.call("POST", f"/rooms/{room or live.shop.room}/commands", body, token=token)
    if answer.status_code != 200:
        return {"error": answer.json()}
    one: Mapping[str, Any] = answer.json()[0]
    return one


def code(answer: Mapping[str, Any]) -> str:
    return str(answer.get("error", {}).get("code", ""))


class Polled:
    """Somebody connected by polling: what came since they last looked."""

    def __init__(self, live: Rig, token: str, room: str | None = None) -> None:
        self._live, self._token, self._room = live, token, room or live.shop.room
        self._session, self._number = "", 0

    async def read(self) -> list[dict[str, Any]]:
        """The next answer's items; its close, where it has one, as an item of the type `close`."""
        query = {"token": self._token, "poll": self._session, "n": str(self._number)}
        answer = await self._live.client.get(f"/poll/{self._room}", params=query)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        self._session, self._number = said["poll"], said["n"]
        items: list[dict[str, Any]] = said["items"]
        return items + ([{"t": "close", **said["close"]}] if "close" in said else [])

    async def until(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for item in await self.read():
                    if item["t"] == kind:
                        return item


def keepers(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["person"], one["role"], one["kind"]) for one in found["items"]]


async def test_a_host_makes_a_viewer_a_moderator_who_is_told_keeps_order_and_goes_on_buying(live: Rig) -> None:
    host, room = live.shop.host_token, live.shop.room
    guest, loud = await live.guest(name="热心", device="device-of-a-helper"), await live.guest(name="吵闹")
    here = Polled(live, guest["token"])
    first = (await here.read())[0]
    assert (first["t"], first["you"]["role"]) == ("room", "viewer")
    viewers = live.application.services.hub.channel(room).viewers
    assert code(await ask(live, guest["token"], "mute", person=loud["person"], seconds=60)) == "forbidden"
    assert (await ask(live, host, "moderator.add", person=guest["person"]))["ok"]
    told = await here.until("you")
    assert told["you"] == {"person": guest["person"], "name": "热心", "role": "moderator"}
    channel = live.application.services.hub.channel(room)
    assert (channel.viewers, channel.roles["moderator"]) == (viewers - 1, 1)
    assert (await ask(live, guest["token"], "mute", person=loud["person"], seconds=60))["ok"]
    assert code(await ask(live, guest["token"], "notice", text="x")) == "forbidden"
    assert code(await ask(live, guest["token"], "moderator.add", person=loud["person"])) == "forbidden"
    assert code(await ask(live, guest["token"], "follow")) == ""
    listed = (await ask(live, guest["token"], "moderators.list"))["moderators"]
    assert listed == [{"person": guest["person"], "name": "热心", "role": "moderator", "everywhere": False}]
    assert (await ask(live, host, "moderator.remove", person=guest["person"]))["ok"]
    assert (await here.until("you"))["you"]["role"] == "viewer"
    assert channel.viewers == viewers
    assert code(await ask(live, guest["token"], "mute", person=loud["person"], seconds=60)) == "forbidden"
    trail = await done(live, "GET", f"/rooms/{room}/audit", token=host)
    acts = [(one["action"], one["person"]) for one in trail["items"] if one["action"].startswith("moderator.")]
    assert acts == [("moderator.remove", guest["person"]), ("moderator.add", guest["person"])]
    assert code(await ask(live, host, "moderator.remove", person=guest["person"])) == "not_found"


async def test_who_may_appoint_whom(live: Rig) -> None:
    host, boss, room = live.shop.host_token, live.shop.merchant_token, live.shop.room
    guest = await live.guest(name="某人", device="device-of-somebody")
    guide, guide_token = await account(live, "guide")
    path = f"/rooms/{room}/keepers"
    helper, assistant = {"role": "assistant"}, (await account(live, "assistant"))[1]
    assert await refused(live, "PUT", f"{path}/{guide}", helper, token=host) == (403, "forbidden")
    assert await refused(live, "PUT", f"{path}/{guest['person']}", helper, token=boss) == (403, "forbidden")
    assert await refused(live, "PUT", f"{path}/nobody-we-know", {"role": "moderator"}, token=boss) == (404, "not_found")
    for token in (assistant, guide_token, guest["token"]):
        assert (await refused(live, "PUT", f"{path}/{guide}", {"role": "moderator"}, token=token))[0] == 403
        assert code(await ask(live, token, "moderator.add", person=guest["person"])) == "forbidden"
    for theirs in (live.other.merchant_token, live.other.host_token):
        assert (await refused(live, "PUT", f"{path}/{guide}", {"role": "moderator"}, token=theirs))[0] == 404
    made = await done(live, "PUT", f"{path}/{guide}", helper, token=boss)
    assert keepers(made) == [(guide, "assistant", "room")]
    assert await refused(live, "DELETE", f"{path}/{guide}", token=host) == (403, "forbidden")
    await done(live, "DELETE", f"{path}/{guide}", token=boss)


async def test_an_appointed_assistant_runs_that_room_alone_and_sees_no_customers(live: Rig) -> None:
    boss, room = live.shop.merchant_token, live.shop.room
    guide, token = await account(live, "guide")
    other = (await done(live, "POST", "/rooms", {"title": "另一间"}, token=boss))["id"]
    here = Polled(live, token)
    assert (await here.read())[0]["you"]["role"] == "guide"
    await done(live, "PUT", f"/rooms/{room}/keepers/{guide}", {"role": "assistant"}, token=boss)
    assert (await here.until("you"))["you"]["role"] == "assistant"
    assert "publish" in await done(live, "GET", f"/rooms/{room}/streams", token=token)
    product = (await done(live, "GET", f"/rooms/{room}/products", token=token))[0]["product"]
    assert (await ask(live, token, "pin", product=product))["ok"]
    assert (await ask(live, token, "notice", text="补货了"))["ok"]
    assert code(await ask(live, token, "words.set", words=[])) == "forbidden"
    assert await refused(live, "GET", f"/rooms/{other}/streams", token=token) == (403, "forbidden")
    assert (await refused(live, "POST", "/rooms", {"title": "x"}, token=token))[0] == 403
    await done(live, "DELETE", f"/rooms/{room}/keepers/{guide}", token=boss)
    assert (await here.until("you"))["you"]["role"] == "guide"
    assert await refused(live, "GET", f"/rooms/{room}/streams", token=token) == (403, "forbidden")
    assert code(await ask(live, token, "pin", product=product)) == "forbidden"


async def test_an_appointment_for_a_part_holds_in_its_rooms_and_follows_them(live: Rig) -> None:
    boss = live.shop.merchant_token
    guest = await live.guest(name="巡房", device="device-of-a-rover")
    manager = (await account(live, "manager", "乙"))[1]
    first, second = await node(live, "甲"), await node(live, "乙")
    body = {"role": "moderator", "node": second}
    # A customer of nobody in their part is not for them to know.
    assert (await refused(live, "PUT", f"/keepers/{guest['person']}", body, token=manager))[0] == 404
    assert (await refused(live, "PUT", f"/keepers/{guest['person']}", {"role": "moderator"}, token=manager))[0] in (
        404,
        422,
    )
    await done(live, "PUT", f"/keepers/{guest['person']}", body, token=boss)
    listed = await done(live, "GET", "/keepers", token=manager)
    assert keepers(listed) == [(guest["person"], "moderator", "node")]
    here = Polled(live, guest["token"])
    assert (await here.read())[0]["you"]["role"] == "viewer"
    await done(live, "PUT", f"/org/rooms/{live.shop.room}", {"node": second}, token=boss)
    assert (await here.until("you"))["you"]["role"] == "moderator"
    # More rooms than this one are not for its host to take away.
    assert code(await ask(live, live.shop.host_token, "moderator.remove", person=guest["person"])) == "forbidden"
    assert (await ask(live, guest["token"], "moderators.list"))["moderators"][0]["everywhere"] is True
    await done(live, "PUT", f"/org/rooms/{live.shop.room}", {"node": first}, token=boss)
    assert (await here.until("you"))["you"]["role"] == "viewer"
    await done(live, "DELETE", f"/keepers/{guest['person']}?node={second}", token=manager)
    assert keepers(await done(live, "GET", "/keepers", token=boss)) == []
    await done(live, "PUT", f"/keepers/{guest['person']}", {"role": "moderator"}, token=boss)
    assert (await here.until("you"))["you"]["role"] == "moderator"
    await done(live, "DELETE", f"/keepers/{guest['person']}", token=boss)
    assert (await here.until("you"))["you"]["role"] == "viewer"


async def test_a_seat_that_changes_or_ends_changes_or_ends_the_open_connection(live: Rig) -> None:
    boss = live.shop.merchant_token
    staff, token = await account(live, "assistant")
    here = Polled(live, token)
    assert (await here.read())[0]["you"]["role"] == "assistant"
    seat = {"node": await node(live, "甲"), "role": "moderator"}
    await done(live, "PUT", f"/org/members/{staff}", seat, token=boss)
    assert (await here.until("you"))["you"]["role"] == "moderator"
    # Another store's: this room is none of theirs.
    hub = live.application.services.hub
    assert hub.is_present(live.shop.room, staff)
    await done(live, "PUT", f"/org/members/{staff}", seat | {"node": await node(live, "乙")}, token=boss)
    assert not hub.is_present(live.shop.room, staff)
    await done(live, "PUT", f"/org/members/{staff}", seat, token=boss)
    back = Polled(live, token)
    await back.read()
    await done(live, "POST", f"/org/members/{staff}/leave", {"reason": "走了"}, token=boss)
    assert not hub.is_present(live.shop.room, staff)
    assert code(await ask(live, token, "bans.list")) == "token_revoked"


async def test_an_appointment_holds_for_all_ids_of_a_person_and_parts_with_them(live: Rig) -> None:
    boss = live.shop.merchant_token
    elder = await live.guest(name="老号", device="device-of-the-elder")
    live.clock.ahead_ms += 10
    younger = await live.guest(name="新号", device="device-of-the-younger")
    assert (await ask(live, live.shop.host_token, "moderator.add", person=elder["person"]))["ok"]
    here = Polled(live, younger["token"])
    assert (await here.read())[0]["you"]["role"] == "viewer"
    body = {"other": younger["person"], "reason": "同一位顾客"}
    entry = (await done(live, "POST", f"/people/{elder['person']}/merges", body, token=boss))["merge"]
    assert (await here.until("you"))["you"]["role"] == "moderator"
    await done(live, "POST", f"/merges/{entry}/undo", token=boss)
    assert (await here.until("you"))["you"]["role"] == "viewer"
    assert (await ask(live, live.shop.host_token, "moderator.remove", person=elder["person"]))["ok"]


async def test_a_room_has_a_bounded_number_of_them(live: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commerce.keepers_sql.PLACE_MAX", 1)
    host = live.shop.host_token
    one, two = [(await live.guest(name=name, device=f"device-of-{name}-0123"))["person"] for name in ("one", "two")]
    assert (await ask(live, host, "moderator.add", person=one))["ok"]
    assert (await ask(live, host, "moderator.add", person=one))["ok"]
    assert code(await ask(live, host, "moderator.add", person=two)) == "limit"
    assert (await ask(live, host, "moderator.remove", person=one))["ok"]


async def test_appointments_outlive_the_process(live: Rig, tmp_path: Path) -> None:
    guest = await live.guest(name="常客", device="device-of-a-regular")
    assert (await ask(live, live.shop.host_token, "moderator.add", person=guest["person"]))["ok"]
    data = live.application.services.settings.data
    async with rig(tmp_path, filled=data) as after:
        first = (await Polled(after, guest["token"]).read())[0]
        assert json.dumps(first["you"], ensure_ascii=False).count("moderator") == 1
    assert (await ask(live, live.shop.host_token, "moderator.remove", person=guest["person"]))["ok"]


async def test_the_journal_says_who_was_appointed_and_dismissed_where_and_by_whom_to_whose_part_it_is(
    live: Rig,
) -> None:
    boss, room = live.shop.merchant_token, live.shop.room
    guest = await live.guest(name="值班", device="device-of-the-watch")
    person, second = guest["person"], await node(live, "乙")
    manager = (await account(live, "manager", "乙"))[1]
    body = {"role": "moderator", "node": second}
    for method, path, sent in (
        ("PUT", f"/keepers/{person}", body),
        ("PUT", f"/rooms/{room}/keepers/{person}", {"role": "moderator"}),
        ("DELETE", f"/keepers/{person}?node={second}", None),
        ("PUT", f"/keepers/{person}", {"role": "moderator"}),
    ):
        # One millisecond, one id: what is done later is above.
        live.clock.ahead_ms += 1
        await done(live, method, path, sent, token=boss)
    assert (await refused(live, "PUT", f"/keepers/{person}", {"role": "assistant"}, token=boss))[0] == 403
    listed = await done(live, "GET", "/keepers?rooms=1", token=boss)
    mine = [one for one in listed["items"] if one["person"] == person]
    assert keepers({"items": mine}) == [(person, "moderator", "room"), (person, "moderator", "all")]
    assert all(one["by_name"] for one in mine)

    async def steps(token: str) -> list[tuple[str, str, str]]:
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = await done(live, "GET", f"/keepers/journal?limit=2{after}", token=token)
            found += page["items"]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        return [(one["step"], one["kind"], one["name"]) for one in found if one["person"] == person]

    told = [("appointed", "all"), ("dismissed", "node"), ("appointed", "room"), ("appointed", "node")]
    assert await steps(boss) == [(*one, "值班") for one in told]
    # Of all rooms, and of a room of nobody's, a part is told nothing.
    assert await steps(manager) == [("dismissed", "node", "值班"), ("appointed", "node", "值班")]
    assert await steps(live.other.merchant_token) == []
    assert (await refused(live, "GET", "/keepers/journal", token=guest["token"]))[0] == 403
    live.clock.ahead_ms += 1
    await done(live, "POST", f"/people/{person}/erase", {"reason": "asked"}, token=boss)
    await live.application.services.org.load()
    assert person not in str(await done(live, "GET", "/keepers?rooms=1", token=boss))
    assert [one[0] for one in await steps(boss)] == ["dismissed", "dismissed", *(one[0] for one in told)]
    assert code(await ask(live, guest["token"], "mute", person="x", seconds=60)) == "forbidden"
