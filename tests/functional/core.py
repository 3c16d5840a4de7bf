"""The core of the functional tests: what ``tools/test`` runs without arguments.

It is a stop as an operator has it, on a real engine: with and without a database, once and several at a time, a
replacement with its way back, a reload, and the whole of Cinder's evidence on a real MariaDB.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ALL: tuple[str, ...] = ()
# Tests by file.
CORE: dict[str, tuple[str, ...]] = {
    "evidence/test_evidence_cinder.py": ALL,
    "test_stop.py": ALL,
    "test_stop_once.py": (
        "test_a_run_killed_half_way",
        "test_left_running_then_joined",
        "test_runs_at_the_same_time",
        "test_signalled_by_somebody_else_before",
    ),
    "test_stop_with_database.py": (
        "test_left_running_with_work_then_joined",
        "test_the_database_goes_away_and_comes_back",
        "test_the_signal_waits_for_the_work",
        "test_verdict",
    ),
    "test_recreate.py": (
        "test_one_that_differs_is_replaced",
        "test_the_heartbeat_proves_it",
        "test_without_a_heartbeat_the_old_one_comes_back",
    ),
    "test_reload.py": ("test_one_that_handles_it", "test_where_it_drops_work_it_waits_for_that"),
    "test_through_ansible.py": ("test_stop",),
}


def mark_core(items: list[pytest.Item], *, whole: bool) -> None:
    """Mark the tests of the core. Raises UsageError for a name in the list that is no test, if files are ``whole``."""
    here = Path(__file__).parent
    for file, names in CORE.items():
        there = [item for item in items if item.path == here / file]
        found = {getattr(item, "originalname", item.name) for item in there}
        missing = set(names) - found if there and whole else set()
        if missing or not (here / file).exists():
            raise pytest.UsageError(
                f"tests/functional/core.py names what is not in {file}: {sorted(missing)}"
            )
        for item in there:
            if names == ALL or getattr(item, "originalname", item.name) in names:
                item.add_marker(pytest.mark.core)
