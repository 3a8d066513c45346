"""A simulated month: attribution under all models, commission, tiers and the board agree with a model that knows the
truth."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from commerce import partners_sql
from commerce.attribution.board import Period
from commerce.attribution.insight_sql import week_of
from commerce.attribution.reach import day_ms
from commerce.attribution.touches_sql import TouchLog, open_touch_log
from commerce.crm.service import Crm
from commerce.domain.member import Program, Tier
from commerce.domain.partner import Contract, ShareRate
from commerce.identity.phone import Vault
from commerce.identity.service import Identities
from tests.commerce.month import (
    FAN_DAYS,
    LOYAL_ORDERS,
    MODELS,
    RATE_BP,
    SECOND_BP,
    TIERS,
    TWICE,
    Act,
    Seller,
    Truth,
    acts,
    day_of,
    host_of,
    people_of,
    sellers,
    truth,
)
from tests.commerce.people_kit import SECRET
from tests.commerce.shop_world import MERCHANT, START_MS, shop_world
from tests.commerce.test_distribution import DAY_MS, Market

PRICE = 9_900  # of k1
DAYS = 30
TOUCHES_AT_ONCE = 5_000
"""A month takes minutes here: what is told at once fits into the log's queue."""
PROGRAM = Program(yuan_points=0, tiers=(Tier("银卡", TIERS[0], 100), Tier("金卡", TIERS[1], 100)), member_weekday=None)

ROWS_AT_ONCE = 2_000
ROLES = ("distributor", "guide", "partner")
TAGS: dict[str, tuple[str, Any]] = {
    "twice": (
        "computed",
        {"all": [{"event": "room_entry", "at_least": TWICE}, {"measure": "orders", "at_most": 0}]},
    ),
    "bought": ("rule", {"measure": "orders", "at_least": 1}),
}
SIZES = [
    pytest.param("first", 40, 5, 3, 4, 3, 0.5, id="small"),
    pytest.param("override", 40, 5, 3, 4, 3, 0.5, id="small, whoever comes last takes over", marks=pytest.mark.soak),
    pytest.param("first", 50_000, 200, 100, 20, 40, 0.03, id="50,000 people", marks=pytest.mark.soak),
]


