"""An API under a real uWSGI, set up as Kolla does: its requests are told, waited for, and not cut."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from testbed.containers import free_ports
from testbed.waiting import wait_until
from tests.support import engines
from tests.support.checks import signalled_once, wait_for_runs
from tests.support.held_server import ask, listens
from tests.support.workloads import Workload, Workloads

# kolla-ansible's roles/service-uwsgi-config, without its log file.
CONFIG = """\
[uwsgi]
add-header = Connection: close
buffer-size = 65535
die-on-term = true
enable-threads = true
exit-on-reload = false
hook-master-start = unix_signal:15 gracefully_kill_them_all
http = {address}:{port}
http-auto-chunked = true
http-chunked-input = true
http-raw-body = true
lazy-apps = true
master = true
plugins = http,python3
processes = 2
socket-timeout = 30
thunder-lock = true
worker-reload-mercy = 80
wsgi-file = /app.py
"""
# Each request lasts until the file is there.
APP = """\
import os, time

def application(environ, start_response):
    while not os.path.exists("/record/answer"):
        time.sleep(0.02)
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]
"""


class Api:
    """One container, and the requests that were sent to it."""

    def __init__(self, workload: Workload, address: Callable[[], str], port: int) -> None:
        self.workload, self.port, self._address = workload, port, address
        self._pool = ThreadPoolExecutor()

    def request(self) -> Future[str]:
        return self._pool.submit(ask, self.port, self._address())

    def answer(self) -> None:
        """From now on each request is answered."""
        (self.workload.folder / "answer").touch()

    def close(self) -> None:
        self.answer()
        self._pool.shutdown()


@pytest.fixture
def api(workloads: Workloads, tmp_path: Path) -> Iterator[Callable[..., Api]]:
    made: list[Api] = []

    def start(network: str = "host") -> Api:
        port, on_host = next(free_ports()), network == "host"
        (tmp_path / "uwsgi.ini").write_text(CONFIG.format(address="127.0.0.1" if on_host else "", port=port))
        (tmp_path / "app.py").write_text(APP)
        workload = workloads.start(
            command=("uwsgi", "/uwsgi.ini"),
            volumes=[f"{tmp_path}/uwsgi.ini:/uwsgi.ini:ro", f"{tmp_path}/app.py:/app.py:ro"],
            network_mode=network,
            # By which a container of any name is known.
            environment={"KOLLA_SERVICE_NAME": "nova-api"},
        )

        def address() -> str:
            found = workload.inspect()["NetworkSettings"]
            return "127.0.0.1" if on_host else str(found["Networks"][network]["IPAddress"])

        made.append(Api(workload, address, port))
        wait_until(lambda: listens(port, address()), 180, "uWSGI listens", on_timeout=workload.report)
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def in_flight(run_module: Any) -> Callable[[Api], list[dict[str, Any]]]:
    def look(api: Api) -> list[dict[str, Any]]:
        found = run_module({"action": "drain_status", "name": api.workload.name})
        assert (found["service"], found["evidence"]) == ("requests", "ok"), found
        operations: list[dict[str, Any]] = found["operations"]
        return operations

    return look


def stop(api: Api, **options: Any) -> dict[str, Any]:
    named = {"action": "stop_container", "name": api.workload.name, "graceful_shutdown_timeout": 120}
    return {**named, **options}


def test_requests_are_told(api: Any, in_flight: Any) -> None:
    served = api()
    assert in_flight(served) == []
    sent = [served.request() for _ in range(3)]  # of which the third waits for a worker
    wait_until(lambda: len(in_flight(served)) == 3, 180, "three requests", on_timeout=served.workload.report)
    assert all(op["kind"] == "request" and op["since"] for op in in_flight(served))
    assert all(op["id"].startswith("127.0.0.1:") for op in in_flight(served))
    served.answer()
    assert [one.result(180) for one in sent] == ["answered"] * 3
    wait_until(lambda: in_flight(served) == [], 180, "no request", on_timeout=served.workload.report)


def test_the_signal_waits_for_them(api: Any, in_flight: Any, start_module: Any) -> None:
    served = api()
    sent = served.request()
    wait_until(lambda: in_flight(served), 180, "the request", on_timeout=served.workload.report)
    run = start_module(stop(served))
    wait_for_runs(served.workload)
    time.sleep(3)  # several looks
    assert served.workload.sent == []
    served.answer()
    result = run.result()
    assert (result["verdict"], result["signal"]) == ("drained", "SIGTERM"), result
    assert [op["outcome"] for op in result["operations"]] == ["finished"]
    assert sent.result(180) == "answered"
    signalled_once(served.workload)


def test_what_it_keeps_from_whoever_asks_is_told(api: Any, in_flight: Any, start_module: Any) -> None:
    """Signalled with a request in flight uWSGI finishes its work, and answers neither that one nor what comes then."""
    served = api()
    before = served.request()
    wait_until(lambda: in_flight(served), 180, "the request", on_timeout=served.workload.report)
    (told,) = in_flight(served)
    run = start_module(stop(served, quiesce="never", poll_interval=0.2))
    wait_until(
        lambda: served.workload.sent, 180, "the signal", interval=0.05, on_timeout=served.workload.report
    )
    after = served.request()
    wait_until(lambda: len(in_flight(served)) == 2, 180, "one that hangs", on_timeout=served.workload.report)
    served.answer()
    result = run.result()
    assert (before.result(180), after.result(180)) == ("cut", "cut")
    assert b"generated 0 bytes" in served.workload.raw.logs(), "the worker finished"
    assert result["verdict"] in ("unverified", "cut"), result
    (first,) = [op for op in result["operations"] if op["id"] == told["id"]]
    assert first["outcome"] == "unknown", result
    assert len(result["operations"]) >= 2
    signalled_once(served.workload)


@engines.docker_only("podman's networks are not set up on every machine")
def test_a_network_of_its_own(api: Any, in_flight: Any, run_module: Any) -> None:
    served = api(network="bridge")
    sent = served.request()
    wait_until(lambda: in_flight(served), 180, "the request", on_timeout=served.workload.report)
    served.answer()
    assert sent.result(180) == "answered"
    assert run_module(stop(served))["verdict"] == "drained"
