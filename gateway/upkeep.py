"""Care of the database: audit, migrations, backup and restore."""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from commerce.attribution.touches_sql import migrate_touch_log
from commerce.audit_sql import audit
from commerce.backup_sql import backup, restore
from commerce.postgres_sql import shown
from commerce.store_sql import database_path, migrate, open_store
from gateway.config import Settings
from gateway.encode import encode_json
from gateway.secrets import KEY_FILE


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def run_audit(where: Path | str, *, as_json: bool) -> int:
    """Print each invariant with its figures; 1 when one is broken."""
    findings = audit(where)
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


def run_backup(settings: Settings, file: Path) -> int:
    """A consistent copy of the database, the secret beside it. Raises ``FileExistsError``, ``FileNotFoundError``."""
    backup(settings.database, file)
    secret = file.with_name(file.name + ".key")
    shutil.copy(settings.data / KEY_FILE, secret)
    secret.chmod(0o600)
    _say(f"{file} holds the database, {secret} the secret of its keys and tokens: keep both, apart")
    return 0


def run_restore(settings: Settings, file: Path) -> int:
    """Put a backup into an empty place. Raises ``FileExistsError``, ``FileNotFoundError``, ``StoreError``."""
    secret, own = file.with_name(file.name + ".key"), settings.data / KEY_FILE
    if secret.exists() and own.exists() and secret.read_bytes() != own.read_bytes():
        raise FileExistsError(f"{own} is another shop's secret; restore into another folder or move it away")
    restore(settings.database, file)
    settings.data.mkdir(parents=True, exist_ok=True)
    if secret.exists() and not own.exists():
        shutil.copy(secret, own)
        own.chmod(0o600)
    if settings.database_url is not None:
        migrate_touch_log(settings.database_url)
    where = shown(settings.database_url) if settings.database_url else settings.data
    flag = "--database-url" if settings.database_url else "--data"
    _say(f"restored into {where}; check with: siyu audit {flag} {where}")
    return 0
