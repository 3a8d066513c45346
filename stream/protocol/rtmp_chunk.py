"""RTMP chunks: messages cut into pieces, several chunk streams on one connection (RTMP 1.0 section 5.3).

    basic header     fmt (2 bits) id (6 bits): 0 → id = 64 + next byte, 1 → id = 64 + next two bytes little-endian
    message header   fmt 0: timestamp u24, length u24, type u8, message stream id u32 little-endian
                     fmt 1: delta u24, length u24, type u8
                     fmt 2: delta u24
                     fmt 3: nothing; all as before
    extended         u32, when the u24 is 0xFFFFFF; repeated on fmt 3
    payload          min(chunk size, what is left of the message)

Theory of operation: only headers (≤ 18 bytes) are ever kept back for more bytes; payload is taken as it comes, so that
the cost is linear in the bytes, however they are split, and memory grows with bytes that arrived, never with a length
that a peer claims.
"""

from msgspec import Struct

from stream.errors import ChunkError, LocalError, MessageLimitError

CHUNK_BYTES_DEFAULT = 128
CHUNK_BYTES_MAX = 0xFFFFFF
"""No message is longer, so no larger chunk size means anything (section 5.4.1)."""

MESSAGE_BYTES_MAX = 16 * 1024 * 1024 - 1
"""The 24-bit length's own bound; a key frame of 4K video at 50 Mbps has about 2 MB."""

PENDING_BYTES_MAX = 20 * 1024 * 1024
"""Bytes of unfinished messages over all chunk streams of a connection: one of the largest kind, and room beside it."""

CHUNK_STREAMS_MAX = 64
"""Chunk streams of a connection; encoders use 3 to 8, ids would allow 65,597."""

_TIMESTAMP_MASK = 0xFFFFFFFF
_EXTENDED = 0xFFFFFF
_SET_CHUNK_SIZE = 1
_ABORT = 2
_HEADER_BYTES = (11, 7, 3, 0)
_GOES_ON = 0xC2
"""The least first byte of a type 3 header whose chunk stream id is in that byte."""


class Message(Struct, frozen=True, gc=False):
    """One RTMP message. `timestamp_ms` is the 32-bit wire value, modulo 2³²."""

    type_id: int
    stream_id: int
    timestamp_ms: int
    body: bytes


class _ChunkStream:
    """What a chunk stream remembers between chunks."""

    __slots__ = ("body", "delta", "extended", "length", "open", "stream_id", "timestamp", "type_id")

    def __init__(self) -> None:
        self.timestamp = 0
        self.delta = 0
        self.extended: int | None = None  # the last header's extended field
        self.length = 0
        self.type_id = 0
        self.stream_id = 0
        self.open = False  # a message is under way
        self.body = bytearray()


