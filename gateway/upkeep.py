"""Care of the database: audit, replay, reconciliation, migrations, backup and restore."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from commerce.attribution.touches_sql import migrate_touch_log, touch_log_path
from commerce.audit_sql import Finding, audit
from commerce.backup_sql import backup, copy_sqlite, restore
from commerce.domain.day import DAY_MS, day_bounds_ms, day_of
from commerce.domain.money import yuan
from commerce.postgres_sql import shown
from commerce.reconcile_sql import kept_providers, read_file, read_reconciliation
from commerce.reconciliation import reconciliation_csv
from commerce.replay_sql import replay
from commerce.sandbox_book import SANDBOX_FILE
from commerce.store_sql import database_path, migrate, open_store, read_engine
from gateway.checksums import END as SUMS_END
from gateway.checksums import check_sums, write_sums
from gateway.clock import system_clock
from gateway.config import Settings, SettingsError
from gateway.encode import encode_json
from gateway.secrets import KEY_FILE
from stream.protocol.recording import INDEX_FILE

MEDIA_FOLDERS = ("recordings", "clips")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def run_audit(where: Path | str, *, as_json: bool) -> int:
    """Print each invariant with its figures; 1 when one is broken."""
    return _tell(audit(where), "invariants checked", as_json=as_json)


def run_replay(where: Path | str, *, as_json: bool) -> int:
    """Rebuild each kind of balance from its entries and print what came out; 1 when one differs."""
    return _tell(replay(where), "kinds of balances rebuilt from their entries", as_json=as_json)


def _tell(findings: Sequence[Finding], what: str, *, as_json: bool) -> int:
    if as_json:
        _say(encode_json([asdict(finding) for finding in findings]).decode())
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            figures = " ".join(f"{name}={value}" for name, value in finding.figures.items())
            _say(f"{'ok    ' if finding.ok else 'BROKEN'} {finding.name:{width}}  {figures}")
            if not finding.ok:
                _say(f"       {finding.detail}")
    broken = sum(not finding.ok for finding in findings)
    if not as_json:
        _say(f"{len(findings)} {what}, {broken} broken")
    return 1 if broken else 0


def run_reconcile(where: Path | str, day: str | None, *, as_csv: bool, file: str | None) -> int:
    """Print the reports of the providers' files that are here for a day; 1 when something differs.

    Raises ``FileNotFoundError`` when there is none, ``SettingsError`` for a day that is none.
    """
    day = day or day_of(system_clock() - DAY_MS)
    try:
        day_bounds_ms(day)
    except ValueError as error:
        raise SettingsError(f"--day: {error}") from error
    engine = read_engine(where)
    try:
        with engine.begin() as connection:
            if file is not None:
                raw = read_file(connection, file, day)
                if raw is None:
                    raise FileNotFoundError(f"there is no file of {file} for {day}")
                sys.stdout.buffer.write(raw)
                return 0
            found = (read_reconciliation(connection, name, day) for name in kept_providers(connection, day))
            reports = [report for report in found if report is not None]
    finally:
        engine.dispose()
    if not reports:
        raise FileNotFoundError(
            f"no provider's file of {day} is here yet: the server fetches them from 10:30 the day after"
        )
    if as_csv:
        _say(reconciliation_csv(reports).rstrip("\r\n"))
    else:
        for report in reports:
            _say(
                f"{report.provider} {day}: paid {report.paid} ({yuan(report.paid_amount)}), refunded {report.refunded}"
                f" ({yuan(report.refunded_amount)}), fees {yuan(report.fees)}, net {yuan(report.net)},"
                f" {report.matched} matched, {sum(report.counts.values())} differ"
            )
            for one in report.differences:
                _say(f"  {one.what} {one.kind} {one.number} order={one.order or '-'} there={one.there} here={one.here}")
    return 1 if any(sum(report.counts.values()) for report in reports) else 0


def run_migrate(settings: Settings) -> int:
    """Bring database and touch log to this version's schema; an SQLite file is copied first. Raises ``StoreError``."""
    if settings.database_url is None:
        # Under the writer's lock: not beside a running server.
        open_store(settings.data).close()
    else:
        migrate(settings.database_url)
    migrate_touch_log(settings.database)
    where = shown(settings.database_url) if settings.database_url else database_path(settings.data)
    _say(f"{where} is at this version's schema")
    return 0


