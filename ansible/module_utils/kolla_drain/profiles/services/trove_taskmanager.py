"""trove-taskmanager, from the sources of trove 26.0.0, whose trove/instance/tasks.py has the numbers of the tasks."""

from __future__ import annotations

from ...model import Profile
from ..form import Kind, Service, Work

_TASKS = {
    "instance_delete": 2,
    "instance_reboot": 3,
    "instance_resize": 4,
    "instance_build": 5,
    "instance_migrate": 6,
    "instance_promote": 8,
    "instance_eject": 9,
    "instance_detach": 11,
    "instance_upgrade": 89,
}

SERVICE = Service(
    Profile("trove-taskmanager", quiesce=True, keeps_work=False, exit_seconds=15.0),
    schema="trove",
    work=(
        Work(
            "instance",
            "instances",
            status="CONCAT('task ', t.task_id)",
            live="t.deleted = 0",
            written=("t.updated", "t.created"),
            stale=7200,
            kinds=tuple(
                Kind(
                    name,
                    (f"task {number}",),
                    deletes=number == 2,
                    failed=tuple(map("task {}".format, range(80, 89))),
                )
                for name, number in _TASKS.items()
            ),
        ),
    ),
    unseen="backups, which the guest makes",
)
