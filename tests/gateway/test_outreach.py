"""Customers are told things: one grant one message, consent and caps kept, providers' limits and refusals obeyed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from commerce.crm.results_sql import ASKS_MAX, FIRST_ASK_MS, MOST_ASK_MS
from commerce.domain.day import DAY_MS, OFFSET_MS
from gateway.sms import SmsAccount, sign_request
from tests.gateway import sms_stand_in as sms_module
from tests.gateway import wecom_stand_in as wecom_module
from tests.gateway.rig import Rig, rig
from tests.gateway.sms_stand_in import SmsStandIn, sms_stand_in
from tests.gateway.wechat_stand_in import APPID, SECRET, WechatStandIn, wechat_stand_in
from tests.gateway.wecom_stand_in import WecomStandIn, wecom_stand_in

HOUR_MS = 3_600_000
NOTE = {"channel": "sms", "purpose": "service", "body": {"template": "SMS_1", "params": {"code": "取货码 1234"}}}
ADVERT = {**NOTE, "purpose": "marketing"}


class Town:
    """A shop with accounts at all three, and customers whom each can reach."""

    def __init__(self, live: Rig, wechat: WechatStandIn, wecom: WecomStandIn, sms: SmsStandIn) -> None:
        self.live = live
        self.wechat = wechat
        self.wecom = wecom
        self.sms = sms

    async def done(self, method: str, path: str, body: Any = None, *, status: int = 200, **more: Any) -> Any:
        more.setdefault("token", self.live.shop.merchant_token)
        # What is done later has a later id.
        self.live.clock.ahead_ms += 1
        answer = await self.live.call(method, path, body, **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def customer(self, number: str = "13800138022", *, consents: bool = True) -> dict[str, Any]:
        """A customer with a mini-program's openid and a number."""
        n = len(self.wechat.logins)
        self.wechat.logins[f"c{n}"] = (f"open-{n}", f"union-{n}")
        self.wechat.phones[f"p{n}"] = ("86", number)
        room = self.live.shop.room
        entered = await self.live.call("POST", "/auth/wechat", {"room": room, "code": f"c{n}", "phone_code": f"p{n}"})
        assert entered.status_code == 200, entered.text
        person: dict[str, Any] = entered.json()
        if consents:
            await self.done("POST", "/me/consents", {"purpose": "marketing", "granted": True}, token=person["token"])
        return person

    async def tell(self, person: dict[str, Any], body: Any, key: str = "k", status: int = 202) -> None:
        await self.done("POST", f"/people/{person['person']}/messages", body, key=key, status=status)

    async def work(self) -> int:
        return await self.live.application.services.messenger.work()

    async def states(self) -> list[tuple[str, str]]:
        """State and cause of every message, oldest first."""
        items = (await self.done("GET", "/messages"))["items"]
        return [(one["state"], one["why"]) for one in reversed(items)]


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with (
        wechat_stand_in() as wechat,
        wecom_stand_in() as wecom,
        sms_stand_in() as sms,
        rig(tmp_path, wechat_api=wechat.base, wecom_api=wecom.base, sms_api=sms.base) as live,
    ):
        # By hand alone: what the loop would do in between is what is tested.
        await live.application.services.messenger.close()
        live.clock.stop()
        # At noon in the shop's time.
        live.clock.ahead_ms += 12 * HOUR_MS - (live.clock() + OFFSET_MS) % DAY_MS
        here = Town(live, wechat, wecom, sms)
        await here.done("PUT", "/wechat-app", {"appid": APPID, "secret": SECRET})
        keys = {"token": "tok", "aes_key": "A" * 43}
        await here.done(
            "PUT", "/channels/wecom", {"corpid": wecom_module.CORPID, "secret": wecom_module.SECRET, **keys}
        )
        account = {"key": sms_module.KEY, "secret": sms_module.SECRET, "sign_name": "思语优选"}
        await here.done("PUT", "/channels/sms", account)
        yield here


