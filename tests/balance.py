"""Who of several processes of pytest-xdist runs which tests (``-n N --dist loadfile``): all are to end together.

A file goes to one process as a whole, for its fixtures. A folder whose browser, server and host are the folder's goes
to one as a whole too: spread over all, each process started them again for each of its files. What takes long begins
first; by itself pytest-xdist begins with the files of the most tests, and the long single tests came last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

FOLDERS = ("tests/e2e/", "tests/matrix/")
"""Their fixtures have the scope of the package."""
LONG = (
    *FOLDERS,
    "tests/integration/test_postgres.py",
    "tests/commerce/test_ledger_machine.py",
    "tests/integration/test_upkeep.py",
    "tests/integration/test_crash.py",
    "tests/commerce/test_payment_callbacks.py",
    "tests/commerce/test_store_postgres.py",
    "tests/loadtest/test_show.py",
    "tests/gateway/test_api_fuzz.py",
    "tests/commerce/test_ledger_durability.py",
    "tests/integration/test_rtmp_abuse.py",
    "tests/gateway/test_bench.py",
    "tests/test_commands.py",
    "tests/integration/test_node_streams.py",
    "tests/integration/test_shop_workers.py",
    "tests/commerce/test_ledger_hammer.py",
    "tests/integration/test_stalled_viewers.py",
    "tests/test_docs.py",
    "tests/test_tidy.py",
)
"""What begins first, the longest before the others."""


class Balance:
    """A plug-in for the process that hands out, and for those that run."""

    @pytest.hookimpl
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> LoadFileScheduling | None:
        """Hand out folders and files in the order of `pytest_collection_modifyitems`."""
        if config.getoption("dist") != "loadfile":
            return None
        config.option.loadscopereorder = False
        return _ByFolder(config, log)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Order what is handed out: the same in each process."""
        if hasattr(config, "workerinput"):
            items[:] = ordered(items)


class _ByFolder(LoadFileScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def scope_of(nodeid: str) -> str:
    """What is handed out with this test: its folder, or its file."""
    file = nodeid.partition("::")[0]
    return next((folder for folder in FOLDERS if file.startswith(folder)), file)


def ordered(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Long ones first, then by the number of tests; the order within a file or folder stays."""
    count: dict[str, int] = {}
    for item in items:
        scope = scope_of(item.nodeid)
        count[scope] = count.get(scope, 0) + 1
    rank = {scope: number for number, scope in enumerate(LONG)}

    def key(item: pytest.Item) -> tuple[int, int, str]:
        scope = scope_of(item.nodeid)
        return rank.get(scope, len(rank)), -count[scope], scope

    return sorted(items, key=key)
