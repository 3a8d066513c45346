"""Bodies and answers of settlements, as msgspec structs. Money is integer 分, debits positive."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from commerce.settlements import CLOSED_AT_ONCE
from gateway.schemas_accounting import Code, Day, Reason
from gateway.schemas_base import Body, Id, Millis

Word = Annotated[str, Meta(min_length=1, max_length=64)]


class LineFaultView(Struct):
    """What is wrong with a line, and in which column; line 0 is the whole file."""

    line: int
    column: str
    message: str


class TakenAnswer(Struct):
    """A file that was taken in: ``again`` it was there, ``known`` of its lines were; ``matched`` items were settled.

    Nothing was written while there are ``faults``.
    """

    file: str
    again: bool
    lines: int
    known: int
    matched: int
    faults: list[LineFaultView]


class FetchFundsBody(Body, kw_only=True):
    """A provider and the day of its file (资金账单, 账务明细)."""

    provider: Annotated[str, Meta(min_length=1, max_length=32)]
    day: Day


class SettlementFileView(Struct):
    """``day`` of one that was fetched; ``closing`` is the balance at its end, where it says one."""

    id: str
    source: Literal["provider", "bank", "courier"]
    name: str
    day: str
    lines: int
    amount: int
    closing: int | None
    staff: str
    created_ms: Millis


class SettlementFilePage(Struct):
    items: list[SettlementFileView]
    next: str | None


class ClearingAges(Struct):
    """分 by the days since it happened."""

    to_2: int
    to_7: int
    to_30: int
    over_30: int


class ClearingView(Struct):
    """A clearing account: what its open items come to, how many they are and how old."""

    account: str
    name: str
    english: str
    open: int
    items: int
    ages: ClearingAges
    oldest: Millis


class ItemView(Struct):
    """An open item: a posting (``kind``, ``ref``) that nothing matches yet.

    ``when_ms`` is when it happened, ``at_ms`` when the books had it. ``key`` is its number at the provider, or of the
    errand. ``ours``: we booked it; else a file says it. ``todo``: what to do about it.
    """

    account: str
    kind: str
    ref: str
    amount: int
    at_ms: Millis
    when_ms: Millis
    family: str
    key: str
    other: str
    order: str
    text: str
    ours: bool
    age: Literal["to_2", "to_7", "to_30", "over_30"]
    todo: Literal[
        "amount",
        "ask_bank",
        "ask_courier",
        "ask_provider",
        "import",
        "match",
        "name",
        "opening",
        "pay",
        "unknown",
        "wait",
    ]


class ItemPage(Struct):
    """``next`` is how many to skip for the next page, or null."""

    items: list[ItemView]
    next: int | None


class ItemBody(Body, kw_only=True):
    kind: Word
    ref: Word


class CloseItemsBody(Body, kw_only=True):
    """Close ``items`` of an account together, or all ``through`` a day; what they come to goes to ``against``."""

    account: Code
    why: Reason
    items: Annotated[list[ItemBody], Meta(max_length=CLOSED_AT_ONCE)] = field(default_factory=list)
    through: Annotated[str, Meta(max_length=10)] = ""
    against: Annotated[str, Meta(max_length=32)] = ""


class CloseItemsAnswer(Struct):
    """``amount`` is what was booked to ``against``."""

    id: Id
    items: int
    amount: int


class MatchedAnswer(Struct):
    """How many items found their other side."""

    matched: int


class ClosedView(Struct):
    id: str
    account: str
    against: str
    amount: int
    items: int
    why: str
    staff: str
    name: str
    created_ms: Millis


class ClosedPage(Struct):
    items: list[ClosedView]
    next: str | None
