"""Keeps providers' daily files, and compares each with what we booked."""

import gzip
import hashlib
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import Connection, text

from commerce.domain.bill import Bill, BillLine, Booked, Reconciliation, key_of, reconcile
from commerce.domain.day import DAY_MS, day_bounds_ms, day_of

_KEEP = text(
    "INSERT INTO bill (provider, day, file, lines, sha256, fetched_ms)"
    " VALUES (:provider, :day, :file, :lines, :sha256, :now)"
    " ON CONFLICT (provider, day) DO UPDATE SET file = excluded.file, lines = excluded.lines,"
    " sha256 = excluded.sha256, fetched_ms = excluded.fetched_ms"
)
# Dated to when it was first known, and never again: books of a day that is over do not change.
_FEE = text(
    "INSERT INTO provider_fee (provider, kind, number, merchant, fee, known_ms)"
    " VALUES (:provider, :kind, :number, coalesce((SELECT p.merchant FROM payment AS p WHERE p.id = :payment"
    " AND p.provider = :of), :merchant), :fee, :now) ON CONFLICT (provider, kind, number) DO NOTHING"
)
_KEPT = text("SELECT lines, sha256, fetched_ms FROM bill WHERE provider = :provider AND day = :day")
_FILE = text("SELECT file FROM bill WHERE provider = :provider AND day = :day")
_DAYS = text("SELECT day FROM bill WHERE provider = :provider AND day >= :since")
_LISTED = text("SELECT provider, day FROM bill WHERE day = :day ORDER BY provider")
_PAID = (
    "SELECT 'paid' AS kind, e.number, e.payment, '' AS refund, e.amount, p.order_id, p.state, p.merchant, e.received_ms"
    " AS at_ms FROM payment_event AS e JOIN payment AS p ON p.id = e.payment AND p.provider = e.provider"
    " WHERE e.kind = 'paid' AND e.provider = :provider"
)
_REFUNDED = (
    "SELECT 'refunded' AS kind, coalesce(r.number, '') AS number, r.payment, r.id AS refund, r.amount, r.order_id,"
    " r.state, r.merchant, r.done_ms AS at_ms FROM refund AS r WHERE r.provider = :provider"
)
_PAID_BETWEEN = text(f"{_PAID} AND e.received_ms >= :since AND e.received_ms < :until")
_PAID_UNDER = text(f"{_PAID} AND e.number = :key")
_REFUNDED_BETWEEN = text(f"{_REFUNDED} AND r.done_ms >= :since AND r.done_ms < :until")
_REFUNDED_UNDER = text(f"{_REFUNDED} AND r.id = :key")
_OWNER = text("SELECT merchant FROM payment WHERE id = :id AND provider = :provider")


def keep_bill(connection: Connection, provider: str, day: str, bill: Bill, now_ms: int) -> None:
    """Keep a file, in place of an earlier one of that day, and book the fees that it is the first to tell of."""
    parameters = {
        "provider": provider,
        "day": day,
        "file": gzip.compress(bill.raw, mtime=0),
        "lines": orjson.dumps([asdict(line) for line in bill.lines]).decode(),
        "sha256": hashlib.sha256(bill.raw).hexdigest(),
        "now": now_ms,
    }
    connection.execute(_KEEP, parameters)
    fees = [
        {
            "provider": provider,
            "of": provider,
            "kind": kind,
            "number": number,
            "payment": line.payment,
            "merchant": line.merchant,
            "fee": line.fee,
            "now": now_ms,
        }
        for line in bill.lines
        if line.fee
        for kind, number in [key_of(line)]
    ]
    if fees:
        connection.execute(_FEE, fees)


def read_file(connection: Connection, provider: str, day: str) -> bytes | None:
    """A file as it came."""
    packed = connection.execute(_FILE, {"provider": provider, "day": day}).scalar_one_or_none()
    return None if packed is None else gzip.decompress(packed)


def kept_days(connection: Connection, provider: str, since: str) -> set[str]:
    """The days from ``since`` on whose files are here."""
    return set(connection.execute(_DAYS, {"provider": provider, "since": since}).scalars())


def kept_providers(connection: Connection, day: str) -> list[str]:
    """The providers whose file of a day is here."""
    return [row.provider for row in connection.execute(_LISTED, {"day": day})]


def read_reconciliation(
    connection: Connection, provider: str, day: str, merchant: str | None = None, *, alone: bool = False
) -> Reconciliation | None:
    """The report of a provider's day, or None while its file is not here.

    ``merchant``: only what is theirs by our books, or by the file; ``alone`` when the account serves nobody else.
    """
    kept = connection.execute(_KEPT, {"provider": provider, "day": day}).one_or_none()
    if kept is None:
        return None
    lines = _lines(kept.lines)
    since_ms, until_ms = day_bounds_ms(day)
    ours = _booked(connection, provider, lines, since_ms, until_ms)
    if merchant is not None:
        lines = [line for line in lines if alone or _owner(connection, provider, line, ours) == merchant]
        ours = {key: (one, at_ms) for key, (one, at_ms) in ours.items() if one.merchant == merchant}
    today = frozenset(key for key, (one, at_ms) in ours.items() if since_ms <= (at_ms or 0) < until_ms)
    neighbours = frozenset(
        key_of(line)
        for at_ms in (since_ms - 1, until_ms)
        for row in connection.execute(_KEPT, {"provider": provider, "day": day_of(at_ms)})
        for line in _lines(row.lines)
    )
    booked = [one for one, _ in ours.values()]
    return reconcile(day, provider, kept.sha256, kept.fetched_ms, lines, booked, neighbours, today)


def _lines(stored: str) -> list[BillLine]:
    return [BillLine(**line) for line in orjson.loads(stored)]


_Ours = dict[tuple[str, str], tuple[Booked, int | None]]


def _booked(connection: Connection, provider: str, lines: Iterable[BillLine], since_ms: int, until_ms: int) -> _Ours:
    """What we booked around a day, and all that we know under the numbers of the file."""
    around = {"provider": provider, "since": since_ms - DAY_MS, "until": until_ms + DAY_MS}
    ours: _Ours = {}
    for statement in (_PAID_BETWEEN, _REFUNDED_BETWEEN):
        for row in connection.execute(statement, around):
            _enter(ours, row)
    for line in lines:
        kind, key = key_of(line)
        if (kind, key) not in ours:
            statement = _PAID_UNDER if kind == "paid" else _REFUNDED_UNDER
            for row in connection.execute(statement, {"provider": provider, "key": key}):
                _enter(ours, row)
    return ours


def _enter(ours: _Ours, row: Any) -> None:
    one = Booked(row.kind, row.number, row.payment, row.refund, row.amount, row.order_id, row.state, row.merchant)
    ours[key_of(one)] = (one, row.at_ms)


def _owner(connection: Connection, provider: str, line: BillLine, ours: _Ours) -> str:
    """Whose a movement is: by our books, by the payment, or by what the file carries; empty when nobody can tell."""
    mine = ours.get(key_of(line))
    if mine is not None:
        return mine[0].merchant
    found = connection.execute(_OWNER, {"id": line.payment, "provider": provider}).scalar_one_or_none()
    return str(found or line.merchant)
