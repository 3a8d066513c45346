"""The programs from outside that tests meet us with."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NPM_S = 120


def need(program: str) -> str:
    """The path of an outsider; without it the test is skipped, in CI it fails."""
    path = shutil.which(program)
    if path is not None:
        return path
    if os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not installed, and CI must not skip what needs it")
    pytest.skip(f"{program} is not installed")


def chromium() -> str:
    """The path of the browser: Debian's shell without windows, which costs two thirds of it, else Chromium itself."""
    return shutil.which("chromium-headless-shell") or need("chromium")


def npm_package(name: str, version: str) -> Path:
    """The folder of an npm package, installed into a cache of the test's own; skips, loudly, where there is no npm."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"npm is not installed, so {name} is not tried")
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "siyu-tests" / f"{name}-{version}"
    package = folder / "node_modules" / name
    if not (package / "package.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-save", "--no-audit", "--no-fund", "--prefix", str(folder), f"{name}@{version}"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=NPM_S, check=False, stdin=subprocess.DEVNULL
        )
        if done.returncode != 0:
            text = f"npm cannot install {name}@{version}: {done.stderr[-600:]}"
            if os.environ.get("CI") == "true":
                pytest.fail(text)
            pytest.skip(text)
    return package
