"""No provider is set up: every payment is refused, in words, before anything is written about it outside."""

from commerce.errors import NotFound, Refused
from commerce.payment import PaymentNotice, PaymentRequest, RefundRequest, SignedMessage


class NoProvider:
    """Stands where a shop on a public address has neither a provider nor asked for the sandbox."""

    name = "none"

    async def start(self, request: PaymentRequest) -> None:
        """Raise Refused (no_provider)."""
        raise Refused("no_provider", "this shop takes no payments yet: no payment provider is set up")

    async def query(self, payment: str) -> SignedMessage | None:
        """There is never a notice."""
        return None

    async def close(self, payment: str) -> None:
        """There is nothing to close."""

    async def refund(self, request: RefundRequest) -> None:
        """Raise Refused (no_provider): no money ever came through here."""
        raise Refused("no_provider", "no payment provider is set up")

    def parse(self, message: SignedMessage) -> PaymentNotice:
        """Raise NotFound: nobody may call back."""
        raise NotFound("no payment provider is set up")
