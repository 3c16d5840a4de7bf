"""cyborg-conductor, from the sources of cyborg 17.0.0: the accelerators that it binds to instances."""

from __future__ import annotations

from ...model import Profile
from ..form import GRACEFUL, Kind, Options, Service, Work

SERVICE = Service(
    # It waits for its RPC server up to graceful_shutdown_timeout, and not for the threads that program an accelerator.
    Profile("cyborg-conductor", quiesce=True, keeps_work=False, exit_seconds=15.0),
    schema="cyborg",
    options=Options(limits=(GRACEFUL,)),
    work=(
        Work(
            "accelerator request",
            "extended_accelerator_requests",
            id="t.uuid",
            status="t.state",
            stale=300,  # Nova has given up its instance by then (arq_binding_timeout)
            kinds=(
                Kind(
                    "accelerator_bind",
                    ("BindStarted",),
                    fate="it stays BindStarted, and Nova gives up the instance that waits for it",
                    failed=("BindFailed",),
                ),
            ),
        ),
    ),
    unseen="what agents report, which they report again",
)
