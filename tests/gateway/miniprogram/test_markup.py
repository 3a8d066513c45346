"""What the mini-program's files say of one another: pages, handlers, values, texts, styles, packages."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gateway.miniprogram_archive import SDK_FILES, sample_files, sample_folder
from tests.gateway.miniprogram.phone import node

SAMPLE = sample_folder()
APP = json.loads((SAMPLE / "app.json").read_text("utf-8"))
PACKAGES = {package["root"]: package["pages"] for package in APP["subPackages"]}
PAGES = [*APP["pages"], *(f"{root}/{page}" for root, pages in PACKAGES.items() for page in pages)]


def _set(*names: str) -> frozenset[str]:
    return frozenset(" ".join(names).split())


TAGS = _set("view text image button input textarea picker switch scroll-view block live-player")
ATTRIBUTES = _set(
    "class style id src mode value placeholder maxlength type disabled loading size open-type range checked",
    "lazy-load scroll-y scroll-into-view enhanced show-scrollbar autoplay object-fit min-cache max-cache",
    "picture-in-picture-mode confirm-type",
)
DIRECTIVES = _set("wx:if wx:elif wx:else wx:for wx:key wx:for-item wx:for-index")
MAIN_BYTES_MAX = 2 * 1024 * 1024
"""WeChat takes no larger package, main or beside it; all together 20 MB."""
PLACEHOLDER = re.compile(r"\{(\w+)\}")
BINDING = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
STRING = re.compile(r"'[^']*'")


class Markup(HTMLParser):
    """Reads WXML: handlers, values, classes, dataset; fails on what a page cannot have."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.handlers: set[str] = set()
        self.classes: set[str] = set()
        self.dataset: set[str] = set()
        self.values: set[str] = set()
        self.loops: set[str] = {"item", "index"}
        self.words: set[str] = set()
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []
        for binding in BINDING.findall(text):
            self._read(binding)
        self.values -= self.loops

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attributes)
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, f"<{tag}> is no component of these pages: {self.getpos()}"
        names = [name for name, _ in attributes]
        assert "wx:for" not in names or "wx:key" in names, f"wx:for without wx:key: {self.getpos()}"
        for name, value in attributes:
            if re.match("bind|catch", name):
                self.handlers.add(value or "")
            elif name.startswith("data-"):
                self.dataset.add(name.removeprefix("data-"))
            elif name == "wx:for-item":
                self.loops.add(value or "")
            else:
                assert name in ATTRIBUTES | DIRECTIVES, f"{name} at {self.getpos()}"
            if name == "class":
                self.classes |= set(
                    re.sub(r"[{}?:!.]", " ", re.sub(r"item\.\w+", "", value or "")).replace("'", "").split()
                )

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        assert not re.search(r"[<>]", data), f"a stray bracket: {data!r}"

    def _read(self, binding: str) -> None:
        code = STRING.sub("", binding)
        for path in re.findall(r"(?<![\w.$])[A-Za-z_]\w*(?:\.\w+)*", code):
            root, _, rest = path.partition(".")
            if root == "words":
                self.words.add(rest)
            elif root not in ("true", "false", "length"):
                self.values.add(root)


@functools.cache
def markup(page: str) -> Markup:
    return Markup((SAMPLE / f"{page}.wxml").read_text("utf-8"))


def scripts(page: str) -> str:
    """The page's own modules, and what all pages of the shop get."""
    own = "".join(path.read_text("utf-8") for path in sorted((SAMPLE / page).parent.glob("*.js")))
    return own + ("" if page.startswith("pages/") else (SAMPLE / "shared" / "page.js").read_text("utf-8"))


