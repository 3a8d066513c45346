"""The touch log: it never blocks, loses nothing that was flushed, and counts what it could not take."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from commerce.attribution import touches_sql
from commerce.attribution.reach_sql import Reach
from commerce.attribution.touch import EVIDENCE_BYTES_MAX, Touch, TouchKind, evidence_text
from commerce.attribution.touches_sql import (
    CANDIDATES_MAX,
    WRITE_TRIES,
    Row,
    TouchLog,
    append,
    candidates,
    open_touch_log,
)
from tests.commerce.people_kit import START_MS, ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log(tmp_path: Path, clock: ManualClock) -> Iterator[TouchLog]:
    opened = open_touch_log(tmp_path, clock=clock)
    yield opened
    opened.close()


def entry(person: str = "p", room: str = "r", merchant: str = "m") -> Touch:
    return Touch(merchant, person, TouchKind.ROOM_ENTRY, room=room)


def written(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "touches.db")) as db:
        return int(db.execute("SELECT count(*) FROM touch").fetchone()[0])


def test_every_recorded_touch_is_written_after_a_flush(log: TouchLog, tmp_path: Path) -> None:
    ids = [log.record(entry(f"p{n}")) for n in range(2_500)]
    assert log.flush(10)
    assert written(tmp_path) == len(set(ids)) == 2_500
    assert log.stats().written == 2_500


def test_closing_writes_what_is_queued_and_refuses_what_comes_later(tmp_path: Path, clock: ManualClock) -> None:
    log = open_touch_log(tmp_path, clock=clock)
    for _ in range(50):
        log.record(entry())
    log.close()
    assert written(tmp_path) == 50
    assert log.record(entry()) is None
    assert log.stats().refused == 1


def test_a_full_queue_refuses_counts_and_does_not_block(tmp_path: Path, clock: ManualClock) -> None:
    log = open_touch_log(tmp_path, clock=clock, queue_max=10)
    with closing(sqlite3.connect(tmp_path / "touches.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # somebody else writes: the log's thread waits, the caller must not
        taken = [log.record(entry()) for _ in range(100)]
        other.execute("ROLLBACK")
    assert log.flush(10)
    stats = log.stats()
    assert stats.refused == taken.count(None) > 0
    assert stats.recorded + stats.refused == 100
    log.close()
    assert written(tmp_path) == stats.recorded


def test_a_disk_that_refuses_loses_the_batch_and_says_so(
    log: TouchLog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(tmp_path / "touches.db")) as db:
        db.execute("ALTER TABLE touch RENAME TO gone")
    log.record(entry())
    assert log.flush(10)
    assert log.stats().lost == 1
    assert "writing 1 touches failed" in caplog.text
    with closing(sqlite3.connect(tmp_path / "touches.db")) as db:
        db.execute("ALTER TABLE gone RENAME TO touch")
    log.record(entry())
    assert log.flush(10)
    assert log.stats().written == 1


def test_touches_wait_for_a_full_disk_however_long_it_is_full(log: TouchLog, monkeypatch: pytest.MonkeyPatch) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    tries: list[int] = []

    def refusing(db: Connection, reach: Reach, batch: Sequence[Row]) -> None:
        tries.append(len(batch))
        if len(tries) <= 2 * WRITE_TRIES:
            raise OperationalError("INSERT", {}, full)
        append(db, reach, batch)

    monkeypatch.setattr("commerce.attribution.touches_sql.append", refusing)
    monkeypatch.setattr("commerce.attribution.touches_sql.RETRY_PAUSE_S", 0.01)
    log.record(entry())
    assert log.flush(60)
    assert (log.stats().lost, log.stats().written) == (0, 1)


def test_a_log_that_is_closed_does_not_wait_for_a_disk_that_stays_full(
    log: TouchLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL

    def refusing(*_: object) -> None:
        raise OperationalError("INSERT", {}, full)

    monkeypatch.setattr("commerce.attribution.touches_sql.append", refusing)
    log.record(entry())
    log.close()
    assert (log.stats().lost, log.stats().written) == (1, 0)


def test_a_fault_of_ours_costs_the_batch_and_not_the_log(
    log: TouchLog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a fault")

    with monkeypatch.context() as patched:
        patched.setattr("commerce.attribution.touches_sql.append", broken)
        log.record(entry())
        assert log.flush(10)
    assert (log.stats().lost, "ValueError: a fault" in caplog.text) == (1, True)
    log.record(entry())
    assert log.flush(10)
    assert log.stats().written == 1


def test_a_flush_of_a_quiet_log_returns_at_once(log: TouchLog) -> None:
    assert log.flush(0)


async def test_a_flush_on_the_loop_gives_up_after_its_time(log: TouchLog, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "touches.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        log.record(entry())
        assert not await log.flushed(0.05)
        other.execute("ROLLBACK")
    assert await log.flushed(10)
    assert written(tmp_path) == 1


def test_a_flush_left_behind_by_its_loop_does_not_stop_the_log(log: TouchLog, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "touches.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        log.record(entry())
        assert asyncio.run(log.flushed(0.01)) is False
        other.execute("ROLLBACK")
    assert log.flush(10)
    log.record(entry())
    assert log.flush(10)


CHILD = """
import sys, time
from pathlib import Path
from commerce.attribution.touch import Touch, TouchKind
from commerce.attribution.touches_sql import open_touch_log
log = open_touch_log(Path(sys.argv[1]), clock=lambda: 1_790_000_000_000)
n = 0
while True:
    for _ in range(100):
        log.record(Touch("m", "p", TouchKind.SCAN))
        n += 1
    if log.flush(10):
        print(n, flush=True)
