"""Settlement files, their lines, the matching of clearing accounts: each function inside the caller's transaction."""

# ruff: noqa: S608 - the queries are put together of constants; every value is bound.

import gzip
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, text

from commerce.books_sql import CLEARED
from commerce.domain.chart import PROVIDER
from commerce.domain.clearing import CLEARING, Item, SettledLine, matched
from commerce.errors import Invalid
from commerce.fresh_ids import fresh_id
from commerce.sheet import FAULTS_SHOWN_MAX, Fault

FOR_EVER_MS = 1 << 52
AT_ONCE = 500
"""Names in one statement."""
ITEMS_MAX = 200_000
"""Open items that are looked at together: years of a shop that never took a file in."""

_TURN = text(
    "INSERT INTO clearing_turn (merchant, version, bank_ms) VALUES (:merchant, 1, :bank) ON CONFLICT (merchant)"
    " DO UPDATE SET version = clearing_turn.version + 1, bank_ms = coalesce(clearing_turn.bank_ms, excluded.bank_ms)"
    " RETURNING version"
)
_KNOWN = text(
    "SELECT id FROM settlement_file WHERE merchant = :merchant AND source = :source AND name = :name"
    " AND sha256 = :sha256"
)
_LAST = text(
    "SELECT closing FROM settlement_file WHERE merchant = :merchant AND source = :source AND name = :name"
    " AND closing IS NOT NULL ORDER BY turn DESC LIMIT 1"
)
_HERE = text(
    "SELECT number, amount, kind FROM settlement_line WHERE merchant = :merchant AND source = :source"
    " AND name = :name AND number IN :numbers"
).bindparams(bindparam("numbers", expanding=True))
_FILE = text(
    "INSERT INTO settlement_file (id, merchant, source, name, day, sha256, file, turn, lines, amount, closing,"
    " staff, created_ms) VALUES (:id, :merchant, :source, :name, :day, :sha256, :file, :turn, :lines, :amount,"
    " :closing, :staff, :now)"
)
_LINE = text(
    "INSERT INTO settlement_line (id, merchant, file, source, name, number, kind, key, other, amount, text, at_ms,"
    " created_ms) VALUES (:id, :merchant, :file, :source, :name, :number, :kind, :key, :other, :amount, :text, :at,"
    " :now)"
)
_FILES = text(
    "SELECT id, source, name, day, lines, amount, closing, staff, created_ms FROM settlement_file"
    " WHERE merchant = :merchant AND id < :before ORDER BY id DESC LIMIT :limit"
)
_RAW = text("SELECT name, file FROM settlement_file WHERE id = :id AND merchant = :merchant")
_FETCHED = text(
    "SELECT name, merchant, max(day) AS day FROM settlement_file WHERE source = 'provider' AND day <> ''"
    " GROUP BY name, merchant ORDER BY name, merchant"
)
_IMPORTED = text("SELECT DISTINCT source, name FROM settlement_file WHERE merchant = :merchant")
_IS_CLEARING = f"(p.account LIKE '{PROVIDER}.%' OR p.account IN ({', '.join(repr(code) for code in CLEARING)}))"
_OPEN = (
    f"SELECT p.account, p.kind, p.ref, min(p.at_ms) AS at_ms, sum(p.amount) AS amount, max(p.order_id) AS order_id"
    f" FROM ({CLEARED}) AS p WHERE {_IS_CLEARING} AND NOT EXISTS (SELECT 1 FROM clearing_match AS m"
    " WHERE m.merchant = :merchant AND m.account = p.account AND m.kind = p.kind AND m.ref = p.ref)"
    " GROUP BY p.account, p.kind, p.ref"
)
# What an item is called by its provider, by us, and when it happened out there.
_ITEMS = text(
    "SELECT i.account, i.kind, i.ref, i.at_ms, CAST(i.amount AS bigint) AS amount, i.order_id,"
    " CASE i.kind WHEN 'payment' THEN 'paid' WHEN 'given back' THEN 'refunded' WHEN 'courier' THEN 'courier'"
    " WHEN 'fee' THEN 'fee' ELSE coalesce(l.kind, '') END AS family,"
    " coalesce(e.number, r.number, l.key, fr.number, CASE WHEN i.kind IN ('courier', 'fee') THEN i.ref END, '') AS key,"
    " coalesce(e.payment, r.payment, l.other, fr.payment, fe.payment, '') AS other,"
    " coalesce(l.text, c.why, b.why, f.name, '') AS text, coalesce(l.at_ms, i.at_ms) AS when_ms"
    f" FROM ({_OPEN}) AS i LEFT JOIN payment_event AS e ON i.kind = 'payment' AND e.id = i.ref"
    " LEFT JOIN refund AS r ON i.kind = 'given back' AND r.id = i.ref"
    " LEFT JOIN refund AS fr ON i.kind = 'fee' AND fr.id = i.ref AND fr.merchant = :merchant"
    " LEFT JOIN payment_event AS fe ON i.kind = 'fee' AND fe.number = i.ref AND fe.kind = 'paid'"
    f" AND fe.merchant = :merchant AND i.account = '{PROVIDER}.' || fe.provider"
    " LEFT JOIN settlement_line AS l ON i.kind IN ('settled', 'payout', 'bank line', 'billed line') AND l.id = i.ref"
    " LEFT JOIN settlement_file AS f ON i.kind = 'billed' AND f.id = i.ref"
    " LEFT JOIN clearing AS c ON i.kind = 'closed' AND c.id = i.ref"
    " LEFT JOIN book_correction AS b ON i.kind = 'correction' AND b.id = i.ref"
    " WHERE i.amount <> 0 AND (:account = '' OR i.account = :account) ORDER BY when_ms, i.kind, i.ref LIMIT :limit"
)
_MATCH = text(
    "INSERT INTO clearing_match (merchant, account, kind, ref, match, amount)"
    " VALUES (:merchant, :account, :kind, :ref, :match, :amount)"
)
_CLOSE = text(
    "INSERT INTO clearing (id, merchant, account, against, amount, items, why, staff, created_ms)"
    " VALUES (:id, :merchant, :account, :against, :amount, :items, :why, :staff, :now)"
)
_CLOSED = text(
    "SELECT c.id, c.account, c.against, c.amount, c.items, c.why, c.staff, coalesce(s.name, '') AS name, c.created_ms"
    " FROM clearing AS c LEFT JOIN staff AS s ON s.id = c.staff"
    " WHERE c.merchant = :merchant AND c.id < :before ORDER BY c.id DESC LIMIT :limit"
)
_THEIRS = frozenset({"settled", "bank line", "billed line", "billed"})
"""Kinds of items that somebody's file says; a payout is in the provider's, and ours to the bank."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that was taken in, or why not: ``again`` it was there, ``known`` of its ``lines`` were there before.

    Nothing is written when there are ``faults``.
    """

    file: str
    again: bool
    lines: int
    known: int
    matched: int
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A file to be taken in: whose, of which source and name, its bytes and what was read of it."""

    merchant: str
    source: str
    name: str
    day: str
    raw: bytes
    sha256: str
    lines: Sequence[SettledLine]
    opening: int | None
    staff: str


def take_turn(db: Connection, merchant: str, bank_ms: int | None = None) -> int:
    """Wait for others who match; which turn it is. ``bank_ms``: from now on drawers' deposits wait for the bank."""
    return int(db.execute(_TURN, {"merchant": merchant, "bank": bank_ms}).scalar_one())


