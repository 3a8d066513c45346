"""A person's rights over HTTP: told, taken back, forgotten; and WeChat's events at the merchant's own address."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from commerce.callback_crypt import CallbackKeys, seal_text, signature
from tests.gateway.rig import Rig, rig
from tests.gateway.test_distribution import done

AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
APPID = "wx0123456789abcdef"


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        yield running


async def test_a_person_sees_all_that_is_held_and_who_looked(live: Rig) -> None:
    guest, boss = await live.guest(name="小雨"), live.shop.merchant_token
    await done(live, "POST", "/me/consents", {"purpose": "marketing", "granted": True}, token=guest["token"])
    person = await done(live, "GET", f"/people/{guest['person']}", token=boss)
    assert person["minor"] is False
    await done(live, "PUT", "/tags/茶友", {}, token=boss)
    await done(live, "PUT", f"/people/{guest['person']}/tags/茶友", {}, token=boss)
    note = {"channel": "sms", "purpose": "service", "body": {"template": "SMS_1", "params": {"code": "1234"}}}
    answer = await live.call("POST", f"/people/{guest['person']}/messages", note, token=boss, key="m")
    assert answer.status_code == 202, answer.text
    mine = await done(live, "GET", "/me/data", token=guest["token"])
    assert [row["tag"] for row in mine["held"]["person_tag"]] == ["茶友"]
    [message] = mine["held"]["message"]
    assert (message["channel"], json.loads(message["body"])) == ("sms", note["body"]) and "key" not in message
    assert {"person", "identity", "consent", "privacy_log"} <= mine["held"].keys() and mine["left_out"] == {}
    log = await done(live, "GET", "/me/privacy-log", token=guest["token"])
    assert {row["action"] for row in log["items"]} == {"export", "open"} and "by" not in log["items"][0]
    theirs = live.other.merchant_token
    await done(live, "GET", f"/people/{guest['person']}/minor", token=theirs, status=404)


async def test_a_child_is_not_asked_for_what_only_grown_ups_may_agree_to(live: Rig) -> None:
    guest, boss = await live.guest(name="小雨"), live.shop.merchant_token
    body = {"guardian": "王芳", "phone": "13700137000", "agreed": True}
    await done(live, "PUT", "/me/minor", body, token=guest["token"])
    asked = {"purpose": "marketing", "granted": True}
    refused = await done(live, "POST", "/me/consents", asked, token=guest["token"], status=422)
    assert refused["code"] == "minor"
    await done(live, "POST", "/me/consents", {**asked, "granted": False}, token=guest["token"])
    path = f"/people/{guest['person']}/minor"
    assert (await done(live, "GET", path, token=boss))["guardian"] == "王芳"
    await done(live, "DELETE", path, token=boss)
    await done(live, "POST", "/me/consents", asked, token=guest["token"])


async def test_wechats_events_come_to_the_merchants_own_address(live: Rig) -> None:
    boss, merchant = live.shop.merchant_token, live.shop.merchant
    events = {"token": "thetoken", "aes_key": AES_KEY}
    await done(live, "PUT", "/wechat-app/events", events, token=boss, status=422)
    await done(live, "PUT", "/wechat-app", {"appid": APPID, "secret": "abc123"}, token=boss)
    await done(live, "PUT", "/wechat-app/events", {**events, "aes_key": "*" * 43}, token=boss, status=400)
    await done(live, "PUT", "/wechat-app/events", events, token=boss)
    keys = CallbackKeys("thetoken", AES_KEY, APPID)
    echo = seal_text(keys, "hello", bytes(16))
    query = {"timestamp": "1", "nonce": "2", "msg_signature": signature(keys.token, "1", "2", echo), "echostr": echo}
    address = f"/api/v1/wechat-events/{merchant}"
    assert (await live.client.get(address, params=query)).text == "hello"
    person = await live.application.services.people.identify(merchant, "wechat", f"{APPID}:oAnn", "安安")
    inner = json.dumps({"Event": "user_authorization_cancellation", "OpenID": "oAnn", "AppID": APPID})
    sealed = seal_text(keys, inner, bytes(16))
    query = {"timestamp": "1", "nonce": "2", "msg_signature": signature(keys.token, "1", "2", sealed)}
    answer = await live.client.post(address, params=query, json={"Encrypt": sealed})
    assert (answer.status_code, answer.text) == (200, "success")
    found = await done(live, "GET", f"/people/{person.person.id}", token=boss)
    assert (found["name"], found["identities"]) == ("", [])
    wrong = await live.client.post(address, params={**query, "msg_signature": "0" * 40}, json={"Encrypt": sealed})
    assert wrong.json()["code"] == "bad_signature"
    elsewhere = await live.client.post(f"/api/v1/wechat-events/{live.other.merchant}", params=query, json={})
    assert elsewhere.status_code == 404
