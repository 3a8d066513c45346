"""User and password: what encoders answer to a challenge."""

import base64
import hashlib

import pytest

from stream.protocol import rtmp_auth
from stream.protocol.rtmp_auth import Proof
from stream.protocol.rtmp_events import PeerRejected, PublishRequested
from stream.protocol.rtmp_session import RtmpSession
from tests.outside import need
from tests.stream.rtmp_peer import ENTROPY, HELLO, SERVER_HANDSHAKE_BYTES, command, commands, publish
from tests.stream.rtmp_stage import KEY, rtmp_stage, run

NONCE = "00112233445566778899aabbccddeeff"


class Nonces:
    """Gives the one nonce, and takes it once."""

    def __init__(self) -> None:
        self.open = True

    def issue(self) -> str:
        return NONCE

    def take(self, nonce: str) -> bool:
        good, self.open = self.open and nonce == NONCE, False
        return good


def attempt(app: str, *, nonces: Nonces | None = None, hosts: bool = False, flash: str = "FMLE/3.0") -> RtmpSession:
    session = RtmpSession(ENTROPY, challenges=nonces or Nonces(), challenge_hosts=hosts)
    connect = command("connect", 1, {"app": app, "tcUrl": "rtmp://h/live", "flashVer": flash})
    session.receive_data(HELLO + connect)
    return session


def answer(session: RtmpSession) -> str:
    """What connect was answered with: its description."""
    ((_, _, _, information),) = commands(session.data_to_send()[SERVER_HANDSHAKE_BYTES:], 128)
    assert isinstance(information, dict)
    return str(information["description"])


def b64(text: str) -> str:
    return base64.b64encode(hashlib.md5(text.encode()).digest()).decode()


def adobe_answer(password: str) -> str:
    # FFmpeg, libavformat/rtmpproto.c, do_adobe_auth.
    salt = NONCE[:16]
    response = b64(b64("ROOM" + salt + password) + NONCE + "cafe0001")
    return f"authmod=adobe&user=ROOM&challenge=cafe0001&response={response}&opaque={NONCE}"


def llnw_answer(password: str) -> str:
    # FFmpeg, do_llnw_auth.
    first = hashlib.md5(f"ROOM:live:{password}".encode()).hexdigest()
    second = hashlib.md5(b"publish:/live/_definst_").hexdigest()
    response = hashlib.md5(f"{first}:{NONCE}:00000001:cafe0001:auth:{second}".encode()).hexdigest()
    return f"authmod=llnw&user=ROOM&nonce={NONCE}&cnonce=cafe0001&nc=00000001&response={response}"


def test_the_application_for_it_asks_step_by_step() -> None:
    assert "code=403 need auth; authmod=adobe" in answer(attempt("auth"))
    second = answer(attempt("auth?authmod=adobe&user=ROOM"))
    assert f"?reason=needauth&user=ROOM&salt={NONCE[:16]}&challenge={NONCE}&opaque={NONCE}" in second
    assert f"?reason=needauth&user=ROOM&nonce={NONCE}" in answer(attempt("live?authmod=llnw&user=ROOM"))


@pytest.mark.parametrize("reply", [adobe_answer, llnw_answer])
@pytest.mark.parametrize("password", ["right", "wrong"])
def test_a_good_answer_proves_the_password_and_a_bad_one_does_not(reply: object, password: str) -> None:
    assert callable(reply)
    session = attempt(f"live?{reply(password)}")
    session.receive_data(publish("ROOM"))
    (event,) = session.events_received()
    assert isinstance(event, PublishRequested)
    assert event.proof is not None
    assert event.proof.user == "ROOM"
    assert event.proof.matches("right") is (password == "right")
    assert "response" not in repr(event)


def test_the_application_for_it_publishes_into_the_same_rooms() -> None:
    session = attempt(f"auth?{adobe_answer('right')}")
    session.receive_data(publish("ROOM"))
    (event,) = session.events_received()
    assert isinstance(event, PublishRequested)
    assert (event.app, event.room) == ("live", "ROOM")


def test_a_challenge_is_good_for_one_answer() -> None:
    nonces = Nonces()
    attempt(f"live?{adobe_answer('right')}", nonces=nonces)
    again = attempt(f"live?{adobe_answer('right')}", nonces=nonces)
    assert "reason=authfailed" in answer(again)
    (event,) = again.events_received()
    assert isinstance(event, PeerRejected)
    assert not event.challenged


def test_only_encoders_without_a_key_are_asked_when_hosts_are_to_be() -> None:
    assert "need auth" in answer(attempt("live", hosts=True))
    for session in (attempt("live?key=k", hosts=True), attempt("live", hosts=True, flash="LNX 9,0"), attempt("live")):
        assert b"Connect.Success" in session.data_to_send()


@pytest.mark.parametrize("user", ["", "a b", "x" * 200])
def test_a_user_that_can_be_no_room_gets_no_challenge(user: str) -> None:
    assert "authfailed" in answer(attempt(f"auth?authmod=adobe&user={user}"))


@pytest.mark.parametrize("left_out", ["user", "challenge", "response", "opaque"])
def test_an_answer_with_something_left_out_is_none(left_out: str) -> None:
    query = {"authmod": "adobe", "user": "R", "challenge": "c", "response": "r", "opaque": "o"}
    assert isinstance(rtmp_auth.read_proof(query, "live"), Proof)
    assert rtmp_auth.read_proof({key: value for key, value in query.items() if key != left_out}, "live") is None


@pytest.mark.parametrize(("password", "works"), [(KEY, True), ("wrong", False)])
async def test_ffmpeg_publishes_with_user_and_password(password: str, works: bool) -> None:
    need("ffmpeg")
    async with rtmp_stage() as stage:
        source = ("-f", "lavfi", "-i", "testsrc=size=160x96:rate=25", "-t", "1", "-c:v", "libx264", "-f", "flv")
        url = stage.url("room", user=f"room:{password}@", app="auth")
        code, _, said = await run("ffmpeg", "-v", "error", *source, url)
        assert (code == 0) is works, said
        assert (stage.server.stats().packets > 20) is works
        assert stage.server.stats().rejected == (0 if works else 1)
