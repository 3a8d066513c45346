"""What a client of the load test remembers, and when it comes back."""

from typing import Any

import orjson
import pytest

from loadtest.hub_session import BACKOFF_MS_MAX, HubSession, ProtocolBreach, return_after_ms


def room(offset: int, epoch: str = "e1", **more: Any) -> dict[str, Any]:
    return {"t": "room", "epoch": epoch, "offset": offset, "resumed": False, "now": 1, **more}


def frame(*items: Any) -> bytes:
    return orjson.dumps(list(items))


def test_a_client_resumes_after_the_last_event_it_saw() -> None:
    session = HubSession()
    assert session.since == ""
    session.receive(frame(room(5)))
    session.receive(frame({"t": "chat", "o": 6, "now": 9}, {"t": "likes", "n": 3}))
    assert session.since == "e1:6"


def test_an_event_that_comes_twice_is_counted() -> None:
    session = HubSession()
    session.receive(frame(room(5)))
    assert session.receive(frame({"t": "chat", "o": 6}, {"t": "chat", "o": 7})).disorder == 0
    assert session.receive(frame({"t": "chat", "o": 7})).disorder == 1


def test_personal_events_are_acknowledged_once_by_the_highest() -> None:
    session = HubSession()
    session.receive(frame(room(1)))
    got = session.receive(frame({"t": "coupon", "a": 1}, {"t": "order", "a": 2}))
    assert got.ack == 2
    again = session.receive(frame({"t": "order", "a": 2}))
    assert again.ack is None
    assert again.events == []
    assert orjson.loads(session.acknowledgement(2)) == {"cmd": "ack", "to": 2}


def test_a_new_epoch_counts_personal_events_afresh() -> None:
    session = HubSession()
    session.receive(frame(room(1), {"t": "order", "a": 4}))
    assert session.receive(frame(room(1, "e2"), {"t": "order", "a": 1})).ack == 1


def test_answers_are_given_by_the_command_s_id() -> None:
    session = HubSession()
    number, data = session.command("sale.hold", {"sale": "s", "quantity": 1})
    assert orjson.loads(data) == {"id": number, "cmd": "sale.hold", "sale": "s", "quantity": 1}
    assert session.receive(frame({"re": number, "ok": True})).answers == {number: {"re": number, "ok": True}}
    assert session.command("like", {"n": 1})[0] != number


def test_the_age_of_a_frame_is_that_of_its_oldest_dated_event() -> None:
    session = HubSession()
    session.receive(frame(room(1)))
    assert session.receive(frame({"t": "chat", "o": 2, "now": 50}, {"t": "chat", "o": 3, "now": 40})).oldest_ms == 40
    assert session.receive(frame({"t": "likes", "n": 1})).oldest_ms is None


@pytest.mark.parametrize("data", [b"", b"{}", b'[{"x":1}]', b"\xff"])
def test_a_frame_that_the_protocol_does_not_know_is_said_plainly(data: bytes) -> None:
    with pytest.raises(ProtocolBreach):
        HubSession().receive(data)


@pytest.mark.parametrize("code", [4400, 4401, 4403, 4404, 4413, 4429])
def test_a_client_told_not_to_come_back_does_not(code: int) -> None:
    assert return_after_ms(code, "retry_ms=5", 0, 0.5) is None


def test_a_client_told_when_to_come_back_comes_then() -> None:
    assert return_after_ms(4229, "too many joins retry_ms=700", 0, 0.5) == 700
    assert return_after_ms(4229, "too many joins", 0, 0.5) is not None


def test_after_a_drain_clients_come_back_spread_over_the_time_in_the_reason() -> None:
    assert return_after_ms(4000, "restart retry_ms=4000", 0, 0.0) == 0
    assert return_after_ms(4000, "restart retry_ms=4000", 0, 0.5) == 2000


@pytest.mark.parametrize("code", [1006, 1011, 4008])
def test_a_client_that_was_lost_backs_off_more_each_time_up_to_a_bound(code: int) -> None:
    waits = [return_after_ms(code, "", attempt, 0.0) for attempt in (0, 1, 2, 3, 50)]
    assert waits == [0, 1000, 2000, 4000, BACKOFF_MS_MAX]
