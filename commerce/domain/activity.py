"""How active a person is, by a formula that is told with its result. Pure.

    score = Σ over the last 28 days of min(n, cap) × points, part by part (``PARTS``)

What a person does over and over on one day counts a few times only, so a score is earned by coming back. Nothing in it
is bought: an entry fee, a rank or the number of people below somebody earn no point (禁止传销条例 art. 7); people who
came by one's link count for the touch, not for what they bought.
"""

from collections.abc import Mapping
from dataclasses import dataclass

WINDOW_DAYS = 28
"""Four whole weeks, so that a shop's weekly rhythm weighs the same on each day."""


@dataclass(frozen=True, slots=True)
class Part:
    """What counts: ``points`` each, ``per_day`` of it a day and ``most`` of it in the window at most."""

    name: str
    points: int
    per_day: int
    most: int


PARTS = (
    Part("visits", 2, 1, WINDOW_DAYS),
    Part("reads", 1, 3, 3 * WINDOW_DAYS),
    Part("clicks", 1, 3, 3 * WINDOW_DAYS),
    Part("coupons", 1, 1, WINDOW_DAYS),
    Part("sign_ins", 1, 1, WINDOW_DAYS),
    Part("orders", 10, 10, 10),
    Part("brought", 5, 20, 20),
)
BY_NAME = {part.name: part for part in PARTS}
TOUCH_PARTS = {"room_entry": "visits", "content_read": "reads", "card_click": "clicks", "coupon": "coupons"}
"""Which touches are which part."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A part of somebody's score: how many of it counted, and the points that they make."""

    name: str
    n: int
    points: int


@dataclass(frozen=True, slots=True)
class Score:
    """A person's activity; ``parts`` in the formula's order, those of which there was nothing left out."""

    total: int = 0
    parts: tuple[Counted, ...] = ()

    def count(self, name: str) -> int:
        """How many of a part counted."""
        return next((part.n for part in self.parts if part.name == name), 0)


NOTHING = Score()


def score(counts: Mapping[str, int]) -> Score:
    """Score counts by part; those of touches are capped a day by whoever counted them."""
    parts = []
    for part in PARTS:
        n = min(counts.get(part.name, 0), part.most)
        if n > 0:
            parts.append(Counted(part.name, n, n * part.points))
    return Score(sum(part.points for part in parts), tuple(parts))


# --- how close a customer is -----------------------------------------------------------------------------------------

CONTACT_POINTS = 10
"""For a customer who has added somebody of the shop at WeCom and not taken it back."""
STRONG, MIDDLE = 40, 12
"""Ten visits and two orders a month; a visit a week and some clicks."""
LEVELS = ("strong", "middle", "weak")


@dataclass(frozen=True, slots=True)
class Strength:
    """How close a relationship is, with what it was reckoned from."""

    level: str
    total: int
    score: Score
    contact: bool


def strength(activity: Score, *, contact: bool) -> Strength:
    """Say how close: strong from 40 points, middle from 12, weak below; a WeCom contact is worth 10."""
    total = activity.total + (CONTACT_POINTS if contact else 0)
    level = "strong" if total >= STRONG else "middle" if total >= MIDDLE else "weak"
    return Strength(level, total, activity, contact)


# --- who could speak for the shop ------------------------------------------------------------------------------------

CANDIDATE_BROUGHT = 3
CANDIDATE_TOTAL = 40


def is_candidate(activity: Score) -> bool:
    """Whether somebody is proposed as a key opinion leader: active (40 points), with 3 people who came by their link.

    A proposal to talk to them, and nothing else: no fee is asked, no rank is given, nothing follows by itself.
    """
    return activity.total >= CANDIDATE_TOTAL and activity.count("brought") >= CANDIDATE_BROUGHT
