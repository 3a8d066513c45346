"""A stand-in for Alibaba Cloud's SMS service that checks V3 signatures by their document, and keeps limits.

help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature; "SendSms" 2017-05-25.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from tests.gateway.http_stand_in import Answer, Asked, http_stand_in, json_answer

KEY, SECRET = "LTAI5tStandIn", "the-secret-of-the-access-key"
SIGNED = ("host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version")


class SmsStandIn:
    """What the service knows, and what a test makes it do."""

    def __init__(self) -> None:
        self.sent: list[dict[str, str]] = []
        self.codes: list[str] = []
        self.nonces: set[str] = set()
        self.refused_numbers: set[str] = set()
        self.base = ""

    def answer(self, asked: Asked) -> Answer:
        fault = self._fault(asked)
        if fault is not None:
            return json_answer({"Code": fault, "Message": "refused", "RequestId": "R"}, 400)
        if self.codes:
            return json_answer({"Code": self.codes.pop(0), "Message": "as the test wants it", "RequestId": "R"})
        if asked.query["PhoneNumbers"] in self.refused_numbers:
            return json_answer({"Code": "isv.MOBILE_NUMBER_ILLEGAL", "Message": "no", "RequestId": "R"})
        self.sent.append(asked.query)
        return json_answer({"Code": "OK", "Message": "OK", "RequestId": "R", "BizId": f"biz{len(self.sent)}"})

    def _fault(self, asked: Asked) -> str | None:
        """What is wrong with the signature, worked out from the request alone."""
        found = re.fullmatch(
            r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})",
            asked.headers.get("authorization", ""),
        )
        if found is None or found[1] != KEY:
            return "InvalidAccessKeyId.NotFound"
        names = found[2].split(";")
        if tuple(names) != SIGNED or asked.headers["x-acs-content-sha256"] != hashlib.sha256(asked.body).hexdigest():
            return "SignatureDoesNotMatch"
        query = "&".join(
            f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(asked.query.items())
        )
        headers = "".join(f"{name}:{asked.headers[name]}\n" for name in names)
        content = asked.headers["x-acs-content-sha256"]
        request = f"{asked.method}\n{asked.path}\n{query}\n{headers}\n{found[2]}\n{content}"
        text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(request.encode()).hexdigest()
        if hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest() != found[3]:
            return "SignatureDoesNotMatch"
        nonce = asked.headers["x-acs-signature-nonce"]
        if nonce in self.nonces:
            return "SignatureNonceUsed"
        self.nonces.add(nonce)
        return None


@contextlib.asynccontextmanager
async def sms_stand_in() -> AsyncIterator[SmsStandIn]:
    """A stand-in on a port of its own."""
    stand_in = SmsStandIn()
    async with http_stand_in(stand_in.answer) as stand_in.base:
        yield stand_in
