"""Clearing accounts: what waits until somebody else's paper says the same. Pure; amounts in 分, debits positive.

    1012.NAME   what a provider told of, until its settlement file has it      1013.NAME   its balance by that file
    1002.01     paid out by providers, paid in from drawers, until the bank's statement has it
    2202.03     what couriers told an errand costs, until their bill has it     2202.04     their bills, until paid

Each posting on such an account is an item. Items that belong together and come to nothing are matched; an account is
what its open items come to. A file's line and our booking belong together by the provider's number, else by our own
number and the amount; on the bank's account, which knows neither, by the amount and the days between.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from commerce.domain.chart import BANK_CLEARING, BILLED, COURIERS, PROVIDER
from commerce.domain.day import DAY_MS

CLEARING = (BANK_CLEARING, COURIERS, BILLED)
"""With the accounts of providers, whose names are their own."""
BANK_DAYS_MAX = 10
"""Days between a payout and its line at the bank: a long holiday."""
AGES = ("to_2", "to_7", "to_30", "over_30")
"""Ages of open items in days."""
WAIT_DAYS = {"provider": 2, "bank": 4, "courier": 35}
"""Days after which somebody should ask: files come the next morning, banks rest on holidays, couriers bill monthly."""
PROVIDER_KINDS = ("paid", "refunded", "fee", "payout", "other", "opening")
"""Kinds of lines in a provider's file; opening is what it had before the first file that we have."""


@dataclass(frozen=True, slots=True)
class SettledLine:
    """One line of somebody's file: ``number`` is its own, ``key`` what it is about, ``other`` a second name of that.

    ``amount`` is what it adds to (below 0: takes from) the balance there, of couriers what they ask. ``balance`` is the
    balance after it, where the file says so; ``merchant`` is ours where one file is of several.
    """

    number: str
    kind: str
    key: str
    amount: int
    at_ms: int
    text: str = ""
    other: str = ""
    balance: int | None = None
    merchant: str = ""


@dataclass(frozen=True, slots=True)
class Funds:
    """A provider's file of what moved in our account there: ``raw`` as it came (unpacked), and its lines."""

    raw: bytes
    lines: tuple[SettledLine, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """An open item: a posting (``kind``, ``ref``) on ``account``; ``when_ms`` is when it happened out there.

    ``ours``: we booked it; else somebody's file says it.
    """

    account: str
    kind: str
    ref: str
    amount: int
    at_ms: int
    when_ms: int
    family: str
    key: str
    other: str
    order: str
    text: str
    ours: bool


def is_clearing(account: str) -> bool:
    """Whether an account is one whose items are matched."""
    return account in CLEARING or account.startswith(f"{PROVIDER}.")


def matched(items: Iterable[Item]) -> list[list[Item]]:
    """Groups of items that belong together and come to nothing; no item is in two of them."""
    by_account: defaultdict[str, list[Item]] = defaultdict(list)
    for item in sorted(items, key=lambda one: (one.when_ms, one.kind, one.ref)):
        by_account[item.account].append(item)
    groups: list[list[Item]] = []
    for account, here in sorted(by_account.items()):
        found = list(_by_key(here))
        found += _pairs(_without(here, found), account)
        groups += found
    return groups


def _by_key(items: Sequence[Item]) -> Iterator[list[Item]]:
    named: defaultdict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        if item.key:
            named[item.family, item.key].append(item)
    return (group for group in named.values() if len(group) > 1 and sum(one.amount for one in group) == 0)


def _pairs(items: Sequence[Item], account: str) -> Iterator[list[Item]]:
    """One of ours with one of theirs, of equal amount: the oldest with the oldest."""
    waiting: defaultdict[tuple[str, str, int], deque[Item]] = defaultdict(deque)
    bank = account in (BANK_CLEARING, BILLED)
    for item in items:
        name = ("", "") if bank else (item.family, item.other)
        if not (bank or item.other):
            continue
        line = waiting[*name, -item.amount]
        while line and account == BANK_CLEARING and item.when_ms - line[0].when_ms > BANK_DAYS_MAX * DAY_MS:
            line.popleft()
        if line and line[0].ours != item.ours:
            yield [line.popleft(), item]
        else:
            waiting[*name, item.amount].append(item)


def _without(items: Sequence[Item], groups: Sequence[Sequence[Item]]) -> list[Item]:
    gone = {(one.kind, one.ref) for group in groups for one in group}
    return [one for one in items if (one.kind, one.ref) not in gone]


def age(item: Item, now_ms: int) -> str:
    """Which of ``AGES``."""
    days = (now_ms - item.when_ms) // DAY_MS
    return AGES[0] if days <= 2 else AGES[1] if days <= 7 else AGES[2] if days <= 30 else AGES[3]


def todo(item: Item, now_ms: int, *, imported: bool, twin: bool) -> str:
    """What the accountant does about an open item, as a code.

    ``imported``: files of that side were ever taken in; ``twin``: another open item has its key, with another amount.
    """
    if twin:
        return "amount"
    side = "provider" if item.account.startswith(f"{PROVIDER}.") else "courier"
    side = "bank" if item.account == BANK_CLEARING else side
    if item.kind == "closed":
        return "match"
    if item.account == BILLED:
        return "pay"
    if item.ours:
        if not imported:
            return "import"
        return "wait" if now_ms - item.when_ms <= WAIT_DAYS[side] * DAY_MS else f"ask_{side}"
    if item.family == "opening":
        return "opening"
    return "unknown" if side == "provider" and item.family in ("paid", "refunded") else "name"
