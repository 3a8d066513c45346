"""A made-up month of a shop, seeded: who comes by whose link, who buys and who brings goods back, and the truth of it.

The model below knows what must come out (whom each order credits under every model, what each distributor earns) by
its own plain rules, written apart from the product's; the real shop lives the same month, and both are compared.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

DAY_MS = 86_400_000
WINDOW_DAYS, FREEZE_DAYS, RATE_BP, SECOND_BP, CAP_PERCENT = 7, 15, 1_000, 200, 50


@dataclass(frozen=True)
class Act:
    """Something that a person does at a time: come (by somebody's link, or by nobody's), buy, or give back."""

    ms: int
    kind: str
    person: str
    issuer: str = ""
    role: str = ""
    quantity: int = 0


@dataclass
class Seller:
    """A distributor or guide; ``parent`` recruited a distributor."""

    name: str
    role: str
    parent: str = ""


@dataclass
class Truth:
    """What the model expects: credits of each purchase in order, and commission by distributor and state."""

    credits: list[dict[str, str]] = field(default_factory=list)
    earned: Counter[str] = field(default_factory=Counter)
    amounts: list[int] = field(default_factory=list)
    visits: set[str] = field(default_factory=set)
    buyers: set[str] = field(default_factory=set)


def sellers(random: Random, distributors: int, guides: int) -> list[Seller]:
    """Some of the distributors were recruited by earlier ones."""
    made: list[Seller] = []
    for number in range(distributors):
        above = random.choice(made).name if made and random.random() < 0.4 else ""
        made.append(Seller(f"d{number:03}", "distributor", above))
    return made + [Seller(f"g{number:03}", "guide") for number in range(guides)]


def acts(random: Random, people: int, selling: list[Seller], days: int, buying: float) -> list[Act]:
    """A month in the order of time: some come often, ``buying`` of the visits buy, some give back what they had."""
    made: list[Act] = []
    for number in range(people):
        person = f"p{number:05}"
        bought = False
        times = sorted(random.sample(range(days * DAY_MS // 1000), random.choice((1, 1, 2, 3, 6))))
        for at in times:
            ms = at * 1000 + number % 997
            chosen = random.choice(selling) if random.random() < 0.8 else None
            made.append(Act(ms, "come", person, chosen.name if chosen else "", chosen.role if chosen else ""))
            if random.random() < buying:
                made.append(Act(ms + 1, "buy", person, quantity=random.randint(1, 3)))
                bought = True
            if bought and random.random() < 0.15:
                made.append(Act(ms + 2, "back", person))
    return sorted(made, key=lambda act: (act.ms, act.person, act.kind != "come"))


def truth(month: list[Act], selling: list[Seller], price: int) -> Truth:
    """Live the month by the plainest rules: first come, first bound; the last touch in the window is paid."""
    parents = {seller.name: seller.parent for seller in selling}
    touches: dict[str, list[Act]] = {}
    bound: dict[tuple[str, str], str] = {}
    last: dict[str, tuple[str, int]] = {}
    out = Truth()
    for act in month:
        if act.kind == "come":
            out.visits.add(act.person)
            if act.issuer:
                touches.setdefault(act.person, []).append(act)
                bound.setdefault((act.person, act.role), act.issuer)
        elif act.kind == "buy":
            out.buyers.add(act.person)
            credit = _credit(act, touches.get(act.person, []), bound)
            out.credits.append(credit)
            out.amounts.append(act.quantity * price)
            earner, base = credit["distributor"], act.quantity * price
            first = base * RATE_BP // 10_000 if earner else 0
            second = base * SECOND_BP // 10_000 if earner and parents[earner] not in ("", act.person) else 0
            if earner:
                out.earned[earner] += first
            if second:
                out.earned[parents[earner]] += second
            last[act.person] = (earner, act.quantity)
        elif act.kind == "back" and act.person in last:
            earner, quantity = last.pop(act.person)
            base = quantity * price
            if earner:
                out.earned[earner] -= base * RATE_BP // 10_000
                if parents[earner]:
                    out.earned[parents[earner]] -= base * SECOND_BP // 10_000
    return out


def _credit(buy: Act, touches: list[Act], bound: dict[tuple[str, str], str]) -> dict[str, str]:
    fresh = [touch for touch in touches if touch.ms >= buy.ms - WINDOW_DAYS * DAY_MS]
    newest = max(((ms, role) for ms, role in _bound_at(touches).values()), default=None)
    newest_bound = "" if newest is None else bound[buy.person, newest[1]]
    credit = {
        "first_touch": fresh[0].issuer if fresh else "",
        "last_touch": fresh[-1].issuer if fresh else "",
        "binding_first": newest_bound or (fresh[-1].issuer if fresh else ""),
        "default": fresh[-1].issuer if fresh else newest_bound,
    }
    for role in ("distributor", "guide"):
        own = [touch for touch in fresh if touch.role == role]
        credit[role] = own[-1].issuer if own else bound.get((buy.person, role), "")
    return credit


def _bound_at(touches: list[Act]) -> dict[str, tuple[int, str]]:
    """When each role's binding was made: at the first touch of the role."""
    found: dict[str, tuple[int, str]] = {}
    for touch in touches:
        found.setdefault(touch.role, (touch.ms, touch.role))
    return found
