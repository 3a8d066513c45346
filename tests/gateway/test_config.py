"""Settings: flags, their twins in the environment, and refusals in words."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from gateway.config import Settings, SettingsError, add_arguments, read_settings, refuse_unavailable


def read(*flags: str, environment: dict[str, str] | None = None) -> Settings:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return read_settings(parser.parse_args(flags), environment or {})


def test_the_defaults_are_the_published_ones() -> None:
    settings = read()
    assert (settings.host, settings.http_port, settings.rtmp_port, settings.udp_port) == ("127.0.0.1", 8000, 1935, 8189)
    assert settings.data == Path("data") and settings.workers == 1 and not settings.play_auth


def test_every_flag_has_a_twin_and_the_flag_wins() -> None:
    twins = {"SIYU_HTTP_PORT": "81", "SIYU_PLAY_AUTH": "yes", "SIYU_FORWARDED_ALLOW_IPS": "10.0.0.1, 10.1.0.0/16"}
    settings = read(environment=twins)
    assert settings.http_port == 81 and settings.play_auth
    assert settings.forwarded_allow_ips == ("10.0.0.1", "10.1.0.0/16")
    settings = read("--http-port", "82", "--no-play-auth", environment=twins)
    assert settings.http_port == 82 and not settings.play_auth


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (("--http-port", "many"), "http-port"),
        (("--http-port", "70000"), "http-port"),
        (("--tls-cert", "x.pem"), "tls-key"),
        (("--forwarded-allow-ips", "proxy"), "proxy"),
        (("--workers", "0"), "workers"),
        (("--drain-s", "0"), "drain-s"),
        (("--record-keep-days", "-1"), "record-keep-days"),
        (("--record-min-free", "2G"), "record-min-free"),
    ],
)
def test_a_bad_value_is_refused_by_name(flags: tuple[str, ...], names: str) -> None:
    with pytest.raises(SettingsError, match=names):
        read(*flags)


def test_what_this_release_cannot_do_is_refused_and_not_ignored() -> None:
    with pytest.raises(SettingsError, match="--workers"):
        refuse_unavailable(read("--workers", "2"))


def test_recording_is_asked_for() -> None:
    assert not read().record and read().record_keep_days == 1096 and read().record_min_free == 2 * 1024**3
    assert read("--record").record and read(environment={"SIYU_RECORD": "1"}).record
    assert not read("--no-record", environment={"SIYU_RECORD": "1"}).record


def test_sandbox_payment_is_on_for_loopback_only_or_when_asked() -> None:
    assert read().sandbox_payments
    assert not read("--host", "0.0.0.0").sandbox_payments
    assert read("--host", "0.0.0.0", "--sandbox").sandbox_payments
