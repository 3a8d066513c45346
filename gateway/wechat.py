"""WeChat's server API for mini-programs, as far as signing in, codes and messages need it: its real HTTP interface.

    code2session           GET  /sns/jscode2session                  js_code → openid, unionid (no access token)
    stable access token    POST /cgi-bin/stable_token                one for all processes, good for 7,200 s
    phone number           POST /wxa/business/getuserphonenumber     code of <button open-type="getPhoneNumber">
    unlimited code         POST /wxa/getwxacodeunlimit               scene of at most 32 characters → a picture
    subscribe message      POST /cgi-bin/message/subscribe/send      one grant, one message

A code's answer is the picture itself. Source: developers.weixin.qq.com/miniprogram/dev/OpenApiDoc. A rate limit is told
to the caller; what else these interfaces have in common is in ``tencent.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from commerce.identity.service import WechatApp
from gateway.errors import Problem
from gateway.tencent import BUSY, STALE_TOKEN, TencentDoor

SCENE_CHARACTERS_MAX = 32

TOO_MANY = frozenset({45009, 45011})
BAD_CODE = frozenset({40029, 40163, 41008})
WRONG_APP = frozenset({40013, 40125, 41002, 41004})
BLOCKED = 40226
NOT_GRANTED = frozenset({43101, 40003, 43108})
"""The person refused or used up the grant, is unknown to this app, or the message is over its limit."""


@dataclass(frozen=True, slots=True)
class Session:
    """Who opened the mini-program; ``unionid`` is empty when the app is bound to no open platform."""

    openid: str
    unionid: str


class WechatApi:
    """The adapter. ``base`` is WeChat's address or, in tests, a stand-in's; ``clock`` gives Unix milliseconds."""

    def __init__(self, base: str, *, clock: Callable[[], int]) -> None:
        self._door = TencentDoor(base, clock=clock, code="wechat", name="WeChat")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._door.aclose()

    async def session(self, app: WechatApp, code: str) -> Session:
        """Who is behind a code of ``wx.login``. Raises ``Problem`` (401 wechat_code, 429, 502, 503)."""
        query = {"appid": app.appid, "secret": app.secret, "js_code": code, "grant_type": "authorization_code"}
        answer = self._checked(await self._door.ask("GET", "/sns/jscode2session", params=query))
        openid = answer.get("openid")
        if not isinstance(openid, str) or not openid:
            raise self._door.unreadable()
        return Session(openid, str(answer.get("unionid") or ""))

    async def phone(self, app: WechatApp, code: str) -> str:
        """The number that a person let the mini-program have. Raises ``Problem``."""
        answer = await self._with_token(app, "/wxa/business/getuserphonenumber", {"code": code})
        info = answer.get("phone_info")
        if not isinstance(info, dict) or info.get("watermark", {}).get("appid", app.appid) != app.appid:
            raise self._door.unreadable()
        number = str(info.get("purePhoneNumber") or "")
        country = str(info.get("countryCode") or "86")
        if not number.isascii() or not number.isdigit() or not country.isascii() or not country.isdigit():
            raise self._door.unreadable()
        return f"+{country}{number}"

    async def code(self, app: WechatApp, scene: str, page: str) -> bytes:
        """A mini-program code (小程序码) for a scene, as a picture. Raises ``Problem``."""
        if len(scene) > SCENE_CHARACTERS_MAX:
            raise Problem(400, "invalid", f"a scene has at most {SCENE_CHARACTERS_MAX} characters")
        body = {"scene": scene, "page": page, "check_path": False}
        answer = await self._with_token(app, "/wxa/getwxacodeunlimit", body, picture=True)
        picture: bytes = answer["picture"]
        return picture

    async def subscribe_message(
        self, app: WechatApp, openid: str, template: str, page: str, data: Mapping[str, str]
    ) -> None:
        """Send one message that its receiver granted. Raises ``Problem`` (422 message_refused when they did not)."""
        fields = {name: {"value": value} for name, value in data.items()}
        body = {"touser": openid, "template_id": template, "page": page, "data": fields}
        await self._with_token(app, "/cgi-bin/message/subscribe/send", body)

    async def _with_token(
        self, app: WechatApp, path: str, body: dict[str, Any], *, picture: bool = False
    ) -> dict[str, Any]:
        async def fetch(fresh: bool) -> dict[str, Any]:
            asked = {"grant_type": "client_credential", "appid": app.appid, "secret": app.secret}
            return self._checked(
                await self._door.ask("POST", "/cgi-bin/stable_token", json={**asked, "force_refresh": fresh})
            )

        return self._checked(await self._door.with_token(app.appid, fetch, "POST", path, json=body, picture=picture))

    def _checked(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer, if it is a good one. Raises ``Problem`` for what WeChat refuses."""
        code = answer.get("errcode", 0)
        if code in (0, None):
            return answer
        if code in BAD_CODE:
            raise Problem(401, "wechat_code", "this code was used or has lapsed: call wx.login again")
        if code in TOO_MANY:
            raise Problem(429, "rate", "WeChat's limit for this mini-program is reached", retry_ms=60_000)
        if code in WRONG_APP or code in STALE_TOKEN:
            raise Problem(502, "wechat_app", f"WeChat refuses the mini-program's appid or secret (errcode {code})")
        if code == BLOCKED:
            raise Problem(403, "wechat_blocked", "WeChat has blocked this user for risk")
        if code == BUSY:
            raise self._door.away("is busy")
        if code in NOT_GRANTED:
            raise Problem(422, "message_refused", f"this person did not grant this message (errcode {code})")
        raise self._door.refused(answer)
