"""Rooms that people run, from outside: event streams, commands over HTTP, lasting bans, the audit trail."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from commerce.store_sql import read_engine
from tests.harness import LiveServer, live_server

WAIT_S = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("rooms")) as server:
        yield server


@pytest.fixture
def own(tmp_path: Path) -> Iterator[LiveServer]:
    """A server for one test alone: it is stopped, or its room changed for good."""
    with live_server(tmp_path) as server:
        yield server


def command(server: LiveServer, token: str, cmd: str, client: str = "test", **arguments: Any) -> dict[str, Any]:
    """The answer to one command over HTTP."""
    number = time.monotonic_ns() % 2**50
    path = f"/rooms/{server.room}/commands?client={client}"
    answer = server.call("POST", path, {"id": number, "cmd": cmd, **arguments}, token=token)
    assert answer.status_code == 200, answer.text
    (only,) = answer.json()
    assert only["re"] == number
    found: dict[str, Any] = only
    return found


@contextmanager
def stream(server: LiveServer, token: str, query: str = "", last: str = "") -> Iterator[Iterator[str]]:
    """The lines of an event stream."""
    headers = {"authorization": f"Bearer {token}"} | ({"last-event-id": last} if last else {})
    url = f"{server.base}/sse/{server.room}{query}"
    with httpx.stream("GET", url, headers=headers, timeout=WAIT_S) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["access-control-allow-origin"] == "*"
        yield response.iter_lines()


def until(lines: Iterator[str], kind: str) -> tuple[str, dict[str, Any]]:
    """The next event of a type, and the id of its batch."""
    position = ""
    for line in lines:
        if line.startswith("id: "):
            position = line[4:]
        elif line.startswith("data: ["):
            for item in json.loads(line[6:]):
                if item["t"] == kind:
                    return position, item
    raise AssertionError(f"the stream ended without {kind}")


def test_a_stream_shows_the_room_and_resumes_where_it_was_cut(server: LiveServer) -> None:
    ann, host = server.guest()["token"], server.seed["host_token"]
    with stream(server, ann) as lines:
        position, first = until(lines, "room")
        assert first["you"]["role"] == "viewer" and position == f"{first['epoch']}:{first['offset']}"
        assert command(server, host, "chat.send", text="大家好")["ok"]
        position, line = until(lines, "chat")
        assert line["text"] == "大家好"
    for text_ in ("一", "二"):
        assert command(server, host, "notice", text=text_)["ok"]
    # A browser comes back with its first address; what it read last counts.
    with stream(server, ann, "?since=old:0", last=position) as lines:
        _, first = until(lines, "room")
        assert (first["resumed"], [event["text"] for event in first["history"]]) == (True, ["一", "二"])


def test_a_stream_is_refused_in_words_that_a_program_reads(server: LiveServer) -> None:
    for path, status, code in (
        (f"/sse/{server.room}", 401, "token"),
        ("/sse/none?token=x", 404, "no_room"),
    ):
        answer = httpx.get(server.base + path, timeout=WAIT_S)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["access-control-allow-origin"] == "*"
    assert httpx.head(f"{server.base}/sse/{server.room}", timeout=WAIT_S).status_code == 405


def test_a_command_over_http_is_run_once_however_often_it_is_sent(server: LiveServer) -> None:
    ann = server.guest()["token"]
    path = f"/rooms/{server.room}/commands"
    body = {"id": 1, "cmd": "like", "n": 7}
    token = server.seed["host_token"]
    before = server.call("GET", f"/rooms/{server.room}/viewers", token=token).json()["likes"]
    first, again = (server.call("POST", path, body, token=ann).json() for _ in range(2))
    assert first == again == [{"re": 1, "ok": True}]
    assert server.call("GET", f"/rooms/{server.room}/viewers", token=token).json()["likes"] == before + 7


@pytest.mark.parametrize("body", ["[]", '{"cmd":7}', "{", '{"id":-1,"cmd":"like"}'])
def test_a_body_that_is_no_command_is_refused(server: LiveServer, body: str) -> None:
    headers = {"authorization": f"Bearer {server.guest()['token']}"}
    url = f"{server.base}/api/v1/rooms/{server.room}/commands"
    answer = httpx.post(url, content=body, headers=headers, timeout=WAIT_S)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    long = httpx.post(url + "?client=" + "x" * 65, content='{"cmd":"like"}', headers=headers, timeout=WAIT_S)
    assert (long.status_code, long.json()["code"]) == (400, "invalid")


def test_a_ban_outlives_a_restart_and_an_unban_ends_it(own: LiveServer) -> None:
    guest, host = own.guest(device="phone"), own.seed["host_token"]
    assert command(own, host, "ban", person=guest["person"], reason="刷屏")["until"] is None
    own.stop()
    database = read_engine(own.data)
    with database.connect() as connection:
        row = connection.execute(text("SELECT room, person, reason FROM ban")).one()
        assert tuple(row) == (own.room, guest["person"], "刷屏")
    database.dispose()
    own.start()
    # The same phone is the same person.
    again = own.guest(device="phone")
    assert again["person"] == guest["person"]
    refused = httpx.get(f"{own.base}/sse/{own.room}?token={again['token']}", timeout=WAIT_S)
    assert (refused.status_code, refused.json()["code"]) == (403, "banned")
    answer = own.call("POST", f"/rooms/{own.room}/commands", {"cmd": "like"}, token=again["token"])
    assert (answer.status_code, answer.json()["code"]) == (403, "banned")
    assert command(own, host, "unban", person=guest["person"])["ok"]
    with stream(own, again["token"]) as lines:
        until(lines, "room")


def test_what_staff_decided_about_a_room_outlives_a_restart(own: LiveServer) -> None:
    guest, loud, host = own.guest(device="phone"), own.guest(device="pad"), own.seed["host_token"]
    assert command(own, host, "chat.audience", who="followers")["ok"]
    assert command(own, host, "words.set", words=["假货"])["ok"]
    assert command(own, host, "notice.pin", text="七点抽奖")["ok"]
    assert command(own, host, "mute", person=loud["person"], seconds=3_600)["ok"]
    own.kill()
    own.start()
    refused = command(own, guest["token"], "chat.send", text="你好")
    assert refused["error"]["code"] == "followers_only"
    assert command(own, guest["token"], "follow")["on"]
    assert command(own, loud["token"], "follow")["on"]
    with stream(own, guest["token"]) as lines:
        first = until(lines, "room")[1]
        assert (first["rules"], first["pinned"]["text"]) == ({"audience": "followers", "slow_s": 0}, "七点抽奖")
        assert command(own, guest["token"], "chat.send", text="假货吗")["ok"]
        assert until(lines, "chat")[1]["text"] == "**吗"
    error = command(own, loud["token"], "chat.send", text="你好")["error"]
    assert (error["code"], error["retry_ms"] > 60_000) == ("muted", True)
    assert command(own, guest["token"], "follow", on=False)["on"] is False
    assert command(own, guest["token"], "chat.send", text="还在")["error"]["code"] == "followers_only"


def test_the_audit_trail_has_what_staff_did_by_either_door(own: LiveServer) -> None:
    guest, host = own.guest(), own.seed["host_token"]
    room = f"/rooms/{own.room}"
    product = own.call("GET", f"{room}/products").json()[0]["product"]
    with stream(own, guest["token"]) as lines:
        until(lines, "room")
        assert own.call("POST", f"{room}/pin", {"product": product}, token=host).status_code == 200
        assert command(own, host, "unpin", product=product)["ok"]
        message = {"kind": "announcement", "text": "七点", "seconds": 5}
        assert own.call("POST", f"{room}/messages", message, token=host).status_code == 200
        assert until(lines, "announcement")[1]["announcement"]["text"] == "七点"
        kick = {"person": guest["person"], "reason": "刷屏"}
        assert own.call("POST", f"{room}/kick", kick, token=host).status_code == 200
        assert until(lines, "kick")[1]["reason"] == "刷屏"
    items = own.call("GET", f"{room}/audit", token=host).json()["items"]
    assert [item["action"] for item in items] == ["kick", "announce", "unpin", "pin_product"]
    assert (items[0]["person"], items[0]["by"]["role"]) == (guest["person"], "host")
    assert items[3]["detail"]["product"] == product
    page = own.call("GET", f"{room}/audit?limit=3", token=host).json()
    rest = own.call("GET", f"{room}/audit?limit=3&after={page['next']}", token=host).json()
    assert page["items"] + rest["items"] == items and rest["next"] is None
    logged = [json.loads(line) for line in own.log().splitlines() if '"siyu.audit"' in line]
    assert [line["message"] for line in logged] == ["pin_product", "unpin", "announce", "kick"]
    assert logged[-1]["person"] == guest["person"] and logged[-1]["level"] == "info"
    assert own.stop() == 0
    own.start()
    assert own.call("GET", f"{room}/audit", token=host).json()["items"] == items


def test_what_is_for_staff_is_refused_to_viewers_and_to_other_rooms(server: LiveServer) -> None:
    guest, host = server.guest()["token"], server.seed["host_token"]
    room = f"/rooms/{server.room}"
    for method, path, body in (
        ("POST", "/messages", {"text": "x"}),
        ("GET", "/viewers", None),
        ("POST", "/kick", {"person": "x"}),
        ("GET", "/audit", None),
    ):
        assert server.call(method, room + path, body, token=guest).status_code == 403, path
        assert server.call(method, "/rooms/none" + path, body, token=host).status_code == 404, path
    for bad in ({"text": ""}, {"text": "x", "kind": "shout"}, {"text": "a\nb"}, {"text": "x" * 501}, {}):
        answer = server.call("POST", room + "/messages", bad, token=host)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), bad
    me = server.call("POST", room + "/kick", {"person": json.loads(whoami(server))["person"]}, token=host)
    assert (me.status_code, me.json()["code"]) == (403, "forbidden")


def whoami(server: LiveServer) -> str:
    """Who the host is, as the room tells them."""
    with stream(server, server.seed["host_token"]) as lines:
        return json.dumps(until(lines, "room")[1]["you"])


def test_who_has_bought_may_write_where_only_members_may(own: LiveServer) -> None:
    guest, host = own.guest(device="tablet"), own.seed["host_token"]
    assert command(own, host, "chat.audience", who="members")["ok"]
    refused = command(own, guest["token"], "chat.send", text="你好")
    assert refused["error"]["code"] == "members_only"
    sku = own.call("GET", f"/rooms/{own.room}/products").json()[1]["sku"]
    lines = [{"sku": sku, "quantity": 1, "version": 1}]
    order = command(own, guest["token"], "order.create", lines=lines, key="o")["order"]["order"]
    assert command(own, guest["token"], "order.pay", order=order, key="p")["order"]["status"] == "paid"
    deadline = time.monotonic() + WAIT_S
    while "error" in command(own, guest["token"], "chat.send", text="你好"):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    own.stop()
    own.start()
    assert command(own, host, "chat.audience", who="members")["ok"]
    back = own.guest(device="tablet")["token"]
    assert command(own, back, "chat.send", text="又来了")["ok"]
    stranger = own.guest(device="other")["token"]
    assert command(own, stranger, "chat.send", text="?")["error"]["code"] == "members_only"
