"""The synthetic host's picture: portrait, a warm gradient, drifting lights and a running clock, drawn into YUV planes.

Layout of a frame: 4:2:0, ``WIDTH`` × ``HEIGHT`` luma rows, then two chroma planes of half size each way (ITU-R BT.601).
Rows are written as slices of bytes, so that plain Python draws 25 frames a second without a numeric library.
"""

from __future__ import annotations

import math

WIDTH = 540
HEIGHT = 960
FPS = 25
# Where a viewer page leaves the picture free: under its head, above the cards of the deck.
CENTRE_Y = 325
RING = 168

# 5 × 7 dots per glyph, one string a row.
_GLYPHS = {
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00010 00100 01000 11111",
    "3": "11111 00010 00100 00010 00001 10001 01110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00010 01100",
    ":": "00000 00100 00100 00000 00100 00100 00000",
    ".": "00000 00000 00000 00000 00000 01100 01100",
    " ": "00000 00000 00000 00000 00000 00000 00000",
    "S": "01111 10000 10000 01110 00001 00001 11110",
    "I": "01110 00100 00100 00100 00100 00100 01110",
    "Y": "10001 10001 01010 00100 00100 00100 00100",
    "U": "10001 10001 10001 10001 10001 10001 01110",
    "L": "10000 10000 10000 10000 10000 10000 11111",
    "V": "10001 10001 10001 10001 10001 01010 00100",
    "E": "11111 10000 10000 11110 10000 10000 11111",
    "D": "11100 10010 10001 10001 10001 10010 11100",
    "M": "10001 11011 10101 10101 10001 10001 10001",
    "O": "01110 10001 10001 10001 10001 10001 01110",
}

_Rgb = tuple[float, float, float]
_TOP: _Rgb = (250, 146, 96)
_MIDDLE: _Rgb = (226, 76, 78)
_BOTTOM: _Rgb = (74, 28, 66)


def _yuv(red: float, green: float, blue: float) -> tuple[int, int, int]:
    """BT.601 studio range."""
    luma = 16 + 0.257 * red + 0.504 * green + 0.098 * blue
    u = 128 - 0.148 * red - 0.291 * green + 0.439 * blue
    v = 128 + 0.439 * red - 0.368 * green - 0.071 * blue
    return round(luma), round(u), round(v)


def _mix(first: _Rgb, second: _Rgb, share: float) -> _Rgb:
    mixed = [a + (b - a) * share for a, b in zip(first, second, strict=True)]
    return mixed[0], mixed[1], mixed[2]


def _gradient(row: int, rows: int) -> tuple[int, int, int]:
    place = row / rows
    if place < 0.5:
        return _yuv(*_mix(_TOP, _MIDDLE, place * 2))
    return _yuv(*_mix(_MIDDLE, _BOTTOM, place * 2 - 1))


class Painter:
    """Paints frame after frame; ``paint`` gives the three planes as bytes."""

    def __init__(self) -> None:
        self._luma = b"".join(bytes([_gradient(row, HEIGHT)[0]]) * WIDTH for row in range(HEIGHT))
        half = HEIGHT // 2
        self._u = b"".join(bytes([_gradient(row, half)[1]]) * (WIDTH // 2) for row in range(half))
        self._v = b"".join(bytes([_gradient(row, half)[2]]) * (WIDTH // 2) for row in range(half))

    def paint(self, second: float, clock: str) -> tuple[bytes, bytes, bytes]:
        """The frame at ``second`` since the start, with the text ``clock`` amid the ring."""
        luma = bytearray(self._luma)
        for light in range(9):
            radius = 34 + 13 * (light % 4)
            x = WIDTH / 2 + (WIDTH / 2 + 20) * math.sin(second * (0.11 + 0.02 * light) + light * 1.7)
            y = (HEIGHT + 200 - (second * (26 + 7 * light) + light * 233) % (HEIGHT + 400)) + 0.0
            self._disc(luma, x, y, radius, 14 + 3 * (light % 3))
        self._ring(luma, second)
        self._text(luma, "SIYU LIVE", CENTRE_Y - 84, 4, 235)
        self._text(luma, clock, CENTRE_Y - 18, 5, 240)
        self._text(luma, "DEMO", CENTRE_Y + 58, 4, 205)
        return bytes(luma), self._u, self._v

    @staticmethod
    def _disc(luma: bytearray, x: float, y: float, radius: int, lift: int) -> None:
        """Lighten a disc: the table adds ``lift`` to each luma value."""
        table = bytes(min(235, value + lift) for value in range(256))
        for row in range(max(0, math.ceil(y - radius)), min(HEIGHT, math.floor(y + radius) + 1)):
            reach = math.sqrt(max(0.0, radius * radius - (row - y) ** 2))
            left, right = max(0, round(x - reach)), min(WIDTH, round(x + reach))
            if left < right:
                at = row * WIDTH
                luma[at + left : at + right] = luma[at + left : at + right].translate(table)

    @staticmethod
    def _ring(luma: bytearray, second: float) -> None:
        """Sixty dots in a circle; as many are bright as seconds have gone."""
        centre_x, centre_y, radius = WIDTH // 2, CENTRE_Y, RING
        now = second % 60
        for dot in range(60):
            angle = dot / 60 * 2 * math.pi
            x = round(centre_x + radius * math.sin(angle))
            y = round(centre_y - radius * math.cos(angle))
            size = 6 if dot == int(now) else 3
            value = bytes([235 if dot <= now else 150]) * (2 * size)
            for row in range(y - size, y + size):
                at = row * WIDTH + x - size
                luma[at : at + 2 * size] = value

    @staticmethod
    def _text(luma: bytearray, text: str, top: int, dot: int, value: int) -> None:
        """Write ``text`` centred, with square dots of ``dot`` pixels."""
        width = (len(text) * 6 - 1) * dot
        left = (WIDTH - width) // 2
        ink = bytes([value]) * dot
        for index, letter in enumerate(text):
            for line, row in enumerate(_GLYPHS[letter].split()):
                for column, mark in enumerate(row):
                    if mark != "1":
                        continue
                    x = left + (index * 6 + column) * dot
                    for y in range(top + line * dot, top + line * dot + dot):
                        at = y * WIDTH + x
                        luma[at : at + dot] = ink
