"""Patience with a machine that stands still, for all tests of commerce."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def patient_with_providers() -> Iterator[None]:
    """A provider of the tests' own answers at once, unless the whole machine does not; no later sweep asks again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("commerce.payments.PROVIDER_TIMEOUT_S", 60.0)
        yield
