"""Evidence of declared services, read from a real MariaDB whose tables have the types of the services' own."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kolla_drain.database.connection import Database
from kolla_drain.database.rights import BY_SERVICE, rights
from kolla_drain.evidence import evidence_of
from kolla_drain.evidence.base import understood
from kolla_drain.evidence.declared import DeclaredEvidence
from kolla_drain.model import Ending, Outcome
from kolla_drain.profiles import NAMES, declared
from kolla_drain.service.config import Backend, ServiceConfig
from testbed.mariadb import MariaDB

# The columns of each table as SQL, by schema and table.
TABLES: dict[str, dict[str, str]] = {}
for schema, table, described in re.findall(
    r"CREATE TABLE (\w+)\.(\w+) \(\s*(.*?)\n\)",
    Path(__file__).with_name("declared_tables.sql").read_text(),
    re.DOTALL,
):
    TABLES.setdefault(schema, {})[table] = described
FINISHED, INTERRUPTED, UNKNOWN = Outcome.FINISHED, Outcome.INTERRUPTED, Outcome.UNKNOWN
NOW = "@now"  # stands for the present in a row
BACKENDS = {"manila-share": (Backend("a", "h"), Backend("b_1", "h"))}


class Case(NamedTuple):
    """A row in flight, and what became of it: the columns of the same row then, the outcome and words of its fate."""

    service: str
    kind: str
    table: str
    key: str  # the column with the id of the operation
    row: dict[str, Any]
    ends: tuple[tuple[dict[str, Any] | None, Outcome, str], ...]


def case(
    service: str, kind: str, table: str, row: dict[str, Any], *ends: tuple[Any, Outcome, str], key: str = "id"
) -> Any:
    return pytest.param(Case(service, kind, table, key, row, ends), id=f"{service}-{kind}")


def stays(status: str) -> tuple[dict[str, Any], Outcome, str]:
    return {}, INTERRUPTED, f"stays {status} until an operator resets it"


GONE = (None, FINISHED, "")
AVAILABLE = ({"status": "available"}, FINISHED, "")
FAILED = ({"status": "error"}, INTERRUPTED, "ended in error")


def share(kind: str, status: str, *ends: tuple[Any, Outcome, str]) -> Any:
    return case("manila-share", kind, "share_instances", {"host": "h@b_1#pool", "status": status}, *ends)


def node(kind: str, state: str | None, *ends: tuple[Any, Outcome, str]) -> Any:
    row = {"provision_state": state, "reservation": "h"}
    return case("ironic-conductor", kind, "nodes", row, *ends, key="uuid")


def block(service: str, kind: str, port: str, entity: str) -> Any:
    """What keeps a port from getting active; a port here has the number of its attributes as its id."""
    row = {"standard_attr_id": port, "entity": entity}
    ends = ({}, INTERRUPTED, "Nova may have given up an instance"), GONE
    return case(service, kind, "provisioningblocks", row, *ends, key="standard_attr_id")


CASES = [
    share("share_create", "creating", stays("creating"), AVAILABLE, FAILED, ({"deleted": "x"}, FINISHED, "")),
    share("share_create", "creating_from_snapshot", stays("creating_from_snapshot")),
    share("share_delete", "deleting", GONE, ({"deleted": "x"}, FINISHED, ""),
          ({"status": "available"}, INTERRUPTED, "given up")),
    share("share_extend", "extending", ({"status": "extending_error"}, INTERRUPTED, "ended in error"), AVAILABLE),
    share("share_shrink", "shrinking",
          ({"status": "shrinking_possible_data_loss_error"}, INTERRUPTED, "ended in error")),
    share("share_manage", "manage_starting", ({"status": "manage_error"}, INTERRUPTED, "ended in error")),
    share("share_unmanage", "unmanage_starting", ({"status": "unmanage_error"}, INTERRUPTED, "ended in error"), GONE),
    share("share_revert", "reverting", ({"status": "reverting_error"}, INTERRUPTED, "ended in error")),
    share("share_promote", "replication_change", AVAILABLE),
    share("share_ensure", "ensuring", ({}, INTERRUPTED, "its next start ensures the share again")),
    case("manila-share", "share_migrate", "share_instances",
         {"host": "h@a#p", "status": "migrating", "share_id": "moving"}, stays("migration_completing"), GONE,
         ({"share_id": "moved"}, FINISHED, "")),
    case("manila-share", "share_server_migrate", "share_servers",
         {"host": "h@a", "status": "server_migrating", "task_state": "migration_starting"}, stays("migration_starting"),
         ({"task_state": "migration_error"}, INTERRUPTED, "ended in error")),
    share("share_network", "network_change", stays("network_change")),
    case("manila-share", "access_update", "share_instance_access_map",
         {"state": "applying", "share_instance_id": "own"},
         ({"state": "active"}, FINISHED, ""), ({"state": "error"}, INTERRUPTED, "ended in error"),
         ({}, INTERRUPTED, "with the next change of the share's rules")),
    case("manila-share", "share_snapshot_create", "share_snapshot_instances",
         {"status": "creating", "share_instance_id": "own"}, stays("creating"), AVAILABLE),
    case("manila-share", "share_server_delete", "share_servers", {"status": "deleting", "host": "h@a"}, GONE),
    case("manila-share", "share_group_create", "share_groups", {"status": "creating", "host": "h@a#p"}, AVAILABLE),
    case("manila-share", "share_group_snapshot_create", "share_group_snapshots",
         {"status": "creating", "share_group_id": "group"}, AVAILABLE, stays("creating")),
    case("manila-data", "share_copy", "shares", {"task_state": "data_copying_in_progress"},
         ({}, INTERRUPTED, "sets it to data_copying_error"), ({"task_state": "data_copying_completed"}, FINISHED, ""),
         ({"task_state": None}, FINISHED, ""), ({"task_state": "data_copying_error"}, INTERRUPTED, "ended in error"),
         ({"task_state": "data_copying_cancelled"}, FINISHED, "")),
    case("manila-data", "share_backup_create", "share_backups",
         {"host": "h", "topic": "manila-data", "status": "creating"},
         ({}, INTERRUPTED, "its next start sets the backup to error"), AVAILABLE),
    case("manila-scheduler", "share_schedule", "share_instances", {"host": None, "status": "creating"},
         ({"host": "h@a#p"}, FINISHED, ""), stays("creating"), FAILED),
    case("heat-engine", "resource_action", "resource",
         {"action": "CREATE", "status": "IN_PROGRESS", "engine_id": "e1"},
         ({}, INTERRUPTED, "its stack stays IN_PROGRESS"), ({"status": "COMPLETE", "engine_id": None}, FINISHED, ""),
         ({"status": "FAILED", "engine_id": None}, INTERRUPTED, "ended in error"), key="uuid"),
    case("heat-engine", "stack_action", "stack", {"id": "locked", "action": "UPDATE", "status": "IN_PROGRESS"},
         ({}, INTERRUPTED, "sets the stack to FAILED"), ({"deleted_at": NOW}, FINISHED, "")),
    node("node_deploy", "deploying", ({}, INTERRUPTED, "sets the node to deploy failed"),
         ({"provision_state": "active", "reservation": None}, FINISHED, ""),
         ({"provision_state": "wait call-back", "reservation": None}, FINISHED, ""),
         ({"provision_state": "deploy failed", "reservation": None}, INTERRUPTED, "ended in error"),
         ({"reservation": "H"}, UNKNOWN, "does not hold it any more")),
    node("node_clean", "cleaning", ({}, INTERRUPTED, "sets the node to clean failed")),
    node("node_task", "active", ({}, INTERRUPTED, "releases the node"), ({"reservation": None}, FINISHED, "")),
    node("node_task", None, ({"reservation": None}, FINISHED, "")),
    case("octavia-worker", "load_balancer_create", "load_balancer", {"provisioning_status": "PENDING_CREATE"},
         ({}, INTERRUPTED, "without one it stays PENDING_CREATE"), ({"provisioning_status": "ACTIVE"}, FINISHED, ""),
         ({"provisioning_status": "ERROR"}, INTERRUPTED, "ended in error")),
    case("octavia-worker", "load_balancer_delete", "load_balancer", {"provisioning_status": "PENDING_DELETE"}, GONE,
         ({"provisioning_status": "DELETED"}, FINISHED, "")),
    case("octavia-health-manager", "amphora_failover", "amphora_health", {"busy": 1, "last_update": NOW},
         ({}, INTERRUPTED, "the amphora stays busy"), GONE, ({"busy": 0}, FINISHED, ""), key="amphora_id"),
    case("masakari-engine", "recovery", "notifications", {"status": "running", "deleted": 0},
         ({}, INTERRUPTED, "nobody resumes it"), ({"status": "finished"}, FINISHED, ""),
         ({"status": "failed"}, INTERRUPTED, "ended in error"), key="notification_uuid"),
    case("magnum-conductor", "cluster_create", "cluster", {"status": "CREATE_IN_PROGRESS", "stack_id": None},
         ({"stack_id": "s"}, FINISHED, ""), stays("CREATE_IN_PROGRESS"), key="uuid"),
    case("designate-worker", "zone_change", "zones", {"status": "PENDING"},
         ({}, INTERRUPTED, "designate-producer has it done again"), ({"status": "ACTIVE"}, FINISHED, "")),
    case("mistral-executor", "action_run", "action_executions_v2", {"state": "RUNNING", "accepted": 0, "is_sync": None},
         ({"state": "SUCCESS"}, FINISHED, ""), ({"state": "ERROR"}, INTERRUPTED, "ended in error")),
    case("trove-taskmanager", "instance_build", "instances", {"task_id": 5, "deleted": 0, "updated": NOW},
         stays("task 5"), ({"task_id": 1}, FINISHED, ""), ({"task_id": 81}, INTERRUPTED, "ended in error")),
    case("watcher-applier", "action_plan", "action_plans", {"state": "ONGOING", "hostname": "h", "deleted": 0},
         ({}, INTERRUPTED, "to CANCELLED"), ({"state": "SUCCEEDED"}, FINISHED, ""), key="uuid"),
    case("watcher-engine", "audit", "audits",
         {"state": "ONGOING", "hostname": "h", "audit_type": "ONESHOT", "deleted": 0},
         ({"state": "FAILED"}, INTERRUPTED, "ended in error"), key="uuid"),
    case("octavia-housekeeping", "certificate_renew", "amphora", {"cert_busy": 1, "status": "ALLOCATED"},
         ({}, INTERRUPTED, "its certificate is not renewed any more"), ({"cert_busy": 0}, FINISHED, ""),
         ({"status": "DELETED"}, FINISHED, "")),
    case("mistral-engine", "delayed_call", "delayed_calls_v2", {"processing": 1},
         ({}, INTERRUPTED, "its workflow stays RUNNING"), GONE),
    case("mistral-engine", "scheduled_job", "scheduled_jobs_v2", {"captured_at": NOW},
         ({}, INTERRUPTED, "does it again after captured_job_timeout"), GONE),
    block("neutron-openvswitch-agent", "port_wire", "1", "L2"),
    block("neutron-sriov-agent", "port_wire", "2", "L2"),
    block("neutron-dhcp-agent", "port_dhcp", "1", "DHCP"),
    case("glance-api", "image_task", "tasks", {"status": "processing"}, ({}, INTERRUPTED, "nobody resumes it"),
         ({"status": "success"}, FINISHED, ""), ({"status": "failure"}, INTERRUPTED, "ended in error")),
    case("glance-api", "image_task", "tasks", {"status": "pending"}, ({"deleted": 1}, FINISHED, "")),
    case("glance-api", "image_upload", "images", {"status": "saving"}, ({}, INTERRUPTED, "upload it again"),
         ({"status": "active"}, FINISHED, ""), ({"status": "queued"}, INTERRUPTED, "ended in error"),
         ({"deleted": 1}, FINISHED, "")),
    case("tacker-conductor", "vnf_operation", "vnf_lcm_op_occs", {"operation_state": "PROCESSING"}, stays("PROCESSING"),
         ({"operation_state": "COMPLETED"}, FINISHED, ""),
         ({"operation_state": "FAILED_TEMP"}, INTERRUPTED, "ended in error")),
    case("tacker-conductor", "vnf_operation_v2_begin", "VnfLcmOpOccV2",
         {"operationState": "STARTING", "stateEnteredTime": NOW}, ({}, INTERRUPTED, "sets it to ROLLED_BACK"),
         ({"operationState": "PROCESSING"}, FINISHED, ""),
         ({"operationState": "ROLLED_BACK"}, INTERRUPTED, "ended in error")),
    case("tacker-conductor", "vnf_operation_v2", "VnfLcmOpOccV2",
         {"operationState": "PROCESSING", "stateEnteredTime": NOW}, ({}, INTERRUPTED, "sets it to FAILED_TEMP"),
         ({"operationState": "COMPLETED"}, FINISHED, ""),
         ({"operationState": "FAILED_TEMP"}, INTERRUPTED, "ended in error")),
    case("blazar-manager", "lease_create", "leases", {"status": "CREATING"}, stays("CREATING"),
         ({"status": "PENDING"}, FINISHED, ""), ({"status": "ERROR"}, INTERRUPTED, "ended in error")),
    case("blazar-manager", "lease_delete", "leases", {"status": "DELETING"}, stays("DELETING"), GONE),
    case("blazar-manager", "lease_event", "events", {"status": "IN_PROGRESS"},
         ({}, INTERRUPTED, "nobody does it again"), ({"status": "DONE"}, FINISHED, ""),
         ({"status": "ERROR"}, INTERRUPTED, "ended in error")),
    case("barbican-worker", "order", "orders", {"status": "PENDING", "deleted": 0},
         ({}, INTERRUPTED, "order the key again"), ({"status": "ACTIVE"}, FINISHED, ""),
         ({"status": "ERROR"}, INTERRUPTED, "ended in error")),
    case("cyborg-conductor", "accelerator_bind", "extended_accelerator_requests", {"state": "BindStarted"},
         ({}, INTERRUPTED, "it stays BindStarted"), ({"state": "Bound"}, FINISHED, ""), GONE,
         ({"state": "BindFailed"}, INTERRUPTED, "ended in error"), key="uuid"),
]  # fmt: skip

# Rows that show no work of this container: (service, table, columns).
OTHERS = [
    ("manila-share", "share_instances", {"host": "h@b21#pool", "status": "creating"}),  # _ is a letter, no wildcard
    ("manila-share", "share_instances", {"host": "H@a#pool", "status": "creating"}),
    ("manila-share", "share_instances", {"host": "h@a#pool", "status": "available"}),
    ("manila-share", "share_instances", {"host": "h@a#pool", "status": "creating", "deleted": "x"}),
    ("manila-share", "share_instances", {"host": "h@a#p", "status": "migrating", "share_id": "copying"}),
    ("manila-share", "share_instances", {"host": "h@a#p", "status": "available", "share_id": "moving"}),
    ("manila-share", "share_snapshot_instances", {"status": "creating", "share_instance_id": "another's"}),
    ("manila-data", "share_backups", {"host": "h", "topic": "manila-share.h@a", "status": "creating"}),
    ("manila-scheduler", "share_instances", {"host": "h@a#p", "status": "creating"}),
    ("heat-engine", "resource", {"action": "CREATE", "status": "IN_PROGRESS", "engine_id": "another's", "uuid": "x"}),
    ("heat-engine", "resource", {"action": "CREATE", "status": "IN_PROGRESS", "engine_id": "dead", "uuid": "x"}),
    ("heat-engine", "resource", {"action": "CREATE", "status": "IN_PROGRESS", "engine_id": "ended", "uuid": "x"}),
    ("heat-engine", "stack", {"id": "not locked", "action": "CREATE", "status": "IN_PROGRESS"}),
    ("ironic-conductor", "nodes", {"provision_state": "deploying", "reservation": "H", "uuid": "x"}),
    ("ironic-conductor", "nodes", {"provision_state": "clean wait", "reservation": None, "uuid": "x"}),
    ("mistral-executor", "action_executions_v2", {"state": "RUNNING", "accepted": 0, "is_sync": 0}),
    ("watcher-engine", "audits",
     {"state": "ONGOING", "hostname": "h", "audit_type": "CONTINUOUS", "deleted": 0, "uuid": "x"}),
    ("watcher-applier", "action_plans", {"state": "ONGOING", "hostname": "other", "deleted": 0, "uuid": "x"}),
    ("mistral-engine", "delayed_calls_v2", {"processing": 0}),
    ("mistral-engine", "scheduled_jobs_v2", {"captured_at": None}),
    ("neutron-openvswitch-agent", "provisioningblocks", {"standard_attr_id": "1", "entity": "DHCP"}),
    ("neutron-openvswitch-agent", "provisioningblocks", {"standard_attr_id": "2", "entity": "L2"}),
    ("neutron-openvswitch-agent", "provisioningblocks", {"standard_attr_id": "3", "entity": "L2"}),
    ("neutron-sriov-agent", "provisioningblocks", {"standard_attr_id": "1", "entity": "L2"}),
    ("neutron-dhcp-agent", "provisioningblocks", {"standard_attr_id": "1", "entity": "L2"}),
    ("neutron-dhcp-agent", "provisioningblocks", {"standard_attr_id": "3", "entity": "DHCP"}),
    ("glance-api", "images", {"status": "uploading"}),  # until somebody imports what was staged
    ("glance-api", "images", {"status": "saving", "deleted": 1}),
]  # fmt: skip

# What the cases refer to, and the services' own rows.
AROUND: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "manila": [
        ("share_instances", {"id": "own", "host": "h@a#p", "status": "available"}),
        ("share_instances", {"id": "another's", "host": "x@a#p", "status": "available"}),
        ("share_groups", {"id": "group", "host": "h@a#p", "status": "available"}),
        ("shares", {"id": "moving", "task_state": "migration_completing"}),
        ("shares", {"id": "moved", "task_state": "migration_success"}),
        ("shares", {"id": "copying", "task_state": "migration_driver_phase1_done"}),
        *(
            ("services", {"host": host, "binary": name, "report_count": 7, "disabled": 0, "deleted": 0})
            for name, host in (
                ("manila-share", "h@a"), ("manila-share", "h@b_1"), ("manila-share", "H@a"), ("manila-data", "h"),
                ("manila-scheduler", "h"),
            )
        ),
    ],
    "heat": [
        ("service", {"id": "1", "engine_id": "e1", "host": "h", "binary": "heat-engine"}),
        ("service", {"id": "2", "engine_id": "e2", "host": "h", "binary": "heat-engine"}),
        ("service", {"id": "3", "engine_id": "another's", "host": "x", "binary": "heat-engine"}),
        ("service", {"id": "4", "engine_id": "dead", "host": "h", "binary": "heat-engine", "updated_at": "2020-01-01"}),
        ("service", {"id": "5", "engine_id": "ended", "host": "h", "binary": "heat-engine", "deleted_at": NOW}),
        ("stack_lock", {"stack_id": "locked", "engine_id": "e2"}),
    ],
    "ironic": [("conductors", {"hostname": "h"})],
    "magnum": [("magnum_service", {"host": "h", "binary": "magnum-conductor", "report_count": 7, "last_seen_up": NOW})],
    "designate": [
        ("service_statuses", {"id": name, "service_name": name, "hostname": "h", "heartbeated_at": NOW})
        for name in ("worker", "central", "producer")
    ],
    # Port 1 is of OVS, 2 of SR-IOV; 3 is about to move here, and DHCP agents elsewhere have its network.
    "neutron": [
        *(
            ("agents", {"id": f"{name}-{host}", "binary": f"neutron-{name}", "host": host, "heartbeat_timestamp": NOW})
            for name in ("openvswitch-agent", "sriov-nic-agent", "dhcp-agent", "l3-agent", "bgp-dragent")
            for host in ("h", "x")
        ),
        *(("standardattributes", {"id": key}) for key in "123"),
        *(("ports", {"id": key, "standard_attr_id": key, "network_id": f"n{key}"}) for key in "123"),
        ("ml2_port_bindings", {"port_id": "1", "host": "h", "vif_type": "ovs"}),
        ("ml2_port_bindings", {"port_id": "2", "host": "h", "vif_type": "hw_veb"}),
        ("ml2_port_bindings", {"port_id": "3", "host": "h", "vif_type": "ovs", "status": "INACTIVE"}),
        ("ml2_port_bindings", {"port_id": "3", "host": "x", "vif_type": "ovs"}),
        ("networkdhcpagentbindings", {"network_id": "n1", "dhcp_agent_id": "dhcp-agent-h"}),
        ("networkdhcpagentbindings", {"network_id": "n3", "dhcp_agent_id": "dhcp-agent-x"}),
    ],
    "watcher": [
        ("services", {"name": name, "host": "h", "last_seen_up": NOW, "deleted": 0})
        for name in ("watcher-applier", "watcher-decision-engine")
    ],
}  # fmt: skip


class Rows:
    """The database of one declared service, read by an account that may read its columns and nothing else."""

    def __init__(self, server: MariaDB, target: Callable[[str], Any], service: str) -> None:
        found = declared(service)
        assert found is not None
        self.schema = found.schema
        self._connection = server.open(self.schema)
        self.config = ServiceConfig(service, "h", backends=BACKENDS.get(service, ()))
        self._target = target(self.schema)
        for table in TABLES[self.schema]:
            self._run(f"DELETE FROM `{table}`")
        for table, columns in AROUND.get(self.schema, ()):
            self.insert(table, columns)

    def insert(self, table: str, columns: dict[str, Any]) -> None:
        """Put in a row that was written just now."""
        described = TABLES[self.schema][table]
        times = {name: NOW for name in ("created_at", "updated_at") if name in described}
        if described.startswith(("id VARCHAR", "id CHAR")):  # no number that the database gives
            times["id"] = "x"
        row = {**times, **columns}
        names, values = ", ".join(f"`{name}`" for name in row), ", ".join(map(_mark, row.values()))
        self._run(f"INSERT INTO `{table}` ({names}) VALUES ({values})", *_values(row))

    def change(self, table: str, key: str, wanted: str, columns: dict[str, Any] | None) -> None:
        """Change a row, or remove it."""
        if columns is None:
            self._run(f"DELETE FROM `{table}` WHERE `{key}` = %s", wanted)
        elif columns:
            changes = ", ".join(f"`{name}` = {_mark(value)}" for name, value in columns.items())
            self._run(f"UPDATE `{table}` SET {changes} WHERE `{key}` = %s", *_values(columns), wanted)

    def _run(self, statement: str, *params: Any) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, params)

    def close(self) -> None:
        """Close the connection that puts rows in."""
        self._connection.close()

    def ask(self, what: Callable[[Any], Any]) -> Any:
        """Return what is read in one snapshot."""
        database = Database(self._target)
        try:
            with database.snapshot() as query:
                return what(understood(query))
        finally:
            database.close()


def _mark(value: Any) -> str:
    return "UTC_TIMESTAMP()" if value == NOW else "%s"


def _values(row: dict[str, Any]) -> list[Any]:
    return [value for value in row.values() if value != NOW]


@pytest.fixture(scope="module")
def target(_server: MariaDB) -> Iterator[Callable[[str], Any]]:
    """Make the databases, and an account with the columns that the declarations name."""
    from kolla_drain.database.target import target as make

    for schema, tables in TABLES.items():
        _server.execute(f"CREATE DATABASE `{schema}` CHARACTER SET utf8mb3")
        for table, described in tables.items():
            _server.execute(f"CREATE TABLE `{table}` ({described}) ENGINE=InnoDB", database=schema)
    _server.create_user("declared", "s3cret", grants="USAGE")
    for (schema, table), columns in rights(NAMES, {schema: [schema] for schema in TABLES}).items():
        names = ", ".join(f"`{column}`" for column in sorted(columns))
        _server.execute(f"GRANT SELECT ({names}) ON `{schema}`.`{table}` TO declared@`%`")
    yield lambda schema: make(
        host="127.0.0.1", port=_server.port, user="declared", password="s3cret", name=schema
    )
    for schema in TABLES:
        _server.execute(f"DROP DATABASE `{schema}`")
    _server.execute("DROP USER declared@`%`")


@pytest.fixture
def rows(server: MariaDB, target: Callable[[str], Any]) -> Iterator[Callable[[str], Rows]]:
    with contextlib.ExitStack() as stack:
        yield lambda service: stack.enter_context(contextlib.closing(Rows(server, target, service)))


@pytest.mark.parametrize("given", CASES)
def test_work_is_seen_and_what_became_of_it(rows: Callable[[str], Rows], given: Case) -> None:
    of, its = rows(given.service), evidence_of(given.service)
    key = given.row.get(given.key, "x")
    of.insert(given.table, {given.key: key, **given.row})
    _, (operation,) = of.ask(lambda query: its.read(query, of.config))
    assert (operation.kind, operation.id) == (given.kind, key)
    assert operation.written
    for columns, outcome, fate in given.ends:
        of.change(given.table, given.key, key, columns)
        (ending,) = of.ask(lambda query: its.endings(query, of.config, [operation]))
        assert isinstance(ending, Ending)
        assert ending.outcome is outcome, (columns, ending)
        assert fate in ending.fate
        assert bool(fate) == bool(ending.fate)
        of.change(given.table, given.key, key, None)
        of.insert(given.table, {given.key: key, **given.row})


@pytest.mark.parametrize(("service", "table", "columns"), OTHERS)
def test_the_work_of_others_is_not_seen(
    rows: Callable[[str], Rows], service: str, table: str, columns: dict[str, Any]
) -> None:
    of = rows(service)
    of.insert(table, columns)
    assert of.ask(lambda query: evidence_of(service).read(query, of.config)).operations == ()


def test_a_port_whose_instance_was_given_up_only_informs(rows: Callable[[str], Rows]) -> None:
    of, its = rows("neutron-openvswitch-agent"), evidence_of("neutron-openvswitch-agent")
    of.insert("provisioningblocks", {"standard_attr_id": 1, "entity": "L2"})
    for age, informs in ((280, False), (301, True)):
        of.change(
            "standardattributes",
            "id",
            "1",
            {"updated_at": datetime.now(timezone.utc) - timedelta(seconds=age)},
        )
        _, (operation,) = of.ask(lambda query: its.read(query, of.config))
        assert operation.informs is informs, operation


def test_an_agent_that_is_set_down_is_disabled(rows: Callable[[str], Rows]) -> None:
    of, its = rows("neutron-l3-agent"), evidence_of("neutron-l3-agent")
    of.change("agents", "id", "l3-agent-h", {"admin_state_up": 0})
    (beat,) = of.ask(lambda query: its.read(query, of.config)).heartbeats
    assert (beat.host, beat.disabled) == ("h", True)


@pytest.mark.parametrize("service", NAMES)
def test_the_heartbeat(rows: Callable[[str], Rows], service: str) -> None:
    of, its = rows(service), evidence_of(service)
    assert isinstance(its, DeclaredEvidence)
    beats = of.ask(lambda query: its.read(query, of.config)).heartbeats
    assert [beat.host for beat in beats] == (list(of.config.service_hosts) if its.BEATS else [])
    assert all(
        beat.up and beat.age in (0, 1, 2) and beat.report_count and not beat.disabled for beat in beats
    )


def test_every_kind_has_a_case() -> None:
    covered = {(given.values[0].service, given.values[0].kind) for given in CASES}
    wanted = {(name, kind.name) for name in NAMES for work in declared(name).work for kind in work.kinds}  # type: ignore[union-attr]
    # Those that differ from one that is covered by their status alone.
    alike = {
        "share_snapshot_delete", "share_snapshot_manage", "share_snapshot_restore", "share_server_create",
        "share_server_change", "share_group_delete", "share_group_snapshot_delete", "share_backup_restore",
        "share_backup_delete", "share_group_schedule", "load_balancer_update",
        *(f"lease_{name}" for name in ("start", "update", "end")),
        *(f"node_{name}" for name in ("service", "verify", "inspect", "adopt", "rescue", "delete")),
    }  # fmt: skip
    assert {kind for _, kind in wanted - covered if not kind.startswith("instance_")} == alike


def test_the_tables_are_those_that_are_read() -> None:
    read = {
        (schema, table) for name in NAMES for schema, tables in BY_SERVICE[name].items() for table in tables
    }
    assert read == {(schema, table) for schema, tables in TABLES.items() for table in tables}
