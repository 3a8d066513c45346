"""Helper tasks (助力): who counts as a helper of somebody's poster, and when the task is done. Pure.

A shop turns them on by itself; there are none by default, as a platform may call it urging people to share
(微信外部链接内容管理规范). Nobody pays to take part, a helper gets nothing and joins nothing, and no poster leads to
another's reward: there is one level (禁止传销条例 art. 7).
"""

from collections.abc import Iterable
from dataclasses import dataclass

NEEDED_MIN, NEEDED_MAX = 1, 50
PER_NETWORK_MAX = 3
"""Helpers of one poster from one network address: a family, not a farm of telephones."""
PER_DAY_MAX = 5
"""Posters that one person helps in a day."""


@dataclass(frozen=True, slots=True)
class Help:
    """A press on the button, by who it was then and is now; ``network`` names their address and tells nothing."""

    helper: str
    network: str


@dataclass(frozen=True, slots=True)
class Counted:
    """Helpers that count, and those that do not with the reason: self, twice, network."""

    helpers: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]


def count(owner: str, helps: Iterable[Help]) -> Counted:
    """Count helpers in the order in which they came: each person once, never the owner, so many of one network.

    It is counted anew after two persons were found to be one, so a merge can only make it less.
    """
    helpers: dict[str, None] = {}
    networks: dict[str, int] = {}
    refused: list[tuple[str, str]] = []
    for one in helps:
        if one.helper == owner:
            refused.append((one.helper, "self"))
        elif one.helper in helpers:
            refused.append((one.helper, "twice"))
        elif one.network and networks.get(one.network, 0) >= PER_NETWORK_MAX:
            refused.append((one.helper, "network"))
        else:
            helpers[one.helper] = None
            networks[one.network] = networks.get(one.network, 0) + 1
    return Counted(tuple(helpers), tuple(refused))
