"""Task states of nova-compute that were left behind by a migration."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from kolla_drain.evidence.nova_compute import NovaCompute
from kolla_drain.service.config import ServiceConfig

AT = datetime(2026, 11, 29, 12)
SERVICE = {
    "host": "cmp", "age": 3, "report_count": 5, "disabled": 0, "disabled_reason": "", "forced_down": 0,
}  # fmt: skip
LEFT = "its migration has completed, so its task state was left behind"


class Database:
    """Answers the questions for the service, for one instance, and for its live migrations."""

    def __init__(self, task: str, *migrations: tuple[str, bool], event: str = "") -> None:
        self.task, self.migrations, self.event = task, migrations, event

    def __call__(self, sql: str, params: Any = ()) -> list[dict[str, Any]]:
        if " FROM services " in sql:
            return [SERVICE]
        if sql.startswith("SELECT uuid, host, task_state"):
            return [{"uuid": "i", "host": "cmp", "task_state": self.task, "created_at": AT, "updated_at": AT}]
        if " AS settled FROM migrations" in sql:
            assert params == ["i"]
            return [
                {"instance_uuid": "i", "status": status, "settled": settled}
                for status, settled in self.migrations
            ]
        if self.event and "e.start_time" in sql:
            return [{"uuid": "i", "host": "cmp", "event": self.event, "start_time": AT, "old": 0}]
        return []


@pytest.mark.parametrize(
    ("task", "migrations", "passed_over"),
    [
        ("migrating", [("completed", True)], LEFT),
        ("migrating", [("failed", True), ("completed", True)], LEFT),
        ("migrating", [("completed", False)], ""),  # a moment ago
        ("migrating", [("completed", True), ("running", False)], ""),
        ("migrating", [("completed", True), ("error", True)], ""),  # it may be rolling back
        ("migrating", [], ""),
        ("powering-off", [("completed", True)], ""),
    ],
)
def test_the_task_of_a_migration_that_has_completed_is_not_waited_for(
    task: str, migrations: list[tuple[str, bool]], passed_over: str
) -> None:
    _, (operation,) = NovaCompute().read(Database(task, *migrations), ServiceConfig("nova-compute", "cmp"))
    assert operation.passed_over == passed_over


def test_work_on_such_an_instance_is_waited_for() -> None:
    database = Database("migrating", ("completed", True), event="compute_attach_volume")
    _, (operation,) = NovaCompute().read(database, ServiceConfig("nova-compute", "cmp"))
    assert (operation.kind, operation.passed_over) == ("instance_event_attach_volume", "")
