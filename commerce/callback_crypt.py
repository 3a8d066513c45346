"""Callbacks of WeChat and WeCom: both are signed and encrypted in the same way.

The address is asked with ``timestamp``, ``nonce`` and ``msg_signature``; the body is XML (mini-programs: perhaps JSON)
with one field ``Encrypt``. A WeCom address is first tried by GET with ``echostr``, whose content is the answer.

    msg_signature  SHA-1, in hex, of token, timestamp, nonce and the encrypted text, sorted and put together
    Encrypt        base64 of AES-256-CBC, key = base64 of EncodingAESKey + "=", IV = the key's first 16 bytes
    its content    16 random bytes | length, 4 bytes, big-endian | message | receiver (corp id, appid)
    its padding    PKCS #7 with blocks of 32 bytes

Sources: developer.work.weixin.qq.com/document/path/90968; developers.weixin.qq.com/doc/oplatform, "消息加解密".
Pure: whoever encrypts gives the random bytes.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KEY_CHARACTERS = 43
"""Of an EncodingAESKey: 32 bytes in base64 without the "=" at the end."""
ENTROPY_BYTES = 16
BODY_BYTES_MAX = 256 * 1024
"""Of a callback's body; events are some hundred bytes, an article that a customer sent at most some ten thousand."""
FIELDS_MAX = 200
"""Fields of one message."""
_BLOCK_BYTES = 32
_LENGTH_BYTES = 4


class CallbackError(ValueError):
    """A callback that is not the provider's, or not for us: forged, foreign or broken. The text says which."""


@dataclass(frozen=True, slots=True)
class CallbackKeys:
    """What a merchant set at the provider's console: ``receiver`` is the corp id or appid that must be meant.

    Raises ValueError for an EncodingAESKey of the wrong form.
    """

    token: str
    aes_key: str
    receiver: str

    def __post_init__(self) -> None:
        _key_bytes(self.aes_key)


def signature(token: str, timestamp: str, nonce: str, encrypted: str) -> str:
    """The signature of a callback."""
    return hashlib.sha1("".join(sorted((token, timestamp, nonce, encrypted))).encode()).hexdigest()  # noqa: S324


def open_text(keys: CallbackKeys, query: Mapping[str, str], encrypted: str) -> str:
    """What an encrypted text of a callback (or ``echostr``) says. Raises CallbackError."""
    expected = signature(keys.token, query.get("timestamp", ""), query.get("nonce", ""), encrypted)
    if not hmac.compare_digest(expected.encode(), query.get("msg_signature", "").encode()):
        raise CallbackError("the signature is wrong")
    return _decrypt(keys, encrypted)


def open_message(keys: CallbackKeys, query: Mapping[str, str], body: bytes) -> dict[str, str]:
    """The fields of a callback's message, those inside others by their names with dots. Raises CallbackError."""
    encrypted = read_fields(body).get("Encrypt")
    if not encrypted:
        raise CallbackError("the body has no encrypted message")
    return read_fields(open_text(keys, query, encrypted).encode())


def seal_text(keys: CallbackKeys, text: str, entropy: bytes) -> str:
    """Encrypt a text as the provider does; ``entropy`` is 16 random bytes."""
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"entropy is {ENTROPY_BYTES} bytes")
    message = text.encode()
    content = entropy + len(message).to_bytes(_LENGTH_BYTES, "big") + message + keys.receiver.encode()
    padding = _BLOCK_BYTES - len(content) % _BLOCK_BYTES
    key = _key_bytes(keys.aes_key)
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(encryptor.update(content + bytes([padding]) * padding) + encryptor.finalize()).decode()


def read_fields(body: bytes) -> dict[str, str]:
    """Fields of a message in XML, or in JSON. Raises CallbackError."""
    if len(body) > BODY_BYTES_MAX:
        raise CallbackError(f"a callback has at most {BODY_BYTES_MAX} bytes")
    if body.lstrip()[:1] == b"{":
        return _json_fields(body)
    # A message has no document type: without one there are no entities to grow.
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise CallbackError("the body has a document type")
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - no entities, see above
    except ElementTree.ParseError as error:
        raise CallbackError(f"the body is not XML: {error}") from error
    found: dict[str, str] = {}
    for element in root:
        for name, text in ((element.tag, element), *((f"{element.tag}.{one.tag}", one) for one in element)):
            if len(found) >= FIELDS_MAX:
                raise CallbackError(f"a message has at most {FIELDS_MAX} fields")
            found[name] = (text.text or "").strip()
    return found


def _json_fields(body: bytes) -> dict[str, str]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CallbackError("the body is not JSON") from error
    if len(found) > FIELDS_MAX:
        raise CallbackError(f"a message has at most {FIELDS_MAX} fields")
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}


def _key_bytes(aes_key: str) -> bytes:
    try:
        key = base64.b64decode(aes_key + "=", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("EncodingAESKey is base64") from error
    if len(aes_key) != KEY_CHARACTERS or len(key) != _BLOCK_BYTES:
        raise ValueError(f"EncodingAESKey has {KEY_CHARACTERS} letters and digits")
    return key


def _decrypt(keys: CallbackKeys, encrypted: str) -> str:
    key = _key_bytes(keys.aes_key)
    try:
        sealed = base64.b64decode(encrypted, validate=True)
        decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
        content = decryptor.update(sealed) + decryptor.finalize()
    except (binascii.Error, ValueError) as error:
        raise CallbackError("the message cannot be decrypted") from error
    padding = content[-1] if content else 0
    head = ENTROPY_BYTES + _LENGTH_BYTES
    if not 1 <= padding <= _BLOCK_BYTES or len(content) < head + padding:
        raise CallbackError("the message cannot be decrypted")
    content = content[:-padding]
    end = head + int.from_bytes(content[ENTROPY_BYTES:head], "big")
    if end > len(content):
        raise CallbackError("the message is cut off")
    if content[end:] != keys.receiver.encode():
        raise CallbackError("the message is for another receiver")
    try:
        return content[head:end].decode()
    except UnicodeDecodeError as error:
        raise CallbackError("the message is not UTF-8") from error
