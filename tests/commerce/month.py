"""A made-up month of a shop, seeded: who comes by whose link, who buys and who brings goods back, and the truth of it.

The model below knows what must come out (whom each order credits under every model, what each distributor earns, the
funnel, each day, tiers, who came back) by its own plain rules, written apart from the product's; the real shop lives
the same month, and both are compared.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from random import Random

DAY_MS = 86_400_000
SHANGHAI_MS = 8 * 3_600_000
MODELS = ("default", "binding_first", "last_touch", "first_touch")
TIERS = (20_000, 50_000)
"""What is spent to get there, in 分."""
WINDOW_DAYS, FREEZE_DAYS, RATE_BP, SECOND_BP, CAP_PERCENT = 7, 15, 1_000, 200, 50


@dataclass(frozen=True)
class Act:
    """Something that a person does at a time: come (by somebody's link, or by nobody's), click, buy, or give back.

    ``issuer`` made the link; ``sharer`` is a customer who passed it on, where one did.
    """

    ms: int
    kind: str
    person: str
    issuer: str = ""
    role: str = ""
    quantity: int = 0
    room: str = ""
    sharer: str = ""

    @property
    def by(self) -> str:
        """Who brought the person by their own hand."""
        return self.sharer or self.issuer


@dataclass
class Seller:
    """A distributor or guide; ``parent`` recruited a distributor."""

    name: str
    role: str
    parent: str = ""


@dataclass
class Bought:
    """One order as the model knows it, paid at once; ``back``: all of it came back."""

    ms: int
    person: str
    room: str
    amount: int
    credit: dict[str, str]
    back: bool = False


@dataclass
class Truth:
    """What the model expects: each purchase in order, commission by distributor, and who came when and by whom."""

    bought: list[Bought] = field(default_factory=list)
    earned: Counter[str] = field(default_factory=Counter)
    visits: set[str] = field(default_factory=set)
    clicks: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    came_on: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    came_by: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    came_to: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def funnel(self) -> dict[str, int]:
        """Persons at each step of the whole month."""
        orders = Counter(one.person for one in self.bought)
        return {
            "visit": len(self.visits),
            "entry": len(self.visits),
            "click": len(self.clicks),
            "order": len(orders),
            "paid": len(orders),
            "repeat": sum(count > 1 for count in orders.values()),
        }

    def sales(self, key: str) -> dict[str, tuple[int, int, int]]:
        """Orders, amount and what came back by what a purchase has under ``key``: a model, a role, room or day."""
        sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for one in self.bought:
            fields = {**one.credit, "room": one.room, "day": str(day_of(one.ms))}
            total = sums[fields[key]]
            total[0] += 1
            total[1] += one.amount
            total[2] += one.amount if one.back else 0
        return {name: (orders, amount, back) for name, (orders, amount, back) in sums.items()}

    def tiers(self) -> dict[str, int]:
        """The tier of each buyer at the end."""
        spent: Counter[str] = Counter()
        for one in self.bought:
            spent[one.person] += 0 if one.back else one.amount
        return {person: sum(spent[person] >= least for least in TIERS) for person in spent}

    def returned(self) -> dict[tuple[int, int], int]:
        """Persons by the week of their first order and the weeks until another."""
        weeks: defaultdict[str, set[int]] = defaultdict(set)
        for one in self.bought:
            weeks[one.person].add((day_of(one.ms) + 3) // 7)
        return dict(Counter((min(seen), week - min(seen)) for seen in weeks.values() for week in seen))


def day_of(ms: int) -> int:
    """Days in Shanghai; the week's Monday is the day for which (day + 3) is a whole number of weeks."""
    return (ms + SHANGHAI_MS) // DAY_MS


def sellers(random: Random, distributors: int, guides: int) -> list[Seller]:
    """Some of the distributors were recruited by earlier ones."""
    made: list[Seller] = []
    for number in range(distributors):
        above = random.choice(made).name if made and random.random() < 0.4 else ""
        made.append(Seller(f"d{number:03}", "distributor", above))
    return made + [Seller(f"g{number:03}", "guide") for number in range(guides)]


