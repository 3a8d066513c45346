"""What every file of the repository keeps to: sizes, docstrings, no leftovers, nothing of one machine."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("stream", "chat", "commerce", "gateway", "loadtest")

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 600
SCRIPT_LINE_CHARS_MAX = 400

# Functions and modules over the limit, as they are today. The numbers only fall, and a line goes when its excuse does.
LONG_FUNCTIONS: dict[str, int] = {}
LONG_MODULES: dict[str, int] = {}

# A migration is a list of what it makes, and is never touched again once it has run somewhere.
FROZEN = re.compile(r"commerce/migrations\w*/versions/.*")

# The programs that talk to a terminal; everything else logs or returns.
PRINTERS = re.compile(r"gateway/(__main__|cli\w*|demo\w*|bench\w*)\.py|gateway/(cli|demo|bench)/.*|loadtest/.*")

PATIENT_S = 60
PATIENCE = re.compile(r"^(?:PATIENCE|WAIT|START_TIMEOUT|STOP_TIMEOUT|ANSWER|READY|ENTER|OPEN)_S$")
TIMEOUTS = {"timeout", "timeout_s", "open_timeout", "patience_s"}
CLOCKS = {"time.monotonic", "time.perf_counter", "time.time", "loop.time"}
# What asks again by itself when the short wait is over.
TOAST = "#" + "toast"
IMPATIENT: dict[str, int] = {"tests/harness.py": 1, "tests/integration/proxy.py": 1}

LEFTOVERS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME)\b")
# Folders that only the machine of whoever wrote the line has.
MACHINE_PATHS = re.compile(r"(?<![\w.*{}])/(?:root|work)/|/tmp/\S*pla[n]")
# Whoever builds this sets their own mirror; a host in a file would overrule it.
REGISTRY_HOSTS = re.compile(
    r"pypi\.(?:org|python)|pythonhosted\.|crates\.io|registry\.npmjs|proxy\.golang|repo1?\.maven|deb\.debian|"
    r"(?:security|ftp)\.\w*\.?debian|--(?:extra-)?index-url|--trusted-hos[t]|PIP_INDEX_UR[L]",
    re.IGNORECASE,
)
CODE_SUFFIXES = {
    ".py",
    ".js",
    ".mjs",
    ".css",
    ".html",
    ".sh",
    ".toml",
    ".yml",
    ".yaml",
    ".conf",
    ".sql",
    ".mako",
    ".ini",
}
TEXT_SUFFIXES = CODE_SUFFIXES | {".md", ".txt", ".json", ".svg", ""}


@cache
def tracked() -> tuple[str, ...]:
    """Paths of the repository's files, the ones not yet added included, the ignored ones not."""
    # CI's clone may belong to another user than the one who tests it.
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(git, cwd=ROOT, check=True, capture_output=True, timeout=180).stdout.decode().split("\0")
    return tuple(sorted({name for name in names if name and (ROOT / name).is_file()}))


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(text(name), filename=name)


def python_files() -> list[str]:
    return [name for name in tracked() if name.endswith(".py")]


def product_files() -> list[str]:
    return [name for name in python_files() if name.split("/")[0] in PACKAGES]


