"""New schedules with each commit, by a seed that is printed; FIRST_SEED names another one."""

from __future__ import annotations

import os

import pytest

from tests.support import checkout


def pytest_configure(config):
    # In the environment, which the workers of xdist inherit.
    os.environ.setdefault("FIRST_SEED", str(10**6 + checkout.seed()))


def pytest_report_header(config):
    return f"simulation: FIRST_SEED={os.environ['FIRST_SEED']}"


@pytest.fixture
def first_seed():
    return int(os.environ["FIRST_SEED"])


def pytest_collection_modifyitems(items):
    here = os.path.dirname(__file__)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.simulation)
            item.add_marker(pytest.mark.timeout(600))  # making a failing schedule simple takes its time
