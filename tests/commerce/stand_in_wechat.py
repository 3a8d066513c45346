"""WeChat Pay's API v3 as its documents describe it, on loopback: it checks every signature and signs every answer."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from commerce.payment import SignedMessage
from commerce.payment_wechat import WechatPay
from commerce.payment_wechat_wire import TransferScene, WechatAccount
from tests.commerce.shop_world import ManualClock
from tests.commerce.stand_in import is_signed, key, served, signed

APPID, MCHID, SERIAL = "wx0123456789abcdef", "1900000001", "3775B6A45ACD588826D15E583A95F5DD00000001"
API_V3_KEY = b"0123456789abcdef0123456789abcdef"
PUBLIC_KEY_ID, PLATFORM_SERIAL = "PUB_KEY_ID_0119000000012025", "5157F09EFDC096DE15EBE81A47057A7200000002"
TRANSFERS = "/v3/fund-app/mch-transfer/transfer-bills"
_TOKEN = re.compile(r'(\w+)="([^"]*)"')


@dataclass
class Trade:
    """An order there."""

    request: dict[str, Any]
    state: str = "NOTPAY"
    number: str = ""
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)


class WechatStandIn:
    """The platform. ``failures`` are (status, code) for the next requests; ``asked`` what was asked of it."""

    def __init__(self, clock: ManualClock, *, signs_as: str = PUBLIC_KEY_ID) -> None:
        self.clock = clock
        self.signs_as = signs_as
        self.trades: dict[str, Trade] = {}
        self.failures: list[tuple[int, str]] = []
        self.asked: list[str] = []
        self.refund_status = "SUCCESS"
        self.bills: dict[str, bytes] = {}
        self.funds: dict[str, bytes] = {}
        self.transfers: dict[str, dict[str, Any]] = {}
        self.paid_out: list[str] = []
        self.mute_transfers = 0
        self.url = ""
        self.tamper = False

    def app(self) -> Starlette:
        """Its routes."""
        pay = "/v3/pay/transactions"
        return Starlette(
            routes=[
                Route(f"{pay}/jsapi", self._place, methods=["POST"]),
                Route(f"{pay}/native", self._place, methods=["POST"]),
                Route(f"{pay}/out-trade-no/{{number}}", self._query),
                Route(f"{pay}/out-trade-no/{{number}}/close", self._close, methods=["POST"]),
                Route("/v3/refund/domestic/refunds", self._refund, methods=["POST"]),
                Route(TRANSFERS, self._transfer, methods=["POST"]),
                Route(f"{TRANSFERS}/out-bill-no/{{number}}", self._transfer_query),
                Route("/v3/certificates", self._certificates),
                Route("/v3/bill/tradebill", self._bill),
                Route("/v3/bill/fundflowbill", self._fund_bill),
                Route("/v3/billdownload/file", self._file),
            ]
        )

    # --- signatures ------------------------------------------------------------------------------------------------

    async def _checked(self, request: Request) -> tuple[dict[str, Any], Response | None]:
        body = await request.body()
        self.asked.append(f"{request.method} {request.url.path}")
        if self.failures:
            status, code = self.failures.pop(0)
            return {}, self._fail(status, code)
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        given = dict(_TOKEN.findall(rest))
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        text = f"{request.method}\n{target}\n{given.get('timestamp')}\n{given.get('nonce_str')}\n".encode()
        text += body + b"\n"
        good = (
            scheme == "WECHATPAY2-SHA256-RSA2048"
            and given.get("mchid") == MCHID
            and given.get("serial_no") == SERIAL
            and abs(int(given.get("timestamp", "0")) - self.clock() // 1000) < 300
            and is_signed(key("merchant").public_key(), text, given.get("signature", ""))
        )
        if not good:
            return {}, self._fail(401, "SIGN_ERROR")
        return (json.loads(body) if body else {}), None

    def _headers(self, body: bytes, *, age_s: int = 0) -> dict[str, str]:
        timestamp, nonce = str(self.clock() // 1000 - age_s), secrets.token_hex(16)
        signature = signed(key("platform"), f"{timestamp}\n{nonce}\n".encode() + body + b"\n")
        return {
            "Wechatpay-Timestamp": timestamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Serial": self.signs_as,
            "Wechatpay-Signature": signature,
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
        }

    def _answer(self, value: Any, status: int = 200) -> Response:
        body = b"" if value is None else json.dumps(value).encode()
        headers = self._headers(body)
        if self.tamper:
            body = body.replace(b'"total": ', b'"total": 1')
        return Response(body, status, headers, media_type="application/json")

    def _fail(self, status: int, code: str) -> Response:
        return Response(json.dumps({"code": code, "message": code}).encode(), status, media_type="application/json")

    # --- the API ---------------------------------------------------------------------------------------------------

    async def _place(self, request: Request) -> Response:
        body, refused = await self._checked(request)
        if refused is not None:
            return refused
        expires = datetime.fromisoformat(body["time_expire"]).timestamp()
        if body["appid"] != APPID or body["mchid"] != MCHID or expires * 1000 <= self.clock():
            return self._fail(400, "PARAM_ERROR")
        method = request.url.path.rsplit("/", 1)[1]
        if (method == "jsapi") != bool(body.get("payer", {}).get("openid")):
            return self._fail(400, "PARAM_ERROR")
        trade = self.trades.setdefault(body["out_trade_no"], Trade({**body, "method": method}))
        if trade.state == "SUCCESS":
            return self._fail(400, "ORDERPAID")
        if trade.state == "CLOSED":
            return self._fail(400, "ORDER_CLOSED")
        if trade.request != {**body, "method": method}:
            return self._fail(403, "OUT_TRADE_NO_USED")
        if method == "native":
            return self._answer({"code_url": f"weixin://wxpay/bizpayurl?pr={body['out_trade_no']}"})
        return self._answer({"prepay_id": f"wx{body['out_trade_no']}"})

    async def _query(self, request: Request) -> Response:
        _, refused = await self._checked(request)
        if refused is not None:
            return refused
        trade = self.trades.get(request.path_params["number"])
        if trade is None or request.query_params.get("mchid") != MCHID:
            return self._fail(404, "ORDER_NOT_EXIST")
        return self._answer(self.transaction(trade))

    async def _close(self, request: Request) -> Response:
        _, refused = await self._checked(request)
        if refused is not None:
            return refused
        trade = self.trades.get(request.path_params["number"])
        if trade is None:
            return self._fail(404, "ORDER_NOT_EXIST")
        if trade.state in ("SUCCESS", "REFUND"):
            return self._fail(400, "ORDERPAID")
        trade.state = "CLOSED"
        return self._answer(None, 204)

    async def _refund(self, request: Request) -> Response:
        body, refused = await self._checked(request)
        if refused is not None:
            return refused
        trade = self.trades.get(body["out_trade_no"])
        if trade is None or trade.state not in ("SUCCESS", "REFUND"):
            return self._fail(404, "RESOURCE_NOT_EXISTS")
        amount, total = body["amount"]["refund"], body["amount"]["total"]
        before = sum(one["amount"]["refund"] for n, one in trade.refunds.items() if n != body["out_refund_no"])
        if total != trade.request["amount"]["total"] or before + amount > total:
            return self._fail(400, "INVALID_REQUEST")
        trade.state = "REFUND"
        made = trade.refunds.setdefault(
            body["out_refund_no"],
            {
                "refund_id": f"5030{len(trade.refunds)}{body['out_refund_no']}",
                "out_refund_no": body["out_refund_no"],
                "transaction_id": trade.number,
                "out_trade_no": body["out_trade_no"],
                "status": self.refund_status,
                "amount": {"total": total, "refund": amount, "payer_total": total, "payer_refund": amount},
            },
        )
        return self._answer(made)

    async def _transfer(self, request: Request) -> Response:
        body, refused = await self._checked(request)
        if refused is not None:
            return refused
        reports = {one["info_type"] for one in body["transfer_scene_report_infos"]}
        good = body["appid"] == APPID and body["transfer_scene_id"] == "1005" and reports == {"岗位类型", "报酬说明"}
        good = good and body["out_bill_no"].isalnum() and len(body["out_bill_no"]) <= 32
        good = good and 0 < body["transfer_amount"] < 200_000 and 0 < len(body["transfer_remark"]) <= 32
        if not good:
            return self._fail(400, "PARAM_ERROR")
        number = body["out_bill_no"]
        known = self.transfers.get(number)
        if known is not None and (known["transfer_amount"], known["openid"]) != (
            body["transfer_amount"],
            body["openid"],
        ):
            return self._fail(400, "ALREADY_EXISTS")
        self.transfers.setdefault(
            number,
            {
                "mch_id": MCHID,
                "out_bill_no": number,
                "transfer_bill_no": f"1330000{number}",
                "appid": APPID,
                "state": "WAIT_USER_CONFIRM",
                "transfer_amount": body["transfer_amount"],
                "transfer_remark": body["transfer_remark"],
                "openid": body["openid"],
                "create_time": "2027-01-15T16:00:00+08:00",
                "update_time": "2027-01-15T16:00:00+08:00",
            },
        )
        if self.mute_transfers:
            # It arrived, and the answer is lost on the way.
            self.mute_transfers -= 1
            return self._fail(500, "SYSTEM_ERROR")
        made = self.transfers[number]
        told = {name: made[name] for name in ("out_bill_no", "transfer_bill_no", "create_time", "state")}
        if made["state"] == "WAIT_USER_CONFIRM":
            told["package_info"] = f"affffddafdfafddffda=={number}"
        return self._answer(told)

    async def _transfer_query(self, request: Request) -> Response:
        _, refused = await self._checked(request)
        if refused is not None:
            return refused
        made = self.transfers.get(request.path_params["number"])
        return self._fail(404, "NOT_FOUND") if made is None else self._answer(made)

    def transferred(self, number: str, state: str = "SUCCESS", **other: Any) -> SignedMessage:
        """The person took the money in their wallet, or the transfer failed; the callback that follows."""
        made = self.transfers[number]
        made["state"] = state
        if state == "SUCCESS":
            self.paid_out.append(number)
        else:
            made["fail_reason"] = "REAL_NAME_CHECK_FAIL"
        inner = {name: value for name, value in made.items() if name not in ("appid", "transfer_remark")}
        return self.callback("MCHTRANSFER.BILL.FINISHED", inner | other)

    async def _certificates(self, request: Request) -> Response:
        _, refused = await self._checked(request)
        if refused is not None:
            return refused
        nonce = secrets.token_hex(6)
        sealed = AESGCM(API_V3_KEY).encrypt(nonce.encode(), platform_certificate(), b"certificate")
        return self._answer(
            {
                "data": [
                    {
                        "serial_no": PLATFORM_SERIAL,
                        "effective_time": "2026-01-01T00:00:00+08:00",
                        "expire_time": "2031-01-01T00:00:00+08:00",
                        "encrypt_certificate": {
                            "algorithm": "AEAD_AES_256_GCM",
                            "nonce": nonce,
                            "associated_data": "certificate",
                            "ciphertext": base64.b64encode(sealed).decode(),
                        },
                    }
                ]
            }
        )

    async def _bill(self, request: Request) -> Response:
        _, refused = await self._checked(request)
        if refused is not None:
            return refused
        return self._told(self.bills, "trade", request.query_params["bill_date"])

    async def _fund_bill(self, request: Request) -> Response:
        _, refused = await self._checked(request)
        if refused is not None:
            return refused
        if request.query_params.get("account_type", "BASIC") != "BASIC":
            return self._fail(400, "PARAM_ERROR")
        return self._told(self.funds, "funds", request.query_params["bill_date"])

    def _told(self, files: dict[str, bytes], which: str, day: str) -> Response:
        if day not in files:
            return self._fail(400, "NO_STATEMENT_EXIST")
        digest = hashlib.sha1(files[day]).hexdigest()
        url = f"{self.url}/v3/billdownload/file?token={which}:{day}"
        return self._answer({"hash_type": "SHA1", "hash_value": digest, "download_url": url})

    async def _file(self, request: Request) -> Response:
        _, refused = await self._checked(request)
        if refused is not None:
            return refused
        which, _, day = request.query_params["token"].partition(":")
        files = self.bills if which == "trade" else self.funds
        return Response(gzip.compress(files[day]), media_type="application/octet-stream")

    # --- the customer, and callbacks -------------------------------------------------------------------------------

    def transaction(self, trade: Trade, **other: Any) -> dict[str, Any]:
        """An order as queries and callbacks tell of it."""
        request = trade.request
        told = {
            "appid": APPID,
            "mchid": MCHID,
            "out_trade_no": request["out_trade_no"],
            "trade_type": request["method"].upper(),
            "trade_state": trade.state,
            "trade_state_desc": trade.state,
            "attach": request["attach"],
            "amount": {"total": request["amount"]["total"], "currency": "CNY"},
        }
        if trade.number:
            told |= {"transaction_id": trade.number, "success_time": "2027-01-15T16:00:00+08:00"}
        return told | other

    def pay(self, payment: str, number: str | None = None, **other: Any) -> SignedMessage:
        """The customer confirms in the wallet; the callback that follows. ``other`` is what it says wrongly."""
        trade = self.trades[payment]
        assert trade.state == "NOTPAY", trade.state
        trade.state, trade.number = "SUCCESS", number or f"42000{payment}"
        return self.callback("TRANSACTION.SUCCESS", self.transaction(trade, **other))

    def refunded(self, payment: str, refund: str, status: str = "SUCCESS", **other: Any) -> SignedMessage:
        """The callback of a refund."""
        made = self.trades[payment].refunds[refund]
        inner = {name: value for name, value in made.items() if name != "status"}
        return self.callback(f"REFUND.{status}", {"mchid": MCHID, "refund_status": status} | inner | other)

    def callback(self, event: str, inner: dict[str, Any], *, age_s: int = 0, seal: bytes = API_V3_KEY) -> SignedMessage:
        """A callback as it travels: the resource sealed, the whole signed."""
        nonce = secrets.token_hex(6)
        sealed = AESGCM(seal).encrypt(nonce.encode(), json.dumps(inner).encode(), b"transaction")
        body = json.dumps(
            {
                "id": secrets.token_hex(16),
                "create_time": "2027-01-15T16:00:00+08:00",
                "event_type": event,
                "resource_type": "encrypt-resource",
                "resource": {
                    "algorithm": "AEAD_AES_256_GCM",
                    "original_type": "transaction",
                    "nonce": nonce,
                    "associated_data": "transaction",
                    "ciphertext": base64.b64encode(sealed).decode(),
                },
            }
        ).encode()
        headers = {name.lower(): value for name, value in self._headers(body, age_s=age_s).items()}
        return SignedMessage(body, headers)


def platform_certificate() -> bytes:
    """The platform's certificate, PEM."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tenpay.com Root CA stand-in")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key("platform").public_key())
        .serial_number(int(PLATFORM_SERIAL, 16))
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1826))
        .sign(key("platform"), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def wechat_bill(rows: list[dict[str, str]]) -> bytes:
    """A day's trade bill (ALL) as it is downloaded: back-quoted cells, sums at the end."""
    titles = [
        "交易时间",
        "公众账号ID",
        "商户号",
        "特约商户号",
        "设备号",
        "微信订单号",
        "商户订单号",
        "用户标识",
        "交易类型",
        "交易状态",
        "付款银行",
        "货币种类",
        "应结订单金额",
        "代金券金额",
        "微信退款单号",
        "商户退款单号",
        "退款金额",
        "充值券退款金额",
        "退款类型",
        "退款状态",
        "商品名称",
        "商户数据包",
        "手续费",
        "费率",
        "订单金额",
        "申请退款金额",
        "费率备注",
    ]
    lines = [",".join(titles)]
    for row in rows:
        row = {"微信退款单号": "0", "商户退款单号": "0", "申请退款金额": "0.00", **row}
        lines.append(",".join("`" + row.get(title, "") for title in titles))
    lines.append("总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额")
    lines.append(",".join("`" + cell for cell in (str(len(rows)), "0", "0", "0", "0", "0", "0")))
    return b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n"


@contextlib.asynccontextmanager
async def wechat(clock: ManualClock, **more: Any) -> AsyncIterator[tuple[WechatStandIn, WechatPay]]:
    """A platform and a provider that speaks to it."""
    with_public_key = more.pop("with_public_key", True)
    platform = WechatStandIn(clock, signs_as=PUBLIC_KEY_ID if with_public_key else PLATFORM_SERIAL)
    async with served(platform.app()) as url:
        platform.url = url
        account = WechatAccount(
            name="wechat",
            appid=APPID,
            mchid=MCHID,
            serial=SERIAL,
            key=key("merchant"),
            api_v3_key=API_V3_KEY,
            notify_url="https://shop.example/api/v1/payments/wechat",
            public_key_id=PUBLIC_KEY_ID if with_public_key else "",
            public_key=key("platform").public_key() if with_public_key else None,
            api=url,
            transfer=TransferScene("1005", "推广员", "推广佣金", "https://shop.example/api/v1/transfers/wechat"),
            **more,
        )
        provider = WechatPay(account, clock=clock)
        try:
            yield platform, provider
        finally:
            await provider.aclose()


WECHAT_FUNDS = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,备注,业务凭证号",
    "`2027-01-15 10:00:00,`4200001,`F1,`交易,`交易,`收入,`100.00,`100.00,`system,`,`ORDER1",
    "`2027-01-15 10:00:00,`4200001,`F2,`扣除交易手续费,`扣除交易手续费,`支出,`0.60,`99.40,`system,`,`ORDER1",
    "`2027-01-15 11:00:00,`5030001,`F3,`退款,`退款,`支出,`10.00,`89.40,`system,`缺货,`REF1",
    "`2027-01-15 23:00:00,`9000001,`F4,`提现,`提现,`支出,`89.40,`0.00,`boss,`,`W1",
    "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额",
    "`4.0,`1.0,`100.00,`3.0,`100.00",
)
"""A day's fund bill (资金账单) as it is downloaded."""
