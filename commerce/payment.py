"""The port to a payment provider, and what goes through it.

A provider is asked to take a payment (``start``), later tells of it by a signed callback, and can be asked what became
of it (``query``), told to forget it (``close``) or to give the money back (``refund``). ``parse`` checks the signature
of a callback or of an answer: all have one form, and all end in the same settling function (promise P6). ``bill`` is
what the provider says it did on a day, for the reconciliation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from commerce.domain.bill import Bill
from commerce.domain.clearing import Funds
from commerce.errors import CommerceError

CALLBACK_BYTES_MAX = 16_384
"""A callback is one to two KB; nothing longer is looked at."""
PROVIDER_TIMEOUT_S = 10.0
"""How long an answer of the provider is waited for."""
BILL_TIMEOUT_S = 60.0
"""A day's file may have some MB, and comes from another server than the answers."""
NAME_CHARACTERS_MAX = 32
"""A provider's name in our tables and in the address of its callback."""


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """Ask for ``amount`` 分 under our number ``payment``, to be paid before ``expires_ms`` (the hold's expiry).

    ``method`` is one of the provider's; ``payer`` who pays, where the method asks for it (an openid in one app).
    """

    payment: str
    merchant: str
    amount: int
    expires_ms: int
    title: str
    method: str = ""
    payer: str = ""


@dataclass(frozen=True, slots=True)
class PaymentOpened:
    """What the customer's client needs to go on: ``fields`` as the provider's own documents name them.

    ``method`` tells how: ``jsapi`` (call the wallet with these fields), ``native`` (show ``code_url`` as a QR code) or
    ``page`` / ``wap`` (go to ``url``).
    """

    method: str
    fields: Mapping[str, str]


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

    ``kind`` is paid, declined, refunded, refund_failed or noted (kept, without an effect); refunded and refund_failed
    name our ``refund``, and ``amount`` is its. ``merchant`` is empty where the provider does not carry it: the payment
    itself says whose it is, and the account was checked.
    """

    number: str
    kind: str
    payment: str
    merchant: str
    amount: int
    refund: str = ""


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """A callback as it travels: body bytes and headers (lower-case names).

    ``asked`` when it is the answer to a question of ours. A callback is never read as one: an answer says less of whom
    it is about, and somebody else may hold one that the same provider signed.
    """

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    asked: bool = False


@dataclass(frozen=True, slots=True)
class CallbackAnswer:
    """What the provider hears to its callback."""

    status: int
    body: bytes
    content_type: str


class PaymentProvider(Protocol):
    """One provider of payments: one account of a merchant, or of several, at one company."""

    @property
    def name(self) -> str:
        """The provider's name in our tables."""
        ...

    @property
    def methods(self) -> tuple[str, ...]:
        """How it can be paid; the first is the default. Empty: there is nothing to choose."""
        ...

    @property
    def merchants(self) -> frozenset[str]:
        """The merchants whose money goes through this account; empty for all."""
        ...

    @property
    def appid(self) -> str:
        """The app in which payers have their openids, where a method asks for one; empty: none does."""
        ...

    async def start(self, request: PaymentRequest) -> PaymentOpened | None:
        """Open a payment; asking again with the same number changes nothing, and answers the same again.

        Raises Refused, Invalid (a payer is needed), Busy.
        """
        ...

    async def query(self, payment: str) -> SignedMessage | None:
        """The latest notice about a payment, signed like a callback, or None while there is none. Raises Busy."""
        ...

    async def close(self, payment: str) -> None:
        """Take no money for this payment any more; harmless when it is paid or unknown. Raises Busy."""
        ...

    async def refund(self, request: RefundRequest) -> SignedMessage | None:
        """Give money back; asking again under one number changes nothing. The notice, when it is done at once.

        Otherwise a notice follows, each time. Raises Refused (refund_refused) when it never will; any other error is
        worth another try.
        """
        ...

    async def parse(self, message: SignedMessage) -> PaymentNotice:
        """Check a message's signature and read it.

        Raises Refused (bad_signature; merchant_mismatch when it is about another account), Invalid, Busy.
        """
        ...

    def acknowledge(self, error: CommerceError | None) -> CallbackAnswer:
        """How a callback is answered that was taken, or was not (it will be repeated)."""
        ...

    async def bill(self, day: str) -> Bill | None:
        """What it did on a day (YYYY-MM-DD, Asia/Shanghai); None while there is no file yet. Raises Busy, Invalid."""
        ...

    async def funds(self, day: str) -> Funds | None:
        """What moved in our account there on a day, fees and payouts among it; None while there is no file yet.

        Raises Busy, Invalid.
        """
        ...