class Month:
    """A shop with all that a month of it needs."""

    def __init__(self, market: Market) -> None:
        world = market.world
        self.market = market
        self.crm = Crm(world.store, market.attribution._touches, clock=world.clock)
        aliases, vault = world.shop.aliases, Vault(SECRET)
        self.identities = Identities(world.store, world.shop.ledger, aliases, vault, clock=world.clock)
        self.tokens: dict[str, str] = {}
        self.orders: list[Any] = []
        self._kept: dict[str, list[Any]] = {}
        """Orders of each person that were not given back, oldest first."""

    async def set_up(self, selling: list[Seller], people: list[str], rule: str) -> None:
        """Write the terms, the sellers with their links, and the people."""
        market = self.market
        terms = {"levels": 2, "renew": False, "orders_a_day": 1_000_000, "refund_percent": 100, "bind": rule}
        await market.distribution.set_terms(MERCHANT, terms, "boss")
        await market.distribution.set_rate(MERCHANT, "shop", "", RATE_BP, SECOND_BP)
        await market.world.shop.members.set_program(MERCHANT, "boss", PROGRAM)
        await self.crm.set_terms(MERCHANT, "boss", {"fan_days": FAN_DAYS, "loyal_orders": LOYAL_ORDERS})
        for name, (kind, condition) in TAGS.items():
            await self.crm.put_tag(MERCHANT, "boss", name, kind, condition)
        # A second phone was seen later than the first.
        rows = [(name, 2 if name[0] == "q" else 1) for name in people]
        rows += [(one.name, 1) for one in selling if one.role == "distributor"]

        def write(db: Any) -> None:
            for person, at_ms in rows:
                db.exec_driver_sql(f"INSERT INTO person VALUES ('{person}', '{MERCHANT}', '{person}', {at_ms})")
            for one in selling:
                if one.role == "guide":
                    db.exec_driver_sql(
                        "INSERT INTO staff (id, merchant, login, password_hash, role, name, created_ms)"
                        f" VALUES ('{one.name}', '{MERCHANT}', '{one.name}', 'x', 'guide', '{one.name}', 1)"
                    )

        await market.world.store.write(write)
        for one in selling:
            if one.role == "partner":
                await market.world.store.write(partial(self._partner, one=one))
        for one in selling:
            if one.role == "distributor":
                await market.distribution.enrol(MERCHANT, one.name, one.name, parent=one.parent or None, approved=True)
            link = await market.attribution.mint_link(MERCHANT, one.name, one.role, channel=one.channel)
            self.tokens[one.name] = link.token

    def _partner(self, db: Any, one: Seller) -> None:
        """A partner of this name, and its contract."""
        now_ms = self.market.world.clock.now_ms
        row = {"merchant": MERCHANT, "trade": "", "counterpart": None, "owner": None, "now": now_ms}
        partners_sql.add(db, id=one.name, name=one.name, **row)
        rates = (ShareRate("shop", "", one.rate_bp),)
        contract = Contract("2020-01-01", "", one.days, one.first, one.cap, 0, "rows", rates)
        signed = {"id": f"c-{one.name}", "by": "boss", "note": "", "now": now_ms}
        partners_sql.propose(db, one.name, MERCHANT, contract, signed)

    async def share(self, partner: str) -> int:
        """What a partner earned and has not given back, wherever it is by now."""
        found = await self.market.world.query(
            f"SELECT coalesce(sum(balance), 0) AS total FROM account WHERE owner = '{partner}' AND kind LIKE 'share%'"
        )
        return int(found[0].total)

    async def live(self, month: list[Act]) -> None:
        """Do what the people do."""
        market, attribution = self.market, self.market.attribution
        for number, act in enumerate(month):
            market.world.clock.now_ms = act.ms
            if number % TOUCHES_AT_ONCE == 0:
                assert await attribution._touches.flushed(60)
            if act.kind == "come":
                await self._come(act)
            elif act.kind == "click":
                token = await self._token(act)
                await attribution.touch_token(MERCHANT, token, act.person, "card_click", room=act.room)
            elif act.kind == "buy":
                await self._buy(act)
            elif act.kind == "back" and self._kept.get(act.person):
                await market.refund(self._kept[act.person].pop(), f"r{act.ms}{act.person}")
            elif act.kind == "merge":
                await attribution.binder.flushed(60)
                await self.identities.merge(MERCHANT, act.person, act.other, "boss", "one number")
                both = [*self._kept.get(act.person, ()), *self._kept.pop(act.other, ())]
                self._kept[act.person] = sorted(both, key=lambda order: order.order)
            elif act.kind == "hand":
                await attribution.binder.flushed(60)
                await market.distribution.hand_over(MERCHANT, act.role, act.issuer, act.other, "moves away")
            elif act.kind == "reckon":
                market.hosts = {room: host_of(room, late=True) for room in market.hosts}
                self.crm.touched(MERCHANT)
                await self.crm.reckon()

    async def _come(self, act: Act) -> None:
        kind = "scan" if act.scan else "room_entry"
        token = await self._token(act)
        await self.market.attribution.touch_token(MERCHANT, token, act.person, kind, room=act.room)

    async def _token(self, act: Act) -> str | None:
        """The link that somebody comes by: its issuer's own, or that of who passed it on."""
        token = self.tokens.get(act.issuer)
        if not act.sharer:
            return token
        return (await self.market.attribution.mint_link(MERCHANT, act.sharer, "viewer", parent_token=token)).token

    async def _buy(self, act: Act) -> None:
        # An order waits a second for those who bind; on a machine that stalls it is judged without what waits there.
        assert await self.market.attribution.binder.flushed(60)
        order = await self.market.order(act.person, act.quantity, room=act.room)
        await self.market.pay(order)
        self.orders.append(order)
        self._kept.setdefault(act.person, []).append(order)


