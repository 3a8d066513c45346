"""The ledger's port: commands that change stock and money, and the one verb that takes them.

A command is a value; ``Ledger.submit`` decides it in arrival order and resolves the future only after a synced commit.
What a rush is made of are structs: a frozen dataclass takes ten times as long to make (2.4 µs).
``key`` and ``hash`` make a command repeatable: the same key with the same hash gives the stored answer (promise P5).
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol

from msgspec import Struct

from commerce.changes import Hand
from commerce.domain.credit import RepaymentView
from commerce.domain.custom import Wanted
from commerce.domain.order import Delivery, Step, WantedLine
from commerce.domain.sale import FIRST_COME, SaleTerms
from commerce.events import Event, OrderView
from commerce.payment import RefundRequest

Clock = Callable[[], int]
"""Unix milliseconds."""

REQUESTS_WAITING_MAX = 20_000
"""Commands queued before new ones are refused: under half a second of work at 50,000 a second."""
BUSY_RETRY_MS = 500
"""What a refused caller is told to wait: about the time in which a full queue empties."""
BATCH_REQUESTS_MAX = 1_024
"""Commands in one transaction: past some hundreds the sync's share of a command is below a microsecond or two."""
BATCH_ROWWISE_MAX = 64
"""Commands decided one by one in a transaction: each costs up to a millisecond, and holds behind it wait."""
GATHER_MS = 2
"""How long the first command of a batch may wait for company."""
COMMIT_TRIES = 2
"""A batch that certainly was not committed (a lost connection, a deadlock) is run once more, then answered busy."""
RESOLVE_S = 10.0
"""How long a database that went away is asked what became of a batch: it restarts in a few seconds."""
RESOLVE_PAUSE_S = 0.1
GIVE_WAY_EVERY_S = 0.005
"""How often the loop looks whether the writer gets on, while commands wait."""
GIVE_WAY_S = 0.0003
"""How long the loop rests when no batch was finished since it last looked.

A loop that is never idle takes the interpreter's lock back within a microsecond of each of its turns. On a core that
both share the writer may then wake up too late every time: it got nothing for minutes.
"""
KEY_CHARACTERS_MAX = 64
REQUEST_KEPT_MS = 48 * 3_600_000
"""How long a key's answer is kept: twice the promised 24 hours."""
EVENT_KEPT_MS = 3_600_000
"""How long a delivered outbox row is kept, to look at after trouble."""
LATCH_MS = 250
"""Of those whom a sold-out hint refuses, one asks the database after this; all do when the next hold expires …"""
LATCH_KEPT_MS = 1_000
"""… or when whoever asked has had no answer for so long: a batch takes milliseconds."""
LATCH_HOLDERS_MAX = 20_000
"""People who hold units of a latched sale are let through (their repeats have answers); above it nothing is latched."""
EXPIRE_BATCH_MAX = 500
"""Due holds ended in one transaction."""
PAYMENT_GRACE_MS = 30_000
"""How long past its expiry an order waits for the provider to say whether a started payment came through."""
FINISH_AFTER_MS = 15 * 86_400_000
"""How long after its goods went out an order is done by itself, as on the large market places."""
ORDER_HOLD_MS = 15 * 60_000
"""How long an order's own holds (lines outside a sale) wait for payment."""


def fingerprint(*parts: object) -> str:
    """32 hex digits over a request's body, to tell a repeat from a key used for something else."""
    return blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).hexdigest()


class Hold(Struct, frozen=True, gc=False):
    """Take units of a sale for a person."""

    merchant: str
    room: str
    person: str
    sale: str
    quantity: int
    key: str
    hash: str
    version: int | None = None


class HoldGranted(Struct, frozen=True, gc=False):
    """Units taken until ``expires_ms``; ``price`` 分 per unit."""

    hold: str
    quantity: int
    price: int
    expires_ms: int


