"""Goods by weight are processed: grams add up with the loss, cost goes over to the 分, losses meet what is usual."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from commerce.audit_sql import audit
from commerce.catalogue_writes import CatalogueWrites
from commerce.domain.day import day_of
from commerce.domain.processing import Portion, loss_of, share_cost, weigh
from commerce.processing import Processing
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, SKU, World, shop_world
from tests.commerce.test_purchases import Buying, code_of

FISH, FILLET, SOUP = OTHER_SKU, SKU, "k4"


class Kitchen(Buying):
    """A shop that fillets fish: raw by the 1 kg, fillets by the 250 g, bones for soup by the piece."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        catalogue = CatalogueWrites(world.store, clock=world.clock)
        self.processing = Processing(world.store, world.shop.ledger, catalogue, clock=world.clock)

    async def open(self) -> "Kitchen":
        await self.world.store.write(
            lambda db: [
                db.execute(text(statement))
                for statement in (
                    "INSERT INTO sku_detail (sku, merchant, code, grams) VALUES ('k2', 'm1', 'fish', 1000)",
                    "INSERT INTO sku_detail (sku, merchant, code, grams) VALUES ('k1', 'm1', 'fillet', 250)",
                    "INSERT INTO sku (id, product, merchant, name, price, list_price, version)"
                    " VALUES ('k4', 'p1', 'm1', 'soup', 100, 100, 1)",
                )
            ]
        )
        return self

    async def recipe(self, expected_bp: int = 3_000, basis: str = "grams") -> str:
        return await self.processing.save_recipe(MERCHANT, None, f"fillets by {basis}", expected_bp, basis)


@pytest.fixture
async def kitchen(place: Path | str) -> AsyncIterator[Kitchen]:
    async with shop_world(place) as world:
        yield await Kitchen(world).open()


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Kitchen]:
    async with shop_world(tmp_path) as world:
        yield await Kitchen(world).open()


async def test_the_yield_takes_the_whole_cost_over_and_the_loss_stands_against_what_is_usual(kitchen: Kitchen) -> None:
    await kitchen.bought(10, 3_333, FISH)
    recipe = await kitchen.recipe()
    ran = kitchen.processing.run
    raw, yields = [(FISH, 0, 4_000)], [(FILLET, 8, 0), (SOUP, 3, 900)]
    run = await ran(MERCHANT, "boss", recipe, raw, yields, "a", "friday")
    assert (run.in_grams, run.out_grams, run.loss_grams, run.loss_bp, run.over) == (4_000, 2_900, 1_100, 2_750, False)
    # 4 of 10 kg cost 133.32; 2,000 g and 900 g share it without a remainder.
    assert [(one.units, one.cost) for one in run.raw] == [(4, 13_332)]
    assert [(one.sku, one.cost) for one in run.yields] == [(FILLET, 9_194), (SOUP, 4_138)]
    assert await ran(MERCHANT, "boss", recipe, raw, yields, "a", "friday") == run
    assert await kitchen.stock(FISH) == (6, 19_998) and await kitchen.stock(FILLET) == (8, 9_194)
    kitchen.world.clock.advance(1)
    bad = await ran(MERCHANT, "boss", recipe, [(FISH, 1, 0)], [(FILLET, 0, 500)], "b")
    assert (bad.loss_bp, bad.over) == (5_000, True)
    [loss] = await kitchen.processing.losses(MERCHANT, day_of(kitchen.world.clock()))
    assert (loss.runs, loss.in_grams, loss.loss_grams, loss.loss_bp) == (2, 5_000, 1_600, 3_200)
    assert (loss.expected_grams, loss.over_grams, loss.runs_over, loss.cost) == (1_500, 100, 1, 16_665)
    assert [one.run for one in await kitchen.processing.runs(MERCHANT)] == [bad.run, run.run]
    closing = await kitchen.closing()
    assert (closing["1405"], closing.get("5001", 0), closing["2202.01"]) == (33_330, 0, 33_330)
    rows = await kitchen.world.query(
        "SELECT sku, before, after FROM manual_change WHERE why = :w", w="fillets by grams friday"
    )
    assert {tuple(row) for row in rows} == {(FISH, 10, 6), (FILLET, 0, 8), (SOUP, 0, 3)}


