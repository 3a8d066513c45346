"""The port to a payment provider, and what goes through it.

A provider is asked to take a payment (``start``), later tells of it by a signed callback, and can be asked what became
of it (``query``), told to forget it (``close``) or to give the money back (``refund``). ``parse`` checks the signature
of a callback or of a query's answer: both have one form, and both end in the same settling function (promise P6).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

CALLBACK_BYTES_MAX = 16_384
"""A callback is one to two KB; nothing longer is looked at."""
PROVIDER_TIMEOUT_S = 10.0
"""How long an answer of the provider is waited for."""


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """Ask for ``amount`` 分 under our number ``payment``, to be paid before ``expires_ms`` (the hold's expiry)."""

    payment: str
    merchant: str
    amount: int
    expires_ms: int
    title: str


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """Give ``amount`` of the ``paid`` 分 of a payment back under our number ``refund``.

    It says all that a provider signs, so that one which forgot the payment (a sandbox after a restart) can still act.
    """

    refund: str
    payment: str
    merchant: str
    amount: int
    paid: int


@dataclass(frozen=True, slots=True)
class PaymentNotice:
    """A checked notice: ``number`` is the provider's, ``payment`` ours.

    ``kind`` is paid, declined, refunded or refund_failed; the last two name our ``refund``, and ``amount`` is its.
    """

    number: str
    kind: str
    payment: str
    merchant: str
    amount: int
    refund: str = ""


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """A callback as it travels: body bytes and headers (lower-case names)."""

    body: bytes
    headers: Mapping[str, str]


class PaymentProvider(Protocol):
    """One provider of payments."""

    @property
    def name(self) -> str:
        """The provider's name in our tables."""
        ...

    async def start(self, request: PaymentRequest) -> None:
        """Open a payment; asking again with the same number changes nothing."""
        ...

    async def query(self, payment: str) -> SignedMessage | None:
        """The latest notice about a payment, signed like a callback, or None while there is none."""
        ...

    async def close(self, payment: str) -> None:
        """Take no money for this payment any more; harmless when it is paid or unknown."""
        ...

    async def refund(self, request: RefundRequest) -> None:
        """Give money back; asking again under one number changes nothing. A notice follows, each time.

        Raises Refused (refund_refused) when it never will; any other error is worth another try.
        """
        ...

    def parse(self, message: SignedMessage) -> PaymentNotice:
        """Check a message's signature and read it. Raises Refused (bad_signature), Invalid."""
        ...
