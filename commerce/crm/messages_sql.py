"""Messages to single customers: written once by a key, claimed under a lease, and what became of them.

A message waits until it is due. Whoever claims it moves its time on by the lease, in the transaction that judges
consent and caps, so two processes never send the same at once; one that dies leaves it to be sent after the lease:
at least once. What is claimed counts against the caps as if it were sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, text

from commerce.credit_reads_sql import debt_stands
from commerce.crm import policy_sql, results_sql, staff_messages_sql
from commerce.domain.credit import MESSAGE_PREFIX
from commerce.domain.day import DAY_MS
from commerce.domain.outreach import (
    GOOD_MS,
    STAFF_CHANNEL,
    TRIES_MAX,
    CrmTerms,
    Standing,
    drop_cause,
    waits_until_ms,
)
from commerce.errors import NotFound
from commerce.identity.dossier_sql import consents

Row = dict[str, Any]

LEASE_MS = 300_000
"""Longer than any provider takes, with all its retries."""
WHY_CHARACTERS_MAX = 200
ADDRESS_KIND = {"subscribe": "wechat", "wecom": "wecom"}

_PUT = text(
    "INSERT INTO message (id, merchant, person, channel, purpose, key, body, state, next_ms, created_ms)"
    " VALUES (:id, :merchant, :person, :channel, :purpose, :key, :body, 'waiting', :next, :now)"
    " ON CONFLICT (merchant, key) DO NOTHING"
)
_DUE = text("SELECT * FROM message WHERE state = 'waiting' AND next_ms <= :now ORDER BY next_ms, id LIMIT :limit")
_LEASE = text(
    "UPDATE message SET next_ms = :until, tries = tries + 1 WHERE id = :id AND state = 'waiting' AND next_ms <= :now"
)
_LATER = text("UPDATE message SET next_ms = :next, why = :why WHERE id = :id AND state = 'waiting'")
_DONE = text(
    "UPDATE message SET state = :state, why = :why, number = :number, done_ms = :now"
    " WHERE id = :id AND state = 'waiting'"
)
_SENT = text(
    "SELECT coalesce(sum(CASE WHEN coalesce(done_ms, :now) > :day THEN 1 ELSE 0 END), 0) AS day, count(*) AS week"
    " FROM message WHERE merchant = :merchant AND person = :person AND channel = :channel AND purpose = 'marketing'"
    " AND id <> :id AND ((state = 'sent' AND done_ms > :week)"
    " OR (state = 'waiting' AND tries > 0 AND next_ms > :now))"
)
_ADDRESS = text(
    "SELECT value FROM identity WHERE merchant = :merchant AND person = :person AND kind = :kind"
    " ORDER BY created_ms DESC, value"
)
_PHONE = text("SELECT sealed FROM person_phone WHERE merchant = :merchant AND person = :person")
_APP = text("SELECT appid FROM wechat_app WHERE merchant = :merchant")
_TAKE_GRANT = text(
    "UPDATE subscribe_grant SET left_n = left_n - 1, updated_ms = :now WHERE merchant = :merchant"
    " AND openid = :openid AND template = :template AND left_n > 0"
)
_GRANT = text(
    "INSERT INTO subscribe_grant (merchant, openid, template, left_n, updated_ms)"
    " VALUES (:merchant, :openid, :template, :n, :now) ON CONFLICT (merchant, openid, template) DO UPDATE SET"
    " left_n = subscribe_grant.left_n + excluded.left_n, updated_ms = excluded.updated_ms"
)
_NO_GRANT = text(
    "UPDATE subscribe_grant SET left_n = 0, updated_ms = :now WHERE merchant = :merchant AND openid = :openid"
    " AND template = :template"
)
_GRANTS = text(
    "SELECT template, sum(left_n) AS left_n FROM subscribe_grant WHERE merchant = :merchant AND openid IN :openids"
    " GROUP BY template ORDER BY template"
).bindparams(bindparam("openids", expanding=True))
_SENDER = text(
    'SELECT "user" FROM wecom_contact WHERE merchant = :merchant AND external = :external AND ended_ms IS NULL'
    " ORDER BY added_ms LIMIT 1"
)
_NEXT = text("SELECT min(next_ms) FROM message WHERE state = 'waiting'")
_JOURNAL = text(
    "SELECT id, person, channel, purpose, body, state, why, tries, number, created_ms, next_ms, done_ms FROM message"
    " WHERE merchant = :merchant AND id < :before AND (:person = '' OR person = :person) ORDER BY id DESC LIMIT :limit"
)
_COUNTS = text(
    "SELECT m.state, m.why, d.outcome, count(*) AS n FROM message AS m LEFT JOIN wecom_delivery AS d"
    " ON d.message = m.id WHERE m.merchant = :merchant AND m.key >= :low AND m.key < :high"
    " GROUP BY m.state, m.why, d.outcome"
)


@dataclass(frozen=True, slots=True)
class Due:
    """A message to send now: ``address`` is an openid, a WeCom id or a sealed number; ``sender`` is staff at WeCom.

    Of a message to staff ``address`` is their userid at WeCom, and ``body`` what they are told.
    """

    id: str
    merchant: str
    person: str
    channel: str
    body: Row
    tries: int
    created_ms: int
    address: str
    sender: str = ""


def put(db: Connection, rows: Sequence[Row]) -> None:
    """Write messages: ``id merchant person channel purpose key body(JSON) now`` each; a known key changes nothing.

    One that is not to go at once has ``next``, when it may.
    """
    if rows:
        db.execute(_PUT, [{"next": row["now"], **row} for row in rows])


def claim(db: Connection, now_ms: int, limit: int) -> list[Due]:
    """Take what is due, oldest first; those who may not or cannot get it are written off with the cause."""
    terms: dict[str, CrmTerms] = {}
    found: list[Due] = []
    for row in db.execute(_DUE, {"now": now_ms, "limit": limit}).all():
        if row.merchant not in terms:
            terms[row.merchant] = policy_sql.terms(db, row.merchant)
        due = _judge(db, row, terms[row.merchant], now_ms)
        if due is not None:
            found.append(due)
    return found


def _judge(db: Connection, row: Any, terms: CrmTerms, now_ms: int) -> Due | None:
    if now_ms - row.created_ms > GOOD_MS:
        _end(db, row.id, "dropped", "too_old", now_ms)
        return None
    opens_ms = waits_until_ms(row.purpose, terms, now_ms)
    if opens_ms > now_ms:
        db.execute(_LATER, {"id": row.id, "next": opens_ms, "why": "night"})
        return None
    about_debt = row.key.startswith(MESSAGE_PREFIX)
    if about_debt and not debt_stands(db, row.merchant, row.person, row.key, row.created_ms):
        _end(db, row.id, "dropped", "paid", now_ms)
        return None
    cause = drop_cause(row.channel, row.purpose, terms, _standing(db, row, now_ms))
    if cause is not None:
        _end(db, row.id, "dropped", cause, now_ms)
        return None
    body = orjson.loads(row.body)
    reached: tuple[str, str] | str
    if row.channel == STAFF_CHANNEL:
        told = staff_messages_sql.told(db, row.merchant, body, terms, now_ms)
        reached = told if isinstance(told, str) else (told.user, "")
        body = body if isinstance(told, str) else told.card
    else:
        reached = _address(db, row, body, now_ms)
    if isinstance(reached, str):
        _end(db, row.id, "dropped", reached, now_ms)
        return None
    if not db.execute(_LEASE, {"id": row.id, "now": now_ms, "until": now_ms + LEASE_MS}).rowcount:
        return None
    return Due(row.id, row.merchant, row.person, row.channel, body, row.tries + 1, row.created_ms, *reached)


def _standing(db: Connection, row: Any, now_ms: int) -> Standing:
    asked = {"merchant": row.merchant, "person": row.person, "channel": row.channel, "id": row.id, "now": now_ms}
    sent = db.execute(_SENT, {**asked, "day": now_ms - DAY_MS, "week": now_ms - 7 * DAY_MS}).one()
    return Standing(consents(db, row.person).get("marketing", False), int(sent.day), int(sent.week))


def _address(db: Connection, row: Any, body: Row, now_ms: int) -> tuple[str, str] | str:
    """Where a message goes and who sends it, or why it cannot."""
    who = {"merchant": row.merchant, "person": row.person}
    if row.channel == "sms":
        sealed = db.execute(_PHONE, who).scalar_one_or_none()
        return "no_address" if sealed is None else (sealed, "")
    keys = [value.split(":", 1) for value in db.execute(_ADDRESS, {**who, "kind": ADDRESS_KIND[row.channel]}).scalars()]
    if row.channel == "wecom":
        for _, external in keys:
            sender = db.execute(_SENDER, {"merchant": row.merchant, "external": external}).scalar_one_or_none()
            if sender is not None:
                return external, sender
        return "no_address"
    openids = _openids(db, row.merchant, keys)
    if not openids:
        return "no_address"
    for openid in openids:
        asked = {"merchant": row.merchant, "openid": openid, "template": body["template"], "now": now_ms}
        # A message that is tried again has its grant already.
        if row.tries or db.execute(_TAKE_GRANT, asked).rowcount:
            return openid, ""
    return "no_grant"


def _openids(db: Connection, merchant: str, keys: Sequence[Sequence[str]]) -> list[str]:
    appid = db.execute(_APP, {"merchant": merchant}).scalar_one_or_none()
    return [openid for app, openid in keys if app == appid]


def done(db: Connection, message: Due, number: str, now_ms: int) -> None:
    """It was taken by the provider, who calls it ``number``; what WeCom's staff make of it is asked later."""
    _end(db, message.id, "sent", "", now_ms, number)
    if message.channel == "wecom" and number:
        results_sql.enter(db, message.id, message.merchant, number, message.sender, message.address, now_ms)


