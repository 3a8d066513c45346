"""Bodies and answers of how close customers are, who could speak for the shop, and notes of visits."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from commerce.crm.notes import BODY_CHARACTERS_MAX, PLACE_CHARACTERS_MAX
from gateway.schemas_base import Body, Millis
from gateway.schemas_communities import FormulaPart, ScorePart


class RelationAnswer(Struct):
    """How close a customer is: strong from 40 points, middle from 12, weak below; null for a child.

    ``parts`` are their activity of 28 days, ``contact`` is worth 10 points more: they have somebody at WeCom.
    """

    level: str | None
    total: int
    contact: bool
    parts: list[ScorePart]
    formula: list[FormulaPart]


class CandidateView(Struct):
    """Somebody to be asked whether they would speak for the shop, and why them."""

    person: str
    name: str
    score: int
    parts: list[ScorePart]


class NoteBody(Body, kw_only=True):
    """What a visit showed; ``visited`` is when, now if left out. The customer reads it in their export."""

    body: Annotated[str, Meta(min_length=1, max_length=BODY_CHARACTERS_MAX)]
    place: Annotated[str, Meta(max_length=PLACE_CHARACTERS_MAX)] = ""
    visited: Millis | None = None


class NoteView(Struct):
    note: str
    by: str
    mine: bool
    place: str
    body: str
    visited: int
    created: int


class NoteMade(Struct):
    note: str
