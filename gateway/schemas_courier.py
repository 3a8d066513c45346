"""Bodies and answers of same-city couriers."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.schemas import Body


class CourierQuoteAnswer(Struct):
    """What it would cost the shop (分), and metres."""

    fee: int
    distance: int


class ErrandAnswer(Struct):
    """A courier's errand; ``fee`` (分) is the shop's cost. ``failed``: ship the order another way."""

    errand: str
    order: str
    outlet: str
    provider: str
    state: Literal["asked", "waiting", "accepted", "carried", "back", "delivered", "failed"]
    fee: int | None
    rider: str
    phone: str
    reason: str
    created: int
    ended: int | None


class CourierCancelBody(Body, kw_only=True):
    reason: Annotated[str, Meta(min_length=1, max_length=100)]