class ChunkReader:
    """Turns bytes into messages.

    `feed(data)` hands over bytes, `next_message()` gives one message or None when more bytes are needed; bytes behind a
    message stay until it is called again. Set Chunk Size and Abort are applied here (they steer this layer) and not
    given out. Lower `message_bytes_max` to hold peers short that have not shown a key. Raises ChunkError and
    MessageLimitError; the reader is of no use after one.
    """

    def __init__(
        self, *, message_bytes_max: int = MESSAGE_BYTES_MAX, pending_bytes_max: int = PENDING_BYTES_MAX
    ) -> None:
        self.message_bytes_max = message_bytes_max
        self.chunk_bytes = CHUNK_BYTES_DEFAULT
        self._pending_bytes_max = pending_bytes_max
        self._pending_bytes = 0
        self._streams: dict[int, _ChunkStream] = {}
        self._buffer = b""
        self._view = memoryview(b"")
        self._position = 0
        self._current: _ChunkStream | None = None  # the stream whose chunk's payload is being read
        self._chunk_left = 0

    @property
    def held_bytes(self) -> int:
        """Bytes fed and not parsed yet."""
        return len(self._buffer) - self._position

    @property
    def pending_bytes(self) -> int:
        """Bytes of messages that are not complete yet."""
        return self._pending_bytes

    def feed(self, data: bytes) -> None:
        """Hand over bytes of the peer."""
        self._buffer = self._buffer[self._position :] + data if self._position < len(self._buffer) else data
        self._view = memoryview(self._buffer)
        self._position = 0

    def next_message(self) -> Message | None:
        """Return the next complete message, or None when more bytes are needed."""
        while True:
            stream = self._current
            if stream is None:
                stream = self._read_header()
                if stream is None:
                    return None
            left, length = self._chunk_left, stream.length
            if left and left == length and left <= len(self._buffer) - self._position:
                # All of it in one chunk, as most sound is: nothing to put together.
                end = self._position + left
                body = self._buffer[self._position : end]
                self._position = end
                self._chunk_left = 0
            else:
                if left:
                    self._take_payload(stream)
                    if self._chunk_left:
                        return None
                if len(stream.body) < length:
                    self._current = None
                    continue
                body = bytes(stream.body)
                self._pending_bytes -= length
                stream.body = bytearray()
            self._current = None
            stream.open = False
            type_id = stream.type_id
            if type_id == _SET_CHUNK_SIZE:
                self._set_chunk_size(body)
            elif type_id == _ABORT:
                self._abort(body)
            else:
                return Message(type_id, stream.stream_id, stream.timestamp, body)

    def _take_payload(self, stream: _ChunkStream) -> None:
        """Move what is there of the current chunk's payload into its message."""
        position = self._position
        end = min(position + self._chunk_left, len(self._buffer))
        taken = end - position
        self._pending_bytes += taken
        if self._pending_bytes > self._pending_bytes_max:
            raise MessageLimitError(f"unfinished messages hold more than {self._pending_bytes_max} bytes")
        stream.body += self._view[position:end]
        self._chunk_left -= taken
        self._position = end

    def _read_header(self) -> _ChunkStream | None:
        """Read a chunk's headers; None, and nothing consumed, when they are not whole yet."""
        buffer = self._buffer
        position = self._position
        end = len(buffer)
        if position >= end:
            return None
        first = buffer[position]
        fmt = first >> 6
        chunk_stream_id = first & 0x3F
        position += 1
        if first >= _GOES_ON:
            # The usual case of pictures by itself: a message goes on, and its header is this one byte.
            stream = self._streams.get(chunk_stream_id)
            if stream is not None and stream.open and stream.extended is None:
                self._position = position
                self._current = stream
                self._chunk_left = min(self.chunk_bytes, stream.length - len(stream.body))
                return stream
        if chunk_stream_id < 2:
            size = chunk_stream_id + 1
            if position + size > end:
                return None
            chunk_stream_id = 64 + int.from_bytes(buffer[position : position + size], "little")
            position += size
        stream = self._streams.get(chunk_stream_id)
        if fmt == 3:
            if stream is None:
                raise ChunkError("chunk stream begins with a header of type 3")
            if stream.extended is not None:
                skip = self._repeated_extended(stream, position)
                if skip is None:
                    return None
                position += skip
            if not stream.open:
                # Section 5.3.1.2.4: a new message repeats the last delta; after a type 0 that is its timestamp.
                stream.timestamp = (stream.timestamp + stream.delta) & _TIMESTAMP_MASK
                self._open(stream)
        else:
            if position + _HEADER_BYTES[fmt] + 4 > end and not self._header_is_whole(fmt, position):
                return None
            if stream is None:
                stream = self._new_stream(chunk_stream_id, fmt)
            elif stream.open:
                raise ChunkError("new message on a chunk stream whose last one is not complete")
            position = self._apply_header(stream, fmt, position)
            self._open(stream)
        self._position = position
        self._current = stream
        self._chunk_left = min(self.chunk_bytes, stream.length - len(stream.body))
        return stream

    def _header_is_whole(self, fmt: int, position: int) -> bool:
        left = len(self._buffer) - position
        size = _HEADER_BYTES[fmt]
        if left < size:
            return False
        return left >= size + 4 or self._buffer[position : position + 3] != b"\xff\xff\xff"

    def _new_stream(self, chunk_stream_id: int, fmt: int) -> _ChunkStream:
        # librtmp opens chunk stream 2 with a type 1 header; a type 2 would leave the length unknown.
        if fmt == 2:
            raise ChunkError("chunk stream begins with a header of type 2")
        if len(self._streams) >= CHUNK_STREAMS_MAX:
            raise ChunkError(f"more than {CHUNK_STREAMS_MAX} chunk streams")
        stream = self._streams[chunk_stream_id] = _ChunkStream()
        return stream

    def _apply_header(self, stream: _ChunkStream, fmt: int, position: int) -> int:
        """Read a whole message header of type 0, 1 or 2 at `position`; return the position after it."""
        buffer = self._buffer
        if fmt < 2:
            fields = int.from_bytes(buffer[position : position + 7], "big")
            time = fields >> 32
            stream.length = fields >> 8 & 0xFFFFFF
            stream.type_id = fields & 0xFF
        else:
            time = int.from_bytes(buffer[position : position + 3], "big")
        if fmt == 0:
            stream.stream_id = int.from_bytes(buffer[position + 7 : position + 11], "little")
        position += _HEADER_BYTES[fmt]
        if time == _EXTENDED:
            time = stream.extended = int.from_bytes(buffer[position : position + 4], "big")
            position += 4
        else:
            stream.extended = None
        stream.delta = time
        stream.timestamp = time if fmt == 0 else (stream.timestamp + time) & _TIMESTAMP_MASK
        return position

    def _repeated_extended(self, stream: _ChunkStream, position: int) -> int | None:
        """Say how many bytes of repeated extended timestamp to skip: 4, 0 when the peer omits it, None to wait.

        The specification repeats it on type 3, older librtmp and others do not: so the bytes are compared before they
        are consumed, with the field as it was sent and with the message's timestamp (some repeat that instead).
        """
        there = self._buffer[position : position + 4]
        expected = (stream.extended or 0).to_bytes(4, "big")
        absolute = stream.timestamp.to_bytes(4, "big")
        if len(there) == 4:
            return 4 if there in (expected, absolute) else 0
        return None if expected.startswith(there) or absolute.startswith(there) else 0

    def _open(self, stream: _ChunkStream) -> None:
        if stream.length > self.message_bytes_max:
            raise MessageLimitError(f"message of {stream.length} bytes, the limit is {self.message_bytes_max}")
        stream.open = True

    def _set_chunk_size(self, body: bytes) -> None:
        """Apply Set Chunk Size (section 5.4.1)."""
        size = int.from_bytes(body[:4], "big")
        if len(body) < 4 or not 1 <= size <= CHUNK_BYTES_MAX:
            raise ChunkError(f"chunk size of {size} bytes, it must be 1 to {CHUNK_BYTES_MAX}")
        self.chunk_bytes = size

    def _abort(self, body: bytes) -> None:
        """Drop the unfinished message of a chunk stream (section 5.4.2)."""
        stream = self._streams.get(int.from_bytes(body[:4], "big")) if len(body) >= 4 else None
        if stream is not None and stream.open:
            self._pending_bytes -= len(stream.body)
            stream.body = bytearray()
            stream.open = False


