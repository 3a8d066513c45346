"""A stand-in for WeCom's server API that keeps its documented rules: tokens that lapse, limits, tasks for senders.

developer.work.weixin.qq.com/document/path/91039 (token), 92114 (customer), 92135 (mass message), 92572 (contact way),
93338 (what became of a mass message), 90236 (an application's message to members).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from tests.gateway.http_stand_in import Answer, Asked, http_stand_in, json_answer

CORPID, SECRET = "ww0123456789abcdef", "contact-secret-0123456789abcdef0123456789abc"
AGENT, AGENT_SECRET = 1000002, "application-secret-0123456789abcdef01234567"


class WecomStandIn:
    """What WeCom knows, and what a test makes it do."""

    def __init__(self) -> None:
        self.contacts: dict[str, dict[str, Any]] = {}
        self.ways: list[dict[str, Any]] = []
        self.tasks: list[dict[str, Any]] = []
        self.errors: list[int] = []
        self.results: dict[str, int] = {}
        """Status of a send result by customer; who is not here was not sent anything yet."""
        self.asked: list[str] = []
        self.members: dict[str, bool] = {}
        """Members whom the application is shown to, and whether each has a licence."""
        self.cards: list[dict[str, Any]] = []
        """What members got, repetitions left out."""
        self.names_only = False
        """Whether a message that reaches nobody is taken all the same, with their names, as it was before 81013."""
        self.token = 0
        self.base = ""

    def lapse(self) -> None:
        """The access token is good no more."""
        self.token += 1

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked.path)
        if self.errors:
            return json_answer({"errcode": self.errors.pop(0), "errmsg": "as the test wants it"})
        if asked.path == "/cgi-bin/gettoken":
            kind = {SECRET: "W", AGENT_SECRET: "A"}.get(asked.query.get("corpsecret", ""))
            if asked.query.get("corpid") != CORPID or kind is None:
                return json_answer({"errcode": 40001, "errmsg": "invalid credential"})
            token = f"{kind}{self.token}"
            return json_answer({"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": 7200})
        name = asked.path.rpartition("/")[2]
        # Customer contact and each application have a secret, and so a token, of their own.
        if asked.query.get("access_token") != f"{'A' if name == 'send' else 'W'}{self.token}":
            return json_answer({"errcode": 42001, "errmsg": "access_token expired"})
        return json_answer({"errcode": 0, "errmsg": "ok"} | getattr(self, f"_{name}")(asked))

    def _add_contact_way(self, asked: Asked) -> dict[str, Any]:
        body = asked.json
        if len(body.get("state", "")) > 30 or not body["user"] or (body["type"] == 1) != (len(body["user"]) == 1):
            return {"errcode": 40058, "errmsg": "invalid Request Parameter"}
        self.ways.append(body)
        number = len(self.ways)
        return {"config_id": f"config{number}", "qr_code": f"https://wework.qpic.cn/{number}"}

    def _get(self, asked: Asked) -> dict[str, Any]:
        contact = self.contacts.get(asked.query.get("external_userid", ""))
        if contact is None:
            return {"errcode": 84061, "errmsg": "not external contact"}
        return contact

    def _add_msg_template(self, asked: Asked) -> dict[str, Any]:
        body = asked.json
        known = {one for one in body["external_userid"] if one in self.contacts}
        if not known:
            return {"errcode": 41048, "errmsg": "no customer to send"}
        self.tasks.append({**body, "external_userid": sorted(known)})
        failed = [one for one in body["external_userid"] if one not in known]
        return {"msgid": f"msg{len(self.tasks)}", "fail_list": failed}

    def _get_groupmsg_send_result(self, asked: Asked) -> dict[str, Any]:
        """One customer a page, so that whoever asks has to go on."""
        body = asked.json
        number = int(body["msgid"].removeprefix("msg")) if body["msgid"].startswith("msg") else 0
        if not 0 < number <= len(self.tasks) or self.tasks[number - 1]["sender"] != body["userid"]:
            return {"errcode": 41064, "errmsg": "invalid msgid"}
        customers, at = self.tasks[number - 1]["external_userid"], int(body.get("cursor") or 0)
        row: dict[str, Any] = {"external_userid": customers[at], "userid": body["userid"]}
        row["status"] = self.results.get(customers[at], 0)
        more = {"next_cursor": str(at + 1)} if at + 1 < len(customers) else {}
        return {"send_list": [row], **more}

    def _send(self, asked: Asked) -> dict[str, Any]:
        body = asked.json
        shown = body.get(body.get("msgtype", ""), {})
        if body.get("agentid") != AGENT:
            return {"errcode": 40056, "errmsg": "invalid agentid"}
        if body["msgtype"] == "textcard" and (not shown["url"] or len(shown["description"].encode()) > 512):
            return {"errcode": 40058, "errmsg": "invalid Request Parameter"}
        users = [user.lower() for user in body["touser"].split("|")]
        invalid = [user for user in users if user not in self.members]
        unlicensed = [user for user in users if self.members.get(user) is False]
        missed = {"invaliduser": "|".join(invalid), "unlicenseduser": "|".join(unlicensed)}
        if len(invalid) + len(unlicensed) == len(users):
            refused = {"errcode": 81013, "errmsg": "user & party & tag all invalid"}
            return missed if self.names_only else missed | refused
        # A message that is checked for being one is shown once.
        if not body["enable_duplicate_check"] or body not in self.cards:
            self.cards.append(body)
        return missed | {"msgid": f"app{len(self.cards)}"}

    def know(self, external: str, *, unionid: str = "", name: str = "", user: str = "guide1", state: str = "") -> None:
        """A customer whom a member of staff has."""
        who = {"external_userid": external, "name": name, "type": 1} | ({"unionid": unionid} if unionid else {})
        follower = {"userid": user, "createtime": 1, "add_way": 1} | ({"state": state} if state else {})
        self.contacts[external] = {"external_contact": who, "follow_user": [follower]}


@contextlib.asynccontextmanager
async def wecom_stand_in() -> AsyncIterator[WecomStandIn]:
    """A stand-in on a port of its own."""
    stand_in = WecomStandIn()
    async with http_stand_in(stand_in.answer) as stand_in.base:
        yield stand_in