async def test_what_is_cut_off_costs_less_where_the_cost_goes_by_what_yields_sell_for(quick: Kitchen) -> None:
    await quick.bought(2, 5_000, FISH)
    recipe = await quick.recipe(basis="value")
    run = await quick.processing.run(MERCHANT, "boss", recipe, [(FISH, 2, 0)], [(FILLET, 4, 0), (SOUP, 4, 800)], "a")
    # Fillets at 99 yuan, bones at 1: 39,600 against 400.
    assert [one.cost for one in run.yields] == [9_900, 100]


async def test_what_cannot_be_is_refused_and_moves_nothing(quick: Kitchen) -> None:
    await quick.bought(2, 5_000, FISH)
    recipe = await quick.recipe()

    async def code(raw: list[tuple[str, int, int]], yields: list[tuple[str, int, int]], named: str = recipe) -> str:
        return await code_of(quick.processing.run(MERCHANT, "boss", named, raw, yields, "x"))

    assert await code([(FISH, 0, 1_500)], [(FILLET, 1, 0)]) == "invalid"
    assert await code([(FISH, 1, 0)], [(FILLET, 5, 0)]) == "invalid"
    assert await code([(FISH, 1, 0)], [(SOUP, 1, 0)]) == "invalid"
    assert await code([(FISH, 1, 0)], [(FISH, 1, 0)]) == "invalid"
    assert await code([(FISH, 1, 500)], [(FILLET, 1, 0)]) == "invalid"
    assert await code([(FISH, 1, 0)], []) == "invalid"
    assert await code([(FISH, 3, 0)], [(FILLET, 1, 0)]) == "sold_out"
    assert await code([("k3", 1, 0)], [(FILLET, 1, 0)]) == "not_found"
    assert await code([(FISH, 1, 0)], [(FILLET, 1, 0)], "nothing") == "not_found"
    assert await code_of(quick.processing.save_recipe(MERCHANT, None, "fillets by grams", 1, "grams")) == "already"
    assert await code_of(quick.processing.save_recipe(MERCHANT, None, "x", 10_000, "grams")) == "invalid"
    await quick.processing.save_recipe(MERCHANT, recipe, "fillets", 1, "grams", closed=True)
    assert await code([(FISH, 1, 0)], [(FILLET, 1, 0)]) == "closed"
    assert await quick.stock(FISH) == (2, 10_000)
    assert await quick.processing.runs(MERCHANT) == []


@pytest.mark.soak
async def test_the_audit_finds_a_run_whose_cost_does_not_go_over(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        kitchen = await Kitchen(world).open()
        await kitchen.bought(1, 999, FISH)
        await kitchen.processing.run(MERCHANT, "boss", await kitchen.recipe(), [(FISH, 1, 0)], [(FILLET, 3, 0)], "a")
        for change in ("+ 1", "- 1"):
            spoil = text(f"UPDATE processing_line SET cost = cost {change} WHERE side = 'out'")
            await world.store.write(lambda db, one=spoil: db.execute(one))  # type: ignore[misc]
            broken = [one.name for one in audit(tmp_path, now_ms=world.clock()) if not one.ok]
            assert bool(broken) == (change == "+ 1")


portions = st.lists(
    st.builds(Portion, st.uuids().map(str), st.integers(1, 99), st.integers(1, 10**6), st.integers(1, 10**6)),
    min_size=1,
)


@given(st.integers(0, 10**9), portions, st.sampled_from(["grams", "value"]))
def test_shares_of_the_cost_add_up_to_it(cost: int, yields: list[Portion], basis: str) -> None:
    shares = share_cost(cost, yields, basis)
    assert sum(shares) == cost and min(shares) >= 0
    assert loss_of(yields, yields) == 0


def test_goods_by_weight_come_by_their_units_or_their_grams() -> None:
    assert weigh("a", 250, 4, 0, 10) == weigh("a", 250, 0, 1_000, 10) == weigh("a", 250, 4, 1_000, 10)
    assert isinstance(weigh("a", 250, 4, 999, 10), str) and isinstance(weigh("a", 250, 0, 0, 10), str)
    assert weigh("a", 0, 3, 900, 10) == Portion("a", 3, 900, 30)