async def _check_board(market: Market, expected: Truth, since_ms: int, until_ms: int) -> None:
    """Every figure of the month, by every model; read from sums, and once touch by touch."""
    for model in (*MODELS, *ROLES):
        board = await market.attribution.board(MERCHANT, since_ms, until_ms, model=model)
        rows = {row["issuer"] or "": row for row in board["by_issuer"]}
        sold = {name: (row["paid"], row["amount"], row["refunded"]) for name, row in rows.items() if row["orders"]}
        # Of issuers the board shows the largest 500.
        assert sold == {name: one for name, one in expected.sales(model).items() if name in sold}, model
        assert len(sold) == min(len(expected.sales(model)), 500) or len(board["by_issuer"]) == 500
        steps = (expected.came_by, expected.entered_by, expected.clicked_by)
        for name, row in rows.items():
            came = tuple(len(step[name]) for step in steps)
            assert not name or (row["visits"], row["entries"], row["clicks"]) in (came, (0, 0, 0)), name
    assert board["funnel"] == expected.funnel()
    gmv = sum(one.amount for one in expected.bought)
    back = sum(one.amount for one in expected.bought if one.back)
    assert (board["gmv"], board["refunded"], board["product"]["paid"]) == (gmv, back, len(expected.bought))
    assert board["k_factor"] == round(len(expected.shared) / len(expected.entered), 4)
    rooms = {row["room"]: (row["paid"], row["amount"], row["refunded"]) for row in board["by_room"] if row["orders"]}
    assert rooms == expected.sales("room")
    hosts = {row["host"]: (row["paid"], row["amount"], row["refunded"]) for row in board["by_host"] if row["orders"]}
    assert hosts == expected.sales("host")
    entered_by = {"room": expected.entered_to, "host": expected.entered_with, "channel": expected.entered_from}
    for table, entered in entered_by.items():
        shown = {row[table] or "": row["entries"] for row in board[f"by_{table}"] if row["entries"]}
        assert shown == {name: len(people) for name, people in entered.items()}, table
    days = {day_of(row["at"]): row for row in board["series"]["rows"]}
    assert set(days) == set(expected.came_on)
    sums = expected.sales("day")
    for day, people in expected.came_on.items():
        told = (len(people), len(expected.entered_on[day]), *sums.get(str(day), (0, 0, 0))[:2])
        assert tuple(days[day][name] for name in ("visits", "entries", "paid", "amount")) == told, day
    by_default = await market.attribution.board(MERCHANT, since_ms, until_ms)
    channels = {row["channel"] or "": row for row in by_default["by_channel"] if row["orders"]}
    sold = {name: (row["paid"], row["amount"], row["refunded"]) for name, row in channels.items()}
    assert sold == expected.sales("channel")
    counted = await market.attribution.board(MERCHANT, since_ms - 1, until_ms, model=ROLES[-1])
    for name in ("funnel", "k_factor", "product", "by_issuer", "by_channel", "by_room", "by_host", "by_campaign"):
        assert counted[name] == board[name], name


async def _check_what_opens(market: Market, expected: Truth, since_ms: int, until_ms: int) -> None:
    """The product and its factors, the persons and orders behind figures, and what each guide reads of their own."""
    attribution, period = market.attribution, Period(MERCHANT, since_ms, until_ms)
    board = await attribution.board(MERCHANT, since_ms, until_ms)
    buyers = sum(bool(one.bought) for one in expected.now().values())
    paid, gmv = len(expected.bought), sum(one.amount for one in expected.bought)
    product, entered = board["product"], len(expected.entered)
    assert (product["traffic"], product["payers"], product["gmv"]) == (entered, buyers, gmv)
    assert board["orders_total"] == {"all": paid, "paid": paid}
    factors = (buyers / entered, paid / buyers, gmv / paid)
    assert (product["conversion"], product["repurchase"], product["basket"]) == pytest.approx(factors, abs=0.01)
    for step, people in (("visit", expected.visits), ("entry", expected.entered), ("click", expected.clicks)):
        shown: list[str] = []
        while page := await attribution.rows.people(period, step, "", "", (shown or [""])[-1], ROWS_AT_ONCE):
            shown += [row["person"] for row in page]
        assert shown == sorted(people), step
    sold: list[dict[str, Any]] = []
    while page := await attribution.rows.orders(
        period, "paid", "", "", sold[-1]["order"] if sold else "", ROWS_AT_ONCE
    ):
        sold += page
    survivors = {alias: name for name, one in expected.now().items() for alias in one.names}
    wanted = sorted((survivors[one.person], one.amount) for one in expected.bought)
    assert sorted((row["person"], row["amount"]) for row in sold) == wanted
    for guide, figures in expected.sales("guide").items():
        if guide:
            told = await attribution.guide_statement(MERCHANT, guide, since_ms, until_ms, "", figures[0] + 1)
            assert (told.paid, told.amount, told.refunded) == figures, guide
            assert (told.orders, len(told.rows)) == (figures[0], figures[0]), guide
            assert sum(row["amount"] for row in told.rows) == figures[1], guide


async def _check_whose(month: Month, expected: Truth) -> None:
    """Whose customer everybody is, of each kind of seller."""
    rows = await month.market.world.query("SELECT person, role, issuer FROM binding WHERE closed_ms IS NULL")
    now = expected.now()
    # Of two who were both bound the elder's stands; the younger's waits for the merge to be undone.
    found = {(row.person, row.role): row.issuer for row in rows if row.role in ROLES and row.person in now}
    assert found == {(name, role): one.bound[role][1] for name, one in now.items() for role in one.bound}


