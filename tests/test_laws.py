"""The laws of the layout that go by a module's name or by what a function does.

import-linter (pyproject.toml) checks those that can be said by naming packages; these read the same import graph.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("stream", "chat", "commerce", "gateway", "loadtest")

# Law 2: what decides and never waits. The packages around them run when they are imported, so they count too.
PURE = re.compile(
    r"stream\.protocol(\..+)?|stream\.packet|commerce\.domain(\..+)?|chat\.(message|room|moderation|floor)|stream|chat|commerce"
)
# Modules that wait, connect, read the clock or draw; in step with the contract "pure" in pyproject.toml.
# fmt: off
IMPURE = frozenset({
    "alembic", "asyncio", "av", "concurrent", "gevent", "httpx", "locust", "logging", "multiprocessing", "os",
    "pathlib", "random", "redis", "secrets", "select", "selectors", "shutil", "signal", "socket", "sqlalchemy",
    "sqlite3", "ssl", "starlette", "subprocess", "tempfile", "threading", "time", "uuid", "uvicorn",
    "uvloop",
})
# fmt: on
# Calls that do the same without an import of their own (datetime is fine as a value, not as a clock; urllib.parse
# is fine, its requests are not).
IMPURE_CALLS = re.compile(r"(datetime|date)\.(now|utcnow|today)|(.+\.)?urlopen|open|input|print|breakpoint")

# Law 3: who may import a driver, by the last part of the module's name.
DRIVERS = {
    "redis": re.compile(r".*_redis"),
    "sqlalchemy": re.compile(r"(.+\.)?(tables(_\w+)?|\w+_sql|migrations\w*(\..+)?)"),
    # The driver is SQLAlchemy's affair: nothing of ours names it.
    "psycopg": re.compile(r"(?!)"),
    "alembic": re.compile(r"(.+\.)?(\w+_sql|migrations\w*(\..+)?)"),
    "starlette": re.compile(r"gateway(\..+)?"),
    "uvicorn": re.compile(r"gateway(\..+)?"),
}

# Law 6: of our own, Locust's users may use what has no I/O to be patched.
LOADTEST_MAY_USE = re.compile(r"loadtest(\..+)?|stream\.protocol(\..+)?|stream\.packet|chat\.message")

INGEST = re.compile(r"stream\.ingest_\w+(\..+)?")
OUTPUT = re.compile(r"stream\.output_\w+(\..+)?")


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)


def ours(imports: grimp.ImportGraph) -> list[str]:
    return sorted(name for name in imports.modules if name.split(".")[0] in PACKAGES)


def impure_chains(imports: grimp.ImportGraph) -> list[str]:
    """Say how a pure core reaches a module that waits, through however many of our own."""
    chains = []
    for name in filter(PURE.fullmatch, ours(imports)):
        for target in sorted(IMPURE & imports.modules):
            chain = imports.find_shortest_chain(importer=name, imported=target)
            if chain:
                chains.append(" -> ".join(chain))
    return chains


def misplaced_drivers(imports: grimp.ImportGraph) -> list[str]:
    return [
        f"{name} -> {driver}"
        for driver, allowed in DRIVERS.items()
        if driver in imports.modules
        for name in sorted(imports.find_modules_that_directly_import(driver))
        if not allowed.fullmatch(name)
    ]


def side_doors(imports: grimp.ImportGraph) -> list[str]:
    """Say how one way in or out of the relay reaches another of the other kind."""
    ways_in = [name for name in ours(imports) if INGEST.fullmatch(name)]
    ways_out = [name for name in ours(imports) if OUTPUT.fullmatch(name)]
    pairs = [(a, b) for a in ways_in for b in ways_out] + [(b, a) for a in ways_in for b in ways_out]
    chains = [imports.find_shortest_chain(importer=a, imported=b) for a, b in pairs]
    return [" -> ".join(chain) for chain in chains if chain]


def loadtest_imports(imports: grimp.ImportGraph) -> list[str]:
    return [
        f"{name} -> {imported}"
        for name in ours(imports)
        if name.split(".")[0] == "loadtest"
        for imported in sorted(imports.find_modules_directly_imported_by(name))
        if imported.split(".")[0] in PACKAGES and not LOADTEST_MAY_USE.fullmatch(imported)
    ]


def impure_calls(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and IMPURE_CALLS.fullmatch(
            re.sub(r"^datetime\.(?=date)", "", ast.unparse(node.func))
        ):
            yield f"{node.lineno}: {ast.unparse(node.func)}"


def graph_of(*imports: tuple[str, str]) -> grimp.ImportGraph:
    """Make a small import graph by hand, to try the laws on."""
    made = grimp.ImportGraph()
    for importer, imported in imports:
        made.add_import(importer=importer, imported=imported)
    return made


def test_pure_cores_reach_nothing_that_waits_connects_or_draws() -> None:
    assert impure_chains(graph()) == []


def test_pure_cores_call_no_clock_and_open_nothing() -> None:
    files = [
        (path, ".".join(path.relative_to(ROOT).with_suffix("").parts))
        for p in PACKAGES
        for path in (ROOT / p).rglob("*.py")
    ]
    cores = [path for path, name in files if PURE.fullmatch(name.removesuffix(".__init__"))]
    assert len(cores) >= 4
    assert [f"{path}:{call}" for path in cores for call in impure_calls(ast.parse(path.read_text("utf-8")))] == []


def test_drivers_are_imported_only_where_the_name_says_so() -> None:
    assert misplaced_drivers(graph()) == []


def test_ways_in_and_ways_out_meet_only_at_the_relay() -> None:
    assert side_doors(graph()) == []


def test_load_tests_use_only_pure_codecs_of_ours() -> None:
    assert loadtest_imports(graph()) == []


def test_the_contract_for_pure_cores_names_what_this_test_names() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    pure = next(contract for contract in settings["contracts"] if contract["id"] == "pure")
    assert set(pure["forbidden_modules"]) == IMPURE
    assert [name for name in pure["source_modules"] if not PURE.fullmatch(name)] == []


# Runs in a Python of its own: imports everything, and stops at the first door that is opened on the way.
IMPORT_EVERYTHING = """
import importlib, pkgutil, sys, threading

