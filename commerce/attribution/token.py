"""Link tokens: short opaque text that names a share link and cannot be guessed.

Layout, 18 characters, each of ``0-9A-Za-z``::

    version (1) | link id (11) | MAC (6)

The link id is 64 bits: 42 of Unix milliseconds (until the year 2109) over 22 of entropy. The MAC is HMAC-SHA256 over
version and id, cut to 62^6 values (35.7 bits): a stranger who tries tokens hits one in 56 billion.

18 characters fit a mini-program ``scene`` (at most 32 of ``0-9a-zA-Z!#$&'()*+,/:;=?@-._~``, getUnlimitedQRCode) and a
WeCom ``state`` (at most 30, add_contact_way), with room for a prefix; the house limit is 22.

Expiry, issuer and room are in the link's row, not in the token. Nothing here raises on what a viewer sends: a bad token
is a reason for the touch log.
"""

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
VERSION = "1"
ID_CHARACTERS = 11  # 62^11 > 2^64
MAC_CHARACTERS = 6  # 35.7 bits; 5 would be 29.8, below the 30 asked for
TOKEN_CHARACTERS = 1 + ID_CHARACTERS + MAC_CHARACTERS
SECRET_BYTES_MIN = 16  # below this the MAC is weaker than its length says

_ENTROPY_BITS = 22
_MS_BITS = 42
_MAC_VALUES = len(ALPHABET) ** MAC_CHARACTERS
_LABEL = b"siyu link token\x00"  # keeps this MAC apart from others made with the same secret
_CHARACTERS = frozenset(ALPHABET)


class TokenProblem(StrEnum):
    """Why a token gives no link."""

    BAD_CHARACTERS = "bad_characters"
    FOREIGN_VERSION = "foreign_version"
    TRUNCATED = "truncated"
    TOO_LONG = "too_long"
    FORGED = "forged"


@dataclass(frozen=True, slots=True)
class ParsedToken:
    """What :func:`parse` found: ``link`` (the id) or, where that is ``None``, ``problem``."""

    link: str | None
    problem: TokenProblem | None


def new_link_id(now_ms: int, entropy: int) -> str:
    """Make a link id of 11 characters that sorts by time.

    ``now_ms`` is Unix milliseconds, ``entropy`` any non-negative integer (its low 22 bits count). Raises ``ValueError``
    when the time does not fit 42 bits.
    """
    if not 0 <= now_ms < 1 << _MS_BITS:
        raise ValueError(f"time {now_ms} ms is outside 42 bits")
    return _encode(now_ms << _ENTROPY_BITS | entropy & ((1 << _ENTROPY_BITS) - 1), ID_CHARACTERS)


def mint(link: str, secret: bytes) -> str:
    """Write the token of a link id. Raises ``ValueError`` on a malformed id or a secret under 16 bytes."""
    if len(link) != ID_CHARACTERS or not _CHARACTERS.issuperset(link):
        raise ValueError("a link id is 11 characters of base62")
    return f"{VERSION}{link}{_mac(link, secret)}"


def parse(token: str, secret: bytes) -> ParsedToken:
    """Read a token from outside: the link id, or the reason why there is none. Never raises on the token."""
    if not token:
        return ParsedToken(None, TokenProblem.TRUNCATED)
    if not _CHARACTERS.issuperset(token):
        return ParsedToken(None, TokenProblem.BAD_CHARACTERS)
    if token[0] != VERSION:
        return ParsedToken(None, TokenProblem.FOREIGN_VERSION)
    if len(token) < TOKEN_CHARACTERS:
        return ParsedToken(None, TokenProblem.TRUNCATED)
    if len(token) > TOKEN_CHARACTERS:
        return ParsedToken(None, TokenProblem.TOO_LONG)
    link, mac = token[1 : 1 + ID_CHARACTERS], token[1 + ID_CHARACTERS :]
    if not hmac.compare_digest(mac, _mac(link, secret)):
        return ParsedToken(None, TokenProblem.FORGED)
    return ParsedToken(link, None)


def _mac(link: str, secret: bytes) -> str:
    if len(secret) < SECRET_BYTES_MIN:
        raise ValueError(f"the token secret needs at least {SECRET_BYTES_MIN} bytes")
    digest = hmac.digest(secret, _LABEL + VERSION.encode() + link.encode(), hashlib.sha256)
    return _encode(int.from_bytes(digest[:16], "big") % _MAC_VALUES, MAC_CHARACTERS)


def _encode(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
