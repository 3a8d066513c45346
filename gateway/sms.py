"""Text messages by Alibaba Cloud's SMS service (短信服务): ``SendSms`` of version 2017-05-25, signed as V3.

    canonical request   method \\n path \\n query \\n headers \\n\\n names of signed headers \\n SHA-256 of the body
    string to sign      "ACS3-HMAC-SHA256" \\n SHA-256 of the canonical request
    Authorization       ACS3-HMAC-SHA256 Credential=KEY,SignedHeaders=…,Signature=HMAC-SHA256 in hex

Signed are ``host`` and every ``x-acs-…`` header: action, content-sha256, date, signature-nonce, version. Refusals are
in ``Code`` (``OK`` when it was taken), with HTTP status 4xx for faults of the request. Sources:
help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature, help.aliyun.com/zh/sms, "SendSms".
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import httpx

from gateway.errors import Problem

TIMEOUT_S = 5.0
ALGORITHM = "ACS3-HMAC-SHA256"
VERSION = "2017-05-25"
TOO_MANY = ("Throttling", "isv.BUSINESS_LIMIT_CONTROL", "isv.DAY_LIMIT_CONTROL", "isv.MONTH_LIMIT_CONTROL")
"""Beginnings of codes: calls a second of the account; messages a minute, hour and day of one number, of a shop."""
BAD_NUMBER = ("isv.MOBILE_NUMBER_ILLEGAL", "isv.MOBILE_COUNT_OVER_LIMIT", "isv.BLACK_KEY_CONTROL_LIMIT")
LIMITED_RETRY_MS = 3_600_000
THROTTLED_RETRY_MS = 5_000


@dataclass(frozen=True, slots=True)
class SmsAccount:
    """A merchant's account: access key, and the signature (签名) that its messages begin with."""

    key: str
    secret: str
    sign_name: str


def sign_request(
    method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes, account: SmsAccount
) -> str:
    """The ``Authorization`` of a request; ``headers`` are those to sign, their names in small letters."""
    names = sorted(headers)
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    signed = ";".join(names)
    text = "&".join(f"{_encoded(name)}={_encoded(query[name])}" for name in sorted(query))
    request = "\n".join((method, path, text, lines, signed, hashlib.sha256(body).hexdigest()))
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.new(account.secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    return f"{ALGORITHM} Credential={account.key},SignedHeaders={signed},Signature={signature}"


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")


class SmsApi:
    """The adapter. ``base`` is the service's address or, in tests, a stand-in's; ``clock`` gives Unix milliseconds."""

    def __init__(self, base: str, *, clock: Callable[[], int]) -> None:
        self._client = httpx.AsyncClient(base_url=base, timeout=TIMEOUT_S, follow_redirects=False)
        self._host = urlsplit(base).netloc
        self._clock = clock

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def send(
        self, account: SmsAccount, number: str, template: str, params: Mapping[str, str], reference: str
    ) -> str:
        """Send one message to an E.164 number; its id there. Raises ``Problem``.

        ``reference`` comes back with the receipt (OutId): it is our message's id.
        """
        query = {
            # Numbers of the mainland are written without their country, others without the plus.
            "PhoneNumbers": number.removeprefix("+86") if number.startswith("+86") else number.removeprefix("+"),
            "SignName": account.sign_name,
            "TemplateCode": template,
            "TemplateParam": json.dumps(dict(params), ensure_ascii=False, separators=(",", ":")),
            "OutId": reference,
        }
        headers = {
            "host": self._host,
            "x-acs-action": "SendSms",
            "x-acs-version": VERSION,
            "x-acs-date": datetime.fromtimestamp(self._clock() / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": os.urandom(16).hex(),
            "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        }
        headers["authorization"] = sign_request("POST", "/", query, headers, b"", account)
        try:
            response = await self._client.post("/", params=query, headers=headers)
            answer = response.json()
        except httpx.HTTPError as error:
            raise Problem(503, "sms_away", "the SMS service did not answer; try again", retry_ms=1_000) from error
        except ValueError as error:
            raise Problem(502, "sms_account", "the SMS service's answer has an unexpected form") from error
        if not isinstance(answer, dict):
            raise Problem(502, "sms_account", "the SMS service's answer has an unexpected form")
        return _checked(answer)


def _checked(answer: Mapping[str, object]) -> str:
    """The id of a message that was taken. Raises ``Problem`` for what is refused."""
    code = str(answer.get("Code", ""))
    if code == "OK":
        return str(answer.get("BizId", ""))
    if code.startswith(TOO_MANY):
        retry_ms = THROTTLED_RETRY_MS if code.startswith("Throttling") else LIMITED_RETRY_MS
        raise Problem(429, "rate", f"the SMS service's limit is reached ({code})", retry_ms=retry_ms)
    if code in BAD_NUMBER:
        raise Problem(422, "message_refused", f"the SMS service takes nothing for this number ({code})")
    if code in ("ServiceUnavailable", "InternalError"):
        raise Problem(503, "sms_away", f"the SMS service is busy ({code}); try again", retry_ms=1_000)
    raise Problem(502, "sms_account", f"the SMS service refuses the account or template ({code})")
