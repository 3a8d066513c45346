"""Alipay's open platform: a QR code (``alipay.trade.precreate``), its page and its page for phones.

Everything is one address (gateway.do) and one signature, RSA2 (RSA-SHA256) in base64:

    request     the parameters but ``sign``, sorted, as name=value joined by &, values not yet encoded
    answer      the very bytes of the object ``alipay_…_response`` in the JSON, beside which ``sign`` stands
    callback    a form: its parameters but ``sign`` and ``sign_type``, sorted, decoded; it is taken when ``success``
                is answered, and repeated for 25 hours otherwise

A callback names app and seller; both are checked, with the amount (opendocs.alipay.com, 异步通知验签). An answer to a
question of ours names neither, so it is believed only as an answer.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from commerce.domain.bill import Bill
from commerce.domain.clearing import Funds
from commerce.domain.day import day_bounds_ms, local
from commerce.domain.money import fen, yuan
from commerce.errors import Busy, CommerceError, Invalid, Refused
from commerce.ledger import Clock
from commerce.payment import (
    CALLBACK_BYTES_MAX,
    CallbackAnswer,
    PaymentNotice,
    PaymentOpened,
    PaymentRequest,
    RefundRequest,
    SignedMessage,
)
from commerce.payment_bills import parse_alipay, unpack_zip
from commerce.payment_http import BILL_BYTES_MAX, ProviderHttp
from commerce.payment_keys import sign, verify
from commerce.settlement_files import parse_alipay_funds

log = logging.getLogger(__name__)

API = "https://openapi.alipay.com/gateway.do"
SUBJECT_CHARACTERS_MAX = 128
FIELDS_MAX = 100
"""Parameters of a callback: it has about thirty."""
BILL_READY_MS = 10 * 3_600_000
_METHODS = {
    "native": ("alipay.trade.precreate", "FACE_TO_FACE_PAYMENT"),
    "page": ("alipay.trade.page.pay", "FAST_INSTANT_TRADE_PAY"),
    "wap": ("alipay.trade.wap.pay", "QUICK_WAP_WAY"),
}
_AGAIN = frozenset({"ACQ.SYSTEM_ERROR", "ACQ.SELLER_BALANCE_NOT_ENOUGH", "ACQ.REFUND_CHARGE_ERROR", "SYSTEM_ERROR"})
_REFUSES_ACCOUNT = frozenset({"40001", "40002", "40006", "20001"})
_UNSIGNED = _REFUSES_ACCOUNT | {"20000"}
"""Only what is refused before it is known who asks (a wrong signature, a wrong app) comes without a signature."""
_FORBIDDEN_IN_SUBJECT = re.compile(r"[/=&]")
_ANSWER = re.compile(rb'^\s*\{\s*"(\w+_response)"\s*:\s*')


@dataclass(frozen=True, slots=True)
class AlipayAccount:
    """One app (``app_id``) of one seller (``seller_id``, 2088…), our key and Alipay's public key for this app."""

    name: str
    app_id: str
    seller_id: str
    key: RSAPrivateKey
    public_key: RSAPublicKey
    notify_url: str
    return_url: str = ""
    merchants: frozenset[str] = frozenset()
    api: str = API


