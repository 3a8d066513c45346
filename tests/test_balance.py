"""How the tests are shared out: folders as a whole, the long ones first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.balance import LONG, ordered, scope_of

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Item:
    """What of a test's item is looked at."""

    nodeid: str


def test_what_shares_a_folder_s_browser_is_handed_out_as_a_whole() -> None:
    assert scope_of("tests/e2e/test_room.py::test_a") == scope_of("tests/e2e/test_wallet.py::test_b") == "tests/e2e/"
    assert scope_of("tests/chat/test_room.py::test_a[1]") == "tests/chat/test_room.py"


def test_what_takes_long_comes_first_and_then_what_has_many_tests() -> None:
    names = ["tests/a/test_few.py::x", "tests/a/test_many.py::x", f"{LONG[-1]}::x", "tests/e2e/test_b.py::x"]
    names += ["tests/a/test_many.py::y", "tests/e2e/test_a.py::x"]
    items: list[Any] = [Item(name) for name in names]
    assert [item.nodeid for item in ordered(items)] == [
        *("tests/e2e/test_b.py::x", "tests/e2e/test_a.py::x", f"{LONG[-1]}::x"),
        *("tests/a/test_many.py::x", "tests/a/test_many.py::y", "tests/a/test_few.py::x"),
    ]


def test_what_is_said_to_take_long_is_there() -> None:
    assert [name for name in LONG if not (ROOT / name).exists()] == []
