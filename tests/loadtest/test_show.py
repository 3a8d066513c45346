"""The course of a show, and the whole of ``make load`` in small. Locust runs in its own process: it patches sockets."""

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.harness import live_server

LENGTHS_S = (8, 30, 120)
"""A show in which everything happens once; a machine that stands still for most of the first gets a longer one."""
ROOT = Path(__file__).resolve().parent.parent.parent
SHAPE = """
import json, sys
from loadtest.shape import crowd_at, phase_at
at = [second / 4 for second in range(4 * 60 + 4)]
json.dump([[getattr(phase_at(t, 60), "name", None), crowd_at(t, 60, 200)] for t in at], sys.stdout)
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


def test_a_show_ramps_up_drops_sells_ebbs_and_ends() -> None:
    moments = json.loads(run("-c", SHAPE).stdout)
    assert list(dict.fromkeys(name for name, _ in moments)) == ["ramp", "drop", "sale", "ebb", None]
    people = [crowd[0] for _, crowd in moments if crowd]
    assert max(people) == 200
    assert people[-1] < people[0] < 200
    assert all(crowd[1] >= 1 for _, crowd in moments if crowd)
    assert moments[-1] == [None, None]


SHOWN = (
    r"frames read +\d+ +\d+/s",
    r"time, ms +count +p50 +p95 +p99",
    r"HUB join +[1-9]",
    r"Type +Name +# reqs",
    r"Requests: \d+, of which 0 failed",
    r"ok +siyu audit finds every invariant whole: \d+ checked, broken: none",
    r"nothing was oversold",
)
HAPPENED = (
    r"holds granted +[1-9]",
    r"coupons granted +[1-9]",
    r"refused sale\.hold/sold_out +[1-9]",
    r"CMD sale\.hold +[1-9]\d* +\d+ +\d+ +\d+",
)
"""What a machine that stands still may leave no time for."""


def test_a_small_load_ends_with_a_table_and_a_good_verdict() -> None:
    for seconds in LENGTHS_S:
        done = run("-m", "loadtest", "--users", "15", "--seconds", str(seconds))
        # Locust prints its own table where it logs.
        said = done.stdout + done.stderr
        missing = [line for line in HAPPENED if not re.search(line, said)]
        if not missing:
            break
    assert missing == [], said
    assert done.returncode == 0, said
    for line in SHOWN:
        assert re.search(line, said), f"{line}\n{said}"
    assert "BROKEN" not in done.stdout


def test_the_verdict_fails_on_a_database_in_which_more_was_sold_than_there_was(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert run("-m", "gateway", "seed", "--data", str(data)).returncode == 0
    with closing(sqlite3.connect(data / "shop.db")) as database:
        # The tables' own CHECKs would not let it through.
        database.execute("PRAGMA ignore_check_constraints = ON")
        doctored = database.execute("UPDATE sale SET sold = sold + 1").rowcount
        database.commit()
    assert doctored == 1
    done = run("-m", "loadtest", "--users", "4", "--seconds", "5", "--data", str(data))
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"BROKEN siyu audit finds every invariant whole: .*sale counters equal", done.stdout)
    assert "FAILED" in done.stdout


def test_another_machine_is_refused_before_a_single_user_starts(tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text('{"room": "r", "host_token": ""}')
    locust = [
        "-m",
        "locust",
        "-f",
        "loadtest/locustfile.py",
        "--headless",
        "--siyu-seed",
        str(seed),
        "-u",
        "1",
        "-t",
        "1s",
    ]
    done = run(*locust, "--host", "http://192.0.2.1:8000")
    assert done.returncode == 2
    assert "loopback only" in done.stderr
    assert "spawned" not in done.stderr


def test_several_locust_processes_play_one_show_and_are_counted_together(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with live_server(tmp_path) as server:
        seed = tmp_path / "seed.json"
        seed.write_text(json.dumps(server.seed))
        for seconds in (20, 120):
            done = run(
                *("-m", "locust", "-f", "loadtest/locustfile.py", "--headless", "--only-summary", "--processes", "2"),
                *("--host", server.base, "--users", "12", "--run-time", f"{seconds}s"),
                *("--siyu-seed", str(seed), "--siyu-report", str(report)),
            )
            assert done.returncode == 0, done.stdout + done.stderr
            tally = json.loads(report.read_text())["tally"]
            done_once = {name.partition("/")[0] for name, count in tally.items() if count}
            if {"held", "claimed"} <= done_once:
                break
    # Everybody but the host joined, and the host kept to the length of the show that only the master was told.
    assert tally["joins"] == 11
    assert {"held", "claimed"} <= done_once


@pytest.mark.parametrize("arguments", [("--users", "0"), ("--users", "100000"), ("--seconds", "1")])
def test_a_scale_without_bounds_is_refused(arguments: tuple[str, str]) -> None:
    assert run("-m", "loadtest", *arguments).returncode == 2
