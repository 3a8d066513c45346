"""WeCom contacts as they come: codes with a link's token as ``state``, and events of customers added and lost.

add_external_contact ─▶ who has whom ─▶ person by ``external_userid`` ─ unionid ─▶ the mini-program's person
                                                   └▶ touch ``contact_added`` with the token of ``state``

``state`` is optional evidence: WeCom leaves it out when the customer was found otherwise, or was a contact before. Then
what WeCom keeps with the customer is asked for; without one the touch is without a link. Events come more than once; a
customer who is there already is no new touch. When WeCom does not say who it is in time, the customer is kept by their
WeCom id alone and joined at the next event about them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from commerce.attribution.service import Attribution
from commerce.callback_crypt import CallbackError, CallbackKeys, open_message, open_text
from commerce.catalogue_checks import TITLE_CHARACTERS_MAX, title
from commerce.crm import contacts_sql
from commerce.crm.contacts_sql import Added
from commerce.crm.outreach import Outreach
from commerce.errors import Invalid
from commerce.fresh_ids import fresh_id
from commerce.identity.people import People
from commerce.identity.service import Identities
from commerce.store_sql import Store
from gateway.errors import Problem
from gateway.wecom import ExternalContact, WecomApi, WecomCorp

logger = logging.getLogger("siyu.contacts")

ASK_TIMEOUT_S = 3.0
"""WeCom waits 5 s for the answer to an event."""
USERS_MAX = 100
CHANNEL = "wecom"
EVENT = "change_external_contact"
ADDED = frozenset({"add_external_contact", "add_half_external_contact"})
CHANGED = frozenset({"edit_external_contact"})
ENDED = frozenset({"del_external_contact", "del_follow_user"})
ID_CHARACTERS_MAX = 64


class Contacts:
    """WeCom contacts of all merchants; every method is scoped to one. ``clock`` gives Unix milliseconds."""

    def __init__(
        self,
        store: Store,
        outreach: Outreach,
        identities: Identities,
        people: People,
        attribution: Attribution,
        wecom: WecomApi,
        *,
        clock: Callable[[], int],
    ) -> None:
        self._store = store
        self._outreach = outreach
        self._identities = identities
        self._people = people
        self._attribution = attribution
        self._wecom = wecom
        self._clock = clock

    async def add_way(
        self, merchant: str, staff: str, role: str, name: str, users: Sequence[str], room: str | None
    ) -> dict[str, Any]:
        """Make a code by which customers add one of ``users``, of ``staff``'s own link. Raises Invalid, Problem."""
        called = title(name, "name")
        if not 0 < len(users) <= USERS_MAX or not all(0 < len(one) <= ID_CHARACTERS_MAX for one in users):
            raise Invalid(f"users are 1 to {USERS_MAX} ids of staff at WeCom", field="users")
        account = await self._outreach.account(merchant, CHANNEL)
        link = await self._attribution.mint_link(merchant, staff, role, room=room, channel=CHANNEL, campaign=called)
        corp = WecomCorp(account["corpid"], account["secret"])
        way = await self._wecom.contact_way(corp, users, link.token, called)
        now_ms = self._clock()
        row = {
            "id": fresh_id(now_ms),
            "merchant": merchant,
            "link": link.link.id,
            "config": way.config,
            "qr_code": way.qr_code,
            "users": orjson.dumps(list(users)).decode(),
            "name": called,
            "staff": staff,
        }
        await self._store.write(lambda db: contacts_sql.add_way(db, now=now_ms, **row))
        return {**row, "users": list(users), "token": link.token, "created_ms": now_ms}

    async def ways(self, merchant: str) -> list[dict[str, Any]]:
        """A merchant's codes, newest first."""
        rows = await self._store.read(lambda db: contacts_sql.ways(db, merchant))
        return [{**row, "users": orjson.loads(row["users"])} for row in rows]

    async def prove(self, merchant: str, query: Mapping[str, str]) -> str:
        """Answer WeCom's trial of the callback's address. Raises Problem (403 callback), NotFound."""
        keys, _ = await self._keys(merchant)
        try:
            return open_text(keys, query, query.get("echostr", ""))
        except CallbackError as error:
            raise _forged(error) from error

    async def hear(self, merchant: str, query: Mapping[str, str], body: bytes) -> None:
        """Take an event in. Raises Problem (403 callback), NotFound, Busy."""
        keys, corp = await self._keys(merchant)
        try:
            event = open_message(keys, query, body)
        except CallbackError as error:
            raise _forged(error) from error
        if event.get("Event") != EVENT:
            return
        external, user = event.get("ExternalUserID", ""), event.get("UserID", "")
        if not 0 < len(external) <= ID_CHARACTERS_MAX or not 0 < len(user) <= ID_CHARACTERS_MAX:
            raise Problem(400, "invalid", "the event names no customer or member of staff")
        change = event.get("ChangeType", "")
        text = event.get("CreateTime", "")
        at_ms = int(text) * 1000 if text.isascii() and text.isdigit() and len(text) <= 11 else self._clock()
        if change in ADDED:
            await self._added(merchant, corp, external, user, event.get("State", ""), at_ms)
        elif change in CHANGED:
            await self._identify(merchant, corp, external)
        elif change in ENDED:
            await self._store.write(lambda db: contacts_sql.ended(db, merchant, external, user, at_ms))

    async def _added(self, merchant: str, corp: WecomCorp, external: str, user: str, state: str, at_ms: int) -> None:
        person, new, known = await self._identify(merchant, corp, external)
        if not state and known is not None:
            state = next((one.state for one in known.followers if one.user == user), "")
        what = await self._store.write(lambda db: contacts_sql.added(db, merchant, external, user, state, at_ms))
        if what is Added.KNOWN:
            return
        evidence = {"user": user, "at": at_ms, "again": what is Added.AGAIN, "state": bool(state)}
        await self._attribution.touch_token(
            merchant, state or None, person, "contact_added", evidence, channel=CHANNEL, registered=new
        )

    async def _identify(
        self, merchant: str, corp: WecomCorp, external: str
    ) -> tuple[str, bool, ExternalContact | None]:
        """Who a customer at WeCom is, whether they were unknown until now, and what WeCom says of them."""
        known: ExternalContact | None = None
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                known = await self._wecom.contact(corp, external)
        except (Problem, TimeoutError) as error:
            logger.warning("merchant %s: WeCom did not say who a customer is: %s", merchant, error)
        name = "" if known is None else "".join(filter(str.isprintable, known.name)).strip()[:TITLE_CHARACTERS_MAX]
        found = await self._people.identify(merchant, CHANNEL, f"{corp.corpid}:{external}", name)
        person = self._identities.aliases.now(found.person.id)
        if known is None or not known.unionid:
            return person, found.new, known
        app = await self._identities.wechat_app(merchant)
        # Unionids of the corporation's open platform, which is the mini-program's when they are bound together.
        platform = corp.corpid if app is None else app.platform
        joined = await self._identities.show_key(merchant, person, "unionid", f"{platform}:{known.unionid}")
        return joined.person, found.new and joined.merged is None, known

    async def _keys(self, merchant: str) -> tuple[CallbackKeys, WecomCorp]:
        account = await self._outreach.account(merchant, CHANNEL)
        keys = CallbackKeys(account["token"], account["aes_key"], account["corpid"])
        return keys, WecomCorp(account["corpid"], account["secret"])


def _forged(error: CallbackError) -> Problem:
    return Problem(403, "callback", f"this callback is not WeCom's: {error}")
