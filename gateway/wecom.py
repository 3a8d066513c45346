"""WeCom's (企业微信) server API as far as customers need it: over its real HTTP interface.

    access token         GET  /cgi-bin/gettoken                             corpid, corpsecret → token, 7,200 s
    contact way          POST /cgi-bin/externalcontact/add_contact_way      a code to add staff by; ``state`` ≤ 30
    a customer           GET  /cgi-bin/externalcontact/get                  name, unionid, who added them, ``state``
    mass message         POST /cgi-bin/externalcontact/add_msg_template     for ≤ 10,000 customers of one sender
    what became of it    POST /cgi-bin/externalcontact/get_groupmsg_send_result   by task and sender, in pages
    to staff             POST /cgi-bin/message/send                         by an application of the corporation's own

A mass message is a task: WeCom shows it to the member of staff, who sends it with one tap; a customer gets at most one
a day from a member and four a month from a corporation (status 3 of the send result). Source:
developer.work.weixin.qq.com/document/path/90236, 91039, 92114, 92135, 92572, 93338.

An application has a secret of its own, and so an access token of its own. It reaches the members whom it is shown to;
those whom it does not, or who have no licence, come back in the answer (ids in small letters), and when that is
everybody the call is refused. More than 30 messages a minute or 1,000 an hour to one member are dropped there in
silence: a shop's own limit of an advisor's messages lies far below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.errors import Problem
from gateway.tencent import BUSY, STALE_TOKEN, TencentDoor

STATE_CHARACTERS_MAX = 30
TOO_MANY = frozenset({45009, 45033})
"""Calls a minute, or at once."""
WRONG_CORP = frozenset({40013, 40001, 40091, 60011, 60020})
"""A corp id, secret or address that WeCom does not know, or no right to it."""
NO_CONTACT = frozenset({84061, 40096, 41048, 41050})
"""Not a customer (any more), or of nobody who was named."""
NO_MEMBER = frozenset({81013, 60111, 82001, 40003})
"""Of a message to staff: nobody of those who were named is a member whom the application reaches."""
SAME_MESSAGE_S = 1_800
"""A message that was tried again after a lost answer is not shown twice within this time."""
OUTCOMES = {1: "delivered", 2: "no_friend", 3: "had_another"}
"""Statuses of a send result; 0 is not sent yet."""
RESULTS_PAGE = 500
RESULT_PAGES_MAX = 40
"""Twice the customers of a task."""


@dataclass(frozen=True, slots=True)
class WecomCorp:
    """A merchant's corporation: ``secret`` is that of customer contact (客户联系)."""

    corpid: str
    secret: str


@dataclass(frozen=True, slots=True)
class ContactWay:
    """A code to add staff by, as WeCom keeps it."""

    config: str
    qr_code: str


@dataclass(frozen=True, slots=True)
class Follower:
    """A member of staff who has a customer, and the ``state`` of the code that it came by ("" when there was none)."""

    user: str
    state: str


@dataclass(frozen=True, slots=True)
class ExternalContact:
    """A customer at WeCom; ``unionid`` is empty unless the corporation is bound to an open platform."""

    external: str
    name: str
    unionid: str
    followers: tuple[Follower, ...]


