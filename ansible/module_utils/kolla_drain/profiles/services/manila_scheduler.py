"""manila-scheduler, from the sources of manila 23.0.1: shares and groups that have no host yet."""

from __future__ import annotations

from ...model import Profile
from ..form import GRACEFUL, Kind, Options, Service, Work
from .manila_share import BEAT, EVENTLET, LIVE

# A request that is not scheduled by then was lost, or waits for a scheduler.
_LOST = 60
_STATUS = "IF(t.host IS NULL, t.status, 'scheduled')"

SERVICE = Service(
    Profile(
        "manila-scheduler",
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
            "share_instances",
            status=_STATUS,
            live=LIVE,
            stale=_LOST,
            kinds=(Kind("share_schedule", ("creating",)),),
        ),
        Work(
            "share group",
            "share_groups",
            status=_STATUS,
            live=LIVE,
            stale=_LOST,
            kinds=(Kind("share_group_schedule", ("creating",)),),
        ),
    ),
    unseen="extensions, migrations and what else passes through it within milliseconds",
)
