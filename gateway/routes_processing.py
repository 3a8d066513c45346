"""Processing of goods: recipes, runs that take raw goods and give others, and what was lost."""

from __future__ import annotations

from functools import partial
from typing import Any

from commerce.domain.day import day_of
from gateway.api import Call, Operation, call_key, page_limit
from gateway.parameters import PAGING
from gateway.routes_books import DAYS
from gateway.schemas_processing import (
    LossView,
    ProcessedLineBody,
    ProcessingBody,
    ProcessingPage,
    ProcessingView,
    RecipeAnswer,
    RecipeBody,
    RecipeView,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
PATH = "/api/v1/processing"
READ = partial(Operation, within="books")


def processing_operations(services: Services) -> list[Operation]:
    """Operations under /api/v1/processing, for who runs the whole shop; accountants read."""
    processing = services.processing

    async def list_recipes(call: Call) -> Any:
        return await processing.recipes(call.who.merchant)

    async def save(call: Call, recipe: str | None) -> RecipeAnswer:
        body: RecipeBody = call.body
        terms = (body.name, body.expected_bp, body.basis)
        return RecipeAnswer(await processing.save_recipe(call.who.merchant, recipe, *terms, closed=body.closed))

    async def create_recipe(call: Call) -> RecipeAnswer:
        return await save(call, None)

    async def change_recipe(call: Call) -> RecipeAnswer:
        return await save(call, call.path["recipe"])

    async def list_processing_runs(call: Call) -> Any:
        limit, query = page_limit(call), call.query
        rows = await processing.runs(call.who.merchant, query.get("recipe", ""), query.get("after"), limit)
        return {"items": rows, "next": rows[-1].run if len(rows) == limit else None}

    async def run_processing(call: Call) -> Any:
        body: ProcessingBody = call.body
        sides = (_typed(body.raw), _typed(body.yields))
        return await processing.run(call.who.merchant, call.who.person, body.recipe, *sides, call_key(call), body.why)

    async def list_losses(call: Call) -> Any:
        day = call.query.get("day") or day_of(services.clock())
        return await processing.losses(call.who.merchant, day, call.query.get("through", ""))

    recipes, runs = f"{PATH}/recipes", f"{PATH}/runs"
    paging = {**PAGING, "recipe": "only this recipe's"}
    return [
        READ("GET", recipes, "Recipes", list_recipes, MERCHANT, answer=list[RecipeView]),
        Operation("POST", recipes, "A new recipe", create_recipe, MERCHANT, RecipeBody, RecipeAnswer, 201),
        Operation("PUT", f"{recipes}/{{recipe}}", "Change it", change_recipe, MERCHANT, RecipeBody, RecipeAnswer),
        READ("GET", runs, "Runs, newest first", list_processing_runs, MERCHANT, answer=ProcessingPage, query=paging),
        Operation(
            "POST", runs, "Process goods", run_processing, MERCHANT, ProcessingBody, ProcessingView, 201, keyed=True
        ),
        READ("GET", f"{PATH}/losses", "Loss by recipe", list_losses, MERCHANT, answer=list[LossView], query=DAYS),
    ]


def _typed(lines: list[ProcessedLineBody]) -> list[tuple[str, int, int]]:
    return [(line.sku, line.units, line.grams) for line in lines]
