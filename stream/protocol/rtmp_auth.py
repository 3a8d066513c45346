"""`rtmp://USER:PASSWORD@HOST/…`: the two challenges that encoders answer, pure (no clock, no random).

Neither is in the RTMP specification; this is what FFmpeg (libavformat/rtmpproto.c), librtmp and OBS do. The server
refuses connect with a description, the encoder comes back on a new connection with more in its query:

    1  connect app=live                                   → _error  code=403 need auth; authmod=adobe
    2  connect app=live?authmod=adobe&user=U              → _error  ?reason=needauth&user=U&salt=…&challenge=…&opaque=…
    3  connect app=live?authmod=adobe&user=U&challenge=C2&response=R&opaque=O      → _result

    adobe  R = b64(md5(b64(md5(U + salt + PASSWORD)) + opaque + C2))
    llnw   R = hex(md5(H1 : nonce : nc : cnonce : auth : H2)), H1 = hex(md5(U : live : PASSWORD)),
           H2 = hex(md5(publish : /APP))

MD5 is theirs; a stream key of 22 random characters stands behind it, and a challenge is good for one answer.
Here U is the room and PASSWORD its stream key. Whoever knows the key checks a `Proof`; it holds no secret itself.
"""

import hmac
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import md5

MODES = ("adobe", "llnw")

NEED_AUTH = "[ AccessManager.Reject ] : [ code=403 need auth; authmod={mode} ] : "
_CHALLENGE = "[ AccessManager.Reject ] : [ authmod={mode} ] : ?reason=needauth&user={user}"
FAILED = "[ AccessManager.Reject ] : [ authmod={mode} ] : ?reason=authfailed&opaque="


@dataclass(frozen=True, slots=True)
class Proof:
    """An answered challenge: says whether a password is the one that the peer has."""

    mode: str
    user: str
    nonce: str
    """What we sent: adobe's opaque and challenge, llnw's nonce."""
    salt: str
    count: str
    counter: str
    """What the peer chose: adobe's second challenge, llnw's cnonce (`count` is its nc)."""
    app: str
    response: str = field(repr=False)

    def matches(self, password: str) -> bool:
        """Compare in constant time."""
        expected = self._adobe(password) if self.mode == "adobe" else self._llnw(password)
        return hmac.compare_digest(expected.encode(), self.response.encode("utf-8", "replace"))

    def _adobe(self, password: str) -> str:
        first = _base64_md5(self.user + self.salt + password)
        return _base64_md5(first + self.nonce + self.counter)

    def _llnw(self, password: str) -> str:
        first = _hex_md5(f"{self.user}:live:{password}")
        path = self.app if "/" in self.app else f"{self.app}/_definst_"
        second = _hex_md5(f"publish:/{path}")
        return _hex_md5(f"{first}:{self.nonce}:{self.count}:{self.counter}:auth:{second}")


def challenge(mode: str, user: str, nonce: str) -> str:
    """Give the description of the second refusal. `nonce` is hex; adobe's salt is its first half."""
    start = _CHALLENGE.format(mode=mode, user=user)
    if mode == "adobe":
        return f"{start}&salt={salt_of(nonce)}&challenge={nonce}&opaque={nonce}"
    return f"{start}&nonce={nonce}"


def salt_of(nonce: str) -> str:
    """Give adobe's salt that belongs to a nonce."""
    return nonce[: len(nonce) // 2]


def nonce_of(query: Mapping[str, str]) -> str:
    """Give the nonce that an answer in `query` is for; empty when there is none."""
    return query.get("opaque" if query.get("authmod") == "adobe" else "nonce", "")


def read_proof(query: Mapping[str, str], app: str) -> Proof | None:
    """Read the answer to a challenge; None when something of it is missing. `app` is the one connected to."""
    mode, user, nonce = query.get("authmod", ""), query.get("user", ""), nonce_of(query)
    # Base64 comes as it is, and a query's "+" is read as a space.
    response = query.get("response", "").replace(" ", "+")
    counter = query.get("challenge" if mode == "adobe" else "cnonce", "").replace(" ", "+")
    if mode not in MODES or not (user and nonce and response and counter):
        return None
    return Proof(mode, user, nonce, salt_of(nonce), query.get("nc", ""), counter, app, response)


def _base64_md5(text: str) -> str:
    return b64encode(bytes.fromhex(_hex_md5(text))).decode()


def _hex_md5(text: str) -> str:
    return md5(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
