"""Rows of draws, teams and plans → the views that clients see."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, RowMapping, text

from commerce.domain.draw import DrawRow, Ticket, draw_state
from commerce.domain.team import TeamRow
from commerce.events import DrawView, TeamView, WinnerView
from commerce.ledger_moments import PlanView
from commerce.views_sql import CLOSED_SHOWN_MS, LIST_MAX

TOP_SHOWN = 10
"""Winners that everybody sees; the rest are in the list of tickets."""

_TOP = text(
    "SELECT e.ticket, e.amount, coalesce(p.name, '') AS name FROM draw_entry AS e LEFT JOIN person AS p"
    " ON p.id = e.person WHERE e.draw = :draw AND e.place < :limit ORDER BY e.place"
)
_TICKETS = text("SELECT ticket, place, amount, void FROM draw_entry WHERE draw = :draw ORDER BY n")
_MINE = text("SELECT ticket, n, place, amount, prize FROM draw_entry WHERE draw = :draw AND person = :person")
_DRAW = text("SELECT * FROM draw WHERE id = :id")
_FOLLOWS = text("SELECT 1 FROM follower WHERE merchant = :merchant AND person = :person")
_DRAWS = text(
    "SELECT * FROM draw WHERE room = :room AND kind <> 'team' AND (closes_ms > :since OR drawn_ms > :since"
    " OR (drawn_ms IS NULL AND voided_ms IS NULL)) ORDER BY id DESC LIMIT :limit"
)
_TEAM = text("SELECT * FROM team WHERE id = :id")
_TEAMS = text(
    "SELECT * FROM team WHERE room = :room AND (ended_ms IS NULL OR ended_ms > :since) ORDER BY id DESC LIMIT :limit"
)
_PLANS = text("SELECT * FROM sale_plan WHERE room = :room AND ended_ms IS NULL ORDER BY id DESC LIMIT :limit")
_SEATS = text("SELECT team, state, hold, order_id FROM seat WHERE person = :person AND team = :team")


def hidden_name(name: str) -> str:
    """A name of which all may see the first character."""
    return f"{name[:1]}**" if name else "**"


def draw_row(row: RowMapping) -> DrawRow:
    """A ``SELECT *`` row of ``draw`` as a value."""
    return DrawRow(**row)


def draw_view(connection: Connection, draw: DrawRow, now_ms: int) -> DrawView:
    """A draw as clients see it at a time."""
    top: Sequence[Row[Any]] = ()
    if draw.drawn_ms is not None:
        top = connection.execute(_TOP, {"draw": draw.id, "limit": TOP_SHOWN}).all()
    return DrawView(
        draw=draw.id,
        room=draw.room,
        kind=draw.kind,
        title=draw.title,
        task=draw.task,
        word=draw.word,
        sale=None if draw.kind == "team" else draw.subject,
        team=draw.subject if draw.kind == "team" else None,
        winners=draw.winners,
        pool=draw.pool,
        least=draw.least,
        entries=draw.entries,
        won=draw.won,
        opens=draw.opens_ms,
        closes=draw.closes_ms,
        drawn=draw.drawn_ms,
        state=draw_state(draw, now_ms),
        commitment=draw.commitment,
        seed=None if draw.drawn_ms is None else draw.seed,
        top=tuple(WinnerView(row.ticket, hidden_name(row.name), row.amount) for row in top),
    )


def team_row(row: RowMapping) -> TeamRow:
    """A ``SELECT *`` row of ``team`` as a value."""
    return TeamRow(**row)


def team_view(team: TeamRow, leader: str) -> TeamView:
    """A team as clients see it; ``leader`` is a name."""
    return TeamView(
        team=team.id,
        room=team.room,
        sale=team.sale,
        leader=hidden_name(leader),
        size=team.size,
        winners=team.winners,
        taken=team.taken,
        paid=team.paid,
        state=team.state,
        opened=team.opened_ms,
        deadline=team.deadline_ms,
        draw=team.draw,
    )


_NAME = text("SELECT name FROM person WHERE id = :id")


def read_team(connection: Connection, team: str) -> TeamView | None:
    """One team."""
    row = connection.execute(_TEAM, {"id": team}).mappings().one_or_none()
    return None if row is None else _shown(connection, team_row(row))


def _shown(connection: Connection, team: TeamRow) -> TeamView:
    name = connection.execute(_NAME, {"id": team.leader}).scalar_one_or_none()
    return team_view(team, name or "")


def read_teams(connection: Connection, room: str, now_ms: int) -> list[TeamView]:
    """Teams of a room, newest first: open ones, and those that ended a moment ago."""
    found = connection.execute(_TEAMS, {"room": room, "since": now_ms - CLOSED_SHOWN_MS, "limit": LIST_MAX})
    return [_shown(connection, team_row(row)) for row in found.mappings().all()]


def read_draw(connection: Connection, draw: str, now_ms: int) -> tuple[str, DrawView] | None:
    """One draw, and whose it is."""
    row = connection.execute(_DRAW, {"id": draw}).mappings().one_or_none()
    return None if row is None else (row["merchant"], draw_view(connection, draw_row(row), now_ms))


def read_draws(connection: Connection, room: str, now_ms: int) -> list[DrawView]:
    """Draws of a room, newest first: all that are under way, and those that ended a moment ago."""
    asked = {"room": room, "since": now_ms - CLOSED_SHOWN_MS, "limit": LIST_MAX}
    return [draw_view(connection, draw_row(row), now_ms) for row in connection.execute(_DRAWS, asked).mappings().all()]


def read_follows(connection: Connection, merchant: str, person: str) -> bool:
    """Whether a person follows the shop."""
    return connection.execute(_FOLLOWS, {"merchant": merchant, "person": person}).first() is not None


def read_tickets(connection: Connection, draw: str) -> list[Ticket]:
    """All tickets of a draw in order of entry."""
    return [
        Ticket(row.ticket, row.place, row.amount, bool(row.void))
        for row in connection.execute(_TICKETS, {"draw": draw})
    ]


def read_entry(connection: Connection, draw: str, person: str) -> dict[str, Any] | None:
    """A person's own entry."""
    row = connection.execute(_MINE, {"draw": draw, "person": person}).mappings().one_or_none()
    return None if row is None else dict(row)


def plan_view(row: Row[Any]) -> PlanView:
    """A ``SELECT *`` row of ``sale_plan`` as staff see it."""
    return PlanView(
        plan=row.id,
        room=row.room,
        sku=row.sku,
        rule=row.rule,
        price=row.price,
        total=row.total,
        per_person=row.per_person,
        hold_s=row.hold_ms // 1000,
        length_s=row.length_ms // 1000,
        mode=row.mode,
        live_only=bool(row.live_only),
        enter_s=row.enter_ms // 1000,
        next=row.next_ms,
        made=row.made,
        skipped=row.skipped,
        ended=row.ended_ms,
    )


def read_plans(connection: Connection, room: str) -> list[PlanView]:
    """A room's recurring sales that go on, newest first."""
    return [plan_view(row) for row in connection.execute(_PLANS, {"room": room, "limit": LIST_MAX})]