class WecomApi:
    """The adapter. ``base`` is WeCom's address or, in tests, a stand-in's; ``clock`` gives Unix milliseconds."""

    def __init__(self, base: str, *, clock: Callable[[], int]) -> None:
        self._door = TencentDoor(base, clock=clock, code="wecom", name="WeCom")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._door.aclose()

    async def contact_way(self, corp: WecomCorp, users: Sequence[str], state: str, remark: str) -> ContactWay:
        """Make a code by which customers add one of ``users``. Raises ``Problem``."""
        if len(state) > STATE_CHARACTERS_MAX:
            raise Problem(400, "invalid", f"a state has at most {STATE_CHARACTERS_MAX} characters")
        body = {
            # One member of staff, or several of whom WeCom picks one; a code (scene 2), no confirmation.
            "type": 1 if len(users) == 1 else 2,
            "scene": 2,
            "remark": remark[:30],
            "skip_verify": True,
            "state": state,
            "user": list(users),
        }
        answer = await self._ask(corp, "POST", "/cgi-bin/externalcontact/add_contact_way", json=body)
        return ContactWay(self._text(answer, "config_id"), self._text(answer, "qr_code"))

    async def contact(self, corp: WecomCorp, external: str) -> ExternalContact:
        """A customer by their ``external_userid``. Raises ``Problem`` (422 no_contact)."""
        asked = {"external_userid": external}
        answer = await self._ask(corp, "GET", "/cgi-bin/externalcontact/get", params=asked)
        who, followers = answer.get("external_contact"), answer.get("follow_user", [])
        if not isinstance(who, dict) or not isinstance(followers, list):
            raise self._door.unreadable()
        return ExternalContact(
            self._text(who, "external_userid"),
            str(who.get("name") or ""),
            str(who.get("unionid") or ""),
            tuple(Follower(self._text(one, "userid"), str(one.get("state") or "")) for one in followers),
        )

    async def mass_message(
        self, corp: WecomCorp, sender: str, externals: Sequence[str], body: Mapping[str, Any]
    ) -> tuple[str, frozenset[str]]:
        """Hand a mass message over: its id at WeCom, and those who cannot get it. Raises ``Problem``."""
        asked: dict[str, Any] = {"chat_type": "single", "external_userid": list(externals), "sender": sender}
        asked["text"] = {"content": body["text"]}
        if body.get("url"):
            link = {"title": body.get("title") or body["text"][:20], "url": body["url"]}
            asked["attachments"] = [{"msgtype": "link", "link": link}]
        answer = await self._ask(corp, "POST", "/cgi-bin/externalcontact/add_msg_template", json=asked)
        failed = answer.get("fail_list") or []
        return str(answer.get("msgid") or ""), frozenset(str(one) for one in failed)

    async def send_result(self, corp: WecomCorp, number: str, sender: str) -> dict[str, str]:
        """What became of a mass message of one sender: the outcome by customer, those not sent yet left out.

        Raises ``Problem``.
        """
        found: dict[str, str] = {}
        asked: dict[str, Any] = {"msgid": number, "userid": sender, "limit": RESULTS_PAGE, "cursor": ""}
        for _ in range(RESULT_PAGES_MAX):
            answer = await self._ask(corp, "POST", "/cgi-bin/externalcontact/get_groupmsg_send_result", json=asked)
            rows = answer.get("send_list")
            if not isinstance(rows, list):
                raise self._door.unreadable()
            for row in rows:
                status = row.get("status") if isinstance(row, dict) else None
                outcome = OUTCOMES.get(status) if isinstance(status, int) else None
                if outcome is not None:
                    found[self._text(row, "external_userid")] = outcome
            asked["cursor"] = answer.get("next_cursor") or ""
            if not asked["cursor"]:
                break
        return found

    async def app_message(self, corp: WecomCorp, agent: int, user: str, card: Mapping[str, str]) -> str:
        """Tell a member something by an application: its id at WeCom. Raises ``Problem`` (422 no_member).

        ``corp`` has the application's own secret; ``card`` is ``title``, ``text`` and ``url`` ("": text alone).
        """
        asked: dict[str, Any] = {"touser": user, "agentid": agent}
        if card["url"]:
            shown = {"title": card["title"], "description": card["text"], "url": card["url"], "btntxt": "去回答"}
            asked |= {"msgtype": "textcard", "textcard": shown}
        else:
            asked |= {"msgtype": "text", "text": {"content": f"{card['title']}\n{card['text']}"}}
        asked |= {"enable_duplicate_check": 1, "duplicate_check_interval": SAME_MESSAGE_S}
        answer = await self._ask(corp, "POST", "/cgi-bin/message/send", json=asked)
        missed = f"{answer.get('invaliduser') or ''}|{answer.get('unlicenseduser') or ''}".lower().split("|")
        if user.lower() in missed:
            raise no_member("invaliduser")
        return str(answer.get("msgid") or "")

    async def _ask(self, corp: WecomCorp, method: str, path: str, **request: Any) -> dict[str, Any]:
        async def fetch(_fresh: bool) -> dict[str, Any]:
            # WeCom gives the same token again while it is good, and a new one after that.
            asked = {"corpid": corp.corpid, "corpsecret": corp.secret}
            return self._checked(await self._door.ask("GET", "/cgi-bin/gettoken", params=asked))

        account = f"{corp.corpid}/{hash(corp.secret)}"
        return self._checked(await self._door.with_token(account, fetch, method, path, **request))

    def _checked(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer, if it is a good one. Raises ``Problem`` for what WeCom refuses."""
        code = answer.get("errcode", 0)
        if code in (0, None):
            return answer
        if code in TOO_MANY:
            raise Problem(429, "rate", "WeCom's limit for this corporation is reached", retry_ms=60_000)
        if code in NO_MEMBER:
            raise no_member(f"errcode {code}")
        if code in NO_CONTACT:
            raise Problem(422, "no_contact", f"this is no customer at WeCom any more (errcode {code})")
        if code in WRONG_CORP or code in STALE_TOKEN:
            raise Problem(502, "wecom_app", f"WeCom refuses the corporation's id, secret or address (errcode {code})")
        if code == BUSY:
            raise self._door.away("is busy")
        raise self._door.refused(answer)

    def _text(self, answer: Any, name: str) -> str:
        value = answer.get(name) if isinstance(answer, dict) else None
        if not isinstance(value, str) or not value:
            raise self._door.unreadable()
        return value


def no_member(why: str) -> Problem:
    """WeCom's application does not reach this member."""
    return Problem(422, "no_member", f"WeCom's application reaches no member by this userid ({why})")
