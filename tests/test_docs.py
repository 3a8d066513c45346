"""What README and docs/ promise is there: links, flags, variables, metrics, addresses, and the walk through the API."""

import argparse
import dataclasses
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest
import yaml

from gateway.bench.orders import POSTGRES
from gateway.bench.outsiders import OUTSIDERS_VARIABLE
from gateway.bench.scale import Scale
from gateway.cli import build_parser
from gateway.config import ENVIRONMENT_PREFIX, HELP
from loadtest.options import OPTIONS
from tests.harness import LiveServer, live_server

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in DOCS]

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
VARIABLE = re.compile(r"\bSIYU_[A-Z_]*[A-Z]\b")
METRIC = re.compile(r"`((?:siyu|process)_\w+)`")
COMMAND = re.compile(r"\bsiyu ([a-z]+)\b")
# `/api/v1/…` in prose, and "$API/…" in the walk; `$NAME` and `{name}` stand for one part of the path.
API_PATH = re.compile(r"(?:/api/v1|\$API)(/[\w/{}$*.-]*)")

# Flags of other programs that docs name: make load's own, Locust's, pip's, curl's, docker's, sqlite3's.
FOREIGN_FLAGS = {
    "--users", "--seconds", "--csv", "--headless", "--run-time", "--processes", "--host", "--profile", "--rm",
    "--strict", "--fail-with-body",
}  # fmt: skip
LOAD_VARIABLES = {option.variable for option in OPTIONS} | {"SIYU_LOAD_USERS", "SIYU_LOAD_SECONDS"}
BENCH_VARIABLES = {f"SIYU_BENCH_{field.name.upper()}" for field in dataclasses.fields(Scale)} | {
    OUTSIDERS_VARIABLE,
    POSTGRES,
}
TEST_VARIABLES = {"SIYU_FUZZ_SECONDS"}
LOAD_FLAGS = {option.flag for option in OPTIONS}


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def subparsers() -> dict[str, argparse.ArgumentParser]:
    found = next(
        action
        for action in build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)  # argparse has no public way in
    )
    return dict(found.choices)


def siyu_flags() -> set[str]:
    parsers = (build_parser(), *subparsers().values())
    return {flag for parser in parsers for action in parser._actions for flag in action.option_strings}


def missing_links(name: str, content: str) -> list[str]:
    """Relative targets of links and images in ``content`` that are not there."""
    targets = [unquote(link.partition("#")[0]) for link in LINK.findall(content) if "://" not in link]
    return [target for target in targets if target and not ((ROOT / name).parent / target).exists()]


@pytest.mark.parametrize("name", NAMES)
def test_every_relative_link_and_image_leads_somewhere(name: str) -> None:
    assert missing_links(name, text(name)) == []


def test_the_link_test_sees_a_link_that_leads_nowhere() -> None:
    content = "[a](docs/none.md) ![b](docs/images/none.png) [c](docs/hub.md#events) [d](https://example.org/x) [e](#f)"
    assert missing_links("README.md", content) == ["docs/none.md", "docs/images/none.png"]


@pytest.mark.parametrize("name", NAMES)
def test_every_flag_named_is_one_of_a_parser(name: str) -> None:
    known = siyu_flags() | LOAD_FLAGS | FOREIGN_FLAGS
    assert set(FLAG.findall(text(name))) - known == set()


def test_the_operating_guide_names_every_flag_of_serve_with_its_variable() -> None:
    guide = text("docs/operating.md")
    flags = {f"--{name.replace('_', '-')}" for name in HELP}
    assert flags - set(FLAG.findall(guide)) == set()
    assert {ENVIRONMENT_PREFIX + name.upper() for name in HELP} - set(VARIABLE.findall(guide)) == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_named_is_read_by_somebody(name: str) -> None:
    known = (
        {ENVIRONMENT_PREFIX + setting.upper() for setting in HELP} | LOAD_VARIABLES | BENCH_VARIABLES | TEST_VARIABLES
    )
    assert set(VARIABLE.findall(text(name))) - known == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_command_named_is_one_of_siyu(name: str) -> None:
    code = "\n".join(re.findall(r"`[^`\n]+`|^ {4}.*$", text(name), re.MULTILINE))
    assert set(COMMAND.findall(code)) - set(subparsers()) == set()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("docs")) as server:
        yield server


