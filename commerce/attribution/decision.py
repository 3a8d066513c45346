"""Who gets the credit for an order: a pure rule over touches and bindings.

The default order is: a valid binding inside its protection → the last valid touch in the window → a binding that is
valid but no longer protected → nobody. Three other models answer the same question from the same log, so that a
merchant can compare them. Each candidate that did not win is kept with its reason: the decision is stored with the
order and explains itself years later. It is judged once, at order creation, and never again (A8).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

DAY_MS = 86_400_000
WINDOW_MS = 7 * DAY_MS  # a touch older than this says nothing about today's order

FOREVER = -1  # Binding.valid_days: never lapses
UNPROTECTED = -1  # Binding.protection_days: may be taken at any time
PROTECTED_FOREVER = -2  # Binding.protection_days: never taken while it is valid


class Model(StrEnum):
    """How the candidates are ranked."""

    DEFAULT = "default"
    BINDING_FIRST = "binding_first"
    LAST_TOUCH = "last_touch"
    FIRST_TOUCH = "first_touch"


class Reason(StrEnum):
    """Why a candidate did not win."""

    BAD_LINK = "bad_link"
    AFTER_ORDER = "after_order"
    OUTSIDE_WINDOW = "outside_window"
    SELF_REFERRAL = "self_referral"
    LATER_TOUCH_WON = "later_touch_won"
    EARLIER_TOUCH_WON = "earlier_touch_won"
    BINDING_PROTECTED = "binding_protected"
    BINDING_WON = "binding_won"
    BINDING_EXPIRED = "binding_expired"
    BINDING_INVALID = "binding_invalid"
    NEWER_BINDING = "newer_binding"
    TOUCH_WON = "touch_won"
    MODEL_IGNORES_BINDINGS = "model_ignores_bindings"


_WORDS: dict[Reason, str] = {
    Reason.BAD_LINK: "its link was not valid",
    Reason.AFTER_ORDER: "it came after the order",
    Reason.OUTSIDE_WINDOW: "it lies outside the attribution window",
    Reason.SELF_REFERRAL: "the buyer issued it",
    Reason.LATER_TOUCH_WON: "a later touch counts",
    Reason.EARLIER_TOUCH_WON: "an earlier touch counts",
    Reason.BINDING_PROTECTED: "the buyer's binding is inside its protection",
    Reason.BINDING_WON: "this model puts the buyer's binding first",
    Reason.BINDING_EXPIRED: "the binding is no longer valid",
    Reason.BINDING_INVALID: "the binding does not count",
    Reason.NEWER_BINDING: "a newer binding replaced it",
    Reason.TOUCH_WON: "it is past its protection and a valid touch counts before it",
    Reason.MODEL_IGNORES_BINDINGS: "this model looks at touches alone",
}


@dataclass(frozen=True, slots=True)
class TouchCandidate:
    """A touch that carried a link: ``ms`` Unix milliseconds, ``problem`` set when the link was not valid then."""

    touch: str
    ms: int
    link: str
    issuer: str
    role: str
    channel: str = ""
    root: str = ""
    depth: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """A customer bound to a distributor or guide (A7).

    ``valid_days``: −1 for ever. ``protection_days``: −1 may be taken any time, −2 never. ``problem`` is set when it
    must not count, e.g. the distributor is disabled.
    """

    binding: str
    bound_ms: int
    issuer: str
    role: str
    valid_days: int = FOREVER
    protection_days: int = UNPROTECTED
    link: str = ""
    channel: str = ""
    problem: str | None = None

    def valid_at(self, now_ms: int) -> bool:
        """Say whether the binding holds at ``now_ms``."""
        return self.valid_days == FOREVER or now_ms < self.bound_ms + self.valid_days * DAY_MS

    def protected_at(self, now_ms: int) -> bool:
        """Say whether no touch may take the customer at ``now_ms``."""
        if self.protection_days == PROTECTED_FOREVER:
            return True
        return self.protection_days > 0 and now_ms < self.bound_ms + self.protection_days * DAY_MS


@dataclass(frozen=True, slots=True)
class Credit:
    """One candidate as stored: its source is ``touch`` or ``binding``, ``id`` names the row, ``ms`` is its time."""

    source: str
    id: str
    ms: int
    link: str
    issuer: str
    role: str
    channel: str
    root: str
    depth: int

    def to_json(self) -> dict[str, Any]:
        """Give the JSON form; ``touch`` or ``binding`` holds the row's id."""
        return {
            "source": self.source,
            self.source: self.id,
            "ms": self.ms,
            "link": self.link,
            "issuer": self.issuer,
            "role": self.role,
            "channel": self.channel,
            "root": self.root,
            "depth": self.depth,
        }


