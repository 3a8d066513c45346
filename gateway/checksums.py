"""SHA-256 of a backup's files in a file beside them, which ``sha256sum -c FILE.sha256`` reads, too.

SQLite keeps no checksum of its pages: a byte that a disk or a copy changed in a name or an amount goes unseen.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from commerce.errors import StoreError

END = ".sha256"
LINE_CHARACTERS = 64
SUMS_BYTES_MAX = 65_536


def write_sums(file: Path, parts: Sequence[Path]) -> None:
    """Write down the sums of a backup: of ``file`` and of ``parts``, whose names begin with its name."""
    lines = [f"{_sum(path)}  {path.name}\n" for path in (file, *parts)]
    target = file.with_name(file.name + END)
    with target.open("w", encoding="utf-8") as out:
        out.writelines(lines)
        out.flush()
        os.fsync(out.fileno())
    target.chmod(0o600)


def check_sums(file: Path) -> None:
    """Raise ``StoreError`` when a file of a backup is not what was written. Backups of before have no sums.

    The whole set may have another name than it was written under; what is not there (the secret, which is kept apart)
    is not looked at.
    """
    sums = file.with_name(file.name + END)
    if not sums.exists():
        return
    with sums.open("rb") as opened:
        text = opened.read(SUMS_BYTES_MAX).decode("utf-8", "replace")
    pairs = [(line[:LINE_CHARACTERS], line[LINE_CHARACTERS + 2 :]) for line in text.splitlines()]
    if not pairs or not pairs[0][1]:
        raise StoreError(f"{sums} is damaged; restore another backup, or move it away to do without")
    base = pairs[0][1]
    for wanted, name in pairs:
        path = file.with_name(file.name + name.removeprefix(base))
        if path.exists() and _sum(path) != wanted:
            raise StoreError(f"{path} is not what siyu backup wrote ({sums.name} says so); restore another backup")


def _sum(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
