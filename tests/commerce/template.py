"""A migrated, empty shop and touch log, made once in each process of the tests and copied from then on."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from commerce.attribution.touches_sql import open_touch_log
from commerce.store_sql import open_store


@cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="siyu-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    open_store(folder, synchronous="NORMAL").close()
    open_touch_log(folder, clock=lambda: 0).close()
    return folder


def migrated(where: Path | str) -> None:
    """Lay the databases in a folder that has none: to migrate takes a second, to copy some milliseconds."""
    if isinstance(where, Path) and not any(where.glob("*.db")):
        shutil.copytree(_template(), where, dirs_exist_ok=True)
