"""What a client is told was synced to the disk before: shown by the server's own system calls."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import LiveServer, live_server
from tests.integration.shopfloor import Shopfloor
from tests.integration.sockets import Crowd
from tests.outside import need
from tests.syscalls import Call, faults, read_trace, strace

UNDURABLE = Path(__file__).with_name("undurable_server.py")


@contextlib.contextmanager
def _traced_server(folder: Path, *launcher: str) -> Iterator[LiveServer]:
    """A server under strace, gone at the end: strace neither hands a SIGTERM on nor takes its child along."""
    need("strace")
    with live_server(folder, prefix=[*strace(folder / "trace"), *launcher]) as server:
        # Who holds the database's lock is the traced process itself.
        process = int((server.data / "shop.lock").read_text())
        try:
            yield server
            os.kill(process, signal.SIGTERM)
            assert server.process is not None
            assert server.process.wait(60) == 0, server.log()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def _traced_purchase(folder: Path, *launcher: str) -> tuple[list[Call], dict[str, str]]:
    """One viewer holds, catches a coupon and orders at a traced server; its calls, and the ids the viewer was told."""
    with _traced_server(folder, *launcher) as server:
        shop = Shopfloor(server)
        sale, drop = shop.sale(5), shop.drop(5)
        with Crowd(server.http_port) as crowd:
            buyer = shop.join(crowd, "buyer")
            hold: str = buyer.command("sale.hold", sale=sale, quantity=1, key="hold")["hold"]
            coupon: str = buyer.command("coupon.claim", drop=drop, key="coupon")["coupon"]["coupon"]
            order: str = buyer.command("order.create", hold=hold, coupon=coupon, key="order")["order"]["order"]
    shop.assert_books()
    with (folder / "trace").open() as lines:
        return read_trace(lines), {"hold": hold, "coupon": coupon, "order": order}


def test_a_sync_of_the_log_completes_between_a_request_and_its_answer(tmp_path: Path) -> None:
    calls, told = _traced_purchase(tmp_path)

    assert {what: faults(calls, row) for what, row in told.items()} == {"hold": [], "coupon": [], "order": []}


def test_the_trace_of_a_server_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    calls, told = _traced_purchase(tmp_path, sys.executable, str(UNDURABLE))

    for row in told.values():
        assert faults(calls, row)
        assert all("before the sync" in fault for fault in faults(calls, row))


ASKED = '7 1.0 read(21<TCP:[127.0.0.1:80->127.0.0.1:9]>, "hold", 256000) = 60'
PAGE = '8 1.1 pwrite64(18</d/shop.db-wal>, "..ROW..", 4096, 32) = 4096'
SYNC = "8 1.2 fdatasync(18</d/shop.db-wal>) = 0"
TOLD = '7 1.3 write(21<TCP:[127.0.0.1:80->127.0.0.1:9]>, "\\201[{\\"hold\\":\\"ROW\\"}]", 80) = 80'
SYNC_BEGUN = "8 1.2 fdatasync(18</d/shop.db-wal> <unfinished ...>"
SYNC_ENDED = "8 1.4 <... fdatasync resumed>) = 0"
OTHER = '7 1.2 write(9<anon_inode:[eventfd]>, "ROW", 8) = 8'
LATER = PAGE.replace("ROW", "NEXT")


@pytest.mark.parametrize(
    "lines",
    [
        [ASKED, PAGE, SYNC, TOLD],
        [ASKED, PAGE, SYNC_BEGUN, OTHER, SYNC_ENDED, TOLD],
        [ASKED, PAGE, PAGE, SYNC, LATER, TOLD, SYNC],
        [ASKED, PAGE, SYNC, TOLD, PAGE],
    ],
)
def test_the_checker_passes_what_was_synced_before_it_was_told(lines: list[str]) -> None:
    assert faults(read_trace(lines), "ROW") == []


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ([ASKED, PAGE, TOLD], "before the sync"),
        ([ASKED, PAGE, TOLD, SYNC], "before the sync"),
        ([ASKED, SYNC, PAGE, TOLD], "before the sync"),
        ([ASKED, PAGE, SYNC, PAGE, TOLD, SYNC], "before the sync"),
        ([ASKED, PAGE, SYNC_BEGUN, TOLD, SYNC_ENDED], "before the sync"),
        ([ASKED, SYNC_BEGUN, PAGE.replace("8 1.1", "6 1.1"), SYNC_ENDED, TOLD], "before the sync"),
        ([ASKED, PAGE, SYNC.replace("= 0", "= -1 EIO (Input/output error)"), TOLD], "before the sync"),
        ([ASKED, PAGE, SYNC.replace("shop.db-wal", "touches.db-wal"), TOLD], "before the sync"),
        ([ASKED, TOLD, PAGE, SYNC], "before it was written"),
        ([PAGE, SYNC, ASKED, TOLD], "before it was written"),
        ([PAGE, SYNC, TOLD], "had not asked"),
        ([ASKED, PAGE, SYNC], "no client"),
    ],
)
def test_the_checker_finds_what_was_told_too_early(lines: list[str], word: str) -> None:
    [fault] = faults(read_trace(lines), "ROW")
    assert word in fault