class Alipay:
    """A provider over one account."""

    appid = ""
    methods: tuple[str, ...] = ("native", "page", "wap")

    def __init__(self, account: AlipayAccount, *, clock: Clock) -> None:
        self._account = account
        self._clock = clock
        self._http = ProviderHttp(account.api)

    @property
    def name(self) -> str:
        """The account's name in our tables."""
        return self._account.name

    @property
    def merchants(self) -> frozenset[str]:
        """The merchants whose money goes through this account; empty for all."""
        return self._account.merchants

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    # --- payments ------------------------------------------------------------------------------------------------

    async def start(self, request: PaymentRequest) -> PaymentOpened | None:
        """A code for the wallet to scan, or the signed address of Alipay's page; ``time_expire`` is the hold's."""
        api_method, product = _METHODS[request.method]
        body = {
            "out_trade_no": request.payment,
            "total_amount": yuan(request.amount),
            "subject": _FORBIDDEN_IN_SUBJECT.sub(" ", request.title)[:SUBJECT_CHARACTERS_MAX] or request.payment,
            "product_code": product,
            "seller_id": self._account.seller_id,
            "time_expire": f"{local(request.expires_ms):%Y-%m-%d %H:%M:%S}",
            "passback_params": request.merchant,
        }
        if request.method != "native":
            # Nothing is asked of Alipay: the customer's browser carries the signed order there.
            return PaymentOpened(request.method, {"url": f"{self._account.api}?{self._signed(api_method, body)}"})
        given, _ = await self._ask(api_method, body)
        if given.get("code") == "10000":
            return PaymentOpened("native", {"code_url": _text(given, "qr_code")})
        if given.get("sub_code") in ("ACQ.TRADE_HAS_SUCCESS", "ACQ.TRADE_HAS_FINISHED"):
            return None
        raise self._fault(given, "payment_refused")

    async def query(self, payment: str) -> SignedMessage | None:
        """``alipay.trade.query`` by our number; None while nobody paid."""
        given, message = await self._ask("alipay.trade.query", {"out_trade_no": payment})
        if given.get("sub_code") == "ACQ.TRADE_NOT_EXIST":
            return None
        if given.get("code") != "10000":
            raise self._fault(given, "payment_refused")
        return message if given.get("trade_status") in ("TRADE_SUCCESS", "TRADE_FINISHED") else None

    async def close(self, payment: str) -> None:
        """``alipay.trade.close``; a trade that nobody opened is unknown there, and ends by its ``time_expire``."""
        given, _ = await self._ask("alipay.trade.close", {"out_trade_no": payment})
        harmless = ("ACQ.TRADE_NOT_EXIST", "ACQ.TRADE_STATUS_ERROR", "ACQ.REASON_TRADE_STATUS_INVALID")
        if given.get("code") != "10000" and given.get("sub_code") not in harmless:
            raise self._fault(given, "payment_refused")

    async def refund(self, request: RefundRequest) -> SignedMessage | None:
        """``alipay.trade.refund``, done at once; one that was asked for before moves nothing and is looked up."""
        body = {
            "out_trade_no": request.payment,
            "refund_amount": yuan(request.amount),
            "out_request_no": request.refund,
        }
        given, _ = await self._ask("alipay.trade.refund", body)
        if given.get("code") != "10000":
            raise self._fault(given, "refund_refused")
        # Its answer says the sum of all refunds; the look-up says this one's.
        lookup = {"out_trade_no": request.payment, "out_request_no": request.refund}
        given, message = await self._ask("alipay.trade.fastpay.refund.query", lookup)
        if given.get("code") != "10000":
            raise self._fault(given, "payment_refused")
        return message if given.get("refund_status") == "REFUND_SUCCESS" else None

    # --- notices -------------------------------------------------------------------------------------------------

    async def parse(self, message: SignedMessage) -> PaymentNotice:
        """A callback (a form), or an answer to a question (JSON)."""
        if len(message.body) > CALLBACK_BYTES_MAX:
            raise Invalid("a callback is at most 16 KiB")
        try:
            return self._read_answer(message.body) if message.asked else self._read_callback(message.body)
        except ValueError as error:
            raise Invalid(f"the payment provider's message cannot be read: {error}") from error

    def _read_answer(self, body: bytes) -> PaymentNotice:
        given = self._checked(body)
        payment = _text(given, "out_trade_no")
        if "refund_status" in given:
            refund = _text(given, "out_request_no")
            amount = fen(_text(given, "refund_amount"))
            return PaymentNotice(f"r-{refund}", "refunded", payment, "", amount, refund)
        return PaymentNotice(_text(given, "trade_no"), "paid", payment, "", fen(_text(given, "total_amount")))

    def _read_callback(self, body: bytes) -> PaymentNotice:
        fields = dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS_MAX))
        signature = fields.pop("sign", "")
        if fields.pop("sign_type", "RSA2") != "RSA2":
            raise Refused("bad_signature", "the callback is not signed with RSA2")
        verify(self._account.public_key, _joined(fields), signature)
        account = self._account
        if fields.get("app_id") != account.app_id or fields.get("seller_id") != account.seller_id:
            raise Refused("merchant_mismatch", "the callback is about another app or seller")
        status, amount = _text(fields, "trade_status"), fen(_text(fields, "total_amount"))
        payment, merchant = _text(fields, "out_trade_no"), fields.get("passback_params", "")
        if status in ("TRADE_SUCCESS", "TRADE_FINISHED") and "refund_fee" not in fields:
            return PaymentNotice(_text(fields, "trade_no"), "paid", payment, merchant, amount)
        # A refund (its sum, not its own amount), a time that ran out: kept, and settled by what we ask ourselves.
        return PaymentNotice(_text(fields, "notify_id")[:48], "noted", payment, merchant, amount)

    def acknowledge(self, error: CommerceError | None) -> CallbackAnswer:
        """The word ``success`` ends the repeats; any other does not."""
        return CallbackAnswer(200, b"success" if error is None else b"failure", "text/plain; charset=utf-8")

    # --- the day's file ------------------------------------------------------------------------------------------

    async def bill(self, day: str) -> Bill | None:
        """The file of trades (业务明细)."""
        raw = await self._file(day, "trade", "业务明细")
        return None if raw is None else Bill(raw, parse_alipay(raw) if raw else ())

    async def funds(self, day: str) -> Funds | None:
        """The file of the account (账务明细)."""
        raw = await self._file(day, "signcustomer", "账务明细")
        return None if raw is None else Funds(raw, tuple(parse_alipay_funds(raw)) if raw else ())

    async def _file(self, day: str, bill_type: str, named: str) -> bytes | None:
        """``alipay.data.dataservice.bill.downloadurl.query``; the address it gives is good for 30 s.

        Empty when nothing happened, None while there is no file.
        """
        _, until_ms = day_bounds_ms(day)
        if until_ms > self._clock():
            return None
        api_method = "alipay.data.dataservice.bill.downloadurl.query"
        given, _ = await self._ask(api_method, {"bill_type": bill_type, "bill_date": day})
        if "BILL_NOT_EXIST" in str(given.get("sub_code")).upper():
            return b"" if self._clock() >= until_ms + BILL_READY_MS else None
        if given.get("code") != "10000":
            raise self._fault(given, "payment_refused")
        file = await self._http.ask("GET", _text(given, "bill_download_url"), bytes_max=BILL_BYTES_MAX)
        if file.status != 200:
            raise Busy(f"the payment provider's file cannot be fetched ({file.status})")
        return unpack_zip(file.body, named)

    # --- the wire ------------------------------------------------------------------------------------------------

    def _signed(self, api_method: str, body: Mapping[str, Any]) -> str:
        """The parameters of a request, signed and encoded."""
        fields = {
            "app_id": self._account.app_id,
            "method": api_method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": f"{local(self._clock()):%Y-%m-%d %H:%M:%S}",
            "version": "1.0",
            "notify_url": self._account.notify_url,
            "biz_content": orjson.dumps(body).decode(),
        }
        if api_method in ("alipay.trade.page.pay", "alipay.trade.wap.pay") and self._account.return_url:
            fields["return_url"] = self._account.return_url
        return urlencode({**fields, "sign": sign(self._account.key, _joined(fields))})

    async def _ask(self, api_method: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], SignedMessage]:
        """One question: the object of the answer, and the answer as a message. Raises Busy, Refused (bad_signature)."""
        content = self._signed(api_method, body).encode()
        headers = {"content-type": "application/x-www-form-urlencoded;charset=utf-8", "user-agent": "siyu-live"}
        answer = await self._http.ask("POST", "?charset=utf-8", headers=headers, content=content)
        if answer.status != 200:
            raise Busy(f"the payment provider cannot do it now ({answer.status})")
        return self._checked(answer.body), SignedMessage(answer.body, answer.headers, asked=True)

    def _checked(self, body: bytes) -> dict[str, Any]:
        """The object of an answer. Raises Refused (bad_signature), Invalid."""
        match = _ANSWER.match(body)
        try:
            whole = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise Invalid("the payment provider's answer is not JSON") from error
        if match is None or not isinstance(whole, dict):
            raise Invalid("the payment provider's answer has no object of ours")
        given = whole[match[1].decode()]
        if not isinstance(given, dict):
            raise Invalid("the payment provider's answer has no object of ours")
        if "sign" not in whole:
            if str(given.get("code")) not in _UNSIGNED:
                raise Refused("bad_signature", "the answer is not signed by the payment provider")
            return given
        verify(self._account.public_key, _object(body, match.end()), str(whole["sign"]))
        return given

    def _fault(self, given: Mapping[str, Any], code: str) -> CommerceError:
        """What an answer that is no success means for who asked."""
        general, theirs = str(given.get("code")), str(given.get("sub_code") or given.get("code"))
        if general in _REFUSES_ACCOUNT:
            log.error("%s refuses this account: %s %s", self.name, theirs, given.get("sub_msg"))
            return Busy("the payment provider refuses the shop's account; its staff must look at it", 60_000)
        if general == "20000" or theirs in _AGAIN:
            return Busy(f"the payment provider cannot do it now ({theirs})")
        return Refused(code, f"the payment provider refused: {theirs}", provider_code=theirs)


def _joined(fields: Mapping[str, str]) -> bytes:
    """What is signed: name=value of all that have a value, sorted by name."""
    return "&".join(f"{name}={fields[name]}" for name in sorted(fields) if fields[name] != "").encode()


def _object(body: bytes, start: int) -> bytes:
    """The bytes of the JSON object that begins at ``start``: they are signed as they stand. Raises Invalid."""
    depth, quoted, escaped = 0, False, False
    for place in range(start, len(body)):
        byte = body[place]
        if quoted:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                quoted = False
        elif byte == 0x22:
            quoted = True
        elif byte in b"{[":
            depth += 1
        elif byte in b"}]":
            depth -= 1
            if depth == 0:
                return body[start : place + 1]
    raise Invalid("the payment provider's answer is cut short")


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise Invalid(f"the payment provider's message has no {name}")
    return value
