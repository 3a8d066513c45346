"""The client's side of RTMP for tests: bytes to send, and what a server's bytes say."""

from pathlib import Path

from stream.protocol import amf0
from stream.protocol.rtmp_chunk import ChunkReader, Message, write_message
from stream.protocol.rtmp_events import Event
from stream.protocol.rtmp_handshake import ENTROPY_BYTES, PART_BYTES
from stream.protocol.rtmp_session import RtmpSession

ENTROPY = bytes(range(256)) * (ENTROPY_BYTES // 256) + bytes(ENTROPY_BYTES % 256)
C0C1 = b"\x03" + bytes(8) + bytes(range(1, 192)) * 8
C2 = bytes(PART_BYTES)
SERVER_HANDSHAKE_BYTES = 1 + 2 * PART_BYTES

FFMPEG_PUBLISH = (Path(__file__).parent / "fixtures" / "rtmp_ffmpeg_publish.bin").read_bytes()
"""All that ffmpeg 5.1 sends for 2 s of H.264 with B-frames and AAC to /live, stream name `R1?key=secret-1`.

It holds one onMetaData, an avcC, 50 pictures, an AudioSpecificConfig, 88 audio frames, and empty end-of-sequence tags.
"""


def command(name: str, transaction: float, *arguments: amf0.Value, stream_id: int = 0, type_id: int = 20) -> bytes:
    """One command message in chunks of 128 bytes."""
    return write_message(3, type_id, stream_id, 0, amf0.encode(name, transaction, *arguments))


def connect(app: str = "live", tc_url: str = "rtmp://127.0.0.1/live") -> bytes:
    return command("connect", 1, {"app": app, "tcUrl": tc_url, "flashVer": "FMLE/3.0", "objectEncoding": 0.0})


def publish(name: str = "ROOM?key=secret") -> bytes:
    return command("createStream", 2, None) + command("publish", 3, None, name, "live", stream_id=1)


HELLO = C0C1 + C2
TO_PUBLISH = HELLO + connect() + publish()


def publishing_session() -> RtmpSession:
    """A session whose publish was accepted, with all events and answers taken."""
    session = RtmpSession(ENTROPY)
    session.receive_data(TO_PUBLISH)
    session.accept_publish()
    session.events_received()
    session.data_to_send()
    return session


def messages(answer: bytes, chunk_bytes: int = 4096) -> list[Message]:
    """The messages of a server's bytes behind its handshake; its chunks have 128 bytes until it answered connect."""
    reader = ChunkReader()
    reader.chunk_bytes = chunk_bytes
    reader.feed(answer)
    found = []
    while (message := reader.next_message()) is not None:
        found.append(message)
    return found


def commands(answer: bytes, chunk_bytes: int = 4096) -> list[list[amf0.Value]]:
    """The commands of a server's bytes behind its handshake."""
    return [amf0.decode_all(message.body) for message in messages(answer, chunk_bytes) if message.type_id == 20]


def codes(answer: bytes, chunk_bytes: int = 4096) -> list[str]:
    """The status codes that a server sent, in order."""
    return [str(values[-1]["code"]) for values in commands(answer, chunk_bytes) if isinstance(values[-1], dict)]


def drive(session: RtmpSession, pieces: list[bytes]) -> tuple[list[Event], bytes]:
    """Give `pieces` one by one and accept each publish; return all events and all bytes sent."""
    events: list[Event] = []
    sent = b""
    for piece in pieces:
        session.receive_data(piece)
        while found := session.events_received():
            events += found
            if session.state.name == "DECIDING":
                session.accept_publish()
        sent += session.data_to_send()
    return events, sent
