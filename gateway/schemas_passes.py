"""Bodies and answers of passes, as msgspec structs. Money is integer 分, times are Unix milliseconds."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from commerce.domain.passes import CODE_DIGITS, DAYS_MAX, PLACE_CHARACTERS_MAX, USES_MAX
from gateway.schemas_base import Body, Millis

Uses = Annotated[int, Meta(ge=1, le=USES_MAX)]
Place = Annotated[str, Meta(max_length=PLACE_CHARACTERS_MAX)]


class PassTermsBody(Body, kw_only=True):
    """What a unit of the SKU is good for: ``days`` from payment, or until a time (and from one)."""

    uses: Uses
    days: Annotated[int, Meta(ge=0, le=DAYS_MAX)] = 0
    opens: Millis | None = None
    until: Millis | None = None
    place: Place = ""


class PassUseBody(Body, kw_only=True):
    """Take ``units`` uses off the pass with this code; ``place`` is where."""

    code: Annotated[str, Meta(min_length=CODE_DIGITS, max_length=CODE_DIGITS, pattern=r"^[0-9]+$")]
    units: Uses = 1
    place: Place = ""


class PassRefundBody(Body, kw_only=True):
    reason: Annotated[str, Meta(max_length=200)] = ""


class PassTermsView(Struct):
    sku: str
    uses: int
    days: int
    opens: int | None
    until: int | None
    place: str


class PassUseView(Struct):
    units: int
    place: str
    at: int


class PassAnswer(Struct):
    """A pass; ``qr`` draws its code as an SVG, for its owner."""

    card: str
    person: str
    order: str
    sku: str
    title: str
    code: str
    uses: int
    left: int
    place: str
    opens: int
    until: int
    state: str
    history: list[PassUseView]
    qr: str | None = None