async def test_one_grant_is_one_subscribe_message(town: Town) -> None:
    ann = await town.customer()
    told = {"channel": "subscribe", "purpose": "marketing", "body": {"template": "T1", "data": {"thing1": "秒杀"}}}
    left = await town.done("POST", "/me/message-grants", {"templates": ["T1"]}, token=ann["token"])
    assert left == {"T1": 1}
    town.wechat.grants["open-0", "T1"] = 1
    await town.tell(ann, told, "a")
    await town.tell(ann, told, "a")
    await town.tell(ann, told, "b")
    await town.work()
    assert await town.states() == [("sent", ""), ("dropped", "no_grant")]
    assert [one["data"] for one in town.wechat.messages] == [{"thing1": {"value": "秒杀"}}]


async def test_a_grant_that_wechat_does_not_know_ends_the_message_and_what_is_left(town: Town) -> None:
    ann = await town.customer()
    told = {"channel": "subscribe", "purpose": "service", "body": {"template": "T1", "data": {}}}
    for _ in range(2):
        await town.done("POST", "/me/message-grants", {"templates": ["T1"]}, token=ann["token"])
    await town.tell(ann, told, "a")
    await town.work()
    await town.tell(ann, told, "b")
    await town.work()
    states = await town.states()
    assert states[0][0] == "failed" and "43101" in states[0][1]
    assert states[1] == ("dropped", "no_grant")


async def test_an_expired_access_token_is_fetched_once_and_the_message_goes(town: Town) -> None:
    ann = await town.customer()
    await town.done("POST", "/me/message-grants", {"templates": ["T1", "T2"]}, token=ann["token"])
    town.wechat.grants = {("open-0", "T1"): 1, ("open-0", "T2"): 1}
    for template in ("T1", "T2"):
        town.wechat.lapse()
        told = {"channel": "subscribe", "purpose": "service", "body": {"template": template, "data": {}}}
        await town.tell(ann, told, template)
        await town.work()
    assert [state for state, _ in await town.states()] == ["sent", "sent"]


async def test_marketing_needs_consent_and_taking_it_back_holds_at_once(town: Town) -> None:
    ann, bo = await town.customer(), await town.customer("13911112222", consents=False)
    await town.tell(ann, ADVERT, "a")
    await town.tell(bo, ADVERT, "b")
    await town.tell(bo, NOTE, "c")
    await town.done("POST", "/me/consents", {"purpose": "marketing", "granted": False}, token=ann["token"])
    await town.work()
    assert await town.states() == [("dropped", "no_consent"), ("dropped", "no_consent"), ("sent", "")]
    assert [one["PhoneNumbers"] for one in town.sms.sent] == ["13911112222"]
    assert town.sms.sent[0]["TemplateParam"] == '{"code":"取货码 1234"}'


async def test_marketing_is_capped_by_day_and_week_also_for_who_was_merged(town: Town) -> None:
    ann, bo = await town.customer(), await town.live.guest(device="bo")
    for key in ("a", "b"):
        await town.tell(ann, ADVERT, key)
    await town.work()
    assert await town.states() == [("sent", ""), ("dropped", "cap")]
    merge = {"other": bo["person"], "reason": "一个人"}
    await town.done("POST", f"/people/{ann['person']}/merges", merge, status=201)
    await town.tell(bo, ADVERT, "c")
    await town.work()
    town.live.clock.ahead_ms += DAY_MS
    await town.tell(bo, ADVERT, "d")
    await town.work()
    town.live.clock.ahead_ms += DAY_MS
    await town.tell(bo, ADVERT, "e")
    await town.work()
    assert [state for state, _ in await town.states()] == ["sent", "dropped", "dropped", "sent", "dropped"]


async def test_marketing_waits_for_the_morning_and_service_does_not(town: Town) -> None:
    ann = await town.customer()
    town.live.clock.ahead_ms += 10 * HOUR_MS
    await town.tell(ann, ADVERT, "a")
    await town.tell(ann, NOTE, "b")
    await town.work()
    assert await town.states() == [("waiting", "night"), ("sent", "")]
    town.live.clock.ahead_ms += 10 * HOUR_MS
    await town.work()
    assert [state for state, _ in await town.states()] == ["sent", "sent"]