def refused(db: Connection, message: Due, why: str, now_ms: int) -> None:
    """The provider takes it for nobody: not tried again; of a subscribe message, no grant is left."""
    _end(db, message.id, "failed", why, now_ms)
    if message.channel == "subscribe":
        asked = {"merchant": message.merchant, "openid": message.address, "template": message.body["template"]}
        db.execute(_NO_GRANT, {**asked, "now": now_ms})


def later(db: Connection, message: Due, why: str, next_ms: int, now_ms: int, *, limited: bool) -> bool:
    """It is tried again then, or was tried often enough; whether it is given up. ``limited`` counts as no try."""
    if (message.tries >= TRIES_MAX and not limited) or next_ms - message.created_ms > GOOD_MS:
        _end(db, message.id, "failed", why, now_ms)
        if message.channel == "subscribe":
            grant(db, message.merchant, [message.address], message.body["template"], 1, now_ms)
        return True
    db.execute(_LATER, {"id": message.id, "next": next_ms, "why": why[:WHY_CHARACTERS_MAX]})
    return False


def _end(db: Connection, message: str, state: str, why: str, now_ms: int, number: str = "") -> None:
    row = {"id": message, "state": state, "why": why[:WHY_CHARACTERS_MAX], "number": number[:128], "now": now_ms}
    db.execute(_DONE, row)


