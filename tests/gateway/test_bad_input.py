"""What people and programs send by mistake or on purpose: a clear refusal, and nothing is changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from commerce.audit_sql import audit
from tests.gateway.rig import Rig, rig

QUANTITIES: tuple[Any, ...] = (-1, 0, 1.5, 10**9, 10**30, "1", "１", "一", "١", None, True, [1], {"n": 1}, "", "\u0000")


async def test_quantities_ids_keys_and_times_that_cannot_be_are_refused_and_lose_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        guest, room = await live.guest(), live.shop.room
        token, sku = guest["token"], live.shop.products[1]["sku"]
        foreign = live.other.products[1]["sku"]

        async def order(line: Any, key: str, **more: Any) -> Any:
            return await live.call("POST", "/orders", {"room": room, "lines": [line], **more}, token=token, key=key)

        for n, quantity in enumerate(QUANTITIES):
            answer = await order({"sku": sku, "quantity": quantity, "version": 1}, f"q{n}")
            assert answer.status_code in (400, 422) and answer.json()["code"], (quantity, answer.text)
        # Unknown things, those of another merchant, and another shop's room.
        for n, other in enumerate(("nosuch", foreign, "'; DROP TABLE orders; --", "茶" * 20)):
            answer = await order({"sku": other, "quantity": 1, "version": 1}, f"s{n}")
            assert answer.status_code in (400, 404, 422), (other, answer.text)
        line = {"sku": sku, "quantity": 1, "version": 1}
        elsewhere = await live.call("POST", "/orders", {"room": live.other.room, "lines": [line]}, token=token, key="e")
        assert elsewhere.status_code in (403, 404), elsewhere.text
        made = await order(line, "good")
        assert made.status_code == 201, made.text
        # The same key with another body is a conflict, and the first answer stays.
        assert (await order({**line, "quantity": 2}, "good")).status_code == 409
        assert (await order(line, "good")).json() == made.json()
        identifier = made.json()["order"]["order"]
        stranger = (await live.guest())["token"]
        for path in (f"/orders/{identifier}", f"/orders/{identifier}/refunds"):
            assert (await live.call("GET", path, token=stranger)).status_code == 404
        foreign_staff = await live.call("GET", f"/orders/{identifier}", token=live.other.merchant_token)
        assert foreign_staff.status_code == 404
        # Times that are past, or are none.
        for path in ("/statements?day=1600-01-01", "/statements?day=2026-13-01", "/board?since=-1", "/board?since=x"):
            answer = await live.call("GET", path, token=live.shop.merchant_token)
            assert answer.status_code == 400, (path, answer.text)
        listed = (await live.call("GET", "/orders", token=token)).json()["items"]
        assert [one["order"] for one in listed] == [identifier]
    assert [finding for finding in audit(tmp_path / "data") if not finding.ok] == []


NEVER: dict[str, Any] = {
    "negative": -1,
    "huge": 10**30,
    "fractional": 1.5,
    "a string": "1",
    "full width": "１",
    "Chinese": "一",
    "Arabic": "١",
    "yes": True,
}
"""What no whole number of the API may be, but for those that may be below 0."""

SWITCHES = {("/api/v1/quotes", "points"), ("/api/v1/quotes", "stored")}
"""Where ``true`` says: all there is."""


@dataclass(frozen=True)
class Number:
    """A whole number in an operation's body: ``path`` leads to it, through the first element of lists."""

    method: str
    operation: str
    path: tuple[str | int, ...]
    least: int | None
    kinds: dict[tuple[str | int, ...], dict[str, Any]]

    def body(self, value: Any) -> Any:
        """A body with nothing but this number: what is at fault first is told first."""
        body = value
        for depth in reversed(range(len(self.path))):
            step, kind = self.path[depth], self.kinds.get(self.path[:depth], {})
            body = [body] if isinstance(step, int) else {**kind, step: body}
        return body

    @property
    def pointer(self) -> str:
        """Where it stands."""
        return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)

    @property
    def field(self) -> str:
        """What a refusal names."""
        return next(step for step in reversed(self.path) if isinstance(step, str))


