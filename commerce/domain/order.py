"""Order rules: which step may follow which, and how lines of one SKU become one.

An order walks on two tracks, money and goods, and a step is legal when both tables below know it:

    pending ──pay──▶ paid ──ship, pick up──▶ fulfilled ──finish──▶ done      cancelled ──pay (late)──▶ paid
       └──cancel, expire──▶ cancelled
    paid, fulfilled, done ──refund a part──▶ partly_refunded ──refund the rest──▶ refunded

A partly refunded order goes on being sent and finished; ``status`` keeps telling of the money, ``fulfilment`` of the
goods.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from commerce.domain.custom import Wanted

WAYS = ("express", "pickup", "courier")
"""How goods come to their buyer."""
LINES_MAX = 50
"""Lines in one order: a basket, not a purchase list."""
NAME_CHARACTERS_MAX = 40
ADDRESS_CHARACTERS_MAX = 300
CARRIER_CHARACTERS_MAX = 40
TRACKING_CHARACTERS_MAX = 60
_PHONE = re.compile(r"\+?[0-9][0-9 -]{4,19}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")


class OrderStatus(StrEnum):
    """Where an order is in its life."""

    PENDING = "pending"
    PAID = "paid"
    FULFILLED = "fulfilled"
    DONE = "done"
    PARTLY_REFUNDED = "partly_refunded"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"


class Fulfilment(StrEnum):
    """Where an order's goods are."""

    OPEN = "open"
    SHIPPED = "shipped"
    PICKED_UP = "picked_up"
    DONE = "done"


class Step(StrEnum):
    """What can be done to an order."""

    PAY = "pay"
    CANCEL = "cancel"
    SHIP = "ship"
    PICK_UP = "pick_up"
    FINISH = "finish"
    REFUND_PART = "refund_part"
    REFUND_REST = "refund_rest"


STATUS_AFTER: Mapping[tuple[OrderStatus, Step], OrderStatus] = {
    (OrderStatus.PENDING, Step.PAY): OrderStatus.PAID,
    (OrderStatus.CANCELLED, Step.PAY): OrderStatus.PAID,
    (OrderStatus.PENDING, Step.CANCEL): OrderStatus.CANCELLED,
    (OrderStatus.PAID, Step.SHIP): OrderStatus.FULFILLED,
    (OrderStatus.PAID, Step.PICK_UP): OrderStatus.FULFILLED,
    (OrderStatus.FULFILLED, Step.FINISH): OrderStatus.DONE,
    (OrderStatus.PARTLY_REFUNDED, Step.SHIP): OrderStatus.PARTLY_REFUNDED,
    (OrderStatus.PARTLY_REFUNDED, Step.PICK_UP): OrderStatus.PARTLY_REFUNDED,
    (OrderStatus.PARTLY_REFUNDED, Step.FINISH): OrderStatus.PARTLY_REFUNDED,
    (OrderStatus.PAID, Step.REFUND_PART): OrderStatus.PARTLY_REFUNDED,
    (OrderStatus.FULFILLED, Step.REFUND_PART): OrderStatus.PARTLY_REFUNDED,
    (OrderStatus.DONE, Step.REFUND_PART): OrderStatus.PARTLY_REFUNDED,
    (OrderStatus.PARTLY_REFUNDED, Step.REFUND_PART): OrderStatus.PARTLY_REFUNDED,
    (OrderStatus.PAID, Step.REFUND_REST): OrderStatus.REFUNDED,
    (OrderStatus.FULFILLED, Step.REFUND_REST): OrderStatus.REFUNDED,
    (OrderStatus.DONE, Step.REFUND_REST): OrderStatus.REFUNDED,
    (OrderStatus.PARTLY_REFUNDED, Step.REFUND_REST): OrderStatus.REFUNDED,
    # Goods may still come back after all the money went: nothing of the order changes but its stock.
    (OrderStatus.REFUNDED, Step.REFUND_REST): OrderStatus.REFUNDED,
}
GOODS_AFTER: Mapping[tuple[Fulfilment, Step], Fulfilment] = {
    (Fulfilment.OPEN, Step.SHIP): Fulfilment.SHIPPED,
    (Fulfilment.OPEN, Step.PICK_UP): Fulfilment.PICKED_UP,
    (Fulfilment.SHIPPED, Step.FINISH): Fulfilment.DONE,
    (Fulfilment.PICKED_UP, Step.FINISH): Fulfilment.DONE,
}
GOODS_STEPS = frozenset({Step.SHIP, Step.PICK_UP, Step.FINISH})
NOT_YET = frozenset({OrderStatus.PENDING, OrderStatus.CANCELLED})


