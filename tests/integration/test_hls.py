"""HLS from a real server, read by ffprobe and ffmpeg; with play tokens on every child."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import httpx

from tests.harness import LiveServer, live_server
from tests.integration.outsiders import publishing, wait_until
from tests.outside import need


def playlist(server: LiveServer, file: str, query: str = "") -> httpx.Response:
    return httpx.get(f"{server.base}/live/{server.room}/{file}{query}", timeout=60)


def test_ffmpeg_reads_hls_with_a_play_token_and_nobody_does_without(tmp_path: Path) -> None:
    ffmpeg, ffprobe = need("ffmpeg"), need("ffprobe")
    with live_server(tmp_path, flags=["--play-auth"]) as server, publishing(server.publish_url):
        token = server.seed["viewer_token"]
        query = f"?token={token}"
        wait_until(lambda: playlist(server, "index.m3u8", query).status_code == 200, "a first playlist")
        url = f"{server.base}/live/{server.room}/index.m3u8?token={token}"
        probe = [ffprobe, "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", url]
        codecs = subprocess.run(probe, capture_output=True, text=True, timeout=180, check=True).stdout.split()
        assert {"h264", "aac"} <= set(codecs)
        decode = [ffmpeg, "-v", "error", "-t", "3", "-i", url, "-f", "null", "-"]
        assert subprocess.run(decode, capture_output=True, text=True, timeout=180, check=True).stderr == ""
        text = playlist(server, "media.m3u8", f"?token={token}").text
        segment = next(line for line in text.splitlines() if not line.startswith("#"))
        assert segment.endswith(f"?token={token}")
        bare = segment.partition("?")[0]
        assert playlist(server, bare).status_code == 401
        assert playlist(server, "index.m3u8").status_code == 401
        part = re.findall(r'EXT-X-PART:DURATION=[\d.]+,URI="([^"]+)"', text)[-1]
        answer = playlist(server, part)
        assert answer.status_code == 200 and answer.headers["content-type"] == "video/mp4"
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["access-control-allow-origin"] == "*"


def test_a_room_without_a_host_and_an_unknown_one_are_told_apart(tmp_path: Path) -> None:
    with live_server(tmp_path) as server:
        unknown = httpx.get(f"{server.base}/live/nope/index.m3u8")
        assert unknown.status_code == 404 and unknown.json()["code"] == "no_stream"
        away = playlist(server, "index.m3u8")
        assert away.status_code == 404 and away.json()["code"] == "not_live" and away.headers["retry-after"]
