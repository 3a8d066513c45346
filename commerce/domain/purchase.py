"""Purchase orders: which step may follow which, and what a delivery or a return may hold.

    draft ──order──▶ ordered ──receive a part──▶ partly ──receive the rest──▶ received
      │                 │  └────────────receive the rest───────────────────────▲  │
      └──cancel─────────┴──cancel──▶ cancelled         partly ──close short────┘  └─send back─▶ received

A short delivery stays ``partly`` until the rest comes, or until somebody closes the order: what did not come is then
no longer expected. Nothing is cancelled once goods have come; they are sent back instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

LINES_MAX = 500
"""Lines of one purchase order: a receipt of all of them is one transaction of some tenths of a second."""
NUMBER_CHARACTERS_MAX = 64
CONTACT_CHARACTERS_MAX = 60


class PurchaseState(StrEnum):
    """Where a purchase order is in its life."""

    DRAFT = "draft"
    ORDERED = "ordered"
    PARTLY = "partly"
    RECEIVED = "received"
    CANCELLED = "cancelled"


class PurchaseStep(StrEnum):
    """What can be done to a purchase order."""

    EDIT = "edit"
    ORDER = "order"
    CANCEL = "cancel"
    RECEIVE_PART = "receive_part"
    RECEIVE_REST = "receive_rest"
    CLOSE_SHORT = "close_short"
    SEND_BACK = "send_back"


_S, _T = PurchaseState, PurchaseStep
STATE_AFTER: Mapping[tuple[PurchaseState, PurchaseStep], PurchaseState] = {
    (_S.DRAFT, _T.EDIT): _S.DRAFT,
    (_S.DRAFT, _T.ORDER): _S.ORDERED,
    (_S.DRAFT, _T.CANCEL): _S.CANCELLED,
    (_S.ORDERED, _T.CANCEL): _S.CANCELLED,
    (_S.ORDERED, _T.RECEIVE_PART): _S.PARTLY,
    (_S.ORDERED, _T.RECEIVE_REST): _S.RECEIVED,
    (_S.PARTLY, _T.RECEIVE_PART): _S.PARTLY,
    (_S.PARTLY, _T.RECEIVE_REST): _S.RECEIVED,
    (_S.PARTLY, _T.CLOSE_SHORT): _S.RECEIVED,
    (_S.PARTLY, _T.SEND_BACK): _S.PARTLY,
    (_S.RECEIVED, _T.SEND_BACK): _S.RECEIVED,
}


def refuse_purchase_step(state: PurchaseState, step: PurchaseStep) -> str | None:
    """None when ``step`` is legal; else ``not_open`` (too early) or ``already`` (too late)."""
    if (state, step) in STATE_AFTER:
        return None
    early = (_S.DRAFT,) if step is not _T.CLOSE_SHORT and step is not _T.SEND_BACK else (_S.DRAFT, _S.ORDERED)
    return "not_open" if state in early else "already"


@dataclass(frozen=True, slots=True)
class PurchaseLine:
    """Units of one SKU: ``quantity`` ordered at ``unit_cost`` 分, ``received`` and of these ``returned``.

    ``amount`` is what those that stayed cost, in 分.
    """

    sku: str
    quantity: int
    unit_cost: int
    received: int = 0
    returned: int = 0
    amount: int = 0

    @property
    def expected(self) -> int:
        """Units that have not come."""
        return self.quantity - self.received


@dataclass(frozen=True, slots=True)
class Delivered:
    """Units of one SKU that came or went back, and what all of them cost (分)."""

    sku: str
    units: int
    amount: int


def decide_receipt(
    lines: Mapping[str, PurchaseLine], came: Sequence[tuple[str, int, int | None]]
) -> list[Delivered] | tuple[str, str]:
    """What a delivery of (SKU, units, 分 per unit or None: as ordered) comes to, or a refusal's code and SKU.

    ``not_found``: no such line; ``over_received``: more than is expected.
    """
    found = []
    for sku, units, cost in came:
        line = lines.get(sku)
        if line is None:
            return "not_found", sku
        if units > line.expected:
            return "over_received", sku
        found.append(Delivered(sku, units, units * (line.unit_cost if cost is None else cost)))
    return found


def decide_return(
    lines: Mapping[str, PurchaseLine], went: Sequence[tuple[str, int]]
) -> list[Delivered] | tuple[str, str]:
    """What the supplier owes for units sent back, at what they cost, or a refusal's code and SKU.

    The last unit takes what does not divide. ``not_found``: no such line; ``insufficient``: fewer came and stayed.
    """
    found = []
    for sku, units in went:
        line = lines.get(sku)
        if line is None:
            return "not_found", sku
        stayed = line.received - line.returned
        if units > stayed:
            return "insufficient", sku
        found.append(Delivered(sku, units, line.amount * units // stayed))
    return found


def step_of_receipt(lines: Mapping[str, PurchaseLine], came: Sequence[Delivered]) -> PurchaseStep:
    """Whether a delivery is a part, or all that was expected."""
    units = {one.sku: one.units for one in came}
    rest = any(line.expected > units.get(line.sku, 0) for line in lines.values())
    return _T.RECEIVE_PART if rest else _T.RECEIVE_REST
