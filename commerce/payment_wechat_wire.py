"""The way to WeChat Pay, API v3: signed requests, checked answers and callbacks, sealed resources, the keys.

Signatures, in both directions RSA-SHA256 in base64 (pay.weixin.qq.com, "APIv3 签名"):

    request     METHOD \\n path?query \\n timestamp \\n nonce \\n body \\n       → Authorization: WECHATPAY2-…
    answer and  timestamp \\n nonce \\n body \\n                               → Wechatpay-Signature, with -Timestamp,
    callback                                                                  -Nonce and -Serial (whose key it is)

A callback's ``resource`` is sealed with the APIv3 key (AEAD_AES_256_GCM). Keys of the platform are its public key
(``PUB_KEY_ID_…``), given once, or certificates, which are fetched and come sealed with the APIv3 key.
"""

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from commerce.errors import Busy, CommerceError, Invalid, Refused
from commerce.ledger import Clock
from commerce.payment import CALLBACK_BYTES_MAX, CallbackAnswer
from commerce.payment_http import ProviderAnswer, ProviderHttp
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
AGAIN = frozenset({"NOT_ENOUGH", "SYSTEM_ERROR", "FREQUENCY_LIMITED", "FREQUENCY_LIMIT_EXCEED", "BANK_ERROR"})
"""Refused today, perhaps not tomorrow: the merchant's account has too little to give back from, or they are busy."""
ACCOUNT = frozenset({"SIGN_ERROR", "NO_AUTH", "MCH_NOT_EXISTS", "APPID_MCHID_NOT_MATCH", "ACCOUNT_ERROR"})


@dataclass(frozen=True, slots=True)
class TransferScene:
    """What a transfer to a person is for, as the platform wants it told: ``scene`` of the merchant's product page.

    ``post`` and ``reward`` are the two lines that scene 1005 (佣金报酬) reports: 岗位类型 and 报酬说明.
    """

    scene: str
    post: str
    reward: str
    notify_url: str


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
    transfer: TransferScene | None = None


class WechatWire:
    """Requests of one account, and the check of what comes back."""

    def __init__(self, account: WechatAccount, *, clock: Clock) -> None:
        self.account = account
        self._clock = clock
        self.http = ProviderHttp(account.api)
        self._keys: dict[str, RSAPublicKey] = {}
        if account.public_key is not None:
            self._keys[account.public_key_id] = account.public_key
        self._fetched_s: float | None = None

    async def aclose(self) -> None:
        """Close the connections."""
        await self.http.aclose()

    async def ask(
        self, method: str, target: str, body: Mapping[str, Any] | None = None, *, bytes_max: int = 65_536
    ) -> ProviderAnswer:
        """One signed request. Raises Busy when nobody answers."""
        account = self.account
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
        return await self.http.ask(method, target, headers=headers, content=content or None, bytes_max=bytes_max)

    async def read(self, answer: ProviderAnswer) -> dict[str, Any]:
        """The object in a good answer, after its signature was checked."""
        await self.check(answer.headers, answer.body)
        return json_object(answer.body)

    async def check(self, headers: Mapping[str, str], body: bytes) -> None:
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
            answer = await self.ask("GET", "/v3/certificates")
            if answer.status != 200:
                raise self.fault(answer, "payment_refused")
            self._learn(json_object(answer.body))
            # Sealed with our key, so they are the platform's; and the answer is signed with one of them.
            if answer.headers.get("wechatpay-serial", "") in self._keys:
                await self.check(answer.headers, answer.body)
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
                self.account.api_v3_key,
                text_field(sealed, "nonce"),
                text_field(sealed, "ciphertext"),
                str(sealed.get("associated_data") or ""),
            )
            self._keys[text_field(entry, "serial_no")] = public_key(text.decode("ascii"))

    async def open_callback(self, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """What a callback's sealed resource says. Raises Refused (bad_signature), Invalid, Busy."""
        if len(body) > CALLBACK_BYTES_MAX:
            raise Invalid("a callback is at most 16 KiB")
        await self.check({name.lower(): value for name, value in headers.items()}, body)
        resource = json_object(body).get("resource")
        if not isinstance(resource, dict) or resource.get("algorithm") != "AEAD_AES_256_GCM":
            raise Invalid("the callback has no sealed resource")
        nonce, sealed = text_field(resource, "nonce"), text_field(resource, "ciphertext")
        associated = str(resource.get("associated_data") or "")
        return json_object(open_sealed(self.account.api_v3_key, nonce, sealed, associated))

    def fault(self, answer: ProviderAnswer, code: str) -> CommerceError:
        """What an answer of another status means for who asked."""
        theirs = error_code(answer)
        if theirs in ACCOUNT or answer.status == 401:
            log.error("%s refuses this account: %s %s", self.account.name, answer.status, theirs)
            return Busy("the payment provider refuses the shop's account; its staff must look at it", 60_000)
        if answer.status >= 500 or answer.status == 429 or theirs in AGAIN:
            return Busy(f"the payment provider cannot do it now ({theirs or answer.status})")
        return Refused(code, f"the payment provider refused: {theirs or answer.status}", provider_code=theirs)


def json_object(body: bytes) -> dict[str, Any]:
    """A message's object. Raises Invalid."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid("the payment provider's message is not JSON") from error
    if not isinstance(given, dict):
        raise Invalid("the payment provider's message is not an object")
    return given


def error_code(answer: ProviderAnswer) -> str:
    """The error code in an answer, if there is one."""
    try:
        return str(json_object(answer.body).get("code") or "")
    except Invalid:
        return ""


def text_field(given: Mapping[str, Any], name: str) -> str:
    """A text that must be there. Raises Invalid."""
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise Invalid(f"the payment provider's message has no {name}")
    return value


def whole_field(given: Mapping[str, Any], name: str) -> int:
    """A whole number that must be there. Raises Invalid."""
    value = given.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Invalid(f"the payment provider's message has no whole {name}")
    return value


def acknowledged(error: CommerceError | None) -> CallbackAnswer:
    """200 or 204 end the repeats; 4xx and 5xx say FAIL and why."""
    if error is None:
        return CallbackAnswer(200, b'{"code":"SUCCESS"}', "application/json")
    status = 503 if isinstance(error, Busy) else 401 if error.code == "bad_signature" else 400
    return CallbackAnswer(status, orjson.dumps({"code": "FAIL", "message": error.message}), "application/json")
