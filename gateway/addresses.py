"""The URLs that hosts and viewers use, from one place."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from gateway.config import Settings


class Addresses:
    """URLs of this server; ports are the bound ones (a setting of 0 means any)."""

    def __init__(self, settings: Settings, *, http_port: int, rtmp_port: int) -> None:
        self._settings = settings
        self.http_port = http_port
        self.rtmp_port = rtmp_port
        self.rtmps_port: int | None = None
        """Set when RTMPS is served."""

    @property
    def base(self) -> str:
        """The root under which a browser reaches the pages."""
        if self._settings.public_url:
            return self._settings.public_url.rstrip("/")
        scheme = "https" if self._settings.tls_cert else "http"
        host = self._settings.host
        if host in {"0.0.0.0", "::"}:  # noqa: S104 — compared, not bound
            host = "localhost"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.http_port}"

    def play(self, base: str, room: str) -> dict[str, str]:
        """Playback URLs of a room by format."""
        live = f"{base}/live/{room}"
        return {
            "flv": f"{live}.flv",
            "mp4": f"{live}.mp4",
            "hls": f"{live}/index.m3u8",
            "whep": f"{base}/whep/{room}",
            "rtmp": f"{self._rtmp(base)}/{room}",
        }

    def publish(self, base: str, room: str, key: str) -> dict[str, str]:
        """How to publish: ``server`` and ``stream_key`` as OBS asks for them, and the whole ``url``."""
        server = self._rtmp(base)
        return {"server": server, "stream_key": f"{room}?key={key}", "url": f"{server}/{room}?key={key}"}

    def secure_server(self, base: str) -> str | None:
        """The server with TLS, for encoders that can; None when there is none."""
        if self.rtmps_port is None:
            return None
        host = urlsplit(base).hostname or "localhost"
        return f"rtmps://{f'[{host}]' if ':' in host else host}:{self.rtmps_port}/live"

    def _rtmp(self, base: str) -> str:
        host = urlsplit(base).hostname or "localhost"
        return f"rtmp://{f'[{host}]' if ':' in host else host}:{self.rtmp_port}/live"

    def viewer_page(self, base: str, room: str, scene: str | None = None) -> str:
        """The viewer page, with a share link's token when given."""
        return f"{base}/r/{room}" + (f"?s={quote(scene, safe='')}" if scene else "")

    def content_page(self, base: str, content: str, scene: str | None = None) -> str:
        """Where a piece of the library is read, with a share link's token when given."""
        return f"{base}/c/{content}" + (f"?s={quote(scene, safe='')}" if scene else "")

    def group_page(self, base: str, community: str, scene: str | None = None) -> str:
        """Where people join a community group, with a link's token when given."""
        return f"{base}/g/{community}" + (f"?s={quote(scene, safe='')}" if scene else "")

    def help_page(self, base: str, poster: str) -> str:
        """Where somebody's poster of a helper task is seen."""
        return f"{base}/help/{poster}"

    def partner_page(self, base: str, key: str) -> str:
        """Where a partner of another trade reads its statement; what stands behind # is not sent to the server."""
        return f"{base}/partner#{key}"

    def code_page(self, base: str, room: str, scene: str) -> str:
        """What a printed code of a link opens: the viewer page, which then knows that it was scanned."""
        return f"{self.viewer_page(base, room, scene)}&q=1"

    def host_page(self, base: str, room: str) -> str:
        return f"{base}/host/{room}"

    def merchant_page(self, base: str) -> str:
        return f"{base}/merchant"
