"""Community groups (社群): in what stage one is, and who of its members is proposed as a leader. Pure.

The stage is a table of rules, read from the top; the first that holds names it. So everybody can see why a group is
where it is, and nothing has to be kept up to date.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from commerce.domain.activity import NOTHING, Score

ACTIVE_TOTAL = 6
"""A member is active with the points of three days with a visit in the last four weeks."""
NEW_DAYS = 14
NEW_MEMBERS = 30
GROWING_SHARE = 0.2
QUIET_SHARE = 0.1

LEADERS_PROPOSED = 3
LEADER_TOTAL = 20
LEADER_DAYS = 7
"""Nobody is proposed in their first week: who came yesterday for a coupon is not who answers questions in March."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a stage is judged by: whole days since the group began, members now, joined and active in the window."""

    days: int
    members: int
    joined: int
    active: int


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage, with the condition that names it, in words."""

    name: str
    when: str
    holds: Callable[[Figures], bool]


STAGES = (
    Stage(
        "new",
        f"younger than {NEW_DAYS} days with fewer than {NEW_MEMBERS} members",
        lambda of: of.days < NEW_DAYS and of.members < NEW_MEMBERS,
    ),
    Stage(
        "quiet",
        f"fewer than {QUIET_SHARE:.0%} of the members are active ({ACTIVE_TOTAL} points)",
        lambda of: of.active < QUIET_SHARE * of.members or not of.members,
    ),
    Stage(
        "growing",
        f"{GROWING_SHARE:.0%} of the members or more joined in the last 28 days",
        lambda of: of.joined >= GROWING_SHARE * of.members,
    ),
    Stage("active", "none of these", lambda of: True),
)


@dataclass(frozen=True, slots=True)
class Member:
    """A member as a proposal sees them."""

    person: str
    role: str
    days: int


def stage_of(figures: Figures) -> Stage:
    """The first stage whose condition holds."""
    return next(stage for stage in STAGES if stage.holds(figures))


def is_active(activity: Score) -> bool:
    """Whether a member counts as active."""
    return activity.total >= ACTIVE_TOTAL


def proposed(members: Iterable[Member], scores: Mapping[str, Score]) -> list[str]:
    """The members who could lead: at most three, the most active first, a week there at least, 20 points at least."""
    able = [
        (-scores.get(one.person, NOTHING).total, one.person)
        for one in members
        if one.role == "member" and one.days >= LEADER_DAYS and scores.get(one.person, NOTHING).total >= LEADER_TOTAL
    ]
    return [person for _, person in sorted(able)[:LEADERS_PROPOSED]]
