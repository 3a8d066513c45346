"""What advertisements cost, from a spreadsheet: every broken row is named, none is guessed. Pure.

Columns by name, in any order: ``date`` (日期, 2026-01-31), ``campaign`` (计划, as in the links of the ad) and
``cost`` (消耗, yuan with at most two places). A day and campaign that is there already is replaced.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

from commerce.attribution.touch import short
from commerce.errors import Invalid
from commerce.sheet import Fault, read_sheet

ROWS_MAX = 5_000
"""A year of a dozen campaigns."""
COST_YUAN_MAX = Decimal(100_000_000)
COLUMNS = {
    "date": "date",
    "日期": "date",
    "campaign": "campaign",
    "计划": "campaign",
    "推广计划": "campaign",
    "cost": "cost",
    "消耗": "cost",
    "花费": "cost",
}
HEADING = "date (日期), campaign (计划), cost (消耗)"
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class AdCost:
    """What a campaign cost on a day (of Shanghai, since 1970-01-01), in 分."""

    day: int
    campaign: str
    cost: int


@dataclass(frozen=True, slots=True)
class CostReport:
    """What became of a list; nothing is ``written`` while there are ``faults``."""

    written: bool
    rows: int
    cost: int
    faults: tuple[Fault, ...]


def read_costs(raw: bytes) -> tuple[list[AdCost], list[Fault]]:
    """Read a list; what is wrong with it, line by line. Raises ``Invalid`` when it is no such list at all."""
    costs: list[AdCost] = []
    faults: list[Fault] = []
    seen: dict[tuple[int, str], int] = {}
    for line, cells in read_sheet(raw, COLUMNS, ("date", "campaign", "cost"), HEADING):
        if len(costs) + len(faults) >= ROWS_MAX:
            raise Invalid(f"a file has at most {ROWS_MAX} rows: split it", field="file")
        found = cells if isinstance(cells, Fault) else _cost(line, cells)
        if isinstance(found, Fault):
            faults.append(found)
        elif (found.day, found.campaign) in seen:
            faults.append(
                Fault(line, "campaign", f"the same day and campaign as in line {seen[found.day, found.campaign]}")
            )
        else:
            seen[found.day, found.campaign] = line
            costs.append(found)
    return costs, faults


def _cost(line: int, row: dict[str, str]) -> AdCost | Fault:
    try:
        day = (date.fromisoformat(row["date"].strip()) - _EPOCH).days
    except ValueError:
        return Fault(line, "date", f"{row['date'].strip()[:20]!r} is no day such as 2026-01-31")
    if day < 0:
        return Fault(line, "date", "the day lies before 1970")
    try:
        campaign = short(row["campaign"].strip(), "campaign")
    except Invalid as error:
        return Fault(line, "campaign", error.message)
    if not campaign:
        return Fault(line, "campaign", "a row needs the campaign that its links name")
    return _with_cost(line, day, campaign, row["cost"].strip())


def _with_cost(line: int, day: int, campaign: str, given: str) -> AdCost | Fault:
    try:
        yuan = Decimal(given.replace(",", "").removeprefix("¥").removeprefix("￥"))
        fen = yuan * 100
        if not yuan.is_finite() or not 0 <= yuan <= COST_YUAN_MAX or fen != fen.to_integral_value():
            raise InvalidOperation
    except InvalidOperation:
        return Fault(line, "cost", f"{given[:20]!r} is no sum of yuan such as 1234.50")
    return AdCost(day, campaign, int(fen))


def day_text(day: int) -> str:
    """A day as the list names it."""
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()
