"""Nobody sees or changes what lies outside of their subtree: every operation of the contract with every role.

Two dealers of one group are alike in everything. The accounts of one ask every operation that `/openapi.json` names for
what the other has, in paths and in bodies; no answer may hold a mark of the other dealer, no row that names something
of theirs may be another afterwards, and nothing may break.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from commerce.domain.org import Scope
from gateway.api import Operation
from gateway.auth import Claims
from gateway.desk import Desk
from tests.gateway.org_world import World, org_world
from tests.gateway.rig import rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPEN = "ANYONE"
BUSY = {"busy", "draining", "full"}
SLOW = ("/api/v1/auth/login",)
"""Costs a tenth of a second each, and knows no ids."""
FIELDS = {
    "of": "issuer",
    "to": "issuer",
    "heir": "issuer",
    "other": "person",
    "parent": "node",
    "target": "sku",
    "id": "order",
}
"""Fields of bodies and parts of paths that are called otherwise than what they name."""
SUMS = ("person_day", "person_stage")
"""What the server reckons by itself of what happened before."""
UNTOLD = ("outbox", "request", "org_tree", "alembic_version", "personal", "personal_box", "ban", "staff_action", *SUMS)
"""Tables of notes and counters, which hold nothing of whom they are about; and whom a room of one's own keeps out."""
GOODS = ("product", "sku")
"""Goods are the merchant's, and any room may sell them; what they are and cost is not any room's to say."""
PUBLIC = {"GET /api/v1/links/{token}/code", "GET /api/v1/links/{token}/poster", "PUT /api/v1/tags/{tag}"}
"""A link's token is printed on a wall: whoever has it may print it again; a tag of a name is each merchant's own."""


@dataclass(frozen=True)
class Asked:
    """One operation of the contract."""

    method: str
    path: str
    roles: str
    body: Mapping[str, Any] | None

    @property
    def named(self) -> list[str]:
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    def address(self, ids: Mapping[str, str]) -> str:
        """The path with ids in it."""
        path = self.path
        if self.path.startswith("/api/v1/orders/"):
            path = path.replace("{id}", ids["order"])
        for name in self.named:
            path = path.replace(f"{{{name}}}", ids.get(FIELDS.get(name, name), ids.get(name, "nosuch")))
        return path


def operations(contract: Mapping[str, Any]) -> Iterator[Asked]:
    """All that the contract names, reading before writing."""
    schemas = contract["components"]["schemas"]
    found = []
    for path, methods in contract["paths"].items():
        for method, one in methods.items():
            content = one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            body = None if content is None else {"schema": content, "schemas": schemas}
            found.append(Asked(method.upper(), path, one.get("description", OPEN).removeprefix("Roles: "), body))
    return iter(sorted(found, key=lambda one: (one.method != "GET", one.path, one.method)))


