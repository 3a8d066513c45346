"""An issuer that needs nothing: it numbers without gaps and makes real documents, good for no tax office.

The document is XML (UTF-8) with seller, buyer, lines with rate and tax, totals, and for a red-letter invoice the number
that it takes back. Numbers look like those of 数电票: two digits of the year, two of a region that does not exist (99),
one of the way, fifteen running.
"""

from collections.abc import Awaitable, Callable
from xml.etree import ElementTree

from commerce.domain.day import local, rfc3339
from commerce.domain.money import yuan
from commerce.invoice import InvoiceRequest, IssuedInvoice

REGION, WAY = "99", "0"

Numbering = Callable[[str, int, str], Awaitable[int]]
"""(issuer, year, invoice) → the running number: the same for the same invoice."""


class SandboxInvoices:
    """Issues at once."""

    name = "sandbox"

    def __init__(self, number: Numbering) -> None:
        self._number = number

    async def issue(self, request: InvoiceRequest) -> IssuedInvoice:
        """Number it and write its document."""
        year = local(request.at_ms).year
        running = await self._number(self.name, year, request.id)
        number = f"{year % 100:02}{REGION}{WAY}{running:015}"
        return IssuedInvoice(number, invoice_document(request, number), "application/xml")


def invoice_document(request: InvoiceRequest, number: str) -> bytes:
    """The document of an invoice; amounts of a red one are negative."""
    sign = -1 if request.kind == "red" else 1
    root = ElementTree.Element("invoice", kind=request.kind, number=number, test="沙箱票据，不可报销")
    _put(root, "issued", rfc3339(request.at_ms))
    _put(root, "seller", request.seller, taxNumber=request.seller_tax_number)
    _put(root, "buyer", request.title, taxNumber=request.tax_number)
    if request.blue_number:
        _put(root, "takesBack", request.blue_number)
    _put(root, "order", request.order)
    lines = ElementTree.SubElement(root, "lines")
    for line in request.lines:
        _put(
            lines,
            "line",
            line.title,
            quantity=str(line.quantity),
            rate=f"{line.rate / 100:g}%",
            net=yuan(sign * (line.amount - line.tax)),
            tax=yuan(sign * line.tax),
            amount=yuan(sign * line.amount),
        )
    _put(root, "net", yuan(sign * (request.amount - request.tax)))
    _put(root, "tax", yuan(sign * request.tax))
    _put(root, "amount", yuan(sign * request.amount))
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _put(parent: ElementTree.Element, name: str, content: str, **attributes: str) -> None:
    child = ElementTree.SubElement(parent, name, attributes)
    child.text = content
