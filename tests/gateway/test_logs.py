"""Logs: structured, and no key or token passes."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from commerce.errors import Busy, StoreError
from gateway.auth import Tokens
from gateway.logs import REPEATS_KEPT_MAX, JsonFormatter, PlainFormatter, Repeats, redact

JWT = Tokens(bytes(32), ttl_s=60, clock=lambda: 1_800_000_000_000).mint(
    person="p", name="n", role="viewer", merchant="m", room="r"
)[0]


@pytest.mark.parametrize(
    "text",
    [
        "rtmp://h/live/ROOM?key=SECRET99 refused",
        "GET /ws/ROOM?token=SECRET99&since=a:1",
        '{"stream_key": "SECRET99"}',
        "{'password': 'SECRET99', 'login': 'x'}",
        "Authorization: Bearer SECRET99",
        "secret=SECRET99",
        'body: "{\\"token\\":\\"SECRET99\\"}"',
        "viewer_token: SECRET99,",
    ],
)
def test_a_named_secret_is_redacted(text: str) -> None:
    assert "SECRET99" not in redact(text)
    assert "[redacted]" in redact(text)


def test_a_token_that_stands_alone_is_redacted() -> None:
    assert JWT not in redact(f"odd thing {JWT} here")


def test_what_is_no_secret_stays() -> None:
    text = "room r1 has 3 viewers, a key frame each 2 s, tokens are fine"
    assert redact(text) == text


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("siyu.test", logging.WARNING, "f", 1, message, (), None)
    made.__dict__.update(extra)
    return made


def test_a_line_is_json_with_its_fields() -> None:
    line = json.loads(JsonFormatter().format(record("joined", fields={"room": "r1", "viewers": 3})))
    assert line["level"] == "warning" and line["message"] == "joined" and line["room"] == "r1" and line["viewers"] == 3


@pytest.mark.parametrize("formatter", [JsonFormatter(), PlainFormatter()])
def test_a_traceback_is_redacted_too(formatter: logging.Formatter) -> None:
    made = record("broke")
    try:
        raise ValueError(f"bad url rtmp://h/live/r?key=SECRET99 and {JWT}")
    except ValueError:
        made.exc_info = sys.exc_info()
    line = formatter.format(made)
    assert "ValueError" in line and "SECRET99" not in line and JWT not in line


@pytest.mark.parametrize("error", [Busy("the database did not answer"), StoreError("no database"), TimeoutError()])
def test_what_is_no_fault_of_ours_is_a_sentence_and_no_traceback(error: Exception) -> None:
    made = record("trying again")
    made.exc_info = (type(error), error, error.__traceback__)
    line = json.loads(JsonFormatter().format(made))
    assert line["error"] == f"{type(error).__name__}: {error}" and "traceback" not in line
    assert PlainFormatter().format(made).endswith(f"siyu.test: trying again error={type(error).__name__}: {error}")


def test_a_fault_of_every_batch_is_said_three_times_in_ten_seconds_and_then_how_often() -> None:
    now_s = [0.0]
    repeats = Repeats(lambda: now_s[0])
    said = [repeats.filter(record("disk is full")) for _ in range(500)]
    assert said == [True] * 3 + [False] * 497
    assert repeats.filter(record("disk is full", exc_info=(OSError, OSError(5, "another fault"), None)))
    now_s[0] = 10.0
    again = record("disk is full", fields={})
    assert repeats.filter(again)
    assert json.loads(JsonFormatter().format(again))["repeated"] == 497


def test_lines_that_differ_in_a_word_and_what_staff_did_are_all_said() -> None:
    repeats = Repeats(lambda: 0.0)
    many = REPEATS_KEPT_MAX + 50
    assert all(repeats.filter(record(f"order {number} differs")) for number in range(many))
    assert all(repeats.filter(record("lost", fields={"room": number})) for number in range(9))
    told = record("mute")
    told.levelno = logging.INFO
    assert all(repeats.filter(told) for _ in range(9))
