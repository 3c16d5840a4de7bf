"""manila-data, from the sources of manila 23.0.1.

A start of any manila-data sets the copies of all of them to data_copying_error (manila/data/manager.py init_host), so
stop one after the other, and only at rest.
"""

from __future__ import annotations

from ...model import Profile
from ..form import GRACEFUL, Kind, Options, Service, Work
from .manila_share import BEAT, EVENTLET, LIVE

SERVICE = Service(
    Profile(
        "manila-data",
        quiesce=True,
        keeps_work=False,
        heartbeat_while_draining=False,
        reports=True,
        works_in_requests=True,
        exit_seconds=10.0,
    ),
    schema="manila",
    ahead_of_kolla=0,
    eventlet=EVENTLET,
    options=Options(limits=(GRACEFUL,)),
    beat=BEAT,
    work=(
        Work(
            "share",
            "shares",
            status="t.task_state",
            live=LIVE,
            kinds=(
                Kind(
                    "share_copy",
                    ("data_copying_starting", "data_copying_in_progress", "data_copying_completing"),
                    fate="the next start of any manila-data sets it to data_copying_error",
                    failed=("data_copying_error",),
                ),
            ),
        ),
        Work(
            "backup",
            "share_backups",
            host="t.host",
            live=LIVE,
            where="t.topic = 'manila-data'",
            kinds=(
                Kind(
                    "share_backup_create",
                    ("creating",),
                    fate="its next start sets the backup to error and the share to available",
                ),
                Kind("share_backup_restore", ("restoring",)),
                Kind("share_backup_delete", ("deleting",), deletes=True),
            ),
        ),
    ),
    unseen="a backup that it has been asked for and has not taken yet",
)
