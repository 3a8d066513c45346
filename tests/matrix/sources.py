"""The ways in: each source is a client from outside that publishes the film, and says how it published it."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Protocol

import av
from aiortc import RTCPeerConnection, RTCSessionDescription
from playwright.sync_api import Page, expect

from tests.integration.outsiders import end
from tests.matrix import pages
from tests.matrix.aiortc_peer import Receiving, peer
from tests.matrix.flashes import Seen
from tests.matrix.material import watch_file
from tests.matrix.stage import ANSWER_S, Stage
from tests.outside import need, npm_package

NPM_CLIENT = ("whip-whep", "1.2.0")
FILM_LOOK_S = 10
RECENT = 5
"""Seconds that say how a browser sends."""


class Source(Protocol):
    """A host on air from its making until `close`."""

    def pump(self) -> None:
        """Let it work, if it works on the caller's thread."""

    def published_ms(self) -> float | None:
        """How long after its flash each beep was, as the client sent them; None while that is not known yet."""

    def close(self) -> None:
        """Go off air."""


class _FilmHost:
    """A host of RTMP: it sends the film's packets as they are."""

    def __init__(self, stage: Stage) -> None:
        self._offset_ms = watch_file(stage.film, FILM_LOOK_S).offset_ms()

    def pump(self) -> None:
        """Nothing: it works by itself."""

    def published_ms(self) -> float | None:
        return self._offset_ms


