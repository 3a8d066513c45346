"""Signing in by a mini-program, against a stand-in that refuses as WeChat's documents say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from commerce.identity.service import WechatApp
from gateway.errors import Problem
from gateway.wechat import WechatApi
from tests.gateway.rig import Rig, rig
from tests.gateway.wechat_stand_in import APPID, PNG, SECRET, WechatStandIn, wechat_stand_in

APP = WechatApp(APPID, SECRET, APPID)


@pytest.fixture
async def wechat() -> AsyncIterator[WechatStandIn]:
    async with wechat_stand_in() as stand_in:
        stand_in.logins = {"c1": ("open-1", "union-1"), "c2": ("open-2", "union-1"), "c3": ("open-1", "union-1")}
        stand_in.phones = {"p1": ("86", "13800138022"), "p2": ("65", "81234567")}
        yield stand_in


@pytest.fixture
async def api(wechat: WechatStandIn) -> AsyncIterator[WechatApi]:
    api = WechatApi(wechat.base, clock=lambda: 1_800_000_000_000)
    yield api
    await api.aclose()


@pytest.fixture
async def live(tmp_path: Path, wechat: WechatStandIn) -> AsyncIterator[Rig]:
    async with rig(tmp_path, wechat_api=wechat.base) as running:
        app = {"appid": APPID, "secret": SECRET}
        set_up = await running.call("PUT", "/wechat-app", app, token=running.shop.merchant_token)
        assert set_up.status_code == 200, set_up.text
        yield running


async def enter(live: Rig, code: str, **fields: Any) -> dict[str, Any]:
    answer = await live.call("POST", "/auth/wechat", {"room": live.shop.room, "code": code, **fields})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_who_comes_again_is_the_same_person_and_a_unionid_joins_another_openid(live: Rig) -> None:
    first = await enter(live, "c1", name="小雨")
    again = await enter(live, "c3")
    other = await enter(live, "c2")
    assert first["person"] == again["person"] == other["person"]
    assert again["name"] == "小雨" and first["phone"] is None


async def test_a_proven_number_is_kept_sealed_and_shown_masked(live: Rig) -> None:
    entered = await enter(live, "c1", phone_code="p1")
    assert entered["phone"] == "138****8022" and not entered["conflict"]
    boss = live.shop.merchant_token
    listed = (await live.call("GET", "/people", token=boss)).json()["items"]
    assert [one["phone"] for one in listed if one["person"] == entered["person"]] == ["138****8022"]
    path = f"/people/{entered['person']}/phone"
    whole = await live.call("POST", path, {"reason": "快递联系"}, token=boss)
    assert whole.json() == {"phone": "+8613800138022"}
    assert (await live.call("POST", path, {"reason": "x"}, token=live.shop.host_token)).status_code == 403
    assert (await live.call("POST", path, {"reason": "x"}, token=live.other.merchant_token)).status_code == 404
    (entry,) = (await live.call("GET", "/privacy-log", token=boss)).json()["items"]
    assert (entry["action"], entry["reason"]) == ("phone", "快递联系")


async def test_the_token_of_one_who_was_merged_away_counts_for_who_goes_on(live: Rig) -> None:
    guest, other = await live.guest(name="甲"), await live.guest(name="乙")
    boss = live.shop.merchant_token
    body = {"other": other["person"], "reason": "同一位顾客"}
    merged = await live.call("POST", f"/people/{guest['person']}/merges", body, token=boss)
    assert merged.status_code == 201, merged.text
    mine = (await live.call("GET", "/me/data", token=other["token"])).json()
    assert mine["person"]["person"] == merged.json()["person"]
    assert {touch["kind"] for touch in mine["touches"]} == {"room_entry"} and len(mine["touches"]) == 2
    undone = await live.call("POST", f"/merges/{merged.json()['merge']}/undo", token=boss)
    assert undone.status_code == 200
    mine = (await live.call("GET", "/me/data", token=other["token"])).json()
    assert mine["person"]["person"] == other["person"]


async def test_a_list_of_members_comes_in_whole_or_not_at_all(live: Rig) -> None:
    boss = live.shop.merchant_token
    path = "/api/v1/people/import?basis=membership_form&source=spring"
    headers = {"authorization": f"Bearer {boss}"}
    broken = await live.client.post(path, content="phone,name\n13800138022,安\n12,x\n", headers=headers)
    assert broken.json()["written"] is False and broken.json()["faults"][0]["line"] == 3
    good = await live.client.post(path, content="phone,name\n13800138022,安\n", headers=headers)
    assert (good.json()["written"], good.json()["new"]) == (True, 1)
    entered = await enter(live, "c1", phone_code="p1")
    person = (await live.call("GET", f"/people/{entered['person']}", token=boss)).json()
    assert person["consents"][0]["basis"] == "membership_form" and person["name"] == "安"


async def test_what_a_person_agreed_to_they_take_back_and_what_names_them_they_erase(live: Rig) -> None:
    entered = await enter(live, "c1", phone_code="p1")
    token = entered["token"]
    given = await live.call("POST", "/me/consents", {"purpose": "marketing", "granted": True}, token=token)
    assert given.json()["marketing"] is True
    back = await live.call("POST", "/me/consents", {"purpose": "marketing", "granted": False}, token=token)
    assert back.json()["marketing"] is False
    erased = await live.call("DELETE", "/me/data", token=token)
    assert erased.status_code == 200 and erased.json()["identities"] == 3, erased.text
    stranger = await enter(live, "c3")
    assert stranger["person"] != entered["person"] and stranger["phone"] is None


@pytest.mark.parametrize(
    ("errcode", "status", "code"),
    [(40029, 401, "wechat_code"), (45011, 429, "rate"), (40226, 403, "wechat_blocked"), (40013, 502, "wechat_app")],
)
async def test_what_wechat_refuses_is_told_in_our_words(
    live: Rig, wechat: WechatStandIn, errcode: int, status: int, code: str
) -> None:
    wechat.errors = [errcode]
    answer = await live.call("POST", "/auth/wechat", {"room": live.shop.room, "code": "c1"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_shop_without_a_mini_program_says_so(live: Rig) -> None:
    answer = await live.call("POST", "/auth/wechat", {"room": live.other.room, "code": "c1"})
    assert (answer.status_code, answer.json()["code"]) == (422, "no_wechat")


async def test_a_lapsed_access_token_is_fetched_anew_once(api: WechatApi, wechat: WechatStandIn) -> None:
    assert await api.code(APP, "s" * 32, "pages/room") == PNG
    wechat.lapse()
    assert await api.phone(APP, "p2") == "+6581234567"
    assert wechat.asked.count("/cgi-bin/stable_token") == 2
    assert await api.code(APP, "s", "pages/room") == PNG
    assert wechat.asked.count("/cgi-bin/stable_token") == 2


async def test_busy_is_tried_once_more_and_then_told(api: WechatApi, wechat: WechatStandIn) -> None:
    wechat.errors = [-1]
    assert (await api.session(APP, "c1")).openid == "open-1"
    wechat.errors = [-1, -1]
    with pytest.raises(Problem) as refusal:
        await api.session(APP, "c2")
    assert refusal.value.status == 503


async def test_a_code_is_good_once_and_a_scene_has_32_characters(api: WechatApi, wechat: WechatStandIn) -> None:
    await api.session(APP, "c1")
    with pytest.raises(Problem) as refusal:
        await api.session(APP, "c1")
    assert refusal.value.code == "wechat_code"
    with pytest.raises(Problem) as refusal:
        await api.code(APP, "s" * 33, "pages/room")
    assert refusal.value.status == 400
    assert "/wxa/getwxacodeunlimit" not in wechat.asked


async def test_wechat_away_is_told_as_such() -> None:
    api = WechatApi("http://127.0.0.1:9", clock=lambda: 0)
    with pytest.raises(Problem) as refusal:
        await api.session(APP, "c1")
    assert refusal.value.code == "wechat_away"
    await api.aclose()
