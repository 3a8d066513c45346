"""The server's half of the RTMP handshake, simple and complex (RTMP 1.0 section 5.2; the digests are not in it).

    client  C0 version (1)  C1 time (4) version (4) random (1528)  ........................  C2 (1536)
    server  ................................................  S0 (1)  S1 (1536)  S2 (1536)

Simple: S2 is C1 echoed. Complex (Flash Player 9 and later, FFmpeg, librtmp): C1 holds the HMAC-SHA256 digest of all its
other bytes, 32 bytes at a place that four of its bytes add up to. Schema 0 has the digest in the second half of the
random part, schema 1 in the first:

    schema 0   time version key block (764) digest block (764)     offset bytes at 772, digest in 776..1535
    schema 1   time version digest block (764) key block (764)     offset bytes at 8,   digest in 12..771

A digest that fits asks for S1 digested in the same schema, and S2 = 1504 random bytes + their HMAC under a key made of
C1's digest. What C2 says is not checked: several encoders send noise there and publish well.
"""

import hashlib
import hmac

from stream.errors import HandshakeError, LocalError

VERSION = 3
PART_BYTES = 1536
DIGEST_BYTES = 32
ENTROPY_BYTES = (PART_BYTES - 8) + (PART_BYTES - DIGEST_BYTES)
"""Random bytes one handshake uses: for S1 and for S2."""

_SHARED_KEY = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
_PLAYER_KEY = b"Genuine Adobe Flash Player 001"
_SERVER_KEY = b"Genuine Adobe Flash Media Server 001"
_SERVER_VERSION = bytes((4, 5, 0, 1))  # from 3.0 on, clients expect a server that knows digests
_OFFSET_FIELDS = (772, 8)  # by schema


def digest_offset(part: bytes, schema: int) -> int:
    """Say where the digest of a C1 or S1 lies in the given schema (0 or 1)."""
    field = _OFFSET_FIELDS[schema]
    return sum(part[field : field + 4]) % 728 + field + 4


def make_digest(part: bytes, offset: int, key: bytes) -> bytes:
    """HMAC-SHA256 of a C1 or S1 without the 32 bytes at `offset`."""
    return hmac.digest(key, part[:offset] + part[offset + DIGEST_BYTES :], hashlib.sha256)


def find_digest(c1: bytes) -> tuple[int, bytes] | None:
    """Return (schema, digest) when C1 carries a client's digest that fits, else None: a simple handshake."""
    for schema in (0, 1):
        offset = digest_offset(c1, schema)
        digest = c1[offset : offset + DIGEST_BYTES]
        if hmac.compare_digest(digest, make_digest(c1, offset, _PLAYER_KEY)):
            return schema, digest
    return None


class ServerHandshake:
    """Takes C0, C1 and C2 in any split and answers S0, S1 and S2.

    `entropy` is `ENTROPY_BYTES` random bytes. When `finished`, `trailing` holds what came after C2: chunks already.
    """

    def __init__(self, entropy: bytes) -> None:
        if len(entropy) != ENTROPY_BYTES:
            raise LocalError(f"a handshake takes {ENTROPY_BYTES} random bytes")
        self._entropy = entropy
        self._received = bytearray()
        self._answered = False
        self._out = b""
        self.finished = False
        self.trailing = b""
        self.digested = False

    def receive_data(self, data: bytes) -> None:
        """Take bytes of the peer. Raises HandshakeError when its first byte is not RTMP version 3."""
        if self.finished:
            raise LocalError("the handshake is over")
        received = self._received
        received += data
        if received and received[0] != VERSION:
            # 6 and 8 are RTMPE, anything else another protocol: there is no use in waiting for 1,536 bytes of it.
            raise HandshakeError(f"first byte is 0x{received[0]:02x}, not RTMP version 3")
        if not self._answered and len(received) >= 1 + PART_BYTES:
            self._answered = True
            self._out = self._answer(bytes(received[1 : 1 + PART_BYTES]))
        if len(received) >= 1 + 2 * PART_BYTES:
            self.finished = True
            self.trailing = bytes(received[1 + 2 * PART_BYTES :])
            self._received = bytearray()

    def data_to_send(self) -> bytes:
        """Return S0, S1 and S2 once, as soon as C1 is there; else nothing."""
        out, self._out = self._out, b""
        return out

    def _answer(self, c1: bytes) -> bytes:
        found = find_digest(c1)
        random_1, random_2 = self._entropy[: PART_BYTES - 8], self._entropy[PART_BYTES - 8 :]
        if found is None:
            return bytes((VERSION,)) + bytes(8) + random_1 + c1
        self.digested = True
        schema, client_digest = found
        s1 = bytes(4) + _SERVER_VERSION + random_1
        offset = digest_offset(s1, schema)
        s1 = s1[:offset] + make_digest(s1, offset, _SERVER_KEY) + s1[offset + DIGEST_BYTES :]
        key = hmac.digest(_SERVER_KEY + _SHARED_KEY, client_digest, hashlib.sha256)
        return bytes((VERSION,)) + s1 + random_2 + hmac.digest(key, random_2, hashlib.sha256)
