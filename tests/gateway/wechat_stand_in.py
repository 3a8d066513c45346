"""A stand-in for WeChat's server API that keeps its documented rules: codes good once, tokens that lapse, limits.

developers.weixin.qq.com/miniprogram/dev/OpenApiDoc: code2session, getStableAccessToken, getPhoneNumber,
getUnlimitedQRCode, subscribeMessage.send. HTTP status 200 whatever happens; refusals are in ``errcode``.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator

from tests.gateway.http_stand_in import Answer, Asked, http_stand_in

APPID, SECRET = "wx0123456789abcdef", "0123456789abcdef0123456789abcdef"
PNG = b"\x89PNG\r\n\x1a\n" + b"a picture"


class WechatStandIn:
    """What WeChat knows, and what a test makes it do."""

    def __init__(self) -> None:
        self.logins: dict[str, tuple[str, str]] = {}
        self.phones: dict[str, tuple[str, str]] = {}
        self.used: set[str] = set()
        self.token = 0
        self.errors: list[int] = []
        self.asked: list[str] = []
        self.base = ""
        self.grants: dict[tuple[str, str], int] = {}
        self.messages: list[dict[str, object]] = []

    def lapse(self) -> None:
        """The access token is good no more."""
        self.token += 1

    def answer(self, path: str, query: dict[str, str], body: dict[str, object]) -> tuple[str, bytes]:
        """Content type and body of the answer."""
        self.asked.append(path)
        if self.errors:
            return _json({"errcode": self.errors.pop(0), "errmsg": "as the test wants it"})
        if path == "/sns/jscode2session":
            return _json(self._session(query))
        if path == "/cgi-bin/stable_token":
            if (body.get("appid"), body.get("secret")) != (APPID, SECRET):
                return _json({"errcode": 40125, "errmsg": "invalid appsecret"})
            if body.get("force_refresh"):
                self.token += 1
            return _json({"access_token": f"T{self.token}", "expires_in": 7200})
        if query.get("access_token") != f"T{self.token}":
            return _json({"errcode": 40001, "errmsg": "access_token is invalid or not latest"})
        if path == "/wxa/getwxacodeunlimit":
            return "image/png", PNG
        if path == "/cgi-bin/message/subscribe/send":
            return _json(self._message(body))
        return _json(self._phone(str(body.get("code"))))

    def _session(self, query: dict[str, str]) -> dict[str, object]:
        if (query.get("appid"), query.get("secret")) != (APPID, SECRET):
            return {"errcode": 40013, "errmsg": "invalid appid"}
        code = query.get("js_code", "")
        if code in self.used:
            return {"errcode": 40163, "errmsg": "code been used"}
        if code not in self.logins:
            return {"errcode": 40029, "errmsg": "invalid code"}
        self.used.add(code)
        openid, unionid = self.logins[code]
        found: dict[str, object] = {"openid": openid, "session_key": "c2Vzc2lvbg=="}
        return found | ({"unionid": unionid} if unionid else {})

    def _message(self, body: dict[str, object]) -> dict[str, object]:
        grant = (str(body["touser"]), str(body["template_id"]))
        if not self.grants.get(grant):
            return {"errcode": 43101, "errmsg": "user refuse to accept the msg"}
        self.grants[grant] -= 1
        self.messages.append(body)
        return {"errcode": 0, "errmsg": "ok"}

    def _phone(self, code: str) -> dict[str, object]:
        if code in self.used or code not in self.phones:
            return {"errcode": 40029, "errmsg": "invalid code"}
        self.used.add(code)
        country, number = self.phones[code]
        info = {"phoneNumber": number, "purePhoneNumber": number, "countryCode": country}
        return {"errcode": 0, "errmsg": "ok", "phone_info": info | {"watermark": {"timestamp": 1, "appid": APPID}}}


def _json(value: dict[str, object]) -> tuple[str, bytes]:
    return "application/json; encoding=utf-8", json.dumps(value).encode()


@contextlib.asynccontextmanager
async def wechat_stand_in() -> AsyncIterator[WechatStandIn]:
    """A stand-in on a port of its own."""
    stand_in = WechatStandIn()

    def answer(asked: Asked) -> Answer:
        return 200, *stand_in.answer(asked.path, asked.query, asked.json)

    async with http_stand_in(answer) as stand_in.base:
        yield stand_in
