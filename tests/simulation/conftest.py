"""How hard hypothesis looks: ``ci`` by default, at the same worlds each time; ``deep`` for a quarter of an hour at new
ones (HYPOTHESIS_PROFILE=deep)."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

# No deadline: a slow machine is no finding. The blob replays a failure elsewhere (@reproduce_failure).
_COMMON = {
    "deadline": None,
    "print_blob": True,
    "phases": (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    "suppress_health_check": [HealthCheck.too_slow],
}
settings.register_profile("ci", max_examples=120, derandomize=True, **_COMMON)
settings.register_profile("deep", max_examples=4_000, **_COMMON)
# To see that a core broken on purpose is found out (mutants.py): the same worlds each time, and nothing is shrunk.
settings.register_profile(
    "mutant",
    max_examples=80,
    derandomize=True,
    **{**_COMMON, "phases": (Phase.explicit, Phase.generate), "database": None},
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_collection_modifyitems(items):
    here = os.path.dirname(__file__)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.simulation)
            item.add_marker(pytest.mark.timeout(600))  # shrinking a failing world takes its time
