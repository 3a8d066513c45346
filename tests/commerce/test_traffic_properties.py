"""What holds of private traffic whatever happens: no cycle among recruiters and shares, no decision that changes."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from commerce.errors import CommerceError, Refused
from commerce.identity.aliases import Aliases
from commerce.identity.phone import Vault
from commerce.identity.service import Identities
from tests.commerce.shop_world import MERCHANT
from tests.commerce.test_distribution import DAY_MS, Market, opened
from tests.commerce.test_merge import KEY

NAMES = [f"d{number}" for number in range(8)]


@pytest.fixture
async def market(tmp_path: Path) -> AsyncIterator[Market]:
    async with opened(tmp_path) as found:
        yield found


async def chain(market: Market, person: str, survivors: dict[str, str]) -> list[str]:
    """Who recruited whom, up from one; fails instead of going on for ever."""
    seen = [person]
    while True:
        rows = await market.world.query("SELECT parent FROM distributor WHERE person = :p", p=seen[-1])
        if not rows or rows[0].parent is None:
            return seen
        above = survivors.get(rows[0].parent, rows[0].parent)
        assert above not in seen, f"a cycle: {[*seen, above]}"
        seen.append(above)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (1, 2))])
async def test_recruiters_and_shares_have_no_cycle_whatever_is_enrolled_merged_and_shared(
    market: Market, seed: int
) -> None:
    draw = random.Random(seed)
    identities = Identities(
        market.world.store, market.world.shop.ledger, Aliases(), Vault(KEY), clock=market.world.clock
    )
    for name in NAMES:
        await market.person(name)
    tokens: list[tuple[str, str]] = []
    merges: list[str] = []
    for _ in range(60):
        market.world.clock.advance(1)
        one, other = draw.sample(NAMES, 2)
        step = draw.choice(["enrol", "enrol", "share", "share", "merge", "undo"])
        try:
            if step == "enrol":
                parent = draw.choice([None, other])
                await market.distribution.enrol(MERCHANT, one, one, parent=parent, approved=True)
            elif step == "share":
                parent_token = draw.choice(tokens)[1] if tokens and draw.random() < 0.7 else None
                link = await market.attribution.mint_link(MERCHANT, one, "viewer", parent_token=parent_token)
                tokens.append((one, link.token))
            elif step == "merge":
                joined = await identities.merge(MERCHANT, one, other, "boss", "one human")
                merges.append(str(joined.merged))
            elif merges:
                await identities.undo(MERCHANT, merges.pop(), "boss")
        except CommerceError:
            # A rule said no: two distributors, a stranger as parent, a later merge first.
            continue
    aliases = await market.world.query("SELECT alias, person FROM person_alias")
    survivors = {row.alias: row.person for row in aliases}
    for name in NAMES:
        await chain(market, survivors.get(name, name), survivors)
    links = {row.id: row for row in await market.world.query("SELECT id, parent, root, depth FROM link")}
    for row in links.values():
        if row.parent is None:
            assert (row.root, row.depth) == (row.id, 0)
        else:
            assert row.depth == links[row.parent].depth + 1 and row.root == links[row.parent].root


async def test_a_decision_is_the_same_after_everything_that_could_have_changed_it(market: Market) -> None:
    ann, zoe = await market.distributor("ann"), await market.distributor("zoe")
    buyer, double = await market.person("bo"), await market.person("bo again")
    await market.comes_by(buyer, ann)
    order = await market.order(buyer)
    shop, distribution = market.world.shop, market.distribution
    decided = (await shop.order(MERCHANT, order.order)).decision

    async def same() -> bool:
        return (await shop.order(MERCHANT, order.order)).decision == decided

    assert decided is not None and decided["winner"]["issuer"] == ann
    identities = Identities(market.world.store, shop.ledger, Aliases(), Vault(KEY), clock=market.world.clock)
    market.world.clock.advance(1_000)
    await market.comes_by(buyer, zoe)
    await distribution.bind(MERCHANT, buyer, zoe, "distributor", "moved")
    await distribution.set_terms(MERCHANT, {"bind": "off", "window_days": 1, "levels": 2}, "boss")
    await distribution.set_rate(MERCHANT, "shop", "", 0, 0)
    await distribution.change(MERCHANT, ann, "disabled", None)
    assert await same()
    await market.pay(order)
    await identities.merge(MERCHANT, double, buyer, "boss", "one human")
    await distribution.hand_over(MERCHANT, "distributor", ann, zoe, "left")
    market.world.clock.advance(20 * DAY_MS)
    await distribution.release()
    await market.refund(order, "r", amount=100)
    assert await same()
    rows = await market.world.query("SELECT DISTINCT person FROM commission")
    assert [row.person for row in rows] == [ann]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (1, 2))])
async def test_commission_stays_under_its_cap_and_is_nothing_after_a_full_refund(market: Market, seed: int) -> None:
    draw = random.Random(seed)
    await market.distribution.set_terms(MERCHANT, {"levels": 2, "cap_percent": 15}, "boss")
    await market.distribution.set_rate(MERCHANT, "shop", "", 1_200, 800)
    top = await market.distributor("top")
    ann, buyer = await market.distributor("ann", parent=top), await market.person("bo")
    await market.comes_by(buyer, ann)
    order = await market.order(buyer, draw.randint(1, 5))

    async def left() -> int:
        (row,) = await market.world.query("SELECT coalesce(sum(amount - reversed), 0) AS left_over FROM commission")
        return int(row.left_over)

    assert 0 < await left() <= order.amount * 15 // 100
    await market.pay(order)
    before = await left()
    for number in range(4):
        if draw.random() < 0.5:
            market.world.clock.advance(15 * DAY_MS)
            await market.distribution.release()
        try:
            await market.refund(order, f"r{number}", amount=draw.randint(1, order.amount // 2))
        except Refused:
            break
        now = await left()
        assert now <= before
        before = now
    rest: dict[str, Any] = {}
    try:
        await market.refund(order, "rest", **rest)
    except Refused:
        # The parts were all of it; the goods may still come back.
        assert (await market.world.shop.order(MERCHANT, order.order)).refunded == order.amount
    assert await left() == 0
    assert (sum(await market.on(ann)), sum(await market.on(top)), await market.sum_of_all()) == (0, 0, 0)
