"""Bodies and answers of sale on account, as msgspec structs. Money is integer 分, times are Unix milliseconds."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from commerce.domain.credit import DAYS_MAX, NAME_CHARACTERS_MAX, REFERENCE_CHARACTERS_MAX
from commerce.domain.refund import REASON_CHARACTERS_MAX
from gateway.schemas_base import Body, Cents, Id


class CreditLineBody(Body, kw_only=True):
    """``most`` 分 may be owed, each order for ``days``; ``open`` false: nothing is added to what is owed."""

    most: Cents
    days: Annotated[int, Meta(ge=1, le=DAYS_MAX)]
    name: Annotated[str, Meta(max_length=NAME_CHARACTERS_MAX, description="of a business")] = ""
    open: bool = True


class CreditBookingBody(Body, kw_only=True):
    """Money that came (``repaid``), a debt given up (``lost``, with a reason), money given back (``given``)."""

    kind: Literal["repaid", "lost", "given"]
    amount: Cents = 0
    order: Id | None = None
    reference: Annotated[str, Meta(max_length=REFERENCE_CHARACTERS_MAX, description="of the bank's slip")] = ""
    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)] = ""


class AgesView(Struct):
    """What is owed by days past due."""

    not_due: int
    to_30: int
    to_60: int
    to_90: int
    over_90: int


class CreditView(Struct):
    """An account: ``owed`` by the person, ``spare`` by the shop, ``free`` to order for, ``overdue`` of what is owed."""

    person: str
    name: str
    most: int
    days: int
    open: bool
    owed: int
    spare: int
    free: int
    overdue: int
    ages: AgesView


class CreditPage(Struct):
    items: list[CreditView]
    next: str | None = None


class DebtView(Struct):
    """What one order owes: ``left`` of ``amount``."""

    order: str
    amount: int
    repaid: int
    returned: int
    lost: int
    left: int
    due: int
    created: int
    closed: int | None


class CreditEntryView(Struct):
    """A line of a statement; ``owed`` is what was owed after it, below 0 by the shop."""

    at: int
    why: str
    ref: str
    amount: int
    owed: int


class StatementOfCredit(Struct):
    """An account with its debts and all that made it; ``account`` is null of who has none."""

    account: CreditView | None
    debts: list[DebtView]
    entries: list[CreditEntryView]
