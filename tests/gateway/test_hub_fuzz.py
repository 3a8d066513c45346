"""The hub's published contract against the server: whatever a command holds, it is answered as promised.

Commands are made of ``/asyncapi.json``, such as it allows and such as it forbids, and sent by every kind of member; ids
are those of things that are there, half of the time. Nothing fails inside, what is forbidden is refused, and the books
are right afterwards.
"""

from __future__ import annotations

import copy
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.core.result import Ok

from commerce.audit_sql import audit
from gateway.hub_contract import COMMANDS, ErrorAnswer
from tests.gateway.test_api_fuzz import MODES, Server

ENVELOPE = ("id", "cmd")
DAY_S = 86_400
LONG = 100
PAUSE_MS = 1_000
"""Between two frames: nobody is refused for their haste alone."""


def as_api(document: Mapping[str, Any]) -> dict[str, Any]:
    """The commands as operations of an HTTP API, whose bodies are their arguments."""
    paths = {}
    for name, operation in document["operations"].items():
        if operation["action"] != "receive":
            continue
        schema = copy.deepcopy(document["components"]["messages"][f"command.{name}"]["payload"])
        for field in ENVELOPE:
            schema["properties"].pop(field, None)
        schema["required"] = [field for field in schema.get("required", ()) if field not in ENVELOPE]
        content = {"application/json": {"schema": schema}}
        body = {"required": True, "content": content}
        paths[f"/{name}"] = {"post": {"requestBody": body, "responses": {"200": {"description": "answered"}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "the hub", "version": "1"},
        "paths": paths,
        "components": {"schemas": document["components"]["schemas"]},
    }


def is_json(value: Any) -> bool:
    """Whether a client could write it down."""
    try:
        json.dumps(value, allow_nan=False).encode()
    except (TypeError, ValueError):
        return False
    return True


class Room:
    """A room with something of each kind in it, and its members."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.server = Server(folder)
        self.document = self.server.run(self.server.rig.client.get("/asyncapi.json")).json()
        self.tokens = {role: token for role, token in self.server.tokens.items() if token}
        self.ids: defaultdict[str, list[str]] = defaultdict(list)
        self.codes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._numbers = iter(range(1, 1 << 40))
        self.server.run(self._furnish())

    async def _furnish(self) -> None:
        live, shop = self.server.rig, self.server.rig.shop
        product, sku = (str(shop.products[1][name]) for name in ("product", "sku"))
        people = [await live.guest() for _ in range(2)]
        self.ids |= {"product": [product], "sku": [sku], "order": self.server.ids["id"]}
        self.ids["person"] = [guest["person"] for guest in people]
        for mode in ({}, {"mode": "draw", "enter_s": DAY_S}, {"mode": "team", "team_size": 2, "team_s": DAY_S}):
            made = await self._done("sale.create", sku=sku, price=100, total=5, length_s=DAY_S, **mode)
            self.ids["sale"].append(made["sale"]["sale"])
            await self._done("sale.start", sale=made["sale"]["sale"], countdown_s=0)
        made = await self.tell("viewer", {"cmd": "team.join", "sale": self.ids["sale"][-1], "key": "first"})
        self.ids |= {"team": [made["team"]], "team.join.sale": self.ids["sale"][-1:]}
        made = await self._done("drop.start", title="t", reason="r", amount=500, total=500, seconds=DAY_S)
        self.ids["drop"].append(made["drop"]["drop"])
        made = await self._done("draw.open", kind="bag", winners=1, sku=sku, seconds=DAY_S)
        self.ids["draw"].append(made["draw"]["draw"])
        made = await self._done("poll.start", title="?", options=["x", "y"], seconds=600)
        self.ids["poll"].append(made["poll"]["poll"])
        for text in "?!":
            await self.tell("viewer", {"cmd": "question.ask", "text": text})
        made = await self._done("question.list")
        self.ids["question"] = [one["question"] for one in made["questions"]]

    async def _done(self, cmd: str, **arguments: Any) -> dict[str, Any]:
        answer = await self.tell("merchant", {"cmd": cmd, **arguments})
        assert answer.get("ok"), (cmd, answer)
        return dict(answer)

    async def tell(self, role: str, frame: Any) -> Any:
        """One command by its answer; a frame that holds none by what the server says of it."""
        live = self.server.rig
        live.clock.ahead_ms += PAUSE_MS
        if isinstance(frame, dict):
            frame = {"id": next(self._numbers), **frame}
        path = f"/rooms/{live.shop.room}/commands"
        answer = await live.call("POST", path, [frame], token=self.tokens[role])
        if answer.status_code != 200:
            return {"status": answer.status_code, **answer.json()}
        [found] = answer.json()
        return found

    def about(self, name: str, value: Any, first: bool, data: st.DataObject) -> Any:
        """A command's arguments with ids of things that are there, half of them, or all in the ``first``."""
        if isinstance(value, list):
            return [self.about(name, one, first, data) for one in value]
        if not isinstance(value, dict):
            return value
        made = {}
        for field, inner in value.items():
            there = self.ids[f"{name}.{field}"] or self.ids[field]
            if isinstance(inner, str) and there:
                real, one = data.draw(st.booleans()), data.draw(st.sampled_from(there))
                made[field] = one if real or first else inner
            else:
                made[field] = self.about(name, inner, first, data)
        return made

    def flaw(self, name: str, arguments: Any, answer: dict[str, Any], *, allowed: bool) -> str | None:
        """What is wrong with an answer."""
        if "status" in answer:
            # What is no object, or too long, is no command at all.
            too_long = answer["status"] in (400, 413) and "has at most" in answer["detail"]
            return None if too_long or (answer["status"] == 400 and not isinstance(arguments, dict)) else f"{answer}"
        if not answer.get("ok"):
            code = msgspec.convert(answer, ErrorAnswer, strict=True).error.code
            self.codes[name][code] += 1
            return f"{answer}" if code in ("internal", "unknown_command") else None
        self.codes[name]["ok"] += 1
        msgspec.convert(
            {field: value for field, value in answer.items() if field not in ("re", "ok")}, COMMANDS[name][1]
        )
        return None if allowed else f"the contract forbids it, and it was done: {answer}"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    made = Room(tmp_path_factory.mktemp("hub-fuzz"))
    yield made
    made.server.close()


def fuzz(room: Room, operation: Any, mode: str, examples: int) -> list[str]:
    """Give one command so often, by each kind of member; what the server did wrong."""
    name = operation.path[1:]
    faults: list[str] = []

    @settings(
        max_examples=examples,
        derandomize=examples < LONG,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def draw_and_tell(data: st.DataObject) -> None:
        arguments = data.draw(operation.as_strategy(generation_mode=MODES[mode])).body
        assume(is_json(arguments))
        if isinstance(arguments, dict):
            arguments = {field: value for field, value in arguments.items() if field not in ENVELOPE}
            if mode == "good":
                arguments = room.about(name, arguments, not room.codes[name], data)
        for role in room.tokens:
            frame = {"cmd": name, **arguments} if isinstance(arguments, dict) else arguments
            answer = room.server.run(room.tell(role, frame))
            if (flaw := room.flaw(name, arguments, answer, allowed=mode == "good")) is not None:
                faults.append(f"{role}: {name} {arguments!r:.300}: {flaw:.300}")

    try:
        draw_and_tell()
    except Unsatisfiable:
        assert mode == "bad", name
    return faults


@pytest.mark.parametrize("examples", [4, pytest.param(LONG, marks=pytest.mark.soak)], ids=["short", "long"])
@pytest.mark.parametrize("mode", MODES)
def test_no_command_that_the_contract_can_describe_breaks_the_hub(room: Room, mode: str, examples: int) -> None:
    schema = schemathesis.openapi.from_dict(as_api(room.document))
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert {operation.path[1:] for operation in operations} == set(COMMANDS)
    faults = [fault for operation in operations for fault in fuzz(room, operation, mode, examples)]
    assert faults == []
    broken = [finding for finding in audit(room.data) if not finding.ok]
    assert broken == []
    assert not any(codes["rate"] for codes in room.codes.values())
    if mode == "bad":
        return
    # With ids of things that are there a command reaches the rules behind its form: done, or refused for a reason.
    unreached = {name for name, codes in room.codes.items() if codes.keys() <= {"invalid", "not_found"}}
    # A question is dropped once, and by who asked it; what an order is of excludes most else.
    assert unreached <= {"question.drop", "order.create"}
