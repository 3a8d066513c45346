"""Share links as values: the row behind a token, and what is shown of it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Link:
    """A link's row; empty text is "none". ``root`` is the first link of its tree (itself at ``depth`` 0)."""

    id: str
    merchant: str
    issuer: str
    role: str
    room: str
    sku: str
    channel: str
    campaign: str
    parent: str | None
    root: str
    depth: int
    expires_ms: int | None
    created_ms: int
    content: str = ""

    def lapsed(self, now_ms: int) -> bool:
        """Say whether the link no longer counts."""
        return self.expires_ms is not None and now_ms >= self.expires_ms


@dataclass(frozen=True, slots=True)
class LinkView:
    """A link with its token, and how often it was opened (``uses``, counted from the log; 0 when just minted)."""

    token: str
    link: Link
    uses: int = 0

    def to_json(self) -> dict[str, Any]:
        """Give the JSON shape; "none" becomes null."""
        link = self.link
        return {
            "token": self.token,
            "link": link.id,
            "issuer": link.issuer,
            "role": link.role,
            "room": link.room or None,
            "sku": link.sku or None,
            "channel": link.channel or None,
            "campaign": link.campaign or None,
            "content": link.content or None,
            "parent": link.parent,
            "root": link.root,
            "depth": link.depth,
            "expires": link.expires_ms,
            "created": link.created_ms,
            "uses": self.uses,
        }
