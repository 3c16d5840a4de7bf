"""A real cinder-volume with a volume in creation is asked to read its configuration again."""

from __future__ import annotations

import time

from testbed.stack import Stack

from .conftest import VOLUME, ad_hoc, creating, kills

HUP = 1


def test_a_create_in_flight_survives_a_reload(stack: Stack) -> None:
    """On native threads SIGHUP replaces the workers, so it waits for the volume; on eventlet it need not."""
    begun = time.time()
    started = stack.container(VOLUME).attrs["State"]["StartedAt"]
    volume = creating(stack, 15)

    result = ad_hoc(f"action=reload_container name={VOLUME} graceful_shutdown_timeout=120")

    assert (result["reloaded"], result["restarted"]) == (True, False), result
    assert result["ready_by"] == "its heartbeat moves"
    assert len(result["heartbeat"]["rows"]) == 2, "one row a backend"
    stack.api.wait_status("volume", volume, "available")
    assert kills(stack, begun) == [HUP]
    assert stack.container(VOLUME).attrs["State"]["StartedAt"] == started
