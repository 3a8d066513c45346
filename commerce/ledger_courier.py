"""The ledger's commands for same-city couriers, and what they answer."""

from dataclasses import dataclass

from commerce.courier import CourierState


@dataclass(frozen=True, slots=True)
class CallCourier:
    """Begin an errand for a paid order; ``provider`` is asked after this is committed."""

    merchant: str
    order: str
    staff: str
    provider: str


@dataclass(frozen=True, slots=True)
class MoveErrand:
    """What a courier says of an errand; ``event`` is a callback's (empty: an answer), ``raw`` the callback itself."""

    merchant: str
    errand: str
    provider: str
    state: CourierState
    event: str = ""
    raw: str = ""


@dataclass(frozen=True, slots=True)
class ErrandView:
    """An errand. ``fee`` 分 is what was said, ``charged`` the shop's cost in the end (a penalty, when called off).

    ``effect`` of the command: moved, repeat or still.
    """

    errand: str
    order: str
    outlet: str
    provider: str
    state: str
    fee: int | None
    rider: str
    phone: str
    reason: str
    created: int
    ended: int | None
    effect: str = "still"
    charged: int = 0
