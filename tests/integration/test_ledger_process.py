"""A server whose ledger writes in a process of its own: a rush, and the death of either."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import live_server
from tests.integration.outsiders import metric
from tests.integration.rush import Rush, assert_books_agree, gather, plan_attempts
from tests.integration.shopfloor import Shopfloor
from tests.integration.sockets import Crowd

UNITS, PEOPLE, ATTEMPTS = 100, 100, 300
TRIES = 240


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shopfloor]:
    with live_server(tmp_path_factory.mktemp("process"), flags=["--ledger-process"]) as server:
        yield Shopfloor(server)


def writer_of(shop: Shopfloor) -> int:
    """The number of the writer's process."""
    assert shop.server.process is not None
    children = Path(f"/proc/{shop.server.process.pid}/task").glob("*/children")
    [writer] = [
        int(child)
        for found in children
        for child in found.read_text().split()
        if b"commerce.ledger_writer" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return writer


def test_a_rush_comes_out_as_the_books_say(shop: Shopfloor) -> None:
    sale = shop.sale(UNITS)
    with Crowd(shop.server.http_port) as crowd:
        rush = Rush(sale, [])
        crowd.answered = rush.answered
        rush.attempts = plan_attempts(gather(shop, crowd, PEOPLE, "process"), ATTEMPTS, random.Random(1))
        rush.run(crowd)
        assert_books_agree(shop, rush, UNITS)


def test_the_room_goes_on_when_the_writer_dies_and_keys_give_the_same_answers(shop: Shopfloor) -> None:
    sale = shop.sale(UNITS)
    with Crowd(shop.server.http_port) as crowd:
        rush = Rush(sale, [])
        crowd.answered = rush.answered
        rush.attempts = plan_attempts(gather(shop, crowd, PEOPLE, "writer"), ATTEMPTS, random.Random(2))
        rush.run(crowd, stop=lambda: rush.sent - rush.unanswered >= 20)
        os.kill(writer_of(shop), signal.SIGKILL)
        rush.run(crowd)
        attempts = rush.attempts
        # Who was told so comes back with the same key; a new writer takes a moment to start.
        for _ in range(TRIES):
            busy = [attempt for attempt in attempts if attempt.refusal == "busy"]
            if not busy:
                break
            crowd.idle(0.5)
            again = Rush(sale, busy)
            for attempt in busy:
                attempt.client.answered = again.answered
            again.run(crowd)
        assert all(client.closed is None for client in crowd.clients)
        whole = Rush(sale, attempts)
        assert whole.refusals().keys() <= {"sold_out", "limit"}
        whole.assert_one_answer_per_key()
        assert_books_agree(shop, whole, UNITS)
    assert metric(shop.server, "siyu_ledger_losses_total") == 1


def test_a_server_that_dies_takes_its_writer_along_and_the_next_one_has_the_folder(shop: Shopfloor) -> None:
    writer = writer_of(shop)
    shop.server.kill()
    shop.server.start()
    # It is gone, or waits for whoever adopted it to take note.
    left = Path(f"/proc/{writer}/stat")
    assert not left.exists() or left.read_text().rpartition(")")[2].split()[0] == "Z"
    assert writer_of(shop) != writer
    shop.assert_books()
