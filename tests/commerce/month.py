"""A made-up month of a shop, seeded: who comes by whose link, who buys and who brings goods back, and the truth of it.

Some have two phones and are found to be one person in the middle of it; some who sell hand their customers to others.
The model below knows what must come out (whom each order credits under every model, what each distributor earns, the
funnel, each day, tiers, tags, stages of life, who came back) by its own plain rules, written apart from the product's;
the real shop lives the same month, and both are compared.
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
WINDOW_DAYS, RATE_BP, SECOND_BP = 7, 1_000, 200
FAN_DAYS, LOYAL_ORDERS, TWICE = 3, 3, 2
"""Days with an entry that make a fan, orders that make a loyal customer, entries without an order that make a tag."""

TWO_PHONES = 0.08
"""Of all people."""
CHANNELS = 6


@dataclass(frozen=True)
class Act:
    """Something that happens at a time: a person comes (by a link, or by nobody's), clicks, buys or gives back.

    ``issuer`` made the link; ``sharer`` is a customer who passed it on, where one did; ``scan``: it was a code on
    paper, and they did not come into the room. ``host`` has the room at that time. ``merge``: ``person`` and ``other``
    are found to be one. ``hand``: ``issuer`` gives their customers to ``other``. ``reckon``: tags are brought up to
    date, and rooms change hands.
    """

    ms: int
    kind: str
    person: str = ""
    issuer: str = ""
    role: str = ""
    quantity: int = 0
    room: str = ""
    sharer: str = ""
    host: str = ""
    scan: bool = False
    other: str = ""

    @property
    def by(self) -> str:
        """Who brought the person by their own hand."""
        return self.sharer or self.issuer


@dataclass
class Seller:
    """A distributor, guide or partner; ``parent`` recruited a distributor; ``channel`` is where their links are put.

    A partner's visits count ``days``; it gets ``rate_bp`` of a sale, at most ``cap`` 分 (0: any), ``first`` of a first
    purchase alone.
    """

    name: str
    role: str
    channel: str
    parent: str = ""
    days: int = 0
    rate_bp: int = 0
    cap: int = 0
    first: bool = False


@dataclass
class Bought:
    """One order as the model knows it, paid at once; ``first`` of its buyer; ``back``: all of it came back."""

    ms: int
    person: str
    room: str
    host: str
    amount: int
    credit: dict[str, str]
    first: bool = False
    back: bool = False


@dataclass
class Customer:
    """What the model knows of one person, whatever phones they have: their touches, whose they are by role (since
    when, by whom and by which channel), when they last came by each partner, their orders, days with their entries, and
    tags that stay.
    """

    names: set[str]
    touches: list[Act] = field(default_factory=list)
    bound: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    seen: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    bought: list[Bought] = field(default_factory=list)
    entries: Counter[int] = field(default_factory=Counter)
    tags: set[str] = field(default_factory=set)

    @property
    def kept(self) -> list[Bought]:
        """Orders that did not come back."""
        return [one for one in self.bought if not one.back]

    def join(self, other: Customer) -> None:
        """They are one: of two who are somebody's the elder's stands."""
        self.names |= other.names
        self.touches = sorted([*self.touches, *other.touches], key=lambda act: act.ms)
        self.bound = {**other.bound, **self.bound}
        both = {*self.seen, *other.seen}
        self.seen = {name: max(one.seen[name] for one in (self, other) if name in one.seen) for name in both}
        self.bought = sorted([*self.bought, *other.bought], key=lambda one: one.ms)
        self.entries += other.entries
        self.tags |= other.tags

    def stage(self) -> str:
        """Where they are in life."""
        if self.kept:
            return "loyal" if len(self.kept) >= LOYAL_ORDERS else "customer"
        return "fan" if len(self.entries) >= FAN_DAYS else "passer"


@dataclass
class Truth:
    """What the model expects: each purchase in order, commission by distributor, and who came when and by whom.

    Who came is counted under the name of then, as the board counts; who bought and who is what, as they are in the end.
    """

    people: dict[str, Customer]
    bought: list[Bought] = field(default_factory=list)
    earned: Counter[str] = field(default_factory=Counter)
    visits: set[str] = field(default_factory=set)
    entered: set[str] = field(default_factory=set)
    clicks: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    came_on: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    entered_on: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    came_by: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    entered_by: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    clicked_by: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    entered_to: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    entered_with: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    entered_from: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    merged: set[str] = field(default_factory=set)

    def now(self) -> dict[str, Customer]:
        """Everybody who goes on, by name."""
        return {name: one for name, one in self.people.items() if name not in self.merged}

    def funnel(self) -> dict[str, int]:
        """Persons at each step of the whole month."""
        orders = [len(one.bought) for one in self.now().values() if one.bought]
        return {
            "visit": len(self.visits),
            "entry": len(self.entered),
            "click": len(self.clicks),
            "order": len(orders),
            "paid": len(orders),
            "repeat": sum(count > 1 for count in orders),
        }

    def sales(self, key: str) -> dict[str, tuple[int, int, int]]:
        """Orders, amount and what came back by what a purchase has under ``key``: a model, a role, room or day."""
        sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for one in self.bought:
            fields = {**one.credit, "room": one.room, "host": one.host, "day": str(day_of(one.ms))}
            total = sums[fields[key]]
            total[0] += 1
            total[1] += one.amount
            total[2] += one.amount if one.back else 0
        return {name: (orders, amount, back) for name, (orders, amount, back) in sums.items()}

    def tiers(self) -> dict[str, int]:
        """The tier of each buyer at the end."""
        spent = {name: sum(order.amount for order in one.kept) for name, one in self.now().items() if one.bought}
        return {name: sum(amount >= least for least in TIERS) for name, amount in spent.items()}

    def tags(self) -> dict[str, set[str]]:
        """Who has each tag in the end: one that follows, one that stays."""
        now = self.now().items()
        twice = {name for name, one in now if sum(one.entries.values()) >= TWICE and not one.kept}
        return {"twice": twice, "bought": {name for name, one in now if one.kept or "bought" in one.tags}}

    def stages(self) -> Counter[str]:
        """How many are at each stage of life."""
        return Counter(one.stage() for one in self.now().values())

    def returned(self) -> dict[tuple[int, int], int]:
        """Persons by the week of their first order and the weeks until another."""
        weeks = [{(day_of(order.ms) + 3) // 7 for order in one.bought} for one in self.now().values() if one.bought]
        return dict(Counter((min(seen), week - min(seen)) for seen in weeks for week in seen))


def day_of(ms: int) -> int:
    """Days in Shanghai; the week's Monday is the day for which (day + 3) is a whole number of weeks."""
    return (ms + SHANGHAI_MS) // DAY_MS


def sellers(random: Random, distributors: int, guides: int, partners: int = 0) -> list[Seller]:
    """Some of the distributors were recruited by earlier ones; every second partner is paid for first purchases."""
    made: list[Seller] = []
    for number in range(distributors):
        above = random.choice(made).name if made and random.random() < 0.4 else ""
        made.append(Seller(f"d{number:03}", "distributor", f"c{number % CHANNELS}", above))
    made += [Seller(f"g{number:03}", "guide", f"c{number % CHANNELS}") for number in range(guides)]
    for number in range(partners):
        terms = (20, 500, 1_000, True) if number % 2 else (5, 300, 0, False)
        made.append(Seller(f"s{number:03}", "partner", f"c{number % CHANNELS}", "", *terms))
    return made


def acts(
    random: Random, people: int, selling: list[Seller], rooms: list[str], start_ms: int, days: int, buying: float
) -> list[Act]:
    """A month in the order of time: some come often, by links that some pass on; ``buying`` of the visits buy, some
    give back what they had.
    """
    made = [Act(start_ms + days * DAY_MS // 2 - 1, "reckon")]
    for number in range(people):
        made += _life(random, number, people, selling, rooms, start_ms, days, buying)
    for role in ("distributor", "guide"):
        own = [one.name for one in selling if one.role == role]
        for _ in range(max(2, len(own) // 20)):
            of, to = random.sample(own, 2)
            ms = start_ms + random.randrange(days * DAY_MS // 1000) * 1000 + 998
            made.append(Act(ms, "hand", issuer=of, role=role, other=to))
    return sorted(made, key=lambda act: (act.ms, act.person))


def people_of(month: list[Act], people: int) -> list[str]:
    """The names of everybody, whether they come or only pass a link on."""
    named = {f"p{number:05}" for number in range(people)}
    for act in month:
        named |= {act.person, act.sharer, act.other if act.kind == "merge" else ""}
    return sorted(named - {""})


def host_of(room: str, *, late: bool) -> str:
    """Who hosts a room: three hosts, who take one another's rooms over in the middle of the month."""
    return f"h{(int(room[1:]) + late) % 3}"


def _life(
    random: Random, number: int, people: int, selling: list[Seller], rooms: list[str], start_ms: int, days: int,
    buying: float,
) -> list[Act]:  # fmt: skip
    """What one person does, with one phone or two; two phones are often found to be one person's."""
    made: list[Act] = []
    names, end_s = [f"p{number:05}"], days * DAY_MS // 1000
    merge_s = end_s
    if random.random() < TWO_PHONES:
        names.append(f"q{number:05}")
        if random.random() < 0.7:
            merge_s = random.randrange(end_s)
            made.append(Act(start_ms + merge_s * 1000 + 997, "merge", names[0], other=names[1]))
    bought = False
    for at in sorted(random.sample(range(end_s), random.choice((1, 1, 2, 3, 6)))):
        person = random.choice(names) if at <= merge_s else names[0]
        ms = start_ms + at * 1000 + number % 990
        room = random.choice(rooms)
        host = host_of(room, late=at >= end_s // 2)
        chosen = random.choice(selling) if random.random() < 0.8 else None
        friend = random.choice(names) if random.random() < 0.1 else f"p{random.randrange(people):05}"
        if at > merge_s:
            friend = friend.replace("q", "p")
        sharer = friend if chosen and friend != person and random.random() < 0.2 else ""
        issuer, role = (chosen.name, chosen.role) if chosen else ("", "")
        scan = chosen is not None and random.random() < 0.15
        made.append(Act(ms, "come", person, issuer, role, room=room, host=host, sharer=sharer, scan=scan))
        if random.random() < 0.5:
            made.append(Act(ms + 1, "click", person, issuer, role, room=room, host=host, sharer=sharer))
        if random.random() < buying:
            made.append(Act(ms + 2, "buy", person, quantity=random.randint(1, 3), room=room, host=host))
            bought = True
        if bought and random.random() < 0.15:
            made.append(Act(ms + 3, "back", person))
    return made


def truth(month: list[Act], selling: list[Seller], people: list[str], price: int, rule: str = "first") -> Truth:
    """Live the month by the plainest rules: the last touch in the window is paid; ``first`` come is first bound, or
    whoever comes takes over (``override``).
    """
    sells = {seller.name: seller for seller in selling}
    out = Truth({name: Customer({name}) for name in people})
    for act in month:
        who = out.people.get(act.person, Customer(set()))
        if act.kind == "come":
            _come(out, who, act, sells, rule)
        elif act.kind == "click":
            out.visits.add(act.person)
            out.clicks.add(act.person)
            if act.by:
                out.clicked_by[act.by].add(act.person)
            if act.issuer:
                who.touches.append(act)
        elif act.kind == "buy":
            credit, first = _credit(act, who, sells), not who.bought
            made = Bought(act.ms, act.person, act.room, act.host, act.quantity * price, credit, first)
            who.bought.append(made)
            out.bought.append(made)
            _earn(out, made, sells, 1)
        elif act.kind == "back" and who.kept:
            gone = who.kept[-1]
            gone.back = True
            _earn(out, gone, sells, -1)
        elif act.kind == "merge":
            who.join(out.people[act.other])
            out.people[act.other] = who
            out.merged.add(act.other)
        elif act.kind == "hand":
            _hand(out, act)
        elif act.kind == "reckon":
            for one in out.now().values():
                one.tags |= {"bought"} if one.kept else set()
    return out


def _come(out: Truth, who: Customer, act: Act, sells: dict[str, Seller], rule: str) -> None:
    day = day_of(act.ms)
    out.visits.add(act.person)
    out.came_on[day].add(act.person)
    if act.by:
        out.came_by[act.by].add(act.person)
    if not act.scan:
        out.entered.add(act.person)
        out.entered_on[day].add(act.person)
        out.entered_to[act.room].add(act.person)
        out.entered_with[act.host].add(act.person)
        out.entered_from[sells[act.issuer].channel if act.issuer else ""].add(act.person)
        who.entries[day] += 1
        if act.by:
            out.entered_by[act.by].add(act.person)
        if act.sharer:
            out.shared.add(act.person)
    if not act.issuer:
        return
    who.touches.append(act)
    if act.sharer:
        return
    if act.role == "partner":
        who.seen[act.issuer] = (act.ms, act.issuer, sells[act.issuer].channel)
        return
    had = who.bound.get(act.role)
    if had is None or (rule == "override" and had[1] != act.issuer):
        who.bound[act.role] = (act.ms, act.issuer, sells[act.issuer].channel)


def _hand(out: Truth, act: Act) -> None:
    """The customers of one are another's from now on; by which channel they once came stays."""
    for one in out.now().values():
        _, issuer, channel = one.bound.get(act.role, (0, "", ""))
        if issuer == act.issuer:
            one.bound[act.role] = (act.ms, act.other, channel)


def _earn(out: Truth, order: Bought, sells: dict[str, Seller], sign: int) -> None:
    earner = order.credit["distributor"]
    if earner:
        out.earned[earner] += sign * (order.amount * RATE_BP // 10_000)
        if sells[earner].parent:
            out.earned[sells[earner].parent] += sign * (order.amount * SECOND_BP // 10_000)
    partner = sells.get(order.credit["partner"])
    if partner is not None and (order.first or not partner.first):
        share = order.amount * partner.rate_bp // 10_000
        out.earned[partner.name] += sign * (min(share, partner.cap) if partner.cap else share)


def _credit(buy: Act, who: Customer, sells: dict[str, Seller]) -> dict[str, str]:
    within = [touch for touch in who.touches if touch.ms >= buy.ms - WINDOW_DAYS * DAY_MS]
    # Nobody is brought by their own other phone, once it is known to be theirs.
    fresh = [touch for touch in within if touch.by not in who.names]
    seen = [one for one in who.seen.values() if buy.ms < one[0] + sells[one[1]].days * DAY_MS]
    _, newest, came_from = max([*who.bound.values(), *seen], default=(0, "", ""))
    credit = {
        "first_touch": fresh[0].by if fresh else "",
        "last_touch": fresh[-1].by if fresh else "",
        "binding_first": newest or (fresh[-1].by if fresh else ""),
        "default": fresh[-1].by if fresh else newest,
        "channel": sells[fresh[-1].issuer].channel if fresh else came_from,
    }
    for role in ("distributor", "guide"):
        own = [touch for touch in within if touch.role == role]
        credit[role] = own[-1].issuer if own else who.bound.get(role, (0, "", ""))[1]
    shown = [one for one in within if one.role == "partner" and one.ms + sells[one.issuer].days * DAY_MS >= buy.ms]
    credit["partner"] = shown[-1].issuer if shown else max(seen, default=(0, "", ""))[1]
    return credit
