"""barbican-worker, from the sources of barbican 23.0.0: the orders of keys."""

from __future__ import annotations

from ...model import Profile
from ..form import Kind, Service, Work

SERVICE = Service(
    Profile(
        "barbican-worker",
        quiesce=True,
        keeps_work=False,
        reports=True,
        works_in_requests=True,
        exit_seconds=15.0,
    ),
    schema="barbican",
    work=(
        Work(
            "order",
            "orders",
            live="t.deleted = 0",
            stale=300,  # a key is made within seconds
            # order_retry_tasks has the orders alone whose processing asked for another try.
            kinds=(
                Kind(
                    "order", ("PENDING",), fate="the order stays PENDING: delete it, and order the key again"
                ),
            ),
        ),
    ),
)
