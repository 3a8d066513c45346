"""The log of a real evening, read line by line: JSON, and no key, token or password in it."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.harness import LiveServer, live_server
from tests.integration.outsiders import PATIENCE_S, FlvPlayer, exchange, publish, publishing, wait_until
from tests.outside import need

WRONG_KEY = "WRONGkeyWRONGkeyWRONGk"
WRONG_PASSWORD = "hunter2-never-log-me"
FOREIGN_AUTHORIZATION = "Zm9yZWlnbjphdXRob3JpemF0aW9u"
LEVELS = {"debug", "info", "warning", "error", "critical"}


@dataclass
class Diary:
    """Everything the server wrote, and what must not be in it."""

    log: str
    said: str
    secrets: dict[str, str]

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.splitlines()]


def _visit(server: LiveServer, secrets: dict[str, str]) -> None:
    """Do what hosts, viewers, staff and strangers do, right and wrong."""
    guest = server.guest()["token"]
    secrets |= {"guest": guest, "wrong key": WRONG_KEY, "wrong password": WRONG_PASSWORD}
    wrong = publish(server.publish_url.replace(server.seed["stream_key"], WRONG_KEY), seconds=5)
    wrong.communicate(timeout=PATIENCE_S)
    # A key that was typed where the room belongs, and one in the server's address.
    for url in (
        f"rtmp://127.0.0.1:{server.rtmp_port}/live/{server.seed['stream_key']}",
        f"rtmp://127.0.0.1:{server.rtmp_port}/live?key={WRONG_KEY}/{server.room}",
    ):
        publish(url, seconds=5).communicate(timeout=PATIENCE_S)
    with publishing(server.publish_url):
        player = FlvPlayer(server, query=f"?token={guest}")
        wait_until(lambda: player.frames(), "a picture")
        second = publish(server.publish_url, seconds=5)
        second.communicate(timeout=PATIENCE_S)
        with connect(server.ws_url(guest)) as hub:
            hub.send(json.dumps({"id": 1, "cmd": "chat.send", "text": "你好"}))
            hub.send("no json")
            with contextlib.suppress(ConnectionClosed):
                while True:
                    hub.recv(PATIENCE_S)
        for token in (guest + "x", "nonsense"):
            with connect(server.ws_url(token)) as hub, contextlib.suppress(ConnectionClosed):
                hub.recv(PATIENCE_S)
        player.leave()
    login = server.seed["logins"]["merchant"]
    secrets["staff token"] = server.call("POST", "/auth/login", login).json()["token"]
    server.call("POST", "/auth/login", {"login": login["login"], "password": WRONG_PASSWORD})
    headers = {"authorization": f"Basic {FOREIGN_AUTHORIZATION}"}
    httpx.get(f"{server.base}/api/v1/orders?token={guest}", headers=headers, timeout=PATIENCE_S)
    exchange(server, f"GARBAGE /?token={guest}\r\nAuthorization: Bearer {guest}\r\n\r\n".encode())


def _break(server: LiveServer, token: str) -> None:
    """Take a table away under the running server: an error of ours, with a request that holds a token."""
    with contextlib.closing(sqlite3.connect(server.data / "shop.db", timeout=PATIENCE_S)) as database:
        database.execute("ALTER TABLE orders RENAME TO orders_gone")
        database.commit()
    answer = httpx.get(
        f"{server.base}/api/v1/orders?token={token}",
        headers={"authorization": f"Bearer {token}"},
        timeout=PATIENCE_S,
    )
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "orders_gone" not in answer.text
    assert "no such table" not in answer.text


@pytest.fixture(scope="module")
def diary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Diary]:
    need("ffmpeg")
    # At this level libraries talk, too: what they are told must not hold a secret either.
    with live_server(tmp_path_factory.mktemp("logs"), flags=["--log-level", "debug"]) as server:
        secrets = {name: server.seed[name] for name in ("stream_key", "host_token", "viewer_token", "merchant_token")}
        secrets |= {f"password of {role}": login["password"] for role, login in server.seed["logins"].items()}
        secrets["authorization"] = FOREIGN_AUTHORIZATION
        secrets["root secret"] = (server.data / "secret.key").read_text().strip()
        _visit(server, secrets)
        _break(server, secrets["guest"])
        server.stop()
        yield Diary(server.log(), server.said(), secrets)


def test_no_key_no_token_and_no_password_is_written_anywhere(diary: Diary) -> None:
    for name, secret in diary.secrets.items():
        assert len(secret) > 8
        # A part of it would do for a thief as well: JWTs are compared by their signature, too.
        for part in {secret, secret.rpartition(".")[2]}:
            assert part not in diary.log, name
            assert part not in diary.said, name


def test_nothing_that_looks_like_a_token_is_written(diary: Diary) -> None:
    assert re.findall(r"eyJ[A-Za-z0-9_-]{10,}", diary.log) == []
    assert re.findall(r"(?i)bearer (?!\[redacted\])\S+", diary.log) == []


def test_every_line_is_json_with_time_level_logger_and_message(diary: Diary) -> None:
    assert len(diary.lines) > 10
    for line in diary.lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(line["time"]))
        assert line["level"] in LEVELS
        assert line["logger"]
        assert line["message"]


def test_an_error_of_ours_is_logged_with_its_traceback(diary: Diary) -> None:
    broken = [line for line in diary.lines if line["level"] == "error" and line["logger"] == "siyu.api"]
    assert len(broken) == 1
    assert "no such table: orders" in str(broken[0]["traceback"])


def test_hosts_are_logged_with_room_and_reason(diary: Diary) -> None:
    messages = [str(line["message"]) for line in diary.lines if line["logger"] == "siyu.rtmp"]
    assert any(message.endswith("publishes") for message in messages)
    assert any("rejected: NetStream.Publish.BadName" in message for message in messages)
    assert any("a second host" in message for message in messages)
