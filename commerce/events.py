"""What happened in the shop, as told by the outbox: at least once, each with an id to drop repeats by.

The ``*View`` values are the JSON shapes that clients see (money in 分, times in Unix milliseconds).
"""

from dataclasses import dataclass, field
from typing import Any

from commerce.domain.credit import DebtNotice, RepaymentView


@dataclass(frozen=True, slots=True)
class SaleView:
    """A flash sale. ``state`` is scheduled, countdown, open, paused, sold_out or closed."""

    sale: str
    room: str
    product: str
    sku: str
    title: str
    image: str
    price: int
    list_price: int
    version: int
    state: str
    opens: int | None
    closes: int | None
    total: int
    left: int
    per_person: int
    hold_s: int
    mode: str = "rush"
    live_only: bool = False
    waiting: int = 0
    reserved: int = 0
    draw: str | None = None
    draws: int | None = None
    team_size: int = 0
    team_winners: int = 0
    team_s: int = 0
    deposit: int = 0
    balance_from: int | None = None
    balance_until: int | None = None
    balance_missed: str = ""


@dataclass(frozen=True, slots=True)
class WinnerView:
    """Somebody who won, as all may see it: the ticket, a name of which most is hidden, and 分 of a red packet."""

    ticket: str
    name: str
    amount: int


@dataclass(frozen=True, slots=True)
class DrawView:
    """A draw. ``state`` is soon, open, closed, drawn or void; ``seed`` is there once it is drawn.

    ``kind`` is sale (who may buy), bag (prizes), packet (shares of ``pool`` 分) or team (a lottery group's).
    """

    draw: str
    room: str
    kind: str
    title: str
    task: str
    word: str
    sale: str | None
    team: str | None
    winners: int
    pool: int
    least: int
    entries: int
    won: int
    opens: int
    closes: int
    drawn: int | None
    state: str
    commitment: str
    seed: str | None
    top: tuple[WinnerView, ...] = ()


@dataclass(frozen=True, slots=True)
class TeamView:
    """A group that buys together. ``state`` is open, full or failed; it needs ``size`` paid seats by ``deadline``."""

    team: str
    room: str
    sale: str
    leader: str
    size: int
    winners: int
    taken: int
    paid: int
    state: str
    opened: int
    deadline: int
    draw: str | None


@dataclass(frozen=True, slots=True)
class DropView:
    """A coupon drop. ``state`` is open, gone or closed."""

    drop: str
    room: str
    title: str
    reason: str
    amount: int
    threshold: int
    total: int
    left: int
    per_person: int
    starts: int
    ends: int
    state: str
    percent: int = 0
    stack: str = ""
    audience: str = "all"
    issuer: str = ""
    way: str = "drop"


@dataclass(frozen=True, slots=True)
class CouponView:
    """A coupon in someone's hand. ``state`` is unused, locked, used or expired.

    With ``percent`` it takes that much off, ``amount`` 分 at the most. Coupons of different ``stack`` groups combine;
    one without a group stands alone.
    """

    coupon: str
    drop: str
    title: str
    amount: int
    threshold: int
    expires: int
    state: str
    percent: int = 0
    stack: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OrderLineView:
    """One line of an order; ``price`` is per unit, ``discount`` the line's share of the order's discount.

    ``wishes`` (label, value, 分 a unit in the price) are what it is made to; None of goods that are as they are.
    ``category`` is the product's when it was ordered.
    """

    product: str
    sku: str
    title: str
    quantity: int
    price: int
    discount: int
    wishes: tuple[dict[str, Any], ...] | None = None
    category: str = ""


@dataclass(frozen=True, slots=True)
class ProductionView:
    """How far the making of an order is: its ``stage`` (domain/custom.py), the day promised, when each was reached.

    ``ended``: when the order ended before its goods were sent.
    """

    stage: str
    due: int
    paid: int
    confirmed: int | None
    making: int | None
    ready: int | None
    sent: int | None
    ended: int | None


