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
    """A courier's errand; ``fee`` (分) is what it said. ``failed``: ship the order another way.

    ``charged``: the shop's cost in the end, of one that was called off its penalty.
    """

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
    charged: int = 0


class CourierCancelBody(Body, kw_only=True):
    reason: Annotated[str, Meta(min_length=1, max_length=100)]