def take_file(db: Connection, told: Told, now_ms: int) -> Taken:
    """Write a file and its lines, all or nothing, and match what it settles."""
    where = {"merchant": told.merchant, "source": told.source, "name": told.name}
    turn = take_turn(db, told.merchant, now_ms if told.source == "bank" else None)
    known = db.execute(_KNOWN, {**where, "sha256": told.sha256}).scalar()
    if known is not None:
        return Taken(str(known), True, len(told.lines), len(told.lines), 0, ())
    here = _here(db, where, [line.number for line in told.lines])
    faults = [
        Fault(n, "number", f"{line.number} was taken in before, with another amount or kind")
        for n, line in enumerate(told.lines, start=2)
        if line.number in here and here[line.number] != (line.amount, line.kind)
    ]
    fresh = [line for line in told.lines if line.number not in here]
    last = db.execute(_LAST, where).scalar()
    opening, closing = (None, None) if told.opening is None or not fresh else (_before(fresh[0]), fresh[-1].balance)
    if opening is not None and not faults:
        if last is not None and opening != last:
            faults.append(Fault(0, "balance", _gap(opening, last)))
        elif opening + sum(line.amount for line in fresh) != closing:
            faults.append(Fault(0, "balance", "lines that were taken in before stand between new ones: leave them out"))
    if faults:
        return Taken("", False, len(told.lines), len(here), 0, tuple(faults[:FAULTS_SHOWN_MAX]))
    if opening and last is None and told.source == "provider":
        first = SettledLine(f"opening-{told.sha256[:16]}", "opening", "", opening, fresh[0].at_ms - 1)
        fresh = [first, *fresh]
    file = fresh_id(now_ms)
    total = sum(line.amount for line in fresh)
    row: dict[str, Any] = {"id": file, "day": told.day, "sha256": told.sha256, "file": gzip.compress(told.raw, mtime=0)}
    row |= {"lines": len(fresh), "amount": total, "closing": closing, "staff": told.staff, "now": now_ms}
    row["turn"] = turn
    db.execute(_FILE, {**where, **row})
    if fresh:
        db.execute(_LINE, [_row(where, file, line, now_ms) for line in fresh])
    return Taken(file, False, len(told.lines), len(here), match_all(db, told.merchant, now_ms), ())


