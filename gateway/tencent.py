"""What WeChat's and WeCom's server APIs have in common: JSON over HTTPS, ``errcode``, an access token per account.

Answers are JSON with ``errcode`` other than 0 when refused, whatever the HTTP status. An access token that has lapsed
or was replaced is fetched anew once; "busy" (-1) is tried again once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from gateway.errors import Problem

TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 512 * 1024
"""A mini-program code of 1,280 px is about 100 KB."""
TOKEN_MARGIN_S = 300
"""A token is renewed this long before its end, as WeChat keeps the old one good for five minutes."""
TOKENS_MAX = 1_000
"""Access tokens kept, one an account."""
STALE_TOKEN = frozenset({40001, 40014, 42001})
BUSY = -1

Fetch = Callable[[bool], Awaitable[dict[str, Any]]]
"""Asks for an access token, with force or not; the answer has ``access_token`` and ``expires_in`` (s)."""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    ends_ms: int


class TencentDoor:
    """The way to one of the two. ``code`` begins the codes of its problems, ``name`` is for people.

    ``clock`` gives Unix milliseconds.
    """

    def __init__(self, base: str, *, clock: Callable[[], int], code: str, name: str) -> None:
        self._client = httpx.AsyncClient(base_url=base, timeout=TIMEOUT_S, follow_redirects=False)
        self._clock = clock
        self._code = code
        self._name = name
        self._tokens: dict[str, _Token] = {}
        self._fetching: dict[str, asyncio.Lock] = {}

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def with_token(
        self, account: str, fetch: Fetch, method: str, path: str, *, picture: bool = False, **request: Any
    ) -> dict[str, Any]:
        """Ask with an account's access token; once more with a new one when it is good no more. Raises ``Problem``."""
        answer: dict[str, Any] = {}
        params = request.pop("params", {})
        for fresh in (False, True):
            token = await self._token(account, fetch, fresh=fresh)
            answer = await self.ask(method, path, picture=picture, params={**params, "access_token": token}, **request)
            if fresh or answer.get("errcode") not in STALE_TOKEN:
                break
        return answer

    async def _token(self, account: str, fetch: Fetch, *, fresh: bool) -> str:
        """The account's access token; one caller fetches it, the others wait for that one."""
        lock = self._fetching.setdefault(account, asyncio.Lock())
        before = self._tokens.get(account)
        async with lock:
            known = self._tokens.get(account)
            if known is not None and self._clock() < known.ends_ms and not (fresh and known is before):
                return known.text
            answer = await fetch(fresh)
            text, seconds = answer.get("access_token"), answer.get("expires_in")
            if not isinstance(text, str) or not isinstance(seconds, int):
                raise self.unreadable()
            if len(self._tokens) >= TOKENS_MAX:
                self._tokens.clear()
            self._tokens[account] = _Token(text, self._clock() + max(0, seconds - TOKEN_MARGIN_S) * 1000)
            return text

    async def ask(self, method: str, path: str, *, picture: bool = False, **request: Any) -> dict[str, Any]:
        """One request, once more when they say that they are busy. Raises ``Problem``."""
        answer: dict[str, Any] = {}
        for _ in range(2):
            try:
                response = await self._client.request(method, path, **request)
            except httpx.HTTPError as error:
                raise self.away("did not answer") from error
            if len(response.content) > ANSWER_BYTES_MAX:
                raise self.unreadable()
            if picture and response.headers.get("content-type", "").startswith("image/"):
                return {"picture": response.content}
            try:
                answer = response.json()
            except ValueError as error:
                raise self.unreadable() from error
            if not isinstance(answer, dict):
                raise self.unreadable()
            if answer.get("errcode") != BUSY:
                break
        return answer

    def away(self, why: str) -> Problem:
        """They do not answer, or are busy: later."""
        return Problem(503, f"{self._code}_away", f"{self._name} {why}; try again", retry_ms=1_000)

    def refused(self, answer: dict[str, Any]) -> Problem:
        """They refuse for another reason."""
        text = str(answer.get("errmsg", ""))[:100]
        return Problem(502, f"{self._code}_app", f"{self._name} refuses (errcode {answer.get('errcode')}: {text})")

    def unreadable(self) -> Problem:
        """An answer that is not theirs."""
        return Problem(502, f"{self._code}_app", f"{self._name}'s answer has an unexpected form")