@functools.cache
def tables() -> dict[str, dict[str, list[str]]]:
    """Every table of texts by its name."""
    folders = [SAMPLE / "shared", SAMPLE / "pages" / "room", SAMPLE / "shop", SAMPLE / "my"]
    imports = [f'await import("{(folder / "texts.js").as_uri()}")' for folder in folders]
    script = f"console.log(JSON.stringify(Object.assign({{}}, {', '.join(imports)})))"
    command = [node(), "--input-type=module", "--no-warnings", "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    found: dict[str, dict[str, list[str]]] = json.loads(done.stdout)
    return found


def texts(page: str) -> dict[str, list[str]]:
    """What a page can say."""
    name = "ROOM_TEXTS" if page.startswith("pages/") else page.rpartition("/")[2].upper()
    return tables()["SHARED"] | tables()[name]


def test_each_page_of_the_app_has_its_files_and_each_file_its_page() -> None:
    for page in PAGES:
        for kind in ("js", "json", "wxml"):
            assert (SAMPLE / f"{page}.{kind}").is_file(), f"{page}.{kind}"
    written = {path.relative_to(SAMPLE).with_suffix("").as_posix() for path in SAMPLE.rglob("*.wxml")}
    assert written == set(PAGES)
    sitemap = json.loads((SAMPLE / "sitemap.json").read_text("utf-8"))
    assert {rule["page"] for rule in sitemap["rules"]} <= {*PAGES, "*"}
    assert set(APP["preloadRule"]) <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_only_what_its_script_has(page: str) -> None:
    code = scripts(page)
    for handler in markup(page).handlers:
        assert re.search(rf"^ {{2,4}}(async )?{handler}\(", code, re.MULTILINE), handler
    for value in markup(page).values - {"words"}:
        assert re.search(rf"\b{value}\b\s*[:,=}}]|\b{value}\b \}}", code), value


@pytest.mark.parametrize("page", PAGES)
def test_what_a_script_reads_of_a_tap_stands_in_the_markup(page: str) -> None:
    code = scripts(page)
    read = set(re.findall(r"dataset\??\.(\w+)", code))
    for names in re.findall(r"const \{ ([^}]*) \} = currentTarget\.dataset", code):
        read |= {re.split(r"[ :=]", name)[0] for name in names.split(", ")}
    assert read <= markup(page).dataset, read - markup(page).dataset


@pytest.mark.parametrize("page", PAGES)
def test_each_text_that_a_page_asks_for_is_there(page: str) -> None:
    code = scripts(page)
    asked = markup(page).words | set(re.findall(r"""\bt\("([^"]+)"[),]""", code))
    asked |= {key for pair in re.findall(r"""\bt\([^()]*\? "([^"]+)" : "([^"]+)"[),]""", code) for key in pair}
    assert asked <= set(texts(page)), asked - set(texts(page))
    for prefix in re.findall(r"\bt\(`([\w.]+)\$\{", code):
        assert any(key.startswith(prefix) for key in texts(page)), prefix
    assert "title" in texts(page) or page == "pages/room/room"


def test_each_text_is_in_both_languages_and_leaves_the_same_blanks() -> None:
    for table, entries in tables().items():
        for key, pair in entries.items():
            assert len(pair) == 2 and all(pair), (table, key)
            assert re.search(r"[\u4e00-\u9fff]|^[^A-Za-z]*$|^\{", pair[0]), (table, key)
            if key not in ("off", "percent"):
                assert set(PLACEHOLDER.findall(pair[0])) == set(PLACEHOLDER.findall(pair[1])), (table, key)


@pytest.mark.parametrize("page", PAGES)
def test_each_class_is_styled(page: str) -> None:
    own = SAMPLE / f"{page}.wxss"
    styles = (SAMPLE / "app.wxss").read_text("utf-8") + (own.read_text("utf-8") if own.is_file() else "")
    styled = set(re.findall(r"\.([a-z][\w-]*)", styles))
    # What a line of chat is called by who said it: two of the three look alike.
    assert markup(page).classes <= styled | {"kind"}, markup(page).classes - styled


def test_no_package_takes_from_one_that_may_not_be_there() -> None:
    files = sample_files("https://shop.example", "R1")
    for name, data in files.items():
        if not name.endswith(".js"):
            continue
        home = Path(name).parent
        root = name.partition("/")[0]
        for target in re.findall(r'from "(\.[^"]+)"', data.decode()):
            path = _within(home, target)
            assert path in files, f"{name} imports {target}"
            other = path.partition("/")[0]
            assert other not in PACKAGES or other == root, f"{name} takes {path} of another package"


def _within(home: Path, target: str) -> str:
    parts: list[str] = list(home.parts)
    for part in Path(target).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def test_the_packages_are_as_small_as_wechat_wants_them() -> None:
    sizes: dict[str, int] = {}
    for name, data in sample_files("https://shop.example", "R1").items():
        root = name.partition("/")[0]
        sizes[root if root in PACKAGES else ""] = sizes.get(root if root in PACKAGES else "", 0) + len(data)
    assert max(sizes.values()) < MAIN_BYTES_MAX / 10, sizes


def test_what_asks_for_personal_data_is_declared_and_asks_for_consent_first() -> None:
    code = "".join(path.read_text("utf-8") for path in SAMPLE.rglob("*.js"))
    private = set(re.findall(r"wx\.(chooseAddress|chooseLocation|getLocation|getFuzzyLocation|choosePoi)\(", code))
    assert private == set(APP["requiredPrivateInfos"]) and APP["__usePrivacyCheck__"] is True
    asking = (SAMPLE / "shared" / "asking.js").read_text("utf-8")
    for name in private:
        [asks] = [part for part in asking.split("\nexport ") if f"wx.{name}(" in part]
        assert 0 < asks.find("await privacy();") < asks.find(f"wx.{name}("), name
        assert code.count(f"wx.{name}(") == 1
    # Pictures are asked for by an interface that app.json does not name.
    [asks] = [part for part in asking.split("\nexport ") if "wx.chooseMedia(" in part]
    assert 0 < asks.find("await privacy();") < asks.find("wx.chooseMedia(") and code.count("wx.chooseMedia(") == 1


def test_the_manual_names_all_that_the_sdk_exports_and_every_page() -> None:
    manual = (Path(__file__).parents[3] / "docs" / "miniprogram.md").read_text("utf-8")
    web = SAMPLE.parent / "web"
    for name in SDK_FILES:
        text = (web / name).read_text("utf-8")
        exports = re.findall(r"^export (?:async )?(?:class|function|const) (\w+)", text, re.MULTILINE)
        for one in exports:
            assert re.search(rf"`{one}\b", manual), one
    for page in PAGES:
        assert f"`{page}" in manual, page


def test_a_broken_page_is_found_out() -> None:
    broken: list[tuple[str, Any]] = [
        ("<view><text></view>", "</view>"),
        ("<div></div>", "<div>"),
        ('<view wx:for="{{rows}}"></view>', "wx:key"),
        ('<view onclick="x"></view>', "onclick"),
    ]
    for text, word in broken:
        with pytest.raises(AssertionError, match=re.escape(word)):
            Markup(text)
