"""The port to whoever pays persons: money out of the shop's account to one of its distributors.

A transfer is asked for under our number (``start``), which may be repeated as often as nobody knows whether it arrived;
later it is told of by a signed callback or answered when asked (``query``). ``WAITING``: the person must still say in
their wallet that they take the money, for which ``confirm`` is handed to their client.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from commerce.errors import CommerceError
from commerce.payment import CallbackAnswer, SignedMessage

OPEN, WAITING, PAID, FAILED = "open", "waiting", "paid", "failed"


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """Pay ``amount`` 分 to ``payee`` (an openid in the provider's app, or a person's id) under our ``number``."""

    number: str
    merchant: str
    payee: str
    amount: int
    remark: str


@dataclass(frozen=True, slots=True)
class TransferState:
    """How a transfer stands: ``kind`` is open, waiting, paid or failed; ``provider_number`` theirs, ``amount`` 分."""

    number: str
    kind: str
    amount: int
    provider_number: str = ""
    reason: str = ""
    confirm: Mapping[str, str] = field(default_factory=dict)


class TransferProvider(Protocol):
    """One account from which persons are paid."""

    @property
    def name(self) -> str:
        """Its name in our tables and in the address of its callback."""
        ...

    @property
    def merchants(self) -> frozenset[str]:
        """The merchants whose money it pays out; empty for all."""
        ...

    @property
    def appid(self) -> str:
        """The app whose openids it pays; empty: it pays persons by their ids."""
        ...

    @property
    def amount_max(self) -> int:
        """分 that one transfer may move."""
        ...

    async def start(self, request: TransferRequest) -> TransferState:
        """Ask for a transfer; again under one number it says how that one stands.

        Raises Refused (transfer_refused) when this request will never be done; any other error is worth another try.
        """
        ...

    async def query(self, number: str) -> TransferState | None:
        """How a transfer stands; None when nothing is known of it. Raises Busy."""
        ...

    async def parse(self, message: SignedMessage) -> TransferState:
        """Check a callback's signature and read it. Raises Refused (bad_signature, merchant_mismatch), Invalid."""
        ...

    def acknowledge(self, error: CommerceError | None) -> CallbackAnswer:
        """How a callback is answered that was taken, or was not (it will be repeated)."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
