"""The load test's WebSocket client against the real hub."""

from pathlib import Path
from threading import Thread

import orjson
import pytest

from loadtest.hub_client import HubClient, HubLost, hub_url
from loadtest.hub_session import HubSession
from tests.harness import live_server


def test_the_client_joins_speaks_resumes_and_is_told_why_it_was_closed(tmp_path: Path) -> None:
    with live_server(tmp_path) as server:
        token = server.guest()["token"]
        session = HubSession()
        client = HubClient(hub_url(server.base, server.room, token, ""), server.base)
        assert session.receive(client.read()).room is not None
        number, data = session.command("chat.send", {"text": "主播好！"})
        client.send(data)
        answers: dict[int, object] = {}
        seen: list[str] = []
        while number not in answers or "chat" not in seen:
            frame = session.receive(client.read())
            answers |= frame.answers
            seen += [event["t"] for event in frame.events]
        client.close()

        again = HubClient(hub_url(server.base, server.room, token, session.since), server.base)
        entered = session.receive(again.read()).room
        assert entered is not None
        assert entered["resumed"] is True

        # One greenlet (here a thread) reads while another sends.
        reasons: list[HubLost] = []

        def read() -> None:
            try:
                while True:
                    again.read()
            except HubLost as lost:
                reasons.append(lost)

        reader = Thread(target=read)
        reader.start()
        again.send(orjson.dumps("no command"))
        reader.join(10)
        assert [lost.code for lost in reasons] == [4400]
        again.close()


def test_a_bad_token_and_a_closed_port_are_both_a_lost_connection(tmp_path: Path) -> None:
    with live_server(tmp_path) as server:
        client = HubClient(hub_url(server.base, server.room, "forged", ""), server.base)
        with pytest.raises(HubLost) as lost:
            client.read()
        assert lost.value.code == 4401
        client.close()
        base = server.base
    with pytest.raises(OSError):
        HubClient(hub_url(base, "room", "token", ""), base)


def test_a_secure_page_asks_for_a_secure_socket() -> None:
    assert hub_url("https://shop.example", "r", "t&x", "e:7") == "wss://shop.example/ws/r?token=t%26x&since=e%3A7"