def _row(where: Mapping[str, str], file: str, line: SettledLine, now_ms: int) -> dict[str, Any]:
    about = {"id": fresh_id(now_ms), "file": file, "number": line.number, "kind": line.kind, "key": line.key}
    more = {"other": line.other, "amount": line.amount, "text": line.text, "at": line.at_ms, "now": now_ms}
    return {**where, **about, **more}


def _before(first: SettledLine) -> int:
    """The balance before a line."""
    assert first.balance is not None
    return first.balance - first.amount


def _gap(opening: int, last: int) -> str:
    return (
        f"before its first new line the balance is {opening / 100:.2f}, and the files up to now end with"
        f" {last / 100:.2f}: take in what lies between first"
    )


def _here(db: Connection, where: Mapping[str, str], numbers: Sequence[str]) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for start in range(0, len(numbers), AT_ONCE):
        asked = {**where, "numbers": numbers[start : start + AT_ONCE]}
        found |= {row.number: (int(row.amount), row.kind) for row in db.execute(_HERE, asked)}
    return found


def open_items(db: Connection, merchant: str, account: str = "") -> list[Item]:
    """All open items of the clearing accounts, or of one, the oldest first. Raises Invalid when there are too many."""
    asked = {"merchant": merchant, "account": account, "since": 0, "until": FOR_EVER_MS, "limit": ITEMS_MAX + 1}
    items = [
        Item(
            row.account, row.kind, row.ref, int(row.amount), row.at_ms, row.when_ms, row.family, row.key, row.other,
            row.order_id, row.text, row.kind not in _THEIRS,
        )
        for row in db.execute(_ITEMS, asked)
    ]  # fmt: skip
    if len(items) > ITEMS_MAX:
        raise Invalid(f"more than {ITEMS_MAX} open items: close the oldest by a day first", field="account")
    return items


def match_all(db: Connection, merchant: str, now_ms: int) -> int:
    """Match what belongs together; how many items that were. The caller has the turn."""
    groups = matched(open_items(db, merchant))
    rows = [row for group in groups for row in _rows(merchant, fresh_id(now_ms), group)]
    if rows:
        db.execute(_MATCH, rows)
    return len(rows)


def _rows(merchant: str, match: str, items: Iterable[Item]) -> list[dict[str, Any]]:
    return [
        {"merchant": merchant, "account": one.account, "kind": one.kind, "ref": one.ref, "match": match,
         "amount": one.amount}
        for one in items
    ]  # fmt: skip


def close_items(
    db: Connection, merchant: str, account: str, items: Sequence[Item], against: str, why: str, staff: str, now_ms: int
) -> str:
    """Match items by hand; what they come to is booked to ``against``. The match's id. The caller has the turn."""
    left = sum(one.amount for one in items)
    match = fresh_id(now_ms)
    row = {"id": match, "merchant": merchant, "account": account, "against": against, "amount": left}
    db.execute(_CLOSE, {**row, "items": len(items), "why": why, "staff": staff, "now": now_ms})
    rows = _rows(merchant, match, items)
    if left:
        rows.append({"merchant": merchant, "account": account, "kind": "closed", "ref": match, "match": match,
                     "amount": -left})  # fmt: skip
    db.execute(_MATCH, rows)
    return match


def imported(db: Connection, merchant: str) -> set[tuple[str, str]]:
    """(source, name) of which files were ever taken in."""
    return {(row.source, row.name) for row in db.execute(_IMPORTED, {"merchant": merchant})}


def list_files(db: Connection, merchant: str, before: str, limit: int) -> list[dict[str, Any]]:
    """The files, newest first."""
    asked = {"merchant": merchant, "before": before, "limit": limit}
    return [dict(row) for row in db.execute(_FILES, asked).mappings()]


def read_raw(db: Connection, merchant: str, file: str) -> tuple[str, bytes] | None:
    """A file's name and bytes as it came."""
    row = db.execute(_RAW, {"merchant": merchant, "id": file}).one_or_none()
    return None if row is None else (row.name, gzip.decompress(row.file))


def list_closed(db: Connection, merchant: str, before: str, limit: int) -> list[dict[str, Any]]:
    """What was matched by hand, newest first."""
    asked = {"merchant": merchant, "before": before, "limit": limit}
    return [dict(row) for row in db.execute(_CLOSED, asked).mappings()]


def last_fetched(db: Connection) -> list[tuple[str, str, str]]:
    """(provider, merchant, day) of the last file that was fetched of each."""
    return [(row.name, row.merchant, row.day) for row in db.execute(_FETCHED)]
