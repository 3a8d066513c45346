"""The published contract against the server: whatever a body, a path or a query holds, the answer is as promised.

Schemathesis makes requests from ``/openapi.json``, such as the contract allows and such as it forbids; paths get ids
that are there, half of the time, so that bodies reach the rules behind them. No answer is a 5xx, each has a status, a
content type and a shape that the contract knows. Who asks is ours to choose: or most of the bad requests would be bad
for want of a token alone.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import SkipTest
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.gateway.rig import Rig, rig

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
MODES = {"good": GenerationMode.POSITIVE, "bad": GenerationMode.NEGATIVE}
BUSY = {503: {"busy", "draining", "full", "wecom_away"}}
"""What says that there is no room now, or nobody outside to ask, is no fault."""
SLOW = ("/api/v1/auth/login",)
"""Argon2 takes a tenth of a second each: tried less."""
BAD_EVERY = 6
"""Of so many operations `make test` asks one what its contract forbids: to find such a request takes a second."""


class Server:
    """An application in this process, driven from tests without a loop of their own."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self._context = rig(folder)
        self.rig: Rig = self.run(self._context.__aenter__())
        self.contract = self.run(self.rig.client.get("/openapi.json")).json()
        self.ids, self.tokens = self.run(self._furnish())
        self.reached: set[str] = set()

    def run(self, awaitable: Any) -> Any:
        """Wait for something on the server's loop."""
        return self.runner.run(awaitable)

    def close(self) -> None:
        """End it."""
        self.run(self._context.__aexit__(None, None, None))
        self.runner.close()

    async def _furnish(self) -> tuple[dict[str, list[str]], dict[str, str | None]]:
        """Things for paths to name, and who asks."""
        live, shop = self.rig, self.rig.shop
        guest = await live.guest()
        sku = shop.products[1]["sku"]
        orders = []
        for n in range(2):
            body = {"room": shop.room, "lines": [{"sku": sku, "quantity": 1, "version": 1}]}
            answer = await live.call("POST", "/orders", body, token=guest["token"], key=f"o{n}")
            orders.append(answer.json()["order"]["order"])
        await live.call("POST", f"/orders/{orders[0]}/pay", token=guest["token"], key="p")
        state = (await live.call("GET", f"/rooms/{shop.room}", token=shop.host_token)).json()
        ids = {
            "room": [shop.room, live.other.room],
            "id": orders,
            "sku": [sku],
            "product": [product["product"] for product in shop.products],
            "sale": [sale["sale"] for sale in state.get("sales", [])] or ["nosuch"],
            "provider": ["sandbox", "none"],
        }
        tokens = {"nobody": None, "viewer": guest["token"], "host": shop.host_token, "merchant": shop.merchant_token}
        return ids, tokens

    def ask(self, case: Any, token: str | None) -> httpx.Response:
        """Send a case."""
        path = case.operation.path
        for name, value in (case.path_parameters or {}).items():
            path = path.replace("{" + name + "}", quote(str(value), safe="") or "-")
        sent = case.as_transport_kwargs(base_url="http://shop.test")
        headers = {name: value for name, value in dict(sent.get("headers") or {}).items() if _fits(name, value)}
        headers.pop("Authorization", None)
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        answer: httpx.Response = self.run(
            self.rig.client.request(
                sent["method"],
                path,
                params=sent.get("params"),
                json=sent.get("json"),
                content=sent.get("data") if isinstance(sent.get("data"), str | bytes) else None,
                headers=headers,
            )
        )
        return answer


def flaws(case: Any, answer: httpx.Response) -> list[str]:
    """What is wrong with an answer."""
    out = []
    status, text = answer.status_code, answer.text
    if status >= 500 and not any(f'"code":"{code}"' in text for code in BUSY.get(status, ())):
        out.append(f"{case.query} {case.body!r:.300}: {status} {text:.200}")
    try:
        case.validate_response(answer, checks=CHECKS)
    except FailureGroup as group:
        out += [
            f"{case.query} {case.body!r:.300}: {failure.title}: {failure.message:.300}" for failure in group.exceptions
        ]
    return out


def _fits(name: str, value: Any) -> bool:
    """Whether a client could send this header at all."""
    return isinstance(value, str) and value.isascii() and value.isprintable() and name.isascii()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of this module's tests."""
    made = Server(tmp_path_factory.mktemp("fuzz"))
    yield made
    made.close()


def fuzz(server: Server, operation: Any, mode: str, examples: int) -> tuple[int, list[str]]:
    """Ask one operation so often; how many requests that were, and those that the server broke at."""
    asked = 0
    faults: list[str] = []

    @settings(
        max_examples=min(examples, 2) if operation.path in SLOW else examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def draw_and_ask(data: st.DataObject) -> None:
        nonlocal asked
        case = data.draw(operation.as_strategy(generation_mode=MODES[mode]))
        for name in case.path_parameters or {}:
            if name in server.ids and data.draw(st.booleans()):
                case.path_parameters[name] = data.draw(st.sampled_from(server.ids[name]))
        role = data.draw(st.sampled_from(sorted(server.tokens)))
        answer = server.ask(case, server.tokens[role])
        asked += 1
        where = f"{operation.method.upper()} {operation.path}"
        if case.body is not None and where not in server.reached:
            # A body comes to the rules behind it only with somebody who may send it.
            for role in ("merchant", "viewer", "host", "nobody"):
                answer = server.ask(case, server.tokens[role])
                if answer.status_code not in (401, 403):
                    server.reached.add(where)
                    break
        faults.extend(f"{role}: {where} {case.path_parameters}: {fault}" for fault in flaws(case, answer))

    try:
        draw_and_ask()
    except (Unsatisfiable, SkipTest):
        # An operation without parameters and body has no request that the contract forbids.
        assert mode == "bad", operation.path
    return asked, faults


@pytest.mark.parametrize("examples", [1, pytest.param(150, marks=pytest.mark.soak)], ids=["short", "long"])
@pytest.mark.parametrize("mode", MODES)
def test_no_request_that_the_contract_can_describe_breaks_the_server(server: Server, mode: str, examples: int) -> None:
    contract = copy.deepcopy(server.contract)
    for methods in contract["paths"].values():
        for says in methods.values():
            says.pop("security", None)
    schema = schemathesis.openapi.from_dict(contract)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == sum(len(methods) for methods in server.contract["paths"].values())
    whole = mode == "good" or examples > 1
    if not whole:
        # `make soak` asks all of them.
        operations = operations[::BAD_EVERY]
    done = [fuzz(server, operation, mode, examples) for operation in operations]
    assert [fault for _, faults in done for fault in faults] == []
    # Without parameters and body nothing can be asked that the contract forbids: of bad requests there are fewer.
    assert sum(asked > 0 for asked, _ in done) > len(operations) // 2, "hardly anything was asked"
    if not whole:
        return
    bodies = {
        f"{method.upper()} {path}"
        for path, methods in server.contract["paths"].items()
        for method, says in methods.items()
        if "$ref" in says.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    }
    # They want a till's key, a guide's token, or a provider's signature.
    closed = bodies - server.reached
    assert len(closed) <= 12, sorted(closed)