"""


def test_touches_flushed_before_a_kill_are_there_after_it(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert child.stdout is not None
    flushed = 0
    for _ in range(5):
        flushed = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    rest = child.stdout.read().split()
    child.wait(10)
    child.stdout.close()
    flushed = int(rest[-1]) if rest else flushed
    again = open_touch_log(tmp_path, clock=ManualClock())
    again.close()
    assert written(tmp_path) >= flushed >= 500


async def test_the_first_and_last_entry_of_a_show_are_found(log: TouchLog, clock: ManualClock) -> None:
    log.record(entry())
    for _ in range(3):
        clock.advance(1_000)
        log.record(entry())
        log.record(entry("q"))
        log.record(entry(room="other"))
        log.record(Touch("m", "p", TouchKind.CARD_CLICK, room="r"))
    await log.flushed(10)
    whole = await log.read(lambda db: touches_sql.entries(db, "m", "p", "r", 0, clock()))
    assert (whole.first_ms, whole.last_ms) == (START_MS, START_MS + 3_000)
    show = await log.read(lambda db: touches_sql.entries(db, "m", "p", "r", START_MS + 1, START_MS + 2_000))
    assert (show.first_ms, show.last_ms) == (START_MS + 1_000, START_MS + 2_000)
    stranger = await log.read(lambda db: touches_sql.entries(db, "other", "p", "r", 0, clock()))
    assert (stranger.first_ms, stranger.last_ms) == (None, None)


async def test_of_many_touches_the_newest_and_the_first_are_judged_and_the_rest_counted(
    log: TouchLog, clock: ManualClock
) -> None:
    for n in range(CANDIDATES_MAX + 50):
        clock.advance(1)
        log.record(Touch("m", "p", TouchKind.SCAN, link=f"l{n}", issuer="g", role="guide", root=f"l{n}"))
    await log.flushed(10)
    found, omitted = await log.read(lambda db: candidates(db, "m", "p", clock(), 10_000))
    links = {one.link for one in found}
    assert len(found) == CANDIDATES_MAX + 1
    assert {"l0", "l149", "l50"} <= links
    assert "l49" not in links
    assert omitted == 49


def test_evidence_too_long_or_not_json_leaves_a_note() -> None:
    assert evidence_text({"utm": "a"}) == '{"utm":"a"}'
    assert evidence_text({"x": "y" * EVIDENCE_BYTES_MAX}) == '{"dropped":"too_long"}'
    assert evidence_text({"x": object()}) == '{"dropped":"not_json"}'
    assert evidence_text({"x": "\ud800"}) == '{"dropped":"not_json"}'
