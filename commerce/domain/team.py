"""Group buys: a team of n pays a lower price within a time, or everybody gets their money back.

    open ──n-th seat paid──▶ full         open ──deadline, closed by staff──▶ failed

A seat is a hold, then a payment: ``held → paid``; or it is left (hold or order ended), or refunded (its team failed, or
the draw of a lottery group chose others). Only paid seats count towards n; at most n seats are held or paid at once.
"""

from dataclasses import dataclass

TEAM_SIZE_MIN, TEAM_SIZE_MAX = 2, 100
TEAM_S_MAX = 72 * 3600
"""Three days: money of strangers is not kept for longer."""
TEAMS_OPEN_MAX = 2_000
"""Open teams of one offer."""


@dataclass(frozen=True, slots=True)
class TeamRow:
    """One team as stored. ``taken`` seats are held or paid, ``paid`` of them paid."""

    id: str
    sale: str
    merchant: str
    room: str
    leader: str
    size: int
    winners: int
    taken: int
    paid: int
    state: str
    opened_ms: int
    deadline_ms: int
    ended_ms: int | None
    draw: str | None


def decide_seat(team: TeamRow, now_ms: int) -> str | None:
    """None when one more person may sit down, else the refusal's code."""
    if team.state == "failed" or (team.state == "open" and now_ms >= team.deadline_ms):
        return "closed"
    if team.state == "full":
        return "gone"
    return "gone" if team.taken >= team.size else None