def write_message(
    chunk_stream_id: int,
    type_id: int,
    stream_id: int,
    timestamp_ms: int,
    body: bytes,
    *,
    chunk_bytes: int = CHUNK_BYTES_DEFAULT,
) -> bytes:
    """Cut one message into chunks: a type 0 header, then type 3.

    `chunk_stream_id` is 2 to 63; `timestamp_ms` is taken modulo 2³². Raises LocalError.
    """
    if not 2 <= chunk_stream_id <= 63 or len(body) > MESSAGE_BYTES_MAX or chunk_bytes < 1:
        raise LocalError("chunk stream id, message length or chunk size cannot be written")
    timestamp_ms &= _TIMESTAMP_MASK
    extended = timestamp_ms.to_bytes(4, "big") if timestamp_ms >= _EXTENDED else b""
    header = (
        bytes((chunk_stream_id,))
        + min(timestamp_ms, _EXTENDED).to_bytes(3, "big")
        + len(body).to_bytes(3, "big")
        + bytes((type_id,))
        + stream_id.to_bytes(4, "little")
    )
    if len(body) <= chunk_bytes:
        return header + extended + body
    separator = bytes((0xC0 | chunk_stream_id,)) + extended
    pieces = [body[at : at + chunk_bytes] for at in range(0, len(body), chunk_bytes)]
    return header + extended + separator.join(pieces)
