"""The course of a show, and the whole of ``make load`` in small. Locust runs in its own process: it patches sockets."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest

from loadtest.run import main
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
PAGE = """
from types import SimpleNamespace
from loadtest.shape import Show
for host, allowed in (("http://192.0.2.7", ""), ("http://shop.example", "other"), ("http://localhost:1", ""),
                      ("http://shop.example", "shop.example")):
    options = SimpleNamespace(siyu_allow_host=allowed, siyu_seconds=60, siyu_users=20)
    show = Show()
    show.runner = SimpleNamespace(environment=SimpleNamespace(host=host, parsed_options=options))
    print(type(show.tick()).__name__.removesuffix("Type"))
print("===")
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from locust.env import Environment
from loadtest.locustfile import _judge
from loadtest.options import Target
from loadtest.tally import Tally
from loadtest.users import Visitor

class Room(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"sales": [{"sale": "sale111111", "total": 3, "left": 0}], "drops": []}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = HTTPServer(("127.0.0.1", 0), Room)
threading.Thread(target=server.serve_forever, daemon=True).start()
Visitor.target = Target("room")
for granted in (3, 4):
    environment = Environment(host=f"http://127.0.0.1:{server.server_port}")
    failed = []
    environment.events.request.add_listener(lambda exception, **_: exception and failed.append(str(exception)))
    _judge(environment, Tally({"held/sale111111": granted}))
    print(f"exit {environment.process_exit_code}, failed {failed}")
    print("---" if granted == 3 else "")
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


@cache
def page() -> subprocess.CompletedProcess[str]:
    return run("-c", PAGE)


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


def test_a_host_that_is_named_on_locusts_page_must_be_this_machine_too() -> None:
    """Its page may change the host after the start; the shape is asked before the first user comes."""
    done = page()
    assert done.stdout.partition("===")[0].split() == ["None", "None", "tuple", "tuple"], done.stderr
    assert done.stderr.count("loopback only") == 2


def test_locust_alone_says_whether_anything_was_oversold() -> None:
    done = page()
    good, bad = done.stdout.partition("===")[2].split("---")
    assert "3 ≤ 3 ≤ 3" in good and "nothing was oversold" in good and "exit None, failed []" in good, done.stderr
    assert "BROKEN sale 111111: granted to clients ≤ taken ≤ total: 4 ≤ 3 ≤ 3" in bad and "FAILED" in bad
    assert "exit 1, failed ['4 ≤ 3 ≤ 3']" in bad


def test_a_shell_that_looks_after_a_shop_does_not_aim_the_load_at_it(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "SIYU_DATABASE_URL": "postgresql://shop:secret@127.0.0.1:1/shop",
        "SIYU_PLAY_AUTH": "1",
    }
    script = "from loadtest.run import Server; from pathlib import Path; Server(Path('own'), Path('.'))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    # A relative folder is the caller's, wherever the package lies.
    assert done.returncode == 0 and (tmp_path / "own" / "shop.db").exists(), done.stderr


@pytest.mark.parametrize("name", ["SIYU_LOAD_USERS", "SIYU_LOAD_SECONDS"])
def test_a_default_that_is_no_number_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "many")
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2 and "invalid int value: 'many'" in capsys.readouterr().err


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
