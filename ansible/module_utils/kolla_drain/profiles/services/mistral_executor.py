"""mistral-executor, from the sources of mistral 23.0.0."""

from __future__ import annotations

from ...model import Profile
from ..form import Kind, Service, Work

SERVICE = Service(
    Profile("mistral-executor", quiesce=True, keeps_work=False, exit_seconds=15.0),
    schema="mistral",
    binary="mistral-server",
    work=(
        Work(
            "action",
            "action_executions_v2",
            status="t.state",
            # An action that is not synchronous waits for its result from outside.
            where="COALESCE(t.is_sync, 1) = 1 AND COALESCE(t.accepted, 0) = 0",
            kinds=(
                Kind(
                    "action_run",
                    ("RUNNING",),
                    fate="mistral-engine sets it to ERROR when its heartbeats stay away, after some minutes",
                ),
            ),
        ),
    ),
)
