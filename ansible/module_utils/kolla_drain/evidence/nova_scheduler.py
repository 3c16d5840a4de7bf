"""Evidence of nova-scheduler: its heartbeat. From the sources of nova 34.0.0.

A scheduler answers calls and writes no row of its work. Its own row is in the database of cell0,
which is the [database] of its own files.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..database.connection import Query
from ..model import Ending, Heartbeat, Operation, Outcome
from ..service.config import ServiceConfig
from . import nova

PROFILE = nova.profile("nova-scheduler", sees_work=False)
adapt = nova.adapt


def read(query: Query, config: ServiceConfig) -> tuple[tuple[Heartbeat, ...], tuple[Operation, ...]]:
    """Return heartbeats; there are no operations to be seen. Raises EvidenceUnavailable."""
    return nova.heartbeats(query, config), ()


def endings(query: Query, config: ServiceConfig, operations: Sequence[Operation]) -> tuple[Ending, ...]:
    """Return UNKNOWN for each operation: no row tells of this service's work."""
    fate = "no row tells of the work of nova-scheduler"
    return tuple(Ending(operation, Outcome.UNKNOWN, operation.status, fate) for operation in operations)
