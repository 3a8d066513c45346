"""Processing for clients: recipes with their expected loss, runs, and what was lost against it."""

from collections.abc import Callable, Sequence
from typing import Any

from commerce import catalogue_checks as check
from commerce import processing_sql as sql
from commerce import suppliers_sql
from commerce.basket import check_key
from commerce.books import day_span
from commerce.catalogue_writes import CatalogueWrites
from commerce.changes import WHY_CHARACTERS_MAX
from commerce.domain.processing import BASES, LINES_MAX, RUN_GRAMS_MAX, WHOLE_BP
from commerce.domain.sale import UNITS_MAX
from commerce.errors import Invalid
from commerce.fresh_ids import fresh_id
from commerce.ledger import Ledger, fingerprint
from commerce.processing_sql import LossView, RunProcessing, RunView, TypedLine
from commerce.store_sql import Store


class Processing:
    """Processing of all merchants of one database; ``clock`` gives Unix milliseconds."""

    def __init__(self, store: Store, ledger: Ledger, catalogue: CatalogueWrites, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._ledger = ledger
        self._catalogue = catalogue
        self._clock = clock

    async def save_recipe(
        self, merchant: str, recipe: str | None, name: str, expected_bp: int, basis: str, *, closed: bool = False
    ) -> str:
        """Write a recipe, a new one when None is named; its id. ``expected_bp``: the usual loss, in 0.01 %.

        ``basis`` by which yields share the cost: grams, or value (what they sell for). Raises Invalid, NotFound,
        Refused (already).
        """
        clean = check.title(name, "name")
        check.whole(expected_bp, "expected_bp", 0, WHOLE_BP - 1)
        if basis not in BASES:
            raise Invalid(f"basis is one of {', '.join(BASES)}", field="basis")
        new, now_ms = recipe is None, self._clock()
        identifier = recipe or fresh_id(now_ms)
        await self._store.write(
            lambda db: sql.save_recipe(
                db, merchant, identifier, clean, expected_bp, basis, now_ms, new=new, closed=closed
            )
        )
        return identifier

    async def recipes(self, merchant: str) -> list[dict[str, Any]]:
        """A merchant's recipes, by age."""
        return await self._store.read(lambda db: sql.read_recipes(db, merchant))

    async def run(
        self,
        merchant: str,
        staff: str,
        recipe: str,
        raw: Sequence[TypedLine],
        yields: Sequence[TypedLine],
        key: str,
        why: str = "",
    ) -> RunView:
        """Process (SKU, units, grams) on both sides; 0 where it was not said.

        Raises NotFound, Refused (closed; sold_out: raw goods are missing), Conflict, Invalid, Busy.
        """
        check_key(key)
        for field, lines in (("raw", raw), ("yields", yields)):
            if not 0 < len(lines) <= LINES_MAX:
                raise Invalid(f"1 to {LINES_MAX} lines", field=field)
            for _, units, grams in lines:
                check.whole(units, "units", 0, UNITS_MAX)
                check.whole(grams, "grams", 0, RUN_GRAMS_MAX)
        skus = [sku for sku, _, _ in (*raw, *yields)]
        if len(set(skus)) < len(skus):
            raise Invalid("each line is of another SKU, on both sides", field="yields")
        reason = check.words(why, "why", WHY_CHARACTERS_MAX, empty=True)
        body = fingerprint(recipe, tuple(raw), tuple(yields), reason)
        command = RunProcessing(merchant, staff, recipe, tuple(raw), tuple(yields), reason, key, body)
        view = await self._ledger.submit(command)
        assert isinstance(view, RunView)
        products = await self._store.read(lambda db: suppliers_sql.products_of(db, merchant, skus))
        await self._catalogue.tell(merchant, products)
        return view

    async def runs(self, merchant: str, recipe: str = "", before: str | None = None, limit: int = 50) -> list[RunView]:
        """Runs, newest first; of one recipe when it is named."""
        return await self._store.read(lambda db: sql.read_runs(db, merchant, recipe, before, limit))

    async def losses(self, merchant: str, since: str, through: str = "") -> list[LossView]:
        """What was lost in some days by each recipe, against what was expected. Raises Invalid for what is no day."""
        since_ms, until_ms = day_span(since, through or since, self._clock())
        return await self._store.read(lambda db: sql.read_losses(db, merchant, since_ms, until_ms))
