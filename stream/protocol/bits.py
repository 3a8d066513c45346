"""Bits of a parameter set, one after another."""

from typing import Final

_EXP_GOLOMB_BITS_MAX: Final = 32
_BYTES_MAX: Final = 512
"""What is read of a parameter set lies in its first few dozen bytes."""


class Bits:
    """Most significant bit first; reading past the end raises ValueError."""

    __slots__ = ("_at", "_end", "_value")

    def __init__(self, data: bytes) -> None:
        # A few hundred bits: one integer is simpler than a byte cursor, and as quick.
        data = data[:_BYTES_MAX]
        self._value = int.from_bytes(data, "big")
        self._end = len(data) * 8
        self._at = 0

    def take(self, count: int) -> int:
        """Give the next `count` bits as a number."""
        self._at += count
        if self._at > self._end:
            raise ValueError("the parameter set is cut off")
        return self._value >> (self._end - self._at) & ((1 << count) - 1)

    def skip(self, count: int) -> None:
        """Step over `count` bits."""
        self.take(count)

    def unsigned(self) -> int:
        """Exp-Golomb ue(v) (H.264 section 9.1); AV1's uvlc() is the same."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > _EXP_GOLOMB_BITS_MAX:
                raise ValueError("an Exp-Golomb code is too long")
        return (1 << zeros) - 1 + (self.take(zeros) if zeros else 0)
