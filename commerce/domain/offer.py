"""A SKU's limited-time price, and the version under which a price is shown.

Nobody has to be awake for an offer to begin or end: price and version are functions of the row and the time. A version
rises with each change of the price: by the row's own number when somebody changes it, and by one at each end of the
offer. Whoever changes the offer adds ``VERSIONS_OF_AN_OFFER`` to the row's number, so that no version comes twice.

A store may have a price and an offer of its own (`OwnPrice`); its version stands before the shop's in one number.
"""

from dataclasses import dataclass

VERSIONS_OF_AN_OFFER = 3
OFFER_MS_MAX = 366 * 86_400_000
OFFER_AHEAD_MS_MAX = 366 * 86_400_000
SHOP_VERSIONS_MAX = 1_000_000
"""A SKU's own versions stay below: what a store adds to the version is a multiple of it."""


@dataclass(frozen=True, slots=True)
class ShelfPrice:
    """What a SKU costs at a time: the shelf price, the limited-time price if one is on, and the version of both."""

    shelf: int
    limited: int | None
    version: int

    @property
    def price(self) -> int:
        """分 per unit."""
        return self.shelf if self.limited is None else self.limited


def price_at(
    price: int, version: int, offer: int | None, from_ms: int | None, until_ms: int | None, now_ms: int
) -> ShelfPrice:
    """The price of a SKU's row at a time."""
    if offer is None or from_ms is None or until_ms is None:
        return ShelfPrice(price, None, version)
    on = from_ms <= now_ms < until_ms and offer < price
    return ShelfPrice(price, offer if on else None, version + (now_ms >= from_ms) + (now_ms >= until_ms))


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """What a store asks for a SKU: ``price`` None is the shop's price; the offer as in a SKU's row."""

    price: int | None
    offer: int | None
    from_ms: int | None
    until_ms: int | None
    version: int


def price_in_store(shop: ShelfPrice, own: OwnPrice | None, now_ms: int) -> ShelfPrice:
    """The price in a store: its own price or the shop's, and of the offers that are on, the store's and the shop's,
    the lower one.
    """
    if own is None:
        return shop
    shelf = shop.shelf if own.price is None else own.price
    mine = price_at(shelf, own.version, own.offer, own.from_ms, own.until_ms, now_ms)
    offers = [offer for offer in (shop.limited, mine.limited) if offer is not None and offer < shelf]
    return ShelfPrice(shelf, min(offers, default=None), mine.version * SHOP_VERSIONS_MAX + shop.version)
