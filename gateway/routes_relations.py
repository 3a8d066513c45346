"""How close customers are and why, who could speak for the shop, and what guides wrote down after a visit."""

from __future__ import annotations

from commerce.domain.activity import Score
from gateway.api import Call, Operation
from gateway.routes_communities import FORMULA
from gateway.schemas import Empty
from gateway.schemas_communities import ScorePart
from gateway.schemas_relations import CandidateView, NoteBody, NoteMade, NoteView, RelationAnswer
from gateway.services import Services

MANAGERS = frozenset({"merchant"})
KEEPERS = MANAGERS | {"guide"}
PERSON = "/api/v1/people/{person}"


def relation_operations(services: Services) -> list[Operation]:
    """Operations on relationships and notes."""
    return [*_closeness(services), *_notes(services)]


def _closeness(services: Services) -> list[Operation]:
    """How close customers are."""

    async def read_relation(call: Call) -> RelationAnswer:
        who = call.who
        person = (await services.people.person(who.merchant, call.path["person"])).id
        await services.org.require_person(who.merchant, person, who.reach)
        found = (await services.activity.strengths(who.merchant, [person])).get(person)
        if found is None:
            return RelationAnswer(None, 0, contact=False, parts=[], formula=FORMULA)
        return RelationAnswer(found.level, found.total, found.contact, score_parts(found.score), FORMULA)

    async def list_candidates(call: Call) -> list[CandidateView]:
        found = await services.activity.candidates(call.who.merchant)
        return [CandidateView(one.person, one.name, one.score.total, score_parts(one.score)) for one in found]

    candidates = "/api/v1/candidates"
    return [
        Operation(
            "GET",
            f"{PERSON}/relation",
            "How close a customer is, and why",
            read_relation,
            KEEPERS,
            answer=RelationAnswer,
            within="people",
        ),
        Operation(
            "GET",
            candidates,
            "Who could speak for the shop",
            list_candidates,
            MANAGERS,
            answer=list[CandidateView],
        ),
    ]


def _notes(services: Services) -> list[Operation]:
    async def list_notes(call: Call) -> list[NoteView]:
        who = call.who
        rows = await services.notes.of(who.merchant, call.path["person"], who.reach)
        return [
            NoteView(
                row["id"],
                row["name"] or "",
                row["staff"] == who.person,
                row["place"],
                row["body"],
                row["visited_ms"],
                row["created_ms"],
            )
            for row in rows
        ]

    async def write_note(call: Call) -> NoteMade:
        body: NoteBody = call.body
        who = call.who
        return NoteMade(
            await services.notes.add(
                who.merchant, call.path["person"], who.person, who.reach, body.body, body.place, body.visited
            )
        )

    async def drop_note(call: Call) -> Empty:
        who = call.who
        await services.notes.drop(who.merchant, call.path["person"], who.person, who.reach, call.path["note"])
        return Empty()

    return [
        Operation(
            "GET", f"{PERSON}/notes", "Notes of visits", list_notes, KEEPERS, answer=list[NoteView], within="people"
        ),
        Operation(
            "POST", f"{PERSON}/notes", "Note a visit", write_note, KEEPERS, NoteBody, NoteMade, 201, within="people"
        ),
        Operation(
            "DELETE",
            PERSON + "/notes/{note}",
            "Take a note away",
            drop_note,
            KEEPERS,
            answer=Empty,
            within="people",
        ),
    ]


def score_parts(score: Score) -> list[ScorePart]:
    """Where a score's points come from."""
    return [ScorePart(part.name, part.n, part.points) for part in score.parts]
