"""A manual change of a price or of a count of stock: whose doing it is, why, and from what to what."""

from dataclasses import dataclass

WHY_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True)
class Hand:
    """Whose doing a change is: the member of staff, the reason given, and the sheet that it came by, if one."""

    staff: str
    why: str = ""
    run: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of a SKU: ``what`` is price, list_price, offer, cost (分) or stock (units); None where there is none.

    ``outlet`` is the store that it is about, empty: the shop. A product's category is told of its first SKU, in words.
    """

    sku: str
    what: str
    before: int | None
    after: int | None
    outlet: str = ""
    before_text: str = ""
    after_text: str = ""


def filed(sku: str, before: str, after: str) -> Change:
    """A product went from one category to another; ``sku`` is its first."""
    return Change(sku, "category", None, None, before_text=before, after_text=after)
