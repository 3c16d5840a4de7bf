"""Every statement that evidence sends to a database, service by service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from kolla_drain.evidence import evidence_of
from kolla_drain.evidence.cinder_scheduler import PASSING
from kolla_drain.model import Operation
from kolla_drain.profiles import declared
from kolla_drain.service.config import Backend, ServiceConfig

# Operations of all kinds that lead to a statement of their own.
_ASKED: dict[str, list[str]] = {
    "cinder-volume": [
        "volume_extend", "snapshot_delete", "group_create", "group_snapshot_create", "attachment_attach",
        "backend_failover",
    ],
    "cinder-backup": ["backup_restore"],
    "cinder-scheduler": ["volume_schedule", *(passing.kind for passing in PASSING)],
    "nova-compute": ["instance_build"],
}  # fmt: skip


def statements(service: str) -> list[tuple[str, list[object]]]:
    """What the evidence of a service sends, with its parameters."""
    sent: list[tuple[str, list[object]]] = []

    def query(sql: str, params: Sequence[object] = ()) -> list[dict[str, Any]]:
        sent.append((sql, list(params)))
        return [_Row(end="migrating", resource_type="Volume"), _Row(end="target:1", resource_type="Snapshot")]

    config = ServiceConfig(service, "ctl", backends=(Backend("a", "ctl"),) if "volume" in service else ())
    evidence = evidence_of(service)
    evidence.read(_of(config, query), config)
    evidence.endings(_of(config, query), config, asked(service))
    return sent


def asked(service: str) -> list[Operation]:
    """Operations of a service whose ends are asked for by all the statements that there are for it."""
    found = declared(service)
    kinds = [work.kinds[0].name for work in found.work] if found else _ASKED.get(service, [])
    return [Operation(kind, "1", "creating") for kind in kinds]


def _of(config: ServiceConfig, query: Any) -> Any:
    """The query with rows of the service's own host."""
    return lambda sql, params=(): [{**row, "host": config.service_hosts[0]} for row in query(sql, params)]


class _Row(dict[str, Any]):
    """A row that has every column, so that each statement that depends on a row is sent, too."""

    def __init__(self, end: str, resource_type: str) -> None:
        moment = datetime(2026, 11, 21, 10)
        super().__init__(
            dict.fromkeys(("id", "uuid", "resource_id", "service_id", "instance_uuid"), "1"),
            **dict.fromkeys(
                ("created_at", "updated_at", "launched_at", "start_time", "written", "seen_at"), moment
            ),
            **dict.fromkeys(("deleted", "disabled", "forced_down", "old", "under_way"), 0),
            **dict.fromkeys(("member", "restored", "kind", "encryption_key_id", "disabled_reason"), None),
            **dict.fromkeys(("source_compute", "dest_compute"), "ctl"),
            status="creating",
            migration_status=end,
            resource_type=resource_type,
            cluster_name="cl",
            binary="x",
            owner="o",
            age=1,
            report_count=1,
            newest=1,
            attach_status="attached",
            replication_status="enabled",
            task_state="spawning",
            vm_state="active",
            migration_type="resize",
            event="compute_x",
        )
