"""A condition on customers: a small typed language in JSON, for segments, tags and automations.

    {"all": [C, …]}  {"any": [C, …]}  {"not": C}
    {"event": "room_entry", "at_least": 2, "days": 30, "room": ID}   touches; "any" is each kind
    {"measure": "orders", "at_most": 0, "days": 30}                  orders, spent (分) or refunded (分)
    {"bought": "SKU or product", "at_least": 1, "days": 90}          units that were paid for
    {"tag": "茶友"}  {"stage": "fan"}  {"tier": 2}                    has it; is in it; is at least in it
    {"has": "phone"}                                                 guest, device, wechat, unionid, phone or wecom
    {"consent": "marketing"}  {"follows": true}

Figures take ``at_least`` (1 when neither is given), ``at_most`` or both, over the last ``days`` days with today, or
ever. A condition has at most 20 leaves, four levels deep: what it compiles to is one bounded query (``condition_sql``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from commerce.domain.coupon import TIERS_MAX

LEAVES_MAX = 20
DEPTH_MAX = 4
DAYS_MAX = 400
FIGURE_MAX = 1_000_000_000
TEXT_CHARACTERS_MAX = 64
EVENTS = (
    "any",
    "room_entry",
    "card_click",
    "scan",
    "share_open",
    "contact_added",
    "ad_click",
    "coupon",
    "content_read",
)
MEASURES = ("orders", "spent", "refunded")
STAGES = ("passer", "fan", "customer", "loyal")
"""Life of a customer, in order: came by, wants to hear more, bought, comes back."""
KEYS = ("guest", "device", "wechat", "unionid", "phone", "wecom")
GROUPS = ("all", "any", "not")
CONSENTS = ("member", "marketing", "profile")


class BadCondition(ValueError):
    """A condition that cannot be read; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Span:
    """How many, and in how many days (None: ever). One bound at least is given."""

    at_least: int | None
    at_most: int | None
    days: int | None


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a person lies in a span; ``kind`` is event, measure or bought, ``of`` which one."""

    kind: str
    of: str
    span: Span
    room: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A person has something: ``kind`` is tag, stage, tier, has, consent or follows."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class All:
    """Each of them holds."""

    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Any_:
    """At least one of them holds."""

    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold."""

    part: "Condition"


Condition = Figure | Mark | All | Any_ | Not


def read_condition(given: Any) -> Condition:
    """Read a condition. Raises BadCondition."""
    leaves = [0]
    found = _read(given, 1, "condition", leaves)
    if leaves[0] > LEAVES_MAX:
        raise BadCondition(f"a condition has at most {LEAVES_MAX} parts")
    return found


def tags_in(condition: Condition) -> frozenset[str]:
    """The tags that a condition names."""
    match condition:
        case All(parts) | Any_(parts):
            return frozenset().union(*(tags_in(part) for part in parts))
        case Not(part):
            return tags_in(part)
        case Mark("tag", value):
            return frozenset({value})
        case _:
            return frozenset()


def _read(given: Any, depth: int, where: str, leaves: list[int]) -> Condition:
    if not isinstance(given, dict) or not given:
        raise BadCondition(f'{where} is an object such as {{"event": "room_entry", "at_least": 2}}')
    if depth > DEPTH_MAX:
        raise BadCondition(f"{where}: at most {DEPTH_MAX} levels")
    kind = next((name for name in given if name in _READERS or name in GROUPS), None)
    if kind is None:
        raise BadCondition(f"{where}: one of " + ", ".join((*GROUPS, *_READERS)) + " is needed")
    if kind in GROUPS:
        _only(given, where, kind)
        return _group(kind, given[kind], depth, f"{where}.{kind}", leaves)
    leaves[0] += 1
    return _READERS[kind](given, where)


def _group(kind: str, inner: Any, depth: int, where: str, leaves: list[int]) -> Condition:
    if kind == "not":
        return Not(_read(inner, depth + 1, where, leaves))
    if not isinstance(inner, list) or not 1 <= len(inner) <= LEAVES_MAX:
        raise BadCondition(f"{where} is a list of 1 to {LEAVES_MAX} conditions")
    parts = tuple(_read(part, depth + 1, f"{where}[{n}]", leaves) for n, part in enumerate(inner))
    return All(parts) if kind == "all" else Any_(parts)


def _event(given: Mapping[str, Any], where: str) -> Condition:
    _only(given, where, "event", "at_least", "at_most", "days", "room")
    room = _text(given["room"], f"{where}.room") if "room" in given else ""
    return Figure("event", _one_of(given["event"], EVENTS, f"{where}.event"), _span(given, where), room)


def _measure(given: Mapping[str, Any], where: str) -> Condition:
    _only(given, where, "measure", "at_least", "at_most", "days")
    return Figure("measure", _one_of(given["measure"], MEASURES, f"{where}.measure"), _span(given, where))


def _bought(given: Mapping[str, Any], where: str) -> Condition:
    _only(given, where, "bought", "at_least", "at_most", "days")
    return Figure("bought", _text(given["bought"], f"{where}.bought"), _span(given, where))


def _tag(given: Mapping[str, Any], where: str) -> Condition:
    _only(given, where, "tag")
    return Mark("tag", _text(given["tag"], f"{where}.tag"))


def _tier(given: Mapping[str, Any], where: str) -> Condition:
    _only(given, where, "tier")
    return Mark("tier", str(_count(given["tier"], f"{where}.tier", 1, TIERS_MAX)))


def _follows(given: Mapping[str, Any], where: str) -> Condition:
    _only(given, where, "follows")
    if given["follows"] is not True:
        raise BadCondition(f'{where}.follows is true; for the others {{"not": …}}')
    return Mark("follows", "")


def _choice(kind: str, choices: tuple[str, ...]) -> Callable[[Mapping[str, Any], str], Condition]:
    def read(given: Mapping[str, Any], where: str) -> Condition:
        _only(given, where, kind)
        return Mark(kind, _one_of(given[kind], choices, f"{where}.{kind}"))

    return read


def _span(given: Mapping[str, Any], where: str) -> Span:
    least, most = (
        _count(given[name], f"{where}.{name}", 0, FIGURE_MAX) if name in given else None
        for name in ("at_least", "at_most")
    )
    if least is None and most is None:
        least = 1
    if least is not None and most is not None and least > most:
        raise BadCondition(f"{where}: at_least is not more than at_most")
    return Span(least, most, _count(given["days"], f"{where}.days", 1, DAYS_MAX) if "days" in given else None)


def _only(given: Mapping[str, Any], where: str, *names: str) -> None:
    unknown = [name for name in given if name not in names]
    if unknown:
        raise BadCondition(f"{where}: {unknown[0]!r} does not belong here")


def _one_of(value: Any, choices: tuple[str, ...], where: str) -> str:
    if not isinstance(value, str) or value not in choices:
        raise BadCondition(f"{where} is one of " + ", ".join(choices))
    return value


def _count(value: Any, where: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadCondition(f"{where} is a whole number from {least} to {most}")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_CHARACTERS_MAX or not value.isprintable():
        raise BadCondition(f"{where} is text of 1 to {TEXT_CHARACTERS_MAX} characters")
    return value


_READERS: Mapping[str, Callable[[Mapping[str, Any], str], Condition]] = {
    "event": _event,
    "measure": _measure,
    "bought": _bought,
    "tag": _tag,
    "stage": _choice("stage", STAGES),
    "tier": _tier,
    "has": _choice("has", KEYS),
    "consent": _choice("consent", CONSENTS),
    "follows": _follows,
}
