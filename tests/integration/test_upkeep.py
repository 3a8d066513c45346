"""The commands around a server: what it says at start, whom it refuses, and the care of its data."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness import COMMAND_TIMEOUT_S, LiveServer, free_port, live_server
from tests.integration.buyers import buying
from tests.integration.outsiders import PATIENCE_S, publishing, wait_until
from tests.outside import need
from tests.warm import warm


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("upkeep"), flags=("--record", "--record-min-free", "0")) as server:
        yield server


def siyu(*arguments: str) -> subprocess.CompletedProcess[str]:
    return warm().run(arguments, os.environ, COMMAND_TIMEOUT_S)


def serve(
    data: Path, *, http_port: int | None = None, rtmp_port: int | None = None
) -> subprocess.CompletedProcess[str]:
    """`siyu serve` that is expected to refuse."""
    ports = ("--http-port", str(http_port or free_port()), "--rtmp-port", str(rtmp_port or free_port()))
    return siyu("serve", "--data", str(data), *ports)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence that a refusal is."""
    assert done.returncode in (1, 2), done
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_serve_prints_the_addresses_of_host_and_viewer_and_no_key(server: LiveServer) -> None:
    said = server.said()
    for address in (
        server.seed["publish"]["server"],
        server.seed["pages"]["viewer"],
        server.seed["pages"]["host"],
        server.seed["pages"]["merchant"],
        server.seed["play"]["flv"],
    ):
        assert address in said
    assert server.seed["stream_key"] not in said
    answer = httpx.get(server.seed["pages"]["viewer"], timeout=PATIENCE_S)
    assert answer.status_code == 200


