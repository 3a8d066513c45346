"""Bodies and answers of pickup stations, as msgspec structs."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from commerce.domain.station import ADDRESS_CHARACTERS_MAX, CAPACITY_MAX, MINUTES_OF_DAY, NAME_CHARACTERS_MAX
from gateway.schemas_base import Body, Id


class StationBody(Body, kw_only=True):
    """``leader`` is a person's id; ``cutoff`` a minute of the day in Asia/Shanghai; ``capacity`` orders a day."""

    name: Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
    address: Annotated[str, Meta(min_length=1, max_length=ADDRESS_CHARACTERS_MAX)]
    leader: Id
    capacity: Annotated[int, Meta(ge=1, le=CAPACITY_MAX)] = 100
    cutoff: Annotated[int, Meta(ge=0, lt=MINUTES_OF_DAY)] = 20 * 60
    open: bool = True


class HandOverBody(Body, kw_only=True):
    code: Annotated[str, Meta(min_length=6, max_length=6, pattern=r"^[0-9]+$")]


class StationAnswer(Struct):
    """An order of this moment is fetched on ``day``, on which ``left`` places are free.

    ``leader`` is told to staff; ``mine`` says whether the caller leads it.
    """

    station: str
    name: str
    address: str
    capacity: int
    cutoff: int
    open: bool
    day: str
    left: int
    mine: bool
    leader: str | None = None


class StationOrderAnswer(Struct):
    """An order to be fetched; its code is the buyer's to tell."""

    order: str
    day: str
    name: str
    goods: list[str]
    fetched: bool
