"""WeChat Pay, API v3: JSAPI (mini-programs and pages inside WeChat) and native (a QR code).

What a wallet is handed is signed, too: appid \\n timestamp \\n nonce \\n prepay_id=… \\n → paySign. The rest of the
signatures, and the keys of both sides, are in payment_wechat_wire.py.
"""

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from commerce.domain.bill import Bill
from commerce.domain.clearing import Funds
from commerce.domain.day import day_bounds_ms, rfc3339
from commerce.errors import Busy, CommerceError, Invalid, Refused
from commerce.ledger import Clock
from commerce.payment import (
    CallbackAnswer,
    PaymentNotice,
    PaymentOpened,
    PaymentRequest,
    RefundRequest,
    SignedMessage,
)
from commerce.payment_bills import parse_wechat, unpack_gzip
from commerce.payment_http import BILL_BYTES_MAX
from commerce.payment_keys import sign
from commerce.payment_wechat_wire import (
    ACCOUNT,
    AGAIN,
    WechatAccount,
    WechatWire,
    acknowledged,
    error_code,
    json_object,
    text_field,
    whole_field,
)
from commerce.settlement_files import parse_wechat_funds

DESCRIPTION_CHARACTERS_MAX = 127
BILL_READY_MS = 10 * 3_600_000
"""A day's file is there from ten in the morning after."""
_REFUNDED = {"SUCCESS": "refunded", "ABNORMAL": "refund_failed", "CLOSED": "refund_failed"}


