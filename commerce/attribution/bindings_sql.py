"""Whose customer somebody is: bindings opened, renewed, closed and handed over, inside the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text

from commerce import partners_sql
from commerce.attribution.decision import Binding
from commerce.domain.commission import Terms, terms_of
from commerce.errors import NotFound
from commerce.identity.merge_sql import survivor

LIST_MAX = 200

_TERMS = text("SELECT terms FROM traffic_policy WHERE merchant = :merchant")
_SET_TERMS = text(
    "INSERT INTO traffic_policy (merchant, terms, staff, updated_ms) VALUES (:merchant, :terms, :staff, :now)"
    " ON CONFLICT (merchant) DO UPDATE SET terms = excluded.terms, staff = excluded.staff,"
    " updated_ms = excluded.updated_ms"
)
_ACTIVE = text(
    "SELECT b.*, d.state AS distributor_state, m.left_ms FROM binding AS b LEFT JOIN distributor AS d"
    " ON d.merchant = b.merchant AND d.person = b.issuer LEFT JOIN org_member AS m ON m.staff = b.issuer"
    " WHERE b.merchant = :merchant AND b.person = :person AND b.closed_ms IS NULL ORDER BY b.role"
)
_HISTORY = text("SELECT * FROM binding WHERE merchant = :merchant AND person = :person ORDER BY id DESC LIMIT :limit")
_OPEN = text(
    "INSERT INTO binding (id, merchant, person, issuer, role, link, channel, valid_days, protection_days, renews,"
    " bound_ms, renewed_ms, why, handed) VALUES (:id, :merchant, :person, :issuer, :role, :link, :channel,"
    " :valid_days, :protection_days, :renews, :now, :now, :why, :handed)"
)
_CLOSE = text(
    "UPDATE binding SET closed_ms = :now, closed_why = :why"
    " WHERE merchant = :merchant AND person = :person AND role = :role AND closed_ms IS NULL"
)
_RENEW = text(
    "UPDATE binding SET renewed_ms = :now WHERE merchant = :merchant AND person = :person AND closed_ms IS NULL"
    " AND renews AND renewed_ms < :now"
    " AND (valid_days = -1 OR renewed_ms + CAST(valid_days AS bigint) * 86400000 > :now)"
)
_CUSTOMERS = text(
    "SELECT b.id, b.person, b.link, b.channel, (SELECT count(*) FROM binding AS h WHERE h.merchant = b.merchant"
    " AND h.person = b.person AND h.role = b.role AND h.handed AND h.bound_ms > :since) AS times,"
    " EXISTS (SELECT 1 FROM identity AS i WHERE i.person = b.person AND i.kind = 'wecom') AS wecom FROM binding AS b"
    " WHERE b.merchant = :merchant AND b.issuer = :issuer AND b.role = :role AND b.closed_ms IS NULL"
    " ORDER BY b.id LIMIT :limit"
)
_DISTRIBUTOR = text(
    "SELECT person, parent, level, state, name FROM distributor WHERE merchant = :merchant AND person = :person"
)
_GUIDE = text(
    "SELECT s.role, m.left_ms FROM staff AS s LEFT JOIN org_member AS m ON m.staff = s.id"
    " WHERE s.id = :id AND s.merchant = :merchant"
)
ANCESTORS_MAX = 20
"""Recruiters followed upwards when a binding is refused to an ancestor; chains are one or two long."""


WECOM_TRANSFERS_MAX = 2
WECOM_MS = 90 * 86_400_000
"""WeCom passes a contact of a member who goes on working to another twice in 90 days (transfer_customer)."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """Customers who have another now, and those who stayed with whom they had."""

    moved: int
    kept: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody's link led a person here: ``registered`` when the person became a member by it."""

    merchant: str
    person: str
    issuer: str
    role: str
    link: str
    channel: str
    registered: bool = False


def terms(db: Connection, merchant: str) -> Terms:
    """A merchant's terms; the defaults while there are none of its own."""
    stored = db.execute(_TERMS, {"merchant": merchant}).scalar_one_or_none()
    found = Terms() if stored is None else terms_of(orjson.loads(stored))
    assert isinstance(found, Terms), found  # checked when it was written
    return found


def set_terms(db: Connection, merchant: str, wanted: Terms, staff: str, now_ms: int) -> None:
    """Write a merchant's terms."""
    row = {"merchant": merchant, "terms": orjson.dumps(wanted.to_json()).decode(), "staff": staff, "now": now_ms}
    db.execute(_SET_TERMS, row)


def active(db: Connection, merchant: str, person: str) -> list[Binding]:
    """A person's bindings as the decision judges them, each with what is wrong with it."""
    return [
        Binding(
            row.id,
            row.renewed_ms,
            survivor(db, row.issuer),
            row.role,
            row.valid_days,
            row.protection_days,
            row.link,
            row.channel,
            _fault(row),
        )
        for row in db.execute(_ACTIVE, {"merchant": merchant, "person": person})
    ]


def _fault(row: Row[Any]) -> str | None:
    """What is wrong with a binding, in words."""
    if row.role == "distributor":
        return None if row.distributor_state == "active" else "the distributor is not active"
    return None if row.left_ms is None else "the guide has left"


def history(db: Connection, merchant: str, person: str) -> list[dict[str, Any]]:
    """All bindings that a person has had, newest first."""
    asked = {"merchant": merchant, "person": survivor(db, person), "limit": LIST_MAX}
    return [{**row, "renews": bool(row["renews"])} for row in db.execute(_HISTORY, asked).mappings()]


