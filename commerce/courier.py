"""The port to same-city couriers: a quote, an errand under our own number, its cancelling, and what becomes of it.

An errand is asked for under our number, which may be repeated as often as nobody knows whether it arrived. What becomes
of it is told by callbacks, in any order and more than once, or answered when asked (``query``).
"""

from dataclasses import dataclass
from typing import Protocol

from commerce.errors import CommerceError
from commerce.payment import CallbackAnswer, SignedMessage


@dataclass(frozen=True, slots=True)
class Stop:
    """One end of an errand; the place in degrees × 10⁶ (GCJ-02)."""

    name: str
    phone: str
    address: str
    lat_e6: int
    lng_e6: int


@dataclass(frozen=True, slots=True)
class CourierRequest:
    """Bring goods worth ``amount`` 分 and ``grams`` from store ``outlet`` to a buyer, under our ``number``."""

    number: str
    merchant: str
    order: str
    outlet: str
    source: Stop
    target: Stop
    amount: int
    grams: int


@dataclass(frozen=True, slots=True)
class CourierQuote:
    """What it would cost (分) and how far it is (metres)."""

    fee: int
    distance: int


@dataclass(frozen=True, slots=True)
class CourierState:
    """How an errand stands: ``kind`` is one of domain/courier.py's; ``fee`` 分 where it is known.

    ``penalty``: 分 that it costs all the same, of one that was called off.
    """

    number: str
    kind: str
    fee: int | None = None
    rider: str = ""
    phone: str = ""
    reason: str = ""
    penalty: int = 0


@dataclass(frozen=True, slots=True)
class CourierNotice:
    """A callback that was checked: ``event`` is the same for each repeat of it."""

    event: str
    state: CourierState


class CourierProvider(Protocol):
    """One account at a courier."""

    @property
    def name(self) -> str:
        """Its name in our tables and in the address of its callback."""
        ...

    @property
    def merchants(self) -> frozenset[str]:
        """The merchants whose errands it runs; empty for all."""
        ...

    async def quote(self, request: CourierRequest) -> CourierQuote:
        """What an errand would cost. Raises Refused (courier_refused), Busy."""
        ...

    async def create(self, request: CourierRequest) -> CourierState:
        """Ask for an errand; again under one number it says how that one stands.

        Raises Refused (courier_refused) when this will never be done; any other error is worth another try.
        """
        ...

    async def cancel(self, number: str, reason: str) -> CourierState:
        """Call it off; one that is off already is given as it is. Raises Refused (courier_refused), Busy."""
        ...

    async def query(self, number: str) -> CourierState | None:
        """How an errand stands; None when nothing is known of it. Raises Busy."""
        ...

    async def parse(self, message: SignedMessage) -> CourierNotice:
        """Check a callback and read it. Raises Refused (bad_signature, merchant_mismatch), Invalid, Busy."""
        ...

    def acknowledge(self, error: CommerceError | None) -> CallbackAnswer:
        """How a callback is answered that was taken, or was not (it will be repeated)."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
