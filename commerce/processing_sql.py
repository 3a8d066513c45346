"""Processing runs inside the ledger's transaction, and the runs and losses as they are read.

A run moves the stock of both sides by ``move_stock`` (kinds processed and yielded, ``ref`` the run): what went in
leaves with its share of its value, and what came out takes exactly that over.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from commerce.changes import Change, Hand
from commerce.changes_sql import note
from commerce.domain.cost import moved_value
from commerce.domain.ids import AFTER_ALL
from commerce.domain.processing import RUN_GRAMS_MAX, Portion, basis_points, loss_of, share_cost, weigh
from commerce.errors import Invalid, NotFound, Refused
from commerce.ledger_batch_sql import Batch
from commerce.stock_sql import move_stock, on_hand

TypedLine = tuple[str, int, int]
"""A line as typed: SKU, units, grams; 0 where it was not said."""


@dataclass(frozen=True, slots=True)
class RunProcessing:
    """Goods were processed: what went in and what came out."""

    merchant: str
    staff: str
    recipe: str
    raw: tuple[TypedLine, ...]
    yields: tuple[TypedLine, ...]
    why: str
    key: str
    hash: str


@dataclass(frozen=True, slots=True)
class RunLineView:
    """Units of a SKU on one side of a run, what they weigh and cost."""

    sku: str
    title: str
    name: str
    units: int
    grams: int
    cost: int


@dataclass(frozen=True, slots=True)
class RunView:
    """A run: ``in_grams = out_grams + loss_grams``; rates are 0.01 % of what went in, ``over`` beyond the expected."""

    run: str
    recipe: str
    name: str
    in_grams: int
    out_grams: int
    loss_grams: int
    loss_bp: int
    expected_bp: int
    over: bool
    cost: int
    why: str
    staff: str
    created: int
    raw: tuple[RunLineView, ...]
    yields: tuple[RunLineView, ...]


@dataclass(frozen=True, slots=True)
class LossView:
    """All runs of a recipe in some days against what was expected (grams; ``over_grams`` below 0: less lost)."""

    recipe: str
    name: str
    runs: int
    in_grams: int
    out_grams: int
    loss_grams: int
    loss_bp: int
    expected_bp: int
    expected_grams: int
    over_grams: int
    runs_over: int
    cost: int


_RECIPE = text("SELECT * FROM processing_recipe WHERE id = :id AND merchant = :merchant")
_NAMED = text("SELECT id FROM processing_recipe WHERE merchant = :merchant AND name = :name")
_ADD_RECIPE = text(
    "INSERT INTO processing_recipe (id, merchant, name, expected_bp, basis, created_ms)"
    " VALUES (:id, :merchant, :name, :expected_bp, :basis, :now)"
)
_SET_RECIPE = text(
    "UPDATE processing_recipe SET name = :name, expected_bp = :expected_bp, basis = :basis, closed_ms = :closed"
    " WHERE id = :id AND merchant = :merchant"
)
_RECIPES = text(
    "SELECT id AS recipe, name, expected_bp, basis, closed_ms IS NOT NULL AS closed FROM processing_recipe"
    " WHERE merchant = :merchant ORDER BY id LIMIT :limit"
)
_SKU = text(
    "SELECT k.kind, k.slot_ms, k.price, coalesce(d.grams, 0) AS grams FROM sku AS k"
    " LEFT JOIN sku_detail AS d ON d.sku = k.id WHERE k.id = :sku AND k.merchant = :merchant"
)
_NEW_STOCK = text("INSERT INTO stock (sku, merchant) VALUES (:sku, :merchant) ON CONFLICT (sku) DO NOTHING")
_RUN = text(
    "INSERT INTO processing_run (id, merchant, recipe, expected_bp, in_grams, out_grams, loss_grams, cost, why, staff,"
    " created_ms) VALUES (:id, :merchant, :recipe, :expected_bp, :in_grams, :out_grams, :loss_grams, :cost, :why,"
    " :staff, :now)"
)
_LINE = text(
    "INSERT INTO processing_line (run, side, sku, n, units, grams, cost)"
    " VALUES (:run, :side, :sku, :n, :units, :grams, :cost)"
)
_RUNS = (
    "SELECT r.*, p.name FROM processing_run AS r JOIN processing_recipe AS p ON p.id = r.recipe"
    " WHERE r.merchant = :merchant"
)
_ONE_RUN = text(f"{_RUNS} AND r.id = :id")
_LIST = text(f"{_RUNS} AND r.id < :before AND (:recipe = '' OR r.recipe = :recipe) ORDER BY r.id DESC LIMIT :limit")
_LINES = text(
    "SELECT l.*, t.title, k.name FROM processing_line AS l JOIN sku AS k ON k.id = l.sku"
    " JOIN product AS t ON t.id = k.product WHERE l.run = :run ORDER BY l.side, l.n"
)
_LOSSES = text(
    "SELECT r.recipe, p.name, count(*) AS runs, CAST(sum(r.in_grams) AS bigint) AS in_grams,"
    " CAST(sum(r.out_grams) AS bigint) AS out_grams, CAST(sum(r.loss_grams) AS bigint) AS loss_grams,"
    " CAST(sum(r.in_grams * r.expected_bp) AS bigint) AS expected,"
    " sum(CASE WHEN r.loss_grams * 10000 > r.in_grams * r.expected_bp THEN 1 ELSE 0 END) AS runs_over,"
    " CAST(sum(r.cost) AS bigint) AS cost FROM processing_run AS r JOIN processing_recipe AS p ON p.id = r.recipe"
    " WHERE r.merchant = :merchant AND r.created_ms >= :since AND r.created_ms < :until"
    " GROUP BY r.recipe, p.name ORDER BY p.name"
)
RECIPES_MAX = 500


def save_recipe(
    db: Connection, merchant: str, recipe: str, name: str, expected_bp: int, basis: str, now_ms: int, *, new: bool,
    closed: bool,
) -> None:  # fmt: skip
    """Write a recipe. Raises NotFound, Refused (already: the name is taken)."""
    there = db.execute(_NAMED, {"merchant": merchant, "name": name}).scalar_one_or_none()
    if there not in (None, recipe):
        raise Refused("already", "there is a recipe of this name", recipe=there)
    known = {"id": recipe, "merchant": merchant, "name": name, "expected_bp": expected_bp, "basis": basis}
    if new:
        db.execute(_ADD_RECIPE, {**known, "now": now_ms})
    elif not db.execute(_SET_RECIPE, {**known, "closed": now_ms if closed else None}).rowcount:
        raise NotFound("no such recipe")


def run_processing(batch: Batch, command: RunProcessing) -> RunView:
    """Take raw goods off the stock and put the yield on it.

    Raises NotFound, Conflict, Invalid (a line that cannot be; more came out than went in), Refused (closed; sold_out).
    """
    stored = batch.replay(command.merchant, command.staff, "processing", command.key, command.hash)
    if stored is not None:
        return read_run(batch.connection, command.merchant, stored)
    recipe = batch.one(_RECIPE, id=command.recipe, merchant=command.merchant)
    if recipe is None:
        raise NotFound("no such recipe")
    if recipe.closed_ms is not None:
        raise Refused("closed", "nothing is made by this recipe any more")
    raw = _weighed(batch, command.merchant, command.raw, "raw")
    yields = _weighed(batch, command.merchant, command.yields, "yields")
    loss, went_in = loss_of(raw, yields), sum(one.grams for one in raw)
    if loss < 0:
        raise Invalid(f"{-loss} g more came out than went in: name all that went in", field="yields")
    if went_in > RUN_GRAMS_MAX:
        raise Invalid(f"at most {RUN_GRAMS_MAX} g in one run", field="raw")
    run = batch.mint()
    spent = [_take(batch, command.merchant, run, one) for one in raw]
    made = share_cost(sum(spent), yields, recipe.basis)
    for one, cost in zip(yields, made, strict=True):
        batch.run(_NEW_STOCK, sku=one.sku, merchant=command.merchant)
        moved = {"adjusted": one.units, "free": one.units}
        assert move_stock(batch, command.merchant, one.sku, "yielded", run, outlet="", cost=cost, **moved)
    figures = {"in_grams": went_in, "out_grams": went_in - loss, "loss_grams": loss, "cost": sum(spent)}
    who = {"why": command.why, "staff": command.staff, "now": batch.now_ms}
    known = {"merchant": command.merchant, "recipe": recipe.id, "expected_bp": recipe.expected_bp}
    batch.run(_RUN, id=run, **known, **figures, **who)
    _write_lines(batch, run, "in", raw, spent)
    _write_lines(batch, run, "out", yields, made)
    _note(
        batch, command, recipe.name, [(one.sku, -one.units) for one in raw] + [(one.sku, one.units) for one in yields]
    )
    batch.remember(command.merchant, command.staff, "processing", command.key, command.hash, run)
    return read_run(batch.connection, command.merchant, run)


def _weighed(batch: Batch, merchant: str, lines: Sequence[TypedLine], side: str) -> list[Portion]:
    found = []
    for sku, units, grams in lines:
        row = batch.one(_SKU, sku=sku, merchant=merchant)
        if row is None:
            raise NotFound("no such product", sku=sku)
        if row.kind != "goods" or row.slot_ms is not None:
            raise Invalid("stored value and bookable times are not processed", field=side, sku=sku)
        portion = weigh(sku, row.grams, units, grams, row.price)
        if isinstance(portion, str):
            raise Invalid(portion, field=side, sku=sku)
        found.append(portion)
    return found


def _take(batch: Batch, merchant: str, run: str, one: Portion) -> int:
    """Take raw goods off the stock; what they cost."""
    there = on_hand(batch, merchant, one.sku)
    if there is None or there.free < one.units:
        raise Refused("sold_out", "not that many units are free", sku=one.sku, free=0 if there is None else there.free)
    cost = -moved_value(there.units, there.cost, -one.units)
    moved = {"adjusted": -one.units, "free": -one.units}
    assert move_stock(batch, merchant, one.sku, "processed", run, outlet="", cost=None, **moved)
    return cost


def _write_lines(batch: Batch, run: str, side: str, lines: Sequence[Portion], costs: Sequence[int]) -> None:
    rows = [
        {"run": run, "side": side, "sku": one.sku, "n": n, "units": one.units, "grams": one.grams, "cost": cost}
        for n, (one, cost) in enumerate(zip(lines, costs, strict=True))
    ]
    batch.run_many(_LINE, rows)


def _note(batch: Batch, command: RunProcessing, name: str, moved: Sequence[tuple[str, int]]) -> None:
    """Leave the counts that a person changed in the trail, under the recipe's name."""
    changes = []
    for sku, units in moved:
        there = on_hand(batch, command.merchant, sku)
        assert there is not None
        changes.append(Change(sku, "stock", there.free - units, there.free))
    hand = Hand(command.staff, f"{name} {command.why}".strip())
    note(batch.connection, command.merchant, hand, changes, [batch.mint() for _ in changes], batch.now_ms)


