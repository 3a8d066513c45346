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
class ProductView:
    """A product with its default SKU; ``version`` is the price's, ``stock`` the units free to sell."""

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
        }


@dataclass(frozen=True, slots=True)
class Card:
    """A product as a room shows it, on the shelf or pinned; ``media_ms`` is the stream's clock at the pin.

    ``clip`` is the address of the newest clip that explains it.
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
    """What a coupon drop can be started from; ``valid_s`` counts from the claim."""

    id: str
    merchant: str
    title: str
    reason: str
    amount: int
    threshold: int
    total: int
    per_person: int
    valid_s: int


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
