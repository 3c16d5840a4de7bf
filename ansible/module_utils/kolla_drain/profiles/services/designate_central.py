"""designate-central, from the sources of designate 23.0.0: its heartbeat alone, as it answers calls."""

from __future__ import annotations

from ...model import Profile
from ..form import Service
from .designate_worker import OPTIONS, beat

SERVICE = Service(
    Profile(
        "designate-central", quiesce=True, rows_tell=False, keeps_work=False, reports=True, exit_seconds=15.0
    ),
    schema="designate",
    options=OPTIONS,
    beat=beat("central"),
    unseen="its calls, whose callers get an error",
)