def read_recipes(connection: Connection, merchant: str) -> list[dict[str, Any]]:
    """A merchant's recipes, by age."""
    found = connection.execute(_RECIPES, {"merchant": merchant, "limit": RECIPES_MAX}).mappings()
    return [{**row, "closed": bool(row["closed"])} for row in found]


def read_run(connection: Connection, merchant: str, run: str) -> RunView:
    """One run. Raises NotFound."""
    row = connection.execute(_ONE_RUN, {"merchant": merchant, "id": run}).one_or_none()
    if row is None:
        raise NotFound("no such run")
    return _view(connection, row)


def read_runs(connection: Connection, merchant: str, recipe: str, before: str | None, limit: int) -> list[RunView]:
    """Runs, newest first; of one recipe when it is named."""
    asked = {"merchant": merchant, "recipe": recipe, "before": before or AFTER_ALL, "limit": limit}
    return [_view(connection, row) for row in connection.execute(_LIST, asked).all()]


def _view(connection: Connection, row: Any) -> RunView:
    sides: dict[str, list[RunLineView]] = {"in": [], "out": []}
    for one in connection.execute(_LINES, {"run": row.id}):
        sides[one.side].append(RunLineView(one.sku, one.title, one.name, one.units, one.grams, one.cost))
    return RunView(
        run=row.id,
        recipe=row.recipe,
        name=row.name,
        in_grams=row.in_grams,
        out_grams=row.out_grams,
        loss_grams=row.loss_grams,
        loss_bp=basis_points(row.loss_grams, row.in_grams),
        expected_bp=row.expected_bp,
        over=row.loss_grams * 10_000 > row.in_grams * row.expected_bp,
        cost=row.cost,
        why=row.why,
        staff=row.staff,
        created=row.created_ms,
        raw=tuple(sides["in"]),
        yields=tuple(sides["out"]),
    )


def read_losses(connection: Connection, merchant: str, since_ms: int, until_ms: int) -> list[LossView]:
    """What was lost in some days by each recipe, against what was expected of each run."""
    asked = {"merchant": merchant, "since": since_ms, "until": until_ms}
    found = []
    for row in connection.execute(_LOSSES, asked):
        expected = (int(row.expected) + 5_000) // 10_000
        found.append(
            LossView(
                row.recipe, row.name, row.runs, row.in_grams, row.out_grams, row.loss_grams,
                basis_points(row.loss_grams, row.in_grams), basis_points(expected, row.in_grams), expected,
                row.loss_grams - expected, int(row.runs_over), row.cost,
            )
        )  # fmt: skip
    return found


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {RunProcessing: run_processing}
