"""The programs from outside that tests meet us with."""

from __future__ import annotations

import os
import shutil

import pytest


def need(program: str) -> str:
    """The path of an outsider; without it the test is skipped, in CI it fails."""
    path = shutil.which(program)
    if path is not None:
        return path
    if os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not installed, and CI must not skip what needs it")
    pytest.skip(f"{program} is not installed")
