"""Separate credits (A5): whose distributor earns, whose guide counts, which partner gets its share, in whose room it
was sold. Pure.

A share of a distributor's link by a customer still carries the distributor: of a touch both the direct sharer and the
first one of its tree count (A3), whichever has the role.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from commerce.attribution.decision import Binding, Decision, Model, TouchCandidate, decide

CREDITED = ("distributor", "guide", "partner")
SHOWN = ("host", "clip")
"""Credited beside them for what was shown: who hosted the room, and the explanation that the buyer had watched."""


@dataclass(frozen=True, slots=True)
class Root:
    """Who made the first link of a tree."""

    issuer: str
    role: str


@dataclass(frozen=True, slots=True)
class Case:
    """All that an order is judged by; ``inactive`` are issuers who may not be credited now.

    ``too_old`` says why a touch of an issuer at a time counts no more, where its contract counts fewer days.
    """

    buyer: str
    now_ms: int
    window_ms: int
    allow_self: bool
    touches: tuple[TouchCandidate, ...]
    bindings: tuple[Binding, ...]
    roots: Mapping[str, Root]
    inactive: frozenset[str]
    omitted: int = 0
    too_old: Callable[[str, int], str | None] = lambda _issuer, _ms: None

    def judge(self, model: Model = Model.DEFAULT) -> Decision:
        """Judge all roles together, as the order's row shows it."""
        return self._decide(self.touches, self.bindings, model)

    def credit(self, role: str, model: Model = Model.DEFAULT) -> Decision:
        """Judge for one role alone."""
        touches = [self._of_role(touch, role) for touch in self.touches]
        bindings = [binding for binding in self.bindings if binding.role == role]
        return self._decide([touch for touch in touches if touch is not None], bindings, model)

    def _decide(self, touches: Iterable[TouchCandidate], bindings: Iterable[Binding], model: Model) -> Decision:
        return decide(
            touches,
            bindings,
            buyer=self.buyer,
            now_ms=self.now_ms,
            model=model,
            window_ms=self.window_ms,
            allow_self=self.allow_self,
            omitted=self.omitted,
        )

    def _of_role(self, touch: TouchCandidate, role: str) -> TouchCandidate | None:
        root = self.roots.get(touch.root)
        if touch.role != role:
            if root is None or root.role != role:
                return None
            touch = replace(touch, issuer=root.issuer, role=role)
        if touch.problem is None and touch.issuer in self.inactive:
            return replace(touch, problem=f"the {role} is not active")
        if touch.problem is None and role == "partner":
            return replace(touch, problem=self.too_old(touch.issuer, touch.ms))
        return touch

    def to_json(self) -> dict[str, Any]:
        """What is stored with the order: the decision, whom other models would credit, and the credits by role."""
        judged = {model: self.judge(model).winner for model in Model}
        models = {
            model.value: {
                "link": winner.link,
                "issuer": winner.issuer,
                "role": winner.role,
                "channel": winner.channel,
            }
            if winner
            else None
            for model, winner in judged.items()
        }
        credits = {role: self._brief(role) for role in CREDITED}
        if credits["partner"] is None:
            del credits["partner"]  # most shops have none, and each order keeps its decision
        return {**self.judge().to_json(), "models": models, "credits": credits}

    def _brief(self, role: str) -> dict[str, Any] | None:
        decision = self.credit(role)
        winner = decision.winner
        if winner is None:
            return None
        return {
            "issuer": winner.issuer,
            "link": winner.link,
            "channel": winner.channel,
            "source": winner.source,
            "ms": winner.ms,
            "rule": decision.rule,
        }
