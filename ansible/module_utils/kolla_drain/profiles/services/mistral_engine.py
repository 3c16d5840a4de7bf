"""mistral-engine, from the sources of mistral 23.0.0: the steps of workflows that an engine has taken.

A workflow and a task that are RUNNING are not an engine's work: they wait for their actions, for days if need be.
"""

from __future__ import annotations

from ...model import Profile
from ..form import Kind, Service, Work

# Seconds: a step takes far less.
_LOST = 300

SERVICE = Service(
    Profile("mistral-engine", quiesce=True, keeps_work=False, exit_seconds=15.0),
    schema="mistral",
    binary="mistral-server",
    work=(
        # Of the scheduler "legacy", which is the default.
        Work(
            "delayed call",
            "delayed_calls_v2",
            status="IF(t.processing = 1, 'processing', 'waiting')",
            stale=_LOST,
            kinds=(
                Kind(
                    "delayed_call",
                    ("processing",),
                    fate="nobody makes it again, so its workflow stays RUNNING",
                    deletes=True,
                ),
            ),
        ),
        # Of the scheduler "default".
        Work(
            "scheduled job",
            "scheduled_jobs_v2",
            status="IF(t.captured_at IS NULL, 'waiting', 'captured')",
            written=("t.captured_at",),
            stale=_LOST,
            kinds=(
                Kind(
                    "scheduled_job",
                    ("captured",),
                    fate="any mistral-engine does it again after captured_job_timeout",
                    deletes=True,
                ),
            ),
        ),
    ),
    unseen="calls of mistral-api and of executors, whose callers get an error",
)
