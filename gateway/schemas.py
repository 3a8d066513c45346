"""Bodies and answers of the JSON API, as msgspec structs: what /openapi.json says and what is checked on the way in.

Money is integer 分, times are Unix milliseconds. Unknown fields of a body are refused, so that a typing error in a
client shows at once.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from commerce.domain.coupon import AUDIENCE_PATTERN, GROUP_CHARACTERS_MAX, PERCENT_MAX
from commerce.domain.order import (
    ADDRESS_CHARACTERS_MAX,
    CARRIER_CHARACTERS_MAX,
    LINES_MAX,
    TRACKING_CHARACTERS_MAX,
)
from commerce.domain.pricing import COUPONS_MAX
from commerce.domain.refund import REASON_CHARACTERS_MAX
from commerce.domain.webhook import URL_CHARACTERS_MAX
from gateway.schemas_base import (
    Body as Body,
)
from gateway.schemas_base import (
    Category as Category,
)
from gateway.schemas_base import (
    Cents as Cents,
)
from gateway.schemas_base import (
    ClientTouch,
)
from gateway.schemas_base import (
    Id as Id,
)
from gateway.schemas_base import (
    Label as Label,
)
from gateway.schemas_base import (
    Link as Link,
)
from gateway.schemas_base import (
    Millis as Millis,
)
from gateway.schemas_base import (
    Name as Name,
)
from gateway.schemas_base import (
    Price as Price,
)
from gateway.schemas_base import (
    Quantity as Quantity,
)
from gateway.schemas_base import (
    Seconds as Seconds,
)
from gateway.schemas_base import (
    Stock as Stock,
)
from gateway.schemas_base import (
    Title as Title,
)
from gateway.schemas_base import (
    Token as Token,
)
from gateway.schemas_base import (
    Units as Units,
)
from gateway.schemas_base import (
    Why as Why,
)
from gateway.schemas_moments import DrawView, SaleView, TeamView
from gateway.schemas_orders import (
    AgreedBody as AgreedBody,
)
from gateway.schemas_orders import (
    OrderLineBody as OrderLineBody,
)
from gateway.schemas_orders import (
    OrderLineView as OrderLineView,
)
from gateway.schemas_orders import (
    PresaleView as PresaleView,
)
from gateway.schemas_orders import (
    PriceStep as PriceStep,
)
from gateway.schemas_orders import (
    ProductionView as ProductionView,
)
from gateway.schemas_orders import (
    Wishes as Wishes,
)

Coupons = Annotated[list[Id], Meta(max_length=COUPONS_MAX)]
Spend = Annotated[int, Meta(ge=0, le=1_000_000_000, description="spend at most so many points, or 分 of stored value")]


class GuestBody(Body, kw_only=True):
    room: Id
    name: Name | None = None
    scene: Token | None = None
    device: Annotated[str, Meta(max_length=64)] | None = None
    scanned: bool = False


class LoginBody(Body, kw_only=True):
    login: Annotated[str, Meta(min_length=1, max_length=60)]
    password: Annotated[str, Meta(min_length=1, max_length=200)]


class RoomBody(Body, kw_only=True):
    """``node``: of the organisation, by default that of who opens the room."""

    title: Title
    host_name: Name | None = None
    cover: Link = ""
    node: Id | None = None


class VariantBody(Body, kw_only=True):
    """One more SKU of a product."""

    name: Title
    price: Price
    list_price: Cents | None = None
    stock: Stock = 0
    slot_ms: Millis | None = None


class ProductBody(Body, kw_only=True):
    title: Title
    price: Price
    list_price: Cents | None = None
    stock: Stock
    image: Link = ""
    detail: Annotated[str, Meta(max_length=2_000)] = ""
    kind: Literal["goods", "stored"] = "goods"
    bonus: Annotated[int, Meta(ge=0, le=1_000_000_000, description="分 that the shop adds to stored value")] = 0
    name: Annotated[str, Meta(max_length=60, description="of the first variant: 250 g, red …")] = ""
    category: Category = ""
    variants: Annotated[list[VariantBody], Meta(max_length=49)] = field(default_factory=list)


class PriceBody(Body, kw_only=True):
    price: Price
    list_price: Cents | None = None
    why: Why = ""


class StockBody(Body, kw_only=True):
    quantity: Annotated[int, Meta(ge=-100_000_000, le=100_000_000, description="units added, negative to take away")]
    reason: Annotated[str, Meta(min_length=1, max_length=200)]


class PinBody(Body, kw_only=True):
    product: Id
    explaining: bool = False


class CouponTermsBody(Body, kw_only=True):
    """The finer terms of a coupon: with ``percent`` it takes that much off, the amount at the most."""

    percent: Annotated[int, Meta(ge=0, le=PERCENT_MAX)] = 0
    stack: Annotated[str, Meta(max_length=GROUP_CHARACTERS_MAX, description="groups combine; empty stands alone")] = ""
    audience: Annotated[str, Meta(pattern=AUDIENCE_PATTERN, description="all, new, tier:1 to 9 or tag:NAME")] = "all"
    issuer: Annotated[str, Meta(max_length=64, description="whose budget it is promised out of")] = ""
    outlets: Annotated[list[Id], Meta(max_length=100, description="counts in these stores; none: in all")] = field(
        default_factory=list
    )


class DropBody(CouponTermsBody, kw_only=True):
    title: Title
    reason: Annotated[str, Meta(min_length=1, max_length=60, description="each coupon has a reason: 店庆, 上新 …")]
    amount: Price
    threshold: Cents = 0
    total: Units
    per_person: Quantity = 1
    seconds: Seconds = 60
    valid_s: Annotated[int, Meta(ge=60, le=366 * 86_400)] = 7 * 86_400


class DeliveryBody(Body, kw_only=True):
    """How the buyer wants the goods: ``express`` or ``courier`` to an address, or ``pickup`` with a code that is told.

    A courier goes from a store to ``lat`` and ``lng`` (degrees, GCJ-02).
    """

    method: Literal["express", "pickup", "courier"]
    name: Name
    phone: Annotated[str, Meta(min_length=5, max_length=21)]
    address: Annotated[str, Meta(max_length=ADDRESS_CHARACTERS_MAX)] = ""
    outlet: Annotated[str, Meta(max_length=64, description="the store that hands it over")] = ""
    station: Annotated[str, Meta(max_length=64, description="a pickup station; empty: the shop itself")] = ""
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lng: Annotated[float, Meta(ge=-180, le=180)] | None = None


class OrderBody(Body, kw_only=True):
    room: Id
    hold: Id | None = None
    lines: Annotated[list[OrderLineBody], Meta(max_length=LINES_MAX)] = field(default_factory=list)
    coupon: Id | None = None
    coupons: Coupons = field(default_factory=list)
    points: Spend = 0
    stored: Spend = 0
    delivery: DeliveryBody | None = None
    mall: Annotated[bool, Meta(description="have the one line for the points that it costs in the mall")] = False
    custom: Wishes = field(default_factory=dict)
    offer: AgreedBody | None = None


class RefundLineBody(Body, kw_only=True):
    sku: Id
    quantity: Units


class RefundBody(Body, kw_only=True):
    """Of ``lines``, of an ``amount`` without goods, or, with neither, all that is left."""

    lines: Annotated[list[RefundLineBody], Meta(min_length=1, max_length=LINES_MAX)] | None = None
    amount: Price | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=REASON_CHARACTERS_MAX)]
    stock: Literal["sellable", "quarantine", "none"] = "none"


class ShipBody(Body, kw_only=True):
    carrier: Annotated[str, Meta(min_length=1, max_length=CARRIER_CHARACTERS_MAX)]
    number: Annotated[str, Meta(min_length=1, max_length=TRACKING_CHARACTERS_MAX)]


class CodeBody(Body, kw_only=True):
    code: Annotated[str, Meta(min_length=1, max_length=12)]


class WebhookBody(Body, kw_only=True):
    url: Annotated[str, Meta(min_length=1, max_length=URL_CHARACTERS_MAX)]
    events: Annotated[list[Label], Meta(max_length=20, description="those of orders when left out")] = field(
        default_factory=list
    )


class LinkBody(Body, kw_only=True):
    room: Id
    sku: Id | None = None
    channel: Label = ""
    campaign: Label = ""
    parent: Token | None = None


class TouchBody(Body, kw_only=True):
    kind: ClientTouch
    room: Id | None = None
    sku: Id | None = None
    token: Token | None = None
    clip: Id | None = None


class Empty(Struct):
    """An answer with nothing to say."""


class GuestAnswer(Struct):
    token: str
    person: str
    name: str
    role: str
    expires: int


class RoomEntry(Struct):
    room: str
    title: str
    live: bool


class LoginAnswer(Struct):
    token: str
    role: str
    merchant: str
    name: str
    expires: int
    rooms: list[RoomEntry]


class RoomView(Struct):
    id: str
    title: str
    host: str
    cover: str


class StreamView(Struct):
    """At ``now`` (Unix ms) the stream's media clock was at ``media_ms``; null while it is not live.

    ``away``: the host is connected and sends nothing, viewers see its last picture or a slate.
    """

    live: bool
    away: bool
    since: int | None
    video: str | None
    audio: str | None
    width: int | None
    height: int | None
    media_ms: int | None
    now: int


class PlayView(Struct):
    flv: str
    mp4: str
    hls: str
    whep: str
    rtmp: str


class VariantView(Struct):
    """One SKU of a product that has several."""

    sku: str
    name: str
    price: int
    list_price: int
    version: int
    stock: int
    slot: int | None = None


class CardView(Struct):
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
    clip: str | None = None
    state: str = "on"
    kind: str = "goods"
    bonus: int = 0
    offer_until: int | None = None
    turns: int | None = None
    variants: list[VariantView] = []
    category: str = ""


class DropView(Struct):
    drop: str
    room: str
    title: str
    reason: str
    amount: int
    threshold: int
    total: int
    left: int
    per_person: int
    starts: int
    ends: int
    state: str
    media_ms: int | None = None
    percent: int = 0
    stack: str = ""
    audience: str = "all"
    issuer: str = ""
    way: str = "drop"


class RoomAnswer(Struct):
    room: RoomView
    stream: StreamView
    pins: list[CardView]
    shelf: list[CardView]
    sales: list[SaleView]
    drops: list[DropView]
    draws: list[DrawView]
    teams: list[TeamView]
    viewers: int
    likes: int
    play: PlayView


class PublishView(Struct):
    server: str
    stream_key: str
    url: str


class AdviceView(Struct):
    """One thing that the host could do better: ``bad`` is felt by viewers now; ``values`` fill the sentence."""

    code: str
    level: Literal["bad", "warn"]
    text: str
    values: dict[str, float | str]


class HealthView(Struct):
    """What the host sends, measured: bits and pictures of a second, the longest recent distance of key frames.

    ``pace`` is media time per wall time: below 1 the line is too thin. Null: not known (yet).
    """

    protocol: Literal["rtmp", "whip"] | None
    rtt_ms: int | None
    fps: float | None
    video_bps: int | None
    audio_bps: int | None
    gop_ms: int | None
    b_frames: bool
    pace: float | None
    silent_ms: int | None
    packets_dropped: int
    advice: list[AdviceView]


class StreamReport(StreamView):
    """A stream in one piece; ``players`` by how they play."""

    room: str
    players: dict[str, int]
    health: HealthView


class StreamsAnswer(StreamView):
    viewers: int
    publish: PublishView
    players: dict[str, int]
    health: HealthView


class OrderView(Struct):
    order: str
    room: str
    person: str
    status: str
    goods: int
    discount: int
    amount: int
    lines: list[OrderLineView]
    steps: list[PriceStep]
    coupon: str | None
    created: int
    expires: int | None
    paid: int | None
    refunded: int = 0
    fulfilment: str = "open"
    delivery: dict[str, Any] | None = None
    fulfilled: int | None = None
    done: int | None = None
    cancelled: int | None = None
    reason: str | None = None
    kind: str = "goods"
    stored: int = 0
    points: int = 0
    due: int = 0
    coupons: list[str] = []
    presale: PresaleView | None = None
    freight: int = 0
    production: ProductionView | None = None


class OrderAnswer(Struct):
    order: OrderView


class WebhookAnswer(Struct):
    """Where events go; ``secret`` is told once, when the webhook is made."""

    webhook: str
    url: str
    events: list[str]
    created: int
    secret: str | None = None


class CouponView(Struct):
    coupon: str
    title: str
    amount: int
    threshold: int
    expires: int
    drop: str | None = None
    state: str = "unused"
    percent: int = 0
    stack: str = ""
    reason: str = ""


class CouponAnswer(Struct):
    """A coupon that was just caught."""

    coupon: str
    title: str
    amount: int
    threshold: int
    expires: int
    percent: int = 0


class LinkAnswer(Struct):
    token: str
    url: str


class Page(Struct):
    """One page of a list; ``next`` is the cursor for ``?after=``, null at the end."""

    items: list[dict[str, Any]]
    next: str | None = None


class ProblemDetails(Struct):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    retry_ms: int | None = None


class SoldView(Struct):
    """Paid orders since ``since`` (the midnight of Asia/Shanghai) and their sum."""

    since: int
    orders: int
    amount: int


class MessageBody(Body, kw_only=True):
    """A text to a room: ``notice`` passes by, ``announcement`` is shown for a while, ``pinned`` until the next."""

    kind: Literal["notice", "announcement", "pinned"] = "notice"
    text: Annotated[str, Meta(min_length=1, max_length=500)]
    seconds: Annotated[int, Meta(ge=1, le=86_400, description="of an announcement")] = 60


class KickBody(Body, kw_only=True):
    person: Id
    reason: Label = ""


class ViewersAnswer(Struct):
    """People and sockets in a room now; staff are not viewers."""

    viewers: int
    connections: int
    likes: int
    chat_lines: int
    chat_sampled: int


class AuditView(Struct):
    """What somebody of the staff did; ``at`` is Unix milliseconds, ``person`` whom it was done to."""

    entry: str
    at: int
    room: str
    by: dict[str, str]
    action: str
    person: str | None
    detail: dict[str, Any]


class AuditAnswer(Struct):
    """Entries, newest first; ``next`` is the cursor for ``?after=``, null at the end."""

    items: list[AuditView]
    next: str | None = None


class StatsAnswer(Struct):
    hub: dict[str, Any]
    stream: dict[str, Any]
    sold: SoldView
    orders: list[OrderView]


class HoldBody(Body, kw_only=True):
    quantity: Quantity = 1


class HoldAnswer(Struct):
    hold: str
    quantity: int
    price: int
    expires: int
