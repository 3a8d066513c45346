"""Time-ordered opaque ids: 20 characters of Crockford base32 in lower case.

Layout, most significant first: 45 bits of Unix milliseconds (9 characters, good until the year 3084), 55 bits of
entropy (11 characters). Text order is time order, so a clustered index appends instead of splitting pages.
"""

ID_CHARACTERS = 20
ENTROPY_BYTES = 7
"""Bytes of entropy one id takes (55 of the 56 bits are used)."""
AFTER_ALL = "~"
"""Sorts after every id: the cursor of a first page, newest first. No letter or digit comes after it in ASCII, and every
database compares ids byte by byte."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
_TIME_BITS = 45


def time_prefix(now_ms: int) -> str:
    """The 9 characters that all ids of one millisecond share.

    Raises ValueError when ``now_ms`` is negative or past 2⁴⁵.
    """
    if not 0 <= now_ms < 1 << _TIME_BITS:
        raise ValueError("time outside the range of an id")
    return (
        _PAIRS[now_ms >> 35]
        + _PAIRS[now_ms >> 25 & 1023]
        + _PAIRS[now_ms >> 15 & 1023]
        + _PAIRS[now_ms >> 5 & 1023]
        + _ALPHABET[now_ms & 31]
    )


def new_id(now_ms: int, entropy: bytes) -> str:
    """An id from Unix milliseconds and at least ``ENTROPY_BYTES`` random bytes (the rest is ignored)."""
    if len(entropy) < ENTROPY_BYTES:
        raise ValueError("an id needs 7 bytes of entropy")
    return new_ids(now_ms, entropy[:ENTROPY_BYTES])[0]


def new_ids(now_ms: int, entropy: bytes) -> list[str]:
    """As many ids of one millisecond as ``entropy`` holds whole 7-byte pieces."""
    prefix = time_prefix(now_ms)
    pairs = _PAIRS
    out = []
    for start in range(0, len(entropy) - ENTROPY_BYTES + 1, ENTROPY_BYTES):
        bits = int.from_bytes(entropy[start : start + ENTROPY_BYTES], "big")
        out.append(
            f"{prefix}{pairs[bits >> 45 & 1023]}{pairs[bits >> 35 & 1023]}{pairs[bits >> 25 & 1023]}"
            f"{pairs[bits >> 15 & 1023]}{pairs[bits >> 5 & 1023]}{_ALPHABET[bits & 31]}"
        )
    return out


def id_time_ms(identifier: str) -> int:
    """The Unix milliseconds inside an id. Raises ValueError when the text is no id."""
    if len(identifier) != ID_CHARACTERS:
        raise ValueError("an id has 20 characters")
    value = 0
    for character in identifier[:9]:
        value = value << 5 | _ALPHABET.index(character)
    return value
