"""A browser for all tests of this folder; without one they are skipped, except in CI."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support import browser as chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[chromium.Browser]:
    if chromium.program() is None and not os.environ.get("CI"):
        pytest.skip(f"there is no browser: {', '.join(chromium.NAMES)}")
    with chromium.Browser() as opened:
        yield opened
