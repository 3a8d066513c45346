"""RTMP messages: control messages, commands and the bodies that wrap other bodies (RTMP 1.0 sections 5.4, 7.1, 7.2).

    1 set chunk size · 2 abort · 3 acknowledgement · 4 user control · 5 window size · 6 peer bandwidth
    8 audio · 9 video · 15 data AMF3 · 17 command AMF3 · 18 data AMF0 · 20 command AMF0 · 22 aggregate

An AMF3 envelope (15, 17) is one byte, 0, and AMF0 behind it: encoders that ask for AMF3 still write AMF0 values, Flash
players put AMF3 ones between them (marker 0x11).
An aggregate is a row of FLV tags, each with its previous-tag size; their times count from the message's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from stream.errors import AmfError, MessageLimitError, ProtocolError
from stream.protocol import amf0, amf3

COMMAND_BYTES_MAX = 64 * 1024
"""A command's body; a connect with every optional field has about 2 KB."""

COMMAND_VALUES_MAX = 1_000
"""AMF0 values in one command."""

AGGREGATE_TAGS_MAX = 1_024
"""Tags in one aggregate; Flash Media Server put some tens in."""

_TAG_HEADER_BYTES = 11
_PREVIOUS_SIZE_BYTES = 4
_TIMESTAMP_MASK = 0xFFFFFFFF
_SET_DATA_FRAME = amf0.encode("@setDataFrame")
_CLEAR_DATA_FRAME = amf0.encode("@clearDataFrame")


class TypeId(IntEnum):
    """Message type ids."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_SIZE = 5
    PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    COMMAND_AMF3 = 17
    DATA = 18
    COMMAND = 20
    AGGREGATE = 22


class UserControl(IntEnum):
    """Event types of user control messages (section 7.1.7)."""

    STREAM_BEGIN = 0
    STREAM_EOF = 1
    SET_BUFFER_LENGTH = 3
    PING_REQUEST = 6
    PING_RESPONSE = 7


@dataclass(frozen=True, slots=True)
class Command:
    """A remote call: `arguments[0]` is the command object, None for most."""

    name: str
    transaction: float
    arguments: tuple[amf0.Value, ...]

    def text(self, index: int) -> str:
        """Return the argument at `index` when it is a string, else an empty one."""
        value = self.arguments[index] if index < len(self.arguments) else None
        return value if isinstance(value, str) else ""

    def mapping(self, index: int) -> dict[str, amf0.Value]:
        """Return the argument at `index` when it is an object, else an empty one."""
        value = self.arguments[index] if index < len(self.arguments) else None
        return value if isinstance(value, dict) else {}


def parse_command(type_id: int, body: bytes) -> Command:
    """Read a command of type 17 or 20.

    Raises AmfError when it cannot be read, MessageLimitError over `COMMAND_BYTES_MAX`.
    """
    if len(body) > COMMAND_BYTES_MAX:
        raise MessageLimitError(f"command of {len(body)} bytes, the limit is {COMMAND_BYTES_MAX}")
    avm = type_id == TypeId.COMMAND_AMF3
    switch = amf3.decode_one if avm else None
    values = amf0.decode_all(body, _envelope_bytes(avm, body), values_max=COMMAND_VALUES_MAX, amf3=switch)
    match values:
        case [str(name), float(transaction), *arguments]:
            return Command(name, transaction, tuple(arguments))
        case [str(name), *_]:
            return Command(name, 0.0, ())
    raise AmfError("command has no name")


def script_body(type_id: int, body: bytes) -> bytes | None:
    """Return what a player is to get of a data message (type 15 or 18): AMF0, without `@setDataFrame`.

    None when there is nothing (empty, `@clearDataFrame`). The rest is not decoded.
    """
    script = body[_envelope_bytes(type_id == TypeId.DATA_AMF3, body) :]
    if script.startswith(_SET_DATA_FRAME):
        return script[len(_SET_DATA_FRAME) :] or None
    return None if script.startswith(_CLEAR_DATA_FRAME) else script or None


def _envelope_bytes(amf3: bool, body: bytes) -> int:
    return 1 if amf3 and body[:1] == b"\x00" else 0


def split_aggregate(timestamp_ms: int, body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (type id, 32-bit timestamp, body) for each tag of an aggregate (section 7.1.6).

    Raises ProtocolError when a tag is cut off, MessageLimitError over `AGGREGATE_TAGS_MAX`.
    """
    offset = 0
    first_ms: int | None = None
    tags = 0
    while offset < len(body):
        head = body[offset : offset + _TAG_HEADER_BYTES]
        offset += _TAG_HEADER_BYTES
        size = int.from_bytes(head[1:4], "big")
        if len(head) < _TAG_HEADER_BYTES or offset + size > len(body):
            raise ProtocolError("aggregate message is cut off inside a tag")
        tags += 1
        if tags > AGGREGATE_TAGS_MAX:
            raise MessageLimitError(f"aggregate message of more than {AGGREGATE_TAGS_MAX} tags")
        tag_ms = int.from_bytes(head[4:7], "big") | head[7] << 24
        first_ms = tag_ms if first_ms is None else first_ms
        yield head[0], (timestamp_ms + tag_ms - first_ms) & _TIMESTAMP_MASK, body[offset : offset + size]
        offset += size + _PREVIOUS_SIZE_BYTES


def user_control(event: UserControl, data: bytes) -> bytes:
    """Build the body of a user control message."""
    return event.to_bytes(2, "big") + data


def status(code: str, description: str, *, level: str = "status") -> dict[str, amf0.Value]:
    """Build the information object of onStatus, _result and _error."""
    return {"level": level, "code": code, "description": description}


class TimestampUnwrapper:
    """Turns 32-bit wire timestamps into milliseconds that do not wrap at 49.7 days.

    Each is taken as the nearest to the last one, so that a step back stays a small step back and is no wrap; the result
    is never negative. One unwrapper serves all tracks of a publisher: they share its clock.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: int | None = None

    def unwrap(self, timestamp_ms: int) -> int:
        """Return the unwrapped value of `timestamp_ms` (0 to 2³² − 1) and count from it on."""
        self._last = value = self.near(timestamp_ms)
        return value

    def near(self, timestamp_ms: int) -> int:
        """Return the unwrapped value alone: script data often says 0 in the midst of a broadcast."""
        last = self._last
        if last is None:
            return timestamp_ms
        return max(0, last + (timestamp_ms - last + 0x80000000 & _TIMESTAMP_MASK) - 0x80000000)
