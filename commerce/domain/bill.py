"""A provider's file of one day against our books of that day.

Lines are matched by the provider's number (payments) and by our number (refunds), never by time: a payment of 23:59:59
may be told of after midnight. What we booked in the day is looked for in the files of the day before and after as well.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

LINES_SHOWN_MAX = 500
"""Differences listed per report; ``counts`` tells of more."""


@dataclass(frozen=True, slots=True)
class BillLine:
    """One movement in the provider's file. ``kind`` is paid or refunded; ``refund`` is ours, of a refund.

    ``amount`` and ``fee`` in 分; a refund's fee is negative when the provider gives it back. ``merchant`` is ours where
    the file carries it.
    """

    kind: str
    number: str
    payment: str
    refund: str
    amount: int
    fee: int
    merchant: str = ""


@dataclass(frozen=True, slots=True)
class Bill:
    """A file: ``raw`` as it came (unpacked), and its lines."""

    raw: bytes
    lines: tuple[BillLine, ...]


@dataclass(frozen=True, slots=True)
class Booked:
    """One movement in our books; ``state`` as we have it (settled, done, requested …)."""

    kind: str
    number: str
    payment: str
    refund: str
    amount: int
    order: str
    state: str
    merchant: str


@dataclass(frozen=True, slots=True)
class Difference:
    """``what`` is not_here (only the provider has it), not_there (only we have it) or amount (both, differently).

    ``there`` and ``here`` are the amounts in 分, None where it is missing.
    """

    what: str
    kind: str
    number: str
    payment: str
    refund: str
    order: str
    merchant: str
    there: int | None
    here: int | None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The report of one provider's day, in 分; ``net`` is paid − refunded − fees: what the bank should bring."""

    day: str
    provider: str
    sha256: str
    fetched: int
    paid: int
    paid_amount: int
    refunded: int
    refunded_amount: int
    fees: int
    net: int
    matched: int
    counts: Mapping[str, int]
    differences: tuple[Difference, ...]


def key_of(line: BillLine | Booked) -> tuple[str, str]:
    """What makes a movement one: the provider's number of a payment, ours of a refund."""
    return (line.kind, line.refund if line.kind == "refunded" else line.number)


def reconcile(
    day: str,
    provider: str,
    sha256: str,
    fetched_ms: int,
    lines: Iterable[BillLine],
    booked: Iterable[Booked],
    neighbours: frozenset[tuple[str, str]],
    today: frozenset[tuple[str, str]],
) -> Reconciliation:
    """Compare a file with what we booked.

    ``booked`` has all that we know under the numbers of the file, and all that we booked in the day (whose keys are
    ``today``); ``neighbours`` are the keys in the files of the day before and after.
    """
    ours = {key_of(one): one for one in booked}
    found: list[Difference] = []
    seen: set[tuple[str, str]] = set()
    paid = paid_amount = refunded = refunded_amount = fees = matched = 0
    for line in lines:
        key = key_of(line)
        seen.add(key)
        fees += line.fee
        if line.kind == "paid":
            paid, paid_amount = paid + 1, paid_amount + line.amount
        else:
            refunded, refunded_amount = refunded + 1, refunded_amount + line.amount
        mine = ours.get(key)
        if mine is None:
            found.append(
                Difference(
                    "not_here", *key_fields(line), order="", merchant=line.merchant, there=line.amount, here=None
                )
            )
        elif mine.amount != line.amount:
            found.append(_difference("amount", mine, line.amount))
        else:
            matched += 1
    found += [_difference("not_there", ours[key], None) for key in sorted(today - seen - neighbours)]
    counts = {what: sum(one.what == what for one in found) for what in ("not_here", "not_there", "amount")}
    return Reconciliation(
        day=day,
        provider=provider,
        sha256=sha256,
        fetched=fetched_ms,
        paid=paid,
        paid_amount=paid_amount,
        refunded=refunded,
        refunded_amount=refunded_amount,
        fees=fees,
        net=paid_amount - refunded_amount - fees,
        matched=matched,
        counts=counts,
        differences=tuple(found[:LINES_SHOWN_MAX]),
    )


def key_fields(line: BillLine | Booked) -> tuple[str, str, str, str]:
    """Kind, number, payment and refund of a movement."""
    return (line.kind, line.number, line.payment, line.refund)


def _difference(what: str, mine: Booked, there: int | None) -> Difference:
    return Difference(what, *key_fields(mine), order=mine.order, merchant=mine.merchant, there=there, here=mine.amount)
