"""Telling advisors of questions and askers of answers, outside the page: messages written with what they are about.

A message is one of the shop's own (crm/messages_sql.py): the adapter, its retries and the merged person's address are
those of all others. Beyond that an advisor gets at most ``most_hour`` an hour, none when they said so, and, without
hours of their own, none at night; whoever has hours is given questions in these alone. Where the shop has an
application at WeCom, advisors who are members there are told by it (crm/staff_messages_sql.py).
"""

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, text

from commerce.crm import messages_sql, policy_sql
from commerce.crm.notices_sql import service_row, template_body
from commerce.domain.day import local
from commerce.domain.outreach import STAFF_CHANNEL, waits_until_ms
from commerce.identity.merge_sql import survivor

HOUR_MS = 3_600_000
WORD_CHARACTERS_MAX = 20
"""Of a field of a subscribe message (thing.DATA takes 20 characters)."""
OPEN_MINUTES = 10
"""An advisor has ten minutes to open a question, where the shop does not say otherwise: after that a customer in a live
room is gone, and the next is asked."""

Row = dict[str, Any]

_NOTICE = text("SELECT * FROM advice_notice WHERE merchant = :merchant")
_SET = text(
    "INSERT INTO advice_notice (merchant, channel, template, answer_template, fields, page, open_minutes, most_hour,"
    " by_app, app_url, updated_ms) VALUES (:merchant, :channel, :template, :answer_template, :fields, :page,"
    " :open_minutes, :most_hour, :by_app, :app_url, :now) ON CONFLICT (merchant) DO UPDATE SET"
    " channel = excluded.channel, template = excluded.template, answer_template = excluded.answer_template,"
    " fields = excluded.fields, page = excluded.page,"
    " open_minutes = excluded.open_minutes, most_hour = excluded.most_hour, by_app = excluded.by_app,"
    " app_url = excluded.app_url, updated_ms = excluded.updated_ms"
)
_ADVISOR = text("SELECT person, told, hours, wecom_user FROM advisor WHERE staff = :staff AND merchant = :merchant")
_HAD = text(
    "SELECT count(*) FROM message WHERE merchant = :merchant AND key >= :low AND key < :high AND created_ms > :since"
)


def notice(db: Connection, merchant: str) -> Row | None:
    """How a shop tells of questions and answers; None when it does not."""
    found = db.execute(_NOTICE, {"merchant": merchant}).mappings().one_or_none()
    return None if found is None else {**found, "fields": orjson.loads(found["fields"])}


def set_notice(db: Connection, row: Row) -> None:
    """Write how a shop tells of questions and answers."""
    db.execute(_SET, {**row, "fields": orjson.dumps(row["fields"]).decode()})


def open_ms(db: Connection, merchant: str) -> int:
    """How long an advisor has to open a question."""
    found = notice(db, merchant)
    return (OPEN_MINUTES if found is None else int(found["open_minutes"])) * 60_000


def tell_advisor(db: Connection, question: Row, staff: str, now_ms: int) -> bool:
    """Write the message to an advisor who was given a question; whether there is one."""
    merchant = question["merchant"]
    how = notice(db, merchant)
    advisor = db.execute(_ADVISOR, {"staff": staff, "merchant": merchant}).one_or_none()
    if how is None or advisor is None or not advisor.told:
        return False
    by_app = bool(how["by_app"] and advisor.wecom_user)
    if not by_app and (not how["template"] or advisor.person is None):
        return False
    if not orjson.loads(advisor.hours) and _at_night(db, merchant, now_ms):
        return False
    prefix = f"advice:{staff}:"
    asked = {"merchant": merchant, "low": prefix, "high": f"advice:{staff};", "since": now_ms - HOUR_MS}
    if db.execute(_HAD, asked).scalar_one() >= how["most_hour"]:
        return False
    key = f"{prefix}{question['id']}:{now_ms}"
    if by_app:
        row = {**service_row(merchant, key, now_ms), "person": "", "channel": STAFF_CHANNEL}
        messages_sql.put(db, [{**row, "body": orjson.dumps({"staff": staff, "question": question["id"]}).decode()}])
    else:
        _put(db, how, how["template"], advisor.person, key, question, now_ms)
    return True


def tell_asker(db: Connection, question: Row, answer: str, now_ms: int) -> bool:
    """Write the message to whoever asked that there is an answer; whether there is one."""
    how = notice(db, question["merchant"])
    if how is None or not how["answer_template"]:
        return False
    _put(db, how, how["answer_template"], question["person"], f"answer:{answer}", question, now_ms)
    return True


def _at_night(db: Connection, merchant: str, now_ms: int) -> bool:
    """Whether the shop sends nothing now that nobody asked for."""
    return waits_until_ms("marketing", policy_sql.terms(db, merchant), now_ms) > now_ms


def _put(
    db: Connection, how: Row, template: str, person: str, key: str, question: Mapping[str, Any], now_ms: int
) -> None:
    said = {
        "question": question["body"].replace("\n", " ")[:WORD_CHARACTERS_MAX],
        "skill": question["skill"][:WORD_CHARACTERS_MAX],
        "time": f"{local(now_ms):%Y-%m-%d %H:%M}",
    }
    row = {**service_row(question["merchant"], key, now_ms), "person": survivor(db, person), "channel": how["channel"]}
    messages_sql.put(db, [{**row, "body": template_body(how, template, said)}])
