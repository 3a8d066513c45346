"""What the pages and the mini-program offer those who keep order, held against what the hub grants."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from chat.member import STAFF_ROLES
from chat.rights import BAN_FOR_EVER, KEEPER_BAN_MS, RIGHTS
from gateway.miniprogram_archive import sample_folder
from tests.gateway.miniprogram.phone import node

WEB = sample_folder().parent / "web"
NOW_MS = 1_800_000_000_000
ROLES = ("guest", "viewer", "guide", "moderator", "assistant", "host", "merchant")
COMMANDS = {
    "recall": "recall",
    "mute": "mute",
    "ban": "ban",
    "appoint": "moderator.add",
    "dismiss": "moderator.remove",
}


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files as Node takes them for modules."""
    folder = tmp_path_factory.mktemp("sdk")
    for name in ("keeping.js", "store.js"):
        (folder / name).write_bytes((WEB / name).read_bytes())
    (folder / "package.json").write_text('{"type": "module"}', "utf-8")
    return folder


def said(folder: Path, script: str) -> Any:
    command = [node(), "--input-type=module", "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True, cwd=folder)
    return json.loads(done.stdout)


def offered(folder: Path, cases: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[dict[str, Any]]:
    """For each who looks, and line: what they are offered, as command and arguments by name."""
    return list(
        said(
            folder,
            f'import {{ actionsOn, commandFor }} from "{(folder / "keeping.js").as_uri()}";'
            f"const told = ([you, line]) => Object.fromEntries(actionsOn(you, line).map((name) =>"
            f" [name, commandFor(name, line, you, {NOW_MS} + 0.5)]));"
            f"console.log(JSON.stringify({json.dumps(cases)}.map(told)));",
        )
    )


def grants(role: str, action: str, author: str) -> bool:
    """Whether the hub would do it: by its table, and as it spares those who keep order."""
    allowed = RIGHTS[COMMANDS[action]]
    spared = author in STAFF_ROLES
    fits = {"mute": not spared, "ban": not spared, "dismiss": author == "moderator"}
    return role in allowed and fits.get(action, True)


def test_everybody_is_offered_what_the_hub_grants_them_about_the_line_of_anybody_else(sdk: Path) -> None:
    pairs = [(role, author) for role in ROLES for author in ROLES]
    lines = {author: {"from": {"person": "p", "role": author}, "o": 7} for author in ROLES}
    cases = [({"person": "me", "role": role}, lines[author]) for role, author in pairs]
    for (role, author), found in zip(pairs, offered(sdk, cases), strict=True):
        case = (role, author, found)
        asked = {"dismiss"} if author in STAFF_ROLES else {"recall", "mute", "ban", "appoint"}
        wanted = {action for action in asked if grants(role, action, author)}
        # What a keeper says is left to them, by all but those who could dismiss them.
        assert set(found) == wanted | ({"recall"} if wanted else set()), case
        assert all(grants(role, action, author) for action in found), case
        assert [command for command, _ in found.values()] == [COMMANDS[action] for action in found]
        if "ban" in found:
            until_ms = found["ban"][1].get("until_ms")
            if role in BAN_FOR_EVER:
                assert until_ms is None
            else:
                assert NOW_MS + KEEPER_BAN_MS - 120_000 < until_ms < NOW_MS + KEEPER_BAN_MS
                assert isinstance(until_ms, int)


def test_nothing_is_offered_about_a_line_of_one_s_own_or_of_nobody_and_no_recall_of_what_has_no_place(
    sdk: Path,
) -> None:
    host = {"person": "me", "role": "host"}
    assert offered(
        sdk,
        [
            (host, {"from": {"person": "me", "role": "viewer"}, "o": 7}),
            (host, {"from": {}, "o": 7}),
            (host, {"o": 7}),
            ({}, {"from": {"person": "p", "role": "viewer"}, "o": 7}),
        ],
    ) == [{}, {}, {}, {}]
    for place in ({}, {"o": None}):
        [found] = offered(sdk, [(host, {"from": {"person": "p", "role": "viewer"}, **place})])
        assert list(found) == ["mute", "ban", "appoint"]


def test_a_room_s_store_says_what_of_somebody_s_rights_has_changed(sdk: Path) -> None:
    steps = [
        {"role": "viewer"},
        {"role": "viewer", "muted": NOW_MS},
        {"role": "viewer", "muted": NOW_MS + 1},
        {"role": "viewer", "muted": NOW_MS},
        {"role": "moderator"},
        {"role": "assistant"},
        {"role": "guide"},
        {"role": "viewer"},
        {"role": "viewer"},
    ]
    events = [{"t": "room", "now": 1, "you": steps[0]}, *({"t": "you", "you": one} for one in steps[1:])]
    assert said(
        sdk,
        f'import {{ RoomStore }} from "{(sdk / "store.js").as_uri()}";'
        "const store = new RoomStore(), told = [];"
        'store.on("you", (changes) => told.push([store.you.role, ...changes]));'
        f"for (const event of {json.dumps(events)}) store.apply(event);"
        "console.log(JSON.stringify(told));",
    ) == [
        ["viewer", "muted"],
        ["viewer", "muted"],
        ["viewer"],
        ["moderator", "appointed", "unmuted"],
        ["assistant", "appointed"],
        ["guide", "dismissed"],
        # From one who keeps no order to another: no moderator is no more.
        ["viewer"],
        ["viewer"],
    ]
