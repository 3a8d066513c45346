"""Settings of ``siyu serve``: one frozen value, read from flags and their environment twins.

A flag ``--http-port`` has the twin ``SIYU_HTTP_PORT``; a flag given on the command line wins.
"""

from __future__ import annotations

import argparse
import dataclasses
import errno
import ipaddress
import math
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

VERSION = "0.1.0"
"""That of pyproject.toml, by a test."""
ENVIRONMENT_PREFIX = "SIYU_"
LOG_LEVELS = ("debug", "info", "warning", "error")
TOKEN_TTL_S = (1, 365 * 86_400)
"""Seconds alone: to see what happens when a token lapses. One longer cannot be called back by waiting."""
WORKERS_MAX = 64
"""Gateway processes of one node: one a core is as many as make sense."""


class SettingsError(ValueError):
    """A setting that cannot be used; the text says which, why and what to do."""


TO_DO = {
    errno.EACCES: "run this as the user whose it is, or name another",
    errno.EPERM: "run this as the user whose it is, or name another",
    errno.EROFS: "its disk cannot be written to: name another",
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room on the disk",
    errno.EEXIST: "a file stands where a folder is wanted: name another",
    errno.ENOTDIR: "a file stands where a folder is wanted: name another",
    errno.EISDIR: "a folder stands where a file is wanted: move it away",
}
"""What whoever reads the terminal can do about what the system refused of a file."""


