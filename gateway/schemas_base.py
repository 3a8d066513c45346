"""What bodies and answers of the JSON API are made of: bounded scalars, and a body that refuses unknown fields."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from commerce.catalogue_checks import CATEGORY_CHARACTERS_MAX
from commerce.domain.sale import QUANTITY_MAX, UNITS_MAX

Title = Annotated[str, Meta(min_length=1, max_length=60)]
Name = Annotated[str, Meta(min_length=1, max_length=40)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
Cents = Annotated[int, Meta(ge=0, le=1_000_000_000, description="分, hundredths of a yuan")]
Price = Annotated[int, Meta(ge=1, le=1_000_000_000, description="分, hundredths of a yuan")]
Quantity = Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
Stock = Annotated[int, Meta(ge=0, le=100_000_000)]
Units = Annotated[int, Meta(ge=1, le=UNITS_MAX)]
Seconds = Annotated[int, Meta(ge=1, le=86_400)]
Label = Annotated[str, Meta(max_length=60)]
Link = Annotated[str, Meta(max_length=500)]
Token = Annotated[str, Meta(max_length=64)]
Category = Annotated[str, Meta(max_length=CATEGORY_CHARACTERS_MAX, description="what goods are filed under")]
Why = Annotated[
    str, Meta(max_length=200, pattern=r"^[^\x00-\x1f]*$", description="the reason, kept in the trail of manual changes")
]
MILLIS_MAX = 32_503_680_000_000
"""When the year 3000 begins: ids hold no moment after 3084, and a year past 9999 has no date."""
Millis = Annotated[int, Meta(ge=0, le=MILLIS_MAX, description="Unix milliseconds")]
ClientTouch = Literal["ad_click", "card_click", "clip_view", "scan", "share_open"]
"""What a client may say of itself; entries and claims are recorded by the server."""
Template = Annotated[str, Meta(max_length=64, pattern=r"^[!-~]*$")]
"""Of a provider of messages; empty for none."""
TemplateField = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_]+$")]


class Body(Struct, forbid_unknown_fields=True, kw_only=True):
    """A request body."""


class EnterBody(Body, kw_only=True):
    """Who opens a page: ``device`` is their device's own random name, ``scene`` the token of the link they came by."""

    name: Name | None = None
    scene: Token | None = None
    device: Annotated[str, Meta(max_length=64)] | None = None
    scanned: bool = False
