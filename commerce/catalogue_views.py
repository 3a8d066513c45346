"""What the catalogue hands out: views of shops, rooms, goods and pins, and the events that tell of their changes.

Money is integer 分, times Unix milliseconds. ``to_json`` gives the shape of the HTTP API and the hub.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Merchant:
    """A shop: everything else is scoped to its ``id``."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Staff:
    """Somebody who logs in for a merchant; ``role`` is merchant, host or guide, ``room`` the one a host is bound to."""

    id: str
    merchant: str
    login: str
    role: str
    name: str
    room: str | None


@dataclass(frozen=True, slots=True)
class RoomView:
    """A live room. ``closed_ms`` is set once it takes no more visitors."""

    id: str
    merchant: str
    title: str
    host: str
    cover: str
    created_ms: int
    closed_ms: int | None

    def to_json(self) -> dict[str, Any]:
        """Give the public shape: id, title, host, cover."""
        return {"id": self.id, "title": self.title, "host": self.host, "cover": self.cover}


@dataclass(frozen=True, slots=True)
class VariantView:
    """One SKU of a product that has several: ``name`` tells them apart (red, L), ``stock`` is what is free to sell.

    With ``slot`` it is a time that can be booked until it begins (Unix milliseconds).
    """

    sku: str
    name: str
    price: int
    list_price: int
    version: int
    stock: int
    slot: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Give the JSON shape."""
        return {
            "sku": self.sku,
            "slot": self.slot,
            "name": self.name,
            "price": self.price,
            "list_price": self.list_price,
            "version": self.version,
            "stock": self.stock,
        }


@dataclass(frozen=True, slots=True)
class ProductView:
    """A product with its default SKU; ``version`` is the price's, ``stock`` the units free to sell.

    ``price`` is the shelf price: a limited-time price of the default SKU is ``offer_price`` from ``offer_from`` until
    ``offer_until``. ``kind`` is goods, or stored: buying it gives stored value, and ``bonus`` 分 more. ``category`` is
    one name, empty for none.
    """

    product: str
    sku: str
    title: str
    price: int
    list_price: int
    image: str
    detail: str
    stock: int
    version: int
    on_shelf: bool
    kind: str = "goods"
    bonus: int = 0
    offer_price: int | None = None
    offer_from: int | None = None
    offer_until: int | None = None
    variants: tuple[VariantView, ...] = ()
    category: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give the JSON shape."""
        return {
            "product": self.product,
            "sku": self.sku,
            "title": self.title,
            "price": self.price,
            "list_price": self.list_price,
            "image": self.image,
            "detail": self.detail,
            "stock": self.stock,
            "version": self.version,
            "on_shelf": self.on_shelf,
            "kind": self.kind,
            "bonus": self.bonus,
            "offer_price": self.offer_price,
            "offer_from": self.offer_from,
            "offer_until": self.offer_until,
            "variants": [variant.to_json() for variant in self.variants],
            "category": self.category,
        }


@dataclass(frozen=True, slots=True)
class Card:
    """A product as a room shows it, on the shelf or pinned; ``media_ms`` is the stream's clock at the pin.

    ``clip`` is the address of the newest clip that explains it. ``price`` is what it costs now; ``offer_until`` is when
    its limited-time price ends, ``turns`` when any price on the card changes by the clock next. ``variants`` are all of
    its SKUs when it has several; ``stock`` is then their sum.
    """

    product: str
    sku: str
    title: str
    price: int
    list_price: int
    image: str
    stock: int
    version: int
    explaining: bool
    media_ms: int | None = None
    state: str = "on"
    clip: str | None = None
    kind: str = "goods"
    bonus: int = 0
    offer_until: int | None = None
    turns: int | None = None
    variants: tuple[VariantView, ...] = ()
    category: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give the JSON shape; ``media_ms`` only where it is known."""
        shape: dict[str, Any] = {
            "product": self.product,
            "sku": self.sku,
            "title": self.title,
            "price": self.price,
            "list_price": self.list_price,
            "image": self.image,
            "stock": self.stock,
            "version": self.version,
            "explaining": self.explaining,
            "state": self.state,
        }
        if self.media_ms is not None:
            shape["media_ms"] = self.media_ms
        if self.clip is not None:
            shape["clip"] = self.clip
        if self.kind != "goods":
            shape |= {"kind": self.kind, "bonus": self.bonus}
        if self.offer_until is not None:
            shape["offer_until"] = self.offer_until
        if self.turns is not None:
            shape["turns"] = self.turns
        if self.variants:
            shape["variants"] = [variant.to_json() for variant in self.variants]
        if self.category:
            shape["category"] = self.category
        return shape


def clip_address(clip: str) -> str:
    """Where a clip is played, on whatever host serves the shop: like a product's picture, an address and not a file."""
    return f"/clips/{clip}.mp4"


@dataclass(frozen=True, slots=True)
class ClipView:
    """An explanation of a product, cut out of a show: media time in the show, and what the file is."""

    clip: str
    merchant: str
    room: str
    product: str
    title: str
    show: str
    start_ms: int
    end_ms: int
    length_ms: int
    bytes: int
    file: str
    created_ms: int

    def to_json(self) -> dict[str, Any]:
        """Give the public shape, with the address to play it."""
        return {
            "clip": self.clip,
            "url": clip_address(self.clip),
            "product": self.product,
            "title": self.title,
            "show": self.show,
            "start_ms": self.start_ms,
            "end_ms": self.end_ms,
            "length_ms": self.length_ms,
            "bytes": self.bytes,
            "created": self.created_ms,
        }


@dataclass(frozen=True, slots=True)
class CouponTemplate:
    """What a coupon drop can be started from; ``valid_s`` counts from the claim.

    ``outlets``: the stores where its coupons count, none: everywhere.
    """

    id: str
    merchant: str
    title: str
    reason: str
    amount: int
    threshold: int
    total: int
    per_person: int
    valid_s: int
    percent: int = 0
    stack: str = ""
    audience: str = "all"
    issuer: str = ""
    outlets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PinChanged:
    """Pins of a room changed: ``pins`` is all of them now, ``card`` the one pinned, ``unpinned`` the product let go."""

    id: str
    merchant: str
    room: str
    now_ms: int
    pins: tuple[Card, ...]
    card: Card | None = None
    unpinned: str | None = None


@dataclass(frozen=True, slots=True)
class ShelfChanged:
    """The shelf of a room changed: ``shelf`` is all of it now, in order."""

    id: str
    merchant: str
    room: str
    now_ms: int
    shelf: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class RoomChanged:
    """A room was made, renamed or closed."""

    id: str
    merchant: str
    room: str
    now_ms: int
    view: RoomView


CatalogueEvent = PinChanged | ShelfChanged | RoomChanged
