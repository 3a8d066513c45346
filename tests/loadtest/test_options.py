"""What a load test may be aimed at, and where it gets room and tokens from."""

import json
from pathlib import Path

import pytest

from loadtest.options import OptionsError, Target, check_host, read_target


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "http://127.9.9.9:1/", "http://[::1]:8000", "http://localhost"]
)
def test_this_machine_may_be_loaded(url: str) -> None:
    assert check_host(url, None) == url.rstrip("/")


@pytest.mark.parametrize(
    "url", ["http://192.0.2.7:8000", "https://shop.example", "http://localhost.example", "http://0.0.0.0:8000"]
)
def test_another_machine_is_refused(url: str) -> None:
    with pytest.raises(OptionsError, match="loopback only"):
        check_host(url, None)


def test_a_host_that_was_named_a_second_time_may_be_loaded_and_no_other() -> None:
    assert check_host("http://gateway:8000", "gateway") == "http://gateway:8000"
    with pytest.raises(OptionsError):
        check_host("http://gateway.example:8000", "gateway")


@pytest.mark.parametrize("url", [None, "", "127.0.0.1:8000", "ftp://127.0.0.1/"])
def test_what_is_no_web_address_is_refused(url: str | None) -> None:
    with pytest.raises(OptionsError, match="an address like"):
        check_host(url, None)


def test_room_and_token_come_from_the_seed_and_an_option_wins(tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text(json.dumps({"room": "r1", "host_token": "t1", "stream_key": "k"}))
    assert read_target(str(seed), None, None) == Target("r1", "t1")
    assert read_target(str(seed), "r2", "t2") == Target("r2", "t2")
    assert read_target(None, "r2", None) == Target("r2", "")


def test_a_token_is_not_shown_when_the_target_is() -> None:
    assert "t1" not in repr(Target("r1", "t1"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"room": 7}', "not JSON"])
def test_a_file_that_is_no_seed_is_refused(tmp_path: Path, text: str) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text(text)
    with pytest.raises(OptionsError):
        read_target(str(seed), None, None)
    with pytest.raises(OptionsError):
        read_target(str(tmp_path / "none.json"), None, None)