def grant(db: Connection, merchant: str, openids: Sequence[str], template: str, n: int, now_ms: int) -> None:
    """Somebody granted ``n`` more messages of a template."""
    rows = [{"merchant": merchant, "openid": one, "template": template, "n": n, "now": now_ms} for one in openids]
    db.execute(_GRANT, rows)


def openids_of(db: Connection, merchant: str, person: str) -> list[str]:
    """A person's openids at the merchant's mini-program. Raises NotFound when there is none."""
    asked = {"merchant": merchant, "person": person, "kind": "wechat"}
    found = _openids(db, merchant, [value.split(":", 1) for value in db.execute(_ADDRESS, asked).scalars()])
    if not found:
        raise NotFound("you are not here by the shop's mini-program")
    return found


def grants(db: Connection, merchant: str, openids: Sequence[str]) -> dict[str, int]:
    """Messages that may still be sent, by template."""
    return {row.template: int(row.left_n) for row in db.execute(_GRANTS, {"merchant": merchant, "openids": openids})}


def next_due(db: Connection) -> int | None:
    """When the next message is due."""
    found = db.execute(_NEXT).scalar_one_or_none()
    return None if found is None else int(found)


def journal(db: Connection, merchant: str, person: str, before: str, limit: int) -> list[Row]:
    """Messages, newest first; ``person`` empty for everybody's."""
    asked = {"merchant": merchant, "person": person, "before": before, "limit": limit}
    found = [dict(row) for row in db.execute(_JOURNAL, asked).mappings()]
    became = results_sql.outcomes(db, [row["id"] for row in found])
    return [{**row, "outcome": became.get(row["id"], "")} for row in found]


def counts(db: Connection, merchant: str, prefix: str) -> dict[str, int]:
    """How many messages whose keys begin with a prefix are in which state: those written off by cause, those that were
    sent by what became of them where that is known.
    """
    found: dict[str, int] = {}
    for row in db.execute(_COUNTS, {"merchant": merchant, "low": f"{prefix}/", "high": f"{prefix}0"}):
        name = row.why if row.state == "dropped" else row.state
        if name == "sent" and row.outcome not in (None, "waiting"):
            name = row.outcome
        found[name] = found.get(name, 0) + int(row.n)
    return found
