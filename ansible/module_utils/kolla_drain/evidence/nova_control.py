"""Evidence of nova-conductor and nova-scheduler: only their heartbeats, from the sources of nova 34.0.0.

No row shows their work:

    nova-conductor      task states and migrations name compute hosts; its own events (conductor_migrate_server and
                        the like) are written by whichever conductor took the call. Its ``services`` row is in the
                        cell's database, that of the super conductor in the database of cell0
    nova-scheduler      it answers calls and writes no row about them. Its ``services`` row is in the database of cell0

In each case that is the [database] of the service's own configuration files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..database.connection import Query
from ..model import Ending, Operation, Outcome, Profile
from ..service.config import ServiceConfig
from . import nova
from .base import Activity


class _NovaControl(nova.NovaEvidence):
    """A service whose rows show heartbeats and no operations."""

    def read(self, query: Query, config: ServiceConfig) -> Activity:
        return Activity(nova.heartbeats(query, config), ())

    def endings(
        self, query: Query, config: ServiceConfig, operations: Sequence[Operation]
    ) -> tuple[Ending, ...]:
        fate = f"no row tells of the work of {self.PROFILE.name}"
        return tuple(Ending(operation, Outcome.UNKNOWN, operation.status, fate) for operation in operations)


class NovaConductor(_NovaControl):
    """Evidence of one nova-conductor; a reload is unsafe on native threads and useless on eventlet."""

    PROFILE = nova.profile(
        "nova-conductor",
        sees_work=False,
        # On native threads one SIGHUP lost 10 of 30 builds in 12 s, as one SIGTERM did, and no row shows a safe moment.
        # On eventlet none was lost, but the RPC version used towards nova-compute was not determined again.
        no_reload="at SIGHUP nova-conductor keeps its version pins (eventlet) or loses requests (native threads)",
    )

    @classmethod
    def profile_in(cls, env: Mapping[str, str]) -> Profile:
        return cls.PROFILE  # the same on eventlet and on native threads


class NovaScheduler(_NovaControl):
    """Evidence of one nova-scheduler."""

    PROFILE = nova.profile("nova-scheduler", sees_work=False)
