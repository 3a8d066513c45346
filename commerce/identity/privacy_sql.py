# ruff: noqa: S608 (statements are put together from constants of holdings.py alone)
"""What persons may ask of the shop (PIPL): told, taken back, forgotten; children apart. Ledger commands and reads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, inspect, text

from commerce.errors import NotFound, Refused
from commerce.identity.erasure_sql import ORDER_OPEN, erase
from commerce.identity.holdings import Held, held_of
from commerce.identity.join import Erase
from commerce.identity.join_sql import known, log
from commerce.identity.merge_sql import aliases_of, survivor
from commerce.ledger_batch_sql import Batch

ROWS_MAX = 5_000
"""Rows of one table in an export; the export says when there are more."""
DUE_MAX = 100
WORDS = ("name", "phone", "address")
"""What can be forgotten by itself, without the rest."""


@dataclass(frozen=True, slots=True)
class Forget:
    """A person took back what they had let the shop know: of ``what``, and of consents ``purposes``."""

    merchant: str
    person: str
    what: tuple[str, ...]
    purposes: tuple[str, ...]
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class CloseAccount:
    """A person closed their account elsewhere (WeChat): erase now, or as soon as no order is under way."""

    merchant: str
    person: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Forgotten:
    """``erased`` at once, or noted."""

    person: str
    erased: bool


_NAME = text("UPDATE person SET name = '' WHERE id IN :ids").bindparams(bindparam("ids", expanding=True))
_PHONE = text("DELETE FROM person_phone WHERE person = :person")
_PHONE_KEY = text("DELETE FROM identity WHERE person = :person AND kind = 'phone'")
_ADDRESS = text(
    "UPDATE orders SET delivery = NULL WHERE id IN (SELECT o.id FROM orders AS o"
    f" WHERE o.merchant = :merchant AND o.person = :person AND NOT {ORDER_OPEN})"
)
_WITHDRAW = text(
    "INSERT INTO consent (id, merchant, person, purpose, granted, basis, source, at_ms)"
    " VALUES (:id, :merchant, :person, :purpose, false, 'consent', :source, :now)"
)
_DUE = text(
    "INSERT INTO erasure_due (person, merchant, asked_ms, source) VALUES (:person, :merchant, :now, :source)"
    " ON CONFLICT (person) DO NOTHING"
)
_ALL_DUE = text("SELECT person, merchant, source FROM erasure_due ORDER BY asked_ms LIMIT :limit")
_OPENID = text("SELECT person FROM identity WHERE merchant = :merchant AND kind = 'wechat' AND value = :value")
_MINOR = text("SELECT sealed, agreed, since_ms FROM minor WHERE person = :person")
_SET_MINOR = text(
    'INSERT INTO minor (person, merchant, sealed, agreed, "by", since_ms)'
    " VALUES (:person, :merchant, :sealed, :agreed, :by, :now) ON CONFLICT (person) DO UPDATE SET"
    ' sealed = excluded.sealed, agreed = excluded.agreed, "by" = excluded."by", since_ms = excluded.since_ms'
)
_NO_MINOR = text("DELETE FROM minor WHERE person = :person")
_KEYS = text("SELECT appid, sealed_callback FROM wechat_app WHERE merchant = :merchant")
_SET_KEYS = text("UPDATE wechat_app SET sealed_callback = :sealed WHERE merchant = :merchant")


def forget(batch: Batch, command: Forget) -> Forgotten:
    """Forget parts, and take consents back. Raises NotFound."""
    person = known(batch, command.merchant, survivor(batch.connection, command.person)).person
    if "name" in command.what:
        batch.run(_NAME, ids=aliases_of(batch.connection, person))
    if "phone" in command.what:
        batch.run(_PHONE, person=person)
        batch.run(_PHONE_KEY, person=person)
    if "address" in command.what:
        batch.run(_ADDRESS, merchant=command.merchant, person=person)
    for purpose in command.purposes:
        batch.run(
            _WITHDRAW,
            id=batch.mint(),
            merchant=command.merchant,
            person=person,
            purpose=purpose,
            source=command.reason,
            now=batch.now_ms,
        )
    log(batch, command.merchant, person, command.by, "forget", f"{' '.join(command.what)}: {command.reason}"[:200])
    return Forgotten(person, erased=False)


def close_account(batch: Batch, command: CloseAccount) -> Forgotten:
    """Erase, or note that it is due. Raises NotFound."""
    try:
        erased = erase(batch, Erase(command.merchant, command.person, command.by, command.reason))
    except Refused as refused:
        if refused.code != "not_open":
            raise
        person = survivor(batch.connection, command.person)
        batch.run(_DUE, person=person, merchant=command.merchant, source=command.reason, now=batch.now_ms)
        log(batch, command.merchant, person, command.by, "erase_due", command.reason)
        return Forgotten(person, erased=False)
    return Forgotten(erased.person, erased=True)


# --- reads and rare writes -------------------------------------------------------------------------------------------


def holdings(db: Connection, merchant: str, person: str) -> dict[str, Any]:
    """All rows of a person, by table; ``left_out`` counts those of tables with more than ``ROWS_MAX``."""
    ids = aliases_of(db, person)
    found: dict[str, Any] = {}
    left_out: dict[str, int] = {}
    columns = {
        table: {column["name"] for column in those} for (_, table), those in inspect(db).get_multi_columns().items()
    }
    for held in held_of(columns):
        rows = list(db.execute(_rows_of(held), {"ids": ids, "limit": ROWS_MAX}).mappings())
        if rows:
            found[held.table] = [
                {name: value for name, value in row.items() if name not in held.hidden} for row in rows
            ]
        if len(rows) == ROWS_MAX:
            left_out[held.table] = int(db.execute(_count_of(held), {"ids": ids}).scalar_one()) - ROWS_MAX
    return {"tables": found, "left_out": {name: count for name, count in left_out.items() if count}}


def _where(held: Held) -> str:
    return " OR ".join(f"{column} IN :ids" for column in held.columns)


def _rows_of(held: Held) -> Any:
    statement = text(f"SELECT * FROM {held.table} WHERE {_where(held)} LIMIT :limit")
    return statement.bindparams(bindparam("ids", expanding=True))


def _count_of(held: Held) -> Any:
    statement = text(f"SELECT count(*) FROM {held.table} WHERE {_where(held)}")
    return statement.bindparams(bindparam("ids", expanding=True))


def due(db: Connection) -> list[tuple[str, str, str]]:
    """Erasures that wait: person, merchant, where it was asked."""
    return [(row.person, row.merchant, row.source) for row in db.execute(_ALL_DUE, {"limit": DUE_MAX})]


def by_openid(db: Connection, merchant: str, appid: str, openid: str) -> str | None:
    """Who has an openid in an app."""
    found = db.execute(_OPENID, {"merchant": merchant, "value": f"{appid}:{openid}"}).scalar_one_or_none()
    return None if found is None else str(found)


def minor(db: Connection, person: str) -> dict[str, Any] | None:
    """The record of somebody under 14, its text sealed."""
    row = db.execute(_MINOR, {"person": survivor(db, person)}).mappings().one_or_none()
    return None if row is None else {**row, "agreed": bool(row["agreed"])}


def set_minor(db: Connection, **row: Any) -> None:
    """Write a child's record, apart from all the rest."""
    db.execute(_SET_MINOR, row)


def grown(db: Connection, person: str) -> None:
    """They are 14: there is nothing to keep apart any more. Raises NotFound."""
    if not db.execute(_NO_MINOR, {"person": person}).rowcount:
        raise NotFound("this person is not kept as a child")


def callback_keys(db: Connection, merchant: str) -> tuple[str, str] | None:
    """The appid and the sealed keys of a mini-program's events."""
    row = db.execute(_KEYS, {"merchant": merchant}).one_or_none()
    return None if row is None or not row.sealed_callback else (row.appid, row.sealed_callback)


def set_callback_keys(db: Connection, merchant: str, sealed: str) -> None:
    """Keep the keys of a mini-program's events. Raises NotFound."""
    if not db.execute(_SET_KEYS, {"merchant": merchant, "sealed": sealed}).rowcount:
        raise NotFound("this shop has no mini-program yet")


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {Forget: forget, CloseAccount: close_account}