@dataclass(frozen=True, slots=True)
class Loser:
    """A candidate that did not win, with the reason as a code and in words."""

    credit: Credit
    reason: Reason
    why: str

    def to_json(self) -> dict[str, Any]:
        """Give the JSON form."""
        return {**self.credit.to_json(), "reason": self.reason.value, "why": self.why}


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome: ``winner`` or nobody, the ``rule`` in words, and every loser, newest first.

    ``omitted`` counts older touches that the caller left out of the candidates to bound the stored row.
    """

    model: Model
    winner: Credit | None
    rule: str
    losers: tuple[Loser, ...]
    decided_ms: int
    window_ms: int
    omitted: int = 0

    def to_json(self) -> dict[str, Any]:
        """Give the JSON form that is stored with the order."""
        return {
            "model": self.model.value,
            "winner": self.winner.to_json() if self.winner else None,
            "rule": self.rule,
            "losers": [loser.to_json() for loser in self.losers],
            "decided_ms": self.decided_ms,
            "window_ms": self.window_ms,
            "omitted": self.omitted,
        }


def decide(
    touches: Iterable[TouchCandidate],
    bindings: Iterable[Binding],
    *,
    buyer: str,
    now_ms: int,
    model: Model = Model.DEFAULT,
    window_ms: int = WINDOW_MS,
    allow_self: bool = False,
    omitted: int = 0,
) -> Decision:
    """Judge the candidates for an order of ``buyer`` at ``now_ms``.

    The order of the input does not matter; a row given twice counts once. A touch exactly ``window_ms`` old still
    counts. ``allow_self`` lets a buyer's own link win (A10).
    """
    losers: list[Loser] = []
    live_touches: list[TouchCandidate] = []
    for touch in sorted({t.touch: t for t in sorted(touches, key=_touch_order)}.values(), key=_touch_order):
        reason = _touch_fault(touch, buyer, now_ms, window_ms, allow_self)
        if reason is None:
            live_touches.append(touch)
        else:
            losers.append(_lose(_credit(touch), reason, touch.problem))
    live_bindings: list[Binding] = []
    for binding in sorted({b.binding: b for b in sorted(bindings, key=_binding_order)}.values(), key=_binding_order):
        reason = _binding_fault(binding, buyer, now_ms, allow_self)
        if reason is None:
            live_bindings.append(binding)
        else:
            losers.append(_lose(_credit(binding), reason, binding.problem))
    winner, rule = _pick(live_touches, live_bindings, now_ms, model, window_ms)
    losers += _beaten(live_touches, live_bindings, winner, now_ms, model)
    losers.sort(key=lambda loser: (-loser.credit.ms, loser.credit.source, loser.credit.id))
    return Decision(model, _credit(winner) if winner else None, rule, tuple(losers), now_ms, window_ms, omitted)


def _pick(
    touches: Sequence[TouchCandidate], bindings: Sequence[Binding], now_ms: int, model: Model, window_ms: int
) -> tuple[TouchCandidate | Binding | None, str]:
    binding = bindings[-1] if bindings else None
    days = f"{window_ms / DAY_MS:g} days"
    if model is Model.FIRST_TOUCH and touches:
        return touches[0], f"first valid touch within {days}"
    if model is Model.LAST_TOUCH and touches:
        return touches[-1], f"last valid touch within {days}"
    if model is Model.BINDING_FIRST and binding:
        return binding, "valid binding"
    if model is Model.DEFAULT and binding and binding.protected_at(now_ms):
        return binding, "valid binding inside its protection"
    if model in (Model.DEFAULT, Model.BINDING_FIRST) and touches:
        before = "the binding is past its protection; " if binding else ""
        return touches[-1], f"{before}last valid touch within {days}"
    if model is Model.DEFAULT and binding:
        return binding, f"no valid touch within {days}; surviving binding"
    return None, "no valid candidate"


def _beaten(
    touches: Sequence[TouchCandidate],
    bindings: Sequence[Binding],
    winner: TouchCandidate | Binding | None,
    now_ms: int,
    model: Model,
) -> list[Loser]:
    if isinstance(winner, Binding):
        touch_reason = Reason.BINDING_PROTECTED if model is Model.DEFAULT else Reason.BINDING_WON
        binding_reason = Reason.NEWER_BINDING
    else:
        touch_reason = Reason.EARLIER_TOUCH_WON if model is Model.FIRST_TOUCH else Reason.LATER_TOUCH_WON
        ignores = model in (Model.FIRST_TOUCH, Model.LAST_TOUCH)
        binding_reason = Reason.MODEL_IGNORES_BINDINGS if ignores else Reason.TOUCH_WON
    losers = [_lose(_credit(touch), touch_reason) for touch in touches if touch is not winner]
    for binding in bindings:
        if binding is winner:
            continue
        replaced = binding is not bindings[-1] and binding_reason is Reason.TOUCH_WON
        losers.append(_lose(_credit(binding), Reason.NEWER_BINDING if replaced else binding_reason))
    return losers


def _touch_fault(touch: TouchCandidate, buyer: str, now_ms: int, window_ms: int, allow_self: bool) -> Reason | None:
    if touch.problem:
        return Reason.BAD_LINK
    if touch.ms > now_ms:
        return Reason.AFTER_ORDER
    if touch.ms < now_ms - window_ms:
        return Reason.OUTSIDE_WINDOW
    if touch.issuer == buyer and not allow_self:
        return Reason.SELF_REFERRAL
    return None


def _binding_fault(binding: Binding, buyer: str, now_ms: int, allow_self: bool) -> Reason | None:
    if binding.problem:
        return Reason.BINDING_INVALID
    if binding.bound_ms > now_ms:
        return Reason.AFTER_ORDER
    if not binding.valid_at(now_ms):
        return Reason.BINDING_EXPIRED
    if binding.issuer == buyer and not allow_self:
        return Reason.SELF_REFERRAL
    return None


def _lose(credit: Credit, reason: Reason, detail: str | None = None) -> Loser:
    words = _WORDS[reason]
    return Loser(credit, reason, f"{words}: {detail}" if detail else words)


def _credit(candidate: TouchCandidate | Binding) -> Credit:
    c = candidate
    if isinstance(c, TouchCandidate):
        return Credit("touch", c.touch, c.ms, c.link, c.issuer, c.role, c.channel, c.root or c.link, c.depth)
    return Credit("binding", c.binding, c.bound_ms, c.link, c.issuer, c.role, c.channel, c.link, 0)


# Every field takes part, so that two different rows with one id resolve alike whatever their order in the input.
def _touch_order(t: TouchCandidate) -> tuple[int | str, ...]:
    return (t.ms, t.touch, t.link, t.issuer, t.role, t.channel, t.root, t.depth, t.problem or "")


def _binding_order(b: Binding) -> tuple[int | str, ...]:
    days = (b.valid_days, b.protection_days)
    return (b.bound_ms, b.binding, b.issuer, b.role, *days, b.link, b.channel, b.problem or "")