def watch(event, arguments):
    if event in {"socket.connect", "socket.bind", "sqlite3.connect", "subprocess.Popen", "os.fork"}:
        raise SystemExit(f"{event} while importing {name}: {arguments!r}")

names = []
for package in sys.argv[1:]:
    module = importlib.import_module(package)
    names += [found.name for found in pkgutil.walk_packages(module.__path__, package + ".")]
name = ""
sys.addaudithook(watch)
for name in names:
    # Alembic runs its scripts itself; __main__ is a program.
    if "migrations" not in name and not name.endswith("__main__"):
        importlib.import_module(name)
assert threading.active_count() == 1, f"threads were started: {threading.enumerate()}"
print(len(names))
"""


def test_nothing_connects_or_starts_when_it_is_imported() -> None:
    # loadtest is left out: importing Locust patches the standard library.
    command = [sys.executable, "-c", IMPORT_EVERYTHING, "stream", "chat", "commerce", "gateway"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) >= 5


def test_the_law_sees_an_impure_import_behind_another_module() -> None:
    made = graph_of(("chat.room", "chat.ids"), ("chat.ids", "random"), ("chat.hub", "asyncio"))
    assert impure_chains(made) == ["chat.room -> chat.ids -> random"]


def test_the_law_sees_a_driver_in_the_wrong_module() -> None:
    made = graph_of(
        ("chat.broker", "redis"),
        ("chat.broker_redis", "redis"),
        ("commerce.ledger", "sqlalchemy"),
        ("commerce.ledger_sql", "sqlalchemy"),
        ("commerce.tables_ledger", "sqlalchemy"),
        ("commerce.migrations.env", "sqlalchemy"),
        ("commerce.migrations_touches.versions.0001_touches", "sqlalchemy"),
        ("chat.hub", "starlette"),
        ("gateway.routes.orders", "starlette"),
    )
    assert misplaced_drivers(made) == ["chat.broker -> redis", "commerce.ledger -> sqlalchemy", "chat.hub -> starlette"]


def test_the_law_sees_an_output_that_reaches_an_ingest() -> None:
    made = graph_of(
        ("stream.output_flv", "stream.viewer"),
        ("stream.viewer", "stream.ingest_rtmp"),
        ("stream.ingest_rtmp", "stream.relay"),
    )
    assert side_doors(made) == ["stream.output_flv -> stream.viewer -> stream.ingest_rtmp"]


def test_the_law_sees_a_load_test_that_uses_the_server() -> None:
    made = graph_of(("loadtest.viewer", "chat.message"), ("loadtest.viewer", "chat.hub"), ("loadtest.viewer", "locust"))
    assert loadtest_imports(made) == ["loadtest.viewer -> chat.hub"]


@pytest.mark.parametrize(
    ("source", "calls"),
    [
        ("datetime.now()", ["1: datetime.now"]),
        ("datetime.datetime.now(UTC)", ["1: datetime.datetime.now"]),
        ("date.today()", ["1: date.today"]),
        ("open('x')", ["1: open"]),
        ("datetime.fromtimestamp(now_ms / 1000, UTC)", []),
        ("sale.open(now_ms)", []),
    ],
)
def test_the_law_sees_a_clock_inside_a_function(source: str, calls: list[str]) -> None:
    assert list(impure_calls(ast.parse(source))) == calls
