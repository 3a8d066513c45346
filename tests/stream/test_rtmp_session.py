"""The server's side of an RTMP connection."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.errors import ChunkError, LocalError, MessageLimitError, ProtocolError
from stream.protocol import amf0
from stream.protocol.rtmp_chunk import write_message
from stream.protocol.rtmp_events import (
    MediaReceived,
    PeerRejected,
    PlayEnded,
    PlayRequested,
    PublishEnded,
    PublishRequested,
    SessionFailed,
)
from stream.protocol.rtmp_session import HELD_BYTES_MAX, STREAMS_MAX, UNPROVEN_BYTES_MAX, RtmpSession, State
from tests.stream.rtmp_peer import (
    C0C1,
    ENTROPY,
    FFMPEG_PUBLISH,
    HELLO,
    SERVER_HANDSHAKE_BYTES,
    TO_PUBLISH,
    codes,
    command,
    commands,
    connect,
    drive,
    messages,
    publish,
    publishing_session,
)


def connected() -> RtmpSession:
    session = RtmpSession(ENTROPY)
    session.receive_data(HELLO + connect())
    session.data_to_send()
    return session


def failure(session: RtmpSession) -> ProtocolError:
    """The one event of a session that must have failed."""
    (event,) = session.events_received()
    assert isinstance(event, SessionFailed)
    assert session.state is State.CLOSED
    return event.error


# -- what a publisher sees ---------------------------------------------------------------------------------------------


def test_connect_is_answered_with_windows_chunk_size_and_success() -> None:
    session = RtmpSession(ENTROPY)
    session.receive_data(HELLO + connect())
    answer = session.data_to_send()[SERVER_HANDSHAKE_BYTES:]
    assert [message.type_id for message in messages(answer)] == [5, 6, 20]  # the reader takes 1 for itself
    name, transaction, _properties, information = commands(answer)[0]
    assert (name, transaction) == ("_result", 1)
    assert isinstance(information, dict)
    assert information["code"] == "NetConnection.Connect.Success"


def test_each_call_is_answered_on_its_own_transaction() -> None:
    session = connected()
    for number, name in enumerate(("releaseStream", "FCPublish", "createStream", "_checkbw", "getStreamLength"), 2):
        session.receive_data(command(name, number, None, "ROOM"))
        assert ("_result", number) in [tuple(values[:2]) for values in commands(session.data_to_send())]


def test_create_stream_gives_an_id_that_grows() -> None:
    session = connected()
    session.receive_data(command("createStream", 2, None) + command("createStream", 3, None))
    assert [values[3] for values in commands(session.data_to_send())] == [1, 2]


def test_an_unknown_call_is_answered_with_an_error_and_an_unknown_notice_with_nothing() -> None:
    session = connected()
    session.receive_data(command("setPeerInfo", 9, None) + command("somethingElse", 0, None) + command("onStatus", 0))
    assert [values[:2] for values in commands(session.data_to_send())] == [["_error", 9]]


def test_publish_is_asked_and_answered_on_its_stream() -> None:
    session = RtmpSession(ENTROPY)
    session.receive_data(TO_PUBLISH)
    assert session.events_received() == [PublishRequested("live", "ROOM", "secret", {"key": "secret"})]
    session.data_to_send()
    session.accept_publish()
    answer = messages(session.data_to_send())
    assert [(message.type_id, message.stream_id) for message in answer] == [(4, 0), (20, 1)]
    assert amf0.decode_all(answer[1].body)[3] == {
        "level": "status",
        "code": "NetStream.Publish.Start",
        "description": "Publishing.",
    }


def test_a_refused_publish_says_why_and_ends_the_session() -> None:
    session = RtmpSession(ENTROPY)
    session.receive_data(TO_PUBLISH)
    session.events_received()
    session.data_to_send()
    session.reject_publish("NetStream.Publish.BadName", "Wrong stream key.")
    assert codes(session.data_to_send()) == ["NetStream.Publish.BadName"]
    session.receive_data(b"anything")
    assert session.events_received() == []


@pytest.mark.parametrize(
    ("app", "tc_url", "name", "query"),
    [
        ("live", "rtmp://h/live", "R?key=k", {"key": "k"}),
        ("live?key=k", "rtmp://h/live?key=k", "R", {"key": "k"}),
        ("live", "rtmp://h/live?key=k", "R", {"key": "k"}),
        ("live/", "rtmp://h/live/", "/R?key=k&x=1", {"key": "k", "x": "1"}),
        ("live?key=old&a=1", "rtmp://h/live", "R?key=k", {"key": "k", "a": "1"}),
        ("live/R?key=k", "rtmp://h/live/R", "", {"key": "k"}),
        ("live", "rtmp://h/live", "R?key=%E7%A7%81+%25", {"key": "私 %"}),
        ("live", "rtmp://h/live", "R", {}),
    ],
)
def test_key_and_query_are_merged_wherever_the_encoder_puts_them(
    app: str, tc_url: str, name: str, query: dict[str, str]
) -> None:
    session = RtmpSession(ENTROPY)
    session.receive_data(HELLO + connect(app, tc_url) + publish(name))
    assert session.events_received() == [PublishRequested("live", "R", query.get("key", ""), query)]


def test_a_key_is_in_no_repr() -> None:
    assert "secret" not in repr(PublishRequested("live", "R", "secret", {"key": "secret"}))


@pytest.mark.parametrize("name", ["", "a/b", "a b", "a\nb", "x" * 129, "?key=k", "直播"])
def test_a_name_that_is_no_room_is_refused(name: str) -> None:
    session = connected()
    session.receive_data(publish(name))
    (event,) = session.events_received()
    assert isinstance(event, PeerRejected)
    assert codes(session.data_to_send()) == ["NetStream.Publish.BadName"]


@pytest.mark.parametrize("app", ["", "vod", "LIVE", "liver"])
def test_an_unknown_application_is_refused_and_told_what_to_use(app: str) -> None:
    session = RtmpSession(ENTROPY)
    session.receive_data(HELLO + connect(app))
    (event,) = session.events_received()
    assert isinstance(event, PeerRejected)
    assert event.code == "NetConnection.Connect.Rejected"
    assert "rtmp://HOST/live" in event.description
    assert codes(session.data_to_send()[SERVER_HANDSHAKE_BYTES:], 128) == ["NetConnection.Connect.Rejected"]


def test_play_is_asked_with_its_token_and_answered_in_order() -> None:
    session = connected()
    session.receive_data(
        command("createStream", 2, None) + command("play", 3, None, "ROOM?token=t&delay=low", stream_id=1)
    )
    assert session.events_received() == [PlayRequested("live", "ROOM", "t", {"token": "t", "delay": "low"})]
    assert "token='t'" not in repr(PlayRequested("live", "ROOM", "t", {}))
    session.data_to_send()
    session.accept_play()
    answer = session.data_to_send()
    assert codes(answer) == ["NetStream.Play.Reset", "NetStream.Play.Start"]
    assert [message.body for message in messages(answer) if message.type_id == 4] == [b"\0\0\0\0\0\1"]
    assert session.state is State.PLAYING


def test_play2_names_the_stream_in_an_object() -> None:
    session = connected()
    session.receive_data(command("createStream", 2, None) + command("play2", 0, None, {"streamName": "R"}, stream_id=1))
    assert session.events_received() == [PlayRequested("live", "R", "", {})]


def test_who_plays_cannot_publish_and_who_publishes_cannot_play() -> None:
    session = connected()
    session.receive_data(command("createStream", 2, None) + command("play", 3, None, "ROOM", stream_id=1))
    session.accept_play()
    session.data_to_send()
    session.receive_data(command("publish", 4, None, "ROOM?key=k", "live", stream_id=1))
    assert codes(session.data_to_send()) == ["NetStream.Publish.BadName"]
    host = publishing_session()
    host.receive_data(command("play", 4, None, "ROOM", stream_id=1))
    assert codes(host.data_to_send()) == ["NetStream.Play.Failed"]


def test_a_play_is_not_answered_as_a_publish() -> None:
    session = connected()
    session.receive_data(command("createStream", 2, None) + command("play", 3, None, "ROOM", stream_id=1))
    with pytest.raises(LocalError):
        session.accept_publish()
    session.reject_play("NetStream.Play.Failed", "No.")
    assert session.state is State.CLOSED


def test_a_player_that_stops_may_play_again_on_the_same_stream() -> None:
    session = connected()
    session.receive_data(command("createStream", 2, None) + command("play", 3, None, "ROOM", stream_id=1))
    session.accept_play()
    session.receive_data(command("deleteStream", 0, None, 1.0) + command("createStream", 4, None))
    session.receive_data(command("play", 5, None, "OTHER", stream_id=1))
    events = session.events_received()
    assert [type(event) for event in events] == [PlayRequested, PlayEnded, PlayRequested]


@pytest.mark.parametrize("name", ["FCUnpublish", "closeStream", "deleteStream"])
def test_a_host_can_stop_and_publish_again_on_the_same_connection(name: str) -> None:
    session = publishing_session()
    session.receive_data(command(name, 5, None, 1 if name == "deleteStream" else "ROOM", stream_id=1))
    assert session.events_received() == [PublishEnded()]
    session.receive_data(command("publish", 6, None, "OTHER", "live", stream_id=1))
    (event,) = session.events_received()
    assert isinstance(event, PublishRequested)
    assert event.room == "OTHER"


def test_the_end_is_told_once_however_often_the_host_says_it() -> None:
    session = publishing_session()
    farewell = command("FCUnpublish", 5, None, "ROOM") + command("closeStream", 0, None, stream_id=1)
    session.receive_data(farewell + command("deleteStream", 6, None, 1))
    assert session.events_received() == [PublishEnded()]


def test_deleting_another_stream_does_not_end_the_broadcast() -> None:
    session = publishing_session()
    session.receive_data(command("createStream", 5, None) + command("deleteStream", 6, None, 2))
    assert session.events_received() == []


def test_a_second_publish_on_one_connection_is_refused() -> None:
    session = publishing_session()
    session.receive_data(command("publish", 6, None, "OTHER", "live", stream_id=1))
    assert session.events_received() == []
    assert codes(session.data_to_send()) == ["NetStream.Publish.BadName"]


# -- media -------------------------------------------------------------------------------------------------------------


def test_media_comes_out_as_tag_bodies_with_their_times() -> None:
    session = publishing_session()
    script = amf0.encode("onMetaData", amf0.EcmaArray(width=640.0))
    session.receive_data(
        write_message(4, 18, 1, 0, amf0.encode("@setDataFrame") + script)
        + write_message(6, 9, 1, 40, b"video")
        + write_message(4, 8, 1, 46, b"audio")
    )
    assert session.events_received() == [
        MediaReceived(18, 0, script),
        MediaReceived(9, 40, b"video"),
        MediaReceived(8, 46, b"audio"),
    ]


def test_an_aggregate_comes_out_as_its_tags() -> None:
    session = publishing_session()
    tag = b"\x09\x00\x00\x05\x00\x10\x00\x00\x00\x00\x00video\x00\x00\x00\x10"
    session.receive_data(write_message(6, 22, 1, 500, tag + b"\x08" + tag[1:]))
    assert session.events_received() == [MediaReceived(9, 500, b"video"), MediaReceived(8, 500, b"video")]


def test_timestamps_go_on_over_the_32_bit_wrap() -> None:
    session = publishing_session()
    for time in (0xFFFFFFF0, 0x10, 0x40):
        session.receive_data(write_message(6, 9, 1, time, b"v"))
    times = [event.dts_ms for event in session.events_received() if isinstance(event, MediaReceived)]
    assert times == [2**32 - 16, 2**32 + 16, 2**32 + 64]


def test_empty_tags_and_media_without_a_publish_are_counted_and_nothing_else() -> None:
    session = connected()
    session.receive_data(write_message(6, 9, 1, 0, b"v") + write_message(4, 18, 1, 0, b"d"))
    session.receive_data(write_message(6, 22, 1, 0, b"d"))
    assert session.events_received() == []
    assert session.ignored_messages == 3
    session = publishing_session()
    session.receive_data(write_message(6, 9, 1, 0, b"") + write_message(6, 16, 1, 0, b"shared object"))
    assert session.events_received() == []
    assert session.ignored_messages == 2


def test_media_sent_before_the_answer_waits_for_it() -> None:
    session = RtmpSession(ENTROPY)
    early = write_message(6, 9, 1, 0, b"v" * 100)
    session.receive_data(TO_PUBLISH + early)
    session.receive_data(early)
    assert [type(event) for event in session.events_received()] == [PublishRequested]
    session.accept_publish()
    assert [type(event) for event in session.events_received()] == [MediaReceived, MediaReceived]


def test_media_that_waits_is_bounded() -> None:
    session = RtmpSession(ENTROPY)
    session.receive_data(TO_PUBLISH)
    session.events_received()
    for _ in range(HELD_BYTES_MAX // 65_536 + 1):
        session.receive_data(bytes(65_536))
    assert isinstance(failure(session), MessageLimitError)


# -- control messages --------------------------------------------------------------------------------------------------


def test_a_ping_is_answered_with_its_own_timestamp() -> None:
    session = connected()
    session.receive_data(write_message(2, 4, 0, 0, b"\x00\x06abcd"))
    assert [message.body for message in messages(session.data_to_send())] == [b"\x00\x07abcd"]


def test_each_window_is_acknowledged_and_the_number_wraps_at_32_bits() -> None:
    session = publishing_session()
    session.receive_data(write_message(2, 5, 0, 0, (1000).to_bytes(4, "big")))
    session.data_to_send()
    session._received_bytes = session._acknowledged_bytes = 2**32 - 600
    first = write_message(6, 9, 1, 0, b"v" * 100)
    session.receive_data(first * 5)
    assert session.data_to_send() == b""
    session.receive_data(first * 5)
    (acknowledgement,) = messages(session.data_to_send())
    assert acknowledgement.type_id == 3
    assert int.from_bytes(acknowledgement.body, "big") == len(first) * 10 - 600


def test_a_peers_acknowledgements_and_bandwidth_change_nothing() -> None:
    session = publishing_session()
    session.receive_data(write_message(2, 3, 0, 0, bytes(4)) + write_message(2, 6, 0, 0, bytes(5)))
    assert session.events_received() == []
    assert session.data_to_send() == b""


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "first byte"),
        (HELLO + b"\xff" * 64, "type 3"),
        (HELLO + command("publish", 1, None, "ROOM"), "before connect"),
        (HELLO + connect() + connect(), "twice"),
        (HELLO + connect() + write_message(2, 1, 0, 0, bytes(4)), "chunk size"),
        (HELLO + connect() + write_message(2, 1, 0, 0, b"\xff\xff\xff\xff"), "chunk size"),
        (HELLO + connect() + b"\x06\0\0\0\xff\xff\xff\x09\1\0\0\0", "limit"),
        (HELLO + connect() + write_message(3, 20, 0, 0, b"\x02\x00\x05ab"), "cut off"),
        (HELLO + connect() + command("createStream", 2, None) * (STREAMS_MAX + 1), "streams"),
        (HELLO + connect("live?" + "&".join(f"a{n}=1" for n in range(99))), "query"),
    ],
)
def test_garbage_is_one_clear_failure(data: bytes, word: str) -> None:
    session = RtmpSession(ENTROPY)
    session.receive_data(data)
    assert word in str(failure(session))
    session.receive_data(data)
    assert session.events_received() == []


def test_a_peer_that_never_publishes_cannot_send_without_end() -> None:
    session = connected()
    ping = write_message(2, 4, 0, 0, b"\x00\x06abcd")
    session.receive_data(ping * (UNPROVEN_BYTES_MAX // len(ping) + 1))
    assert isinstance(failure(session), MessageLimitError)


def test_an_absurd_chunk_size_of_a_host_ends_it() -> None:
    session = publishing_session()
    session.receive_data(write_message(2, 1, 0, 0, b"\x7f\xff\xff\xff"))
    assert isinstance(failure(session), ChunkError)


def test_a_decision_nobody_asked_for_is_our_fault() -> None:
    session = connected()
    with pytest.raises(LocalError):
        session.accept_publish()
    with pytest.raises(LocalError):
        session.reject_publish("NetStream.Publish.BadName", "")


# -- any bytes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 7, 128, 1000, 5000])
def test_a_recorded_publish_gives_the_same_events_and_answers_however_it_is_split(size: int) -> None:
    whole = drive(RtmpSession(ENTROPY), [FFMPEG_PUBLISH])
    pieces = [FFMPEG_PUBLISH[at : at + size] for at in range(0, len(FFMPEG_PUBLISH), size)]
    assert drive(RtmpSession(ENTROPY), pieces) == whole


def test_a_recorded_publish_of_ffmpeg_is_read_whole() -> None:
    events, _ = drive(RtmpSession(ENTROPY), [FFMPEG_PUBLISH])
    media = [event for event in events if isinstance(event, MediaReceived)]
    assert events[0] == PublishRequested("live", "R1", "secret-1", {"key": "secret-1"})
    assert events[-1] == PublishEnded()
    assert [sum(event.kind == kind for event in media) for kind in (8, 9, 18)] == [89, 52, 1]
    for kind in (8, 9):
        times = [event.dts_ms for event in media if event.kind == kind]
        assert times == sorted(times)


@given(st.lists(st.integers(0, len(FFMPEG_PUBLISH)), max_size=12))
@settings(max_examples=50)
def test_any_split_of_a_recorded_publish_gives_the_same_events(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(FFMPEG_PUBLISH)]
    pieces = [FFMPEG_PUBLISH[start:end] for start, end in zip(edges, edges[1:], strict=False)]  # noqa: RUF007
    assert drive(RtmpSession(ENTROPY), pieces) == drive(RtmpSession(ENTROPY), [FFMPEG_PUBLISH])


def check_survivable(session: RtmpSession, data: bytes, step: int) -> None:
    """Only events come out, at most one failure at the end, and what is kept is no more than came in."""
    events, _ = drive(session, [data[at : at + step] for at in range(0, len(data), step)])
    assert not any(isinstance(event, SessionFailed) for event in events[:-1])
    assert session._reader.pending_bytes + session._reader.held_bytes <= len(data)


@given(st.binary(max_size=600), st.integers(1, 64))
def test_random_bytes_behind_the_handshake_never_raise(data: bytes, step: int) -> None:
    check_survivable(RtmpSession(ENTROPY), HELLO + data, max(step, 64))
    check_survivable(publishing_session(), data, step)


@given(st.binary(max_size=300), st.sampled_from([1, 2, 3, 4, 5, 6, 8, 9, 15, 16, 17, 18, 20, 22]))
def test_random_messages_of_each_type_never_raise(body: bytes, type_id: int) -> None:
    message = write_message(3, type_id, 1, 0, body)
    check_survivable(connected(), message, 50)
    check_survivable(publishing_session(), message, 50)


@pytest.mark.parametrize("seed", range(300))
def test_a_recorded_publish_with_flipped_bytes_never_raises(seed: int) -> None:
    source = random.Random(seed)
    data = bytearray(FFMPEG_PUBLISH)
    head = len(C0C1) + 1536
    end = len(data) if seed % 2 else head + 1500  # commands are few: hit them as often as media
    for _ in range(source.randint(1, 12)):
        data[source.randrange(head, end)] ^= 1 << source.randrange(8)
    check_survivable(RtmpSession(ENTROPY), bytes(data), source.choice([100, 1460, 65_536]))


TO_PLAY = (
    HELLO
    + connect("live", "rtmp://h/live?capsEx=1")
    + b"".join(
        (
            command("FCSubscribe", 2, None, "ROOM"),
            command("createStream", 3, None),
            command("play", 4, None, "ROOM?token=t", -2.0, stream_id=1),
            command("pause", 0, None, True, 0.0, stream_id=1),
            command("play2", 0, None, {"streamName": "OTHER"}, stream_id=1, type_id=17),
            command("deleteStream", 0, None, 1.0),
        )
    )
)


@pytest.mark.parametrize("seed", range(60))
def test_a_play_with_flipped_bytes_never_raises(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(TO_PLAY)
    for _ in range(chance.randint(1, 12)):
        data[chance.randrange(len(HELLO), len(data))] = chance.randrange(256)
    session = RtmpSession(ENTROPY)
    for at in range(0, len(data), 50):
        session.receive_data(bytes(data[at : at + 50]))
        for event in session.events_received():
            if isinstance(event, PlayRequested) and session.state is State.DECIDING:
                session.accept_play()
            elif session.state is State.DECIDING:
                session.accept_publish()
        session.data_to_send()