def exposed(server: LiveServer) -> set[str]:
    lines = httpx.get(f"{server.base}/metrics", timeout=60).text.splitlines()
    return {line.split()[2] for line in lines if line.startswith("# TYPE")}


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_named_is_exposed(server: LiveServer, name: str) -> None:
    assert set(METRIC.findall(text(name))) - exposed(server) == set()


def test_the_operating_guide_explains_every_metric_of_ours(server: LiveServer) -> None:
    # What FLV has for all progressive outputs is said once.
    alike = tuple(f"siyu_playback_{output}_" for output in ("mp4", "wsflv", "rtmp"))
    ours = {name for name in exposed(server) if name.startswith("siyu_") and not name.startswith(alike)}
    assert ours - set(METRIC.findall(text("docs/operating.md"))) == set()


ASKED = re.compile(r"\b(?:siyu|process)_\w+")
DEPLOYED = ("deploy/grafana/siyu-live.json", "deploy/prometheus/alerts.yml")


@pytest.mark.parametrize("name", DEPLOYED)
def test_dashboard_and_alerts_ask_for_metrics_there_are(server: LiveServer, name: str) -> None:
    asked = set(ASKED.findall(text(name)))
    assert len(asked) > 5
    assert asked - exposed(server) == set()


def test_every_panel_of_the_dashboard_has_its_place_and_a_question() -> None:
    panels = json.loads(text(DEPLOYED[0]))["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24 and not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or all(target["expr"] for target in panel["targets"]), panel["title"]
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_alert_says_what_to_do_and_how_urgent_it_is() -> None:
    [group] = yaml.safe_load(text(DEPLOYED[1]))["groups"]
    for rule in group["rules"]:
        assert rule["expr"] and rule["labels"]["severity"] in ("page", "ticket")
        assert len(rule["annotations"]["summary"]) > 20


def api_paths(content: str) -> set[str]:
    """The paths below /api/v1 that ``content`` names, with * for what stands for one part."""
    joined = re.sub(r"\$\(jq [^)]*\)", "*", content)
    return {
        re.sub(r"\{\w+\}|\$\w+|\bROOM\b", "*", path).rstrip("/.") for path in API_PATH.findall(joined) if path != "/"
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_address_of_the_api_is_in_the_contract(server: LiveServer, name: str) -> None:
    contract = httpx.get(f"{server.base}/openapi.json", timeout=60).json()
    known = [re.sub(r"\{\w+\}", "[^/]+", path.removeprefix("/api/v1")) for path in contract["paths"]]
    assert [path for path in api_paths(text(name)) if not any(re.fullmatch(one, path) for one in known)] == []


def test_the_address_test_sees_every_way_an_address_is_written() -> None:
    content = 'call "$API/rooms/$ROOM/sales/$(jq -r .sale s.json)/start" -H x\n`GET /api/v1/orders/{id}`, `/api/v1`.'
    assert api_paths(content) == {"/rooms/*/sales/*/start", "/orders/*"}
    assert len(api_paths(text("docs/api.md"))) > 15


def test_the_walk_through_the_api_runs_as_it_stands(server: LiveServer, tmp_path: Path) -> None:
    lacking = [program for program in ("bash", "curl", "jq") if shutil.which(program) is None]
    if lacking:
        pytest.skip(f"{', '.join(lacking)} not installed: the examples of docs/api.md are not run")
    (tmp_path / "seed.json").write_text(json.dumps(server.seed))
    script = "set -eu\n" + "\n".join(re.findall(r"```sh\n(.*?)```", text("docs/api.md"), re.DOTALL))
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr
    assert '"status":"paid"' in done.stdout
