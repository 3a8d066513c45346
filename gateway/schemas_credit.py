"""Bodies and answers of sale on account, as msgspec structs. Money is integer 分, times are Unix milliseconds."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from commerce.credit import NOTE_CHARACTERS_MAX
from commerce.domain.credit import DAYS_MAX, NAME_CHARACTERS_MAX, REFERENCE_CHARACTERS_MAX
from commerce.domain.refund import REASON_CHARACTERS_MAX
from gateway.schemas import OrderView
from gateway.schemas_base import Body, Cents, Id, Template, TemplateField
from gateway.schemas_payments import Payer, PaymentMethod, PaymentView, ProviderName


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


class RepayBody(Body, kw_only=True):
    """``amount`` of what is owed, of one ``order``'s debt or of the oldest; by which provider, as orders are paid."""

    amount: Cents
    order: Id | None = None
    provider: ProviderName = ""
    method: PaymentMethod = ""
    payer: Payer = ""


class ReminderBody(Body, kw_only=True):
    """What the debtor reads beside the sum that is overdue."""

    note: Annotated[str, Meta(max_length=NOTE_CHARACTERS_MAX)] = ""


class CreditNoticeBody(Body, kw_only=True):
    """How debtors are told that something comes due, is overdue, or is asked for, by templates of a ``channel``.

    ``fields``: the template's field → amount (yuan), due (the day) or orders (how many). ``page``: where a subscribe
    message leads. An empty template tells nobody of that; ``overdue_template`` is that of reminders, too.
    """

    channel: Literal["subscribe", "sms"]
    due_template: Template = ""
    overdue_template: Template = ""
    fields: Annotated[dict[TemplateField, Literal["amount", "due", "orders"]], Meta(max_length=5)] = field(
        default_factory=dict
    )
    page: Annotated[str, Meta(max_length=128)] = ""


class CreditNoticeAnswer(Struct):
    """``channel`` is null while nobody is told outside the page."""

    channel: str | None
    due_template: str = ""
    overdue_template: str = ""
    fields: dict[str, str] = {}
    page: str = ""


class RepaymentView(Struct):
    """Money paid through a provider: ``applied`` lowered debts, ``back`` was too much and goes back.

    ``state`` is open, paid or ended; money that comes for an ended one still counts.
    """

    repayment: str
    person: str
    amount: int
    applied: int
    order: str | None
    state: Literal["open", "paid", "ended"]
    provider: str
    created: int
    expires: int
    paid: int | None
    back: int
    returned: int
    failed: int


class RepaidAnswer(Struct):
    """The repayment; with ``payment`` while there is something to be done."""

    repayment: RepaymentView
    payment: PaymentView | None = None


class ReminderView(Struct):
    """When a debtor was asked for what was overdue then, by whom and in which words."""

    at: int
    overdue: int
    note: str
    staff: str


class DunningView(Struct):
    """A debtor with something overdue ``since`` some time; ``repaid`` is when money came last, ``note`` the last words.

    ``open`` is false when nothing more is sold to them on account.
    """

    person: str
    name: str
    owed: int
    overdue: int
    orders: int
    since: int
    days: int
    repaid: int | None
    reminders: int
    reminded: int | None
    note: str
    open: bool


class HeardAnswer(Struct):
    """What a payment was for whose provider was asked: an order, or a repayment."""

    order: OrderView | None = None
    repayment: RepaymentView | None = None


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
    repayments: list[RepaymentView] = []
    reminders: list[ReminderView] = []
