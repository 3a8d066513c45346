"""A backup is whole or not there, and one that a disk or a copy changed is refused before anything is restored."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from commerce.store_sql import migrate
from gateway.cli import main
from tests.commerce.template import migrated
from tests.harness import COMMAND_TIMEOUT_S
from tests.postgres import Cluster

KIB = 1024


def siyu(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    capsys.readouterr()
    assert siyu(*arguments) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    return said


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a shop, a secret and a recorded show of some megabytes."""
    folder = tmp_path / "data"
    folder.mkdir()
    migrated(folder)
    assert siyu("migrate", "--data", folder) == 0
    (folder / "secret.key").write_bytes(bytes(64))
    (folder / "sandbox.jsonl").write_text("{}\n")
    show = folder / "recordings" / "room" / "show"
    show.mkdir(parents=True)
    (show / "media.mp4").write_bytes(bytes(24 * KIB * KIB))
    return folder


@pytest.fixture
def copy(data: Path, tmp_path: Path) -> Path:
    file = tmp_path / "out" / "evening.db"
    file.parent.mkdir()
    assert siyu("backup", "--data", data, file) == 0
    return file


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as opened:
        opened.seek(at)
        byte = opened.read(1)[0]
        opened.seek(at)
        opened.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("end", ["", ".touches", ".key", ".sandbox"])
def test_a_flipped_bit_is_found_before_anything_is_restored(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], end: str
) -> None:
    path = copy.with_name(copy.name + end)
    # In the middle of what SQLite keeps: its own checks do not see it.
    flip(path, path.stat().st_size // 2)
    said = refused(capsys, "restore", "--data", tmp_path / "new", copy)
    assert f"{path.name} is not what siyu backup wrote" in said
    assert names(tmp_path / "new") == set()


@pytest.mark.parametrize("sums", [True, False])
def test_a_truncated_backup_is_refused_with_and_without_its_sums(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], sums: bool
) -> None:
    os.truncate(copy, copy.stat().st_size * 3 // 4)
    if not sums:
        copy.with_name(copy.name + ".sha256").unlink()
    said = refused(capsys, "restore", "--data", tmp_path / "new", copy)
    assert ("evening.db" in said and "restore another" in said) or "malformed" in said
    assert names(tmp_path / "new") == set()


def test_sha256sum_agrees_and_a_set_of_another_name_without_its_secret_is_restored(copy: Path, tmp_path: Path) -> None:
    command = ["sha256sum", "-c", f"{copy.name}.sha256"]
    subprocess.run(command, cwd=copy.parent, check=True, capture_output=True, timeout=COMMAND_TIMEOUT_S)
    other = tmp_path / "elsewhere"
    other.mkdir()
    for path in copy.parent.iterdir():
        if not path.name.endswith(".key"):
            shutil.copy(path, other / path.name.replace("evening", "monday"))
    assert siyu("restore", "--data", tmp_path / "new", other / "monday.db") == 0
    assert {"shop.db", "touches.db", "sandbox.jsonl"} <= names(tmp_path / "new")


def limited(limit_bytes: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A command whose files may not grow beyond a limit: the disk refuses, in earnest and on every machine."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    command = [sys.executable, "-m", "gateway", *map(str, arguments)]
    return subprocess.run(
        command, preexec_fn=limit, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_S
    )


@pytest.mark.parametrize("limit_bytes", [300 * KIB, 16 * KIB * KIB])
def test_a_backup_that_the_disk_refuses_leaves_nothing_behind(data: Path, tmp_path: Path, limit_bytes: int) -> None:
    assert limit_bytes < (data / "shop.db").stat().st_size or limit_bytes > KIB * KIB
    (tmp_path / "out").mkdir()
    done = limited(limit_bytes, "backup", "--data", data, "--media", tmp_path / "out" / "evening.db")
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert names(tmp_path / "out") == set()


def test_a_restore_that_the_disk_refuses_leaves_no_half_shop(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "evening.db"
    assert siyu("backup", "--data", data, "--media", file) == 0
    done = limited(16 * KIB * KIB, "restore", "--data", tmp_path / "new", file)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert names(tmp_path / "new") == set()
    assert siyu("restore", "--data", tmp_path / "new", file) == 0


def test_a_shop_of_an_earlier_release_in_postgres_keeps_its_schema_when_a_restore_is_refused(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], cluster: Cluster
) -> None:
    address = cluster.address(cluster.database("template0"))
    migrate(address, to="0002")
    engine = create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        before = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        connection.execute(text("INSERT INTO merchant (id, name, created_ms) VALUES ('m', 'shop', 1)"))
    said = refused(capsys, "restore", "--data", tmp_path / "new", "--database-url", address, copy)
    assert "has a shop in it" in said
    with engine.begin() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == before
    engine.dispose()


def test_a_copy_keeps_working_as_a_database(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
