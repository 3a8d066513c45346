"""docs/errors.md names every code that the program can give."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.errors import CloseCode
from gateway import gate
from gateway.auth import TokenError

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = (ROOT / "docs" / "errors.md").read_text("utf-8")
FLAWS = ((False, False), (True, False), (False, True))
# Good news, not errors.
RTMP_SUCCESS = {
    "NetConnection.Connect.Success",
    "NetStream.Publish.Start",
    "NetStream.Unpublish.Success",
    "NetStream.Play.Reset",
    "NetStream.Play.Start",
    "NetStream.Play.Stop",
    "NetStream.Seek.Notify",
}


def calls(folder: str, name: str) -> Iterator[list[object]]:
    """The constant arguments (None for others) of each call of ``name`` in a package."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield [argument.value if isinstance(argument, ast.Constant) else None for argument in node.args]


def test_every_problem_of_the_api_is_listed_with_its_status() -> None:
    found = {(row[0], row[1]) for row in calls("gateway", "Problem") if isinstance(row[1], str) and row[0]}
    assert len(found) > 10
    assert sorted(found - set(listed())) == []


def test_every_refusal_of_a_key_or_token_is_listed_with_its_status() -> None:
    found = {(row[0], row[1]) for row in calls("gateway", "KeyRefused")}
    assert len(found) == 4
    tokens = {(401, TokenError("", expired=expired, revoked=revoked).code) for expired, revoked in FLAWS}
    assert len(tokens) == 3
    assert sorted((found | tokens) - set(listed()), key=str) == []


def test_every_refusal_of_an_offer_is_listed_with_its_status() -> None:
    found = {(row[0], row[1]) for row in calls("stream", "OfferRefused")}
    assert len(found) > 15
    assert sorted(found - set(listed()), key=str) == []


def listed() -> Iterator[tuple[int, str]]:
    for status, codes in re.findall(r"^\| (\d{3}) \| ([^|]+) \|", TEXT, re.MULTILINE):
        for code in re.findall(r"`(\w+)`", codes):
            yield int(status), code


@pytest.mark.parametrize("refusal", [value for name, value in vars(gate).items() if name.startswith("REFUSE_")])
def test_every_refusal_of_the_door_is_listed_with_its_status(refusal: bytes) -> None:
    status = int(refusal.split(b" ", 2)[1])
    code = re.search(rb'"code":"(\w+)"', refusal)
    assert code
    assert (status, code[1].decode()) in set(listed())


def test_every_rule_of_the_shop_is_listed() -> None:
    found = {row[0] for row in calls("commerce", "Refused") if row and isinstance(row[0], str)}
    assert len(found) > 8
    assert [code for code in sorted(found) if f"`{code}`" not in TEXT] == []


def test_every_status_of_rtmp_is_listed() -> None:
    source = "".join(
        path.read_text("utf-8") for path in (*(ROOT / "stream").rglob("*.py"), ROOT / "gateway" / "app.py")
    )
    found = set(re.findall(r'"(Net(?:Stream|Connection)\.[A-Za-z.]+)"', source)) - RTMP_SUCCESS
    assert len(found) > 5
    assert [code for code in sorted(found) if f"`{code}`" not in TEXT] == []


@pytest.mark.parametrize("code", sorted(CloseCode))
def test_every_close_code_of_the_hub_is_listed_in_both_documents(code: CloseCode) -> None:
    row = f"| {code.value} |"
    assert row in TEXT
    assert row in (ROOT / "docs" / "hub.md").read_text("utf-8")
