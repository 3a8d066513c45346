from collections.abc import AsyncIterator

import pytest

from tests.stream.media import Clip, make_clip
from tests.stream.stage import HASTY, Stage


@pytest.fixture(scope="session")
def clip() -> Clip:
    return make_clip()


@pytest.fixture(scope="session")
def wide_clip() -> Clip:
    return make_clip(2, (642, 362))


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A server of FLV and MP4 on loopback, with a directory behind it."""
    stage = Stage()
    await stage.open()
    yield stage
    await stage.close()


@pytest.fixture
async def hasty() -> AsyncIterator[Stage]:
    """One that tells a viewer soon that nobody broadcasts."""
    stage = Stage(HASTY)
    await stage.open()
    yield stage
    await stage.close()