async def _check_models_and_cohorts(market: Market, expected: Truth, since_ms: int, until_ms: int) -> None:
    models = await market.attribution.models(MERCHANT, since_ms, until_ms)
    for model in MODELS:
        sold = {row["issuer"] or "": row[model] for row in models["issuers"]}
        for name, (paid, amount, back) in expected.sales(model).items():
            if name in sold and name:
                assert (sold[name]["paid"], sold[name]["amount"], sold[name]["refunded"]) == (paid, amount, back)
        nobody = expected.sales(model).get("", (0, 0, 0))
        assert (sold[""]["paid"], sold[""]["amount"], sold[""]["refunded"]) == nobody
    for role in ROLES:
        credited = {row["issuer"]: (row["paid"], row["amount"], row["refunded"]) for row in models[role]}
        assert credited == {name: one for name, one in expected.sales(role).items() if name}
    cohorts = await market.attribution.cohorts(MERCHANT, until_ms)
    found = {
        (week_of(row["week"]), later): week["persons"]
        for row in cohorts
        for later, week in enumerate(row["weeks"])
        if week["persons"]
    }
    assert found == expected.returned()


async def _check_customers(month: Month, expected: Truth) -> None:
    """Tiers, tags and stages of life of everybody who goes on."""
    world, now = month.market.world, expected.now()
    tiers = {row.person: row.tier for row in await world.query("SELECT person, tier FROM member")}
    assert {person: tier for person, tier in tiers.items() if person in now} == expected.tiers()
    month.crm.touched(MERCHANT)
    await month.crm.reckon()
    tags: dict[str, set[str]] = {name: set() for name in TAGS}
    for row in await world.query("SELECT person, tag FROM person_tag"):
        tags[row.tag] |= {row.person} & set(now)
    assert tags == expected.tags()
    stages = expected.stages()
    [row] = await world.query("SELECT count(*) AS n FROM distributor")
    stages["passer"] += row.n  # who sell are people, too, and did nothing here
    assert await month.crm.stages(MERCHANT) == {name: count for name, count in stages.items() if count}


@pytest.mark.parametrize(("rule", "people", "distributors", "guides", "partners", "shows", "buying"), SIZES)
async def test_a_month_comes_out_as_the_model_says(
    tmp_path: Path, rule: str, people: int, distributors: int, guides: int, partners: int, shows: int, buying: float
) -> None:
    random = Random(20_260_101)
    selling = sellers(random, distributors, guides, partners)
    rooms = [f"r{number}" for number in range(1, shows + 1)]
    since_ms = day_ms(day_of(START_MS))
    acted = acts(random, people, selling, rooms, since_ms, DAYS, buying)
    names = people_of(acted, people)
    expected = truth(acted, selling, names, PRICE, rule)
    assert sum(bool(one.credit["distributor"]) for one in expected.bought) > 3 < len(expected.bought)
    assert expected.merged
    shares = [expected.earned[one.name] for one in selling if one.role == "partner"]
    assert not shares or any(shares)
    # What is tested is who gets what; that it is durable is tested elsewhere, and a month has 30,000 commits.
    async with shop_world(tmp_path, synchronous="OFF") as world:
        touches = open_touch_log(tmp_path, clock=world.clock)
        market = Market(world, touches)
        month = Month(market)
        world.clock.now_ms = since_ms
        market.hosts = {room: host_of(room, late=False) for room in rooms}
        await month.set_up(selling, names, rule)
        await month.live(acted)
        for order, bought in zip(month.orders, expected.bought, strict=True):
            decided = order.decision
            found = {name: one["issuer"] if one else "" for name, one in decided["models"].items()}
            found |= {role: one["issuer"] if one else "" for role, one in decided["credits"].items()}
            found.setdefault("partner", "")
            found |= {"channel": (decided["winner"] or {}).get("channel", "")}
            assert found == {**bought.credit, "host": bought.host}, order.order
        for one in selling:
            if one.role == "distributor":
                assert sum(await market.on(one.name)) == expected.earned[one.name], one
            elif one.role == "partner":
                assert await month.share(one.name) == expected.earned[one.name], one
        assert await touches_written(touches)
        until_ms = since_ms + (DAYS + 1) * DAY_MS
        world.clock.now_ms = START_MS + 60 * DAY_MS
        await _check_board(market, expected, since_ms, until_ms)
        await _check_models_and_cohorts(market, expected, since_ms, until_ms)
        await _check_what_opens(market, expected, since_ms, until_ms)
        await _check_whose(month, expected)
        await _check_customers(month, expected)
        await market.distribution.release()
        (row,) = await world.query("SELECT count(*) AS n FROM commission WHERE state = 'frozen'")
        assert row.n == 0
        assert await market.sum_of_all() == 0
        await market.attribution.binder.close()
        touches.close()


async def touches_written(touches: TouchLog) -> bool:
    """All that was told is in the log, however slow the disk; nothing was refused."""
    assert await touches.flushed(60)
    stats = touches.stats()
    return stats.refused == stats.lost == 0 and stats.written == stats.recorded
