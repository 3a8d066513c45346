"""Orders that go on while something else is tried: one buyer after another, on a thread of their own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.harness import LiveServer
from tests.integration.outsiders import wait_until

ORDERS_MAX = 2_000
"""Bound of one buying: far more than a test's patience."""


@dataclass
class Buying:
    """What the thread did: ids of orders that the server has acknowledged as paid, and its error, if it had one."""

    paid: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def more(self, count: int) -> None:
        """Wait until so many more were paid."""
        wanted = len(self.paid) + count
        wait_until(lambda: len(self.paid) >= wanted or bool(self.errors), f"{count} more orders")
        assert not self.errors, self.errors


@contextlib.contextmanager
def buying(server: LiveServer) -> Iterator[Buying]:
    """Buy one unit after another until the end of the block."""
    state, stop = Buying(), threading.Event()
    boss, sku = server.seed["merchant_token"], server.seed["products"][1]["sku"]
    stocked = server.call(
        "POST", f"/rooms/{server.room}/stock/{sku}", {"quantity": ORDERS_MAX, "reason": "received"}, token=boss
    )
    assert stocked.status_code == 200, stocked.text
    token = server.guest()["token"]

    def buy(number: int) -> None:
        body: dict[str, Any] = {"room": server.room, "lines": [{"sku": sku, "quantity": 1}]}
        made = server.call("POST", "/orders", body, token=token, key=f"o{number}")
        assert made.status_code == 201, made.text
        order = made.json()["order"]["order"]
        done = server.call("POST", f"/orders/{order}/pay", token=token, key=f"p{number}")
        assert done.status_code == 200, done.text
        if server.call("GET", f"/orders/{order}", token=token).json()["order"]["status"] == "paid":
            state.paid.append(order)

    def run() -> None:
        for number in range(ORDERS_MAX):
            if stop.is_set():
                return
            try:
                buy(number)
            except (AssertionError, httpx.HTTPError) as error:
                state.errors.append(repr(error))
                return

    thread = threading.Thread(target=run, name="buyers")
    thread.start()
    try:
        yield state
    finally:
        stop.set()
        thread.join(120)
        assert not thread.is_alive()