def sample(schema: Mapping[str, Any], schemas: Mapping[str, Any], ids: Mapping[str, str], name: str = "") -> Any:
    """The least that a schema takes, with the ids that fields are named after, required or not."""
    if "$ref" in schema:
        return sample(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas, ids, name)
    if "anyOf" in schema:
        return sample(next(one for one in schema["anyOf"] if one.get("type") != "null"), schemas, ids, name)
    known = ids.get(FIELDS.get(name, name))
    if schema.get("type") == "string" and known is not None:
        return known
    if "enum" in schema:
        return "guide" if "guide" in schema["enum"] and name == "role" else schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        fields = schema.get("properties", {})
        wanted = set(schema.get("required", ()))
        wanted |= {one for one in fields if one in ids or one in FIELDS}
        return {one: sample(fields[one], schemas, ids, one) for one in sorted(wanted) if one in fields}
    if kind == "array":
        return [sample(schema["items"], schemas, ids, name)] if schema.get("minItems") or name == "lines" else []
    if kind == "string":
        return "x" * max(1, schema.get("minLength", 1))
    if kind in ("integer", "number"):
        return max(1, schema.get("minimum", 1))
    return False if kind == "boolean" else {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with rig(tmp_path_factory.mktemp("reach")) as made:
        yield await org_world(made)


def accounts(world: World) -> dict[str, str | None]:
    """Who asks: every role of the one dealer, accounts without a seat, customers, strangers."""
    tokens, shop = world.live.application.services.tokens, world.live.shop

    def unseated(role: str, room: str | None) -> str:
        return tokens.mint(person=f"no-seat-{role}", name=role, role=role, merchant=shop.merchant, room=room)[0]

    room = world.mine.ids["room"]
    return {
        **world.mine.tokens,
        "host of the room, without a seat": unseated("host", room),
        "guide without a seat": unseated("guide", None),
        "another merchant": world.live.other.merchant_token,
        "nobody": None,
    }


async def theirs_in_the_database(world: World) -> dict[str, set[str]]:
    """Every row that names something of the other dealer, by table."""
    theirs = world.theirs.ids
    marks = sorted(world.theirs.marks | {theirs[name] for name in ("room", "sale", "drop")})
    goods = [theirs[name] for name in GOODS]

    def read(db: Any) -> dict[str, set[str]]:
        rows: dict[str, set[str]] = {}
        for table in db.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars().all():
            if table in UNTOLD:
                continue
            found = (repr(tuple(row)) for row in db.execute(text(f'SELECT * FROM "{table}"')))
            wanted = goods if table in GOODS else marks
            other = world.live.other.merchant
            rows[table] = {row for row in found if other not in row and any(mark in row for mark in wanted)}
        return rows

    store = world.live.application.services.shop._store
    return await store.read(read)


async def ask(
    world: World, one: Asked, token: str | None, path_ids: Mapping[str, str], ids: Mapping[str, str]
) -> tuple[int, str, str]:
    """Status and text of one request, and what was sent."""
    headers = {"idempotency-key": f"{one.method}{hash((one.path, token)) & 0xFFFFFFFF}"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    body = None if one.body is None else sample(one.body["schema"], one.body["schemas"], ids)
    address = one.address(path_ids)
    answer = await world.live.client.request(one.method, address, headers=headers, json=body)
    return answer.status_code, answer.text, f"{address} {body}"


async def faults_of(world: World, asked: Iterable[Asked], who: Mapping[str, str | None]) -> tuple[list[str], set[str]]:
    """What leaked, changed or broke; and which operations somebody did with success."""
    faults: list[str] = []
    done: set[str] = set()
    theirs, mine = world.theirs.ids, world.mine.ids
    before = await theirs_in_the_database(world)
    for one in asked:
        called = f"{one.method} {one.path}"
        for role, token in who.items():
            if one.path in SLOW and role != "nobody":
                continue
            if role == "guide without a seat" and "viewer" in one.roles:
                # They come into every room, as anybody may, and do there what anybody does.
                continue
            tries = [(theirs, theirs)] if one.named else [(mine, theirs)]
            if one.named and (one.method == "GET" or one.body is not None):
                tries.append((mine, theirs))
            for path_ids, ids in tries:
                status, said, sent = await ask(world, one, token, path_ids, ids)
                if status >= 500 and not any(f'"code":"{code}"' in said for code in BUSY):
                    faults.append(f"{called} as {role} broke: {status} {said[:200]}")
                leaked = [mark for mark in world.theirs.marks if mark in said and mark not in sent]
                if leaked and one.roles != OPEN:
                    faults.append(f"{called} as {role} told {leaked} of the other dealer: {status} {said[:200]}")
                if status < 300:
                    done.add(called)
                    if one.named and path_ids is theirs and said != "[]" and one.roles != OPEN and called not in PUBLIC:
                        faults.append(f"{called} as {role} found the other dealer's {sent[:80]}: {said[:200]}")
        if one.method != "GET":
            after = await theirs_in_the_database(world)
            changed = [(name, before[name] ^ after[name]) for name in after if before[name] != after[name]]
            if changed:
                faults.append(f"{called} changed what is the other dealer's: {changed}"[:600])
            before = after
    return faults, done


async def contract_of(world: World) -> list[Asked]:
    return list(operations((await world.live.client.get("/openapi.json")).json()))


async def test_reading_what_is_theirs_works_for_those_whose_it_is(world: World) -> None:
    """The sweep below would find nothing in a shop that is closed to everybody."""
    for one in await contract_of(world):
        if one.method != "GET" or one.path not in ("/api/v1/orders", "/api/v1/people", "/api/v1/links"):
            continue
        status, said, _ = await ask(world, one, world.theirs.tokens["owner"], {}, {})
        assert status == 200 and any(mark in said for mark in world.theirs.marks), one.path
        status, said, _ = await ask(world, one, world.live.shop.merchant_token, {}, {})
        marks = (world.theirs.marks, world.mine.marks)
        assert all(any(mark in said for mark in side) for side in marks), one.path


async def test_no_operation_tells_or_changes_what_lies_outside_of_a_subtree(world: World) -> None:
    asked = await contract_of(world)
    faults, done = await faults_of(world, asked, accounts(world))
    assert not faults, "\n".join(faults)
    assert len(asked) > 150 and len(done) > 60


GUARDS: dict[str, tuple[Any, str, Any, str, str]] = {
    "operations about the whole shop": (Operation, "check", lambda *_: None, "GET", "/api/v1/budgets"),
    "the part that lists keep to": (Claims, "reach", None, "GET", "/api/v1/orders"),
    "who runs a room": (Scope, "may_run", lambda *_: True, "POST", "/api/v1/rooms/{room}/pin"),
    "whose budget is spent": (Desk, "issuer_to_spend", lambda *_: None, "POST", "/api/v1/rooms/{room}/drops"),
}


@pytest.mark.parametrize("guard", GUARDS)
async def test_the_sweep_finds_what_leaks_when_a_guard_is_gone(
    world: World, guard: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name, instead, method, path = GUARDS[guard]
    monkeypatch.setattr(owner, name, instead)
    if guard == "who runs a room":
        monkeypatch.setattr(Scope, "may_enter", instead)
    [one] = [one for one in await contract_of(world) if (one.method, one.path) == (method, path)]
    faults, _ = await faults_of(world, [one], {"owner": world.mine.tokens["owner"]})
    assert faults
