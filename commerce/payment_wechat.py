"""WeChat Pay, API v3: JSAPI (mini-programs and pages inside WeChat) and native (a QR code).

Signatures, in both directions RSA-SHA256 in base64 (pay.weixin.qq.com, "APIv3 签名"):

    request     METHOD \\n path?query \\n timestamp \\n nonce \\n body \\n       → Authorization: WECHATPAY2-…
    answer and  timestamp \\n nonce \\n body \\n                               → Wechatpay-Signature, with -Timestamp,
    callback                                                                  -Nonce and -Serial (whose key it is)
    wallet      appid \\n timestamp \\n nonce \\n prepay_id=… \\n              → paySign

A callback's ``resource`` is sealed with the APIv3 key (AEAD_AES_256_GCM). Keys of the platform are its public key
(``PUB_KEY_ID_…``), given once, or certificates, which are fetched and come sealed with the APIv3 key.
"""

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import quote

import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from commerce.domain.bill import Bill
from commerce.domain.day import day_bounds_ms, rfc3339
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
from commerce.payment_bills import parse_wechat, unpack_gzip
from commerce.payment_http import BILL_BYTES_MAX, ProviderAnswer, ProviderHttp
from commerce.payment_keys import open_sealed, public_key, sign, verify

log = logging.getLogger(__name__)

API = "https://api.mch.weixin.qq.com"
SCHEME = "WECHATPAY2-SHA256-RSA2048"
API_V3_KEY_BYTES = 32
SKEW_S_MAX = 300
"""A signature is five minutes good, as the document asks: an older one could be the replay of a leaked body."""
CERTIFICATES_AGAIN_S = 60.0
"""An unknown serial fetches the certificates at most this often: anybody can send one."""
CERTIFICATES_MAX = 20
DESCRIPTION_CHARACTERS_MAX = 127
BILL_READY_MS = 10 * 3_600_000
"""A day's file is there from ten in the morning after."""
_AGAIN = frozenset({"NOT_ENOUGH", "SYSTEM_ERROR", "FREQUENCY_LIMITED", "BANK_ERROR"})
"""Refused today, perhaps not tomorrow: the merchant's account has too little to give back from, or they are busy."""
_ACCOUNT = frozenset({"SIGN_ERROR", "NO_AUTH", "MCH_NOT_EXISTS", "APPID_MCHID_NOT_MATCH", "ACCOUNT_ERROR"})
_REFUNDED = {"SUCCESS": "refunded", "ABNORMAL": "refund_failed", "CLOSED": "refund_failed"}


@dataclass(frozen=True, slots=True)
class WechatAccount:
    """One merchant number (``mchid``) with one app, and its keys. ``serial`` is of our API certificate.

    ``merchants`` whose money goes through it; empty for all. ``notify_url`` is where callbacks go.
    """

    name: str
    appid: str
    mchid: str
    serial: str
    key: RSAPrivateKey
    api_v3_key: bytes
    notify_url: str
    public_key_id: str = ""
    public_key: RSAPublicKey | None = None
    merchants: frozenset[str] = frozenset()
    api: str = API