def refuse_step(status: OrderStatus, fulfilment: Fulfilment, step: Step) -> str | None:
    """None when ``step`` is legal; else ``not_open`` (too early, or nothing to be done) or ``already``."""
    if step in GOODS_STEPS:
        if status in NOT_YET or (step is Step.FINISH and fulfilment is Fulfilment.OPEN):
            return "not_open"
        if (fulfilment, step) not in GOODS_AFTER:
            return "already"
    if (status, step) not in STATUS_AFTER:
        return "not_open" if status in NOT_YET and step is not Step.CANCEL else "already"
    return None


class PaymentEffect(StrEnum):
    """What a payment notice does."""

    PAY = "pay"
    RETAKE = "retake"
    REFUND = "refund"


def payment_effect(status: OrderStatus) -> PaymentEffect:
    """What money for an order does: pays it, tries to take the units anew, or goes back (paid already)."""
    if status is OrderStatus.PENDING:
        return PaymentEffect.PAY
    return PaymentEffect.RETAKE if status is OrderStatus.CANCELLED else PaymentEffect.REFUND


@dataclass(frozen=True, slots=True)
class WantedLine:
    """Units of a SKU at the price version the customer saw (None: whatever it is), made to ``wishes``."""

    sku: str
    quantity: int
    version: int | None = None
    wishes: Wanted = field(default=(), repr=False)


def sum_lines(lines: Iterable[WantedLine]) -> list[WantedLine]:
    """One line per SKU and wishes, in order of first mention, so that the stock check sees the whole quantity.

    Of different versions for one SKU the lowest stays: it is the one that can be stale.
    """
    summed: dict[tuple[str, Wanted], WantedLine] = {}
    for line in lines:
        known = summed.get((line.sku, line.wishes))
        if known is None:
            summed[line.sku, line.wishes] = line
            continue
        versions = [version for version in (known.version, line.version) if version is not None]
        version = min(versions, default=None)
        summed[line.sku, line.wishes] = replace(line, quantity=known.quantity + line.quantity, version=version)
    return list(summed.values())


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the buyer wants the goods: ``method`` express or courier (to an address), or pickup (fetched with a code).

    ``outlet`` is the store that hands over, empty: as the shop says; ``station`` the pickup station of a leader, empty:
    the shop itself; ``lat_e6`` and ``lng_e6`` where a courier goes (degrees × 10⁶). None of them is part of the
    representation, by which requests of before are known.
    """

    method: str
    name: str
    phone: str
    address: str = ""
    outlet: str = field(default="", repr=False)
    station: str = field(default="", repr=False)
    lat_e6: int | None = field(default=None, repr=False)
    lng_e6: int | None = field(default=None, repr=False)

    @property
    def place(self) -> tuple[int, int] | None:
        """Where a courier goes."""
        return None if self.lat_e6 is None or self.lng_e6 is None else (self.lat_e6, self.lng_e6)


def delivery_fault(delivery: Delivery) -> str | None:
    """What is wrong with a delivery, as a sentence, or None."""
    if delivery.method not in WAYS:
        return f"method is one of {', '.join(WAYS)}"
    if not _fits(delivery.name, NAME_CHARACTERS_MAX):
        return f"a name has 1 to {NAME_CHARACTERS_MAX} characters"
    if not _PHONE.fullmatch(delivery.phone):
        return "a phone number has 5 to 20 digits, spaces and hyphens, with + in front when it is foreign"
    if delivery.method != "pickup" and not _fits(delivery.address, ADDRESS_CHARACTERS_MAX):
        return f"an address has 1 to {ADDRESS_CHARACTERS_MAX} characters"
    if delivery.method == "courier" and not (delivery.outlet and delivery.place):
        return "a courier goes from a store to a place: send outlet, lat and lng"
    if delivery.method == "pickup" and delivery.address:
        return "what is picked up has no address"
    if delivery.station and delivery.outlet:
        return "goods are fetched at a store or at a station"
    if delivery.station and delivery.method != "pickup":
        return "what is sent is not fetched at a station"
    return None


def shipment_fault(carrier: str, number: str) -> str | None:
    """What is wrong with a carrier and its number, as a sentence, or None."""
    if not _fits(carrier, CARRIER_CHARACTERS_MAX):
        return f"a carrier has 1 to {CARRIER_CHARACTERS_MAX} characters"
    if not _fits(number, TRACKING_CHARACTERS_MAX):
        return f"a tracking number has 1 to {TRACKING_CHARACTERS_MAX} characters"
    return None


def _fits(text: str, most: int) -> bool:
    return 0 < len(text) <= most and bool(text.strip()) and not _CONTROL.search(text)
