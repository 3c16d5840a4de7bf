"""Evidence of nova-conductor: its heartbeat. From the sources of nova 34.0.0.

A conductor's work cannot be told from its rows: task states and migrations name compute hosts, and its own
events (conductor_migrate_server and the like) are written by any conductor that took the call. Its row
is in the cell's database, the super conductor's in that of cell0: the [database] of its own files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..database.connection import Query
from ..model import Ending, Heartbeat, Operation, Outcome, Profile
from ..service.config import ServiceConfig
from . import nova

PROFILE = nova.profile(
    "nova-conductor",
    sees_work=False,
    # On threads 10 of 30 builds in 12 s were lost at one SIGHUP, as at one SIGTERM, and no row tells when it would be
    # safe; on eventlet none was, but the version that it speaks to nova-compute was not chosen anew.
    no_reload="at SIGHUP nova-conductor keeps its version pins (eventlet) or loses requests (native threads)",
)


def adapt(profile: Profile, env: Mapping[str, str]) -> Profile:
    """Return the profile unchanged: it is the same on eventlet and on threads."""
    return profile


def read(query: Query, config: ServiceConfig) -> tuple[tuple[Heartbeat, ...], tuple[Operation, ...]]:
    """Return heartbeats; there are no operations to be seen. Raises EvidenceUnavailable."""
    return nova.heartbeats(query, config), ()


def endings(query: Query, config: ServiceConfig, operations: Sequence[Operation]) -> tuple[Ending, ...]:
    """Return UNKNOWN for each operation: no row tells of this service's work."""
    fate = "no row tells of the work of nova-conductor"
    return tuple(Ending(operation, Outcome.UNKNOWN, operation.status, fate) for operation in operations)
