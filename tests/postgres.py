"""A PostgreSQL of the tests' own: one cluster a session in a temporary folder, one database a test.

It is a real server with ``fsync`` on, listening on a Unix socket only. PostgreSQL refuses to run as root: there it runs
as the user ``postgres``. Without its programs a test is skipped, loudly; in CI, and for root (whose ``make test``
installs it), it fails.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from commerce.attribution.touches_sql import migrate_touch_log
from commerce.store_sql import migrate

START_TIMEOUT_S = 60
TEMPLATE = "template_shop"


def find_postgres() -> Path | None:
    """The folder of the server's programs, newest first: Debian keeps them off the PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        folders.append(Path(on_path).parent)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


def need_postgres() -> Path:
    """The folder of the server's programs; without one the test is skipped, in CI and for root it fails."""
    found = find_postgres()
    if found is not None:
        return found
    if os.environ.get("CI") == "true" or os.geteuid() == 0:
        pytest.fail("PostgreSQL is not installed (apt install postgresql), so nothing was checked on it")
    pytest.skip("POSTGRESQL IS MISSING: nothing was checked on it (apt install postgresql)")


def _runuser() -> str:
    """Where it is: with the administrator's programs, which are not on everybody's PATH."""
    return shutil.which("runuser") or shutil.which("runuser", path="/usr/sbin:/sbin") or "runuser"


class Cluster:
    """A running server. ``address(NAME)`` is one of its databases."""

    def __init__(self, programs: Path, *, settings: Sequence[str] = ()) -> None:
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="siyu-pg-"))
        self._settings = settings
        self._numbers = itertools.count(1)
        self.kept: list[str] = []
        self._user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            shutil.chown(self.folder, self._user)
        # A language's order of text on purpose: ids must be compared byte by byte even so.
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def _command(self, program: str, *arguments: str) -> list[str]:
        command = [str(self.programs / program), *arguments]
        return [_runuser(), "-u", self._user, "--", *command] if os.geteuid() == 0 else command

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            self._command(program, *arguments),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=self.folder,
        )
        assert done.returncode == 0, done.stderr + done.stdout

    def address(self, database: str = "postgres", **options: str) -> str:
        """The address of a database, as ``--database-url`` takes it."""
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return f"postgresql://postgres@/{database}?host={self.folder}{more}"

    def start(self) -> None:
        """Start and wait until it answers."""
        settings = [
            "listen_addresses=",
            f"unix_socket_directories={self.folder}",
            "max_connections=100",
            *self._settings,
        ]
        flags = [part for setting in settings for part in ("-c", setting)]
        command = self._command("postgres", "-D", str(self.data), *flags)
        deadline = time.monotonic() + START_TIMEOUT_S
        ask = self._command("pg_isready", "-q", "-h", str(self.folder))
        self.process = None
        while self.process is None or subprocess.run(ask, check=False, timeout=START_TIMEOUT_S).returncode != 0:
            if self.process is None or self.process.poll() is not None:
                # After a SIGKILL it gives up as long as a process of the one before is still there.
                with (self.folder / "log").open("ab") as log:
                    self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End the server as a power cut would (SIGKILL), or at once but in order (SIGQUIT, SIGINT)."""
        assert self.process is not None
        os.kill(int((self.data / "postmaster.pid").read_text().split()[0]), how)
        self.process.wait(30)

    def close(self) -> None:
        """End the server and remove its folder."""
        if self.process is not None and self.process.poll() is None:
            self.kill(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements outside a transaction."""
        engine = create_engine(
            self.address(database).replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()

    def template(self) -> None:
        """Make the migrated database that others are copies of."""
        self.execute(f"CREATE DATABASE {TEMPLATE}")
        migrate(self.address(TEMPLATE))
        migrate_touch_log(self.address(TEMPLATE))

    def database(self, template: str = TEMPLATE) -> str:
        """A new database, migrated unless told otherwise; its name."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def empty(self, name: str) -> None:
        """Take every row out of a database's tables, whoever is still connected: quicker than a new one."""
        engine = create_engine(self.address(name).replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
            # Foreign keys are triggers: off for a moment.
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            tables = connection.execute(
                text(
                    "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
                    " WHERE schemaname IN ('public', 'touches') AND tablename <> 'alembic_version'"
                )
            )
            for table in tables.scalars().all():
                connection.execute(text(f"DELETE FROM {table}"))
        engine.dispose()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The session's server, with a migrated template."""
    made = Cluster(need_postgres())
    try:
        made.start()
        made.template()
        yield made
    finally:
        made.close()


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    """The address of a migrated, empty database, for this test alone."""
    if not cluster.kept:
        cluster.kept.append(cluster.database())
    yield cluster.address(cluster.kept[0])
    cluster.empty(cluster.kept[0])


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a shop is kept: a data folder (SQLite), then the address of a PostgreSQL database."""
    if request.param == "sqlite":
        return tmp_path
    address: str = request.getfixturevalue("database")
    return address


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.soak)])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """The same for tests whose statements are not the engines' business: PostgreSQL in `make soak` only."""
    if request.param == "sqlite":
        return tmp_path
    address: str = request.getfixturevalue("database")
    return address
