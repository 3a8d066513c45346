"""The commands around a shop that is kept in PostgreSQL: the same as on SQLite, and never a migration by the way."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, text

from gateway.cli import main
from tests.harness import LiveServer, live_server
from tests.integration.buyers import buying
from tests.integration.test_upkeep import refused, siyu
from tests.postgres import Cluster


def on(address: str) -> tuple[str, str]:
    return ("--database-url", address)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """One command in this process: starting Python takes longer than what is tried."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def rows(address: str, statement: str) -> list[tuple[object, ...]]:
    engine = create_engine(address.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        found = connection.execute(text(statement))
        result = [tuple(row) for row in found] if found.returns_rows else []
    engine.dispose()
    return result


@pytest.fixture
def empty(cluster: Cluster) -> str:
    """The address of a database without any table."""
    return cluster.address(cluster.database("template0"))


@pytest.fixture(scope="module")
def address(cluster: Cluster) -> str:
    """The server's database."""
    return cluster.address(cluster.database())


@pytest.fixture(scope="module")
def server(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A seeded server on a database of its own."""
    environment = {"SIYU_DATABASE_URL": address}
    with live_server(tmp_path_factory.mktemp("postgres"), environment=environment) as server:
        yield server


def test_serve_and_seed_never_migrate_and_say_what_to_do(tmp_path: Path, empty: str) -> None:
    data = ("--data", str(tmp_path))
    ports = ("--http-port", "0", "--rtmp-port", "0")
    for said in (refused(siyu("serve", *data, *ports, *on(empty))), refused(run("seed", *data, *on(empty)))):
        assert "is empty" in said
        assert "siyu migrate" in said
    assert rows(empty, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
    for _ in range(2):
        assert run("migrate", *data, *on(empty)).returncode == 0
    assert run("audit", *data, *on(empty)).returncode == 0
    rows(empty, "UPDATE alembic_version SET version_num = '9999'")
    for command in ("seed", "migrate", "audit"):
        assert "newer" in refused(run(command, *data, *on(empty)))


def test_an_address_that_leads_nowhere_is_told_without_its_password(tmp_path: Path, cluster: Cluster) -> None:
    address = cluster.address("nowhere").replace("postgres@", "postgres:geheim@")
    said = refused(run("seed", "--data", str(tmp_path), *on(address)))
    assert '"nowhere" does not exist' in said
    assert "geheim" not in said


def test_a_backup_of_a_live_shop_goes_back_into_either_engine(
    server: LiveServer, tmp_path: Path, address: str, empty: str
) -> None:
    product = server.seed["products"][0]["product"]
    link = server.call("POST", "/links", {"room": server.room, "channel": "wechat"}, token=server.seed["host_token"])
    assert link.status_code == 201, link.text
    copy, data = tmp_path / "evening.db", ("--data", str(server.data))
    assert run("backup", *data, *on(address), str(copy)).returncode == 0
    assert "exists already" in refused(run("backup", *data, *on(address), str(copy)))
    live = json.loads(run("audit", *data, *on(address), "--json").stdout)
    assert all(finding["ok"] for finding in live)
    ours = {f["name"]: f["figures"] for f in live if not f["name"].startswith(("outbox", "no leaked"))}
    for folder, where in ((tmp_path / "file", ()), (tmp_path / "server", on(empty))):
        there = ("--data", str(folder), *where)
        done = run("restore", *there, str(copy))
        assert done.returncode == 0, done.stderr
        assert re.search("exists already|has a shop in it", refused(run("restore", *there, str(copy))))
        audit = json.loads(run("audit", *there, "--json").stdout)
        assert {f["name"]: f["figures"] for f in audit if f["name"] in ours} == ours
        assert (folder / "secret.key").read_bytes() == (server.data / "secret.key").read_bytes()
    assert rows(empty, f"SELECT count(*) FROM product WHERE id = '{product}'") == [(1,)]
    # Numbers go on where they were: the next event is not told under the number of an old one.
    assert rows(empty, "SELECT nextval('outbox_seq_seq') > max(seq) FROM outbox") == [(True,)]


def test_a_backup_while_orders_go_on_has_all_that_was_paid_before_it(
    server: LiveServer, tmp_path: Path, address: str, empty: str
) -> None:
    data = ("--data", str(server.data))
    with buying(server) as state:
        state.more(3)
        before = set(state.paid)
        copy = tmp_path / "busy.db"
        assert run("backup", *data, *on(address), str(copy)).returncode == 0
        state.more(1)
    there = ("--data", str(tmp_path / "server"), *on(empty))
    assert run("restore", *there, str(copy)).returncode == 0
    audit = json.loads(run("audit", *there, "--json").stdout)
    assert all(finding["ok"] for finding in audit), audit
    assert before <= {str(row[0]) for row in rows(empty, "SELECT id FROM orders WHERE paid_ms IS NOT NULL")}


def test_a_viewer_buys_from_a_shop_in_postgres(server: LiveServer, address: str) -> None:
    guest = httpx.post(f"{server.seed['api']}/auth/guest", json={"room": server.room}, timeout=60).json()
    line = {"sku": server.seed["products"][1]["sku"], "quantity": 2}
    made = server.call("POST", "/orders", {"room": server.room, "lines": [line]}, token=guest["token"], key="o")
    assert made.status_code == 201, made.text
    order = made.json()["order"]["order"]
    paid = server.call("POST", f"/orders/{order}/pay", {}, token=guest["token"], key="p")
    assert paid.status_code == 200 and paid.json()["order"]["status"] == "paid", paid.text
    assert run("audit", "--data", str(server.data), *on(address)).returncode == 0
