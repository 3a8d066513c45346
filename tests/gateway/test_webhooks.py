"""Webhooks against receivers that take, refuse, hang and lie; signed, repeated, given up; never into a private net."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from commerce.domain.webhook import TRIES_MAX, TYPES, WEBHOOKS_MAX, address_is_public, sign, url_fault
from commerce.webhooks_sql import Webhooks
from gateway.webhooks import WebhookSender
from tests.gateway.rig import Rig, rig


class Receiver:
    """A small HTTP server that answers as it is told and keeps what it was sent."""

    def __init__(self) -> None:
        self.answer: bytes | None = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
        self.got: list[tuple[dict[str, str], dict[str, Any], bytes]] = []
        self.tries = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?shop=1"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines[1:] if line}
            body = await reader.readexactly(int(headers["content-length"]))
            self.tries += 1
            if self.answer is None:
                await reader.read()
            else:
                if self.answer.startswith(b"HTTP/1.1 2"):
                    assert lines[0] == "POST /hook?shop=1 HTTP/1.1"
                    self.got.append((headers, orjson.loads(body), body))
                writer.write(self.answer)
                await writer.drain()
        writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    server = Receiver()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        running.application.services.sender._timeout_s = 0.3
        running.clock.stop()
        yield running


async def until(condition: Any) -> None:
    """Wait until ``condition()`` (may be a coroutine) holds."""
    async with asyncio.timeout(60):
        while True:
            held = condition()
            if asyncio.iscoroutine(held):
                held = await held
            if held:
                return
            await asyncio.sleep(0.02)


async def hook(live: Rig, url: str, events: list[str] | None = None) -> dict[str, Any]:
    """A webhook of the merchant."""
    answer = await live.call("POST", "/webhooks", {"url": url, "events": events or []}, token=live.shop.merchant_token)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def order(live: Rig, key: str = "o") -> dict[str, Any]:
    """An order of one thing from the shelf, made and paid by a guest with an address."""
    token = (await live.guest())["token"]
    shelf = (await live.call("GET", f"/rooms/{live.shop.room}/products")).json()
    body = {
        "room": live.shop.room,
        "lines": [{"sku": shelf[0]["sku"], "quantity": 2}],
        "delivery": {"method": "express", "name": "小雨", "phone": "13800000022", "address": "长宁区 1 号"},
    }
    made = await live.call("POST", "/orders", body, token=token, key=key)
    assert made.status_code == 201, made.text
    paid = await live.call("POST", f"/orders/{made.json()['order']['order']}/pay", token=token, key=key)
    view: dict[str, Any] = paid.json()["order"]
    return view | {"token": token}


async def deliveries(live: Rig, webhook: str) -> list[dict[str, Any]]:
    """What became of a webhook's events."""
    answer = await live.call("GET", f"/webhooks/{webhook}/deliveries", token=live.shop.merchant_token)
    assert answer.status_code == 200
    listed: list[dict[str, Any]] = answer.json()
    return listed


async def test_order_events_come_signed_and_without_what_is_private(live: Rig, receiver: Receiver) -> None:
    made = await hook(live, receiver.url)
    view = await order(live)
    await until(lambda: len(receiver.got) == 2)
    assert {body["type"] for _, body, _ in receiver.got} == {"order.created", "order.paid"}
    for headers, body, raw in receiver.got:
        stamp = headers["siyu-timestamp"]
        expected = hmac.new(made["secret"].encode(), f"{stamp}.".encode() + raw, sha256).hexdigest()
        assert headers["siyu-signature"] == f"v1={expected}" == sign(made["secret"], int(stamp), raw)
        assert headers["siyu-event-id"] == body["id"] and headers["siyu-event"] == body["type"]
        assert body["order"]["order"] == view["order"]
        assert "delivery" not in body["order"] and "decision" not in body["order"]
    listed = (await live.call("GET", "/webhooks", token=live.shop.merchant_token)).json()
    assert [(one["webhook"], one["secret"]) for one in listed] == [(made["webhook"], None)]


async def test_only_the_events_asked_for_and_only_the_merchant_s_own_are_sent(live: Rig, receiver: Receiver) -> None:
    await hook(live, receiver.url, ["order.refunded"])
    theirs = await live.call("POST", "/webhooks", {"url": receiver.url}, token=live.other.merchant_token)
    assert theirs.status_code == 201
    view = await order(live)
    path = f"/orders/{view['order']}/refunds"
    given = await live.call("POST", path, {"amount": 1, "reason": "thanks"}, token=live.shop.host_token, key="r")
    assert given.status_code == 201, given.text
    await until(lambda: len(receiver.got) >= 2)
    assert [(b["type"], b["refund"]["state"]) for _, b, _ in receiver.got] == [
        ("order.refunded", "requested"),
        ("order.refunded", "done"),
    ]
    for method, path in (("DELETE", ""), ("GET", "/deliveries")):
        other = theirs.json()["webhook"]
        answer = await live.call(method, f"/webhooks/{other}{path}", token=live.shop.merchant_token)
        assert answer.status_code == 404


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 Oops\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\n",
        b"hello\r\n",
        b"",
        None,
    ],
)
async def test_what_is_not_taken_is_sent_again_later_with_the_same_id(
    live: Rig, receiver: Receiver, answer: bytes | None
) -> None:
    good, receiver.answer = receiver.answer, answer
    made = await hook(live, receiver.url, ["order.created"])
    await order(live)

    async def tried() -> bool:
        return [entry["tries"] for entry in await deliveries(live, made["webhook"])] == [1]

    await until(tried)
    [entry] = await deliveries(live, made["webhook"])
    assert entry["state"] == "waiting" and entry["error"] and entry["next"] > live.clock()
    receiver.answer = good
    live.clock.ahead_ms += 10_000
    live.application.services.sender._wake.set()
    await until(lambda: receiver.got)
    assert receiver.got[0][0]["siyu-event-id"] == entry["event"]

    async def delivered() -> bool:
        return [entry["state"] for entry in await deliveries(live, made["webhook"])] == ["delivered"]

    await until(delivered)