def functions(module: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the name and the length in lines of each function, methods and inner ones as ``Class.name``."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                continue  # no function is defined inside one
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield prefix + child.name, (child.end_lineno or child.lineno) - child.lineno + 1
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.")
            else:
                yield from walk(child, prefix)

    return walk(module, "")


def silent_handlers(module: ast.Module) -> Iterator[int]:
    """Yield the lines where an error of any kind is swallowed without a word."""

    def broad(kind: ast.expr | None) -> bool:
        kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
        return any(k is None or (isinstance(k, ast.Name) and k.id in {"Exception", "BaseException"}) for k in kinds)

    for node in ast.walk(module):
        if isinstance(node, ast.ExceptHandler) and broad(node.type):
            constants = (ast.Pass, ast.Continue)
            if all(isinstance(line, constants) or _is_bare_constant(line) for line in node.body):
                yield node.lineno
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress") and any(map(broad, node.args)):
            yield node.lineno


def _is_bare_constant(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def impatience(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the lines on which a test is at the mercy of the machine's speed, and what to do there.

    A machine of others stands still for seconds. What must come is waited for `PATIENT_S`, so that only what never
    comes fails; a look of less than a second whether something comes that must not is none of these waits.
    """
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            waits = node.args[-1:] if ast.unparse(node.func) in {"asyncio.timeout", "asyncio.wait_for"} else []
            waits += [keyword.value for keyword in node.keywords if keyword.arg in TIMEOUTS]
            if any(map(_is_short, waits)):
                yield node.lineno, f"waits less than {PATIENT_S} s for what must come"
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            if _reads_a_clock(node.left) and _is_short(node.right):
                yield node.lineno, f"waits less than {PATIENT_S} s for what must come"
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and PATIENCE.search(target.id) and _is_short(node.value):
                yield node.lineno, f"waits less than {PATIENT_S} s for what must come"
        elif isinstance(node, ast.Assert):
            spans = [
                each for each in ast.walk(node.test) if isinstance(each, ast.BinOp) and isinstance(each.op, ast.Sub)
            ]
            if any(_reads_a_clock(each.left) for each in spans):
                yield node.lineno, "asserts how long the machine took: count what was done instead"
        elif isinstance(node, ast.Constant) and node.value == TOAST:
            yield node.lineno, "looks for a toast, which goes by itself: ask `Person.told`"


def _is_short(wait: ast.expr | None) -> bool:
    return isinstance(wait, ast.Constant) and isinstance(wait.value, int | float) and 1 <= wait.value < PATIENT_S


def _reads_a_clock(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in CLOCKS


def prints(module: ast.Module) -> Iterator[int]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node.lineno


def lines_matching(pattern: re.Pattern[str], suffixes: set[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name in tracked()
        if Path(name).suffix in suffixes and name != "LICENSE"
        for number, line in enumerate(text(name).splitlines(), 1)
        if pattern.search(line)
    ]


def excess(found: dict[str, int], allowed: dict[str, int]) -> list[str]:
    """Say what is over its allowance, and which allowances are larger than they need be."""
    over = [f"{name} has {lines} lines" for name, lines in found.items() if lines > allowed.get(name, 0)]
    loose = [f"{name} is allowed {lines}, has {found.get(name, 0)}: lower it" for name, lines in allowed.items()]
    return over + [line for line, name in zip(loose, allowed, strict=True) if found.get(name, 0) < allowed[name]]


def test_no_function_is_longer_than_seventy_lines() -> None:
    found = {
        f"{name}::{function}": lines
        for name in python_files()
        if not FROZEN.fullmatch(name)
        for function, lines in functions(tree(name))
        if lines > FUNCTION_LINES_MAX
    }
    assert excess(found, LONG_FUNCTIONS) == []


def test_no_module_or_script_is_longer_than_six_hundred_lines() -> None:
    files = [name for name in tracked() if name.endswith((".py", ".js", ".mjs"))]
    sizes = {name: len(text(name).splitlines()) for name in files}
    assert excess({name: lines for name, lines in sizes.items() if lines > MODULE_LINES_MAX}, LONG_MODULES) == []


def test_no_line_of_a_script_was_made_by_a_minifier() -> None:
    assert lines_matching(re.compile(rf".{{{SCRIPT_LINE_CHARS_MAX + 1},}}"), {".js", ".mjs"}) == []


def test_code_leaves_no_notes_for_later() -> None:
    assert lines_matching(LEFTOVERS, CODE_SUFFIXES | {""}) == []


def test_no_error_is_swallowed_in_silence() -> None:
    assert [f"{name}:{line}" for name in python_files() for line in silent_handlers(tree(name))] == []


def test_no_test_depends_on_how_fast_the_machine_is() -> None:
    found = {
        name: [f"{name}:{line}: {what}" for line, what in impatience(tree(name))]
        for name in python_files()
        if name.startswith("tests/")
    }
    over = [line for name, lines in found.items() if len(lines) > IMPATIENT.get(name, 0) for line in lines]
    assert over == []
    assert [name for name, count in IMPATIENT.items() if len(found.get(name, [])) < count] == []


@pytest.mark.parametrize(
    "source",
    [
        "async def f():\n    async with asyncio.timeout(5): pass",
        "asyncio.wait_for(answer(), 30)",
        "httpx.get(url, timeout=20)",
        "deadline = time.monotonic() + 30",
        "PATIENCE_S = 20.0",
        "assert time.monotonic() - before < 20",
        "expect(page.locator('#toast')).to_contain_text('paid')",
    ],
)
def test_the_tidy_test_sees_a_test_that_a_slow_machine_fails(source: str) -> None:
    assert len(list(impatience(ast.parse(source)))) == 1


def test_the_tidy_test_lets_patience_and_a_short_look_be() -> None:
    source = "PATIENCE_S = 60\nasyncio.wait_for(answer(), PATIENCE_S)\nasyncio.timeout(0.1)\nwait(timeout=60_000)"
    assert list(impatience(ast.parse(source))) == []


def test_only_the_terminal_programs_print() -> None:
    silent = [name for name in product_files() if not PRINTERS.fullmatch(name)]
    assert [f"{name}:{line}" for name in silent for line in prints(tree(name))] == []


def test_no_file_names_a_folder_of_somebody_s_machine() -> None:
    assert lines_matching(MACHINE_PATHS, TEXT_SUFFIXES) == []


def test_no_file_names_the_host_of_a_package_registry() -> None:
    assert lines_matching(REGISTRY_HOSTS, TEXT_SUFFIXES) == []


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {Path(name).parent for name in python_files() if name.startswith("tests/")}
    assert [str(folder) for folder in sorted(folders) if not (ROOT / folder / "__init__.py").is_file()] == []


def test_every_public_module_says_what_it_is() -> None:
    public = [name for name in product_files() if not Path(name).name.startswith("_") or name.endswith("__init__.py")]
    assert [name for name in public if not ast.get_docstring(tree(name))] == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("try:\n    f()\nexcept Exception:\n    pass\n", [3]),
        ("try:\n    f()\nexcept:\n    ...\n", [3]),
        ("for x in y:\n    try:\n        f()\n    except (ValueError, Exception):\n        continue\n", [4]),
        ("with contextlib.suppress(Exception):\n    f()\n", [1]),
        ("try:\n    f()\nexcept Exception:\n    log()\n    raise\n", []),
        ("try:\n    f()\nexcept KeyError:\n    pass\n", []),
        ("with suppress(FileNotFoundError):\n    f()\n", []),
    ],
)
def test_the_tidy_test_sees_a_swallowed_error(source: str, lines: list[int]) -> None:
    assert list(silent_handlers(ast.parse(source))) == lines


def test_the_tidy_test_measures_methods_and_inner_functions() -> None:
    source = "class A:\n    async def b(self):\n        def c():\n            pass\n        return c\n"
    assert dict(functions(ast.parse(source))) == {"A.b": 4, "A.b.c": 2}


def test_an_exception_that_is_no_longer_needed_must_go() -> None:
    assert excess({"a": 80}, {"a": 80}) == []
    assert excess({"a": 81}, {"a": 80}) == ["a has 81 lines"]
    assert excess({"a": 75}, {"a": 80}) == ["a is allowed 80, has 75: lower it"]
    assert excess({}, {"a": 80}) == ["a is allowed 80, has 0: lower it"]


@pytest.mark.parametrize("line", ["cd /root" + "/project", 'open("/work' + '/main/x")', "/tmp/a" + "plan.md"])
def test_the_tidy_test_sees_a_machine_s_own_path(line: str) -> None:
    assert MACHINE_PATHS.search(line)


def test_an_address_that_only_looks_like_a_machine_s_path_is_left_alone() -> None:
    assert not MACHINE_PATHS.search("GET /api/v1/root/links and network/wo" + "rk/x")
