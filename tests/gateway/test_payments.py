"""Paying through accounts of a settings file, by the API, with callbacks over HTTP and daily files."""

from __future__ import annotations

import contextlib
import logging
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from commerce.domain.day import day_of
from gateway.clock import system_clock
from gateway.config import SettingsError
from gateway.logs import redact
from gateway.payment_settings import open_accounts
from tests.commerce.stand_in import key, served
from tests.commerce.stand_in_alipay import APP_ID, SELLER_ID, AlipayStandIn
from tests.commerce.stand_in_wechat import (
    API_V3_KEY,
    APPID,
    MCHID,
    PUBLIC_KEY_ID,
    SERIAL,
    WechatStandIn,
    wechat_bill,
)
from tests.gateway.rig import Rig, rig
from tests.gateway.wechat_stand_in import SECRET, wechat_stand_in

PUBLIC_URL = "https://shop.example"


def write_accounts(folder: Path, wechat_url: str = "https://x", alipay_url: str = "https://x") -> Path:
    """A settings file with an account at each, and its keys beside it."""
    private = key("merchant").private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    (folder / "api_v3_key").write_bytes(API_V3_KEY + b"\n")
    for name in ("platform", "alipay"):
        public = (
            key(name)
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        # Alipay's console gives bare base64.
        text = public.decode()
        (folder / f"{name}.pem").write_text("".join(text.splitlines()[1:-1]) if name == "alipay" else text)
    path = folder / "payments.toml"
    path.write_text(
        f'[wechat]\nkind = "wechat"\nappid = "{APPID}"\nmchid = "{MCHID}"\nserial = "{SERIAL}"\n'
        f'private_key_file = "key.pem"\napi_v3_key_file = "api_v3_key"\npublic_key_id = "{PUBLIC_KEY_ID}"\n'
        f'public_key_file = "platform.pem"\napi = "{wechat_url}"\n'
        f'[ali-1]\nkind = "alipay"\napp_id = "{APP_ID}"\nseller_id = "{SELLER_ID}"\nprivate_key_file = "key.pem"\n'
        f'public_key_file = "alipay.pem"\napi = "{alipay_url}/gateway.do"\n'
    )
    return path


@contextlib.asynccontextmanager
async def shop(folder: Path, **settings: Any) -> AsyncIterator[tuple[Rig, WechatStandIn, AlipayStandIn]]:
    """An application with two accounts at stand-ins."""
    clock: Any = system_clock
    wechat, alipay = WechatStandIn(clock), AlipayStandIn(clock)
    async with served(wechat.app()) as wechat.url, served(alipay.app()) as alipay.url:
        accounts = write_accounts(folder, wechat.url, alipay.url)
        async with rig(folder, payments=accounts, public_url=PUBLIC_URL, **settings) as live:
            yield live, wechat, alipay


async def ordered(live: Rig, guest: dict[str, Any], key: str = "o") -> str:
    """A pending order; its id."""
    line = {"sku": live.shop.products[1]["sku"], "quantity": 1, "version": 1}
    answer = await live.call(
        "POST", "/orders", {"room": live.shop.room, "lines": [line]}, token=guest["token"], key=key
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["order"]["order"])


async def test_an_order_is_paid_by_a_code_and_a_callback_over_http(tmp_path: Path) -> None:
    async with shop(tmp_path) as (live, wechat, _):
        guest = await live.guest()
        offers = (await live.call("GET", "/payments", token=guest["token"])).json()
        assert offers == [
            {"provider": "wechat", "methods": ["jsapi", "native"]},
            {"provider": "ali-1", "methods": ["native", "page", "wap"]},
        ]
        order = await ordered(live, guest)
        path = f"/orders/{order}/pay"
        answer = await live.call("POST", path, {"method": "native"}, token=guest["token"], key="p")
        body = answer.json()
        assert body["order"]["status"] == "pending", answer.text
        assert body["payment"]["fields"]["code_url"].startswith("weixin://")
        assert body["payment"]["qr"].startswith("data:image/svg+xml")
        [payment] = wechat.trades
        assert wechat.trades[payment].request["notify_url"] == f"{PUBLIC_URL}/api/v1/payments/wechat"
        message = wechat.pay(payment)
        for _ in range(5):
            taken = await live.client.post(
                "/api/v1/payments/wechat", content=message.body, headers=dict(message.headers)
            )
            assert (taken.status_code, taken.json()) == (200, {"code": "SUCCESS"})
        read = await live.call("GET", f"/orders/{order}", token=guest["token"])
        assert read.json()["order"]["status"] == "paid"
        # The one of another account, the one that was changed, and one for nobody.
        elsewhere = await live.client.post("/api/v1/payments/ali-1", content=message.body)
        assert elsewhere.text == "failure"
        forged = await live.client.post(
            "/api/v1/payments/wechat", content=message.body + b" ", headers=dict(message.headers)
        )
        assert forged.status_code == 401 and forged.json()["code"] == "FAIL"
        assert (await live.client.post("/api/v1/payments/nosuch", content=b"{}")).status_code == 404


async def test_a_payment_that_was_not_heard_of_is_listed_and_asked_for_again_by_hand(tmp_path: Path) -> None:
    async with shop(tmp_path) as (live, wechat, _):
        guest, boss = await live.guest(), live.shop.merchant_token
        order = await ordered(live, guest)
        await live.call("POST", f"/orders/{order}/pay", {"method": "native"}, token=guest["token"], key="p")
        [payment] = wechat.trades
        wechat.pay(payment)
        wechat.failures = [(503, "SYSTEM_ERROR")] * 1_000
        await live.call("POST", f"/orders/{order}/cancel", token=guest["token"])
        page = (await live.call("GET", "/payments/unheard", token=boss)).json()
        [one] = page["items"]
        assert (one["payment"], one["order"], one["provider"], page["next"]) == (payment, order, "wechat", None)
        path = f"/payments/unheard/{payment}"
        away = await live.call("POST", path, token=boss)
        assert (away.status_code, away.json()["code"]) == (503, "busy")
        assert (await live.call("POST", path, token=guest["token"])).status_code == 403
        wechat.failures.clear()
        answer = await live.call("POST", path, token=boss)
        assert answer.json()["order"]["status"] == "paid", answer.text
        assert (await live.call("GET", "/payments/unheard", token=boss)).json()["items"] == []
        assert (await live.call("POST", path, token=boss)).status_code == 404


async def test_who_came_by_the_mini_program_pays_in_it_without_knowing_their_openid(tmp_path: Path) -> None:
    async with wechat_stand_in() as door, shop(tmp_path, wechat_api=door.base) as (live, wechat, _):
        door.logins = {"c1": ("open-1", "")}
        await live.call("PUT", "/wechat-app", {"appid": APPID, "secret": SECRET}, token=live.shop.merchant_token)
        entered = await live.call("POST", "/auth/wechat", {"room": live.shop.room, "code": "c1"})
        buyer = entered.json()
        path = f"/orders/{await ordered(live, buyer)}/pay"
        answer = await live.call("POST", path, {"method": "jsapi"}, token=buyer["token"], key="p")
        assert answer.status_code == 200, answer.text
        assert answer.json()["payment"]["fields"]["package"].startswith("prepay_id=")
        [trade] = wechat.trades.values()
        assert trade.request["payer"] == {"openid": "open-1"}


async def test_paying_asks_for_what_is_missing_in_words(tmp_path: Path) -> None:
    async with shop(tmp_path) as (live, _, alipay):
        guest = await live.guest()
        path = f"/orders/{await ordered(live, guest)}/pay"
        token = guest["token"]
        for body, word in (
            ({}, "openid"),
            ({"provider": "paypal"}, "paypal"),
            ({"provider": "wechat", "method": "wap"}, "wap"),
        ):
            answer = await live.call("POST", path, body, token=token, key=f"k{word}")
            assert answer.status_code == 400 and word in answer.json()["detail"], answer.text
        page = await live.call("POST", path, {"provider": "ali-1", "method": "wap"}, token=token, key="k")
        alipay.visit(page.json()["payment"]["fields"]["url"])
        [payment] = alipay.trades
        message = alipay.pay(payment)
        taken = await live.client.post("/api/v1/payments/ali-1", content=message.body)
        assert taken.text == "success"


async def test_the_daily_file_and_its_report_by_the_api(tmp_path: Path) -> None:
    async with shop(tmp_path) as (live, wechat, _):
        guest = await live.guest()
        order = await ordered(live, guest)
        await live.call("POST", f"/orders/{order}/pay", {"method": "native"}, token=guest["token"], key="p")
        [payment] = wechat.trades
        message = wechat.pay(payment, "4200000001")
        await live.client.post("/api/v1/payments/wechat", content=message.body, headers=dict(message.headers))
        day = day_of(live.clock())
        live.clock.ahead_ms += 86_400_000
        # The platform's clock is another's: its signatures would be a day old.
        wechat.clock = live.clock  # type: ignore[assignment]
        amount = wechat.trades[payment].request["amount"]["total"]
        row = {
            "微信订单号": "4200000001",
            "商户订单号": payment,
            "交易状态": "SUCCESS",
            "商户数据包": live.shop.merchant,
        }
        wechat.bills[day] = wechat_bill([{**row, "订单金额": f"{amount / 100:.2f}", "手续费": "0.01"}])
        token = live.shop.merchant_token
        fetched = await live.call("POST", "/reconciliations", {"provider": "wechat", "day": day}, token=token)
        assert fetched.json() == {"fetched": True}, fetched.text
        [report] = (await live.call("GET", f"/reconciliations?day={day}", token=token)).json()
        assert (report["matched"], report["fees"], report["differences"]) == (1, 1, [])
        sheet = await live.call("GET", f"/reconciliations?day={day}&format=csv", token=token)
        assert "wechat,net,figure" in sheet.text and sheet.headers["content-type"].startswith("text/csv")
        other = (await live.call("GET", f"/reconciliations?day={day}", token=live.other.merchant_token)).json()
        assert [one["paid"] for one in other] == [0]
        for body in ({"provider": "sandbox", "day": day}, {"provider": "wechat", "day": "yesterday"}):
            answer = await live.call("POST", "/reconciliations", body, token=token)
            assert answer.status_code in (400, 404), answer.text


def test_secrets_come_from_files_and_the_environment_and_never_from_a_file_that_all_may_read(tmp_path: Path) -> None:
    path = write_accounts(tmp_path)
    assert [one.name for one in open_accounts(path, public_url=PUBLIC_URL, clock=system_clock)] == ["wechat", "ali-1"]
    text = path.read_text()
    path.write_text(text.replace('api_v3_key_file = "api_v3_key"', 'api_v3_key_env = "V3"'))
    with pytest.raises(SettingsError, match="no V3"):
        open_accounts(path, public_url=PUBLIC_URL, clock=system_clock, environment={})
    assert open_accounts(path, public_url=PUBLIC_URL, clock=system_clock, environment={"V3": API_V3_KEY.decode()})
    path.write_text(text.replace('api_v3_key_file = "api_v3_key"', f'api_v3_key = "{API_V3_KEY.decode()}"'))
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 640"):
        open_accounts(path, public_url=PUBLIC_URL, clock=system_clock)
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert open_accounts(path, public_url=PUBLIC_URL, clock=system_clock)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (('kind = "wechat"', 'kind = "paypal"'), "wechat or alipay"),
        (("[wechat]", "[sandbox]"), "a name"),
        ((f'mchid = "{MCHID}"\n', ""), "mchid"),
        (('serial = "', 'serail = "x"\nserial = "'), "serail"),
        (('"key.pem"', '"nosuch.pem"'), "nosuch.pem"),
        (('"key.pem"', '"alipay.pem"'), "private key"),
        (('"api_v3_key"', '"key.pem"'), "32 bytes"),
        (("[wechat]", "[wechat"), "not TOML"),
    ],
)
def test_a_wrong_settings_file_says_where_and_what(tmp_path: Path, change: tuple[str, str], word: str) -> None:
    path = write_accounts(tmp_path)
    path.write_text(path.read_text().replace(*change, 1))
    with pytest.raises(SettingsError, match=word):
        open_accounts(path, public_url=PUBLIC_URL, clock=system_clock)
    with pytest.raises(SettingsError, match="public-url"):
        open_accounts(path, public_url="http://shop.example", clock=system_clock)


def test_keys_of_payments_stand_in_no_log() -> None:
    text = 'api_v3_key = "0123456789abcdef0123456789abcdef", paySign: abc+/=, sign=Zm9v%3D&x=1'
    assert "0123" not in redact(text) and "Zm9v" not in redact(text) and "abc+" not in redact(text)
    pem = "-----BEGIN PRIVATE KEY-----\\nMIIEvQ\\nabcd\\n-----END PRIVATE KEY----- after"
    assert "MIIEvQ" not in redact(pem) and redact(pem).endswith("after")
    assert logging.getLogger("httpx").getEffectiveLevel() >= logging.WARNING
