"""The commands that README promises, and the scripts that make them work on a machine with nothing but python3."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
VENV_SECONDS_MAX = 120


def run(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as `env -i` would, with what a login on Debian shows."""
    return subprocess.run(
        command,
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), **environment},
        capture_output=True,
        text=True,
        timeout=VENV_SECONDS_MAX,
        check=False,
    )


def programs(folder: Path, *names: str) -> str:
    """Make a PATH that has these programs and no others."""
    for name in names:
        found = shutil.which(name, path="/usr/bin:/bin")
        assert found, name
        (folder / name).symlink_to(found)
    return str(folder)


def test_the_readme_shows_exactly_the_two_commands_that_set_everything_up() -> None:
    shown = re.findall(r"^\s*make (\w+)", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert shown == ["demo", "test"]


def test_ci_runs_what_the_readme_shows_and_nothing_else() -> None:
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    commands = [line for line in lines if line.startswith("make")]
    assert commands == ["make check test"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("demo", ".venv/bin/siyu demo --quick"),
        ("bench", ".venv/bin/siyu bench --quick"),
        ("load", ".venv/bin/python -m loadtest --quick"),
        ("test", '.venv/bin/python -m pytest -m "not soak" -n 2 --dist loadfile --quick'),
        ("soak", ".venv/bin/python -m pytest -m soak --quick"),
    ],
)
def test_a_target_ends_in_the_command_it_is_for(target: str, command: str) -> None:
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert recipe
    last = recipe[1].strip().splitlines()[-1].strip()
    assert last.replace("$(BIN)", ".venv/bin").replace("$(JOBS)", "2").replace("$(ARGS)", "--quick") == command


def test_every_target_is_explained_by_make_help() -> None:
    listed = run("make", "--no-print-directory", "help").stdout
    for target in ("demo", "test", "check", "bench", "load", "soak", "constraints", "clean"):
        assert re.search(rf"^make {target} +\w", listed, re.MULTILINE), target


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "tools").glob("*.sh")))
def test_the_scripts_are_plain_shell(script: str) -> None:
    assert run("sh", "-n", f"tools/{script}").stderr == ""


def test_a_machine_that_lacks_nothing_is_left_alone() -> None:
    done = run("sh", "tools/debian-packages.sh", "demo", PYTHON=sys.executable)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_on_another_system_than_debian_the_missing_programs_are_named(tmp_path: Path) -> None:
    path = programs(tmp_path, "sh", "id", "grep", "ls")
    done = run("sh", "tools/debian-packages.sh", "test", PATH=path, PYTHON=sys.executable)
    assert done.returncode == 0
    assert "not Debian" in done.stderr
    missing = done.stderr.rpartition(":")[2].split()
    # Daemons are found where Debian puts them, whatever the PATH.
    nginx = [] if shutil.which("nginx", path="/usr/local/sbin:/usr/sbin") else ["nginx"]
    assert [name for name in missing if name != "postgresql"] == [
        *("ffmpeg", "rtmpdump", "chromium-headless-shell", "strace", "redis-server", *nginx),
        *("gstreamer1.0-tools", "gstreamer1.0-plugins-bad", "fonts-noto-cjk"),
    ]
    assert ("postgresql" in missing) == (not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")))


def make_environment(folder: Path) -> None:
    made = run("sh", str(ROOT / "tools" / "venv.sh"), "venv", cwd=folder, PYTHON=sys.executable)
    assert made.returncode == 0, made.stderr
    assert run(str(folder / "venv" / "bin" / "pip"), "--version").returncode == 0


def test_an_environment_half_made_or_moved_is_made_again_and_a_sound_one_kept(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    (first / "venv" / "bin").mkdir(parents=True)
    (first / "venv" / "bin" / "python").symlink_to(sys.executable)
    stamp = first / "venv" / ".dev"
    stamp.touch()
    make_environment(first)
    assert not stamp.exists()

    stamp.touch()
    make_environment(first)
    assert stamp.exists()

    first.rename(second)
    make_environment(second)
    assert not (second / "venv" / ".dev").exists()


def test_no_python_is_said_plainly(tmp_path: Path) -> None:
    done = run("sh", str(ROOT / "tools" / "venv.sh"), "venv", cwd=tmp_path, PYTHON=str(tmp_path / "none"))
    assert done.returncode == 1
    assert "needs Python 3.11" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_every_direct_dependency_is_pinned() -> None:
    text = (ROOT / "constraints.txt").read_text("utf-8")
    pins = {re.sub(r"[-_.]+", "-", name).lower() for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
    pyproject = (
        (ROOT / "pyproject.toml").read_text("utf-8").split("[project.scripts]")[0].split("dependencies = [", 1)[1]
    )
    wanted = set(re.findall(r'"([a-z0-9-]+)(?:\[[a-z0-9,]+\])?[>=]=', pyproject))
    assert len(wanted) > 15
    assert wanted - pins == set()