class _ProgramHost(_FilmHost):
    """A program with a command line."""

    def __init__(self, stage: Stage, room: str) -> None:
        super().__init__(stage)
        self._process = subprocess.Popen(
            self.command(str(stage.film), stage.publish_url(room)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def command(self, film: str, url: str) -> list[str]:
        raise NotImplementedError

    def close(self) -> None:
        code = self._process.poll()
        error = b"" if code is None or self._process.stderr is None else self._process.stderr.read()
        end(self._process)
        assert code is None, f"the host ended by itself with {code}: {error.decode()[-2000:]}"


class Ffmpeg(_ProgramHost):
    def command(self, film: str, url: str) -> list[str]:
        options = ["-hide_banner", "-loglevel", "error", "-nostdin"]
        return [need("ffmpeg"), *options, "-re", "-i", film, "-c", "copy", "-f", "flv", url]


class GStreamer(_ProgramHost):
    """Its own demuxer, parsers, muxer and RTMP."""

    def command(self, film: str, url: str) -> list[str]:
        line = (
            "flvdemux name=d  d.video ! queue ! h264parse ! m.video  d.audio ! queue ! aacparse ! m.audio "
            "flvmux name=m streamable=true ! rtmp2sink"
        )
        return [need("gst-launch-1.0"), "-q", "filesrc", f"location={film}", "!", *line.split(), f"location={url}"]


class Pyav(_FilmHost):
    """libavformat's RTMP under PyAV, paced by a thread of ours."""

    def __init__(self, stage: Stage, room: str) -> None:
        super().__init__(stage)
        self._over = threading.Event()
        self._failure = ""
        self._thread = threading.Thread(target=self._run, args=(stage.film, stage.publish_url(room)), daemon=True)
        self._thread.start()

    def _run(self, film: Path, url: str) -> None:
        start_s = time.monotonic()
        try:
            with av.open(str(film)) as source, av.open(url, "w", format="flv", timeout=(ANSWER_S, ANSWER_S)) as out:
                tracks = {stream: out.add_stream_from_template(stream) for stream in source.streams}
                for packet in source.demux():
                    if packet.dts is None or packet.time_base is None:
                        continue
                    if self._over.wait(max(0.0, start_s + float(packet.dts * packet.time_base) - time.monotonic())):
                        return
                    packet.stream = tracks[packet.stream]
                    out.mux(packet)
        except av.FFmpegError as error:
            self._failure = str(error)

    def close(self) -> None:
        assert self._thread.is_alive(), f"the host ended by itself: {self._failure}"
        self._over.set()
        self._thread.join(ANSWER_S)


class Aiortc:
    """aiortc's WHIP, its own encoders and reports, in a process of its own (tests/matrix/aiortc_host.py)."""

    def __init__(self, stage: Stage, room: str) -> None:
        command = [sys.executable, "-m", "tests.matrix.aiortc_host", f"{stage.server.base}/whip/{room}", stage.token]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said = line

    def pump(self) -> None:
        """Nothing: it works by itself."""

    def published_ms(self) -> float | None:
        return float(self._said) if self._said else None

    def close(self) -> None:
        code = self._process.poll()
        self._process.kill()
        self._process.wait()
        self._reader.join(ANSWER_S)
        assert code is None, f"the host ended by itself with {code}"


class _BrowserHost:
    """A page that publishes by WHIP; a second connection to an aiortc of ours tells what the browser sends."""

    page: Page

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._seen = Seen()
        self._reference: RTCPeerConnection | None = None
        self._receiving: Receiving | None = None

    def refer(self) -> None:
        """Connect the aiortc that hears the browser directly."""
        offer = self.page.evaluate("offerReference()")
        answer = self._stage.await_(self._answer(offer))
        self.page.evaluate("sdp => window.reference.setRemoteDescription({ type: 'answer', sdp })", answer)

    async def _answer(self, offer: str) -> str:
        self._reference = connection = peer()
        self._receiving = Receiving(connection, self._seen)
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        return connection.localDescription.sdp

    def pump(self) -> None:
        self.page.wait_for_timeout(20)

    def published_ms(self) -> float | None:
        # A browser under load moves its own sound: what counts is how it has sent lately.
        return self._seen.offset_ms(RECENT) if len(self._seen.offsets_ms()) >= RECENT else None

    def close(self) -> None:
        self.page.context.close()
        if self._receiving is not None:
            self._receiving.close()
        if self._reference is not None:
            self._stage.await_(self._reference.close())


class Studio(_BrowserHost):
    """Chromium on the project's own /studio page, with the film for a camera."""

    def __init__(self, stage: Stage, room: str) -> None:
        super().__init__(stage)
        self.page = stage.page(pages.FILM, pages.CAMERA, pages.REFERENCE)
        self.page.goto(f"{stage.server.base}/studio/{room}#token={stage.token}")
        expect(self.page.get_by_test_id("go-live")).to_be_visible(timeout=ANSWER_S * 1000)
        self.page.wait_for_function("() => window.film && document.querySelector('#preview').srcObject")
        self.page.get_by_test_id("go-live").click()
        expect(self.page.get_by_test_id("live-state")).to_have_attribute("data-live", "true", timeout=ANSWER_S * 1000)
        self.refer()


class NpmWhip(_BrowserHost):
    """A WHIP client from npm, in Chromium: it trickles its candidates by PATCH."""

    def __init__(self, stage: Stage, room: str) -> None:
        script = npm_package(*NPM_CLIENT) / "whip.js"
        super().__init__(stage)
        self.page = stage.page(pages.FILM, pages.REFERENCE)
        empty = "<!doctype html><title>npm</title>"
        self.page.route("**/npm/index.html", lambda route: route.fulfill(body=empty, content_type="text/html"))
        self.page.route("**/npm/whip.js", lambda route: route.fulfill(path=script, content_type="text/javascript"))
        self.page.goto(f"{stage.server.base}/npm/index.html")
        state: dict[str, Any] = self.page.evaluate(
            """async ([url, token]) => {
                const { WHIPClient } = await import("/npm/whip.js");
                const connection = new RTCPeerConnection();
                const film = window.makeFilm();
                for (const track of film.getTracks()) {
                    connection.addTransceiver(track, { direction: "sendonly", streams: [film] });
                }
                const client = (window.client = new WHIPClient());
                await client.publish(connection, url, token);
                await new Promise((resolve) => {
                    connection.addEventListener("connectionstatechange", () => {
                        if (connection.connectionState !== "connecting") resolve();
                    });
                });
                return { state: connection.connectionState, session: String(client.resourceURL) };
            }""",
            [f"{stage.server.base}/whip/{room}", stage.token],
        )
        assert state["state"] == "connected", state
        assert re.search(r"/whip/.+", state["session"]), state
        self.refer()

    def close(self) -> None:
        # Its farewell is part of the protocol: DELETE.
        self.page.evaluate("() => window.client.stop()")
        super().close()