Kinds = dict[tuple[str | int, ...], dict[str, Any]]
"""By the path of an object: the field that says which of several kinds it is."""


def numbers_in(
    contract: dict[str, Any], schema: Any, path: tuple[str | int, ...] = (), kinds: Kinds | None = None
) -> Iterator[tuple[Any, Any, Kinds]]:
    """All whole numbers of a schema: (path, minimum, kinds on the way)."""
    kinds = kinds or {}
    if "$ref" in schema:
        if len(path) > 6:
            return
        schema = contract["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for other in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from numbers_in(contract, other, path, kinds)
    if schema.get("type") == "integer" and path:
        yield path, schema.get("minimum"), kinds
    inside = schema.get("properties", {})
    fixed = {name: one["enum"][0] for name, one in inside.items() if len(one.get("enum", ())) == 1}
    for name, inner in inside.items():
        yield from numbers_in(contract, inner, (*path, name), {**kinds, path: fixed} if fixed else kinds)
    if isinstance(schema.get("items"), dict):
        yield from numbers_in(contract, schema["items"], (*path, 0), kinds)


def numbers_of(contract: dict[str, Any]) -> list[Number]:
    """All whole numbers in all bodies of the published contract."""
    found = {}
    for operation, methods in contract["paths"].items():
        for method, says in methods.items():
            content = says.get("requestBody", {}).get("content", {}).get("application/json")
            for path, least, kinds in numbers_in(contract, (content or {}).get("schema", {})):
                found[method, operation, path] = Number(method.upper(), operation, path, least, kinds)
    return list(found.values())


async def authority(live: Rig, method: str, path: str, tokens: list[str]) -> str | None:
    """Somebody whom an operation lets in."""
    for token in tokens:
        answer = await live.call(method, path, {}, token=token, key="x")
        if answer.status_code not in (401, 403):
            return token
    return None


@pytest.mark.parametrize("each", [3, pytest.param(len(NEVER), marks=pytest.mark.soak)], ids=["some", "all"])
async def test_no_quantity_or_amount_of_any_operation_is_negative_huge_fractional_or_in_words(
    tmp_path: Path, each: int
) -> None:
    async with rig(tmp_path) as live:
        contract = (await live.client.get("/openapi.json")).json()
        guest, shop = await live.guest(), live.shop
        tokens = [shop.merchant_token, guest["token"], shop.host_token]
        ids = {"room": shop.room, "sale": shop.sale, "sku": str(shop.products[1]["sku"])}
        doors: dict[tuple[str, str], str | None] = {}
        table: dict[str, dict[str, int]] = {}
        closed, wrong = set(), []
        for n, number in enumerate(numbers_of(contract)):
            path = number.operation.removeprefix("/api/v1")
            path = re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], "nosuch"), path)
            if (door := (number.method, path)) not in doors:
                doors[door] = await authority(live, *door, tokens)
            if doors[door] is None:
                closed.add(number.operation)
                continue
            for turn, (name, value) in enumerate(NEVER.items()):
                may_be = name == "negative" and (number.least is None or number.least < 0)
                may_be = may_be or (name == "yes" and (number.operation, number.field) in SWITCHES)
                if may_be or (turn + n) % len(NEVER) >= each:
                    continue
                answer = await live.call(number.method, path, number.body(value), token=doors[door], key="x")
                table.setdefault(f"{number.method} {number.operation} {number.pointer}", {})[name] = answer.status_code
                if answer.status_code not in (400, 422) or number.field not in answer.text:
                    wrong.append(f"{door} {number.pointer} {name}: {answer.status_code} {answer.text[75:220]}")
        for where, answers in table.items():
            print(where, answers)
        assert not wrong, "\n".join(wrong)
        assert len(table) > 100
        # Doors that none of these open: they take a till's key, a guide's token, or a provider's signature.
        assert len(closed) <= 12, closed
    assert [finding for finding in audit(tmp_path / "data") if not finding.ok] == []