@pytest.mark.parametrize("door", ["http_port", "rtmp_port"])
def test_a_port_that_is_taken_is_named(tmp_path: Path, door: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {door: port}
        text = refused(serve(tmp_path / "data", **ports))
    assert f"127.0.0.1:{port}" in text
    assert "in use" in text
    assert f"choose another --{door.replace('_', '-')}" in text


def test_a_second_server_on_the_same_data_is_refused(server: LiveServer) -> None:
    text = refused(serve(server.data))
    assert str(server.data) in text
    assert "in use by another process" in text
    assert server.process is not None
    assert f"pid {server.process.pid}" in text
    assert server.call("GET", f"/rooms/{server.room}").status_code == 200


def test_what_this_release_cannot_do_is_refused_in_words(tmp_path: Path) -> None:
    assert "--workers" in refused(siyu("serve", "--data", str(tmp_path), "--workers", "2"))
    assert "--http-port" in refused(siyu("serve", "--data", str(tmp_path), "--http-port", "70000"))


def test_migrate_makes_a_database_and_repeats_without_harm(tmp_path: Path) -> None:
    for _ in range(2):
        done = siyu("migrate", "--data", str(tmp_path / "new"))
        assert done.returncode == 0, done.stderr
    assert siyu("audit", "--data", str(tmp_path / "new")).returncode == 0


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    assert siyu("migrate", "--data", str(tmp_path)).returncode == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999_from_the_future'")
        database.commit()
    assert "newer" in refused(serve(tmp_path))


def shows(server: LiveServer) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = server.call("GET", f"/rooms/{server.room}/shows").json()["items"]
    return items


def touches(data: Path) -> int:
    with contextlib.closing(sqlite3.connect(data / "touches.db")) as database:
        count: int = database.execute("SELECT count(*) FROM touch").fetchone()[0]
        return count


def test_a_backup_of_a_server_on_air_serves_again_elsewhere(server: LiveServer, tmp_path: Path) -> None:
    need("ffmpeg")
    copy = tmp_path / "evening.db"
    link = server.call("POST", "/links", {"room": server.room, "channel": "群"}, token=server.seed["merchant_token"])
    server.guest(scene=link.json()["token"])
    wait_until(lambda: touches(server.data) > 0, "a written touch")
    with publishing(server.publish_url):
        wait_until(lambda: shows(server) and shows(server)[0]["length_ms"] >= 2_000, "two recorded seconds")
        assert server.run("backup", "--media", str(copy)).returncode == 0
        (live,) = shows(server)
    for name in ("evening.db.key", "evening.db.sandbox"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
    assert "exists already" in refused(siyu("backup", "--data", str(server.data), str(copy)))
    data = tmp_path / "again"
    assert siyu("restore", "--data", str(data), str(copy)).returncode == 0
    assert "exists already" in refused(siyu("restore", "--data", str(data), str(copy)))
    assert siyu("audit", "--data", str(data)).returncode == 0

    other = LiveServer.__new__(LiveServer)
    other.__dict__.update(server.__dict__)
    other.data, other.http_port, other.rtmp_port = data, free_port(), free_port()
    other.log_path, other.out_path, other.process = tmp_path / "again.log", tmp_path / "again.out", None
    other.start()
    try:
        # The secret came along: tokens and stream keys of before are good.
        token = server.seed["merchant_token"]
        view = other.call("GET", f"/rooms/{server.room}/streams", token=token)
        assert view.json()["publish"]["stream_key"] == server.seed["publish"]["stream_key"]
        theirs = server.call("GET", f"/rooms/{server.room}/products").json()
        assert other.call("GET", f"/rooms/{server.room}/products").json() == theirs
        (show,) = shows(other)
        assert (show["show"], show["started"]) == (live["show"], live["started"]) and show["length_ms"] >= 2_000
        replay = httpx.get(show["url"], timeout=PATIENCE_S).text
        media = next(line for line in replay.splitlines() if line and not line.startswith("#"))
        assert httpx.get(f"{other.base}/replay/{other.room}/{show['show']}/{media}", timeout=PATIENCE_S).content
        assert touches(data) == touches(server.data) > 0
    finally:
        assert other.stop() == 0


def test_a_backup_while_orders_go_on_has_all_that_was_paid_before_it_and_audits_clean(
    server: LiveServer, tmp_path: Path
) -> None:
    with buying(server) as state:
        for number in range(2):
            state.more(3)
            before = set(state.paid)
            copy, data = tmp_path / f"{number}.db", tmp_path / f"again-{number}"
            assert server.run("backup", str(copy)).returncode == 0
            assert siyu("restore", "--data", str(data), str(copy)).returncode == 0
            findings = json.loads(siyu("audit", "--data", str(data), "--json").stdout)
            assert all(finding["ok"] for finding in findings), findings
            with contextlib.closing(sqlite3.connect(data / "shop.db")) as database:
                there = {row[0] for row in database.execute("SELECT id FROM orders WHERE paid_ms IS NOT NULL")}
            assert before <= there
        state.more(1)


def test_what_is_not_there_cannot_be_restored_or_audited(tmp_path: Path) -> None:
    assert "does not exist" in refused(siyu("restore", "--data", str(tmp_path), str(tmp_path / "none.db")))
    assert "no database" in refused(siyu("audit", "--data", str(tmp_path)))


def test_the_audit_of_a_live_shop_is_clean(server: LiveServer) -> None:
    done = server.run("audit")
    assert done.returncode == 0
    assert re.search(r"^[1-9]\d* invariants checked, 0 broken$", done.stdout, re.MULTILINE)
    findings = json.loads(server.run("audit", "--json").stdout)
    assert all(finding["ok"] for finding in findings)


def test_the_audit_finds_a_unit_that_nobody_has(server: LiveServer, tmp_path: Path) -> None:
    copy = tmp_path / "shop.db"
    assert server.run("backup", str(copy)).returncode == 0
    with contextlib.closing(sqlite3.connect(copy)) as database:
        # The schema itself refuses this; a disk or another program may not ask it.
        database.execute("PRAGMA ignore_check_constraints = ON")
        database.execute("UPDATE stock SET received = received + 1 WHERE sku = (SELECT min(sku) FROM stock)")
        database.commit()
    done = siyu("audit", "--data", str(tmp_path))
    assert done.returncode == 1
    assert re.search(r"^BROKEN ", done.stdout, re.MULTILINE)
    findings = json.loads(siyu("audit", "--data", str(tmp_path), "--json").stdout)
    assert any(not finding["ok"] for finding in findings)
