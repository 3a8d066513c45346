"""The sandbox provider keeps its payments over a restart, as a real one would."""

from __future__ import annotations

import asyncio
import multiprocessing
from pathlib import Path

import pytest

from commerce.errors import Refused
from commerce.payment import PaymentRequest, RefundRequest
from commerce.payment_sandbox import SandboxProvider
from commerce.sandbox_book import LINES_A_PAYMENT, SANDBOX_FILE, SandboxBook
from tests.commerce.shop_world import START_MS, ManualClock

HOUR_MS = 3_600_000


def request(payment: str, amount: int = 500) -> PaymentRequest:
    return PaymentRequest(payment, "m1", amount, START_MS + 24 * HOUR_MS, "高山红茶")


def opened(folder: Path, clock: ManualClock, **more: bool | tuple[int, ...]) -> SandboxProvider:
    return SandboxProvider(b"s" * 32, clock=clock, book=folder / SANDBOX_FILE, **more)  # type: ignore[arg-type]


async def test_a_query_after_a_restart_finds_what_was_decided_before(tmp_path: Path) -> None:
    clock = ManualClock()
    before = opened(tmp_path, clock, declined_amounts=(999,))
    await before.start(request("paid"))
    await before.start(request("declined", 999))
    number = (await before.parse((await before.query("paid")) or pytest.fail("nothing"))).number
    await before.aclose()
    clock.advance(HOUR_MS)
    after = opened(tmp_path, clock)
    try:
        found = await after.query("paid")
        assert found is not None
        # Signed anew: what was signed an hour ago is refused as a replay.
        notice = await after.parse(found)
        assert (notice.kind, notice.number, notice.amount, notice.merchant) == ("paid", number, 500, "m1")
        declined = await after.query("declined")
        assert declined is not None and (await after.parse(declined)).kind == "declined"
        assert await after.query("never") is None
    finally:
        await after.aclose()


async def test_an_open_payment_can_be_paid_after_a_restart_and_a_closed_one_cannot(tmp_path: Path) -> None:
    clock = ManualClock()
    before = opened(tmp_path, clock, hold_back=True)
    for payment in ("open", "closed"):
        await before.start(request(payment))
    await before.close("closed")
    await before.aclose()
    after = opened(tmp_path, clock, hold_back=True)
    try:
        assert await after.query("open") is None
        paid = after.pay("open")
        assert paid is not None and (await after.parse(paid)).kind == "paid"
        assert after.pay("closed") is None
    finally:
        await after.aclose()


async def test_more_than_was_paid_is_not_refunded_over_a_restart_either(tmp_path: Path) -> None:
    clock = ManualClock()
    before = opened(tmp_path, clock)
    await before.start(request("p", 500))
    await before.refund(RefundRequest("r1", "p", "m1", 300, 500))
    await before.aclose()
    after = opened(tmp_path, clock)
    try:
        with pytest.raises(Refused, match="never took that much"):
            await after.refund(RefundRequest("r2", "p", "m1", 300, 500))
        await after.refund(RefundRequest("r1", "p", "m1", 300, 500))
        await after.refund(RefundRequest("r2", "p", "m1", 200, 500))
    finally:
        await after.aclose()


async def test_lines_that_a_crash_cut_short_and_lines_of_others_are_left_out(tmp_path: Path) -> None:
    clock = ManualClock()
    before = opened(tmp_path, clock)
    await before.start(request("whole"))
    await before.aclose()
    with (tmp_path / SANDBOX_FILE).open("ab") as file:
        file.write(b'[1]\n{"payment":"odd"}\n{"payment":"x","amount":5,"merch')
    after = opened(tmp_path, clock)
    try:
        assert list(after._transactions) == ["whole"]
        await after.start(request("next"))
    finally:
        await after.aclose()
    assert list(opened(tmp_path, clock)._transactions) == ["whole", "next"]


async def test_the_book_stays_small_and_private(tmp_path: Path) -> None:
    path = tmp_path / SANDBOX_FILE
    book = SandboxBook(path, payments_max=10)
    for number in range(10 * LINES_A_PAYMENT):
        book.write({"payment": str(number % 20), "n": number})
    assert path.read_bytes().count(b"\n") == 10 * LINES_A_PAYMENT
    book.write({"payment": "40", "n": 40})
    assert path.read_bytes().count(b"\n") == 10 + 1
    assert [entry["n"] for entry in book.news()] == list(range(30, 41))
    book.compact()
    assert path.read_bytes().count(b"\n") == 10
    assert path.stat().st_mode & 0o077 == 0
    book.close()


def keep_a_book(path: Path, name: str, count: int) -> None:
    for number in range(count):
        # As at a start, and in the middle of what the others write.
        book = SandboxBook(path, payments_max=1_000)
        book.compact()
        book.write({"payment": f"{name}-{number}"})
        book.close()


async def test_processes_that_keep_one_book_lose_nothing_of_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One that stands still while it holds the lock is waited for: the sandbox itself would rather forget than wait.
    monkeypatch.setattr("commerce.sandbox_book.LOCK_S", 60.0)
    path = tmp_path / SANDBOX_FILE
    watching = SandboxBook(path, payments_max=1_000)
    context = multiprocessing.get_context("fork")
    others = [context.Process(target=keep_a_book, args=(path, name, 100)) for name in "abc"]
    for other in others:
        other.start()
    seen = set[str]()
    while any(other.is_alive() for other in others):
        seen |= {entry["payment"] for entry in watching.news()}
        await asyncio.sleep(0.01)
    seen |= {entry["payment"] for entry in watching.news()}
    assert [other.exitcode for other in others] == [0, 0, 0]
    assert seen == {f"{name}-{number}" for name in "abc" for number in range(100)}
    watching.close()


async def test_one_process_answers_for_a_payment_that_another_one_took(tmp_path: Path) -> None:
    clock = ManualClock()
    here, there = opened(tmp_path, clock, hold_back=True), opened(tmp_path, clock)
    try:
        await here.start(request("p"))
        assert there.pay("p") is not None
        found = await here.query("p")
        assert found is not None and (await here.parse(found)).kind == "paid"
        await there.refund(RefundRequest("r1", "p", "m1", 300, 500))
        with pytest.raises(Refused, match="never took that much"):
            await here.refund(RefundRequest("r2", "p", "m1", 300, 500))
    finally:
        await here.aclose()
        await there.aclose()


async def test_a_line_that_a_crash_cut_short_takes_no_other_one_with_it(tmp_path: Path) -> None:
    path = tmp_path / SANDBOX_FILE
    book = SandboxBook(path, payments_max=10)
    book.write({"payment": "a"})
    with path.open("ab") as file:
        file.write(b'{"payment":"cut')
    book.write({"payment": "b"})
    again = SandboxBook(path, payments_max=10)
    assert [entry["payment"] for entry in again.news()] == ["a", "b"]
    book.close()
    again.close()


async def test_a_full_disk_does_not_stop_a_trial(tmp_path: Path) -> None:
    provider = opened(tmp_path, ManualClock())
    path = tmp_path / SANDBOX_FILE
    path.unlink()
    path.symlink_to("/dev/full")
    await provider.start(request("p"))
    assert await provider.query("p") is not None
    await provider.aclose()
