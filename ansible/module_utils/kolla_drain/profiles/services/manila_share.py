"""manila-share, from the sources of manila 23.0.1, and seen in operation with its DummyDriver.

manila-api writes the status before it sends the request. Its next start ensures shares again; every other status stays
(manila/share/manager.py init_host).
"""

from __future__ import annotations

from ...model import Profile
from ..form import GRACEFUL, Beat, Eventlet, Kind, Options, Service, Work

LIVE = "t.deleted = 'False'"  # a string in all tables but services
BEAT = Beat(
    "services",
    live="t.deleted = 0",
    count="t.report_count",
    disabled="t.disabled",
    reason="t.disabled_reason",
)
# Up to 22 (2026.1) it runs on eventlet, and waits for its work there. On native threads it drops it, with exit code 0.
EVENTLET = Eventlet(22, "OS_MANILA_DISABLE_EVENTLET_PATCHING")
_OF_INSTANCE = "JOIN share_instances i ON i.id = t.share_instance_id"
_QUEUED = ("queued_to_apply", "queued_to_deny", "queued_to_update", "applying", "denying", "updating")
# The rest of a migration, when a driver or manila-data copies or an operator has yet to complete it, can take days, and
# a stop of manila-share loses nothing of it.
_MIGRATING = (
    "migration_starting",
    "migration_in_progress",
    "migration_driver_starting",
    "migration_completing",
)

SERVICE = Service(
    Profile("manila-share", quiesce=True, keeps_work=False, heartbeat_while_draining=False, reports=True,
            works_in_requests=True, exit_seconds=10.0),
    schema="manila",
    ahead_of_kolla=0,
    eventlet=EVENTLET,
    options=Options(limits=(GRACEFUL,), backends="enabled_share_backends"),
    beat=BEAT,
    work=(
        Work("share", "share_instances", host="t.host", pools=True, live=LIVE, kinds=(
            Kind("share_create", ("creating", "creating_from_snapshot")),
            Kind("share_delete", ("deleting",), deletes=True),
            Kind("share_extend", ("extending",), failed=("extending_error",)),
            Kind("share_shrink", ("shrinking",), failed=("shrinking_error", "shrinking_possible_data_loss_error")),
            Kind("share_manage", ("manage_starting",), failed=("manage_error",)),
            Kind("share_unmanage", ("unmanage_starting",), deletes=True, failed=("unmanage_error",)),
            Kind("share_revert", ("reverting",), failed=("reverting_error",)),
            Kind("share_promote", ("replication_change",)),
            Kind("share_ensure", ("ensuring",), fate="its next start ensures the share again"),
            Kind("share_network", ("network_change",)))),
        Work("share", "share_instances", status="s.task_state", host="t.host", pools=True, live=LIVE,
             join="JOIN shares s ON s.id = t.share_id", where="t.status = 'migrating'", kinds=(
            Kind("share_migrate", _MIGRATING, failed=("migration_error",)),)),
        Work("access rule", "share_instance_access_map", status="t.state", host="i.host", pools=True, live=LIVE,
             join=_OF_INSTANCE, kinds=(
            Kind("access_update", _QUEUED, fate="it is done with the next change of the share's rules"),)),
        Work("snapshot", "share_snapshot_instances", host="i.host", pools=True, live=LIVE, join=_OF_INSTANCE, kinds=(
            Kind("share_snapshot_create", ("creating",)),
            Kind("share_snapshot_delete", ("deleting",), deletes=True),
            Kind("share_snapshot_manage", ("manage_starting", "unmanage_starting")),
            Kind("share_snapshot_restore", ("restoring",)))),
        Work("share server", "share_servers", host="t.host", pools=True, live=LIVE, kinds=(
            Kind("share_server_create", ("creating",)),
            Kind("share_server_delete", ("deleting",), deletes=True),
            Kind("share_server_change", ("manage_starting", "unmanage_starting", "network_change")))),
        Work("share server", "share_servers", status="t.task_state", host="t.host", pools=True, live=LIVE,
             where="t.status = 'server_migrating'", kinds=(
            Kind("share_server_migrate", _MIGRATING, failed=("migration_error",)),)),
        Work("share group", "share_groups", host="t.host", pools=True, live=LIVE, kinds=(
            Kind("share_group_create", ("creating",)), Kind("share_group_delete", ("deleting",), deletes=True))),
        Work("share group snapshot", "share_group_snapshots", host="g.host", pools=True, live=LIVE,
             join="JOIN share_groups g ON g.id = t.share_group_id", kinds=(
            Kind("share_group_snapshot_create", ("creating",)),
            Kind("share_group_snapshot_delete", ("deleting",), deletes=True))),
    ),
    unseen="calls, whose callers get an error; copies of a migration or a backup, which go on or are manila-data's",
)  # fmt: skip
