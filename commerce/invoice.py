"""What the shop asks of whoever issues its invoices (数电票): one port, adapters beside it.

A blue invoice answers an order, a red-letter one takes part of a blue one back. Both carry our id: an issuer that is
asked again under the same id answers with the same invoice.
"""

from dataclasses import dataclass
from typing import Protocol

from commerce.errors import CommerceError


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line: ``amount`` 分 with ``tax`` inside, ``rate`` in basis points."""

    title: str
    quantity: int
    amount: int
    tax: int
    rate: int


@dataclass(frozen=True, slots=True)
class InvoiceRequest:
    """An invoice to be issued. ``blue_number`` is that of the invoice which a red one takes back; amounts positive."""

    id: str
    kind: str
    seller: str
    seller_tax_number: str
    title: str
    tax_number: str
    amount: int
    tax: int
    lines: tuple[InvoiceLine, ...]
    order: str
    at_ms: int
    blue_number: str = ""


@dataclass(frozen=True, slots=True)
class IssuedInvoice:
    """An invoice that is there: its number (20 digits) and the document to hand out."""

    number: str
    document: bytes
    media_type: str


class InvoiceRefused(CommerceError):
    """The issuer says no: the sentence says why, and staff can mend it and ask again."""

    def __init__(self, message: str) -> None:
        super().__init__("invoice_refused", message)


class InvoiceIssuer(Protocol):
    """Issues invoices."""

    name: str

    async def issue(self, request: InvoiceRequest) -> IssuedInvoice:
        """Issue, or give again what was issued under this id. Raises InvoiceRefused, Busy when it cannot be reached."""
        ...
