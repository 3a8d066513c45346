"""WeCom: a code whose ``state`` is a link's token, signed events, one person across mini-program and WeCom."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.gateway.rig import Rig, rig
from tests.gateway.wechat_stand_in import APPID, WechatStandIn, wechat_stand_in
from tests.gateway.wechat_stand_in import SECRET as APP_SECRET
from tests.gateway.wecom_stand_in import CORPID, SECRET, WecomStandIn, wecom_stand_in

TOKEN, AES_KEY = "callback-token", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"


def sealed(text: str, receiver: str = CORPID) -> tuple[dict[str, str], str]:
    """Query and encrypted text as WeCom's document has them, worked out apart from the server's own module."""
    key = base64.b64decode(AES_KEY + "=")
    raw = text.encode()
    content = os.urandom(16) + len(raw).to_bytes(4, "big") + raw + receiver.encode()
    pad = 32 - len(content) % 32
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    encrypted = base64.b64encode(encryptor.update(content + bytes([pad]) * pad) + encryptor.finalize()).decode()
    query = {"timestamp": "1800000000", "nonce": "263014780"}
    signed = "".join(sorted([TOKEN, *query.values(), encrypted]))
    return {**query, "msg_signature": hashlib.sha1(signed.encode()).hexdigest()}, encrypted


class Office:
    """A shop with a corporation at WeCom."""

    def __init__(self, live: Rig, wecom: WecomStandIn, wechat: WechatStandIn) -> None:
        self.live = live
        self.wecom = wecom
        self.wechat = wechat
        self.path = f"/wecom/{live.shop.merchant}"

    async def done(self, method: str, path: str, body: Any = None, *, status: int = 200, **more: Any) -> Any:
        more.setdefault("token", self.live.shop.merchant_token)
        answer = await self.live.call(method, path, body, **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def event(self, change: str, external: str, at_s: int = 1_800_000_000, **more: str) -> httpx.Response:
        fields = {"Event": "change_external_contact", "ChangeType": change, "UserID": "guide1"}
        fields |= {"ExternalUserID": external, "CreateTime": str(at_s), **more}
        inner = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in fields.items())
        query, encrypted = sealed(f"<xml>{inner}</xml>")
        envelope = f"<xml><ToUserName>{CORPID}</ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
        return await self.live.client.post(f"/api/v1{self.path}", params=query, content=envelope.encode())

    async def touches(self, external: str) -> list[dict[str, Any]]:
        """Touches of whoever a customer at WeCom is."""
        services = self.live.application.services
        merchant = self.live.shop.merchant
        person = (await services.people.identify(merchant, "wecom", f"{CORPID}:{external}")).person.id
        who = await services.identities.person(merchant, person)
        return await services.attribution.touches_of(merchant, [who["id"], *who["aliases"]], 50)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with (
        wecom_stand_in() as wecom,
        wechat_stand_in() as wechat,
        rig(tmp_path, wecom_api=wecom.base, wechat_api=wechat.base) as live,
    ):
        here = Office(live, wecom, wechat)
        account = {"corpid": CORPID, "secret": SECRET, "token": TOKEN, "aes_key": AES_KEY}
        await here.done("PUT", "/channels/wecom", account)
        yield here


async def test_a_codes_state_is_a_token_and_who_adds_by_it_is_a_touch_of_its_link(office: Office) -> None:
    body = {"name": "门店海报", "users": ["guide1"], "room": office.live.shop.room}
    office.wecom.lapse()
    way = await office.done("POST", "/contact-ways", body, status=201)
    state = office.wecom.ways[0]["state"]
    assert len(state) <= 30 and way["qr_code"] == "https://wework.qpic.cn/1"
    assert [one["way"] for one in await office.done("GET", "/contact-ways")] == [way["way"]]
    office.wecom.know("ext1", name="小雨")
    assert (await office.event("add_external_contact", "ext1", State=state)).text == "success"
    [touch] = await office.touches("ext1")
    assert (touch["kind"], touch["link"], touch["reason"]) == ("contact_added", way["link"], None)
    assert (touch["channel"], touch["room"]) == ("wecom", office.live.shop.room)


async def test_a_unionid_joins_the_contact_with_the_person_of_the_mini_program(office: Office) -> None:
    await office.done("PUT", "/wechat-app", {"appid": APPID, "secret": APP_SECRET})
    office.wechat.logins["c1"] = ("open-1", "union-1")
    entered = await office.live.call("POST", "/auth/wechat", {"room": office.live.shop.room, "code": "c1"})
    office.wecom.know("ext1", unionid="union-1")
    await office.event("add_external_contact", "ext1")
    kinds = {touch["kind"] for touch in await office.touches("ext1")}
    assert kinds == {"room_entry", "contact_added"}
    profile = await office.done("GET", f"/people/{entered.json()['person']}")
    assert {one["kind"] for one in profile["identities"]} == {"wechat", "unionid", "wecom"}


async def test_a_missing_state_is_asked_for_and_without_one_the_touch_has_no_link(office: Office) -> None:
    way = await office.done("POST", "/contact-ways", {"name": "名片", "users": ["guide1", "guide2"]}, status=201)
    office.wecom.know("ext1", state=office.wecom.ways[0]["state"])
    office.wecom.know("ext2")
    for external in ("ext1", "ext2"):
        await office.event("add_external_contact", external)
    assert [touch["link"] for touch in await office.touches("ext1")] == [way["link"]]
    assert [(touch["link"], touch["reason"]) for touch in await office.touches("ext2")] == [(None, None)]


async def test_a_state_that_is_no_token_of_ours_is_a_touch_with_its_reason(office: Office) -> None:
    office.wecom.know("ext1")
    await office.event("add_external_contact", "ext1", State="someone else's")
    [touch] = await office.touches("ext1")
    assert (touch["link"], touch["reason"]) == (None, "bad_characters")


async def test_a_contact_who_is_there_already_is_no_new_touch_until_they_left_and_came_again(office: Office) -> None:
    office.wecom.know("ext1")
    for _ in range(3):
        await office.event("add_external_contact", "ext1", 1_800_000_000)
    assert len(await office.touches("ext1")) == 1
    await office.event("del_follow_user", "ext1", 1_800_000_100)
    # An event that was under way for long, from before they left.
    await office.event("add_external_contact", "ext1", 1_800_000_050)
    assert len(await office.touches("ext1")) == 1
    await office.event("add_external_contact", "ext1", 1_800_000_200)
    assert len(await office.touches("ext1")) == 2
    await office.event("add_external_contact", "ext1", 1_800_000_300, UserID="guide2")
    assert len(await office.touches("ext1")) == 3


async def test_when_wecom_does_not_say_who_it_is_the_customer_is_kept_and_joined_later(office: Office) -> None:
    office.wecom.errors = [45009]
    assert (await office.event("add_external_contact", "ext1")).status_code == 200
    [touch] = await office.touches("ext1")
    assert touch["kind"] == "contact_added"
    office.wecom.know("ext1", unionid="union-1")
    await office.event("edit_external_contact", "ext1")
    services, merchant = office.live.application.services, office.live.shop.merchant
    person = (await services.people.identify(merchant, "wecom", f"{CORPID}:ext1")).person.id
    found = await services.identities.person(merchant, person)
    assert {one["kind"] for one in found["identities"]} == {"wecom", "unionid"}


async def test_the_address_is_tried_and_only_what_wecom_signed_for_this_shop_is_taken(office: Office) -> None:
    query, encrypted = sealed("1616140317555161061")
    path = f"/api/v1{office.path}"
    tried = await office.live.client.get(path, params={**query, "echostr": encrypted})
    assert (tried.status_code, tried.text) == (200, "1616140317555161061")
    forged = await office.live.client.get(path, params={**query, "nonce": "1", "echostr": encrypted})
    assert (forged.status_code, forged.json()["code"]) == (403, "callback")
    for body in (b"", b"<xml/>", b"<xml><Encrypt>AAAA</Encrypt></xml>", b"x" * 300_000):
        assert (await office.live.client.post(path, params=query, content=body)).status_code in (403, 413)
    query, encrypted = sealed("<xml><Event>change_external_contact</Event></xml>", "ww-another-corp")
    envelope = f"<xml><Encrypt>{encrypted}</Encrypt></xml>".encode()
    assert (await office.live.client.post(path, params=query, content=envelope)).status_code == 403
    elsewhere = f"/api/v1/wecom/{office.live.other.merchant}"
    assert (await office.live.client.post(elsewhere, params=query, content=envelope)).status_code == 404


async def test_a_code_is_for_the_shops_own_staff_and_rooms(office: Office) -> None:
    body = {"name": "名片", "users": ["guide1"]}
    guest = (await office.live.guest())["token"]
    await office.done("POST", "/contact-ways", body, token=guest, status=403)
    await office.done("POST", "/contact-ways", body, token=office.live.other.merchant_token, status=404)
    await office.done("POST", "/contact-ways", {**body, "room": office.live.other.room}, status=404)
    await office.done("POST", "/contact-ways", {**body, "users": []}, status=400)
    office.wecom.errors = [40001, 40001]
    await office.done("POST", "/contact-ways", body, status=502)