def os_error_text(error: OSError) -> str:
    """What the system refused, of which file, and what to do: for whoever reads the terminal."""
    text = error.strerror or str(error)
    if not error.filename:
        return text
    advice = TO_DO.get(error.errno or 0)
    return f"{error.filename}: {text}" + (f"; {advice}" if advice else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the server can be told. Ports are 0 for "any free port"; times carry their unit in the name."""

    host: str = "127.0.0.1"
    http_port: int = 8000
    rtmp_port: int = 1935
    # RTMP over TLS: 1936 when there is a certificate, unless told otherwise.
    rtmps_port: int | None = None
    rtmp_challenge: bool = False
    udp_port: int = 8189
    udp_host: str | None = None
    data: Path = Path("./data")
    database_url: str | None = None
    redis_url: str | None = None
    node_url: str | None = None
    workers: int = 1
    # The ledger's writer as a process: worth it where a core is to spare (docs/decisions/0038).
    ledger_process: bool = False
    origin: str | None = None
    pull_linger_s: float = 10.0
    public_url: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    forwarded_allow_ips: tuple[str, ...] = ()
    play_auth: bool = False
    sandbox: bool = False
    # Accounts at WeChat Pay and Alipay: a TOML file, so that keys stand in no process list.
    payments: Path | None = None
    # Accounts at same-city couriers, as above.
    couriers: Path | None = None
    # Recording: off unless asked for, as it fills a disk. Three years and a day is what the law asks of a show's video.
    record: bool = False
    record_keep_days: int = 1096
    record_min_free: int = 2 * 1024**3
    hls_window_s: int = 60
    # Renditions: each room that needs one costs a good part of a core.
    transcode: bool = False
    abr: tuple[str, ...] = ()
    # Shown to viewers while a host is away; without it its last picture.
    slate: Path | None = None
    # Slow or hostile clients: header time-out and connection bounds of one client address (design D1).
    header_timeout_s: float = 10.0
    connections_per_address: int = 200
    loopback_exempt: bool = True
    # What one host and one merchant may send: far over any camera's, so that a mistake does not fill the line.
    host_kbps_max: int = 50_000
    streams_per_merchant: int = 50
    # How long after SIGTERM the process may live.
    drain_s: float = 30.0
    token_ttl_s: int = 12 * 3600
    # Where mini-programs' codes are asked about: WeChat, or a stand-in of a test.
    wechat_api: str = "https://api.weixin.qq.com"
    # The same of WeCom and of the SMS service, by which customers are told things.
    wecom_api: str = "https://qyapi.weixin.qq.com"
    sms_api: str = "https://dysmsapi.aliyuncs.com"
    log_level: str = "info"

    def __post_init__(self) -> None:
        self._check_addresses()
        for name in ("pull_linger_s", "header_timeout_s", "drain_s"):
            if not math.isfinite(getattr(self, name)):
                raise SettingsError(f"--{name.replace('_', '-')} must be a number of seconds")
        if not TOKEN_TTL_S[0] <= self.token_ttl_s <= TOKEN_TTL_S[1]:
            raise SettingsError(f"--token-ttl-s must be between {TOKEN_TTL_S[0]} and {TOKEN_TTL_S[1]} (a year)")
        if self.log_level.lower() not in LOG_LEVELS:
            raise SettingsError(f"--log-level: {self.log_level!r} is none of {', '.join(LOG_LEVELS)}")
        for name in ("http_port", "rtmp_port", "rtmps_port", "udp_port"):
            if not 0 <= (getattr(self, name) or 0) <= 65535:
                raise SettingsError(f"--{name.replace('_', '-')} must be between 0 and 65535")
        if not 1 <= self.workers <= WORKERS_MAX:
            raise SettingsError(f"--workers must be between 1 and {WORKERS_MAX}")
        if self.udp_port + self.workers - 1 > 65535:
            raise SettingsError("--udp-port is the first of one port for each of --workers: choose a lower one")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingsError("--tls-cert and --tls-key go together: give both or neither")
        if self.rtmps_port is not None and self.tls_cert is None:
            raise SettingsError("--rtmps-port needs a certificate: give --tls-cert and --tls-key as well")
        if self.pull_linger_s < 0:
            raise SettingsError("--pull-linger-s must not be negative")
        if self.drain_s <= 0 or self.header_timeout_s <= 0 or self.connections_per_address < 1:
            raise SettingsError("--drain-s, --header-timeout-s and --connections-per-address must be positive")
        if self.host_kbps_max < 0 or self.streams_per_merchant < 1:
            raise SettingsError("--host-kbps-max must not be negative, --streams-per-merchant must be positive")
        if self.record_keep_days < 0 or self.record_min_free < 0:
            raise SettingsError("--record-keep-days and --record-min-free must not be negative")
        if not 10 <= self.hls_window_s <= 14_400:
            raise SettingsError("--hls-window-s must be between 10 and 14400 (4 hours)")
        for rung in self.abr:
            if not (rung.isascii() and rung.isdigit() and 144 <= int(rung) <= 2160):
                raise SettingsError(f"--abr: {rung!r} is no height in lines from 144 to 2160; give some as 720,480")
        for address in self.forwarded_allow_ips:
            try:
                ipaddress.ip_network(address, strict=False)
            except ValueError as error:
                text = f"--forwarded-allow-ips: {address!r} is neither an address nor a network"
                raise SettingsError(text) from error

    def _check_addresses(self) -> None:
        """What is given as an address must be one: a slip here shows in every link, or opens another database."""
        if not self.host.strip():
            raise SettingsError("--host is empty; give an address of this machine, or 0.0.0.0 for all")
        for name in ("public_url", "node_url"):
            given = getattr(self, name)
            if given is not None and not _is_web_address(given):
                flag = name.replace("_", "-")
                raise SettingsError(f"--{flag}: {given!r} is not like https://HOST or http://HOST:8000")
        for name in ("wechat_api", "wecom_api", "sms_api"):
            if not getattr(self, name).startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
                flag = name.replace("_", "-")
                raise SettingsError(f"--{flag} is an https:// address (http:// only on this machine)")
        if self.database_url is not None and "://" not in self.database_url:
            # Not shown: it may hold a password.
            raise SettingsError(
                "--database-url is not like postgresql://USER:PASSWORD@HOST:5432/DATABASE; without it the shop is"
                " kept in SQLite, in --data"
            )

    @property
    def database(self) -> Path | str:
        """Where the shop is kept: PostgreSQL's address, or the data folder."""
        return self.database_url or self.data

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def sandbox_payments(self) -> bool:
        """Sandbox payment is on for loopback hosts without another provider, elsewhere only when asked for."""
        return self.sandbox or (self.loopback and self.payments is None)


def _is_web_address(text: str) -> bool:
    """Whether a text is scheme, host and perhaps port and path: what links can be put together from."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises for one that is none
    except ValueError:
        return False
    host = parts.hostname or ""
    whole = not parts.query and not parts.fragment and not parts.username and "?" not in text and "#" not in text
    return parts.scheme in {"http", "https"} and whole and bool(host) and not any(c.isspace() for c in text)


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """TLS for every port that speaks it, None without a certificate. Raises ``SettingsError`` for files of no use."""
    certificate, key = settings.tls_cert, settings.tls_key
    if certificate is None or key is None:
        return None
    for flag, file in (("--tls-cert", certificate), ("--tls-key", key)):
        if not file.is_file():
            raise SettingsError(f"{flag}: there is no file {file}")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        text = f"--tls-cert {certificate} and --tls-key {key} cannot be used: {error}; both are PEM and must match"
        raise SettingsError(text) from error
    return context


def client_tls() -> ssl.SSLContext:
    """TLS towards another server, whose certificate must be good by the system's list (or ``SSL_CERT_FILE``)."""
    return ssl.create_default_context()


# What an edge cannot do, as it has neither shop nor hosts.
NOT_AT_AN_EDGE = {
    "database_url": "an edge keeps nothing",
    "redis_url": "an edge has no hub",
    "node_url": "an edge has streams of its origin alone",
    "record": "shows are recorded at the origin",
    "play_auth": "the origin decides who may watch, and its edges ask it",
    "rtmp_challenge": "hosts publish to the origin",
}


def refuse_unavailable(settings: Settings) -> None:
    """Raise ``SettingsError`` for settings that do not go together: refused with words, never ignored."""
    if settings.origin is not None:
        for name, why in NOT_AT_AN_EDGE.items():
            if getattr(settings, name):
                raise SettingsError(f"--{name.replace('_', '-')} does not go with --origin: {why}; leave it out")
    if settings.workers > 1 and settings.origin is None and not (settings.database_url and settings.redis_url):
        raise SettingsError(
            "--workers > 1 needs PostgreSQL (--database-url) and Redis (--redis-url), as SQLite and the in-process bus "
            "are for one process; use 1, or --origin for an edge"
        )


HELP = {
    "host": "address to listen on",
    "http_port": "pages, API, hub and playback",
    "rtmp_port": "RTMP from OBS and phones, and to players",
    "rtmps_port": "RTMP over TLS; 1936 when there is a certificate",
    "rtmp_challenge": "ask encoders that connect without a key for user and password (the room and its key)",
    "udp_port": "WebRTC media, UDP and TCP, one port for all sessions",
    "udp_host": "public address or name in WebRTC candidates, when the server does not see it itself",
    "data": "folder of the databases and the secret",
    "database_url": "postgresql://USER:PASSWORD@HOST/DATABASE instead of SQLite in the data folder",
    "redis_url": "bus between workers and nodes: Redis 7 or Valkey, one server or a cluster",
    "workers": "processes on the same ports; worker K takes UDP port --udp-port + K",
    "node_url": "where other servers on --redis-url reach this one for its streams (http://10.0.0.5:8000)",
    "origin": "be an edge: pull streams from this server (http://HOST:8000), and serve nothing else",
    "pull_linger_s": "seconds that a pulled stream is kept after its last viewer",
    "public_url": "address under which viewers reach the pages, for links",
    "tls_cert": "PEM certificate chain for HTTPS and RTMPS",
    "tls_key": "PEM private key for HTTPS and RTMPS",
    "forwarded_allow_ips": "proxies whose X-Forwarded-For and -Proto are believed, comma-separated addresses, networks",
    "play_auth": "playback needs a token",
    "sandbox": "allow sandbox payments on a public address, or beside --payments",
    "payments": "TOML file with the accounts at WeChat Pay and Alipay",
    "couriers": "TOML file with the accounts at same-city couriers",
    "record": "record every show under DATA/recordings, for replay and clips",
    "record_keep_days": "days after which recordings and clips are removed, 0 for never",
    "record_min_free": "bytes that stay free on the disk: with less, nothing is recorded",
    "hls_window_s": "seconds that HLS viewers can go back; over 60 every live room is cut from its start",
    "ledger_process": "write stock and money in a process of its own: where a core is to spare",
    "transcode": "re-encode for WebRTC what it cannot carry (B-frames, HEVC, AV1), while somebody watches",
    "abr": "lower renditions offered of each room by lines, as 720,480; made while somebody watches",
    "slate": "picture (PNG, JPEG) or short video that viewers see while their host is away; else its last picture",
    "header_timeout_s": "seconds a client has for its request head, a host for its RTMP handshake",
    "connections_per_address": "connections one client address may hold",
    "loopback_exempt": "loopback is exempt from the bound per address",
    "host_kbps_max": "kbit/s that a host may send for more than 10 s, 0 for any",
    "streams_per_merchant": "rooms in which one merchant may be live at once",
    "drain_s": "seconds from SIGTERM to the end of the process",
    "token_ttl_s": "seconds a viewer or staff token is good for",
    "wechat_api": "address of WeChat's server API, which merchants' mini-programs sign in by",
    "wecom_api": "address of WeCom's server API, by which merchants reach their customers there",
    "sms_api": "address of Alibaba Cloud's SMS service",
    "log_level": "debug, info, warning or error",
}


def _truth(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError(f"{text!r} is neither yes nor no")


def _convert(name: str, text: str) -> object:
    """The value of setting ``name`` from its text form."""
    kind = {item.name: item.type for item in dataclasses.fields(Settings)}[name]
    try:
        if kind == "bool":
            return _truth(text)
        if kind in {"int", "int | None"}:
            return int(text)
        if kind == "float":
            return float(text)
    except ValueError as error:
        wanted = {"bool": "yes or no (1 or 0)", "float": "a number"}.get(str(kind), "a whole number")
        twin = ENVIRONMENT_PREFIX + name.upper()
        raise SettingsError(f"--{name.replace('_', '-')} ({twin}) wants {wanted}, not {text!r}") from error
    if kind in {"Path", "Path | None"}:
        return Path(text)
    if kind == "tuple[str, ...]":
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def add_arguments(parser: argparse.ArgumentParser, names: Sequence[str] | None = None) -> None:
    """Give ``parser`` the flags of ``names`` (all when None)."""
    for item in dataclasses.fields(Settings):
        if item.name not in HELP or (names is not None and item.name not in names):
            continue
        flag = "--" + item.name.replace("_", "-")
        twin = ENVIRONMENT_PREFIX + item.name.upper()
        text = f"{HELP[item.name]} (environment {twin})"
        if item.type == "bool":
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            parser.add_argument(flag, default=None, metavar=item.name.upper(), help=text)


def read_settings(arguments: argparse.Namespace, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from parsed flags, then the environment, then the defaults. Raises ``SettingsError``."""
    environment = os.environ if environment is None else environment
    values: dict[str, object] = {}
    for item in dataclasses.fields(Settings):
        if item.name not in HELP:
            continue
        given = getattr(arguments, item.name, None)
        if given is None:
            given = environment.get(ENVIRONMENT_PREFIX + item.name.upper())
            if given == "":
                given = None
        if given is not None:
            values[item.name] = given if isinstance(given, bool) else _convert(item.name, str(given))
    return Settings(**values)  # type: ignore[arg-type]
