"""Fills the schemas of Cinder and Nova as those of a site with many hosts, within seconds.

    many_rows.fill(server, hosts=1000)
    many_rows.fill(server, hosts=100)  # a tenth of the rows, and as many on each host

What belongs to one host is the same whatever the size: 100 volumes (one of them is being extended), 10 snapshots, 2
backups, a group, a cinder-volume with two backends, 50 instances (one of them reboots) with 3 actions each, and 20
migrations. The hosts are called h1, h2 and so on. Rows come in the order of their numbers and not of their hosts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from testbed.mariadb import MariaDB

# Of one host.
VOLUMES, SNAPSHOTS, SERVICES, BACKUPS, INSTANCES, ACTIONS, MIGRATIONS = 100, 10, 5, 2, 50, 3, 20
# The services whose evidence reads these rows, and in which database.
DATABASE_OF = {
    "nova-compute": "nova",
    "cinder-volume": "cinder",
    "cinder-backup": "cinder",
    "cinder-scheduler": "cinder",
}
# Those of its volumes that are attached.
ATTACHED = 50


def host(number: int) -> str:
    """Return the name of a host; they are numbered from 1."""
    return f"h{number}"


def fill(server: MariaDB, hosts: int) -> None:
    """Replace all rows of the databases ``cinder`` and ``nova``, whose schemas must be there, by those of a site."""
    clear(server)
    for database, statements in _tables(hosts).items():
        with (
            server.connect(database, init_command="SET foreign_key_checks = 0, unique_checks = 0") as made,
            made.cursor() as cursor,
        ):
            for table, rest in statements.items():
                cursor.execute(f"INSERT INTO `{table}` {rest}")
            # Else the server learns of so many new rows only after a while.
            cursor.execute("ANALYZE TABLE " + ", ".join(f"`{table}`" for table in statements))


def clear(server: MariaDB) -> None:
    """Remove all rows of the tables that fill() fills."""
    for database, statements in _tables(1).items():
        with (
            server.connect(database, init_command="SET foreign_key_checks = 0") as made,
            made.cursor() as cursor,
        ):
            for table in statements:
                cursor.execute(f"TRUNCATE TABLE `{table}`")


def _tables(hosts: int) -> dict[str, dict[str, str]]:
    """Return what follows INSERT INTO, by database and table."""
    return {"cinder": dict(_cinder(hosts)), "nova": dict(_nova(hosts))}


def _uuid(kind: str, number: str = "seq") -> str:
    """Return an SQL expression for the id of the row of this number, as long and as unordered as a real one."""
    return f"CONCAT(MD5(CONCAT('{kind}', {number})), 'uuid')"


def _cinder(hosts: int) -> tuple[tuple[str, str], ...]:
    on = f"CONCAT('h', 1 + seq % {hosts})"
    nth = f"seq DIV {hosts}"  # of its host
    old = "UTC_TIMESTAMP() - INTERVAL 90 DAY"
    return (
        (
            "services",
            "(created_at, updated_at, deleted, uuid, report_count, disabled, topic, `binary`, host)"
            f" SELECT {old}, UTC_TIMESTAMP(), {nth} = 4, {_uuid('service')}, 777, 0, 'x',"
            f" ELT(1 + {nth}, 'cinder-volume', 'cinder-volume', 'cinder-backup', 'cinder-scheduler', 'cinder-volume'),"
            f" CONCAT({on}, ELT(1 + {nth}, '@a', '@b', '', '', '@gone'))"
            f" FROM seq_0_to_{hosts * SERVICES - 1}",
        ),
        (
            "volumes",
            "(created_at, updated_at, deleted, id, project_id, host, status, attach_status, size, volume_type_id,"
            f" display_name) SELECT {old}, {old}, {nth} % 10 = 9, {_uuid('volume')}, MD5(seq % 97),"
            f" CONCAT({on}, ELT(1 + {nth} % 2, '@a', '@b'), '#pool'), CASE WHEN {nth} = 0 THEN 'extending'"
            f" WHEN {nth} < {ATTACHED} THEN 'in-use' ELSE 'available' END,"
            f" IF({nth} BETWEEN 1 AND {ATTACHED - 1}, 'attached', 'detached'), 10, {_uuid('type', '1')},"
            f" CONCAT('volume ', seq) FROM seq_0_to_{hosts * VOLUMES - 1}",
        ),
        (
            "snapshots",
            "(created_at, updated_at, deleted, id, volume_id, project_id, status, volume_size, volume_type_id)"
            f" SELECT {old}, {old}, 0, {_uuid('snapshot')}, {_uuid('volume')}, MD5(seq % 97), 'available', 10,"
            f" {_uuid('type', '1')} FROM seq_0_to_{hosts * SNAPSHOTS - 1}",
        ),
        (
            "backups",
            "(created_at, updated_at, deleted, id, volume_id, project_id, host, status)"
            f" SELECT {old}, {old}, 0, {_uuid('backup')}, {_uuid('volume')}, MD5(seq % 97), {on}, 'available'"
            f" FROM seq_0_to_{hosts * BACKUPS - 1}",
        ),
        (
            "volume_attachment",
            "(created_at, updated_at, deleted, id, volume_id, attach_status)"
            f" SELECT {old}, {old}, 0, {_uuid('attachment')}, {_uuid('volume')}, 'attached'"
            f" FROM seq_0_to_{hosts * ATTACHED - 1}",
        ),
        # Left behind by failures, of the first cinder-volume and the scheduler of each host.
        (
            "workers",
            "(created_at, updated_at, deleted, resource_type, resource_id, status, service_id)"
            f" SELECT {old}, {old}, 0, 'Volume', {_uuid('volume')}, 'creating', 1 + seq + IF({nth}, {2 * hosts}, 0)"
            f" FROM seq_0_to_{2 * hosts - 1}",
        ),
        (
            "groups",
            f"(created_at, deleted, id, host, status, group_type_id) SELECT {old}, 0, {_uuid('group')},"
            f" CONCAT({on}, '@a#pool'), 'available', 'x' FROM seq_0_to_{hosts - 1}",
        ),
    )


def _nova(hosts: int) -> tuple[tuple[str, str], ...]:
    on = f"CONCAT('h', 1 + seq % {hosts})"
    nth = f"seq DIV {hosts}"
    old = "UTC_TIMESTAMP() - INTERVAL 90 DAY"
    to = f"CONCAT('h', 1 + (seq + 1) % {hosts})"
    instances = hosts * INSTANCES
    return (
        (
            "services",
            "(created_at, updated_at, last_seen_up, deleted, report_count, disabled, forced_down, topic, `binary`,"
            f" host, version) SELECT {old}, UTC_TIMESTAMP(), UTC_TIMESTAMP(), 0, 777, 0, 0, 'compute', 'nova-compute',"
            f" {on}, 1 FROM seq_0_to_{hosts - 1}",
        ),
        (
            "instances",
            "(created_at, updated_at, deleted, uuid, project_id, host, node, vm_state, task_state, hostname)"
            f" SELECT {old}, {old}, 0, {_uuid('instance')}, MD5(seq % 97), {on}, {on}, 'active',"
            f" IF({nth} = 0, 'rebooting', NULL), CONCAT('instance-', seq) FROM seq_0_to_{instances - 1}",
        ),
        (
            "instance_actions",
            "(created_at, updated_at, deleted, action, instance_uuid, request_id, start_time, finish_time)"
            f" SELECT {old}, {old}, 0, 'reboot', {_uuid('instance', f'seq % {instances}')}, {_uuid('request')},"
            f" {old}, {old} FROM seq_0_to_{instances * ACTIONS - 1}",
        ),
        (
            "instance_actions_events",
            "(created_at, updated_at, deleted, event, action_id, start_time, finish_time, result, host)"
            f" SELECT {old}, {old}, 0, 'compute_reboot_instance', 1 + seq, {old}, {old}, 'Success', {on}"
            f" FROM seq_0_to_{instances * ACTIONS - 1}",
        ),
        # From each host to the next one.
        (
            "migrations",
            "(created_at, updated_at, deleted, uuid, instance_uuid, source_compute, dest_compute, source_node,"
            f" dest_node, status, migration_type) SELECT {old}, {old}, 0, {_uuid('migration')}, {_uuid('instance')},"
            f" {on}, {to}, {on}, {to}, 'completed', 'live-migration' FROM seq_0_to_{hosts * MIGRATIONS - 1}",
        ),
    )


class Counted:
    """A query function that keeps, for each statement, how many rows and index entries the server read for it."""

    def __init__(self, query: Any) -> None:
        self._query = query
        self.read: list[tuple[str, int]] = []
        self._own = 0  # what it costs to ask
        self._own = self._total() * -1 + self._total()

    def __call__(self, sql: str, params: Sequence[object] = ()) -> list[dict[str, Any]]:
        before = self._total()
        rows: list[dict[str, Any]] = self._query(sql, params)
        self.read.append((sql, self._total() - before - self._own))
        return rows

    def _total(self) -> int:
        # An entry that the condition on the index rejects counts only in the latter.
        rows = self._query(
            "SHOW SESSION STATUS WHERE Variable_name LIKE 'Handler_read%%' OR Variable_name = 'Handler_icp_attempts'",
            (),
        )
        return sum(int(row["Value"]) for row in rows)