class WechatPay:
    """A provider over one account."""

    methods: tuple[str, ...] = ("jsapi", "native")

    def __init__(self, account: WechatAccount, *, clock: Clock) -> None:
        self._account = account
        self._clock = clock
        self._http = ProviderHttp(account.api)
        self._keys: dict[str, RSAPublicKey] = {}
        if account.public_key is not None:
            self._keys[account.public_key_id] = account.public_key
        self._fetched_s: float | None = None

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
        """Place the order there (JSAPI下单, Native下单): ``time_expire`` is the hold's expiry, never later."""
        if request.method == "jsapi" and not request.payer:
            raise Invalid("paying inside WeChat needs the payer's openid", field="payer")
        body: dict[str, Any] = {
            "appid": self._account.appid,
            "mchid": self._account.mchid,
            "description": request.title[:DESCRIPTION_CHARACTERS_MAX] or request.payment,
            "out_trade_no": request.payment,
            "time_expire": rfc3339(request.expires_ms),
            "attach": request.merchant,
            "notify_url": self._account.notify_url,
            "amount": {"total": request.amount, "currency": "CNY"},
        }
        if request.method == "jsapi":
            body["payer"] = {"openid": request.payer}
        answer = await self._ask("POST", f"/v3/pay/transactions/{request.method}", body)
        if answer.status != 200:
            if _code(answer) in ("ORDERPAID", "ORDER_PAID"):
                # The query that follows tells of it.
                return None
            raise self._fault(answer, "payment_refused")
        given = await self._read(answer)
        if request.method == "native":
            return PaymentOpened("native", {"code_url": _text(given, "code_url")})
        return PaymentOpened("jsapi", self._wallet(_text(given, "prepay_id")))

    def _wallet(self, prepay_id: str) -> Mapping[str, str]:
        """What ``wx.requestPayment`` and ``WeixinJSBridge`` take."""
        timestamp, nonce, package = str(self._clock() // 1000), secrets.token_hex(16), f"prepay_id={prepay_id}"
        signed = f"{self._account.appid}\n{timestamp}\n{nonce}\n{package}\n"
        return {
            "appId": self._account.appid,
            "timeStamp": timestamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "RSA",
            "paySign": sign(self._account.key, signed.encode()),
        }

    async def query(self, payment: str) -> SignedMessage | None:
        """查询订单 by our number; None while nobody paid."""
        answer = await self._ask("GET", f"/v3/pay/transactions/out-trade-no/{payment}?mchid={self._account.mchid}")
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self._fault(answer, "payment_refused")
        given = await self._read(answer)
        # REFUND: it was paid, and some of it went back since.
        if given.get("trade_state") not in ("SUCCESS", "REFUND", "PAYERROR"):
            return None
        return SignedMessage(answer.body, answer.headers, asked=True)

    async def close(self, payment: str) -> None:
        """关闭订单. A paid one stays paid: who asks queries afterwards."""
        body = {"mchid": self._account.mchid}
        answer = await self._ask("POST", f"/v3/pay/transactions/out-trade-no/{payment}/close", body)
        if answer.status == 204:
            await self._check(answer.headers, answer.body)
        elif answer.status not in (400, 404) or _code(answer) in _AGAIN | _ACCOUNT:
            raise self._fault(answer, "payment_refused")

    async def refund(self, request: RefundRequest) -> SignedMessage | None:
        """申请退款; asked again under one number, it says how that refund stands."""
        body = {
            "out_trade_no": request.payment,
            "out_refund_no": request.refund,
            "notify_url": self._account.notify_url,
            "amount": {"refund": request.amount, "total": request.paid, "currency": "CNY"},
        }
        answer = await self._ask("POST", "/v3/refund/domestic/refunds", body)
        if answer.status != 200:
            raise self._fault(answer, "refund_refused")
        given = await self._read(answer)
        if given.get("status") not in _REFUNDED:
            return None
        return SignedMessage(answer.body, answer.headers, asked=True)

    # --- notices -------------------------------------------------------------------------------------------------

    async def parse(self, message: SignedMessage) -> PaymentNotice:
        """A callback, whose resource is sealed, or an answer of ``query`` or ``refund``."""
        if len(message.body) > CALLBACK_BYTES_MAX:
            raise Invalid("a callback is at most 16 KiB")
        await self._check({name.lower(): value for name, value in message.headers.items()}, message.body)
        given = _json(message.body)
        if message.asked:
            return self._transaction(given) if "trade_state" in given else self._refunded(given, given.get("status"))
        resource = given.get("resource")
        if not isinstance(resource, dict) or resource.get("algorithm") != "AEAD_AES_256_GCM":
            raise Invalid("the callback has no sealed resource")
        nonce, sealed = _text(resource, "nonce"), _text(resource, "ciphertext")
        inner = _json(open_sealed(self._account.api_v3_key, nonce, sealed, str(resource.get("associated_data") or "")))
        if inner.get("mchid") != self._account.mchid:
            raise Refused("merchant_mismatch", "the callback is about another merchant number")
        if "refund_status" in inner:
            return self._refunded(inner, inner["refund_status"])
        return self._transaction(inner)

    def _transaction(self, given: Mapping[str, Any]) -> PaymentNotice:
        account = self._account
        if given.get("mchid") != account.mchid or given.get("appid") != account.appid:
            raise Refused("merchant_mismatch", "the payment is of another merchant number or app")
        amount = given.get("amount")
        state = _text(given, "trade_state")
        if state not in ("SUCCESS", "REFUND", "PAYERROR"):
            raise Invalid(f"nothing follows from a payment in state {state}")
        if not isinstance(amount, dict) or amount.get("currency", "CNY") != "CNY":
            raise Refused("amount_mismatch", "the payment is not in CNY")
        return PaymentNotice(
            number=_text(given, "transaction_id"),
            kind="declined" if state == "PAYERROR" else "paid",
            payment=_text(given, "out_trade_no"),
            merchant=str(given.get("attach") or ""),
            amount=_whole(amount, "total"),
        )

    @staticmethod
    def _refunded(given: Mapping[str, Any], status: object) -> PaymentNotice:
        amount = given.get("amount")
        kind = _REFUNDED.get(str(status))
        if kind is None or not isinstance(amount, dict):
            raise Invalid(f"nothing follows from a refund in state {status}")
        return PaymentNotice(
            number=_text(given, "refund_id"),
            kind=kind,
            payment=_text(given, "out_trade_no"),
            merchant="",
            amount=_whole(amount, "refund"),
            refund=_text(given, "out_refund_no"),
        )

    def acknowledge(self, error: CommerceError | None) -> CallbackAnswer:
        """200 or 204 end the repeats; 4xx and 5xx say FAIL and why."""
        if error is None:
            return CallbackAnswer(200, b'{"code":"SUCCESS"}', "application/json")
        status = 503 if isinstance(error, Busy) else 401 if error.code == "bad_signature" else 400
        return CallbackAnswer(status, orjson.dumps({"code": "FAIL", "message": error.message}), "application/json")

    # --- the day's file ------------------------------------------------------------------------------------------

    async def bill(self, day: str) -> Bill | None:
        """申请交易账单 and 下载账单; the file's SHA-1 comes in the signed answer."""
        _, until_ms = day_bounds_ms(day)
        if until_ms > self._clock():
            return None
        answer = await self._ask("GET", f"/v3/bill/tradebill?bill_date={quote(day)}&bill_type=ALL&tar_type=GZIP")
        if answer.status == 400 and _code(answer) in ("NO_STATEMENT_EXIST", "STATEMENT_CREATING"):
            empty = _code(answer) == "NO_STATEMENT_EXIST" and self._clock() >= until_ms + BILL_READY_MS
            return Bill(b"", ()) if empty else None
        if answer.status != 200:
            raise self._fault(answer, "payment_refused")
        given = await self._read(answer)
        url = _text(given, "download_url")
        if not url.startswith(self._http.base_url + "/"):
            raise Busy("the provider's file lies at another address than its API")
        file = await self._ask("GET", url.removeprefix(self._http.base_url), bytes_max=BILL_BYTES_MAX)
        if file.status != 200:
            raise self._fault(file, "payment_refused")
        raw = unpack_gzip(file.body, _text(given, "hash_value"))
        return Bill(raw, parse_wechat(raw))

    # --- the wire ------------------------------------------------------------------------------------------------

    async def _ask(
        self, method: str, target: str, body: Mapping[str, Any] | None = None, *, bytes_max: int = 65_536
    ) -> ProviderAnswer:
        account = self._account
        content = b"" if body is None else orjson.dumps(body)
        timestamp, nonce = str(self._clock() // 1000), secrets.token_hex(16)
        signed = b"%s\n%s\n%s\n%s\n%s\n" % (
            method.encode(),
            target.encode(),
            timestamp.encode(),
            nonce.encode(),
            content,
        )
        headers = {
            "authorization": f'{SCHEME} mchid="{account.mchid}",nonce_str="{nonce}",timestamp="{timestamp}",'
            f'serial_no="{account.serial}",signature="{sign(account.key, signed)}"',
            "accept": "application/json" if bytes_max <= 65_536 else "*/*",
            "content-type": "application/json",
            "user-agent": "siyu-live",
        }
        if account.public_key_id:
            headers["wechatpay-serial"] = account.public_key_id
        return await self._http.ask(method, target, headers=headers, content=content or None, bytes_max=bytes_max)

    async def _read(self, answer: ProviderAnswer) -> dict[str, Any]:
        """The object in a good answer, after its signature was checked."""
        await self._check(answer.headers, answer.body)
        return _json(answer.body)

    async def _check(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raise Refused (bad_signature) unless the platform signed this, a moment ago."""
        timestamp, serial = headers.get("wechatpay-timestamp", ""), headers.get("wechatpay-serial", "")
        if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
            raise Refused("bad_signature", "the message is not signed by the payment provider")
        if abs(self._clock() // 1000 - int(timestamp)) > SKEW_S_MAX:
            raise Refused("bad_signature", "the message's signature is older than five minutes")
        key = self._keys.get(serial) or await self._fetched(serial)
        signed = b"%s\n%s\n%s\n" % (timestamp.encode(), headers.get("wechatpay-nonce", "").encode(), body)
        verify(key, signed, headers.get("wechatpay-signature", ""))

    async def _fetched(self, serial: str) -> RSAPublicKey:
        """The key of a certificate that is new to us (平台证书; they change every few years)."""
        due = self._fetched_s is None or monotonic() - self._fetched_s >= CERTIFICATES_AGAIN_S
        if due and serial and not serial.startswith("PUB_KEY_ID_"):
            self._fetched_s = monotonic()
            answer = await self._ask("GET", "/v3/certificates")
            if answer.status != 200:
                raise self._fault(answer, "payment_refused")
            self._learn(_json(answer.body))
            # Sealed with our key, so they are the platform's; and the answer is signed with one of them.
            if answer.headers.get("wechatpay-serial", "") in self._keys:
                await self._check(answer.headers, answer.body)
        key = self._keys.get(serial)
        if key is None:
            raise Refused("bad_signature", "the message is signed with an unknown key of the payment provider")
        return key

    def _learn(self, given: Mapping[str, Any]) -> None:
        entries = given.get("data")
        if not isinstance(entries, list):
            raise Invalid("the provider's certificates cannot be read")
        for entry in entries[:CERTIFICATES_MAX]:
            sealed = entry.get("encrypt_certificate") if isinstance(entry, dict) else None
            if not isinstance(sealed, dict):
                raise Invalid("the provider's certificates cannot be read")
            text = open_sealed(
                self._account.api_v3_key,
                _text(sealed, "nonce"),
                _text(sealed, "ciphertext"),
                str(sealed.get("associated_data") or ""),
            )
            self._keys[_text(entry, "serial_no")] = public_key(text.decode("ascii"))

    def _fault(self, answer: ProviderAnswer, code: str) -> CommerceError:
        """What an answer of another status means for who asked."""
        theirs = _code(answer)
        if theirs in _ACCOUNT or answer.status == 401:
            log.error("%s refuses this account: %s %s", self.name, answer.status, theirs)
            return Busy("the payment provider refuses the shop's account; its staff must look at it", 60_000)
        if answer.status >= 500 or answer.status == 429 or theirs in _AGAIN:
            return Busy(f"the payment provider cannot do it now ({theirs or answer.status})")
        return Refused(code, f"the payment provider refused: {theirs or answer.status}", provider_code=theirs)


def _json(body: bytes) -> dict[str, Any]:
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid("the payment provider's message is not JSON") from error
    if not isinstance(given, dict):
        raise Invalid("the payment provider's message is not an object")
    return given


def _code(answer: ProviderAnswer) -> str:
    """The error code in an answer, if there is one."""
    try:
        return str(_json(answer.body).get("code") or "")
    except Invalid:
        return ""


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise Invalid(f"the payment provider's message has no {name}")
    return value


def _whole(given: Mapping[str, Any], name: str) -> int:
    value = given.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Invalid(f"the payment provider's message has no whole {name}")
    return value
