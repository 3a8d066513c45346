"""WeChat's server API for mini-programs, as far as signing in and codes need it: over its real HTTP interface.

    code2session           GET  /sns/jscode2session                  js_code → openid, unionid (no access token)
    stable access token    POST /cgi-bin/stable_token                one for all processes, good for 7,200 s
    phone number           POST /wxa/business/getuserphonenumber     code of <button open-type="getPhoneNumber">
    unlimited code         POST /wxa/getwxacodeunlimit               scene of at most 32 characters → a picture

Answers are JSON with ``errcode`` other than 0 when refused, whatever the HTTP status; a code's answer is the picture
itself. Source: developers.weixin.qq.com/miniprogram/dev/OpenApiDoc. An access token that has lapsed or was replaced
(40001, 40014, 42001) is fetched anew once; "busy" (-1) is tried again once; a rate limit is told to the caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from commerce.identity.service import WechatApp
from gateway.errors import Problem

TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 512 * 1024
"""A mini-program code of 1,280 px is about 100 KB."""
TOKEN_MARGIN_S = 300
"""A token is renewed this long before its end, as WeChat keeps the old one good for five minutes."""
TOKENS_MAX = 1_000
"""Access tokens kept, one an app."""
SCENE_CHARACTERS_MAX = 32

STALE_TOKEN = frozenset({40001, 40014, 42001})
TOO_MANY = frozenset({45009, 45011})
BAD_CODE = frozenset({40029, 40163, 41008})
BUSY = -1
WRONG_APP = frozenset({40013, 40125, 41002, 41004})
BLOCKED = 40226


@dataclass(frozen=True, slots=True)
class Session:
    """Who opened the mini-program; ``unionid`` is empty when the app is bound to no open platform."""

    openid: str
    unionid: str


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    ends_ms: int


class WechatApi:
    """The adapter. ``base`` is WeChat's address or, in tests, a stand-in's; ``clock`` gives Unix milliseconds."""

    def __init__(self, base: str, *, clock: Callable[[], int]) -> None:
        self._client = httpx.AsyncClient(base_url=base, timeout=TIMEOUT_S, follow_redirects=False)
        self._clock = clock
        self._tokens: dict[str, _Token] = {}
        self._fetching: dict[str, asyncio.Lock] = {}

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def session(self, app: WechatApp, code: str) -> Session:
        """Who is behind a code of ``wx.login``. Raises ``Problem`` (401 wechat_code, 429, 502, 503)."""
        query = {"appid": app.appid, "secret": app.secret, "js_code": code, "grant_type": "authorization_code"}
        answer = await self._json("GET", "/sns/jscode2session", params=query)
        openid = answer.get("openid")
        if not isinstance(openid, str) or not openid:
            raise _unreadable()
        return Session(openid, str(answer.get("unionid") or ""))

    async def phone(self, app: WechatApp, code: str) -> str:
        """The number that a person let the mini-program have. Raises ``Problem``."""
        answer = await self._with_token(app, "/wxa/business/getuserphonenumber", {"code": code})
        info = answer.get("phone_info")
        if not isinstance(info, dict) or info.get("watermark", {}).get("appid", app.appid) != app.appid:
            raise _unreadable()
        number = str(info.get("purePhoneNumber") or "")
        country = str(info.get("countryCode") or "86")
        if not number.isascii() or not number.isdigit() or not country.isascii() or not country.isdigit():
            raise _unreadable()
        return f"+{country}{number}"

    async def code(self, app: WechatApp, scene: str, page: str) -> bytes:
        """A mini-program code (小程序码) for a scene, as a picture. Raises ``Problem``."""
        if len(scene) > SCENE_CHARACTERS_MAX:
            raise Problem(400, "invalid", f"a scene has at most {SCENE_CHARACTERS_MAX} characters")
        body = {"scene": scene, "page": page, "check_path": False}
        answer = await self._with_token(app, "/wxa/getwxacodeunlimit", body, picture=True)
        picture: bytes = answer["picture"]
        return picture

    async def _with_token(
        self, app: WechatApp, path: str, body: dict[str, Any], *, picture: bool = False
    ) -> dict[str, Any]:
        for fresh in (False, True):
            token = await self._token(app, fresh=fresh)
            answer = await self._ask("POST", path, params={"access_token": token}, json=body, picture=picture)
            if fresh or answer.get("errcode") not in STALE_TOKEN:
                break
        return _checked(answer)

    async def _token(self, app: WechatApp, *, fresh: bool) -> str:
        """The app's access token; one caller fetches it, the others wait for that one."""
        lock = self._fetching.setdefault(app.appid, asyncio.Lock())
        before = self._tokens.get(app.appid)
        async with lock:
            known = self._tokens.get(app.appid)
            if known is not None and self._clock() < known.ends_ms and not (fresh and known is before):
                return known.text
            body = {"grant_type": "client_credential", "appid": app.appid, "secret": app.secret}
            answer = await self._json("POST", "/cgi-bin/stable_token", json={**body, "force_refresh": fresh})
            text, seconds = answer.get("access_token"), answer.get("expires_in")
            if not isinstance(text, str) or not isinstance(seconds, int):
                raise _unreadable()
            if len(self._tokens) >= TOKENS_MAX:
                self._tokens.clear()
            self._tokens[app.appid] = _Token(text, self._clock() + max(0, seconds - TOKEN_MARGIN_S) * 1000)
            return text

    async def _json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        return _checked(await self._ask(method, path, **request))

    async def _ask(self, method: str, path: str, *, picture: bool = False, **request: Any) -> dict[str, Any]:
        """One request, once more when WeChat says that it is busy. Raises ``Problem``."""
        answer: dict[str, Any] = {}
        for _ in range(2):
            try:
                response = await self._client.request(method, path, **request)
            except httpx.HTTPError as error:
                raise Problem(503, "wechat_away", "WeChat did not answer; try again", retry_ms=1_000) from error
            if len(response.content) > ANSWER_BYTES_MAX:
                raise _unreadable()
            if picture and response.headers.get("content-type", "").startswith("image/"):
                return {"picture": response.content}
            try:
                answer = response.json()
            except ValueError as error:
                raise _unreadable() from error
            if not isinstance(answer, dict):
                raise _unreadable()
            if answer.get("errcode") != BUSY:
                break
        return answer


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
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
        raise Problem(503, "wechat_away", "WeChat is busy; try again", retry_ms=1_000)
    raise Problem(502, "wechat_app", f"WeChat refuses (errcode {code}: {str(answer.get('errmsg', ''))[:100]})")


def _unreadable() -> Problem:
    return Problem(502, "wechat_app", "WeChat's answer has an unexpected form")
