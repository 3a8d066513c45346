"""Bodies and answers of stores: what each offers, its stock and prices, and units that move between them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from commerce.changes import WHY_CHARACTERS_MAX
from commerce.domain.freight import BANDS_MAX
from commerce.domain.money import AMOUNT_MAX
from commerce.domain.order import ADDRESS_CHARACTERS_MAX
from commerce.domain.outlet import DAYS_OF_WEEK, MINUTES_OF_DAY, RADIUS_M_MAX
from commerce.domain.sale import UNITS_MAX
from gateway.schemas import Body, Id, Name, Price

Minute = Annotated[int, Meta(ge=0, le=MINUTES_OF_DAY, description="of the shop's day")]
Hours = Annotated[
    list[Annotated[list[Minute], Meta(min_length=2, max_length=2)]],
    Meta(max_length=DAYS_OF_WEEK, description="[from, until] from Monday on; empty: always open"),
]
Place = Annotated[str, Meta(max_length=64, description="a store; empty: the warehouse")]
Why = Annotated[str, Meta(min_length=1, max_length=WHY_CHARACTERS_MAX)]
Way = Literal["express", "pickup", "courier"]


class OutletBody(Body, kw_only=True):
    """A store; ``lat`` and ``lng`` in degrees (GCJ-02, as Chinese maps show them), ``radius`` of its courier in metres.

    ``stocked``: it keeps stock of its own, from which it hands over. ``node`` of the organisation runs it.
    """

    name: Name
    address: Annotated[str, Meta(min_length=1, max_length=ADDRESS_CHARACTERS_MAX)]
    phone: Annotated[str, Meta(max_length=21)] = ""
    lat: Annotated[float, Meta(ge=-90, le=90)]
    lng: Annotated[float, Meta(ge=-180, le=180)]
    pickup: bool = True
    express: bool = False
    courier: bool = False
    stocked: bool = False
    radius: Annotated[int, Meta(ge=1, le=RADIUS_M_MAX)] = 5_000
    hours: Hours = field(default_factory=list)
    node: Annotated[str, Meta(max_length=64)] = ""


class OutletChange(Body, kw_only=True):
    """What of a store is to be otherwise; what is left out stays."""

    name: Name | None = None
    address: Annotated[str, Meta(min_length=1, max_length=ADDRESS_CHARACTERS_MAX)] | None = None
    phone: Annotated[str, Meta(max_length=21)] | None = None
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lng: Annotated[float, Meta(ge=-180, le=180)] | None = None
    pickup: bool | None = None
    express: bool | None = None
    courier: bool | None = None
    stocked: bool | None = None
    radius: Annotated[int, Meta(ge=1, le=RADIUS_M_MAX)] | None = None
    hours: Hours | None = None
    node: Annotated[str, Meta(max_length=64)] | None = None


class OutletAnswer(Struct):
    """``distance`` is metres, when it was said where from; ``ways`` those that can be had now, ``offers`` all of them.

    ``has``: whether all of the ``goods`` asked for are free there. ``mine``: an account of staff runs it. ``key`` is
    the till's, told once.
    """

    outlet: str
    name: str
    address: str
    phone: str
    lat: float
    lng: float
    pickup: bool
    distance: int | None = None
    key: str | None = None
    ways: list[Way] = field(default_factory=list)
    offers: list[Way] = field(default_factory=list)
    open: bool = True
    has: bool | None = None
    stocked: bool = False
    radius: int = 0
    hours: list[list[int]] = field(default_factory=list)
    mine: bool = False
    node: str = ""


class WaysBody(Body, kw_only=True):
    """By which ways the shop itself hands over, where no store is chosen."""

    express: bool
    pickup: bool


class WaysAnswer(Struct):
    ways: list[Way]


class OutletStockBody(Body, kw_only=True):
    """Units received (``reason`` received) or, for any other reason, a count put right; may be negative then."""

    sku: Id
    quantity: Annotated[int, Meta(ge=-UNITS_MAX, le=UNITS_MAX)]
    reason: Annotated[str, Meta(min_length=1, max_length=WHY_CHARACTERS_MAX)] = "received"


class OutletUnits(Struct):
    """Units of a SKU in a place."""

    sku: str
    received: int
    adjusted: int
    free: int
    held: int
    sold: int
    shipped: int
    quarantined: int


class OutletStockView(Struct):
    """A SKU of a store: its units, and what it costs (分). ``price`` null: the shop's; ``offer`` with its two times."""

    sku: str
    title: str
    name: str
    code: str
    free: int
    held: int
    sold: int
    shipped: int
    quarantined: int
    shop_price: int
    price: int | None
    offer: int | None
    since: int | None
    until: int | None


class OutletStockPage(Struct):
    items: list[OutletStockView]
    next: str | None


class OutletPriceBody(Body, kw_only=True):
    """``price`` null: the shop's. ``offer``: a limited-time price between ``since`` and ``until`` (Unix ms)."""

    price: Price | None = None
    offer: Price | None = None
    since: Annotated[int, Meta(ge=0, le=1 << 44)] = 0
    until: Annotated[int, Meta(ge=0, le=1 << 44)] = 0
    why: Annotated[str, Meta(max_length=WHY_CHARACTERS_MAX)] = ""


class OutletPriceAnswer(Struct):
    """What a SKU costs in a store now (分); ``version`` goes with the order's line."""

    outlet: str
    sku: str
    price: int
    limited: int | None
    version: int


class TransferBody(Body, kw_only=True):
    """Units that go from one place to another."""

    sku: Id
    quantity: Annotated[int, Meta(ge=1, le=UNITS_MAX)]
    source: Place = ""
    target: Place = ""
    why: Why


class TransferAnswer(Struct):
    """``left`` are still free where they came from, ``there`` are free now where they went."""

    transfer: str
    sku: str
    quantity: int
    source: str
    target: str
    left: int
    there: int


class TransferLine(Struct):
    id: str
    sku: str
    title: str
    name: str
    source: str
    target: str
    quantity: int
    staff: str
    why: str
    created_ms: int


class TransferPage(Struct):
    items: list[TransferLine]
    next: str | None


Band = Annotated[list[int], Meta(min_length=2, max_length=2, description="[metres up to, 分]; [0, 分] alone: flat")]


class FreightBody(Body, kw_only=True):
    """What bringing goods by one way costs their buyer; without ``bands`` nothing, or what the shop says.

    ``outlet`` empty: of all stores that have no rule, and of the shop itself. Beyond the last band its fee holds.
    ``free_from``: 分 paid for goods from which it is free. ``keeps``: it stays the shop's when goods come back that
    were on their way.
    """

    outlet: Annotated[str, Meta(max_length=64)] = ""
    way: Literal["express", "courier"]
    bands: Annotated[list[Band], Meta(max_length=BANDS_MAX)] = field(default_factory=list)
    free_from: Annotated[int, Meta(ge=1, le=AMOUNT_MAX)] | None = None
    keeps: bool = True


class FreightView(Struct):
    outlet: str
    name: str
    way: str
    bands: list[list[int]]
    free_from: int | None
    keeps: bool
