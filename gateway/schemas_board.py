"""Answers of the private-traffic board (commerce/attribution/board.py, insight.py). Money in 分, times in Unix ms."""

from __future__ import annotations

from msgspec import Struct

from gateway.schemas_people import FaultView


class FunnelView(Struct):
    """Different persons at each step."""

    visit: int
    entry: int
    click: int
    order: int
    paid: int
    repeat: int


class SideView(Struct):
    """What was sold: paid sales, their amount, persons who bought once, and again."""

    sales: int
    amount: int
    refunded: int
    payers: int
    repeaters: int


class SoldSides(Struct):
    """``gmv``, the funnel and the tables of orders are ``online``."""

    online: SideView
    tills: SideView
    together: SideView


class OutletRow(Struct):
    """Receipts of one store's till."""

    outlet: str
    name: str
    receipts: int
    members: int
    amount: int
    refunded: int


class SellerRow(Struct):
    """Receipts with one seller's code; null: nobody said one."""

    issuer: str | None
    name: str
    receipts: int
    members: int
    amount: int
    refunded: int


class OrdersTotal(Struct):
    all: int
    paid: int


class ProductView(Struct):
    """traffic × conversion × repurchase × basket = gmv."""

    traffic: int
    payers: int
    paid: int
    gmv: int
    conversion: float
    repurchase: float
    basket: float


class StepView(Struct):
    """One hour or day from ``at`` on."""

    at: int
    visits: int
    entries: int
    clicks: int
    orders: int
    paid: int
    amount: int


class SeriesView(Struct):
    unit_ms: int
    rows: list[StepView]


class BoardOrderView(Struct):
    """An order with whom it credits by the chosen model, and how many candidates lost."""

    order: str
    person: str
    name: str | None
    amount: int
    status: str
    created: int
    link: str | None
    issuer: str | None
    issuer_name: str | None
    role: str | None
    channel: str | None
    rule: str | None
    losers: int


class Counts(Struct, kw_only=True):
    """Persons who came, entered and clicked; orders, paid ones, their amount and what of it was given back."""

    visits: int
    entries: int
    clicks: int
    orders: int
    paid: int
    amount: int
    refunded: int


class LinkRow(Counts, kw_only=True):
    link: str | None
    token: str | None
    issuer: str | None
    issuer_name: str | None
    role: str | None
    channel: str | None


class IssuerRow(Counts, kw_only=True):
    issuer: str | None
    name: str | None
    role: str | None


class ChannelRow(Counts, kw_only=True):
    channel: str | None


class RoomRow(Counts, kw_only=True):
    room: str | None
    title: str | None
    host: str | None


class HostRow(Counts, kw_only=True):
    """What was sold in their rooms while they hosted them."""

    host: str | None


class ClipRow(Counts, kw_only=True):
    """``visits`` watched it; the orders are of its product, by who had watched it within a day before."""

    clip: str | None
    title: str | None
    room: str | None


class CampaignRow(Counts, kw_only=True):
    """``roi``: sold and not given back, over the cost; null without a cost."""

    campaign: str
    cost: int
    roi: float | None


class TreeRow(Counts, kw_only=True):
    link: str
    token: str
    parent: str | None
    root: str
    depth: int
    issuer: str
    issuer_name: str | None
    role: str
    channel: str | None
    room: str | None


class BoardAnswer(Struct):
    since: int
    until: int
    model: str
    funnel: FunnelView
    gmv: int
    refunded: int
    freight: int
    freight_refunded: int
    orders_total: OrdersTotal
    sold: SoldSides
    by_outlet: list[OutletRow]
    by_seller: list[SellerRow]
    conversion: float
    basket: int
    product: ProductView
    k_factor: float
    rejected: dict[str, int]
    series: SeriesView
    orders: list[BoardOrderView]
    by_link: list[LinkRow]
    by_issuer: list[IssuerRow]
    by_channel: list[ChannelRow]
    by_room: list[RoomRow]
    by_host: list[HostRow]
    by_clip: list[ClipRow]
    by_campaign: list[CampaignRow]
    tree: list[TreeRow]


class Sums(Struct):
    orders: int
    paid: int
    amount: int
    refunded: int


class ModelRow(Struct):
    """What each model credits to one issuer; to nobody in the last row."""

    issuer: str | None
    name: str | None
    role: str | None
    default: Sums
    binding_first: Sums
    last_touch: Sums
    first_touch: Sums


class CreditRow(Struct):
    issuer: str
    name: str | None
    orders: int
    paid: int
    amount: int
    refunded: int


class ModelsAnswer(Struct):
    total: Sums
    issuers: list[ModelRow]
    guide: list[CreditRow]
    distributor: list[CreditRow]
    partner: list[CreditRow]


class WeekView(Struct):
    persons: int
    amount: int


class CohortRow(Struct):
    """``weeks[0]`` is the week of the first paid order, ``weeks[n]`` who bought n weeks later."""

    week: int
    persons: int
    amount: int
    weeks: list[WeekView]


class CohortsAnswer(Struct):
    cohorts: list[CohortRow]


class CostRow(Struct):
    date: str
    campaign: str
    cost: int
    imported: int


class CostsAnswer(Struct):
    costs: list[CostRow]


class CostReportAnswer(Struct):
    """Nothing is written while there are faults."""

    written: bool
    rows: int
    cost: int
    faults: list[FaultView]
