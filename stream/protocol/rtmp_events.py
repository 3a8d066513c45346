"""What an RtmpSession has to say."""

from dataclasses import dataclass, field
from typing import TypeAlias

from msgspec import Struct

from stream.errors import ProtocolError
from stream.protocol.rtmp_auth import Proof


@dataclass(frozen=True, slots=True)
class PublishRequested:
    """A peer wants to publish; answer with `accept_publish` or `reject_publish`.

    `query` is merged from tcUrl, app and stream name, `key` is its `key`, empty when there is none.
    """

    app: str
    room: str
    key: str = field(repr=False)
    query: dict[str, str] = field(repr=False)
    proof: Proof | None = field(default=None, repr=False)
    """Of a peer that answered a challenge: its user's password is to be the room's key."""


@dataclass(frozen=True, slots=True)
class PlayRequested:
    """A peer wants to play; answer with `accept_play` or `reject_play`. `token` is empty when there is none."""

    app: str
    room: str
    token: str = field(repr=False)
    query: dict[str, str] = field(repr=False)


class MediaReceived(Struct, frozen=True, gc=False):
    """An FLV tag body, never empty: `kind` is 8 audio, 9 video or 18 script data (AMF0); `dts_ms` does not wrap."""

    kind: int
    dts_ms: int
    body: bytes


@dataclass(frozen=True, slots=True)
class PublishEnded:
    """The peer stopped publishing and keeps its connection."""


@dataclass(frozen=True, slots=True)
class PlayEnded:
    """The peer stopped playing and keeps its connection."""


@dataclass(frozen=True, slots=True)
class PeerRejected:
    """The peer was refused, or challenged, and has been told why; close after the answer is sent."""

    code: str
    description: str
    challenged: bool = False
    """Nothing is wrong: it comes back with the answer."""


@dataclass(frozen=True, slots=True)
class SessionFailed:
    """The peer broke the protocol; close the connection."""

    error: ProtocolError


Event: TypeAlias = (
    PublishRequested | PlayRequested | MediaReceived | PublishEnded | PlayEnded | PeerRejected | SessionFailed
)