def acts(
    random: Random, people: int, selling: list[Seller], rooms: list[str], start_ms: int, days: int, buying: float
) -> list[Act]:
    """A month in the order of time: some come often, by links that some pass on; ``buying`` of the visits buy, some
    give back what they had.
    """
    made: list[Act] = []
    for number in range(people):
        person = f"p{number:05}"
        bought = False
        times = sorted(random.sample(range(days * DAY_MS // 1000), random.choice((1, 1, 2, 3, 6))))
        for at in times:
            ms = start_ms + at * 1000 + number % 997
            room = random.choice(rooms)
            chosen = random.choice(selling) if random.random() < 0.8 else None
            friend = f"p{random.randrange(people):05}"
            sharer = friend if chosen and friend != person and random.random() < 0.2 else ""
            issuer, role = (chosen.name, chosen.role) if chosen else ("", "")
            made.append(Act(ms, "come", person, issuer, role, room=room, sharer=sharer))
            if random.random() < 0.5:
                made.append(Act(ms + 1, "click", person, room=room))
            if random.random() < buying:
                made.append(Act(ms + 2, "buy", person, quantity=random.randint(1, 3), room=room))
                bought = True
            if bought and random.random() < 0.15:
                made.append(Act(ms + 3, "back", person))
    return sorted(made, key=lambda act: (act.ms, act.person))


def truth(month: list[Act], selling: list[Seller], price: int) -> Truth:
    """Live the month by the plainest rules: first come, first bound; the last touch in the window is paid."""
    parents = {seller.name: seller.parent for seller in selling}
    touches: dict[str, list[Act]] = {}
    bound: dict[tuple[str, str], str] = {}
    last: dict[str, Bought] = {}
    out = Truth()
    for act in month:
        if act.kind == "come":
            _come(out, act)
            if act.issuer:
                touches.setdefault(act.person, []).append(act)
                if not act.sharer:
                    bound.setdefault((act.person, act.role), act.issuer)
        elif act.kind == "click":
            out.clicks.add(act.person)
        elif act.kind == "buy":
            credit = _credit(act, touches.get(act.person, []), bound)
            last[act.person] = Bought(act.ms, act.person, act.room, act.quantity * price, credit)
            out.bought.append(last[act.person])
            _earn(out, last[act.person], parents, 1)
        elif act.kind == "back" and act.person in last:
            gone = last.pop(act.person)
            gone.back = True
            _earn(out, gone, parents, -1)
    return out


def _come(out: Truth, act: Act) -> None:
    out.visits.add(act.person)
    out.came_on[day_of(act.ms)].add(act.person)
    out.came_to[act.room].add(act.person)
    if act.by:
        out.came_by[act.by].add(act.person)
    if act.sharer:
        out.shared.add(act.person)


def _earn(out: Truth, order: Bought, parents: dict[str, str], sign: int) -> None:
    earner = order.credit["distributor"]
    if earner:
        out.earned[earner] += sign * (order.amount * RATE_BP // 10_000)
        if parents[earner]:
            out.earned[parents[earner]] += sign * (order.amount * SECOND_BP // 10_000)


def _credit(buy: Act, touches: list[Act], bound: dict[tuple[str, str], str]) -> dict[str, str]:
    fresh = [touch for touch in touches if touch.ms >= buy.ms - WINDOW_DAYS * DAY_MS]
    newest = max(((ms, role) for ms, role in _bound_at(touches).values()), default=None)
    newest_bound = "" if newest is None else bound[buy.person, newest[1]]
    credit = {
        "first_touch": fresh[0].by if fresh else "",
        "last_touch": fresh[-1].by if fresh else "",
        "binding_first": newest_bound or (fresh[-1].by if fresh else ""),
        "default": fresh[-1].by if fresh else newest_bound,
    }
    for role in ("distributor", "guide"):
        own = [touch for touch in fresh if touch.role == role]
        credit[role] = own[-1].issuer if own else bound.get((buy.person, role), "")
    return credit


def _bound_at(touches: list[Act]) -> dict[str, tuple[int, str]]:
    """When each role's binding was made: at the first touch of the role by its issuer's own link."""
    found: dict[str, tuple[int, str]] = {}
    for touch in touches:
        if not touch.sharer:
            found.setdefault(touch.role, (touch.ms, touch.role))
    return found
