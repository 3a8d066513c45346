"""Care of the data folder: audit, migrations, backup and restore."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from commerce.attribution.touches_sql import touch_log_path
from commerce.audit_sql import audit
from commerce.sandbox_book import SANDBOX_FILE
from commerce.store_sql import database_path, open_store
from gateway.config import Settings, refuse_unavailable
from gateway.encode import encode_json
from gateway.secrets import KEY_FILE
from stream.protocol.recording import INDEX_FILE

MEDIA_FOLDERS = ("recordings", "clips")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def run_audit(data: Path, *, as_json: bool) -> int:
    """Print each invariant with its figures; 1 when one is broken."""
    findings = audit(data)
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
        _say(f"{len(findings)} invariants checked, {broken} broken")
    return 1 if broken else 0


def run_migrate(settings: Settings) -> int:
    """Migrate by opening the store: it copies the file first and refuses a newer schema."""
    refuse_unavailable(settings)
    open_store(settings.data).close()
    _say(f"{database_path(settings.data)} is at this version's schema")
    return 0


def run_backup(data: Path, file: Path, *, media: bool = False) -> int:
    """Consistent copies by SQLite's online backup, the secret beside them; with ``media`` shows and clips as well.

    The shop comes first and the media after it: a clip that the copy knows is there, unless it was taken down in
    between. Raises ``FileExistsError``, ``FileNotFoundError``.
    """
    source_path = database_path(data)
    if not source_path.exists():
        raise FileNotFoundError(f"{source_path} does not exist: nothing to back up")
    touches, secret, folder = _beside(file)
    for target in (file, touches, folder):
        if target.exists():
            raise FileExistsError(f"{target} exists already; name a new file")
    _copy_database(source_path, file)
    if touch_log_path(data).exists():
        _copy_database(touch_log_path(data), touches)
    for name in (KEY_FILE, SANDBOX_FILE):
        if (data / name).exists():
            copy = secret if name == KEY_FILE else file.with_name(f"{file.name}.sandbox")
            shutil.copy(data / name, copy)
            copy.chmod(0o600)
    if media:
        for kind in MEDIA_FOLDERS:
            _copy_media(data / kind, folder / kind)
    what = f"{file} and {touches.name} hold the databases" + (f", {folder.name}/ shows and clips" if media else "")
    _say(f"{what}, {secret} the secret of their keys and tokens: keep it apart")
    return 0


def run_restore(data: Path, file: Path) -> int:
    """Put a backup, and what lies beside it, into an empty data folder. Raises FileExistsError, FileNotFoundError."""
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist")
    touches, secret, folder = _beside(file)
    for target in (database_path(data), touch_log_path(data), *(data / kind for kind in MEDIA_FOLDERS)):
        # An empty folder may be a disk of its own that is mounted there.
        if target.is_file() or (target.is_dir() and any(target.iterdir())):
            raise FileExistsError(f"{target} exists already; restore into another folder or move it away")
    data.mkdir(parents=True, exist_ok=True)
    if touches.exists():
        _copy_database(touches, touch_log_path(data))
    for kind in MEDIA_FOLDERS:
        _copy_media(folder / kind, data / kind)
    for copy, name in ((secret, KEY_FILE), (file.with_name(f"{file.name}.sandbox"), SANDBOX_FILE)):
        if copy.exists():
            shutil.copy(copy, data / name)
            (data / name).chmod(0o600)
    # Last of all: until it is there the folder is no shop.
    _copy_database(file, database_path(data))
    _say(f"restored into {data}; check with: siyu audit --data {data}")
    return 0


def _beside(file: Path) -> tuple[Path, Path, Path]:
    """Touches, secret and the folder of media that belong to the backup ``file``."""
    return tuple(file.with_name(file.name + end) for end in (".touches", ".key", ".media"))  # type: ignore[return-value]


def _copy_database(source_path: Path, target_path: Path) -> None:
    """A copy of a database that may be in use; there under its name only when it is whole and on the disk."""
    part = target_path.with_name(target_path.name + ".part")
    part.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(f"file:{source_path}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(part)) as target,
    ):
        source.backup(target)
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.rename(target_path)


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
