"""The columns that evidence reads: for each service, by the schema of its project and by table.

This is the one list of the rights that an account needs. The role drain_database_user grants them,
docs/database-account.rst shows them, and a test compares them with the columns that the statements of evidence read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..profiles import NAMES, declared
from .statements import columns_read

Rights = dict[tuple[str, str], frozenset[str]]  # the columns by database and table


def _columns(names: str) -> frozenset[str]:
    return frozenset(names.split())


_CINDER_SERVICES = {
    "clusters": _columns("binary deleted disabled disabled_reason id name"),
    "services": _columns(
        "binary cluster_name created_at deleted disabled disabled_reason host id replication_status report_count"
        " updated_at"
    ),
}
_WORKERS = _columns("created_at deleted resource_id resource_type service_id status updated_at")
_NOVA_SERVICES = {
    "services": _columns(
        "binary created_at deleted disabled disabled_reason forced_down host last_seen_up report_count"
    )
}
_CODED: Mapping[str, Mapping[str, Mapping[str, frozenset[str]]]] = {
    "cinder-volume": {
        "cinder": {
            **_CINDER_SERVICES,
            "group_snapshots": _columns("created_at deleted group_id id status updated_at"),
            "groups": _columns(
                "cluster_name created_at deleted host id replication_status status updated_at"
            ),
            "snapshots": _columns(
                "created_at deleted deleted_at display_name id status updated_at use_quota volume_id"
            ),
            "volume_attachment": _columns("attach_status created_at deleted id updated_at volume_id"),
            "volumes": _columns(
                "attach_status cluster_name created_at deleted deleted_at host id launched_at migration_status status"
                " updated_at"
            ),
            "workers": _WORKERS,
        }
    },
    "cinder-backup": {
        "cinder": {
            **_CINDER_SERVICES,
            "backups": _columns(
                "created_at deleted encryption_key_id host id restore_volume_id status updated_at volume_id"
            ),
            "volumes": _columns("deleted id status"),
        }
    },
    "cinder-scheduler": {
        "cinder": {
            **_CINDER_SERVICES,
            "backups": _columns("created_at deleted id service status volume_id"),
            "groups": _columns("created_at deleted host id status"),
            "snapshots": _columns("created_at deleted group_snapshot_id id status"),
            "volumes": _columns("created_at deleted host id migration_status scheduled_at status updated_at"),
            "workers": _WORKERS,
        }
    },
    "nova-compute": {
        "nova": {
            **_NOVA_SERVICES,
            "instance_actions": _columns("deleted id instance_uuid updated_at"),
            "instance_actions_events": _columns("action_id deleted event finish_time host id start_time"),
            "instances": _columns("created_at deleted host task_state updated_at uuid vm_state"),
            "migrations": _columns(
                "created_at deleted dest_compute id instance_uuid migration_type source_compute status updated_at"
            ),
        }
    },
    # One in a cell, and the super conductor, whose database is cell0's.
    "nova-conductor": {"nova": _NOVA_SERVICES, "nova_cell0": _NOVA_SERVICES},
    "nova-scheduler": {"nova_cell0": _NOVA_SERVICES},
}


_DECLARED = {
    service.name: {service.schema: columns_read(service)} for service in map(declared, NAMES) if service
}
BY_SERVICE: Mapping[str, Mapping[str, Mapping[str, frozenset[str]]]] = {**_CODED, **_DECLARED}


def rights(services: Iterable[str], databases: Mapping[str, Sequence[str]]) -> Rights:
    """Return what the evidence of these services reads. ``databases`` names those that have a schema."""
    found: Rights = {}
    for service in services:
        for schema, tables in BY_SERVICE[service].items():
            for database in databases.get(schema, ()):
                for table, columns in tables.items():
                    key = (database, table)
                    found[key] = found.get(key, frozenset()) | columns
    return found