async def test_a_limit_makes_it_wait_and_a_number_that_is_refused_ends_it(town: Town) -> None:
    ann, bo = await town.customer(), await town.customer("13911112222")
    town.sms.codes = ["isv.BUSINESS_LIMIT_CONTROL"]
    town.sms.refused_numbers = {"13911112222"}
    await town.tell(ann, NOTE, "a")
    await town.work()
    await town.tell(bo, NOTE, "b")
    await town.work()
    assert [state for state, _ in await town.states()] == ["waiting", "failed"]
    assert town.sms.sent == []
    town.live.clock.ahead_ms += HOUR_MS
    await town.work()
    assert [state for state, _ in await town.states()] == ["sent", "failed"]
    assert (await town.done("GET", "/messages"))["items"][1]["number"] == "biz1"


async def test_a_fault_of_the_account_is_tried_six_times_and_given_up(town: Town) -> None:
    ann = await town.customer()
    await town.done("PUT", "/channels/sms", {"key": sms_module.KEY, "secret": "wrong", "sign_name": "思语"})
    await town.tell(ann, NOTE)
    for _ in range(6):
        assert await town.work() == 1
        town.live.clock.ahead_ms += HOUR_MS
    assert await town.work() == 0
    [(state, why)] = await town.states()
    assert state == "failed" and "SignatureDoesNotMatch" in why


async def test_what_was_claimed_before_a_crash_is_sent_after_its_lease(town: Town) -> None:
    ann = await town.customer()
    await town.tell(ann, NOTE)
    outreach = town.live.application.services.outreach
    assert len(await outreach.claim(10)) == 1
    assert await outreach.claim(10) == []
    assert await town.work() == 0
    town.live.clock.ahead_ms += 6 * 60_000
    assert await town.work() == 1
    assert [state for state, _ in await town.states()] == ["sent"]


async def test_a_broadcast_goes_to_a_segment_as_one_task_for_each_sender(town: Town) -> None:
    identities = town.live.application.services.identities
    people = []
    for n, number in enumerate(("13800138022", "13911112222", "13711112222")):
        person = await town.customer(number, consents=n != 2)
        await identities.show_key(town.live.shop.merchant, person["person"], "wecom", f"{wecom_module.CORPID}:ext{n}")
        people.append(person)
    town.wecom.know("ext0")
    store = town.live.application.services.crm._store
    row = {"merchant": town.live.shop.merchant}
    for n in range(3):
        insert = (
            'INSERT INTO wecom_contact (merchant, external, "user", added_ms)'
            f" VALUES ('{row['merchant']}', 'ext{n}', 'guide1', 1)"
        )
        await store.write(lambda db, insert=insert: db.exec_driver_sql(insert))  # type: ignore[misc]
    text = {"text": "今晚八点开播", "title": "直播间", "url": "https://shop.example/r/1"}
    body = {"name": "开播提醒", "condition": {"has": "wecom"}, "channel": "wecom", "body": text}
    await town.done("POST", "/broadcasts", body, status=201)
    town.wecom.errors = [45009]
    await town.work()
    [listed] = await town.done("GET", "/broadcasts")
    assert (listed["people"], listed["writing"], listed["counts"]) == (3, False, {"waiting": 2, "no_consent": 1})
    town.live.clock.ahead_ms += 2 * 60_000
    town.wecom.lapse()
    await town.work()
    [listed] = await town.done("GET", "/broadcasts")
    assert listed["counts"] == {"sent": 1, "failed": 1, "no_consent": 1}
    [task] = town.wecom.tasks
    assert (task["sender"], task["external_userid"], task["text"]) == ("guide1", ["ext0"], {"content": "今晚八点开播"})
    assert task["attachments"] == [{"msgtype": "link", "link": {"title": "直播间", "url": text["url"]}}]


async def contacts(town: Town, *numbers: str) -> list[str]:
    """Customers who agreed to be written to, each a contact of ``guide1`` at WeCom."""
    identities = town.live.application.services.identities
    store = town.live.application.services.crm._store
    merchant, people = town.live.shop.merchant, []
    for n, number in enumerate(numbers):
        person = await town.customer(number, consents=True)
        await identities.show_key(merchant, person["person"], "wecom", f"{wecom_module.CORPID}:ext{n}")
        town.wecom.know(f"ext{n}")
        insert = (
            'INSERT INTO wecom_contact (merchant, external, "user", added_ms)'
            f" VALUES ('{merchant}', 'ext{n}', 'guide1', 1)"
        )
        await store.write(lambda db, insert=insert: db.exec_driver_sql(insert))  # type: ignore[misc]
        people.append(person["person"])
    return people


