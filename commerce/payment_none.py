"""No provider is set up: every payment is refused, in words, before anything is written about it outside."""

from commerce.domain.bill import Bill
from commerce.domain.clearing import Funds
from commerce.errors import CommerceError, NotFound, Refused
from commerce.payment import (
    CallbackAnswer,
    PaymentNotice,
    PaymentOpened,
    PaymentRequest,
    RefundRequest,
    SignedMessage,
)


class NoProvider:
    """Stands where a shop on a public address has neither a provider nor asked for the sandbox."""

    name = "none"
    appid = ""
    methods: tuple[str, ...] = ()
    # Nobody has this id.
    merchants: frozenset[str] = frozenset({""})

    async def start(self, request: PaymentRequest) -> PaymentOpened | None:
        """Raise Refused (no_provider)."""
        raise Refused("no_provider", "this shop takes no payments yet: no payment provider is set up")

    async def query(self, payment: str) -> SignedMessage | None:
        """There is never a notice."""
        return None

    async def close(self, payment: str) -> None:
        """There is nothing to close."""

    async def refund(self, request: RefundRequest) -> SignedMessage | None:
        """Raise Refused (no_provider): no money ever came through here."""
        raise Refused("no_provider", "no payment provider is set up")

    async def parse(self, message: SignedMessage) -> PaymentNotice:
        """Raise NotFound: nobody may call back."""
        raise NotFound("no payment provider is set up")

    def acknowledge(self, error: CommerceError | None) -> CallbackAnswer:
        """Nobody called."""
        return CallbackAnswer(404, b"", "text/plain")

    async def bill(self, day: str) -> Bill | None:
        """There is no file."""
        return None

    async def funds(self, day: str) -> Funds | None:
        """There is no file."""
        return None
