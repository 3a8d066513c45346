"""Care of the data folder: audit, migrations, backup and restore."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from commerce.audit_sql import audit
from commerce.store_sql import database_path, open_store
from gateway.config import Settings, refuse_unavailable
from gateway.encode import encode_json
from gateway.secrets import KEY_FILE


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


def run_backup(data: Path, file: Path) -> int:
    """A consistent copy by SQLite's online backup, the secret beside it. Raises ``FileExistsError``."""
    source_path = database_path(data)
    if not source_path.exists():
        raise FileNotFoundError(f"{source_path} does not exist: nothing to back up")
    if file.exists():
        raise FileExistsError(f"{file} exists already; name a new file")
    part = file.with_name(file.name + ".part")
    with (
        closing(sqlite3.connect(f"file:{source_path}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(part)) as target,
    ):
        source.backup(target)
    secret = file.with_name(file.name + ".key")
    shutil.copy(data / KEY_FILE, secret)
    secret.chmod(0o600)
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.rename(file)
    _say(f"{file} holds the database, {secret} the secret of its keys and tokens: keep both, apart")
    return 0


def run_restore(data: Path, file: Path) -> int:
    """Put a backup into an empty data folder. Raises ``FileExistsError``, ``FileNotFoundError``."""
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist")
    target_path = database_path(data)
    if target_path.exists():
        raise FileExistsError(f"{target_path} exists already; restore into another folder or move it away")
    data.mkdir(parents=True, exist_ok=True)
    with (
        closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(target_path)) as target,
    ):
        source.backup(target)
    secret = file.with_name(file.name + ".key")
    if secret.exists():
        shutil.copy(secret, data / KEY_FILE)
        (data / KEY_FILE).chmod(0o600)
    _say(f"restored into {data}; check with: siyu audit --data {data}")
    return 0