async def test_a_delivery_that_falls_due_while_the_store_is_read_is_not_left_for_the_next_look(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with rig(tmp_path) as live:
        await live.application.services.sender.close()
        await hook(live, receiver.url, ["order.created"])
        await order(live)
        readings = iter([live.clock() - 60_000])

        def clock() -> int:
            # The first reading finds nothing due, every later one comes after it fell due.
            return next(readings, live.clock())

        webhooks = Webhooks(live.application.services.webhooks._store, clock=clock)
        sender = WebhookSender(webhooks, clock=clock, allow_private=True)
        sender.start()
        await until(lambda: receiver.got)
        await sender.close()


async def test_a_receiver_that_never_takes_it_is_given_up(live: Rig, receiver: Receiver) -> None:
    receiver.answer = b"HTTP/1.1 503 Later\r\n\r\n"
    made = await hook(live, receiver.url, ["order.created"])
    await order(live)

    services = live.application.services
    async with asyncio.timeout(60):
        # The token would lapse on the way: the service is asked, not the API.
        while (await services.webhooks.deliveries(live.shop.merchant, made["webhook"]))[0].state != "dead":
            live.clock.ahead_ms += 6 * 3_600_000
            services.sender._wake.set()
            await asyncio.sleep(0.05)
    [entry] = await services.webhooks.deliveries(live.shop.merchant, made["webhook"])
    assert (entry.state, entry.tries, entry.status) == ("dead", TRIES_MAX, 503)
    assert receiver.tries == TRIES_MAX


async def test_a_receiver_that_hangs_delays_nobody_else(live: Rig, receiver: Receiver) -> None:
    hanging = Receiver()
    hanging.answer = None
    await hanging.start()
    live.application.services.sender._timeout_s = 600.0
    await hook(live, hanging.url)
    await hook(live, receiver.url)
    await order(live)
    await until(lambda: len(receiver.got) == 2)
    assert hanging.tries == 1
    await hanging.stop()


async def test_what_waits_when_the_server_stops_is_sent_after_its_start(tmp_path: Path, receiver: Receiver) -> None:
    async with rig(tmp_path) as live:
        await live.application.services.sender.close()
        await hook(live, receiver.url, ["order.paid"])
        await order(live)
        assert not receiver.got
        sender = WebhookSender(live.application.services.webhooks, clock=live.clock, allow_private=True)
        sender.start()
        await until(lambda: receiver.got)
        await sender.close()


async def test_a_removed_webhook_hears_no_more(live: Rig, receiver: Receiver) -> None:
    made = await hook(live, receiver.url)
    gone = await live.call("DELETE", f"/webhooks/{made['webhook']}", token=live.shop.merchant_token)
    assert gone.status_code == 200
    await order(live)
    await asyncio.sleep(0.1)
    assert receiver.tries == 0


async def test_webhooks_are_the_merchant_s_bounded_and_checked(live: Rig) -> None:
    token = live.shop.merchant_token
    for body, status in (
        ({"url": "ftp://example.org/"}, 400),
        ({"url": "http://user:word@example.org/"}, 400),
        ({"url": "http:///x"}, 400),
        ({"url": "http://exa mple.org/\r\nX: y"}, 400),
        ({"url": "http://example.org/", "events": ["order.eaten"]}, 400),
        ({"url": "http://example.org/" + "x" * 500}, 400),
        ({}, 400),
    ):
        assert (await live.call("POST", "/webhooks", body, token=token)).status_code == status, body
    good = {"url": "http://127.0.0.1:9/"}
    assert (await live.call("POST", "/webhooks", good, token=live.shop.host_token)).status_code == 403
    guest = (await live.guest())["token"]
    assert (await live.call("GET", "/webhooks", token=guest)).status_code == 403
    for _ in range(WEBHOOKS_MAX):
        assert (await live.call("POST", "/webhooks", good, token=token)).status_code == 201
    refused = await live.call("POST", "/webhooks", good, token=token)
    assert (refused.status_code, refused.json()["code"]) == (422, "limit")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "10.0.0.1", "[::1]", "169.254.169.254", "0.0.0.0", "2130706433"]
)
async def test_a_public_server_sends_nothing_into_its_own_network(tmp_path: Path, host: str) -> None:
    async with rig(tmp_path, host="0.0.0.0", sandbox=True) as live:
        answer = await live.call("POST", "/webhooks", {"url": f"http://{host}/x"}, token=live.shop.merchant_token)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), answer.text
        # A name may turn private later: each try looks again.
        view = await live.application.services.webhooks.create(
            live.shop.merchant, f"http://{host}/x", ["order.created"]
        )
        await order(live)

        async def refused() -> bool:
            entries = await deliveries(live, view.webhook)
            return bool(entries) and entries[0]["error"] == "the url leads into a private network"

        await until(refused)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("127.0.0.1", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
        ("2002:7f00:1::", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("192.168.1.1", False),
        ("172.16.0.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("nonsense", False),
    ],
)
def test_private_addresses_are_known_in_every_dress(address: str, public: bool) -> None:
    assert address_is_public(address) is public


def test_an_address_of_the_web_is_good_and_its_types_are_known() -> None:
    assert url_fault("https://shop.example.org:8443/hooks?x=1") is None
    assert "order.paid" in TYPES
