"""Group buys inside the ledger's transaction: a seat is taken, a team fails at its deadline, a lottery is drawn.

All or nothing (promise P11): a team's deadline refunds all of its paid orders and ends all of its unpaid ones in one
transaction, so that its money and units come back together.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text

from commerce.deadlines_sql import arm
from commerce.domain.sale import SaleMode, SaleRow, door
from commerce.domain.team import TEAMS_OPEN_MAX, TeamRow, decide_seat
from commerce.draws_sql import find_draw, insert_draw, place_winners, rank_entries, tell_draw
from commerce.errors import NotFound, Refused
from commerce.holds_sql import release_holds
from commerce.ledger import Refund
from commerce.ledger_batch_sql import Batch, as_rows
from commerce.ledger_hot_sql import Past, refusal
from commerce.ledger_moments import JoinTeam, Seated
from commerce.orders_sql import end_order
from commerce.refunds_sql import refund_order
from commerce.seats_sql import DUE, tell_team
from commerce.units_sql import grant_holds
from commerce.views_moments_sql import team_row

STAFF = "team"
"""Who books the refunds of a team that failed, and of a lottery's losers."""

_TEAM = text("SELECT * FROM team WHERE id = :id")
_INSERT = text(
    "INSERT INTO team (id, sale, merchant, room, leader, size, winners, state, opened_ms, deadline_ms) VALUES"
    " (:id, :sale, :merchant, :room, :leader, :size, :winners, 'open', :now, :deadline)"
)
_GIVE_DRAW = text("UPDATE team SET draw = :draw WHERE id = :id")
_OPEN = text("SELECT count(*) FROM team WHERE sale = :sale AND state = 'open'")
_MINE = text(
    "SELECT s.team FROM seat AS s JOIN team AS t ON t.id = s.team WHERE t.sale = :sale AND s.person = :person"
    " AND s.state IN ('held', 'paid')"
)
_SIT = text("UPDATE team SET taken = taken + 1 WHERE id = :id AND state = 'open' AND taken < size")
_SEAT = text("INSERT INTO seat (hold, team, person, state, taken_ms) VALUES (:hold, :team, :person, 'held', :now)")
_HOLD = text("SELECT h.*, s.team FROM hold AS h JOIN seat AS s ON s.hold = h.id WHERE h.id = :id")
_FAIL = text("UPDATE team SET state = 'failed', ended_ms = :now WHERE id = :id AND state = 'open'")
_HELD = text("SELECT h.* FROM seat AS s JOIN hold AS h ON h.id = s.hold WHERE s.team = :team AND s.state = 'held'")
_PAID = text("SELECT * FROM seat WHERE team = :team AND state = 'paid' ORDER BY paid_ms, hold")
_ORDER = text("SELECT * FROM orders WHERE id = :id AND status = 'pending'")
_ENTRIES = text("UPDATE draw SET entries = :entries WHERE id = :id")
_DRAWN = text("UPDATE draw SET drawn_ms = :now, won = :won WHERE id = :id AND drawn_ms IS NULL")


def join_team(batch: Batch, command: JoinTeam) -> Seated:
    """Take a seat, in a new team when none is named.

    Raises NotFound, Conflict, Refused (not_open, closed, paused, sold_out, limit, already, gone).
    """
    sale = batch.sales([command.sale]).get(command.sale)
    if sale is None or (sale.merchant, sale.room, sale.mode) != (command.merchant, command.room, SaleMode.TEAM):
        raise NotFound("no such group buy in this room")
    past = Past(batch, sale.merchant, sale.id, [command])
    stored = past.repeat(command)
    if stored is not None:
        row = batch.one(_HOLD, id=stored)
        assert row is not None
        return Seated(row.team, row.id, row.price, row.expires_ms)
    closed = door(sale, batch.now_ms)
    if closed is not None and closed != "by_team":
        raise refusal(closed)
    mine = batch.run(_MINE, sale=sale.id, person=command.person).scalars().all()
    if command.team is not None and command.team in mine:
        raise Refused("already", "you have a seat in this group", team=command.team)
    if len(mine) >= sale.per_person:
        raise refusal("limit")
    if not sale.free:
        raise refusal("sold_out")
    team = _open(batch, sale, command.person) if command.team is None else _find(batch, sale, command.team)
    code = decide_seat(team, batch.now_ms)
    if code is not None:
        raise Refused(code, "this group takes nobody more: join or open another one")
    expires_ms = min(batch.now_ms + sale.hold_ms, team.deadline_ms)
    asked = (command.key, command.hash, past.latest.get(command.person))
    [hold] = grant_holds(batch, sale, [command.person], expires_ms, asked=asked)
    batch.run(_SIT, id=team.id)
    batch.run(_SEAT, hold=hold, team=team.id, person=command.person, now=batch.now_ms)
    tell_team(batch, team.id)
    return Seated(team.id, hold, sale.price, expires_ms)


