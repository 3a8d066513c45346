"""RTMP chunks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import ChunkError, LocalError, MessageLimitError
from stream.protocol.rtmp_chunk import CHUNK_STREAMS_MAX, ChunkReader, Message, write_message


def read(data: bytes, reader: ChunkReader | None = None) -> list[Message]:
    reader = reader or ChunkReader()
    reader.feed(data)
    found = []
    while (message := reader.next_message()) is not None:
        found.append(message)
    return found


def header(fmt: int, stream: int, time: int = 0, length: int = 0, type_id: int = 9, stream_id: int = 1) -> bytes:
    """A chunk's headers; `time` is the timestamp or delta."""
    out = bytes((fmt << 6 | stream,))
    if fmt < 3:
        out += min(time, 0xFFFFFF).to_bytes(3, "big")
    if fmt < 2:
        out += length.to_bytes(3, "big") + bytes((type_id,))
    if fmt < 1:
        out += stream_id.to_bytes(4, "little")
    return out + (time.to_bytes(4, "big") if time >= 0xFFFFFF and fmt < 3 else b"")


MESSAGES = st.lists(
    st.builds(
        Message,
        type_id=st.sampled_from([8, 9, 18, 20]),
        stream_id=st.integers(0, 0xFFFFFFFF),
        timestamp_ms=st.one_of(st.integers(0, 0xFFFFFFFF), st.integers(0xFFFFFE, 0x1000001)),
        body=st.binary(max_size=600),
    ),
    max_size=6,
)


@given(MESSAGES, st.integers(1, 700), st.data())
def test_messages_survive_any_chunk_size_and_any_split(sent: list[Message], size: int, data: st.DataObject) -> None:
    wire = write_message(2, 1, 0, 0, size.to_bytes(4, "big"))
    for number, message in enumerate(sent):
        wire += write_message(
            3 + number % 4,
            message.type_id,
            message.stream_id,
            message.timestamp_ms,
            message.body,
            chunk_bytes=size,
        )
    assert read(wire) == sent
    step = data.draw(st.integers(1, 40))
    reader = ChunkReader()
    assert [m for at in range(0, len(wire), step) for m in read(wire[at : at + step], reader)] == sent
    assert reader.pending_bytes == 0


def test_bytes_fed_while_nobody_reads_are_kept_in_order() -> None:
    wire = write_message(4, 9, 1, 5, b"abc") + write_message(4, 9, 1, 6, b"def")
    reader = ChunkReader()
    for at in range(len(wire)):
        reader.feed(wire[at : at + 1])
    assert reader.held_bytes == len(wire)
    assert [message.body for message in read(b"", reader)] == [b"abc", b"def"]


def test_chunk_streams_interleave() -> None:
    video = write_message(6, 9, 1, 0, b"v" * 200)
    audio = write_message(4, 8, 1, 0, b"a" * 50)
    assert [message.type_id for message in read(video[:140] + audio + video[140:])] == [8, 9]


@pytest.mark.parametrize(("basic", "first"), [(b"\x00\x00", 0), (b"\x00\xff", 0), (b"\x01\x00\x01", 1)])
def test_basic_headers_of_two_and_three_bytes_are_read(basic: bytes, first: int) -> None:
    body = b"x" * 200
    start, rest = header(0, first, 7, len(body))[1:] + body[:128], body[128:]
    again = bytes((0xC0 | basic[0],)) + basic[1:]
    assert [message.body for message in read(basic + start + again + rest)] == [body]


def test_the_two_forms_of_one_chunk_stream_id_are_the_same_stream() -> None:
    # 64 + 10 as two bytes, then as three
    start = b"\x00\x0a" + header(0, 0, 7, 200)[1:] + b"x" * 128
    assert len(read(start + b"\xc1\x0a\x00" + b"x" * 72)) == 1


def test_deltas_add_up_over_all_header_types() -> None:
    data = header(0, 6, 1000, 1) + b"a" + header(1, 6, 40, 1) + b"b" + header(2, 6, 33) + b"c" + header(3, 6) + b"d"
    found = read(data)
    assert [message.timestamp_ms for message in found] == [1000, 1040, 1073, 1106]
    assert {message.stream_id for message in found} == {1}


def test_type_3_opening_a_message_after_type_0_repeats_its_timestamp_as_delta() -> None:
    found = read(header(0, 6, 23, 1) + b"a" + header(3, 6) + b"b" + header(3, 6) + b"c")
    assert [message.timestamp_ms for message in found] == [23, 46, 69]


def test_a_continuation_of_type_3_does_not_add_the_delta() -> None:
    found = read(header(0, 6, 10, 1) + b"a" + header(1, 6, 40, 200) + b"b" * 128 + header(3, 6) + b"b" * 72)
    assert [message.timestamp_ms for message in found] == [10, 50]


def test_timestamps_wrap_at_32_bits() -> None:
    found = read(header(0, 6, 0xFFFFFFF0, 1) + b"a" + header(1, 6, 0x20, 1) + b"b")
    assert [message.timestamp_ms for message in found] == [0xFFFFFFF0, 0x10]