class Claim(Struct, frozen=True, gc=False):
    """Take one coupon of a drop for a person."""

    merchant: str
    room: str
    person: str
    drop: str
    key: str
    hash: str
    way: str = "drop"


class CouponGranted(Struct, frozen=True, gc=False):
    """A coupon worth ``amount`` 分 on goods of at least ``threshold`` 分 until ``expires_ms``.

    With ``percent`` it takes that much off, ``amount`` at the most.
    """

    coupon: str
    title: str
    amount: int
    threshold: int
    expires_ms: int
    percent: int = 0


@dataclass(frozen=True, slots=True)
class StockUp:
    """Receive units of a SKU (``adjust`` False) or correct a count (True, may be negative); ``by`` None: a program.

    ``outlet``: in the stock of a store.
    """

    merchant: str
    sku: str
    quantity: int
    adjust: bool
    reason: str = "received"
    by: Hand | None = None
    outlet: str = ""


@dataclass(frozen=True, slots=True)
class StockView:
    """Units of a SKU."""

    sku: str
    received: int
    adjusted: int
    free: int
    held: int
    sold: int
    shipped: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class CreateSale:
    """Set units of a SKU aside for a flash sale."""

    merchant: str
    room: str
    product: str
    sku: str
    title: str
    image: str
    price: int
    list_price: int
    total: int
    per_person: int
    hold_ms: int
    length_ms: int
    terms: SaleTerms = FIRST_COME
    plan: str | None = None


@dataclass(frozen=True, slots=True)
class SteerSale:
    """Do ``verb`` (start, start_at, pause, resume, close, reopen, reprice) to a sale.

    ``value`` is the countdown in ms, the opening in Unix ms, the new length in ms, or the new price.
    """

    merchant: str
    sale: str
    verb: str
    value: int = 0


@dataclass(frozen=True, slots=True)
class StartDrop:
    """Begin a coupon drop now; with ``outlets`` its coupons count for what one of these stores hands over."""

    merchant: str
    room: str
    title: str
    reason: str
    amount: int
    threshold: int
    total: int
    per_person: int
    length_ms: int
    valid_ms: int
    template: str | None = None
    percent: int = 0
    stack: str = ""
    audience: str = "all"
    issuer: str = ""
    way: str = "drop"
    outlets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CloseDrop:
    """End a coupon drop."""

    merchant: str
    drop: str


@dataclass(frozen=True, slots=True)
class CreateOrder:
    """Make an order of a hold and/or lines, with coupons, up to ``points`` points and ``stored`` 分 of stored value.

    ``decision`` is the attribution with its losers, ``node`` the organisation's node that the order counts for. With
    ``mall`` its one line is had for points.
    """

    merchant: str
    room: str
    person: str
    key: str
    hash: str
    hold: str | None
    lines: tuple[WantedLine, ...]
    coupons: tuple[str, ...]
    decision: Mapping[str, Any] | None
    entered_ms: int | None
    card: str | None
    delivery: Delivery | None = None
    points: int = 0
    stored: int = 0
    node: str = ""
    mall: bool = False
    wanted: Wanted = ()
    """What is wished of the hold's goods; ``offer`` is the request, and the version of its offer, that is ordered."""
    offer: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """End a pending order: by its person, or by the clock (``reason`` expired, only when due)."""

    merchant: str
    person: str | None
    order: str
    reason: str = "cancelled"


@dataclass(frozen=True, slots=True)
class StartPayment:
    """Open (or find) the payment of a pending order."""

    merchant: str
    person: str
    order: str
    key: str
    hash: str
    provider: str
    method: str = ""


@dataclass(frozen=True, slots=True)
class PaymentStarted:
    """The payment to ask the provider for; ``payment`` is None when the order is paid already.

    ``provider`` and ``method`` are the payment's: others than those asked for when one is open already.
    """

    order: OrderView
    payment: str | None
    expires_ms: int
    provider: str = ""
    method: str = ""


@dataclass(frozen=True, slots=True)
class ClosePayment:
    """A started payment was closed at its provider: another way to pay may be chosen."""

    merchant: str
    payment: str


