"""Callbacks of WeChat and WeCom: what is opened, and what is refused."""

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commerce.callback_crypt import (
    BODY_BYTES_MAX,
    CallbackError,
    CallbackKeys,
    open_message,
    open_text,
    read_fields,
    seal_text,
    signature,
)

# The documented example's keys (developer.work.weixin.qq.com/document/path/90968).
KEYS = CallbackKeys("QDG6eK", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", "wx5823bf96d3bd56c7")
ECHO = "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="
ASKED = {"msg_signature": "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3", "timestamp": "1409659589", "nonce": "263014780"}


def sealed(text: str, keys: CallbackKeys = KEYS) -> tuple[dict[str, str], str]:
    encrypted = seal_text(keys, text, bytes(16))
    return {"msg_signature": signature(keys.token, "1", "2", encrypted), "timestamp": "1", "nonce": "2"}, encrypted


def test_the_documents_own_example_is_opened() -> None:
    assert open_text(KEYS, ASKED, ECHO) == "1616140317555161061"


@given(st.text(max_size=200))
def test_what_is_sealed_is_opened(text: str) -> None:
    assert open_text(KEYS, *sealed(text)) == text


def test_a_message_gives_its_fields_and_those_inside_by_dots() -> None:
    query, encrypted = sealed("<xml><Event><![CDATA[change]]></Event><Scan><Text>a &amp; b</Text></Scan></xml>")
    body = f"<xml><ToUserName>x</ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>".encode()
    assert open_message(KEYS, query, body) == {"Event": "change", "Scan": "", "Scan.Text": "a & b"}
    query, encrypted = sealed('{"Event": "user_authorization_revoke", "RevokeInfo": 301}')
    assert open_message(KEYS, query, f'{{"Encrypt": "{encrypted}"}}'.encode())["RevokeInfo"] == "301"


@pytest.mark.parametrize(
    ("query", "encrypted", "why"),
    [
        ({**ASKED, "nonce": "1"}, ECHO, "signature"),
        ({}, ECHO, "signature"),
        ({**ASKED, "msg_signature": "ü"}, ECHO, "signature"),
    ],
)
def test_a_forged_callback_is_refused(query: dict[str, str], encrypted: str, why: str) -> None:
    with pytest.raises(CallbackError, match=why):
        open_text(KEYS, query, encrypted)


def test_a_callback_for_another_app_or_with_another_key_is_refused() -> None:
    with pytest.raises(CallbackError, match="another receiver"):
        open_text(KEYS, *sealed("hello", replace(KEYS, receiver="wx0000000000000000")))
    with pytest.raises(CallbackError):
        open_text(KEYS, *sealed("hello", replace(KEYS, aes_key="A" * 43)))


@pytest.mark.parametrize(
    "text", ["", "not base64!", base64.b64encode(b"x" * 15).decode(), base64.b64encode(b"x" * 32).decode()]
)
def test_a_broken_message_is_refused(text: str) -> None:
    query = {"msg_signature": signature(KEYS.token, "1", "2", text), "timestamp": "1", "nonce": "2"}
    with pytest.raises(CallbackError):
        open_text(KEYS, query, text)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"<xml>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><xml><Encrypt>&a;</Encrypt></xml>',
        b"<xml>" + b"x" * BODY_BYTES_MAX + b"</xml>",
        b"<xml>" + b"<a/>" * 300 + b"</xml>",
    ],
)
def test_a_body_that_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(CallbackError):
        if not read_fields(body).get("Encrypt"):
            raise CallbackError("nothing in it")


@pytest.mark.parametrize("key", ["", "short", "A" * 42 + "!", "A" * 44])
def test_a_key_of_the_wrong_form_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="EncodingAESKey"):
        CallbackKeys("t", key, "r")
