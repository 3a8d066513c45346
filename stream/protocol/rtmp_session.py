"""The server's side of one RTMP connection, sans I/O (RTMP 1.0 sections 5 and 7).

Theory of operation. `receive_data(bytes)` moves the machine, `events_received()` gives what happened, `data_to_send()`
what is to be written. The peer's faults never raise: they come as one `SessionFailed`; after it, input is ignored.

    HANDSHAKE ─C2─► CONNECT ─connect─► READY ─publish, play─► DECIDING ─accept_publish─► PUBLISHING
                       │                 ▲ ▲                     │  │                         │
                       │ wrong app,      │ └───reject_…──────────┘  └──accept_play─► PLAYING  │
                       │ challenge       │                                              │     │
                       ▼                 └───FCUnpublish, closeStream, deleteStream─────┴─────┘
                     CLOSED ◄── any fault, `close`

In DECIDING nothing is parsed: bytes behind `publish` wait (bounded), so media that an impatient encoder sends at once
is neither lost nor seen before the key was checked. Until its first PUBLISHING a peer has no key and is kept short.

The stream key may come with the address that the encoder was given (tcUrl, app) or with the stream name: all three are
merged, the stream name wins. Nothing of it is ever part of an error's text, a repr or a description. A peer that has
it as a password instead is challenged at connect (see rtmp_auth); its `Proof` comes with PublishRequested.
"""

import re
from collections.abc import Callable, Collection
from enum import Enum, auto
from typing import ClassVar, Protocol
from urllib.parse import parse_qsl

from stream.errors import LocalError, MessageLimitError, ProtocolError
from stream.protocol import amf0, rtmp_auth, rtmp_enhanced
from stream.protocol.rtmp_auth import Proof
from stream.protocol.rtmp_chunk import MESSAGE_BYTES_MAX, ChunkReader, Message, write_message
from stream.protocol.rtmp_events import (
    Event,
    MediaReceived,
    PeerRejected,
    PlayEnded,
    PlayRequested,
    PublishEnded,
    PublishRequested,
    SessionFailed,
)
from stream.protocol.rtmp_handshake import ServerHandshake
from stream.protocol.rtmp_message import (
    Command,
    TimestampUnwrapper,
    TypeId,
    UserControl,
    parse_command,
    script_body,
    split_aggregate,
    status,
    user_control,
)

WINDOW_BYTES = 2_500_000
"""Acknowledgement window we ask for, and ours until the peer names one; Flash Media Server's value."""

CHUNK_BYTES_OUT = 4_096
"""Chunk size of what we send: each of our answers fits one chunk."""

UNPROVEN_BYTES_MAX = 64 * 1024
"""Bytes of a peer up to an accepted publish; ffmpeg and OBS need about 5 KB, handshake included."""

UNPROVEN_MESSAGE_BYTES_MAX = 16 * 1024
"""The longest message before publish; a connect with every optional field has about 2 KB."""

HELD_BYTES_MAX = 2 * 1024 * 1024
"""Bytes that wait behind a publish that is being decided: several reads of a transport that was asked to pause."""

STREAMS_MAX = 8
"""createStream calls of one connection; encoders make one."""

_SLICE_BYTES = 4_096  # unproven bytes are counted this often
_COMMAND_CHUNK_STREAM = 3
_STATUS_CHUNK_STREAM = 5
_AUDIO, _VIDEO, _DATA = int(TypeId.AUDIO), int(TypeId.VIDEO), int(TypeId.DATA)  # an enum member costs a look-up
_NAME = re.compile(r"[0-9A-Za-z_.~-]{1,128}")
_QUERY_FIELDS_MAX = 32

PLAY_STREAM = 1
"""The only message stream that media is sent on: every player then gets the very same bytes."""

AUTH_APP = "auth"
"""The application that challenges whoever connects to it; its rooms are those of "live"."""


class Challenges(Protocol):
    """Keeps the challenges that were given out; each is good for one answer."""

    def issue(self) -> str:
        """Give a new one, in hex."""

    def take(self, nonce: str) -> bool:
        """Whether this one was given out, not long ago, and not yet answered."""


class State(Enum):
    """Where the session stands."""

    HANDSHAKE = auto()
    CONNECT = auto()
    READY = auto()
    DECIDING = auto()
    PUBLISHING = auto()
    PLAYING = auto()
    CLOSED = auto()


