"""Goods made to their buyer's wishes (定制): what can be wished, what it costs, and how far the making is.

A form belongs to a product or to one SKU of it. Each wish that is granted adds its 分 to the price of a unit. A text
costs the same however long it is, pictures however many; a choice costs what its option says; a number costs so much
for each.

    paid ──▶ confirmed ──▶ making ──▶ ready ──▶ sent
      └─ until here ─┘ the buyer may cancel and gets all of it back
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commerce.domain.ids import ID_CHARACTERS
from commerce.domain.money import AMOUNT_MAX

KINDS = ("text", "choice", "number", "picture")
FIELDS_MAX = 12
"""Fields of one form: more is a conversation, for which there are requests."""
OPTIONS_MAX = 40
LABEL_CHARACTERS_MAX = 40
TEXT_CHARACTERS_MAX = 500
NUMBER_MAX = 1_000_000
PICTURES_MAX = 9
"""Of one field, or of a request: as many as WeChat lets one choose at once."""
MAKING_DAYS_MAX = 365
WORDS_CHARACTERS_MAX = 1_000
"""Of a request, and of its answer: a description, not a contract."""
DEPOSIT_PERCENT_MAX = 90
OFFER_DAYS_MAX = 90
"""How long an offer may stand: prices of material move."""
PAID, CONFIRMED, MAKING, READY, SENT = STAGES = ("paid", "confirmed", "making", "ready", "sent")
NEXT: Mapping[str, str] = {PAID: CONFIRMED, CONFIRMED: MAKING, MAKING: READY}
"""Stage → the one that staff may let follow; the last one is the sending itself."""
BEFORE_MAKING = frozenset({PAID, CONFIRMED})

Wanted = tuple[tuple[str, str], ...]
"""What a buyer filled in: (label, value), sorted by label."""


@dataclass(frozen=True, slots=True)
class Option:
    """One of a choice; ``amount`` 分 a unit more."""

    value: str
    amount: int = 0


@dataclass(frozen=True, slots=True)
class CustomField:
    """One thing to be wished.

    ``most`` characters of a text, or pictures; ``least`` to ``most`` of a number, ``amount`` 分 each.
    """

    label: str
    kind: str
    required: bool = False
    least: int = 0
    most: int = 0
    amount: int = 0
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class CustomForm:
    """What can be wished of goods, and the days that their making takes. ``asked``: their price is asked for."""

    fields: tuple[CustomField, ...] = ()
    making_days: int = 0
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """A wish as it was granted: ``amount`` 分 a unit.

    Of ``pictures`` (ids) ``value`` says how many there are; those beside a request, for no field, have no label.
    """

    label: str
    value: str
    amount: int
    pictures: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The JSON shape ``{label, value, amount}``, with ``pictures`` where there are some."""
        plain = {"label": self.label, "value": self.value, "amount": self.amount}
        return plain | ({"pictures": list(self.pictures)} if self.pictures else {})


def wish_of(kept: Mapping[str, Any]) -> Wish:
    """A wish from its JSON shape."""
    return Wish(kept["label"], kept["value"], kept["amount"], tuple(kept.get("pictures", ())))


def attached(pictures: Sequence[str]) -> tuple[Wish, ...]:
    """Pictures that belong to no field of a form, as the wish that they are. Raises ValueError."""
    if not pictures:
        return ()
    words, checked = _pictures("pictures", tuple(pictures), PICTURES_MAX)
    return (Wish("", words, 0, checked),)


