"""What settlements book, each when its file was taken in.

provider     1013.NAME                 1012.NAME   (what the file says came in; the other way round what went out)
payout       1002.01                   1013.NAME
bank         1002                      1002.01     (the other way round, what went out)
courier      2202.03                   2202.04     (what the bill asks for)
closed       as the accountant says                the clearing account
"""

from collections.abc import Iterable

from commerce.domain.chart import BANK, BANK_CLEARING, BILLED, COURIERS, DRAWERS, PROVIDER, SETTLED
from commerce.postings import both, posting

_MINE = "l.merchant = :merchant AND l.source = '{}'"


def settled_parts() -> Iterable[str]:
    """The postings of settlements, a statement each."""
    line = ("l.id", "''", "settlement_line AS l")
    there = f"'{SETTLED}.' || l.name"
    mine = f"{_MINE.format('provider')} AND l.kind"
    yield from both(
        "settled", "l.created_ms", there, f"'{PROVIDER}.' || l.name", "l.amount", *line, f"{mine} <> 'payout'"
    )
    yield from both(
        "payout", "l.created_ms", f"'{BANK_CLEARING}'", there, "-l.amount", *line, f"{mine} = 'payout'"
    )  # fmt: skip
    yield from both(
        "bank line", "l.created_ms", f"'{BANK}'", f"'{BANK_CLEARING}'", "l.amount", *line, _MINE.format("bank")
    )
    billed = _MINE.format("courier")
    yield posting("billed line", "l.created_ms", f"'{COURIERS}'", "l.amount", *line, billed)
    # A bill is paid as a whole: its lines are one item.
    yield posting("billed", "l.created_ms", f"'{BILLED}'", "-l.amount", "l.file", "''", "settlement_line AS l", billed)
    yield from both(
        "closed", "c.created_ms", "c.against", "c.account", "c.amount", "c.id", "''", "clearing AS c",
        "c.merchant = :merchant AND c.amount <> 0",
    )  # fmt: skip


def banked_parts() -> Iterable[str]:
    """What drawers paid in: it waits for the bank's statement from the first of these on."""
    since = "(SELECT b.bank_ms FROM clearing_turn AS b WHERE b.merchant = c.merchant)"
    place = f"CASE WHEN c.at_ms > coalesce({since}, c.at_ms) THEN '{BANK_CLEARING}' ELSE '{BANK}' END"
    count = ("c.id", "''", "till_close AS c", "c.merchant = :merchant")
    yield from both("banked", "c.at_ms", place, f"'{DRAWERS}'", "c.banked", *count)
