"""RTMP, RTMPS and FLV over WebSocket at a live server, with ffmpeg and PyAV's own FFmpeg."""

from __future__ import annotations

import asyncio
import io
import json
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.config import Settings, SettingsError, tls_context
from tests.certificates import OTHER, make_certificate
from tests.harness import LiveServer, free_port, live_server
from tests.outside import need

PATIENCE_S = 90.0
SOURCE = ("-re", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=44100")
CODECS = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac", "-f", "flv")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for this machine that its key itself has signed."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@contextmanager
def host(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """ffmpeg publishing to ``url`` in real time."""
    need("ffmpeg")
    process = subprocess.Popen(["ffmpeg", "-v", "error", *SOURCE, *CODECS, url], stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until_live(server: LiveServer) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        view = server.call("GET", f"/rooms/{server.room}/streams", token=server.seed["host_token"]).json()
        if view["live"]:
            return
        time.sleep(0.1)
    raise AssertionError("the host never went live")


def probe(url: str) -> tuple[int, list[str], str]:
    """ffprobe's exit code, the codecs it found, what it said."""
    need("ffprobe")
    command = ("ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "json", url)
    run = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, text=True, check=False)
    found = json.loads(run.stdout or "{}").get("streams", [])
    return run.returncode, sorted(stream["codec_name"] for stream in found), run.stderr


def play_url(server: LiveServer, token: str = "") -> str:
    query = f"?token={token}" if token else ""
    return f"rtmp://127.0.0.1:{server.rtmp_port}/live/{server.room}{query}"


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]) -> Iterator[LiveServer]:
    """A live room that needs a token to watch; hosts without a key at connect are challenged."""
    folder = tmp_path_factory.mktemp("private")
    with live_server(folder, flags=("--play-auth", "--rtmp-challenge")) as server:
        key = server.seed["stream_key"]
        with host(f"rtmp://{server.room}:{key}@127.0.0.1:{server.rtmp_port}/live/{server.room}") as process:
            until_live(server)
            assert process.poll() is None
            yield server


def test_a_host_with_room_and_key_as_user_and_password_is_live(private: LiveServer) -> None:
    until_live(private)
    assert private.seed["stream_key"] not in private.log()


def test_a_host_with_a_wrong_password_is_refused(private: LiveServer) -> None:
    url = f"rtmp://{private.room}:wrong@127.0.0.1:{private.rtmp_port}/live/{private.room}"
    run = subprocess.run(
        ["ffmpeg", "-v", "error", *SOURCE, *CODECS, url], capture_output=True, timeout=PATIENCE_S, check=False
    )
    assert run.returncode != 0
    assert b"stream key is wrong" in run.stderr


def test_the_seeds_viewer_plays_over_rtmp_with_its_token(private: LiveServer) -> None:
    code, codecs, said = probe(play_url(private, private.seed["viewer_token"]))
    assert (code, codecs) == (0, ["aac", "h264"]), said


@pytest.mark.parametrize("token", ["", "not.a.token"])
def test_without_a_good_token_rtmp_play_is_refused_in_words(private: LiveServer, token: str) -> None:
    code, _, said = probe(play_url(private, token))
    assert code != 0
    assert "token" in said


async def test_websocket_flv_plays_on_the_url_of_http_flv(private: LiveServer) -> None:
    token = private.seed["viewer_token"]
    url = f"ws://127.0.0.1:{private.http_port}/live/{private.room}.flv?delay=low&token={token}"
    file = b""
    async with asyncio.timeout(PATIENCE_S), connect(url, max_size=None) as viewer:
        while len(file) < 60_000:
            message = await viewer.recv()
            assert isinstance(message, bytes)
            file += message
    with av.open(io.BytesIO(file), "r", format="flv") as source:
        assert {stream.type for stream in source.streams} == {"video", "audio"}


async def test_http_and_websocket_flv_viewers_of_a_revoked_token_are_closed(private: LiveServer) -> None:
    path = f"/rooms/{private.room}/play-tokens"
    minted = private.call("POST", path, {}, token=private.seed["host_token"]).json()
    address = f"127.0.0.1:{private.http_port}/live/{private.room}.flv?token={minted['token']}"
    async with (
        asyncio.timeout(PATIENCE_S),
        httpx.AsyncClient(timeout=PATIENCE_S) as client,
        client.stream("GET", f"http://{address}") as flv,
        connect(f"ws://{address}", max_size=None) as websocket,
    ):
        chunks = flv.aiter_bytes()
        assert (await anext(chunks)).startswith(b"FLV")
        assert await websocket.recv()
        revoked = await asyncio.to_thread(
            private.call, "DELETE", f"{path}/{minted['id']}", token=private.seed["host_token"]
        )
        assert revoked.json() == {"closed": 2}
        async for _ in chunks:
            pass
        await websocket.wait_closed()
        assert (websocket.close_code, websocket.close_reason) == (4401, "this token was revoked: ask for a new one")
        again = await client.get(f"http://{address}")
        assert (again.status_code, again.json()["code"]) == (401, "token_revoked")
    assert minted["token"] not in private.log()


async def test_websocket_flv_without_a_token_is_refused_before_the_upgrade(private: LiveServer) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{private.http_port}/live/{private.room}.flv")
    assert refused.value.response.status_code == 401
    with pytest.raises(InvalidStatus) as wrong:
        await connect(
            f"ws://127.0.0.1:{private.http_port}/live/{private.room}.mp4?token={private.seed['viewer_token']}"
        )
    assert wrong.value.response.status_code in {400, 404, 405, 426}


def test_metrics_count_players_by_protocol(private: LiveServer) -> None:
    url = play_url(private, private.seed["viewer_token"])
    player = subprocess.Popen(["ffmpeg", "-v", "quiet", "-i", url, "-f", "null", "-"], stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE_S
        text = ""
        while "siyu_playback_rtmp_viewers 1.0" not in text and time.monotonic() < deadline:
            time.sleep(0.1)
            text = httpx.get(f"{private.base}/metrics", timeout=60).text
    finally:
        player.kill()
        player.wait()
    assert "siyu_playback_rtmp_viewers 1.0" in text
    assert "siyu_rtmp_playing 1.0" in text
    assert "siyu_playback_wsflv_joined_total" in text


def test_hosts_publish_and_players_watch_over_tls(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    port = free_port()
    flags = ("--tls-cert", str(cert), "--tls-key", str(key), "--rtmps-port", str(port))
    with live_server(tmp_path, flags=flags) as server:
        assert f"rtmps://127.0.0.1:{port}/live" in server.said()
        with host(f"rtmps://127.0.0.1:{port}/live/{server.seed['room']}?key={server.seed['stream_key']}"):
            secure = f"rtmps://127.0.0.1:{port}/live/{server.room}"
            code, codecs, said = probe(secure)
            assert (code, codecs) == (0, ["aac", "h264"]), said
            script = "import av,sys\nwith av.open(sys.argv[1]) as s: print(len(s.streams))"
            run = subprocess.run(
                [sys.executable, "-c", script, play_url(server)], capture_output=True, timeout=PATIENCE_S, check=False
            )
            assert run.stdout == b"2\n", run.stderr
        assert server.stop() == 0


def test_a_client_that_checks_certificates_refuses_a_wrong_one_in_words_and_nothing_else_breaks(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    other, key = make_certificate(tmp_path / "other", OTHER)
    port = free_port()
    flags = ("--tls-cert", str(other), "--tls-key", str(key), "--rtmps-port", str(port))
    with live_server(tmp_path, flags=flags) as server:
        address = f"127.0.0.1:{port}/live/{server.seed['room']}?key={server.seed['stream_key']}"
        for trusted, reason in ((certificate[0], "verify|untrusted|signer|certificate"), (other, "name|match|verif")):
            check = ("-tls_verify", "1", "-ca_file", str(trusted))
            command = ["ffmpeg", "-v", "error", "-nostdin", *SOURCE, *CODECS, *check, f"rtmps://{address}"]
            run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
            assert run.returncode != 0
            assert re.search(reason, run.stderr, re.IGNORECASE), run.stderr
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                httpx.get(f"{server.base}/healthz", verify=ssl.create_default_context(cafile=str(trusted)))
        # Who broke off was the client: to the server that is no error of its own.
        assert '"level":"error"' not in server.log()
        assert "Traceback" not in server.log()
        with host(f"rtmps://{address}"):
            until_live(server)


def test_a_certificate_that_is_not_there_is_told_at_the_start(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    command = [sys.executable, "-m", "gateway", "serve", "--data", str(tmp_path), "--tls-key", str(certificate[1])]
    command += ["--tls-cert", str(tmp_path / "nothing.pem"), "--http-port", "0", "--rtmp-port", "0"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert run.returncode == 2
    assert "--tls-cert: there is no file" in run.stderr


def test_a_file_that_is_no_certificate_is_refused_in_words(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("this is not one")
    with pytest.raises(SettingsError, match="both are PEM and must match"):
        tls_context(Settings(tls_cert=bad, tls_key=certificate[1]))


def test_a_key_of_another_certificate_is_refused_in_words(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    other = tmp_path / "other.pem"
    subprocess.run(("openssl", "genrsa", "-out", str(other), "2048"), check=True, capture_output=True, timeout=180)
    with pytest.raises(SettingsError, match="both are PEM and must match"):
        tls_context(Settings(tls_cert=certificate[0], tls_key=other))


def test_an_rtmps_port_without_a_certificate_is_refused() -> None:
    with pytest.raises(SettingsError, match="--rtmps-port needs a certificate"):
        Settings(rtmps_port=1936)
