"""designate-producer, from the sources of designate 23.0.0: its heartbeat alone, as its tasks repeat themselves."""

from __future__ import annotations

from ...model import Profile
from ..form import Service
from .designate_worker import OPTIONS, beat

SERVICE = Service(
    Profile("designate-producer", rows_tell=False, keeps_work=False, exit_seconds=15.0),
    schema="designate",
    options=OPTIONS,
    beat=beat("producer"),
    unseen="periodic tasks, which repeat themselves",
)