class WechatPay:
    """A provider over one account."""

    methods: tuple[str, ...] = ("jsapi", "native")

    def __init__(self, account: WechatAccount, *, clock: Clock) -> None:
        self.account = account
        self._clock = clock
        self._wire = WechatWire(account, clock=clock)

    @property
    def name(self) -> str:
        """The account's name in our tables."""
        return self.account.name

    @property
    def merchants(self) -> frozenset[str]:
        """The merchants whose money goes through this account; empty for all."""
        return self.account.merchants

    @property
    def appid(self) -> str:
        """The app in which payers have their openids."""
        return self.account.appid

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()

    # --- payments ------------------------------------------------------------------------------------------------

    async def start(self, request: PaymentRequest) -> PaymentOpened | None:
        """Place the order there (JSAPI下单, Native下单): ``time_expire`` is the hold's expiry, never later."""
        if request.method == "jsapi" and not request.payer:
            raise Invalid("paying inside WeChat needs the payer's openid", field="payer")
        body: dict[str, Any] = {
            "appid": self.account.appid,
            "mchid": self.account.mchid,
            "description": request.title[:DESCRIPTION_CHARACTERS_MAX] or request.payment,
            "out_trade_no": request.payment,
            "time_expire": rfc3339(request.expires_ms),
            "attach": request.merchant,
            "notify_url": self.account.notify_url,
            "amount": {"total": request.amount, "currency": "CNY"},
        }
        if request.method == "jsapi":
            body["payer"] = {"openid": request.payer}
        answer = await self._wire.ask("POST", f"/v3/pay/transactions/{request.method}", body)
        if answer.status != 200:
            if error_code(answer) in ("ORDERPAID", "ORDER_PAID"):
                # The query that follows tells of it.
                return None
            raise self._wire.fault(answer, "payment_refused")
        given = await self._wire.read(answer)
        if request.method == "native":
            return PaymentOpened("native", {"code_url": text_field(given, "code_url")})
        return PaymentOpened("jsapi", self._wallet(text_field(given, "prepay_id")))

    def _wallet(self, prepay_id: str) -> Mapping[str, str]:
        """What ``wx.requestPayment`` and ``WeixinJSBridge`` take."""
        timestamp, nonce, package = str(self._clock() // 1000), secrets.token_hex(16), f"prepay_id={prepay_id}"
        signed = f"{self.account.appid}\n{timestamp}\n{nonce}\n{package}\n"
        return {
            "appId": self.account.appid,
            "timeStamp": timestamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "RSA",
            "paySign": sign(self.account.key, signed.encode()),
        }

    async def query(self, payment: str) -> SignedMessage | None:
        """查询订单 by our number; None while nobody paid."""
        answer = await self._wire.ask("GET", f"/v3/pay/transactions/out-trade-no/{payment}?mchid={self.account.mchid}")
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self._wire.fault(answer, "payment_refused")
        given = await self._wire.read(answer)
        # REFUND: it was paid, and some of it went back since.
        if given.get("trade_state") not in ("SUCCESS", "REFUND", "PAYERROR"):
            return None
        return SignedMessage(answer.body, answer.headers, asked=True)

    async def close(self, payment: str) -> None:
        """关闭订单. A paid one stays paid: who asks queries afterwards."""
        body = {"mchid": self.account.mchid}
        answer = await self._wire.ask("POST", f"/v3/pay/transactions/out-trade-no/{payment}/close", body)
        if answer.status == 204:
            await self._wire.check(answer.headers, answer.body)
        elif answer.status not in (400, 404) or error_code(answer) in AGAIN | ACCOUNT:
            raise self._wire.fault(answer, "payment_refused")

    async def refund(self, request: RefundRequest) -> SignedMessage | None:
        """申请退款; asked again under one number, it says how that refund stands."""
        body = {
            "out_trade_no": request.payment,
            "out_refund_no": request.refund,
            "notify_url": self.account.notify_url,
            "amount": {"refund": request.amount, "total": request.paid, "currency": "CNY"},
        }
        answer = await self._wire.ask("POST", "/v3/refund/domestic/refunds", body)
        if answer.status != 200:
            raise self._wire.fault(answer, "refund_refused")
        given = await self._wire.read(answer)
        if given.get("status") not in _REFUNDED:
            return None
        return SignedMessage(answer.body, answer.headers, asked=True)

    # --- notices -------------------------------------------------------------------------------------------------

    async def parse(self, message: SignedMessage) -> PaymentNotice:
        """A callback, whose resource is sealed, or an answer of ``query`` or ``refund``."""
        if message.asked:
            await self._wire.check(message.headers, message.body)
            given = json_object(message.body)
            return self._transaction(given) if "trade_state" in given else self._refunded(given, given.get("status"))
        inner = await self._wire.open_callback(message.body, message.headers)
        if inner.get("mchid") != self.account.mchid:
            raise Refused("merchant_mismatch", "the callback is about another merchant number")
        if "refund_status" in inner:
            return self._refunded(inner, inner["refund_status"])
        return self._transaction(inner)

    def _transaction(self, given: Mapping[str, Any]) -> PaymentNotice:
        account = self.account
        if given.get("mchid") != account.mchid or given.get("appid") != account.appid:
            raise Refused("merchant_mismatch", "the payment is of another merchant number or app")
        amount = given.get("amount")
        state = text_field(given, "trade_state")
        if state not in ("SUCCESS", "REFUND", "PAYERROR"):
            raise Invalid(f"nothing follows from a payment in state {state}")
        if not isinstance(amount, dict) or amount.get("currency", "CNY") != "CNY":
            raise Refused("amount_mismatch", "the payment is not in CNY")
        return PaymentNotice(
            number=text_field(given, "transaction_id"),
            kind="declined" if state == "PAYERROR" else "paid",
            payment=text_field(given, "out_trade_no"),
            merchant=str(given.get("attach") or ""),
            amount=whole_field(amount, "total"),
        )

    @staticmethod
    def _refunded(given: Mapping[str, Any], status: object) -> PaymentNotice:
        amount = given.get("amount")
        kind = _REFUNDED.get(str(status))
        if kind is None or not isinstance(amount, dict):
            raise Invalid(f"nothing follows from a refund in state {status}")
        return PaymentNotice(
            number=text_field(given, "refund_id"),
            kind=kind,
            payment=text_field(given, "out_trade_no"),
            merchant="",
            amount=whole_field(amount, "refund"),
            refund=text_field(given, "out_refund_no"),
        )

    def acknowledge(self, error: CommerceError | None) -> CallbackAnswer:
        """200 or 204 end the repeats; 4xx and 5xx say FAIL and why."""
        return acknowledged(error)

    # --- the day's file ------------------------------------------------------------------------------------------

    async def bill(self, day: str) -> Bill | None:
        """申请交易账单 and 下载账单; the file's SHA-1 comes in the signed answer."""
        raw = await self._file(day, f"/v3/bill/tradebill?bill_date={quote(day)}&bill_type=ALL&tar_type=GZIP")
        return None if raw is None else Bill(raw, parse_wechat(raw) if raw else ())

    async def funds(self, day: str) -> Funds | None:
        """申请资金账单 of the basic account, and 下载账单."""
        raw = await self._file(day, f"/v3/bill/fundflowbill?bill_date={quote(day)}&account_type=BASIC&tar_type=GZIP")
        return None if raw is None else Funds(raw, tuple(parse_wechat_funds(raw)) if raw else ())

    async def _file(self, day: str, target: str) -> bytes | None:
        """A day's file; empty when nothing happened, None while there is none."""
        _, until_ms = day_bounds_ms(day)
        if until_ms > self._clock():
            return None
        answer = await self._wire.ask("GET", target)
        if answer.status == 400 and error_code(answer) in ("NO_STATEMENT_EXIST", "STATEMENT_CREATING"):
            empty = error_code(answer) == "NO_STATEMENT_EXIST" and self._clock() >= until_ms + BILL_READY_MS
            return b"" if empty else None
        if answer.status != 200:
            raise self._wire.fault(answer, "payment_refused")
        given = await self._wire.read(answer)
        url = text_field(given, "download_url")
        if not url.startswith(self._wire.http.base_url + "/"):
            raise Busy("the provider's file lies at another address than its API")
        file = await self._wire.ask("GET", url.removeprefix(self._wire.http.base_url), bytes_max=BILL_BYTES_MAX)
        if file.status != 200:
            raise self._wire.fault(file, "payment_refused")
        return unpack_gzip(file.body, text_field(given, "hash_value"))
