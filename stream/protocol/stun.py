"""What an ICE-lite agent needs of STUN: read a binding request, answer it.

Pure. Sources: RFC 8489 (message format, section 5; attributes, section 14), RFC 8445 (ICE attributes, section 16.1,
role conflicts, section 7.3.1.1).

    0                   1                   2                   3
    |0 0|     type (14)             |            length             |
    |                   magic cookie 0x2112A442                     |
    |                   transaction id (96 bits)                    |
    then attributes: type (16), length (16), value padded to 4 bytes
"""

import binascii
import hmac
import ipaddress
import struct
from dataclasses import dataclass
from typing import Final

from stream.errors import StunError

COOKIE: Final = 0x2112A442
HEADER_BYTES: Final = 20
MESSAGE_BYTES_MAX: Final = 1500
"""One datagram of a path without fragments."""
ATTRIBUTES_MAX: Final = 32
"""A browser's check has 6 or 7."""
USERNAME_BYTES_MAX: Final = 513
"""RFC 8489 section 14.3."""

_BINDING_REQUEST: Final = 0x0001
_BINDING_SUCCESS: Final = 0x0101
_BINDING_ERROR: Final = 0x0111
_USERNAME: Final = 0x0006
_MESSAGE_INTEGRITY: Final = 0x0008
_ERROR_CODE: Final = 0x0009
_XOR_MAPPED_ADDRESS: Final = 0x0020
_USE_CANDIDATE: Final = 0x0025
_FINGERPRINT: Final = 0x8028
_ICE_CONTROLLED: Final = 0x8029
_FINGERPRINT_XOR: Final = 0x5354554E
_INTEGRITY_ATTRIBUTE_BYTES: Final = 24
_FINGERPRINT_ATTRIBUTE_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class BindingRequest:
    """A connectivity check: `username` is "ours:theirs"; `signed` and `integrity` are for `authentic`."""

    transaction: bytes
    username: str
    use_candidate: bool
    controlled: bool
    signed: bytes
    integrity: bytes

    def authentic(self, password: str) -> bool:
        """Whether it was signed with our password."""
        return hmac.compare_digest(self.integrity, hmac.digest(password.encode(), self.signed, "sha1"))


def parse_binding_request(data: bytes) -> BindingRequest | None:
    """Read a binding request; None for another STUN message. Raises StunError when it is broken or not signed."""
    if not HEADER_BYTES <= len(data) <= MESSAGE_BYTES_MAX:
        raise StunError("a STUN message has 20 to 1500 bytes")
    kind, length, cookie = struct.unpack_from("!HHI", data)
    if cookie != COOKIE or length % 4 or length != len(data) - HEADER_BYTES:
        raise StunError("the STUN header is broken")
    if kind != _BINDING_REQUEST:
        return None
    username, integrity, signed = "", b"", b""
    use_candidate = controlled = False
    at = HEADER_BYTES
    for _ in range(ATTRIBUTES_MAX):
        if at + 4 > len(data):
            break
        name, size = struct.unpack_from("!HH", data, at)
        value = data[at + 4 : at + 4 + size]
        if len(value) != size:
            raise StunError("a STUN attribute is cut off")
        if name == _FINGERPRINT:
            if size != 4 or int.from_bytes(value, "big") != _fingerprint(data[:at]):
                raise StunError("the STUN fingerprint is wrong")
        elif integrity:
            pass  # RFC 8489 section 14.5: what follows the integrity is not signed and must be ignored
        elif name == _MESSAGE_INTEGRITY:
            if size != 20:
                raise StunError("the STUN integrity has a wrong length")
            integrity, signed = value, _with_length(data[:at], _INTEGRITY_ATTRIBUTE_BYTES)
        elif name == _USERNAME:
            if size > USERNAME_BYTES_MAX or not value.isascii():
                raise StunError("the STUN username is not one")
            username = value.decode("ascii")
        elif name == _USE_CANDIDATE:
            use_candidate = True
        elif name == _ICE_CONTROLLED:
            controlled = True
        at += 4 + size + (-size % 4)
    if not integrity or not username:
        raise StunError("the STUN request is not signed")
    return BindingRequest(data[8:20], username, use_candidate, controlled, signed, integrity)


def binding_success(transaction: bytes, address: str, port: int, password: str) -> bytes:
    """Answer a check: the peer sits at `address`:`port` as seen from here. Signed with our password."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    pad = COOKIE.to_bytes(4, "big") + transaction
    packed = bytes(a ^ b for a, b in zip(ip.packed, pad, strict=False))
    family = 1 if ip.version == 4 else 2
    mapped = struct.pack("!BBH", 0, family, port ^ (COOKIE >> 16)) + packed
    return _signed(_BINDING_SUCCESS, transaction, _XOR_MAPPED_ADDRESS, mapped, password)


def role_conflict(transaction: bytes, password: str) -> bytes:
    """Answer a peer that says it is controlled: an ICE-lite agent never controls (RFC 8445 section 7.3.1.1)."""
    value = struct.pack("!HBB", 0, 4, 87) + b"Role Conflict".ljust(16, b" ")
    return _signed(_BINDING_ERROR, transaction, _ERROR_CODE, value, password)


def _signed(kind: int, transaction: bytes, name: int, value: bytes, password: str) -> bytes:
    body = struct.pack("!HH", name, len(value)) + value
    head = struct.pack("!HHI", kind, len(body), COOKIE) + transaction
    message = head + body
    mac = hmac.digest(password.encode(), _with_length(message, _INTEGRITY_ATTRIBUTE_BYTES), "sha1")
    message += struct.pack("!HH", _MESSAGE_INTEGRITY, 20) + mac
    message += struct.pack("!HHI", _FINGERPRINT, 4, _fingerprint(message))
    return _with_length(message, 0)


def _with_length(message: bytes, following: int) -> bytes:
    """The message with the length that it has when `following` more bytes come (RFC 8489 section 14.5)."""
    return message[:2] + struct.pack("!H", len(message) - HEADER_BYTES + following) + message[4:]


def _fingerprint(message: bytes) -> int:
    return binascii.crc32(_with_length(message, _FINGERPRINT_ATTRIBUTE_BYTES)) ^ _FINGERPRINT_XOR
