"""What a merchant may write into the catalogue: pure checks that name the field they refuse.

Each raises ``Invalid`` with ``field`` in its extra fields. Texts come back trimmed.
"""

import re

from commerce.errors import Invalid

TITLE_CHARACTERS_MAX = 60  # two lines on a phone
CATEGORY_CHARACTERS_MAX = 40  # a small button of the shelf, and well inside a commission rate's target of 64
DETAIL_CHARACTERS_MAX = 5_000  # one screenful many times over; pictures are addresses
IMAGE_CHARACTERS_MAX = 500
PRICE_FEN_MAX = 1_000_000_000  # ten million yuan: more is a slip of the finger, and sums stay far inside 64 bits
COUNT_MAX = 10_000_000  # coupons in one template
LOGIN_CHARACTERS_MAX = 64

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@+-]{2,63}")
_IMAGE = re.compile(r"(/(?!/)|https?://)[^\s\"'<>\\]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")


def title(value: str, field: str = "title") -> str:
    """Check a title or name: 1–60 characters on one line."""
    clean = _text(value, field).strip()
    if not 1 <= len(clean) <= TITLE_CHARACTERS_MAX:
        raise Invalid(f"{field} must have 1 to {TITLE_CHARACTERS_MAX} characters", field=field)
    if _CONTROL.search(clean):
        raise Invalid(f"{field} must be one line without control characters", field=field)
    return clean


def category(value: str) -> str:
    """Check a product's category: at most 40 characters on one line, empty for none."""
    clean = _text(value, "category").strip()
    if len(clean) > CATEGORY_CHARACTERS_MAX:
        raise Invalid(f"category must have at most {CATEGORY_CHARACTERS_MAX} characters", field="category")
    return title(clean, "category") if clean else ""


def detail(value: str) -> str:
    """Check a product's description: at most 5,000 characters."""
    clean = _text(value, "detail").strip()
    if len(clean) > DETAIL_CHARACTERS_MAX:
        raise Invalid(f"detail must have at most {DETAIL_CHARACTERS_MAX} characters", field="detail")
    return clean


def words(value: str, field: str, most: int, *, empty: bool = False) -> str:
    """Check what a person writes: at most ``most`` characters, of several lines if need be, and not nothing."""
    clean = _text(value, field).strip()
    if len(clean) > most or not (clean or empty):
        raise Invalid(f"{field} has {0 if empty else 1} to {most} characters", field=field)
    if _CONTROL.search(clean.replace("\n", "").replace("\r", "").replace("\t", "")):
        raise Invalid(f"{field} must have no control characters", field=field)
    return clean


def image(value: str, field: str = "image") -> str:
    """Check a picture's address: empty, a path from ``/``, or http(s), at most 500 characters.

    Nothing else: a page puts it into ``src``, where ``javascript:`` or a quote would run a merchant's script.
    """
    clean = _text(value, field).strip()
    if len(clean) > IMAGE_CHARACTERS_MAX:
        raise Invalid(f"{field} must have at most {IMAGE_CHARACTERS_MAX} characters", field=field)
    if clean and not _IMAGE.fullmatch(clean):
        raise Invalid(f"{field} must be a path from / or an http(s) address", field=field)
    return clean


def price(value: int, field: str = "price") -> int:
    """Check a price in 分: 1 to 10^9."""
    return whole(value, field, 1, PRICE_FEN_MAX)


def list_price(value: int | None, price_fen: int) -> int:
    """Check a struck-through price in 分; without one it is the price itself, and it is never below it."""
    if value is None:
        return price_fen
    checked = price(value, "list_price")
    if checked < price_fen:
        raise Invalid("list_price must not be below price", field="list_price")
    return checked


def whole(value: int, field: str, low: int, high: int) -> int:
    """Check a whole number between ``low`` and ``high``; a boolean is not a number here."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid(f"{field} must be a whole number", field=field)
    if not low <= value <= high:
        raise Invalid(f"{field} must be between {low} and {high}", field=field)
    return value


def login(value: str) -> str:
    """Check a login: 3–64 characters of letters, digits and ``._@+-``; case does not count."""
    clean = _text(value, "login").strip().lower()
    if not _LOGIN.fullmatch(clean):
        raise Invalid("login must have 3 to 64 characters: letters, digits, . _ @ + -", field="login")
    return clean


def password(value: str, low: int, high: int) -> str:
    """Check a new password's length."""
    if not low <= len(_text(value, "password")) <= high:
        raise Invalid(f"password must have {low} to {high} characters", field="password")
    return value


def _text(value: str, field: str) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{field} must be text", field=field)
    try:
        value.encode()
    except UnicodeEncodeError as error:  # a lone surrogate, which JSON can carry and no database stores
        raise Invalid(f"{field} is not valid Unicode", field=field) from error
    return value