def _find(batch: Batch, sale: SaleRow, team: str) -> TeamRow:
    row = batch.run(_TEAM, id=team).mappings().one_or_none()
    if row is None or row["sale"] != sale.id:
        raise NotFound("no such group")
    return team_row(row)


def _open(batch: Batch, sale: SaleRow, leader: str) -> TeamRow:
    if int(batch.run(_OPEN, sale=sale.id).scalar_one()) >= TEAMS_OPEN_MAX:
        raise Refused("gone", "too many groups are open: join one of them")
    team, deadline_ms = batch.mint(), batch.now_ms + sale.team_ms
    of = {"sale": sale.id, "merchant": sale.merchant, "room": sale.room, "leader": leader}
    sizes = {"size": sale.team_size, "winners": sale.team_winners}
    batch.run(_INSERT, id=team, now=batch.now_ms, deadline=deadline_ms, **of, **sizes)
    if sale.team_winners:
        common = {"merchant": sale.merchant, "room": sale.room, "title": sale.title}
        times = {"opens": batch.now_ms, "closes": deadline_ms}
        draw = insert_draw(batch, "team", team, common | times | {"winners": sale.team_winners})
        batch.run(_GIVE_DRAW, draw=draw, id=team)
    arm(batch, DUE, team, deadline_ms)
    return _find(batch, sale, team)


def team_due(batch: Batch, team_id: str) -> None:
    """At a team's deadline: it fails, unless it is full; a full one's lottery is drawn."""
    row = batch.run(_TEAM, id=team_id).mappings().one_or_none()
    if row is None:
        return
    team = team_row(row)
    if team.state == "open":
        if batch.now_ms < team.deadline_ms:
            arm(batch, DUE, team.id, team.deadline_ms)
        else:
            _fail(batch, team)
    elif team.state == "full" and team.draw is not None:
        _draw(batch, team, team.draw)


def _fail(batch: Batch, team: TeamRow) -> None:
    batch.run(_FAIL, id=team.id, now=batch.now_ms)
    for hold in batch.run(_HELD, team=team.id).all():
        order = None if hold.order_id is None else batch.one(_ORDER, id=hold.order_id)
        if order is None:
            release_holds(batch, [hold], "released")
        else:
            end_order(batch, order, "group_failed")
    _give_back(batch, team, batch.run(_PAID, team=team.id).all(), "the group did not fill up")
    tell_team(batch, team.id)


def _give_back(batch: Batch, team: TeamRow, seats: Sequence[Row[Any]], reason: str) -> None:
    for seat in seats:
        key = f"{team.id}/{seat.hold}"
        refund_order(batch, Refund(team.merchant, STAFF, seat.order_id, key, seat.hold, None, None, "sellable", reason))


def _draw(batch: Batch, team: TeamRow, draw_id: str) -> None:
    draw = find_draw(batch, draw_id)
    assert draw is not None
    if draw.drawn_ms is not None:
        return
    seats = batch.run(_PAID, team=team.id).all()
    tickets = batch.mint_many(len(seats))
    of_ticket = dict(zip(tickets, seats, strict=True))
    rows = as_rows((seat.person, ticket, n) for n, (ticket, seat) in enumerate(of_ticket.items(), 1))
    batch.run(batch.texts.insert_entries, rows=rows, draw=draw.id)
    batch.run(_ENTRIES, id=draw.id, entries=len(seats))
    lucky = [of_ticket[ticket] for ticket in rank_entries(batch, draw)[1][: draw.winners]]
    others = [seat for seat in seats if seat not in lucky]
    place_winners(batch, draw.id, [(seat.person, 0, seat.hold) for seat in lucky])
    batch.run(_DRAWN, id=draw.id, now=batch.now_ms, won=len(lucky))
    _give_back(batch, team, others, "the group's lottery was won by others")
    tell_draw(batch, draw.id)
    tell_team(batch, team.id)