@dataclass(frozen=True, slots=True)
class Offer:
    """An answer to a request: ``price`` 分 a unit, good until ``valid_ms``, delivered by ``deliver_ms``.

    With ``deposit_percent`` so much of it is paid first; ``missed`` (keep, refund) is what becomes of that when the
    rest does not come.
    """

    price: int
    deposit_percent: int
    missed: str
    deliver_ms: int
    valid_ms: int

    @property
    def deposit(self) -> int:
        """分 a unit that are paid first; 0: all of it."""
        return max(1, self.price * self.deposit_percent // 100) if self.deposit_percent else 0


def form_fault(form: CustomForm) -> tuple[str, str] | None:
    """The field at fault and why, or None."""
    if not (form.fields or form.asked) or len(form.fields) > FIELDS_MAX:
        return "fields", f"a form has 1 to {FIELDS_MAX} fields, or its price is asked for"
    if not 0 <= form.making_days <= MAKING_DAYS_MAX:
        return "making_days", f"making takes 0 to {MAKING_DAYS_MAX} days"
    if len({one.label for one in form.fields}) < len(form.fields):
        return "fields", "two fields have the same label"
    for one in form.fields:
        why = _field_fault(one)
        if why is not None:
            return "fields", f"{one.label[:LABEL_CHARACTERS_MAX]}: {why}"
    return None


def _field_fault(one: CustomField) -> str | None:
    if not _fits(one.label, LABEL_CHARACTERS_MAX):
        return f"a label has 1 to {LABEL_CHARACTERS_MAX} printable characters"
    if one.kind not in KINDS:
        return f"kind is one of {', '.join(KINDS)}"
    if not 0 <= one.amount <= AMOUNT_MAX:
        return "an amount is 0 分 or more"
    if one.kind == "choice":
        return _options_fault(one.options)
    if one.options:
        return "only a choice has options"
    if one.kind == "text" and not 1 <= one.most <= TEXT_CHARACTERS_MAX:
        return f"a text has at most 1 to {TEXT_CHARACTERS_MAX} characters: say how many in most"
    if one.kind == "picture" and not 1 <= one.most <= PICTURES_MAX:
        return f"it takes 1 to {PICTURES_MAX} pictures: say how many in most"
    if one.kind == "number" and not 0 <= one.least <= one.most <= NUMBER_MAX:
        return f"a number lies between least and most, within 0 and {NUMBER_MAX}"
    return None


def _options_fault(options: Sequence[Option]) -> str | None:
    if not 1 <= len(options) <= OPTIONS_MAX or len({one.value for one in options}) < len(options):
        return f"a choice has 1 to {OPTIONS_MAX} different options"
    if any(not _fits(one.value, LABEL_CHARACTERS_MAX) or not 0 <= one.amount <= AMOUNT_MAX for one in options):
        return f"an option has 1 to {LABEL_CHARACTERS_MAX} printable characters, and costs 0 分 or more"
    return None


def grant(form: CustomForm, wanted: Wanted) -> tuple[Wish, ...]:
    """The wishes with what each adds to a unit, in the form's order. Raises ValueError with a sentence that says why.

    What is left empty is not wished.
    """
    given = {label: value.strip() for label, value in wanted if value.strip()}
    unknown = given.keys() - {one.label for one in form.fields}
    if unknown:
        raise ValueError(f"these goods have no field {min(unknown)[:LABEL_CHARACTERS_MAX]!r}")
    missing = [one.label for one in form.fields if one.required and one.label not in given]
    if missing:
        raise ValueError(f"{missing[0]} is to be filled in")
    return tuple(_granted(one, given[one.label]) for one in form.fields if one.label in given)


def _granted(one: CustomField, value: str) -> Wish:
    if one.kind == "choice":
        for option in one.options:
            if option.value == value:
                return Wish(one.label, value, option.amount)
        raise ValueError(f"{one.label} is one of {', '.join(option.value for option in one.options)}")
    if one.kind == "text":
        if not _fits(value, one.most):
            raise ValueError(f"{one.label} has at most {one.most} printable characters")
        return Wish(one.label, value, one.amount)
    if one.kind == "picture":
        words, pictures = _pictures(one.label, tuple(value.split(" ")), one.most)
        return Wish(one.label, words, one.amount, pictures)
    # Digits of other scripts are numbers to int(), but not to who makes the thing.
    if not (value.isascii() and value.isdigit()) or len(value) > len(str(NUMBER_MAX)):
        raise ValueError(f"{one.label} is a whole number")
    number = int(value)
    if not one.least <= number <= one.most:
        raise ValueError(f"{one.label} is a whole number from {one.least} to {one.most}")
    if number * one.amount > AMOUNT_MAX:
        raise ValueError(f"{one.label}: that much of it is not for sale")
    return Wish(one.label, str(number), number * one.amount)


def _pictures(label: str, pictures: tuple[str, ...], most: int) -> tuple[str, tuple[str, ...]]:
    """How many, in words, and their ids. Raises ValueError."""
    if len(set(pictures)) < len(pictures) or len(pictures) > most:
        raise ValueError(f"{label} takes up to {most} different pictures")
    if any(len(picture) != ID_CHARACTERS or not picture.isascii() for picture in pictures):
        raise ValueError(f"{label}: send the pictures first; what is filled in are their ids, with blanks between")
    return f"×{len(pictures)}", pictures


def offer_fault(offer: Offer, now_ms: int, day_ms: int = 86_400_000) -> tuple[str, str] | None:
    """The field at fault and why, or None."""
    if not 1 <= offer.price <= AMOUNT_MAX:
        return "price", f"a price is 1 to {AMOUNT_MAX} 分"
    if not 0 <= offer.deposit_percent <= DEPOSIT_PERCENT_MAX:
        return "deposit_percent", f"a deposit is 0 (none) to {DEPOSIT_PERCENT_MAX} percent"
    if offer.deposit_percent and offer.deposit >= offer.price:
        return "deposit_percent", "a deposit is less than the price"
    if offer.missed not in ("keep", "refund"):
        return "missed", "missed is keep or refund"
    if not now_ms < offer.valid_ms <= now_ms + OFFER_DAYS_MAX * day_ms:
        return "valid", f"an offer stands for up to {OFFER_DAYS_MAX} days"
    if not offer.valid_ms <= offer.deliver_ms <= now_ms + 2 * MAKING_DAYS_MAX * day_ms:
        return "deliver", "goods are delivered after the offer's end, and within two years"
    return None


def stage_refused(stage: str, to: str) -> str | None:
    """None when ``to`` may follow ``stage``; else ``already`` (it is there or past) or ``not_open`` (too early)."""
    if NEXT.get(stage) == to:
        return None
    return "already" if STAGES.index(to) <= STAGES.index(stage) else "not_open"


def _fits(text: str, most: int) -> bool:
    return 0 < len(text) <= most and bool(text.strip()) and text.isprintable()
