"""Codes and posters (海报) of share links: QR as SVG or PNG, and a picture to print or send with the code on it.

A poster is one self-contained SVG of 750 × 1,200 (twice a phone's logical width): the product's picture, title and
price, who shares it, and the code. Nothing is loaded from elsewhere, so a browser can turn it into a PNG as it is.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape
from pathlib import Path

import segno

WIDTH, HEIGHT = 750, 1_200
PICTURE_BYTES_MAX = 512 * 1024
"""Of one embedded picture; larger ones are left to a tile with the title's first character."""
CODE_SCALE_MAX = 40
"""Pixels per module of a PNG: 40 are a code of a metre at 50 dpi."""
TITLE_UNITS = 24
"""Widths of a Latin letter on one line of a title; a Chinese character has two."""
TITLE_LINES = 2
OFFER_UNITS = 28
"""Widths of a Latin letter on the ribbon of an offer."""
PICTURE_TYPES = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class PosterCard:
    """What is on a poster; ``price`` and ``list_price`` in 分, 0 where there is no product."""

    title: str
    price: int
    list_price: int
    sharer: str
    shop: str
    call: str
    picture: str | None
    offer: str = ""
    """What who comes by the code gets, in a line over the picture."""


def code_svg(url: str) -> bytes:
    """The QR code of an address (ISO/IEC 18004, level M) as SVG."""
    out = io.BytesIO()
    segno.make(url, error="m", micro=False).save(out, kind="svg", scale=8, border=4, xmldecl=False)
    return out.getvalue()


def code_png(url: str, scale: int) -> bytes:
    """The same as PNG, ``scale`` pixels a module."""
    out = io.BytesIO()
    segno.make(url, error="m", micro=False).save(out, kind="png", scale=scale, border=4)
    return out.getvalue()


def embedded(folder: Path, image: str) -> str | None:
    """A picture of ours (``/static/…``) as a data address; None for one that is elsewhere, gone or too large."""
    if not image.startswith("/static/"):
        return None
    path = (folder / image.removeprefix("/static/")).resolve()
    kind = PICTURE_TYPES.get(path.suffix.lower())
    if kind is None or not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None
    if path.stat().st_size > PICTURE_BYTES_MAX:
        return None
    return data_address(path.read_bytes(), kind)


def data_address(content: bytes, kind: str) -> str:
    """Bytes as an address that holds them (RFC 2397)."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def poster_svg(card: PosterCard, code: str) -> bytes:
    """The poster; ``code`` is the code's picture as a data address."""
    lines = wrapped(card.title, TITLE_UNITS, TITLE_LINES)
    title = "".join(
        f'<text x="48" y="{774 + 62 * n}" font-size="48" font-weight="700" fill="#221a14">{escape(line)}</text>'
        for n, line in enumerate(lines)
    )
    foot = 1_168
    body = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"
 font-family="'Noto Sans SC','Noto Sans CJK SC','PingFang SC','Microsoft YaHei',sans-serif">
<defs><clipPath id="p"><rect x="48" y="48" width="654" height="654" rx="36"/></clipPath>
<linearGradient id="g" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="#f7e7d4"/>
<stop offset="1" stop-color="#e9c7a1"/></linearGradient></defs>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fffaf3"/>
<rect x="48" y="48" width="654" height="654" rx="36" fill="url(#g)"/>{_picture(card)}{_offer(card)}
{title}{_price(card, 774 + 62 * len(lines) + 22)}
<line x1="48" y1="944" x2="702" y2="944" stroke="#e6d8c6" stroke-width="2" stroke-dasharray="8 8"/>
<image x="498" y="964" width="204" height="204" href="{code}"/>
<text x="48" y="1024" font-size="38" font-weight="600" fill="#221a14">{escape(_cut(card.sharer, 22))}</text>
<text x="48" y="1080" font-size="28" fill="#7a6a5a">{escape(card.call)}</text>
<text x="48" y="{foot - 24}" font-size="26" fill="#a08c78">{escape(_cut(card.shop, 30))}</text>
</svg>"""
    return body.encode()


def _picture(card: PosterCard) -> str:
    if card.picture is not None:
        return (
            f'<image x="48" y="48" width="654" height="654" preserveAspectRatio="xMidYMid slice" clip-path="url(#p)"'
            f' href="{card.picture}"/>'
        )
    first = escape(card.title[:1] or "·")
    return f'<text x="375" y="470" font-size="300" text-anchor="middle" fill="#fffaf3">{first}</text>'


def _offer(card: PosterCard) -> str:
    """A ribbon over the foot of the picture; nothing without an offer."""
    if not card.offer:
        return ""
    return (
        '<rect x="48" y="594" width="654" height="108" fill="#d6402b" clip-path="url(#p)"/>'
        f'<text x="375" y="664" font-size="44" font-weight="700" text-anchor="middle" fill="#fffaf3">'
        f"{escape(_cut(card.offer, OFFER_UNITS))}</text>"
    )


def _price(card: PosterCard, y: int) -> str:
    if not card.price:
        return ""
    now = yuan(card.price)
    text = f'<text x="48" y="{y}" font-size="60" font-weight="800" fill="#d6402b">{now}</text>'
    if card.list_price > card.price:
        was = yuan(card.list_price)
        x, width = 48 + 36 * len(now) + 28, 17 * len(was) + 4
        text += f'<text x="{x}" y="{y}" font-size="30" fill="#a08c78">{was}</text>'
        text += f'<rect x="{x - 2}" y="{y - 11}" width="{width}" height="2" fill="#a08c78"/>'
    return text


def yuan(fen: int) -> str:
    """Money as people write it: ¥99 or ¥9.90."""
    return f"¥{fen // 100}" if fen % 100 == 0 else f"¥{fen / 100:.2f}"


def _units(text: str) -> int:
    return sum(1 if ord(character) < 0x2E80 else 2 for character in text)


def _cut(text: str, most: int) -> str:
    """As much of a text as has ``most`` widths of a Latin letter."""
    if _units(text) <= most:
        return text
    kept = ""
    for character in text:
        if _units(kept + character) > most - 1:
            break
        kept += character
    return kept + "…"


def wrapped(text: str, units: int, lines: int) -> list[str]:
    """Break a text into lines of ``units`` widths; Latin words stay whole where they fit, the last line is cut."""
    out: list[str] = [""]
    for word in _words(text):
        if _units(out[-1] + word) > units and out[-1]:
            out.append("")
        out[-1] += word if out[-1] else word.lstrip()
    if len(out) > lines:
        out = [*out[: lines - 1], "".join(out[lines - 1 :])]
    return [_cut(line.rstrip(), units) for line in out]


def _words(text: str) -> list[str]:
    """Latin words with the space before them, and single characters of other scripts."""
    words: list[str] = []
    for character in text:
        latin = ord(character) < 0x2E80
        if latin and character != " " and words and ord(words[-1][-1]) < 0x2E80:
            words[-1] += character
        else:
            words.append(character)
    return words