async def test_what_became_of_a_mass_message_is_asked_for_until_it_is_known(town: Town) -> None:
    people = await contacts(town, "13800138022", "13911112222", "13711112222", "13611112222")
    body = {"name": "开播", "condition": {"has": "wecom"}, "channel": "wecom", "body": {"text": "今晚八点"}}
    await town.done("POST", "/broadcasts", body, status=201)
    await town.work()

    async def counts() -> dict[str, int]:
        [listed] = await town.done("GET", "/broadcasts")
        found: dict[str, int] = listed["counts"]
        return found

    messenger = town.live.application.services.messenger
    assert await messenger.ask_results() == 0  # staff have not seen it yet
    town.live.clock.ahead_ms += FIRST_ASK_MS + 1
    town.wecom.results = {"ext0": 1, "ext1": 2, "ext2": 3}
    town.wecom.errors = [-1] * 5
    await messenger.ask_results()
    assert await counts() == {"sent": 4}
    town.wecom.errors = []
    town.live.clock.ahead_ms += 2 * FIRST_ASK_MS + 1
    assert await messenger.ask_results() == 3
    assert await counts() == {"delivered": 1, "no_friend": 1, "had_another": 1, "sent": 1}
    journal = (await town.done("GET", "/messages"))["items"]
    told = {one["person"]: (one["state"], one["outcome"]) for one in journal}
    assert [told[person] for person in people] == [
        ("sent", "delivered"), ("sent", "no_friend"), ("sent", "had_another"), ("sent", "")
    ]  # fmt: skip
    for _ in range(ASKS_MAX):
        town.live.clock.ahead_ms += MOST_ASK_MS + 1
        await messenger.ask_results()
    assert await counts() == {"delivered": 1, "no_friend": 1, "had_another": 1, "untapped": 1}
    store = town.live.application.services.crm._store
    left = await store.read(lambda db: db.exec_driver_sql("SELECT DISTINCT external FROM wecom_delivery").all())
    assert [tuple(row) for row in left] == [("",)]  # who they are at WeCom is forgotten


@pytest.mark.parametrize(
    "body",
    [
        {**NOTE, "body": {}},
        {**NOTE, "body": {"template": "T", "params": {"a": 1}}},
        {**NOTE, "body": {"template": "T", "params": {"a": "x" * 201}}},
        {"channel": "wecom", "purpose": "service", "body": {"text": ""}},
        {"channel": "wecom", "purpose": "service", "body": {"text": "x", "url": "javascript:1"}},
        {"channel": "mail", "purpose": "service", "body": {}},
    ],
)
async def test_a_message_that_its_channel_cannot_carry_is_refused(town: Town, body: Any) -> None:
    await town.tell(await town.customer(), body, status=400)


async def test_accounts_show_no_secret_and_messages_are_the_merchants_alone(town: Town) -> None:
    shown = await town.done("GET", "/channels/wecom")
    assert shown == {"channel": "wecom", "settings": {"corpid": wecom_module.CORPID}}
    ann = await town.customer()
    other = town.live.other.merchant_token
    await town.done("GET", "/channels/sms", token=other, status=404)
    await town.done("GET", "/messages", token=ann["token"], status=403)
    await town.done("POST", f"/people/{ann['person']}/messages", NOTE, key="k", token=other, status=404)
    await town.done(
        "POST", "/me/message-grants", {"templates": ["T"]}, token=(await town.live.guest())["token"], status=404
    )


def test_the_signature_is_that_of_the_documents_example() -> None:
    """Alibaba Cloud's own example of V3: RunInstances with fixed date and nonce."""
    query = {"ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd", "RegionId": "cn-shanghai"}
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }
    account = SmsAccount("YourAccessKeyId", "YourAccessKeySecret", "")
    signed = sign_request("POST", "/", query, headers, b"", account)
    assert signed.endswith("Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0")
