"""Who is who, as the gateway asks: keys shown, merges and their undoing, phones, lists of members, consents, erasure.

Numbers come in as people write them and go out masked; the whole number is for who runs the shop, and each look is
written down. What changes who somebody is goes through the ledger (``join.py``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from commerce import catalogue_checks as check
from commerce.domain.ids import AFTER_ALL
from commerce.errors import Invalid, NotFound
from commerce.fresh_ids import fresh_id
from commerce.identity import dossier_sql, people_sql
from commerce.identity.aliases import Aliases
from commerce.identity.join import (
    REASON_CHARACTERS_MAX,
    DecideConflict,
    Erase,
    Erased,
    Imported,
    ImportMembers,
    Join,
    Joined,
    MemberRow,
    MergePeople,
    UndoMerge,
)
from commerce.identity.member_list import read_members
from commerce.identity.phone import Vault, masked, read_phone
from commerce.ledger import Ledger
from commerce.sheet import FAULTS_SHOWN_MAX, Fault
from commerce.store_sql import Store

T = TypeVar("T")

PURPOSES = ("member", "marketing", "profile")
"""What a person may agree to, each for itself: to be a member, to be written to, to be sorted by what they did."""
BASES = ("consent", "contract", "membership_form", "store_register")
"""Why a shop may have a member of a list (PIPL art. 13)."""
DECISIONS = ("merged", "split", "dismissed")
PAGE_MAX = 200
SECRET_CHARACTERS_MAX = 64
APPID_CHARACTERS_MAX = 64


@dataclass(frozen=True, slots=True)
class WechatApp:
    """A merchant's mini-program: ``platform`` is the open-platform account within which unionids are comparable."""

    appid: str
    secret: str
    platform: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of a list: nothing is written while it has faults."""

    written: bool
    rows: int
    new: int
    known: int
    faults: tuple[Fault, ...]


class Identities:
    """Who is who to all merchants of one database; every method is scoped to one. ``clock`` gives Unix milliseconds."""

    def __init__(
        self, store: Store, ledger: Ledger, aliases: Aliases, vault: Vault, *, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._vault = vault
        self._clock = clock
        self.aliases = aliases

    async def follow(self) -> None:
        """Read what this and other processes merged so far."""
        await self.aliases.follow(self._store)

    # --- keys ------------------------------------------------------------------------------------------------------

    async def show_phone(self, merchant: str, person: str, number: str) -> Joined:
        """Let a number that the channel proved act. Raises Invalid, NotFound, Busy."""
        e164 = read_phone(number)
        digest = self._vault.digest(merchant, e164)
        return await self._join(Join(merchant, person, "phone", digest, self._vault.seal_phone(merchant, e164)))

    async def show_key(self, merchant: str, person: str, kind: str, value: str) -> Joined:
        """Let a unionid or a WeCom id act; a known one costs one read. Raises Invalid, NotFound, Busy."""
        if kind not in ("unionid", "wecom") or not 0 < len(value) <= check.TITLE_CHARACTERS_MAX * 3:
            raise Invalid("kind is unionid or wecom, value 1 to 180 characters", field="kind")
        owner = await self._store.read(lambda db: people_sql.find(db, merchant, kind, value))
        if owner is not None and owner.id == self.aliases.now(person):
            return Joined(owner.id)
        return await self._join(Join(merchant, person, kind, value))

    async def merge(self, merchant: str, one: str, other: str, by: str, reason: str) -> Joined:
        """Make two persons one. Raises NotFound, Refused (already, two_phones, limit), Invalid."""
        return await self._join(MergePeople(merchant, one, other, by, _reason(reason)))

    async def undo(self, merchant: str, entry: str, by: str) -> Joined:
        """Take a merge back. Raises NotFound, Refused (already, not_open)."""
        return await self._join(UndoMerge(merchant, entry, by))

    async def decide(self, merchant: str, conflict: str, decision: str, by: str) -> Joined:
        """Decide a conflict. Raises NotFound, Refused (already, two_phones), Invalid."""
        if decision not in DECISIONS:
            raise Invalid("decision is one of " + ", ".join(DECISIONS), field="decision")
        return await self._join(DecideConflict(merchant, conflict, decision, by))

    async def _join(self, command: Any) -> Joined:
        joined = await self._do(command, Joined)
        self.aliases.learn(joined.aliases)
        return joined

    # --- what staff read -------------------------------------------------------------------------------------------

    async def person(self, merchant: str, person: str) -> dict[str, Any]:
        """One person with a masked number, kinds of key, consents. Raises NotFound."""
        found = await self._store.read(lambda db: dossier_sql.person(db, merchant, person))
        return {**found, "phone": self._masked(merchant, found["phone"])}

    async def masked_phones(self, merchant: str, persons: list[str]) -> dict[str, str]:
        """Masked numbers of those of some persons who have one."""
        found = await self._store.read(lambda db: dossier_sql.phones(db, persons))
        return {person: masked(self._vault.open_phone(merchant, row["sealed"])) for person, row in found.items()}

    async def full_phone(self, merchant: str, person: str, by: str, reason: str) -> str:
        """The whole number; who looked and why is written down first. Raises NotFound, Invalid."""
        why = _reason(reason)
        found = await self._store.read(lambda db: dossier_sql.person(db, merchant, person))
        if found["phone"] is None:
            raise NotFound("this person has no phone number")
        await self._log(merchant, found["id"], by, "phone", why)
        return self._vault.open_phone(merchant, found["phone"]["sealed"])

    async def merges(self, merchant: str, person: str, after: str | None, limit: int) -> list[dict[str, Any]]:
        """The journal of merges, newest first."""
        start = after or AFTER_ALL
        return await self._store.read(lambda db: dossier_sql.merges(db, merchant, person, start, min(limit, PAGE_MAX)))

    async def conflicts(self, merchant: str, state: str, after: str | None, limit: int) -> list[dict[str, Any]]:
        """The queue, newest first; numbers masked."""
        start = after or AFTER_ALL
        found = await self._store.read(
            lambda db: dossier_sql.conflicts(db, merchant, state, start, min(limit, PAGE_MAX))
        )
        for row in found:
            sealed = row.pop("sealed")
            row["phone"] = None if sealed is None else masked(self._vault.open_phone(merchant, sealed))
        return found

    async def privacy_log(self, merchant: str, person: str, after: str | None, limit: int) -> list[dict[str, Any]]:
        """Who touched personal data, newest first."""
        start = after or AFTER_ALL
        return await self._store.read(lambda db: dossier_sql.logged(db, merchant, person, start, min(limit, PAGE_MAX)))

    # --- lists, consents, erasure ----------------------------------------------------------------------------------

    async def import_members(
        self, merchant: str, by: str, raw: bytes, purpose: str, basis: str, source: str, *, try_only: bool
    ) -> ImportReport:
        """Take in a list, whole or not at all. Raises Invalid when it is no list, or lacks purpose, basis or source."""
        if purpose not in PURPOSES:
            raise Invalid("purpose is one of " + ", ".join(PURPOSES), field="purpose")
        if basis not in BASES:
            raise Invalid("basis is one of " + ", ".join(BASES), field="basis")
        origin = _reason(source, "source")
        members, faults = read_members(raw)
        total = len(members) + len(faults)
        if faults or try_only or not members:
            return ImportReport(False, total, 0, 0, tuple(faults[:FAULTS_SHOWN_MAX]))
        rows = []
        for member in members:
            digest = self._vault.digest(merchant, member.phone)
            rows.append(MemberRow(member.line, digest, self._vault.seal_phone(merchant, member.phone), member.name))
        command = ImportMembers(merchant, by, tuple(rows), purpose, basis, origin)
        done = await self._do(command, Imported)
        return ImportReport(True, total, done.new, done.known, ())

    async def consents(self, person: str) -> dict[str, bool]:
        """What a person agreed to and did not take back; purposes nobody asked about are False."""
        found = await self._store.read(lambda db: dossier_sql.consents(db, person))
        return {purpose: found.get(purpose, False) for purpose in PURPOSES}

    async def consent(self, merchant: str, person: str, purpose: str, granted: bool, source: str) -> dict[str, bool]:
        """Agree, or take it back: one is as easy as the other (PIPL art. 15). Raises Invalid."""
        if purpose not in PURPOSES:
            raise Invalid("purpose is one of " + ", ".join(PURPOSES), field="purpose")
        row = {"id": self._id(), "merchant": merchant, "person": person, "purpose": purpose, "granted": granted}
        row |= {"basis": "consent", "source": source, "now": self._clock()}
        await self._store.write(lambda db: dossier_sql.grant(db, **row))
        return await self.consents(person)

    async def erase(self, merchant: str, person: str, by: str, reason: str) -> Erased:
        """Forget what identifies a person. Raises NotFound, Refused (not_open) while something is under way."""
        return await self._do(Erase(merchant, person, by, _reason(reason)), Erased)

    async def own_phone(self, merchant: str, person: str) -> str | None:
        """A person's own number, whole, for their export."""
        found = await self._store.read(lambda db: dossier_sql.person(db, merchant, person))
        return None if found["phone"] is None else self._vault.open_phone(merchant, found["phone"]["sealed"])

    # --- mini-programs ---------------------------------------------------------------------------------------------

    async def wechat_app(self, merchant: str) -> WechatApp | None:
        """The merchant's mini-program, with its secret in the open: for the adapter alone."""
        found = await self._store.read(lambda db: dossier_sql.app(db, merchant))
        if found is None:
            return None
        secret = self._vault.open(found["sealed_secret"], f"{merchant}/{found['appid']}")
        return WechatApp(found["appid"], secret, found["platform"])

    async def set_wechat_app(self, merchant: str, appid: str, secret: str, platform: str) -> None:
        """Keep a merchant's mini-program account; the secret is sealed. Raises Invalid."""
        for name, value, most in (
            ("appid", appid, APPID_CHARACTERS_MAX),
            ("secret", secret, SECRET_CHARACTERS_MAX),
        ):
            if not 0 < len(value) <= most or not value.isascii() or not value.isalnum():
                raise Invalid(f"{name} is 1 to {most} letters and digits", field=name)
        sealed = self._vault.seal(secret, f"{merchant}/{appid}")
        row = {"merchant": merchant, "appid": appid, "sealed": sealed, "platform": platform or appid}
        await self._store.write(lambda db: dossier_sql.set_app(db, now=self._clock(), **row))

    # --- inside ----------------------------------------------------------------------------------------------------

    def _masked(self, merchant: str, phone: dict[str, Any] | None) -> dict[str, Any] | None:
        if phone is None:
            return None
        return {
            "masked": masked(self._vault.open_phone(merchant, phone["sealed"])),
            "verified_ms": phone["verified_ms"],
        }

    async def _log(self, merchant: str, person: str, by: str, action: str, reason: str) -> None:
        row = {"id": self._id(), "merchant": merchant, "person": person, "by": by, "action": action, "reason": reason}
        await self._store.write(lambda db: dossier_sql.log(db, now=self._clock(), **row))

    def _id(self) -> str:
        return fresh_id(self._clock())

    async def _do(self, command: Any, kind: type[T]) -> T:
        result = await self._ledger.submit(command)
        assert isinstance(result, kind)
        return result


def _reason(text: str, field: str = "reason") -> str:
    clean = text.strip()
    if not 0 < len(clean) <= REASON_CHARACTERS_MAX or not clean.isprintable():
        raise Invalid(f"{field} is one line of 1 to {REASON_CHARACTERS_MAX} characters", field=field)
    return clean
