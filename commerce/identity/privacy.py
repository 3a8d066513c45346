"""A person's rights over what the shop knows of them (PIPL), as the gateway asks.

WeChat tells of two steps that a person takes there (developers.weixin.qq.com, 授权用户资料变更):
``user_authorization_revoke`` takes back what ``RevokeInfo`` names, ``user_authorization_cancellation`` closes the
account. Of the first the shop forgets those things and takes back consent to be written to and to be sorted; of the
second it erases, at once or when the last order has ended.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from commerce.callback_crypt import CallbackError, CallbackKeys, open_message, open_text
from commerce.errors import Invalid, NotFound, Refused
from commerce.fresh_ids import fresh_id
from commerce.identity import dossier_sql, privacy_sql
from commerce.identity.join import REASON_CHARACTERS_MAX
from commerce.identity.phone import Vault, read_phone
from commerce.identity.privacy_sql import WORDS, CloseAccount, Forget, Forgotten
from commerce.ledger import Ledger
from commerce.periodic import Periodic
from commerce.store_sql import Store

log = logging.getLogger(__name__)

CHORES_S = 3_600.0
"""How often erasures that waited for an order are tried: the law gives 15 working days."""
SORTING = ("marketing", "profile")
"""What no child is asked for, and what a revocation takes back."""
GUARDIAN_CHARACTERS_MAX = 60
CALLBACK_TOKEN_CHARACTERS_MAX = 32
_REVOKED: Mapping[str, tuple[str, ...]] = {
    "1": (),  # number plate
    "2": ("address",),
    "3": (),  # invoice title
    "4": (),  # Bluetooth
    "5": (),  # microphone
    "6": ("name",),  # nickname and picture
    "7": (),  # camera
    "8": ("phone",),
}
"""RevokeInfo of mini-programs → what the shop may hold of it; a code that is not known means everything."""


class Privacy:
    """For all merchants of one database; every method is scoped to one. ``clock``: Unix milliseconds."""

    def __init__(self, store: Store, ledger: Ledger, vault: Vault, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._ledger = ledger
        self._vault = vault
        self._clock = clock
        self._chores = Periodic(self.finish_erasures, CHORES_S, what="erasures that wait", first_s=0.0)

    def start(self) -> None:
        """Look after erasures that wait."""
        self._chores.start()

    async def close(self) -> None:
        """Stop; what waits is looked after by the next start."""
        await self._chores.close()

    async def finish_erasures(self) -> int:
        """Erase whose last order has ended; how many were."""
        done = 0
        for person, merchant, source in await self._store.read(privacy_sql.due):
            closed = await self._ledger.submit(CloseAccount(merchant, person, "", source))
            assert isinstance(closed, Forgotten)
            done += closed.erased
        return done

    # --- told ------------------------------------------------------------------------------------------------------

    async def holdings(self, merchant: str, person: str, by: str) -> dict[str, Any]:
        """All that is held of a person, table by table; that it was asked for is written down."""
        await self._log(merchant, person, by, "export", "all that is held")
        return await self._store.read(lambda db: privacy_sql.holdings(db, merchant, person))

    async def opened(self, merchant: str, person: str, by: str) -> None:
        """Write down that somebody of the shop opened a person's page."""
        await self._log(merchant, person, by, "open", "their page")

    # --- children --------------------------------------------------------------------------------------------------

    async def minor(self, merchant: str, person: str, by: str) -> dict[str, Any] | None:
        """The guardian of somebody under 14, opened for staff and written down; None for everybody else."""
        found = await self._store.read(lambda db: privacy_sql.minor(db, person))
        if found is None:
            return None
        await self._log(merchant, person, by, "guardian", "the record of a child")
        guardian = orjson.loads(self._vault.open(found["sealed"], f"minor/{merchant}"))
        return {**guardian, "agreed": found["agreed"], "since": found["since_ms"]}

    async def is_minor(self, person: str) -> bool:
        """Whether somebody is kept as a child."""
        return await self._store.read(lambda db: privacy_sql.minor(db, person)) is not None

    async def set_minor(self, merchant: str, person: str, by: str, *, guardian: str, phone: str, agreed: bool) -> None:
        """Keep somebody as under 14: their guardian's name and number apart and sealed; nothing is sorted or sent.

        Raises NotFound, Invalid.
        """
        name = guardian.strip()
        if not 0 < len(name) <= GUARDIAN_CHARACTERS_MAX or not name.isprintable():
            raise Invalid(f"a guardian's name has 1 to {GUARDIAN_CHARACTERS_MAX} characters", field="guardian")
        body = orjson.dumps({"guardian": name, "phone": read_phone(phone)}).decode()
        who = (await self._store.read(lambda db: dossier_sql.person(db, merchant, person)))["id"]
        row = {"person": who, "merchant": merchant, "sealed": self._vault.seal(body, f"minor/{merchant}")}
        row |= {"agreed": agreed, "by": by, "now": self._clock()}
        await self._store.write(lambda db: privacy_sql.set_minor(db, **row))
        purposes = SORTING if agreed else (*SORTING, "member")
        await self._submit(Forget(merchant, who, (), purposes, by, "under 14"))

    async def grown(self, merchant: str, person: str, by: str) -> None:
        """They are 14 by now. Raises NotFound."""
        who = (await self._store.read(lambda db: dossier_sql.person(db, merchant, person)))["id"]
        await self._store.write(lambda db: privacy_sql.grown(db, who))
        await self._log(merchant, who, by, "grown", "14 by now")

    async def refuse_of_minors(self, person: str, purpose: str) -> None:
        """Raise Refused (minor) when ``purpose`` is not asked of a child, or its guardian has not agreed."""
        found = await self._store.read(lambda db: privacy_sql.minor(db, person))
        if found is not None and (purpose in SORTING or not found["agreed"]):
            raise Refused("minor", "of a person under 14 this is not asked, or only of their guardian")

    # --- WeChat's events -------------------------------------------------------------------------------------------

    async def set_callback_keys(self, merchant: str, appid: str, token: str, aes_key: str) -> None:
        """Keep token and EncodingAESKey of a mini-program's events, sealed. Raises Invalid, NotFound."""
        if not 3 <= len(token) <= CALLBACK_TOKEN_CHARACTERS_MAX or not token.isalnum() or not token.isascii():
            raise Invalid(f"a token has 3 to {CALLBACK_TOKEN_CHARACTERS_MAX} letters and digits", field="token")
        try:
            CallbackKeys(token, aes_key, appid)
        except ValueError as error:
            raise Invalid(str(error), field="aes_key") from error
        sealed = self._vault.seal(orjson.dumps([token, aes_key]).decode(), f"events/{merchant}/{appid}")
        await self._store.write(lambda db: privacy_sql.set_callback_keys(db, merchant, sealed))

    async def challenge(self, merchant: str, query: Mapping[str, str]) -> str:
        """What the console wants to hear when the address is entered. Raises NotFound, Refused (bad_signature)."""
        keys = await self._keys(merchant)
        try:
            return open_text(keys, query, query.get("echostr", ""))
        except CallbackError as error:
            raise Refused("bad_signature", str(error)) from error

    async def event(self, merchant: str, query: Mapping[str, str], body: bytes) -> str:
        """Honour an event; what was done, in a word: revoked, closed, or nothing. May come again, and is done again.

        Raises NotFound, Refused (bad_signature), Busy: WeChat repeats what was not answered.
        """
        keys = await self._keys(merchant)
        try:
            fields = open_message(keys, query, body)
        except CallbackError as error:
            raise Refused("bad_signature", str(error)) from error
        event = fields.get("Event", "")
        if event not in ("user_authorization_revoke", "user_authorization_cancellation"):
            return "nothing"
        if fields.get("AppID", keys.receiver) != keys.receiver:
            raise Refused("bad_signature", "the event is of another mini-program")
        openid = fields.get("OpenID", "")
        person = await self._store.read(lambda db: privacy_sql.by_openid(db, merchant, keys.receiver, openid))
        if person is None:
            return "nothing"
        if event == "user_authorization_cancellation":
            await self._submit(CloseAccount(merchant, person, "wechat", "the account at WeChat was closed"))
            return "closed"
        what = _what(fields.get("RevokeInfo", ""))
        await self._submit(Forget(merchant, person, what, SORTING, "wechat", "taken back at WeChat"))
        return "revoked"

    async def _keys(self, merchant: str) -> CallbackKeys:
        found = await self._store.read(lambda db: privacy_sql.callback_keys(db, merchant))
        if found is None:
            raise NotFound("this shop takes no events of WeChat")
        appid, sealed = found
        token, aes_key = orjson.loads(self._vault.open(sealed, f"events/{merchant}/{appid}"))
        return CallbackKeys(token, aes_key, appid)

    # --- inside ----------------------------------------------------------------------------------------------------

    async def _submit(self, command: Forget | CloseAccount) -> Forgotten:
        done = await self._ledger.submit(command)
        assert isinstance(done, Forgotten)
        return done

    async def _log(self, merchant: str, person: str, by: str, action: str, reason: str) -> None:
        identifier = fresh_id(self._clock())
        row = {"id": identifier, "merchant": merchant, "person": person, "by": by, "action": action}
        row["reason"] = reason[:REASON_CHARACTERS_MAX]
        await self._store.write(lambda db: dossier_sql.log(db, now=self._clock(), **row))


def _what(revoked: str) -> tuple[str, ...]:
    """What of ours the codes of a revocation are about."""
    codes = [code.strip() for code in revoked.split(",")]
    if any(code not in _REVOKED for code in codes):
        return WORDS
    return tuple(word for word in WORDS if any(word in _REVOKED[code] for code in codes))
