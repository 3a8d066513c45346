"""The sandbox provider keeps its payments over a restart, as a real one would."""

from __future__ import annotations

import asyncio
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
    book.compact([])
    for number in range(10 * LINES_A_PAYMENT):
        assert not book.full
        book.write({"payment": str(number % 20), "n": number})
    assert book.full
    entries = book.load()
    assert [entry["n"] for entry in entries] == list(range(30, 40))
    book.compact(entries)
    assert not book.full and path.read_bytes().count(b"\n") == 10
    assert path.stat().st_mode & 0o077 == 0
    book.close()
    await asyncio.sleep(0)


async def test_a_full_disk_does_not_stop_a_trial(tmp_path: Path) -> None:
    provider = opened(tmp_path, ManualClock())
    assert provider._book is not None
    provider._book._file.close()
    with Path("/dev/full").open("ab", buffering=0) as full:
        provider._book._file = full
        await provider.start(request("p"))
        assert await provider.query("p") is not None
    await provider.aclose()
