"""Alipay's gateway.do as its documents describe it, on loopback: it checks RSA2 signatures and signs its answers."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from commerce.payment import SignedMessage
from commerce.payment_alipay import Alipay, AlipayAccount
from tests.commerce.shop_world import ManualClock
from tests.commerce.stand_in import is_signed, key, served, signed

APP_ID, SELLER_ID = "2021000000000001", "2088000000000001"


@dataclass
class Trade:
    """A trade there."""

    request: dict[str, str]
    status: str = "WAIT_BUYER_PAY"
    number: str = ""
    refunds: dict[str, Decimal] = field(default_factory=dict)


class AlipayStandIn:
    """The gateway. ``failures`` are (code, sub_code) for the next requests."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.trades: dict[str, Trade] = {}
        self.failures: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self.bills: dict[str, bytes] = {}
        self.funds: dict[str, bytes] = {}
        self.url = ""
        self.tamper = False

    def app(self) -> Starlette:
        """Its routes."""
        return Starlette(
            routes=[
                Route("/gateway.do", self._gateway, methods=["GET", "POST"]),
                Route("/bill.zip", self._file),
            ]
        )

    async def _gateway(self, request: Request) -> Response:
        fields = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        return self._do(fields)

    def _do(self, fields: dict[str, str]) -> Response:
        method = fields.get("method", "")
        self.asked.append(method)
        name = method.replace(".", "_") + "_response"
        if not self._is_ours(fields):
            # A wrong signature is told of without one.
            text = json.dumps({"error_response": {"code": "40002", "msg": "x", "sub_code": "isv.invalid-signature"}})
            return Response(text, media_type="text/html;charset=utf-8")
        if self.failures:
            code, sub_code = self.failures.pop(0)
            return self._answer(name, {"code": code, "msg": "Failed", "sub_code": sub_code})
        handlers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "alipay.trade.precreate": self._precreate,
            "alipay.trade.query": self._query,
            "alipay.trade.close": self._close,
            "alipay.trade.refund": self._refund,
            "alipay.trade.fastpay.refund.query": self._refund_query,
            "alipay.data.dataservice.bill.downloadurl.query": self._bill,
        }
        return self._answer(name, handlers[method](json.loads(fields["biz_content"])))

    def _is_ours(self, fields: dict[str, str]) -> bool:
        unsigned = {name: value for name, value in fields.items() if name != "sign" and value != ""}
        text = "&".join(f"{name}={unsigned[name]}" for name in sorted(unsigned)).encode()
        good = is_signed(key("merchant").public_key(), text, fields.get("sign", ""))
        return good and fields.get("app_id") == APP_ID and fields.get("sign_type") == "RSA2"

    def _answer(self, name: str, value: dict[str, Any]) -> Response:
        # As on the wire: slashes escaped, Chinese as it is; what is signed are these very bytes.
        inner = json.dumps(value, ensure_ascii=False).replace("/", "\\/")
        signature = signed(key("alipay"), inner.encode())
        if self.tamper:
            inner = inner.replace('"total_amount": "', '"total_amount": "1')
        return Response(f'{{"{name}":{inner},"sign":"{signature}"}}', media_type="text/html;charset=utf-8")

    def _precreate(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["seller_id"] != SELLER_ID:
            return {"code": "40004", "sub_code": "ACQ.INVALID_PARAMETER"}
        trade = self.trades.setdefault(body["out_trade_no"], Trade(body))
        if trade.status == "TRADE_SUCCESS":
            return {"code": "40004", "sub_code": "ACQ.TRADE_HAS_SUCCESS"}
        return {
            "code": "10000",
            "msg": "Success",
            "out_trade_no": body["out_trade_no"],
            "qr_code": f"https://qr.alipay.com/{body['out_trade_no']}",
        }

    def _query(self, body: dict[str, Any]) -> dict[str, Any]:
        trade = self.trades.get(body["out_trade_no"])
        if trade is None:
            return {
                "code": "40004",
                "msg": "Business Failed",
                "sub_code": "ACQ.TRADE_NOT_EXIST",
                "sub_msg": "交易不存在",
            }
        return {
            "code": "10000",
            "msg": "Success",
            "out_trade_no": body["out_trade_no"],
            "trade_no": trade.number,
            "trade_status": trade.status,
            "total_amount": trade.request["total_amount"],
            "buyer_logon_id": "tea***@example.com",
            "subject": trade.request["subject"] + '{"茶"}',
        }

    def _close(self, body: dict[str, Any]) -> dict[str, Any]:
        trade = self.trades.get(body["out_trade_no"])
        if trade is None:
            return {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}
        if trade.status != "WAIT_BUYER_PAY":
            return {"code": "40004", "sub_code": "ACQ.TRADE_STATUS_ERROR"}
        trade.status = "TRADE_CLOSED"
        return {"code": "10000", "out_trade_no": body["out_trade_no"]}

    def _refund(self, body: dict[str, Any]) -> dict[str, Any]:
        trade = self.trades.get(body["out_trade_no"])
        if trade is None or trade.status not in ("TRADE_SUCCESS", "TRADE_CLOSED"):
            return {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}
        number, amount = body["out_request_no"], Decimal(body["refund_amount"])
        known = number in trade.refunds
        if not known and sum(trade.refunds.values()) + amount > Decimal(trade.request["total_amount"]):
            return {"code": "40004", "sub_code": "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"}
        trade.refunds.setdefault(number, amount)
        return {
            "code": "10000",
            "trade_no": trade.number,
            "out_trade_no": body["out_trade_no"],
            "fund_change": "N" if known else "Y",
            "refund_fee": f"{sum(trade.refunds.values()):.2f}",
        }

    def _refund_query(self, body: dict[str, Any]) -> dict[str, Any]:
        amount = self.trades[body["out_trade_no"]].refunds.get(body["out_request_no"])
        found: dict[str, Any] = {"code": "10000", "out_trade_no": body["out_trade_no"]}
        if amount is not None:
            found |= {
                "out_request_no": body["out_request_no"],
                "refund_amount": f"{amount:.2f}",
                "refund_status": "REFUND_SUCCESS",
            }
        return found

    def _bill(self, body: dict[str, Any]) -> dict[str, Any]:
        kind, day = body["bill_type"], body["bill_date"]
        if day not in {"trade": self.bills, "signcustomer": self.funds}[kind]:
            return {"code": "40004", "sub_code": "isp.bill_not_exist"}
        return {"code": "10000", "bill_download_url": f"{self.url}/bill.zip?day={day}&kind={kind}"}

    async def _file(self, request: Request) -> Response:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            trade = request.query_params["kind"] == "trade"
            named, files = ("业务明细", self.bills) if trade else ("账务明细", self.funds)
            archive.writestr(f"20880000_{named}(汇总).csv", "x")
            archive.writestr(f"20880000_{named}.csv", files[request.query_params["day"]])
        return Response(packed.getvalue(), media_type="application/zip")

    # --- the customer, and callbacks -------------------------------------------------------------------------------

    def visit(self, url: str) -> None:
        """The customer's browser opens the signed address: the trade begins."""
        fields = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
        assert self._is_ours(fields), "the page's address is not signed"
        body = json.loads(fields["biz_content"])
        self.trades.setdefault(body["out_trade_no"], Trade(body))

    def pay(self, payment: str, number: str | None = None, **other: str) -> SignedMessage:
        """The customer pays; the callback that follows. ``other`` is what it says wrongly."""
        trade = self.trades[payment]
        assert trade.status == "WAIT_BUYER_PAY", trade.status
        trade.status, trade.number = "TRADE_SUCCESS", number or f"20270115{payment}"
        return self.callback(trade, **other)

    def callback(self, trade: Trade, *, signer: str = "alipay", **other: str) -> SignedMessage:
        """A callback as it travels: a signed form."""
        fields = {
            "notify_time": "2027-01-15 16:00:00",
            "notify_type": "trade_status_sync",
            "notify_id": f"ac05099524730693a8b330c45cf72da9{len(self.asked)}",
            "app_id": APP_ID,
            "seller_id": SELLER_ID,
            "charset": "utf-8",
            "version": "1.0",
            "trade_no": trade.number,
            "out_trade_no": trade.request["out_trade_no"],
            "trade_status": trade.status,
            "total_amount": trade.request["total_amount"],
            "subject": "龙井 & tea",
            "passback_params": trade.request["passback_params"],
            "body": "",
        } | other
        text = "&".join(f"{name}={fields[name]}" for name in sorted(fields) if fields[name] != "").encode()
        return SignedMessage(urlencode({**fields, "sign": signed(key(signer), text), "sign_type": "RSA2"}).encode())


def alipay_bill(rows: list[dict[str, str]]) -> bytes:
    """业务明细 as it lies in the zip: GBK, lines of #, cells that end in tabs."""
    titles = [
        "支付宝交易号",
        "商户订单号",
        "业务类型",
        "商品名称",
        "创建时间",
        "完成时间",
        "门店编号",
        "门店名称",
        "操作员",
        "终端号",
        "对方账户",
        "订单金额（元）",
        "商家实收（元）",
        "支付宝红包（元）",
        "集分宝（元）",
        "支付宝优惠（元）",
        "商家优惠（元）",
        "券核销金额（元）",
        "券名称",
        "商家红包消费金额（元）",
        "卡消费金额（元）",
        "退款批次号/请求号",
        "服务费（元）",
        "分润（元）",
        "备注",
    ]
    lines = ["#支付宝业务明细查询", "#账号：[20880000000000010156]", "#-----业务明细列表-----", ",".join(titles)]
    lines += [",".join(row.get(title, "") + "\t" for title in titles) for row in rows]
    lines += ["#-----业务明细列表结束-----", f"#交易合计：{len(rows)}笔"]
    return "\r\n".join(lines).encode("gb18030")


@contextlib.asynccontextmanager
async def alipay(clock: ManualClock, **more: Any) -> AsyncIterator[tuple[AlipayStandIn, Alipay]]:
    """A gateway and a provider that speaks to it."""
    gateway = AlipayStandIn(clock)
    async with served(gateway.app()) as url:
        gateway.url = url
        account = AlipayAccount(
            name="alipay",
            app_id=APP_ID,
            seller_id=SELLER_ID,
            key=key("merchant"),
            public_key=key("alipay").public_key(),
            notify_url="https://shop.example/api/v1/payments/alipay",
            return_url="https://shop.example/paid",
            api=f"{url}/gateway.do",
            **more,
        )
        provider = Alipay(account, clock=clock)
        try:
            yield gateway, provider
        finally:
            await provider.aclose()


ALIPAY_FUNDS = (
    "#支付宝账务明细查询",
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,交易渠道,业务类型,备注",
    "F1\t,2027A\t,ORDER1\t,tea,2027-01-15 10:00:00,a***,50.00,,50.00,支付宝,在线支付,",
    "F2\t,2027A\t,ORDER1\t,tea,2027-01-15 10:00:00,a***,,-0.30,49.70,支付宝,收费,",
    "F3\t,2027W\t,\t,,2027-01-15 23:00:00,bank,,-49.70,0.00,支付宝,提现,",
    "#账务明细列表结束",
)
"""A day of the account (账务明细) as it is unpacked."""