@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_extended_timestamps_are_read_whether_type_3_repeats_them_or_not(repeats: bool, step: int) -> None:
    time = 0x01020304
    again = header(3, 6) + (time.to_bytes(4, "big") if repeats else b"")
    body = bytes(range(256)) + b"end"
    data = header(0, 6, time, len(body)) + body[:128] + again + body[128:256] + again + body[256:]
    data += header(2, 6, 40) + body[:128] + header(3, 6) + body[128:256] + header(3, 6) + body[256:]
    reader = ChunkReader()
    found = [m for at in range(0, len(data), step) for m in read(data[at : at + step], reader)]
    assert [(message.timestamp_ms, message.body) for message in found] == [(time, body), (time + 40, body)]


def test_a_short_last_chunk_without_the_repeated_timestamp_does_not_wait_for_more() -> None:
    body = b"x" * 130
    assert len(read(header(0, 6, 0x01020304, 130) + body[:128] + header(3, 6) + body[128:])) == 1


def test_type_1_may_open_a_chunk_stream_as_librtmp_does() -> None:
    assert read(header(1, 2, 0, 6, 4) + b"\x00\x06\x00\x00\x00\x01")[0].type_id == 4


def test_an_empty_message_is_a_message() -> None:
    assert read(header(0, 6, 5, 0)) == [Message(9, 1, 5, b"")]


def test_abort_drops_the_unfinished_message_and_its_bytes() -> None:
    reader = ChunkReader()
    abort = write_message(2, 2, 0, 0, (6).to_bytes(4, "big"))
    assert read(header(0, 6, 5, 1000) + b"x" * 128 + abort, reader) == []
    assert reader.pending_bytes == 0
    assert read(header(0, 6, 6, 1) + b"y", reader) == [Message(9, 1, 6, b"y")]


@pytest.mark.parametrize("body", [bytes(4), b"\x80\0\0\x80", b"\x01\0\0\0", b"\x7f\xff\xff\xff", b"\0\x10"])
def test_an_absurd_chunk_size_is_refused(body: bytes) -> None:
    with pytest.raises(ChunkError, match="chunk size"):
        read(write_message(2, 1, 0, 0, body))


@pytest.mark.parametrize("size", [1, 0xFFFFFF])
def test_the_bounds_of_the_chunk_size_are_taken(size: int) -> None:
    reader = ChunkReader()
    read(write_message(2, 1, 0, 0, size.to_bytes(4, "big")), reader)
    assert reader.chunk_bytes == size


def test_a_message_over_the_limit_is_refused_at_its_header() -> None:
    with pytest.raises(MessageLimitError, match="1001 bytes"):
        read(header(0, 6, 5, 1001), ChunkReader(message_bytes_max=1000))


def test_unfinished_messages_of_all_chunk_streams_together_are_bounded() -> None:
    reader = ChunkReader(pending_bytes_max=1000)
    with pytest.raises(MessageLimitError, match="unfinished"):
        for stream in range(3, 20):
            read(header(0, stream, 0, 900) + b"x" * 128, reader)
    assert reader.pending_bytes <= 1128


def test_only_bytes_that_arrived_cost_memory_and_not_a_length_that_is_claimed() -> None:
    reader = ChunkReader()
    for stream in range(3, 63):
        read(header(0, stream, 0, 0xFFFFFF) + b"x" * 128, reader)
    assert reader.pending_bytes == 60 * 128


def test_the_number_of_chunk_streams_is_bounded() -> None:
    opened = b"".join(bytes((0, number)) + header(0, 0, 0, 0)[1:] for number in range(CHUNK_STREAMS_MAX))
    assert len(read(opened)) == CHUNK_STREAMS_MAX
    with pytest.raises(ChunkError, match="chunk streams"):
        read(opened + header(0, 5))


@pytest.mark.parametrize("fmt", [2, 3])
def test_a_chunk_stream_cannot_begin_without_a_length(fmt: int) -> None:
    with pytest.raises(ChunkError, match=f"type {fmt}"):
        read(header(fmt, 6) + bytes(8))


def test_a_new_message_inside_an_unfinished_one_is_refused() -> None:
    with pytest.raises(ChunkError, match="not complete"):
        read(header(0, 6, 0, 300) + b"x" * 128 + header(0, 6, 0, 300) + b"x" * 128)


def test_what_cannot_be_written_is_our_fault() -> None:
    with pytest.raises(LocalError):
        write_message(64, 9, 1, 0, b"")


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_bytes_give_the_same_messages_or_the_same_error_however_they_are_split(data: bytes, step: int) -> None:
    def outcome(pieces: list[bytes]) -> list[object]:
        reader = ChunkReader(message_bytes_max=500)
        found: list[object] = []
        try:
            for piece in pieces:
                reader.feed(piece)
                while (message := reader.next_message()) is not None:
                    found.append(message)
        except (ChunkError, MessageLimitError) as error:
            found.append((type(error), str(error)))
        return found

    assert outcome([data]) == outcome([data[at : at + step] for at in range(0, len(data), step)])
