"""Bodies and answers of sheets of goods and the trail of manual changes, as msgspec structs.

Money is integer 分; stock of goods by weight is in grams. What a line leaves out stays as it is.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from commerce.changes import WHY_CHARACTERS_MAX
from commerce.goods_sheet import CODE, GRAMS_MAX, MEDIA_MAX, OUTLETS_MAX, ROWS_MAX, STOCK_GRAMS_MAX
from gateway.schemas_base import Body, Category, Link, Millis, Price, Title, Why
from gateway.schemas_members import ProductAnswer

Code = Annotated[str, Meta(pattern=f"^{CODE.pattern}$", description="the merchant's own code, or our id")]
Amount = Annotated[int, Meta(ge=0, le=STOCK_GRAMS_MAX, description="units; grams of goods by weight")]
Returns = Literal["seven_days", "custom", "perishable", "digital", "press", "agreed"]


class StoreCountBody(Body, kw_only=True):
    """What is free in one store, by its name or id; ``seen`` as exported."""

    outlet: Annotated[str, Meta(min_length=1, max_length=64)]
    stock: Amount | None = None
    seen: Amount | None = None


class GoodsLineBody(Body, kw_only=True):
    """One SKU. ``grams`` is the weight of one unit, 0 of goods by the piece; ``seen`` and ``version`` as exported."""

    product: Code
    sku: Code
    title: Title | None = None
    name: Annotated[str, Meta(max_length=60)] | None = None
    price: Price | None = None
    list_price: Price | None = None
    list_basis: Annotated[str, Meta(max_length=60)] | None = None
    grams: Annotated[int, Meta(ge=0, le=GRAMS_MAX)] | None = None
    stock: Amount | None = None
    seen: Amount | None = None
    version: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    returns: Returns | None = None
    image: Link | None = None
    media: Annotated[list[Link], Meta(max_length=MEDIA_MAX)] | None = None
    detail: Annotated[str, Meta(max_length=5_000)] | None = None
    on_shelf: bool | None = None
    category: Category | None = None
    outlets: Annotated[list[StoreCountBody], Meta(max_length=OUTLETS_MAX)] | None = None


class GoodsImportBody(Body, kw_only=True):
    """Lines of goods, all taken in or none; with ``try_only`` none."""

    rows: Annotated[list[GoodsLineBody], Meta(min_length=1, max_length=ROWS_MAX)]
    why: Annotated[str, Meta(min_length=1, max_length=WHY_CHARACTERS_MAX)]
    try_only: bool = False


class MovedView(Struct):
    what: str
    before: str
    after: str


class GoodsResultView(Struct):
    """What became of one line; ``column`` and ``message`` of a fault."""

    line: int
    sku: str
    outcome: Literal["created", "changed", "same", "fault"]
    changes: list[MovedView]
    column: str
    message: str


class GoodsReportAnswer(Struct):
    """``written`` is false when a line is at fault, nothing differs, or it was only tried."""

    run: str
    written: bool
    counts: dict[str, int]
    rows: list[GoodsResultView]
    products: list[str]


class StoreCountView(Struct):
    outlet: str
    stock: int
    seen: int


class GoodsLineView(Struct):
    """A SKU as a line of a sheet; ``id`` is ours."""

    id: str
    product: str
    sku: str
    title: str
    name: str
    price: int
    list_price: int
    list_basis: str
    grams: int
    stock: int
    seen: int
    version: int
    returns: str
    image: str
    media: list[str]
    detail: str
    on_shelf: bool
    category: str
    outlets: list[StoreCountView]


class GoodsPage(Struct):
    """Lines by the age of their SKUs; ``next`` is the cursor of the next page, or null."""

    items: list[GoodsLineView]
    next: str | None


class GoodsRunView(Struct):
    """A sheet that was taken in: by whom, why, and the lines that it changed."""

    id: str
    staff: str
    name: str
    why: str
    lines: int
    report: list[GoodsResultView]
    created_ms: Millis


class GoodsRunPage(Struct):
    items: list[GoodsRunView]
    next: str | None


class CategoryBody(Body, kw_only=True):
    """What a product is filed under, empty for nothing."""

    category: Category
    why: Why = ""


class ProductPage(Struct):
    """Products by age; ``categories`` counts those of the shop in each, "" those in none; ``next`` is the cursor."""

    items: list[ProductAnswer]
    categories: dict[str, int]
    next: str | None


class ChangeView(Struct):
    """A price (分), a count of stock (units) or a product's category (``_text``) that somebody changed by hand."""

    id: str
    sku: str
    title: str
    variant: str
    what: Literal["price", "list_price", "offer", "stock", "cost", "category"]
    before: int | None
    after: int | None
    before_text: str
    after_text: str
    outlet: str
    outlet_name: str
    staff: str
    name: str
    login: str
    why: str
    import_run: str | None
    created_ms: Millis


class ChangePage(Struct):
    items: list[ChangeView]
    next: str | None
