"""Bodies and answers of processing, as msgspec structs. Rates are 0.01 % of what went in, weights whole grams."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from commerce.domain.processing import LINES_MAX, RUN_GRAMS_MAX
from commerce.domain.sale import UNITS_MAX
from gateway.schemas_base import Body, Id, Millis, Title, Why

Rate = Annotated[int, Meta(ge=0, le=9_999, description="0.01 %: 1200 is 12 %")]
Basis = Literal["grams", "value"]


class RecipeBody(Body, kw_only=True):
    """The loss that is usual, and by what yields share the cost: their weight, or what they sell for."""

    name: Title
    expected_bp: Rate
    basis: Basis = "grams"
    closed: bool = False


class RecipeAnswer(Struct):
    recipe: str


class RecipeView(Struct):
    recipe: str
    name: str
    expected_bp: int
    basis: Basis
    closed: bool


class ProcessedLineBody(Body, kw_only=True):
    """Goods by weight by ``units`` or ``grams``; goods by the piece by ``units`` and what all of them weigh."""

    sku: Id
    units: Annotated[int, Meta(ge=0, le=UNITS_MAX)] = 0
    grams: Annotated[int, Meta(ge=0, le=RUN_GRAMS_MAX)] = 0


class ProcessingBody(Body, kw_only=True):
    recipe: Id
    raw: Annotated[list[ProcessedLineBody], Meta(min_length=1, max_length=LINES_MAX)]
    yields: Annotated[list[ProcessedLineBody], Meta(min_length=1, max_length=LINES_MAX)]
    why: Why = ""


class ProcessedLineView(Struct):
    sku: str
    title: str
    name: str
    units: int
    grams: int
    cost: int


class ProcessingView(Struct):
    """A run: ``in_grams = out_grams + loss_grams``; the yields took the ``cost`` (分) of the raw goods over whole."""

    run: str
    recipe: str
    name: str
    in_grams: int
    out_grams: int
    loss_grams: int
    loss_bp: int
    expected_bp: int
    over: bool
    cost: int
    why: str
    staff: str
    created: Millis
    raw: list[ProcessedLineView]
    yields: list[ProcessedLineView]


class ProcessingPage(Struct):
    items: list[ProcessingView]
    next: str | None


class LossView(Struct):
    """All runs of a recipe in some days; ``over_grams`` were lost beyond what was expected (below 0: fewer)."""

    recipe: str
    name: str
    runs: int
    in_grams: int
    out_grams: int
    loss_grams: int
    loss_bp: int
    expected_bp: int
    expected_grams: int
    over_grams: int
    runs_over: int
    cost: int