@dataclass(frozen=True, slots=True)
class PresaleView:
    """The two orders of a presale; ``part`` says which one this is: deposit or balance (None until that is paid).

    ``deposit`` 分 were or are to be paid first, the balance from ``opens`` to ``until``; ``missed`` (keep, refund) is
    what becomes of the deposit otherwise, ``ended`` when it was decided about.
    """

    part: str
    deposit_order: str
    balance_order: str | None
    deposit: int
    opens: int
    until: int
    missed: str
    ended: int | None


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order. ``status`` is one of domain/order.py's; ``steps`` explain how ``amount`` came about.

    ``refunded`` 分 of the amount went back or are on their way; ``fulfilment`` says where the goods are; ``delivery``
    (method, name, phone, address; code when picked up; carrier and number once shipped) is the buyer's and the staff's.
    ``amount = goods − discount + freight``; of it, ``stored`` 分 are paid by stored value, ``due`` through a provider;
    ``points`` were spent beside.
    """

    order: str
    room: str
    person: str
    status: str
    goods: int
    discount: int
    amount: int
    lines: tuple[OrderLineView, ...]
    steps: tuple[dict[str, Any], ...]
    coupon: str | None
    created: int
    expires: int
    paid: int | None
    cancelled: int | None
    reason: str | None
    decision: dict[str, Any] | None = None
    refunded: int = 0
    fulfilment: str = "open"
    delivery: dict[str, Any] | None = None
    fulfilled: int | None = None
    done: int | None = None
    kind: str = "goods"
    stored: int = 0
    points: int = 0
    due: int = 0
    coupons: tuple[str, ...] = ()
    presale: PresaleView | None = None
    freight: int = 0
    production: ProductionView | None = None


@dataclass(frozen=True, slots=True)
class RefundLineView:
    """Units of a refund; ``returned`` of them came back to the stock."""

    sku: str
    quantity: int
    returned: int
    amount: int


@dataclass(frozen=True, slots=True)
class RefundView:
    """A refund. ``kind`` is order or late (money that bought nothing), ``state`` requested, done or failed.

    Of the amount, ``stored`` 分 went back to the buyer's stored value at once; ``points`` went back, too.
    """

    refund: str
    order: str
    kind: str
    state: str
    amount: int
    reason: str
    stock: str
    lines: tuple[RefundLineView, ...]
    created: int
    done: int | None
    number: str | None
    error: str | None
    stored: int = 0
    points: int = 0


@dataclass(frozen=True, slots=True)
class AfterSaleLineView:
    """Units that an after-sale request is about; of them ``sellable`` and ``quarantined`` were counted as come back."""

    sku: str
    title: str
    quantity: int
    amount: int
    sellable: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class AfterSaleView:
    """What a buyer asks for after the sale: ``kind`` refund or return, ``state`` one of domain/aftersale.py's.

    ``most`` 分 are what the lines come to, ``amount`` those asked for (or agreed on), ``offer`` those of the shop's
    offer: with ``keeps`` the goods stay where they are. ``pays`` is who pays the way back, ``back_to`` where it leads.
    ``why`` is what ended or moved it without a person: late (a deadline), sent (the goods went out meanwhile),
    refunded (the money went back another way). At ``due`` the clock takes the next step.
    """

    request: str
    order: str
    room: str
    person: str
    kind: str
    reason: str
    words: str
    state: str
    pays: str
    most: int
    amount: int
    offer: int | None
    keeps: bool
    answer: str
    why: str
    back_to: str
    carrier: str
    number: str
    refund: str | None
    refunded: int
    lines: tuple[AfterSaleLineView, ...]
    due: int | None
    created: int
    answered: int | None
    sent: int | None
    ended: int | None


@dataclass(frozen=True, slots=True)
class SoldView:
    """What a room sold: orders made since ``since`` that were paid, and their goods' ``amount`` before refunds."""

    since: int
    orders: int
    amount: int


@dataclass(frozen=True, slots=True)
class Event:
    """Common fields: the event's id, the merchant and room it belongs to, and when it was committed."""

    id: str
    merchant: str
    room: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class SaleChanged(Event):
    """A sale was made, started, paused, opened by the clock, closed, repriced …"""

    sale: SaleView


@dataclass(frozen=True, slots=True)
class StockChanged(Event):
    """Units of a sale moved: once per committed batch and sale, with the latest figures."""

    sale: str
    left: int
    state: str
    waiting: int = 0
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class DropChanged(Event):
    """A drop began, ran out, was closed, or (once per batch) has fewer coupons left."""

    drop: DropView


@dataclass(frozen=True, slots=True)
class CouponClaimed(Event):
    """A person holds a new coupon."""

    person: str
    coupon: CouponView