def distributor(db: Connection, merchant: str, person: str) -> dict[str, Any] | None:
    """A distributor's row."""
    found = db.execute(_DISTRIBUTOR, {"merchant": merchant, "person": person}).mappings().one_or_none()
    return None if found is None else dict(found)


def refused(db: Connection, claim: Claim, issuer: str, person: str) -> str | None:
    """Why a person cannot be bound to an issuer, in words; None when they can."""
    if issuer == person:
        return "nobody is their own customer"
    if claim.role == "guide":
        guide = db.execute(_GUIDE, {"id": issuer, "merchant": claim.merchant}).one_or_none()
        if guide is None or guide.role != "guide":
            return "the issuer is no guide of the shop"
        return None if guide.left_ms is None else "the guide has left"
    row = distributor(db, claim.merchant, issuer)
    if row is None or row["state"] != "active":
        return "the distributor is not active"
    above = row["parent"]
    for _ in range(ANCESTORS_MAX):
        if above is None:
            return None
        if survivor(db, above) == person:
            return "the person recruited the distributor"
        upper = distributor(db, claim.merchant, survivor(db, above))
        above = None if upper is None else upper["parent"]
    return "the chain of recruiters is too long"


def claim(db: Connection, wanted: Claim, binding: str, now_ms: int) -> bool:
    """Bind by the merchant's rule, or note a visit by a partner's code; whether something was written."""
    if wanted.role == "partner":
        return partners_sql.visit(
            db, wanted.merchant, wanted.person, wanted.issuer, wanted.link, wanted.channel, now_ms
        )
    rule = terms(db, wanted.merchant)
    person, issuer = survivor(db, wanted.person), survivor(db, wanted.issuer)
    if rule.bind == "off" or (rule.bind == "register" and not wanted.registered):
        return False
    had = next((one for one in active(db, wanted.merchant, person) if one.role == wanted.role), None)
    if had is not None and had.valid_at(now_ms) and had.problem is None:
        taken = rule.bind == "override" and not had.protected_at(now_ms)
        if not taken or had.issuer == issuer:
            return False
    if refused(db, wanted, issuer, person) is not None:
        return False
    if had is not None:
        _close(db, wanted.merchant, person, wanted.role, "another's link" if had.valid_at(now_ms) else "lapsed", now_ms)
    why = "registered by a link" if wanted.registered else "came by a link"
    _open(db, rule, binding, wanted.merchant, person, issuer, wanted.role, wanted.link, wanted.channel, why, now_ms)
    return True


def bind(db: Connection, wanted: Claim, binding: str, why: str, now_ms: int) -> None:
    """Bind because staff say so. Raises NotFound with what speaks against it."""
    person, issuer = survivor(db, wanted.person), survivor(db, wanted.issuer)
    fault = refused(db, wanted, issuer, person)
    if fault is not None:
        raise NotFound(fault)
    _close(db, wanted.merchant, person, wanted.role, why, now_ms)
    rule = terms(db, wanted.merchant)
    _open(db, rule, binding, wanted.merchant, person, issuer, wanted.role, wanted.link, wanted.channel, why, now_ms)


def hand_over(
    db: Connection,
    merchant: str,
    role: str,
    of: str,
    to: str,
    ids: Sequence[str],
    why: str,
    now_ms: int,
    *,
    leaving: bool = False,
) -> HandedOver:
    """Give at most ``len(ids)`` customers of one to another, for the future only (A9).

    A WeCom contact of a guide who goes on working moves twice in 90 days at most, so who has moved that often stays
    with the guide who can write to them; of one who is ``leaving`` all are moved.
    """
    rule = terms(db, merchant)
    asked = {"merchant": merchant, "issuer": of, "role": role, "limit": len(ids), "since": now_ms - WECOM_MS}
    moved = kept = 0
    for row, binding in zip(db.execute(_CUSTOMERS, asked).all(), ids, strict=False):
        wanted = Claim(merchant, row.person, to, role, row.link, row.channel)
        tired = row.wecom and row.times >= WECOM_TRANSFERS_MAX and not leaving
        if tired or refused(db, wanted, to, row.person) is not None:
            kept += 1
            continue
        _close(db, merchant, row.person, role, why, now_ms)
        names = (row.person, to, role, row.link, row.channel, why)
        _open(db, rule, binding, merchant, *names, now_ms, handed=role == "guide" and not leaving)
        moved += 1
    return HandedOver(moved, kept)


def renew(db: Connection, merchant: str, person: str, now_ms: int) -> None:
    """An order begins validity and protection anew, where the terms of the binding say so."""
    db.execute(_RENEW, {"merchant": merchant, "person": person, "now": now_ms})


def _close(db: Connection, merchant: str, person: str, role: str, why: str, now_ms: int) -> None:
    db.execute(_CLOSE, {"merchant": merchant, "person": person, "role": role, "why": why, "now": now_ms})


def _open(
    db: Connection,
    rule: Terms,
    binding: str,
    merchant: str,
    person: str,
    issuer: str,
    role: str,
    link: str,
    channel: str,
    why: str,
    now_ms: int,
    *,
    handed: bool = False,
) -> None:
    row: dict[str, Any] = {"id": binding, "merchant": merchant, "person": person, "issuer": issuer, "role": role}
    row |= {"link": link, "channel": channel, "why": why, "handed": handed}
    days = {"valid_days": rule.valid_days, "protection_days": rule.protection_days}
    db.execute(_OPEN, {**row, **days, "renews": rule.renew, "now": now_ms})