def run_backup(settings: Settings, file: Path, *, media: bool = False) -> int:
    """Consistent copies of the databases, the secret beside them; with ``media`` shows and clips as well.

    The shop comes first and the media after it: a clip that the copy knows is there, unless it was taken down in
    between. Touches kept in PostgreSQL are left to its own tools. Raises ``FileExistsError``, ``FileNotFoundError``.
    """
    data = settings.data
    if not file.parent.is_dir():
        raise FileNotFoundError(f"{file.parent} is no folder; make it, or name a FILE elsewhere")
    touches, secret, folder = _beside(file)
    sandbox = file.with_name(f"{file.name}.sandbox")
    for target in (touches, folder):
        if target.exists():
            raise FileExistsError(f"{target} exists already; name a new file")
    with _whole((file, touches, secret, sandbox, file.with_name(file.name + SUMS_END), folder)):
        backup(settings.database, file)
        if settings.database_url is None and touch_log_path(data).exists():
            copy_sqlite(touch_log_path(data), touches)
        for name, copy in ((KEY_FILE, secret), (SANDBOX_FILE, sandbox)):
            if (data / name).exists():
                shutil.copy(data / name, copy)
                copy.chmod(0o600)
        write_sums(file, [path for path in (touches, secret, sandbox) if path.exists()])
        if media:
            for kind in MEDIA_FOLDERS:
                _copy_media(data / kind, folder / kind)
    databases = f"{file} and {touches.name} hold the databases" if touches.exists() else f"{file} holds the database"
    what = databases + (f", {folder.name}/ shows and clips" if media else "")
    _say(f"{what}, {secret} the secret of their keys and tokens: keep it apart")
    return 0


def run_restore(settings: Settings, file: Path) -> int:
    """Put a backup, and what lies beside it, into an empty place.

    Raises ``FileExistsError``, ``FileNotFoundError``, ``StoreError``.
    """
    data = settings.data
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist or is a folder; name the FILE that siyu backup wrote")
    touches, secret, folder = _beside(file)
    own = data / KEY_FILE
    if secret.exists() and own.exists() and secret.read_bytes() != own.read_bytes():
        raise FileExistsError(f"{own} is another shop's secret; restore into another folder or move it away")
    for target in (touch_log_path(data), *(data / kind for kind in MEDIA_FOLDERS)):
        # An empty folder may be a disk of its own that is mounted there.
        if target.is_file() or (target.is_dir() and any(target.iterdir())):
            raise FileExistsError(f"{target} exists already; restore into another folder or move it away")
    check_sums(file)
    made = [] if settings.database_url else [touch_log_path(data), database_path(data)]
    with _whole([*made, *(data / name for name in (*MEDIA_FOLDERS, KEY_FILE, SANDBOX_FILE))]):
        # It refuses a place with a shop in it, before anything else is put there.
        restore(settings.database, file)
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if settings.database_url is not None:
            migrate_touch_log(settings.database_url)
        elif touches.exists():
            copy_sqlite(touches, touch_log_path(data), live=False)
        for kind in MEDIA_FOLDERS:
            _copy_media(folder / kind, data / kind)
        for copy, name in ((secret, KEY_FILE), (file.with_name(f"{file.name}.sandbox"), SANDBOX_FILE)):
            if copy.exists():
                shutil.copy(copy, data / name)
                (data / name).chmod(0o600)
    where = shown(settings.database_url) if settings.database_url else data
    flag = "--database-url" if settings.database_url else "--data"
    _say(f"restored into {where}; check with: siyu audit {flag} {where}")
    return 0


@contextmanager
def _whole(made: Sequence[Path]) -> Iterator[None]:
    """All of ``made`` or nothing of it: what a full disk broke off is removed, and what was there before stays.

    A half of it looks like a backup, or like a shop, whose server would make itself another secret.
    """
    before = {path for path in made if path.exists()}
    try:
        yield
    except BaseException:
        for path in made:
            if path in before:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        raise


def _beside(file: Path) -> tuple[Path, Path, Path]:
    """Touches, secret and the folder of media that belong to the backup ``file``. Raises ``SettingsError``."""
    if not file.name:
        raise SettingsError("FILE is empty or a folder; name a file")
    return tuple(file.with_name(file.name + end) for end in (".touches", ".key", ".media"))  # type: ignore[return-value]


def _copy_media(source: Path, target: Path) -> None:
    """A copy of shows or clips while the server writes them.

    Indexes before the media that they tell of: media only grows, so all that a copied index names is there. What goes
    meanwhile, by age or by hand, is left out.
    """
    if not source.is_dir():
        return
    files = sorted(path for path in source.rglob("*") if path.is_file() and path.suffix != ".part")
    for path in sorted(files, key=lambda path: path.name != INDEX_FILE):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy2(path, copy)
        except FileNotFoundError:
            continue