@dataclass(frozen=True, slots=True)
class HoldExpired(Event):
    """A hold without an order ran out and its units are back."""

    person: str
    hold: str
    sale: str | None


@dataclass(frozen=True, slots=True)
class OrderCreated(Event):
    """An order waits for payment."""

    person: str
    order: OrderView


@dataclass(frozen=True, slots=True)
class OrderPaid(Event):
    """An order was paid, and its units are sold."""

    person: str
    order: OrderView


@dataclass(frozen=True, slots=True)
class OrderCancelled(Event):
    """An order ended unpaid; ``order.reason`` is cancelled or expired. ``payments`` are to be closed outside."""

    person: str
    order: OrderView
    payments: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class RefundDue(Event):
    """A refund was booked: the provider must give ``amount`` of the ``paid`` 分 of a payment back."""

    person: str
    order: str
    payment: str
    amount: int
    refund: str = ""
    paid: int = 0


@dataclass(frozen=True, slots=True)
class OrderRefunded(Event):
    """A refund was booked, done or failed."""

    person: str
    order: OrderView
    refund: RefundView


@dataclass(frozen=True, slots=True)
class RepaymentChanged(Event):
    """Money came for a debt, or what of it was too much went back (or could not)."""

    person: str
    repayment: RepaymentView


@dataclass(frozen=True, slots=True)
class DebtDue(Event):
    """What an order on account owes comes due: it is told the day before."""

    person: str
    debt: DebtNotice


@dataclass(frozen=True, slots=True)
class DebtOverdue(Event):
    """The day of a debt has passed, and it is not paid."""

    person: str
    debt: DebtNotice


@dataclass(frozen=True, slots=True)
class DebtorReminded(Event):
    """Staff asked a debtor for what is overdue. Their words are in the debtor's account alone."""

    person: str
    debt: DebtNotice


@dataclass(frozen=True, slots=True)
class OrderFulfilled(Event):
    """An order was shipped or picked up."""

    person: str
    order: OrderView


@dataclass(frozen=True, slots=True)
class OrderOnItsWay(Event):
    """A courier took an order on, or something became of the errand: the delivery says what."""

    person: str
    order: OrderView


@dataclass(frozen=True, slots=True)
class OrderMaking(Event):
    """The making of a custom order came to its next stage, or another day was promised."""

    person: str
    order: OrderView


@dataclass(frozen=True, slots=True)
class OrderDone(Event):
    """The buyer has what was sent."""

    person: str
    order: OrderView


@dataclass(frozen=True, slots=True)
class SaleSoon(Event):
    """A sale is about to open that a person asked to be reminded of."""

    person: str
    sale: SaleView


@dataclass(frozen=True, slots=True)
class BalanceDue(Event):
    """The rest of a presale's price can be paid from now on, by ``order``."""

    person: str
    order: OrderView


@dataclass(frozen=True, slots=True)
class OfferMade(Event):
    """A request for a price was answered, or declined: ``state`` is offered or declined."""

    person: str
    request: str
    title: str
    state: str
    price: int


@dataclass(frozen=True, slots=True)
class AfterSaleChanged(Event):
    """A buyer asked for something after the sale, or that came to its next state."""

    person: str
    request: AfterSaleView


@dataclass(frozen=True, slots=True)
class HoldGiven(Event):
    """A person got a hold without asking just now: ``why`` is waiting (units came back) or draw (they won it)."""

    person: str
    hold: str
    sale: str
    quantity: int
    price: int
    expires: int
    why: str


@dataclass(frozen=True, slots=True)
class DrawChanged(Event):
    """A draw was opened, drawn or called off, or (once per batch) has more entries."""

    draw: DrawView


@dataclass(frozen=True, slots=True)
class TeamChanged(Event):
    """A team was opened, gained or lost a seat, is full or has failed."""

    team: TeamView


EVENT_TYPES: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        SaleChanged,
        StockChanged,
        DropChanged,
        CouponClaimed,
        HoldExpired,
        OrderCreated,
        OrderPaid,
        OrderCancelled,
        RefundDue,
        OrderRefunded,
        RepaymentChanged,
        DebtDue,
        DebtOverdue,
        DebtorReminded,
        OrderFulfilled,
        OrderOnItsWay,
        OrderMaking,
        OrderDone,
        SaleSoon,
        BalanceDue,
        OfferMade,
        AfterSaleChanged,
        HoldGiven,
        DrawChanged,
        TeamChanged,
    )
}