_HANDSHAKE, _DECIDING, _PUBLISHING, _CLOSED = State.HANDSHAKE, State.DECIDING, State.PUBLISHING, State.CLOSED
"""For the path of each read: a look at a member of an enumeration costs 0.14 µs on Python 3.11."""


class RtmpSession:
    """One server session.

    `entropy` is `rtmp_handshake.ENTROPY_BYTES` random bytes; `apps` are the application names that may be connected to.
    With `challenges` there is one more, AUTH_APP, which asks for user and password, as the others do of a peer that
    offers them; with `challenge_hosts` they also do of encoders (by their flashVer) that connect without a key.
    """

    def __init__(
        self,
        entropy: bytes,
        *,
        apps: Collection[str] = ("live",),
        challenges: Challenges | None = None,
        challenge_hosts: bool = False,
    ) -> None:
        self.state = State.HANDSHAKE
        self.ignored_messages = 0
        self.refusal = ""
        """Why connect is refused, for a peer that there is no room for; empty when there is."""
        self.capabilities = rtmp_enhanced.Capability(0)
        self._apps = frozenset(apps)
        self._challenges = challenges
        self._challenge_hosts = challenge_hosts
        self._proof: Proof | None = None
        self._handshake = ServerHandshake(entropy)
        self._reader = ChunkReader(message_bytes_max=UNPROVEN_MESSAGE_BYTES_MAX)
        self._out = bytearray()
        self._events: list[Event] = []
        self._chunk_bytes_out = 128
        self._proven = False  # a publish was accepted once
        self._unproven_bytes = 0
        self._received_bytes = 0  # chunk stream only, as librtmp and FFmpeg count
        self._acknowledged_bytes = 0
        self._window_bytes = WINDOW_BYTES
        self._streams: set[float] = set()
        self._media_stream = 0  # the one that publish or play came on
        self._playing = False  # what is being decided is a play
        self._app = ""
        self._room_in_app = ""
        self._query: dict[str, str] = {}
        self._clock = TimestampUnwrapper()

    # -- the verbs ---------------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        """Take bytes of the peer; never raises for what they hold. Ignored once CLOSED."""
        if self.state is _CLOSED:
            return
        try:
            if self.state is _HANDSHAKE:
                data = self._receive_handshake(data)
            if data:
                self._receive_chunks(data)
        except ProtocolError as error:
            self._fail(error)

    def events_received(self) -> list[Event]:
        """Return the events since the last call, in order."""
        events, self._events = self._events, []
        return events

    def data_to_send(self) -> bytes:
        """Return the bytes to write since the last call."""
        if not self._out:
            return b""
        out = bytes(self._out)
        self._out.clear()
        return out

    def accept_publish(self) -> None:
        """Let the peer of the last PublishRequested publish, and go on with the bytes that waited.

        Raises LocalError when nothing is to be decided.
        """
        self._leave_deciding(State.PUBLISHING, playing=False)
        self._proven = True
        self._reader.message_bytes_max = MESSAGE_BYTES_MAX
        stream_id = self._media_stream
        self._send(2, TypeId.USER_CONTROL, 0, user_control(UserControl.STREAM_BEGIN, stream_id.to_bytes(4, "big")))
        self._send_status("NetStream.Publish.Start", "Publishing.", stream_id)
        self._resume()

    def reject_publish(self, code: str, description: str) -> None:
        """Refuse the peer of the last PublishRequested; close the connection after the answer is sent.

        Raises LocalError when nothing is to be decided.
        """
        self._leave_deciding(State.CLOSED, playing=False)
        self._send_status(code, description, self._media_stream, level="error")

    def accept_play(self) -> None:
        """Let the peer of the last PlayRequested play: whole messages on stream PLAY_STREAM may be written from now on.

        Their chunks have CHUNK_BYTES_OUT bytes. Raises LocalError when nothing is to be decided.
        """
        self._leave_deciding(State.PLAYING, playing=True)
        stream_id = self._media_stream
        self._send(2, TypeId.USER_CONTROL, 0, user_control(UserControl.STREAM_BEGIN, stream_id.to_bytes(4, "big")))
        self._send_status("NetStream.Play.Reset", "Playing from the start.", stream_id)
        self._send_status("NetStream.Play.Start", "Playing.", stream_id)
        self._resume()

    def reject_play(self, code: str, description: str) -> None:
        """Refuse the peer of the last PlayRequested; close the connection after the answer is sent.

        Raises LocalError when nothing is to be decided.
        """
        self._leave_deciding(State.CLOSED, playing=True)
        self._send_status(code, description, self._media_stream, level="error")

    def end_play(self) -> None:
        """Tell a player that the broadcast is over, and end the session."""
        if self.state is State.PLAYING:
            stream_id = self._media_stream
            self._send(2, TypeId.USER_CONTROL, 0, user_control(UserControl.STREAM_EOF, stream_id.to_bytes(4, "big")))
            self._send_status("NetStream.Play.UnpublishNotify", "The broadcast is over.", stream_id)
        self.state = State.CLOSED

    def request_reconnect(self, description: str) -> bool:
        """Ask the peer to connect anew and then leave; False when it did not say that it can."""
        if not self.capabilities & rtmp_enhanced.Capability.RECONNECT:
            return False
        self._send_status(rtmp_enhanced.RECONNECT_REQUEST, description, 0)
        return True

    def close(self, code: str, description: str) -> None:
        """Tell the peer why it must go, if it listens already, and end the session."""
        if self.state in (State.DECIDING, State.PUBLISHING, State.PLAYING):
            self._send_status(code, description, self._media_stream, level="error")
        elif self.state is State.READY:
            self._send_status(code, description, 0, level="error")
        self.state = State.CLOSED

    # -- bytes -------------------------------------------------------------------------------------------------------

    def _receive_handshake(self, data: bytes) -> bytes:
        self._handshake.receive_data(data)
        self._out += self._handshake.data_to_send()
        if not self._handshake.finished:
            return b""
        self.state = State.CONNECT
        trailing, self._handshake.trailing = self._handshake.trailing, b""
        return trailing

    def _receive_chunks(self, data: bytes) -> None:
        self._received_bytes += len(data)
        reader = self._reader
        at = 0
        while not self._proven and self.state in (State.CONNECT, State.READY) and at < len(data):
            piece = data[at : at + _SLICE_BYTES]
            at += len(piece)
            self._unproven_bytes += len(piece)
            if self._unproven_bytes > UNPROVEN_BYTES_MAX:
                raise MessageLimitError(f"more than {UNPROVEN_BYTES_MAX} bytes without an accepted publish")
            reader.feed(piece)
            self._read_messages()
        if at < len(data) and self.state is not _CLOSED:
            if self.state is _DECIDING and reader.held_bytes + len(data) - at > HELD_BYTES_MAX:
                raise MessageLimitError(f"more than {HELD_BYTES_MAX} bytes behind a publish that was not answered")
            reader.feed(data[at:] if at else data)
            self._read_messages()
        self._acknowledge()

    def _resume(self) -> None:
        try:
            self._read_messages()
        except ProtocolError as error:
            self._fail(error)

    def _read_messages(self) -> None:
        reader = self._reader
        while self.state is _PUBLISHING:
            message = reader.next_message()
            if message is None:
                return
            if message.type_id == _VIDEO or message.type_id == _AUDIO:
                self._media(message.type_id, message.timestamp_ms, message.body)
            else:
                self._message(message)
        while self.state in (State.CONNECT, State.READY, State.PLAYING):
            message = reader.next_message()
            if message is None:
                return
            self._message(message)

    def _acknowledge(self) -> None:
        """Send an Acknowledgement when a window has been received (section 5.4.3); its number wraps at 32 bits."""
        if self._received_bytes - self._acknowledged_bytes >= self._window_bytes and self.state is not State.CLOSED:
            self._acknowledged_bytes = self._received_bytes
            number = self._received_bytes & 0xFFFFFFFF
            self._send(2, TypeId.ACKNOWLEDGEMENT, 0, number.to_bytes(4, "big"))

    def _send(self, chunk_stream_id: int, type_id: int, stream_id: int, body: bytes) -> None:
        self._out += write_message(chunk_stream_id, type_id, stream_id, 0, body, chunk_bytes=self._chunk_bytes_out)

    def _send_command(self, *values: amf0.Value, stream_id: int = 0) -> None:
        chunk_stream_id = _STATUS_CHUNK_STREAM if stream_id else _COMMAND_CHUNK_STREAM
        self._send(chunk_stream_id, TypeId.COMMAND, stream_id, amf0.encode(*values))

    def _send_status(self, code: str, description: str, stream_id: int, *, level: str = "status") -> None:
        self._send_command("onStatus", 0, None, status(code, description, level=level), stream_id=stream_id)

    def _fail(self, error: ProtocolError) -> None:
        self.state = State.CLOSED
        self._events.append(SessionFailed(error))

    def _leave_deciding(self, state: State, *, playing: bool) -> None:
        if self.state is not State.DECIDING or self._playing is not playing:
            what = "play" if playing else "publish"
            raise LocalError(f"no {what} is to be decided in state {self.state.name}")
        self.state = state

    # -- messages ----------------------------------------------------------------------------------------------------

    def _media(self, kind: int, timestamp_ms: int, body: bytes) -> None:
        if not body:
            self.ignored_messages += 1  # an empty tag; several encoders keep a silent track alive with them
            return
        dts_ms = self._clock.near(timestamp_ms) if kind == _DATA else self._clock.unwrap(timestamp_ms)
        self._events.append(MediaReceived(kind, dts_ms, body))

    def _message(self, message: Message) -> None:
        body = message.body
        match message.type_id:
            case TypeId.AUDIO | TypeId.VIDEO:
                # Only before publish is accepted: there is no stream it could belong to.
                self.ignored_messages += 1
            case TypeId.DATA | TypeId.DATA_AMF3:
                script = script_body(message.type_id, body) if self.state is State.PUBLISHING else None
                self._media(TypeId.DATA, message.timestamp_ms, script or b"")
            case TypeId.COMMAND | TypeId.COMMAND_AMF3:
                self._command(parse_command(message.type_id, body), message.stream_id)
            case TypeId.AGGREGATE:
                self._aggregate(message)
            case TypeId.USER_CONTROL:
                if body[:2] == UserControl.PING_REQUEST.to_bytes(2, "big"):
                    self._send(2, TypeId.USER_CONTROL, 0, user_control(UserControl.PING_RESPONSE, body[2:6]))
            case TypeId.WINDOW_SIZE:
                self._window_bytes = int.from_bytes(body[:4], "big") or WINDOW_BYTES
            case TypeId.ACKNOWLEDGEMENT | TypeId.PEER_BANDWIDTH:
                pass  # we send too little for either to matter
            case _:
                self.ignored_messages += 1  # shared objects (16, 19) and what nobody knows

    def _aggregate(self, message: Message) -> None:
        if self.state is not State.PUBLISHING:
            self.ignored_messages += 1
            return
        for kind, timestamp_ms, body in split_aggregate(message.timestamp_ms, message.body):
            if kind in (TypeId.AUDIO, TypeId.VIDEO):
                self._media(kind, timestamp_ms, body)
            elif kind == TypeId.DATA:
                self._media(kind, timestamp_ms, script_body(kind, body) or b"")
            else:
                self.ignored_messages += 1

    # -- commands ----------------------------------------------------------------------------------------------------

    def _command(self, command: Command, stream_id: int) -> None:
        if self.state is State.CONNECT and command.name != "connect":
            raise ProtocolError("a command came before connect")
        handler = self._COMMANDS.get(command.name)
        if handler is not None:
            handler(self, command, stream_id)
        elif command.name.startswith(("_", "on")) or not command.transaction:
            self.ignored_messages += 1  # an answer, or a call that wants none
        else:
            self._send_command(
                "_error", command.transaction, None, status("NetConnection.Call.Failed", "Not known.", level="error")
            )

    def _connect(self, command: Command, _stream_id: int) -> None:
        """Answer connect (section 7.2.1.1)."""
        if self.state is not State.CONNECT:
            raise ProtocolError("connect came twice")
        if self.refusal:
            self._reject_connect(command, self.refusal)
            return
        fields = command.mapping(0)
        app, tc_url = fields.get("app"), fields.get("tcUrl")
        path = self._merge_query(tc_url if isinstance(tc_url, str) else "", app if isinstance(app, str) else "")
        self._app, _, self._room_in_app = path.strip("/").partition("/")
        if self._app not in self._apps and not (self._challenges and self._app == AUTH_APP):
            known = " or ".join(f"rtmp://HOST/{name}" for name in sorted(self._apps))
            description = f"No such application. Use {known} as the server and ROOM?key=KEY as the stream key."
            self._reject_connect(command, description)
            return
        if self._challenges and self._must_prove(fields):
            description = self._challenge(self._challenges, path.strip("/"))
            if description:
                failed = description.endswith("reason=authfailed&opaque=")
                self._reject_connect(command, description, challenged=not failed)
                return
        self.capabilities = rtmp_enhanced.capabilities(fields)
        enhanced = rtmp_enhanced.answer(fields)
        self.state = State.READY
        window = WINDOW_BYTES.to_bytes(4, "big")
        self._send(2, TypeId.WINDOW_SIZE, 0, window)
        self._send(2, TypeId.PEER_BANDWIDTH, 0, window + b"\x02")
        self._send(2, TypeId.SET_CHUNK_SIZE, 0, CHUNK_BYTES_OUT.to_bytes(4, "big"))
        self._chunk_bytes_out = CHUNK_BYTES_OUT
        encoding = fields.get("objectEncoding")
        self._send_command(
            "_result",
            command.transaction,
            {"fmsVer": "FMS/3,5,7,7009", "capabilities": 31, "mode": 1, **enhanced},
            status("NetConnection.Connect.Success", "Connected.")
            | {"objectEncoding": encoding if isinstance(encoding, float) else 0}
            | enhanced,
        )

    def _must_prove(self, fields: dict[str, amf0.Value]) -> bool:
        query = self._query
        if self._app == AUTH_APP or query.get("authmod") in rtmp_auth.MODES:
            return True
        # Encoders say that they are Adobe's (Flash Media Live Encoder), players that they are Flash Player or nothing.
        encodes = str(fields.get("flashVer", "")).startswith("FMLE")
        return self._challenge_hosts and encodes and not ("key" in query or "token" in query)

    def _reject_connect(self, command: Command, description: str, *, challenged: bool = False) -> None:
        code = "NetConnection.Connect.Rejected"
        self._send_command("_error", command.transaction, None, status(code, description, level="error"))
        self.state = State.CLOSED
        self._events.append(PeerRejected(code, description, challenged))

    def _challenge(self, challenges: Challenges, app: str) -> str:
        """Take the peer's answer to a challenge, or give the refusal that carries the next one."""
        query = self._query
        mode = query.get("authmod", "")
        if mode not in rtmp_auth.MODES:
            return rtmp_auth.NEED_AUTH.format(mode=rtmp_auth.MODES[0])
        proof = rtmp_auth.read_proof(query, app)
        if proof is None:
            user = query.get("user", "")
            # It goes into a description, which is logged.
            if not _NAME.fullmatch(user):
                return rtmp_auth.FAILED.format(mode=mode)
            return rtmp_auth.challenge(mode, user, challenges.issue())
        if not challenges.take(proof.nonce):
            return rtmp_auth.FAILED.format(mode=mode)
        self._proof = proof
        return ""

    def _merge_query(self, *addresses: str) -> str:
        """Add the queries of `addresses` to the session's, later ones winning; return the last one's path."""
        path = ""
        for address in addresses:
            path, _, query = address.partition("?")
            try:
                pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_QUERY_FIELDS_MAX)
            except ValueError as error:
                raise MessageLimitError(f"more than {_QUERY_FIELDS_MAX} fields in a query") from error
            self._query.update(pairs)
        return path

    def _create_stream(self, command: Command, _stream_id: int) -> None:
        """Answer createStream with a message stream id (section 7.2.1.3)."""
        if len(self._streams) >= STREAMS_MAX:
            raise MessageLimitError(f"more than {STREAMS_MAX} streams on one connection")
        # The lowest that is free: whoever plays again after deleteStream is on PLAY_STREAM again.
        number = next(number for number in range(1, STREAMS_MAX + 1) if number not in self._streams)
        self._streams.add(number)
        self._send_command("_result", command.transaction, None, number)

    def _publish(self, command: Command, stream_id: int) -> None:
        """Ask the owner of the session about publish (section 7.2.2.6)."""
        if self.state in (State.PUBLISHING, State.PLAYING):
            self._send_status(
                "NetStream.Publish.BadName", "Busy: this connection has a stream.", stream_id, level="error"
            )
            return
        room = self._room(command.text(1))
        if not room:
            description = "The stream key must be ROOM?key=KEY."
            self._reject_stream("NetStream.Publish.BadName", description, stream_id)
            return
        self._decide(stream_id, playing=False)
        app = "live" if self._app == AUTH_APP else self._app
        key = self._query.get("key", "")
        self._events.append(PublishRequested(app, room, key, dict(self._query), self._proof))

    def _play(self, command: Command, stream_id: int) -> None:
        """Ask the owner of the session about play (section 7.2.2.1); play2 names the stream in an object."""
        if self.state in (State.PUBLISHING, State.PLAYING):
            self._send_status("NetStream.Play.Failed", "Busy: this connection has a stream.", stream_id, level="error")
            return
        named = command.mapping(1).get("streamName")
        room = self._room(named if isinstance(named, str) else command.text(1))
        if not room or stream_id != PLAY_STREAM:
            what = "Play on the first stream of a connection." if room else "There is no such stream."
            self._reject_stream("NetStream.Play.StreamNotFound", what, stream_id)
            return
        self._decide(stream_id, playing=True)
        query = dict(self._query)
        self._events.append(PlayRequested(self._app, room, query.get("token", ""), query))

    def _room(self, stream_name: str) -> str:
        """Give the room that app and stream name say; empty when it can be none."""
        name = self._merge_query(stream_name).strip("/")
        room = "/".join(part for part in (self._room_in_app, name) if part)
        return room if _NAME.fullmatch(room) else ""

    def _reject_stream(self, code: str, description: str, stream_id: int) -> None:
        self._send_status(code, description, stream_id, level="error")
        self.state = State.CLOSED
        self._events.append(PeerRejected(code, description))

    def _decide(self, stream_id: int, *, playing: bool) -> None:
        self.state = State.DECIDING
        self._media_stream = stream_id
        self._playing = playing

    def _pause(self, command: Command, stream_id: int) -> None:
        """Answer pause (section 7.2.2.8); a live stream goes on, the player throws away what it does not show."""
        paused = len(command.arguments) > 1 and command.arguments[1] is True
        self._send_status(f"NetStream.{'Pause' if paused else 'Unpause'}.Notify", "Live goes on.", stream_id)

    def _seek(self, _command: Command, stream_id: int) -> None:
        """Answer seek (section 7.2.2.7): with a yes, as FFmpeg takes a no for the end. Live stays where it is."""
        self._send_status("NetStream.Seek.Notify", "Live has one place.", stream_id)

    def _fc_subscribe(self, command: Command, stream_id: int) -> None:
        """Answer FCSubscribe as Flash Media Server's edges do; librtmp waits for it before it plays."""
        self._send_command("onFCSubscribe", 0, None, status("NetStream.Play.Start", "FCSubscribe."))
        self._acknowledge_call(command, stream_id)

    def _unpublish(self, command: Command, stream_id: int) -> None:
        """End publish or play: FCUnpublish, closeStream or deleteStream, whichever comes first (section 7.2.2.3)."""
        # Encoders with one stream are taken by their intent: some publish on stream 0 and delete stream 1.
        deletes = command.name == "deleteStream"
        names_another = deletes and len(self._streams) > 1 and self._media_stream not in command.arguments
        if deletes:
            numbers = [item for item in command.arguments if isinstance(item, float)]
            self._streams.difference_update(numbers)
        if names_another:
            pass
        elif self.state is State.PUBLISHING:
            self.state = State.READY
            self._send_status("NetStream.Unpublish.Success", "Ended.", self._media_stream)
            self._events.append(PublishEnded())
        elif self.state is State.PLAYING:
            self.state = State.READY
            self._send_status("NetStream.Play.Stop", "Stopped.", self._media_stream)
            self._events.append(PlayEnded())
        if command.name == "FCUnpublish":
            self._send_command("onFCUnpublish", 0, None, status("NetStream.Unpublish.Success", "Ended."))
            self._acknowledge_call(command, stream_id)

    def _fc_publish(self, command: Command, stream_id: int) -> None:
        """Answer FCPublish as Flash Media Server does; FMLE waits for it."""
        self._send_command("onFCPublish", 0, None, status("NetStream.Publish.Start", "FCPublish."))
        self._acknowledge_call(command, stream_id)

    def _acknowledge_call(self, command: Command, _stream_id: int) -> None:
        if command.transaction:
            self._send_command("_result", command.transaction, None, None)

    def _stream_length(self, command: Command, _stream_id: int) -> None:
        self._send_command("_result", command.transaction, None, 0)  # live: no length

    _COMMANDS: ClassVar[dict[str, Callable[["RtmpSession", Command, int], None]]] = {
        "connect": _connect,
        "releaseStream": _acknowledge_call,
        "FCPublish": _fc_publish,
        "createStream": _create_stream,
        "_checkbw": _acknowledge_call,
        "getStreamLength": _stream_length,
        "publish": _publish,
        "play": _play,
        "play2": _play,
        "FCSubscribe": _fc_subscribe,
        "FCUnsubscribe": _acknowledge_call,
        "pause": _pause,
        "seek": _seek,
        "FCUnpublish": _unpublish,
        "closeStream": _unpublish,
        "deleteStream": _unpublish,
    }
