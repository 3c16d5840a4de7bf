"""The container engine that tests run on."""

from __future__ import annotations

import os

import pytest

from tests.support import engines


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        choices=engines.NAMES,
        default=engines.name(),
        help=f"the container engine to test on (default: ${engines.VARIABLE}, else docker)",
    )


def pytest_configure(config: pytest.Config) -> None:
    os.environ[engines.VARIABLE] = config.getoption("--engine", default=engines.name())
