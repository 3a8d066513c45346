"""Keys shown, members listed, conflicts decided: inside the ledger's transaction."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Row, text

from commerce.errors import NotFound, Refused
from commerce.identity import merge_sql, own_orders_sql
from commerce.identity.join import (
    CAUSE_STAFF,
    DecideConflict,
    Imported,
    ImportMembers,
    Join,
    Joined,
    MergePeople,
    UndoMerge,
)
from commerce.identity.rules import Known, Phone, Verdict, elder_first, judge, refuse_merge
from commerce.ledger_batch_sql import Batch

CONFLICTS_OPEN_MAX = 10_000
"""Open conflicts of one merchant: far more than people can decide; above it no more are written."""

_PERSON = text(
    "SELECT p.id, p.created_ms, h.digest, h.verified_ms, d.person AS distributor FROM person AS p"
    " LEFT JOIN person_phone AS h ON h.person = p.id"
    " LEFT JOIN distributor AS d ON d.merchant = p.merchant AND d.person = p.id"
    " WHERE p.id = :id AND p.merchant = :merchant"
)
_KINDS = text("SELECT DISTINCT kind FROM identity WHERE person = :id")
_OWNER = text("SELECT person FROM identity WHERE merchant = :merchant AND kind = :kind AND value = :value")
_ATTACH = text(
    "INSERT INTO identity (merchant, kind, value, person, created_ms) VALUES (:merchant, :kind, :value, :person, :now)"
)
_DETACH = text("DELETE FROM identity WHERE merchant = :merchant AND kind = :kind AND value = :value")
_SET_PHONE = text(
    "INSERT INTO person_phone (person, merchant, digest, sealed, verified_ms, created_ms)"
    " VALUES (:person, :merchant, :digest, :sealed, :verified_ms, :now)"
)
_VERIFY = text("UPDATE person_phone SET verified_ms = :now WHERE person = :person AND digest = :digest")
_DROP_PHONE = text("DELETE FROM person_phone WHERE merchant = :merchant AND digest = :digest RETURNING *")
_PHONE_OF = text("SELECT digest FROM person_phone WHERE person = :person")
_OPEN = text("SELECT count(*) FROM merge_conflict WHERE merchant = :merchant AND state = 'open'")
_CONFLICT = text(
    "INSERT INTO merge_conflict (id, merchant, person, other, cause, kind, value, sealed, state, created_ms)"
    " VALUES (:id, :merchant, :person, :other, :cause, :kind, :value, :sealed, 'open', :now) ON CONFLICT DO NOTHING"
)
_OPEN_CONFLICT = text(
    "SELECT id FROM merge_conflict WHERE merchant = :merchant AND person = :person AND other = :other"
    " AND kind = :kind AND value = :value AND state = 'open'"
)
_FIND_CONFLICT = text("SELECT * FROM merge_conflict WHERE id = :id AND merchant = :merchant")
_DECIDE = text("UPDATE merge_conflict SET state = :state, decided_ms = :now, decided_by = :by WHERE id = :id")
_NEW_PERSON = text("INSERT INTO person (id, merchant, name, created_ms) VALUES (:id, :merchant, :name, :now)")
_NAME = text("UPDATE person SET name = :name WHERE id = :id AND name = ''")
_CONSENT = text(
    "INSERT INTO consent (id, merchant, person, purpose, granted, basis, source, at_ms)"
    " VALUES (:id, :merchant, :person, :purpose, true, :basis, :source, :now)"
)
_LOG = text(
    'INSERT INTO privacy_log (id, merchant, person, "by", action, reason, at_ms)'
    " VALUES (:id, :merchant, :person, :by, :action, :reason, :now)"
)


def known(batch: Batch, merchant: str, person: str) -> Known:
    """What the rules ask of a person who goes on. Raises NotFound."""
    row = batch.one(_PERSON, id=person, merchant=merchant)
    if row is None:
        raise NotFound("no such person")
    phone = None if row.digest is None else Phone(row.digest, row.verified_ms)
    kinds = frozenset(batch.run(_KINDS, id=person).scalars())
    return Known(row.id, row.created_ms, phone, kinds, row.distributor is not None)


def log(batch: Batch, merchant: str, person: str, by: str, action: str, reason: str) -> None:
    """Write down that somebody touched personal data."""
    batch.run(
        _LOG, id=batch.mint(), merchant=merchant, person=person, by=by, action=action, reason=reason, now=batch.now_ms
    )


def join(batch: Batch, command: Join) -> Joined:
    """Let a key act by the rules: attached, merged, or put into the queue. Raises NotFound."""
    person = merge_sql.survivor(batch.connection, command.person)
    mine = known(batch, command.merchant, person)
    key = {"merchant": command.merchant, "kind": command.kind, "value": command.value}
    owner = batch.run(_OWNER, **key).scalar_one_or_none()
    theirs = None if owner is None else known(batch, command.merchant, owner)
    ruling = judge(command.kind, command.value, mine, theirs, batch.now_ms)
    if ruling.verdict is Verdict.CONFLICT:
        other = person if owner is None else owner
        return Joined(person, conflict=_queue(batch, command, person, other, ruling.cause))
    if ruling.verdict is Verdict.ATTACH:
        _attach(batch, command, person)
    merged = None
    if ruling.verdict is Verdict.MERGE:
        assert theirs is not None
        merged = _unite(batch, command.merchant, mine, theirs, command.kind, None, "")
        person = merged.elder
    if command.kind == "phone" and command.proven:
        batch.run(_VERIFY, person=person, digest=command.value, now=batch.now_ms)
    return Joined(person) if merged is None else Joined(person, merged.entry, None, merged.aliases)


def _attach(batch: Batch, command: Join, person: str) -> None:
    if command.kind == "phone":
        # One that only a list had goes: the person has shown another.
        listed = batch.run(_PHONE_OF, person=person).scalar_one_or_none()
        if listed is not None:
            _free_phone(batch, command.merchant, listed)
        batch.run(
            _SET_PHONE,
            person=person,
            merchant=command.merchant,
            digest=command.value,
            sealed=command.sealed,
            verified_ms=batch.now_ms if command.proven else None,
            now=batch.now_ms,
        )
    batch.run(
        _ATTACH, merchant=command.merchant, kind=command.kind, value=command.value, person=person, now=batch.now_ms
    )


def _free_phone(batch: Batch, merchant: str, digest: str) -> dict[str, Any] | None:
    """Take a number from whoever has it; gives its row."""
    gone = batch.run(_DROP_PHONE, merchant=merchant, digest=digest).mappings().one_or_none()
    batch.run(_DETACH, merchant=merchant, kind="phone", value=digest)
    return None if gone is None else dict(gone)


def _unite(
    batch: Batch, merchant: str, one: Known, other: Known, cause: str, by: str | None, reason: str
) -> merge_sql.Merged:
    elder, younger = elder_first(one, other)
    freed = None
    if elder.phone is not None and younger.phone is not None:
        # Of an unproven number and a proven one the proven stays.
        going = elder.phone if younger.verified is not None else younger.phone
        freed = _free_phone(batch, merchant, going.digest)
    joined = merge_sql.merge(batch, merchant, elder.person, younger.person, cause, by, reason, freed)
    own_orders_sql.merged(batch, merchant, joined.elder)
    return joined


def _queue(batch: Batch, command: Join, person: str, other: str, cause: str) -> str:
    key = {"merchant": command.merchant, "person": person, "other": other, "kind": command.kind, "value": command.value}
    if batch.run(_OPEN, merchant=command.merchant).scalar_one() < CONFLICTS_OPEN_MAX:
        batch.run(_CONFLICT, id=batch.mint(), cause=cause, sealed=command.sealed, now=batch.now_ms, **key)
    return str(batch.run(_OPEN_CONFLICT, **key).scalar_one_or_none() or "")


def merge_people(batch: Batch, command: MergePeople) -> Joined:
    """Make two persons one because staff say so. Raises NotFound, Refused (already, two_phones, two_distributors)."""
    one = known(batch, command.merchant, merge_sql.survivor(batch.connection, command.one))
    other = known(batch, command.merchant, merge_sql.survivor(batch.connection, command.other))
    if one.person == other.person:
        raise Refused("already", "these two are one person")
    ruling = refuse_merge(one, other)
    if ruling is not None:
        raise _refusal(ruling.cause)
    merged = _unite(batch, command.merchant, one, other, CAUSE_STAFF, command.by, command.reason)
    log(batch, command.merchant, merged.elder, command.by, "merge", command.reason)
    return Joined(merged.elder, merged.entry, None, merged.aliases)


def _refusal(cause: str) -> Refused:
    if cause == "two_distributors":
        return Refused("two_distributors", "both are distributors, with earnings of their own")
    return Refused("two_phones", "each has a verified phone number of their own: one has to go first (split)")


def undo_merge(batch: Batch, command: UndoMerge) -> Joined:
    """Take a merge back. Raises NotFound, Refused (already, not_open)."""
    undone = merge_sql.unmerge(batch, command.merchant, command.entry, command.by)
    own_orders_sql.parted(batch, command.merchant, undone.elder, undone.younger)
    log(batch, command.merchant, undone.younger, command.by, "unmerge", "")
    return Joined(undone.younger, undone.entry, None, undone.aliases)


def decide_conflict(batch: Batch, command: DecideConflict) -> Joined:
    """Do what staff decided. Raises NotFound, Refused (already)."""
    row = batch.one(_FIND_CONFLICT, id=command.conflict, merchant=command.merchant)
    if row is None:
        raise NotFound("no such conflict")
    if row.state != "open":
        raise Refused("already", f"this conflict was {row.state}")
    person = merge_sql.survivor(batch.connection, row.person)
    other = merge_sql.survivor(batch.connection, row.other)
    result = Joined(person)
    if command.decision == "merged":
        result = _merge_conflict(batch, row, person, other, command.by)
    elif command.decision == "split":
        _split(batch, row, person)
    batch.run(_DECIDE, id=row.id, state=command.decision, by=command.by, now=batch.now_ms)
    log(batch, command.merchant, person, command.by, f"conflict {command.decision}", row.cause)
    return result


def _merge_conflict(batch: Batch, row: Row[Any], person: str, other: str, by: str) -> Joined:
    """One human: the number that was shown last is the one they have, the older one goes."""
    if row.kind == "phone":
        listed = batch.run(_PHONE_OF, person=person).scalar_one_or_none()
        if listed is not None and listed != row.value:
            _free_phone(batch, row.merchant, listed)
    merged = None
    if person != other:
        one, two = known(batch, row.merchant, person), known(batch, row.merchant, other)
        ruling = refuse_merge(one, two)
        if ruling is not None:
            raise _refusal(ruling.cause)
        merged = _unite(batch, row.merchant, one, two, CAUSE_STAFF, by, row.cause)
        person = merged.elder
    if row.kind == "phone":
        _give_phone(batch, row, person)
    return Joined(person) if merged is None else Joined(person, merged.entry, None, merged.aliases)


def _split(batch: Batch, row: Row[Any], person: str) -> None:
    """Another human has the number now: it leaves its old person, and whoever showed it has it."""
    if row.kind != "phone":
        raise Refused("not_open", "only a phone number changes hands: merge or dismiss this one")
    listed = batch.run(_PHONE_OF, person=person).scalar_one_or_none()
    if listed is not None and listed != row.value:
        _free_phone(batch, row.merchant, listed)
    _free_phone(batch, row.merchant, row.value)
    _give_phone(batch, row, person)


def _give_phone(batch: Batch, row: Row[Any], person: str) -> None:
    key = {"merchant": row.merchant, "kind": "phone", "value": row.value}
    if batch.run(_OWNER, **key).scalar_one_or_none() is None:
        _attach(batch, Join(row.merchant, person, "phone", row.value, row.sealed), person)
    else:
        batch.run(_VERIFY, person=person, digest=row.value, now=batch.now_ms)


def import_members(batch: Batch, command: ImportMembers) -> Imported:
    """Write a checked list: who is not known by the number becomes a person; each gets the consent's basis."""
    new = 0
    for member in command.rows:
        key = {"merchant": command.merchant, "kind": "phone", "value": member.digest}
        person = batch.run(_OWNER, **key).scalar_one_or_none()
        if person is None:
            person = batch.mint()
            batch.run(_NEW_PERSON, id=person, merchant=command.merchant, name=member.name, now=batch.now_ms)
            shown = Join(command.merchant, person, "phone", member.digest, member.sealed, proven=False)
            _attach(batch, shown, person)
            new += 1
        elif member.name:
            batch.run(_NAME, id=person, name=member.name)
        batch.run(
            _CONSENT,
            id=batch.mint(),
            merchant=command.merchant,
            person=person,
            purpose=command.purpose,
            basis=command.basis,
            source=command.source,
            now=batch.now_ms,
        )
    log(batch, command.merchant, "", command.by, "import", f"{len(command.rows)} members: {command.source}")
    return Imported(new, len(command.rows) - new)


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {
    Join: join,
    MergePeople: merge_people,
    UndoMerge: undo_merge,
    DecideConflict: decide_conflict,
    ImportMembers: import_members,
}
