"""Alipay against a stand-in that signs and fails as its documents say."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

from commerce.errors import CommerceError
from commerce.payment import PaymentRequest, RefundRequest, SignedMessage
from tests.commerce.shop_world import START_MS, ManualClock
from tests.commerce.stand_in_alipay import ALIPAY_FUNDS, alipay, alipay_bill


def request(payment: str = "p1", method: str = "native") -> PaymentRequest:
    """5.00 yuan, five minutes and some."""
    return PaymentRequest(payment, "m1", 500, START_MS + 300_999, "龙井/明前=&", method)


async def code(awaitable: Any) -> str:
    """The code of the refusal."""
    with pytest.raises(CommerceError) as refused:
        await awaitable
    return refused.value.code


async def test_a_code_ends_with_the_hold_and_carries_whose_it_is() -> None:
    async with alipay(ManualClock()) as (there, provider):
        opened = await provider.start(request())
        assert opened is not None and opened.fields == {"code_url": "https://qr.alipay.com/p1"}
        placed = there.trades["p1"].request
        # 1,800,000,000 s after 1970, plus 300: 2027-01-15 16:05 in Shanghai.
        assert (placed["time_expire"], placed["total_amount"]) == ("2027-01-15 16:05:00", "5.00")
        assert (placed["passback_params"], placed["subject"]) == ("m1", "龙井 明前  ")


@pytest.mark.parametrize("method", ["page", "wap"])
async def test_a_page_is_an_address_that_only_we_can_make(method: str) -> None:
    async with alipay(ManualClock()) as (there, provider):
        opened = await provider.start(request(method=method))
        assert opened is not None and there.asked == []
        assert await provider.query("p1") is None
        there.visit(opened.fields["url"])
        fields = dict(parse_qsl(urlsplit(opened.fields["url"]).query))
        assert orjson.loads(fields["biz_content"])["product_code"] in ("FAST_INSTANT_TRADE_PAY", "QUICK_WAP_WAY")
        there.pay("p1")
        assert await provider.query("p1") is not None


async def test_an_answer_that_was_changed_or_is_not_signed_is_not_believed() -> None:
    async with alipay(ManualClock()) as (there, provider):
        await provider.start(request())
        there.pay("p1", "2027011522001")
        there.tamper = True
        assert await code(provider.query("p1")) == "bad_signature"
        there.tamper = False
        message = await provider.query("p1")
        assert message is not None
        notice = await provider.parse(message)
        assert (notice.kind, notice.number, notice.amount, notice.merchant) == ("paid", "2027011522001", 500, "")
        bare = b'{"alipay_trade_query_response":{"code":"10000","trade_status":"TRADE_SUCCESS"}}'
        assert await code(provider.parse(SignedMessage(bare, asked=True))) == "bad_signature"


async def test_an_answer_posted_as_a_callback_is_refused() -> None:
    async with alipay(ManualClock()) as (there, provider):
        await provider.start(request())
        there.pay("p1")
        message = await provider.query("p1")
        assert message is not None
        assert await code(provider.parse(SignedMessage(message.body))) == "bad_signature"


async def test_callbacks_of_refunds_and_of_time_that_ran_out_are_kept_without_an_effect() -> None:
    async with alipay(ManualClock()) as (there, provider):
        await provider.start(request())
        trade = there.trades["p1"]
        closed = there.callback(trade, trade_status="TRADE_CLOSED", trade_no="2027")
        assert (await provider.parse(closed)).kind == "noted"
        paid = there.pay("p1")
        assert (await provider.parse(paid)).kind == "paid"
        back = there.callback(trade, refund_fee="2.00", out_biz_no="r1", gmt_refund="2027-01-15 16:10:00")
        assert (await provider.parse(back)).kind == "noted"
        assert (await provider.parse(there.callback(trade, trade_status="TRADE_FINISHED"))).kind == "paid"


async def test_a_refund_is_given_once_and_looked_up() -> None:
    async with alipay(ManualClock()) as (there, provider):
        await provider.start(request())
        part = RefundRequest("r1", "p1", "m1", 200, 500)
        assert await code(provider.refund(part)) == "refund_refused"
        there.pay("p1")
        for _ in range(2):
            message = await provider.refund(part)
            assert message is not None
            notice = await provider.parse(message)
            assert (notice.kind, notice.refund, notice.amount, notice.number) == ("refunded", "r1", 200, "r-r1")
        assert len(there.trades["p1"].refunds) == 1
        assert await code(provider.refund(RefundRequest("r2", "p1", "m1", 301, 500))) == "refund_refused"
        there.failures.append(("40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH"))
        assert await code(provider.refund(RefundRequest("r2", "p1", "m1", 300, 500))) == "busy"


async def test_closing_is_harmless_when_it_is_paid_or_unknown_and_fails_when_alipay_does() -> None:
    async with alipay(ManualClock()) as (there, provider):
        await provider.close("nosuch")
        await provider.start(request())
        there.failures.append(("20000", "isp.unknow-error"))
        assert await code(provider.close("p1")) == "busy"
        there.pay("p1")
        await provider.close("p1")
        assert there.trades["p1"].status == "TRADE_SUCCESS"


async def test_another_merchants_key_gets_an_answer_without_a_signature_and_nothing_is_done() -> None:
    async with alipay(ManualClock()) as (there, provider):
        there._is_ours = lambda fields: False  # type: ignore[method-assign]
        assert await code(provider.start(request())) == "busy"


async def test_only_success_ends_the_repeats() -> None:
    async with alipay(ManualClock()) as (_, provider):
        assert provider.acknowledge(None).body == b"success"
        assert b"success" not in provider.acknowledge(CommerceError("x", "y")).body


async def test_a_days_file_is_unpacked_and_read() -> None:
    clock = ManualClock()
    async with alipay(clock) as (there, provider):
        clock.advance(2 * 86_400_000)
        there.bills["2027-01-15"] = alipay_bill(
            [
                {
                    "支付宝交易号": "2027",
                    "商户订单号": "p1",
                    "业务类型": "交易",
                    "订单金额（元）": "5.00",
                    "服务费（元）": "-0.03",
                },
                {
                    "支付宝交易号": "2027",
                    "商户订单号": "p1",
                    "业务类型": "退款",
                    "订单金额（元）": "-2.00",
                    "退款批次号/请求号": "r1",
                    "服务费（元）": "0.01",
                },
            ]
        )
        bill = await provider.bill("2027-01-15")
        assert bill is not None and bill.raw == there.bills["2027-01-15"]
        paid, back = bill.lines
        assert (paid.kind, paid.number, paid.amount, paid.fee) == ("paid", "2027", 500, 3)
        assert (back.kind, back.refund, back.number, back.amount, back.fee) == ("refunded", "r1", "r-r1", 200, -1)
        empty = await provider.bill("2027-01-14")
        assert empty is not None and empty.lines == ()


async def test_a_days_movements_of_our_account_are_unpacked_and_read() -> None:
    clock = ManualClock()
    async with alipay(clock) as (there, provider):
        clock.advance(2 * 86_400_000)
        there.funds["2027-01-15"] = "\r\n".join(ALIPAY_FUNDS).encode("gb18030")
        funds = await provider.funds("2027-01-15")
        assert funds is not None and funds.raw == there.funds["2027-01-15"]
        assert [(line.kind, line.amount) for line in funds.lines] == [("paid", 5_000), ("fee", -30), ("payout", -4_970)]
        empty = await provider.funds("2027-01-14")
        assert empty is not None and empty.lines == ()
