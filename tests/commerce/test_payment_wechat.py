"""WeChat Pay's API v3 against a stand-in that signs, seals and fails as its documents say."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from commerce.errors import Busy, CommerceError, Invalid, Refused
from commerce.payment import PaymentRequest, RefundRequest, SignedMessage
from tests.commerce.shop_world import START_MS, ManualClock
from tests.commerce.stand_in import is_signed, key
from tests.commerce.stand_in_wechat import APPID, PLATFORM_SERIAL, WECHAT_FUNDS, WechatStandIn, wechat, wechat_bill


def request(payment: str = "p1", method: str = "native", **more: Any) -> PaymentRequest:
    """5.00 yuan, five minutes and some."""
    return PaymentRequest(payment, "m1", 500, START_MS + 300_999, "明前龙井", method, **more)


async def code(awaitable: Any) -> str:
    """The code of the refusal."""
    with pytest.raises(CommerceError) as refused:
        await awaitable
    return refused.value.code


async def test_a_native_order_ends_with_the_hold_and_carries_whose_it_is() -> None:
    async with wechat(ManualClock()) as (there, provider):
        opened = await provider.start(request())
        assert opened is not None and opened.fields == {"code_url": "weixin://wxpay/bizpayurl?pr=p1"}
        placed = there.trades["p1"].request
        assert datetime.fromisoformat(placed["time_expire"]).timestamp() * 1000 == START_MS + 300_000
        assert (placed["attach"], placed["amount"], placed["description"]) == (
            "m1",
            {"total": 500, "currency": "CNY"},
            "明前龙井",
        )
        # Asked again, the same: nothing is placed twice.
        assert await provider.start(request()) == opened


async def test_a_jsapi_order_gives_what_the_wallet_checks() -> None:
    async with wechat(ManualClock()) as (there, provider):
        opened = await provider.start(request(method="jsapi", payer="o-openid"))
        assert opened is not None and there.trades["p1"].request["payer"] == {"openid": "o-openid"}
        fields = opened.fields
        signed = f"{APPID}\n{fields['timeStamp']}\n{fields['nonceStr']}\n{fields['package']}\n".encode()
        assert is_signed(key("merchant").public_key(), signed, fields["paySign"])
        assert (fields["package"], fields["signType"]) == ("prepay_id=wxp1", "RSA")
        with pytest.raises(Invalid, match="openid"):
            await provider.start(request("p2", method="jsapi"))


async def test_an_answer_that_was_changed_on_its_way_is_not_believed() -> None:
    async with wechat(ManualClock()) as (there, provider):
        await provider.start(request())
        there.pay("p1")
        there.tamper = True
        assert await code(provider.query("p1")) == "bad_signature"
        there.tamper = False
        message = await provider.query("p1")
        assert message is not None and (await provider.parse(message)).amount == 500


async def test_a_query_tells_of_nothing_until_it_is_paid_and_of_a_payment_that_was_refunded_since() -> None:
    async with wechat(ManualClock()) as (there, provider):
        assert await provider.query("nosuch") is None
        await provider.start(request())
        assert await provider.query("p1") is None
        there.pay("p1", "4200001")
        there.trades["p1"].state = "REFUND"
        message = await provider.query("p1")
        assert message is not None
        notice = await provider.parse(message)
        assert (notice.kind, notice.number, notice.payment, notice.merchant) == ("paid", "4200001", "p1", "m1")


async def test_an_answer_posted_as_a_callback_is_refused() -> None:
    async with wechat(ManualClock()) as (there, provider):
        await provider.start(request())
        there.pay("p1")
        message = await provider.query("p1")
        assert message is not None
        assert await code(provider.parse(SignedMessage(message.body, message.headers))) == "invalid"


async def test_the_platforms_certificate_is_fetched_when_there_is_no_public_key() -> None:
    async with wechat(ManualClock(), with_public_key=False) as (there, provider):
        await provider.start(request())
        assert there.asked.count("GET /v3/certificates") == 1
        notice = await provider.parse(there.pay("p1"))
        assert notice.kind == "paid"
        forged = there.callback("TRANSACTION.SUCCESS", {})
        unknown = SignedMessage(forged.body, {**forged.headers, "wechatpay-serial": "0" * 40})
        # Anybody can send a serial: it does not send us to the platform each time.
        for _ in range(5):
            assert await code(provider.parse(unknown)) == "bad_signature"
        assert there.asked.count("GET /v3/certificates") == 1
        assert PLATFORM_SERIAL in provider._wire._keys


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ((500, "SYSTEM_ERROR"), Busy),
        ((429, "FREQUENCY_LIMITED"), Busy),
        ((403, "NO_AUTH"), Busy),
        ((400, "PARAM_ERROR"), Refused),
    ],
)
async def test_failures_of_the_platform_are_told_apart(failure: tuple[int, str], kind: type[CommerceError]) -> None:
    async with wechat(ManualClock()) as (there, provider):
        there.failures.append(failure)
        with pytest.raises(kind):
            await provider.start(request())


async def test_a_platform_that_cannot_be_reached_is_busy() -> None:
    async with wechat(ManualClock()) as (_, provider):
        pass
    with pytest.raises((Busy, RuntimeError)):
        await provider.query("p1")


async def test_closing_is_harmless_when_it_is_paid_or_unknown_and_fails_when_the_platform_does() -> None:
    async with wechat(ManualClock()) as (there, provider):
        await provider.close("nosuch")
        await provider.start(request())
        there.failures.append((500, "SYSTEM_ERROR"))
        assert await code(provider.close("p1")) == "busy"
        await provider.close("p1")
        assert there.trades["p1"].state == "CLOSED"
        assert await code(provider.start(request())) == "payment_refused"
        await provider.start(request("p2"))
        there.pay("p2")
        await provider.close("p2")
        assert there.trades["p2"].state == "SUCCESS"


async def test_a_refund_is_given_once_under_its_number_and_told_at_once_or_later() -> None:
    async with wechat(ManualClock()) as (there, provider):
        await provider.start(request())
        there.pay("p1")
        there.refund_status = "PROCESSING"
        part = RefundRequest("r1", "p1", "m1", 200, 500)
        assert await provider.refund(part) is None
        assert await provider.refund(part) is None
        notice = await provider.parse(there.refunded("p1", "r1"))
        assert (notice.kind, notice.refund, notice.amount, notice.payment) == ("refunded", "r1", 200, "p1")
        failed = await provider.parse(there.refunded("p1", "r1", "ABNORMAL"))
        assert failed.kind == "refund_failed"
        there.refund_status = "SUCCESS"
        message = await provider.refund(RefundRequest("r2", "p1", "m1", 300, 500))
        assert message is not None and (await provider.parse(message)).refund == "r2"
        assert await code(provider.refund(RefundRequest("r3", "p1", "m1", 1, 500))) == "refund_refused"
        there.failures.append((403, "NOT_ENOUGH"))
        assert await code(provider.refund(part)) == "busy"


@pytest.mark.parametrize("serial", ["x", "", "PUB_KEY_ID_other"])
async def test_a_callback_without_a_known_key_is_refused(serial: str) -> None:
    async with wechat(ManualClock()) as (there, provider):
        await provider.start(request())
        good = there.pay("p1")
        headers = {**good.headers, "wechatpay-serial": serial}
        assert await code(provider.parse(SignedMessage(good.body, headers))) == "bad_signature"
        assert await code(provider.parse(SignedMessage(good.body))) == "bad_signature"
        assert await code(provider.parse(SignedMessage(b"x" * 20_000, good.headers))) == "invalid"


async def test_a_days_file_is_checked_and_read() -> None:
    clock = ManualClock()
    async with wechat(clock) as (there, provider):
        day, later = "2027-01-15", 2 * 86_400_000
        assert await provider.bill(day) is None
        clock.advance(later)
        there.bills[day] = wechat_bill(
            [
                {
                    "微信订单号": "4200001",
                    "商户订单号": "p1",
                    "交易状态": "SUCCESS",
                    "订单金额": "5.00",
                    "手续费": "0.03000",
                    "商户数据包": "m1",
                },
                {
                    "微信订单号": "4200001",
                    "商户订单号": "p1",
                    "交易状态": "REFUND",
                    "订单金额": "0.00",
                    "微信退款单号": "5030",
                    "商户退款单号": "r1",
                    "申请退款金额": "2.00",
                    "手续费": "-0.01000",
                },
            ]
        )
        bill = await provider.bill(day)
        assert bill is not None and bill.raw == there.bills[day]
        paid, back = bill.lines
        assert (paid.kind, paid.number, paid.amount, paid.fee, paid.merchant) == ("paid", "4200001", 500, 3, "m1")
        assert (back.kind, back.refund, back.amount, back.fee) == ("refunded", "r1", 200, -1)
        empty = await provider.bill("2027-01-14")
        assert empty is not None and empty.lines == ()


async def test_a_days_file_that_is_cut_short_is_refused() -> None:
    clock = ManualClock()
    async with wechat(clock) as (there, provider):
        clock.advance(2 * 86_400_000)
        whole = wechat_bill([{"微信订单号": "1", "商户订单号": "p", "交易状态": "SUCCESS", "订单金额": "1.00"}])
        there.bills["2027-01-15"] = whole[: whole.index("总交易单数".encode())]
        assert await code(provider.bill("2027-01-15")) == "invalid"


def test_the_stand_in_refuses_what_is_not_signed_by_the_merchant() -> None:
    assert not is_signed(key("merchant").public_key(), b"a", "AAAA")
    assert WechatStandIn(ManualClock()).trades == {}


async def test_a_days_movements_of_our_account_are_fetched_and_checked() -> None:
    clock = ManualClock()
    async with wechat(clock) as (there, provider):
        clock.advance(2 * 86_400_000)
        there.funds["2027-01-15"] = "\r\n".join(WECHAT_FUNDS).encode("utf-8-sig")
        funds = await provider.funds("2027-01-15")
        assert funds is not None and funds.raw == there.funds["2027-01-15"]
        assert [(line.kind, line.amount) for line in funds.lines] == [
            ("paid", 10_000), ("fee", -60), ("refunded", -1_000), ("payout", -8_940),
        ]  # fmt: skip
        empty = await provider.funds("2027-01-14")
        assert empty is not None and empty.lines == ()
