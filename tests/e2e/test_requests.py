"""A request to the real cinder-api is told, and its end waited for."""

from __future__ import annotations

import socket
import time

from testbed.stack import Stack
from testbed.waiting import wait_until

from .conftest import AdHoc, ad_hoc, begun, kills

API = "cinder_api"
BEGINNING = b"GET /healthcheck HTTP/1.1\r\nHost: localhost\r\n"
REST = b"Connection: close\r\n\r\n"


def test_a_request_in_flight_is_drained(stack: Stack) -> None:
    since = time.time()
    with socket.create_connection(("127.0.0.1", stack.state.endpoints.api_port)) as client:
        client.sendall(BEGINNING)
        own = "{}:{}".format(*client.getsockname())

        def told() -> list[str]:
            status = ad_hoc(f"action=drain_status name={API}")
            return [op["id"] for op in status["operations"]]

        wait_until(lambda: own in told(), 180, "cinder-api telling of the request")
        run = AdHoc(f"action=stop_container name={API} graceful_shutdown_timeout=120")
        wait_until(lambda: begun(stack.container(API)), 180, "the stop having begun")
        time.sleep(3)  # several looks
        assert kills(stack, since, API) == []
        client.sendall(REST)
        with client.makefile("rb") as answer:
            assert b"200 OK" in answer.readline()
        result = run.result()

    assert (result["verdict"], result["service"]) == ("drained", "requests"), result["reason"]
    assert own in [op["id"] for op in result["operations"]]
    assert {op["outcome"] for op in result["operations"]} == {"finished"}
    assert kills(stack, since, API) == [15]
