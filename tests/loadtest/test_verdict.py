"""The verdict of a load test: each way in which a run can be wrong makes it fail."""

from typing import Any

import pytest

from loadtest.tally import Row, table
from loadtest.verdict import judge, verdict

TALLY = {"held/sale-1": 3, "claimed/drop-1": 2, "paid/room-1": 2, "frames": 10, "bytes": 500}
SALES = [{"sale": "sale-1", "total": 3, "left": 0}, {"sale": "sale-2", "total": 9, "left": 9}]
DROPS = [{"drop": "drop-1", "total": 2, "left": 0}]
ORDERS = [{"order": "a", "status": "paid"}, {"order": "b", "status": "paid"}, {"order": "c", "status": "pending"}]
FINDINGS = [{"name": "stock", "ok": True}, {"name": "sale", "ok": True}]


def judged(tally: dict[str, int] | None = None, **parts: Any) -> bool:
    checks = judge(
        TALLY if tally is None else tally,
        **{"sales": SALES, "drops": DROPS, "orders": ORDERS, "findings": FINDINGS, **parts},
    )
    return verdict(checks)[0]


def test_a_run_in_which_all_adds_up_is_good() -> None:
    assert judged()


@pytest.mark.parametrize(
    "changed",
    [
        {"held/sale-1": 4},
        {"held/sale-unknown": 1},
        {"claimed/drop-1": 3},
        {"claimed/drop-unknown": 1},
        {"paid/room-1": 3},
        {"disorder": 1},
        {"twice": 1},
    ],
)
def test_clients_who_were_told_more_than_there_is_make_it_fail(changed: dict[str, int]) -> None:
    assert not judged({**TALLY, **changed})


def test_a_hold_that_was_granted_and_is_not_in_the_database_makes_it_fail() -> None:
    assert not judged(sales=[{"sale": "sale-1", "total": 3, "left": 1}])


def test_a_sale_below_zero_makes_it_fail() -> None:
    assert not judged(sales=[{"sale": "sale-1", "total": 3, "left": -1}])


def test_a_broken_invariant_makes_it_fail_and_is_named() -> None:
    findings = [{"name": "stock", "ok": False}, {"name": "sale", "ok": True}]
    well, text = verdict(judge(TALLY, sales=SALES, drops=DROPS, orders=ORDERS, findings=findings))
    assert not well
    assert "broken: stock" in text
    assert "FAILED" in text


def test_an_audit_that_checked_nothing_is_no_proof() -> None:
    assert not judged(findings=[])


def test_a_run_that_sold_nothing_is_no_proof() -> None:
    assert not judged({"frames": 10})


def test_the_table_shows_rates_refusals_by_code_and_quantiles() -> None:
    rows = [Row("CMD sale.hold", 3, 4.0, 9.0, 12.0), Row("HUB frame", 10, None, None, None)]
    shown = table({**TALLY, "refused/sale.hold/sold_out": 7, "closed/4008": 1}, rows, 2.0)
    for part in ("5/s, 50 bytes each", "sale.hold/sold_out", "4008", "p50", "p95", "p99", "holds granted"):
        assert part in shown
    assert shown.splitlines()[-1].split() == ["HUB", "frame", "10", "-", "-", "-"]