@dataclass(frozen=True, slots=True)
class PaymentHeard:
    """The provider has said how the payment of an ended order ended: it need not be asked again."""

    merchant: str
    payment: str


@dataclass(frozen=True, slots=True)
class Settle:
    """A provider's notice whose signature was checked. ``kind`` is paid, declined, refunded, refund_failed or noted.

    ``refund`` is our number of the refund that refunded and refund_failed tell of; ``amount`` is the payment's
    or the refund's.
    """

    provider: str
    number: str
    kind: str
    payment: str
    merchant: str
    amount: int
    raw: str
    refund: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """What a notice did: paid, repeat, refund (money goes back), declined, refunded, refund_failed or noted.

    It was about an ``order``, or about what is owed on account (``repayment``).
    """

    effect: str
    order: OrderView | None
    repayment: RepaymentView | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    """Give money of a paid order back: of ``lines`` (sku, units), an ``amount`` without goods, or all that is left.

    ``stock`` is sellable, quarantine or none; ``staff`` the person who decided. ``most``: at most so many 分 for the
    lines, and no freight. ``aside`` are units (by SKU) of what is sellable that go to quarantine all the same.
    """

    merchant: str
    staff: str
    order: str
    key: str
    hash: str
    lines: tuple[tuple[str, int], ...] | None
    amount: int | None
    stock: str
    reason: str
    most: int | None = None
    aside: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class RetryRefund:
    """Ask the provider anew for a refund that failed."""

    merchant: str
    order: str
    refund: str


@dataclass(frozen=True, slots=True)
class FailRefund:
    """The provider refused a refund for good."""

    refund: str
    error: str


@dataclass(frozen=True, slots=True)
class Fulfil:
    """Send an order's goods (``step`` ship, with carrier and number) or hand them over (pick_up, with its code)."""

    merchant: str
    order: str
    step: Step
    carrier: str = ""
    number: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Finish:
    """The goods are with the buyer: by the buyer (``person``) or by staff (None)."""

    merchant: str
    order: str
    person: str | None


@dataclass(frozen=True, slots=True)
class Sweep:
    """Housekeeping: due holds and orders, sales and drops whose time came, delivered events, old keys.

    ``marks_only`` leaves all but the delivered events to the process that has the duty. ``providers`` are those that
    can be asked for refunds.
    """

    delivered: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    marks_only: bool = False


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A due order whose started payment the provider must be asked about before its units are released."""

    merchant: str
    order: str
    payment: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """Payments of ended orders whose end the provider has not said: to be asked again, and left to people."""

    waiting: int = 0
    given_up: int = 0


@dataclass(frozen=True, slots=True)
class Swept:
    """What housekeeping did and left; ``more`` when a bound cut it short.

    ``refunds_due`` are to be asked of the provider again: it was a while ago, and has not confirmed them. ``adopted``
    are events of a process that ended before it told of them: this one does. ``unheard`` are payments of ended orders
    that the provider is to be asked about (again), of the ``backlog``.
    """

    expired: int
    unsettled: tuple[Unsettled, ...]
    refunds_due: tuple[RefundRequest, ...]
    more: bool
    adopted: tuple[Event, ...] = ()
    unheard: tuple[str, ...] = ()
    backlog: Backlog = Backlog()


def merchants_of(commands: Iterable[Any]) -> frozenset[str] | None:
    """The merchants whose stock and money these commands are about; None when one may be about any."""
    merchants = set()
    for command in commands:
        if isinstance(command, Sweep) and command.marks_only:
            continue
        merchant = getattr(command, "merchant", None)
        if merchant is None:
            return None
        merchants.add(merchant)
    return frozenset(merchants)


class Ledger(Protocol):
    """Where commands go."""

    def submit(self, command: Any) -> asyncio.Future[Any]:
        """Queue a command; the future has its result, or a CommerceError, after the synced commit."""
        ...
