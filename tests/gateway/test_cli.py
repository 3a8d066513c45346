"""The command line: what it refuses, it refuses in one sentence that says what, where and what to do."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from commerce.backup_sql import copy_sqlite
from commerce.errors import StoreError
from commerce.store_sql import open_store, read_engine
from gateway.bench.run import NAMES
from gateway.cli import build_parser, main
from gateway.config import VERSION
from gateway.server import listen
from tests.commerce.template import migrated

ROOT = Path(__file__).parents[2]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence on standard error with which a command ends."""
    try:
        code = main(arguments)
    except SystemExit as end:  # argparse's own way
        assert end.code == 2
        return capsys.readouterr().err.strip().splitlines()[-1]
    said = capsys.readouterr()
    assert code == 2 and said.err.count("\n") == 1 and not said.out, said
    return said.err.strip()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A data folder with an empty shop in it."""
    data = tmp_path / "shop"
    migrated(data)
    (data / "touches.db").unlink()
    return data


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out == f"siyu-live {VERSION}\n"
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_the_help_of_bench_names_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["bench", "--help"])
    assert ", ".join(NAMES) in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--http-port", "x"), ("--http-port", "SIYU_HTTP_PORT", "whole number")),
        (("--drain-s", "nan"), ("--drain-s", "number of seconds")),
        (("--drain-s", "inf"), ("--drain-s", "number of seconds")),
        (("--pull-linger-s", "nan"), ("--pull-linger-s", "number of seconds")),
        (("--token-ttl-s", "0"), ("--token-ttl-s", "a year")),
        (("--log-level", "loud"), ("--log-level", "warning")),
        (("--host", ""), ("--host", "0.0.0.0")),
        (("--public-url", "live.example"), ("--public-url", "https://HOST")),
        (("--public-url", "ftp://live.example"), ("--public-url", "https://HOST")),
        (("--public-url", "https://live.example:port"), ("--public-url", "https://HOST")),
        (("--public-url", "https://live.example/?a=b"), ("--public-url", "https://HOST")),
        (("--node-url", "nonsense"), ("--node-url", "http://HOST:8000")),
        (("--database-url", "siyu:PASSWORD-OF-MINE@db/siyu"), ("--database-url", "postgresql://", "--data")),
    ],
)
def test_a_setting_of_no_use_is_refused_before_the_server_starts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, flags: tuple[str, ...], words: tuple[str, ...]
) -> None:
    said = refused(capsys, "serve", "--data", str(tmp_path / "never"), *flags)
    assert all(word in said for word in words) and "PASSWORD-OF-MINE" not in said
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    "flags",
    [("--shoppers", "-3"), ("--shoppers", "501"), ("--seconds", "-1"), ("--seconds", "nan"), ("--seconds", "x")],
)
def test_a_demo_of_less_than_nothing_is_refused(capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]) -> None:
    assert f"argument {flags[0]}: {flags[1]!r} is not a number" in refused(capsys, "demo", *flags)


@pytest.mark.parametrize(
    ("host", "reason"),
    [("no such host", "--host"), ("203.0.113.9", "Cannot assign requested address; choose another --host")],
)
def test_an_address_of_another_machine_is_not_blamed_on_the_port(host: str, reason: str) -> None:
    with pytest.raises(OSError, match="cannot listen on") as refusal:
        listen(host, 0)
    assert reason in str(refusal.value) and "--http-port" not in str(refusal.value)


@pytest.mark.parametrize("command", [("seed",), ("demo", "--seconds", "1"), ("migrate",)])
def test_a_file_in_the_place_of_the_data_folder_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    place = tmp_path / "a file"
    place.write_text("something")
    said = refused(capsys, *command, "--data", str(place))
    assert str(place) in said and "name another" in said


COMMANDS = [("seed",), ("migrate",), ("audit",), ("replay",), ("reconcile",), ("backup", "copy.db")]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_damaged_database_is_told_with_its_way_out(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shop.db").write_bytes(b"this is no database, " * 500)
    said = refused(capsys, *command, "--data", ".")
    assert "shop.db cannot be used: file is not a database" in said and "siyu restore" in said
    assert not Path("copy.db").exists() and not Path("copy.db.part").exists()


@pytest.mark.parametrize("command", ["audit", "replay", "reconcile"])
def test_a_database_that_was_not_migrated_is_not_read_as_a_shop(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    (tmp_path / "shop.db").touch()
    said = refused(capsys, command, "--data", str(tmp_path))
    assert "shop.db is empty, this program needs" in said and f"siyu migrate --data {tmp_path}" in said


def test_another_programs_database_is_left_as_it_is(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as other:
        other.execute("CREATE TABLE theirs (x)")
    assert "another program's database" in refused(capsys, "migrate", "--data", str(tmp_path))
    with closing(sqlite3.connect(tmp_path / "shop.db")) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_a_backup_that_cannot_be_written_says_where_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str], shop: Path, tmp_path: Path
) -> None:
    for file, words in (("nowhere/b.db", "no folder"), ("", "name a file"), (str(shop), "exists already")):
        assert words in refused(capsys, "backup", "--data", str(shop), str(tmp_path / file) if file else "")
    assert not (tmp_path / "nowhere").exists()


def test_a_copy_that_the_disk_has_no_room_for_is_told_and_taken_away(shop: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    limited = (
        "import resource, signal, sys; from pathlib import Path; from commerce.backup_sql import copy_sqlite;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000));"
        "copy_sqlite(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, str(shop / "shop.db"), str(target)], cwd=ROOT, capture_output=True, text=True
    )
    assert f"StoreError: {target} cannot be used" in done.stderr and list(tmp_path.glob("copy*")) == []


def test_only_a_backup_of_a_shop_is_restored(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear shop, " * 200)
    (tmp_path / "empty.db").touch()
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE theirs (x)")
    for name, words in (
        ("letter.txt", "not a database"),
        ("empty.db", "no backup of a shop"),
        ("other.db", "no backup of a shop"),
        ("missing.db", "does not exist"),
        (".", "is a folder"),
    ):
        assert words in refused(capsys, "restore", "--data", str(tmp_path / "new"), str(tmp_path / name))
    assert not (tmp_path / "new").exists()


def test_a_backup_of_a_newer_release_is_refused_before_it_is_copied(
    capsys: pytest.CaptureFixture[str], shop: Path, tmp_path: Path
) -> None:
    file = tmp_path / "backup.db"
    copy_sqlite(shop / "shop.db", file)
    with closing(sqlite3.connect(file)) as copy:
        copy.execute("UPDATE alembic_version SET version_num = '9999'")
        copy.commit()
    assert "newer than this program knows" in refused(capsys, "restore", "--data", str(tmp_path / "new"), str(file))
    assert not (tmp_path / "new").exists()


def test_a_backups_database_is_one_file_for_its_owners_eyes_and_comes_back_from_a_disk_that_cannot_be_written_to(
    capsys: pytest.CaptureFixture[str], shop: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    assert main(["backup", "--data", str(shop), str(folder / "b.db")]) == 0
    with closing(sqlite3.connect(folder / "b.db")) as copy:
        # A write-ahead log wants files beside it, even to be read.
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    kept = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert kept == {"b.db": 0o600, "b.db.sha256": 0o600}, "the database, and its sum"
    assert main(["restore", "--data", str(tmp_path / "new"), str(folder / "b.db")]) == 0
    assert {path.name for path in folder.iterdir()} == set(kept), "restoring leaves nothing beside the backup"
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0, "the folder holds customers' data"
    read_engine(tmp_path / "new").dispose()


def test_folders_may_have_any_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = tmp_path / "店 1#2?x=%41&y"
    migrated(data)
    open_store(data).close()
    assert data.joinpath("shop.db").exists() and main(["audit", "--data", str(data)]) == 0
    assert main(["backup", "--data", str(data), str(data / "b?#.db")]) == 0
    assert main(["restore", "--data", str(tmp_path / "a?b"), str(data / "b?#.db")]) == 0
    assert (tmp_path / "a?b/shop.db").exists()


def test_a_reader_who_has_enough_ends_the_command_quietly(shop: Path) -> None:
    """As in `siyu audit | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "audit", "--data", str(shop)],
        cwd=ROOT,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_database_of_another_user_says_whose_command_it_is(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: object, **__: object) -> object:
        error = sqlite3.OperationalError("attempt to write a readonly database")
        error.sqlite_errorcode = sqlite3.SQLITE_READONLY_CANTINIT
        raise error

    monkeypatch.setattr(sqlite3, "connect", refusing)
    with pytest.raises(StoreError, match="as the user whose server it is"):
        copy_sqlite(shop / "shop.db", shop / "copy.db")
