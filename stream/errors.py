"""What can go wrong in `stream`, the peer's fault apart from ours.

    StreamError
    ├── PeerError                   the peer erred: log it, close that one connection
    │   ├── ProtocolError           bytes that break the protocol
    │   │   ├── HandshakeError      RTMP handshake
    │   │   ├── ChunkError          RTMP chunk stream
    │   │   ├── MessageLimitError   a message or a connection over its limit
    │   │   ├── AmfError            AMF0 that cannot be read
    │   │   ├── StunError           STUN, in a WebRTC session
    │   │   └── RtpError            RTP or RTCP, in a WebRTC session
    │   ├── OfferRefused            an SDP offer that cannot be answered: carries the HTTP status and a code
    │   ├── AlreadyPublishing       the room has a live host
    │   ├── PublishRefused          wrong key, unknown room …: carries the RTMP code
    │   └── PlayRefused             wrong token, unknown room …: carries the RTMP code
    └── LocalError                  we erred: a call in the wrong state, a value that cannot be encoded

No message of these errors ever carries a stream key or bytes that the peer sent as a name: they are logged as they are.
"""


class StreamError(Exception):
    """Base of every error that `stream` raises."""


class PeerError(StreamError):
    """The peer did something wrong; its connection is to be closed, nothing else is affected."""


class ProtocolError(PeerError):
    """The peer's bytes break the protocol."""


class HandshakeError(ProtocolError):
    """The RTMP handshake is not one (RTMP 1.0 section 5.2)."""


class ChunkError(ProtocolError):
    """The RTMP chunk stream is broken (RTMP 1.0 section 5.3)."""


class MessageLimitError(ProtocolError):
    """A message, or all messages under way on one connection, are over the limit."""


class AmfError(ProtocolError):
    """AMF0 bytes cannot be read: cut off, unknown marker, too deep or too many values."""


class StunError(ProtocolError):
    """A STUN message is broken or not signed (RFC 8489); its datagram is dropped."""


class RtpError(ProtocolError):
    """An RTP or RTCP packet is broken (RFC 3550); it is dropped."""


class OfferRefused(PeerError):
    """An SDP offer, or the stream that it is for, cannot be answered.

    `status` is the HTTP status to tell, `code` a word for programs, `detail` tells the person what to do.
    """

    def __init__(self, status: int, code: str, detail: str, retry_ms: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_ms = retry_ms


class AlreadyPublishing(PeerError):
    """The room has a host whose media still arrives; a second one is refused.

    `heard_ms`: Unix ms when it was last heard; after `retry_ms` more without a word it counts as gone.
    """

    def __init__(self, room: str, heard_ms: int = 0, retry_ms: int = 0) -> None:
        super().__init__("the room already has a live host")
        self.room = room
        self.heard_ms = heard_ms
        self.retry_ms = retry_ms


class PublishRefused(PeerError):
    """The publisher may not publish here.

    `code` is the RTMP status code (`NetStream.Publish.BadName`, `NetConnection.Connect.Rejected`), `description` tells
    the person at the encoder what to do, and holds no key.
    """

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description


class LocalError(StreamError):
    """This program called the package wrongly."""


class PlayRefused(PeerError):
    """The player may not play here; `code` and `description` as in PublishRefused (`NetStream.Play.Failed` …)."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
