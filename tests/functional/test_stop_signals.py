"""Programs that end their connections at a signal of their own get that signal, and stay stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.containers import free_ports
from testbed.waiting import wait_until
from tests.support import engines
from tests.support.checks import signalled_once, stays
from tests.support.held_server import HeldServer, listens
from tests.support.workloads import Workload, Workloads

SIGNALS = {"apache2": "SIGWINCH", "haproxy": "SIGUSR1", "nginx": "SIGQUIT"}
# The kernel calls a process by the name of the file that it runs, so a link makes the workload such a program.
LINK = "ln -sf $(readlink -f $(command -v python3)) /tmp/{0}; exec /tmp/{0} -u /workload.py --record /record/events"


def program(workloads: Workloads, name: str, *behaviour: str, **options: Any) -> Workload:
    """A program of this name that drains at its own signal."""
    words = [LINK.format(name), "--stop-on", SIGNALS[name], *behaviour]
    workload = workloads.start(command=("bash", "-c", " ".join(words)), **options)
    workload.wait_line("ready")
    return workload


@pytest.fixture
def stop(run_module: Any) -> Any:
    def run(workload: Workload, **options: Any) -> dict[str, Any]:
        asked = {"action": "stop_container", "name": workload.name, "graceful_shutdown_timeout": 60}
        result: dict[str, Any] = run_module({**asked, **options})
        assert not result.get("failed"), result["msg"]
        return result

    return run


@pytest.mark.parametrize("name", SIGNALS)
def test_a_program_gets_its_own_signal(stop: Any, workloads: Workloads, name: str) -> None:
    workload = program(workloads, name, "--exit-code", "3")
    result = stop(workload)
    assert (result["signal"], result["verdict"], result["exit_code"]) == (SIGNALS[name], "unverified", 3)
    assert result["preflight"] == []
    signalled_once(workload, SIGNALS[name])
    stays(workload, "exited")


def test_what_was_asked_for_goes_before_it(stop: Any, workloads: Workloads) -> None:
    workload = program(workloads, "haproxy")
    assert stop(workload, stop_signal="SIGTERM")["signal"] == "SIGTERM"
    signalled_once(workload)


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
def test_a_restart_policy_does_not_bring_it_back(stop: Any, workloads: Workloads, policy: str) -> None:
    """As Kolla has it: neither image nor container names a StopSignal."""
    workload = program(workloads, "haproxy", "--exit-code", "1", restart=policy)
    result = stop(workload)
    stays(workload, "exited")
    if engines.is_podman():  # started again after any signal but SIGTERM, which it gives to every container
        assert workload.sent[0] == "SIGUSR1"
        assert set(workload.sent[1:]) <= {"SIGTERM", "SIGKILL"}
        return
    assert result["preflight"] == []
    signalled_once(workload, "SIGUSR1")
    assert workload.inspect()["RestartCount"] == 0


def test_a_declared_sigterm_is_told_where_it_matters(stop: Any, workloads: Workloads) -> None:
    """Some policies would bring it back: that restart is called off, or its life gets SIGTERM."""
    made = {
        policy: program(workloads, "haproxy", stop_signal="SIGTERM", restart=policy)
        for policy in ("unless-stopped", "always")
    }
    for policy, workload in made.items():
        result = stop(workload)
        stays(workload, "exited")
        found = [finding["code"] for finding in result["preflight"]]
        assert found == (["stop_signal_differs"] if policy == "always" else []), policy
        assert workload.sent[0] == "SIGUSR1", workload.report()
        assert set(workload.sent[1:]) <= {"SIGTERM", "SIGKILL"}, workload.report()
        if policy == "unless-stopped" and not engines.is_podman():
            signalled_once(workload, "SIGUSR1")


# --- the real ones

CONFIGS = {
    "haproxy": """\
defaults
    mode http
    timeout connect 9s
    timeout client 900s
    timeout server 900s
listen web
    bind 127.0.0.1:{port}
    server one 127.0.0.1:{backend}
""",
    "apache2": """\
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
ServerName localhost
Listen 127.0.0.1:{port}
User www-data
Group www-data
PidFile /tmp/httpd.pid
ErrorLog /dev/stderr
ProxyPass / http://127.0.0.1:{backend}/
""",
    "nginx": """\
daemon off;
pid /tmp/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{backend};
            proxy_read_timeout 900s;
        }}
    }}
}}
""",
}
COMMANDS = {
    # As Kolla runs them.
    "haproxy": ("haproxy", "-W", "-db", "-f", "/config"),
    "apache2": ("apache2", "-DFOREGROUND", "-f", "/config"),
    "nginx": ("nginx", "-c", "/config"),
}


@pytest.fixture
def backend() -> Iterator[HeldServer]:
    with HeldServer() as server:
        yield server


@pytest.mark.parametrize(
    ("name", "asked"), [*((name, "") for name in CONFIGS), ("haproxy", "SIGTERM"), ("nginx", "SIGTERM")]
)
def test_a_request_in_flight_is_answered(
    start_module: Any, workloads: Workloads, backend: HeldServer, tmp_path: Path, name: str, asked: str
) -> None:
    """At the program's own signal; SIGTERM cuts it, which is why there is another."""
    port = next(free_ports())
    config = tmp_path / "config"
    config.write_text(CONFIGS[name].format(port=port, backend=backend.port))
    workload = workloads.start(command=COMMANDS[name], volumes=[f"{config}:/config:ro"])
    wait_until(lambda: listens(port), 180, f"{name} listens", on_timeout=workload.report)
    request = backend.request(port)

    options = {"action": "stop_container", "name": workload.name, "graceful_shutdown_timeout": 60}
    run = start_module({**options, **({"stop_signal": asked} if asked else {})})
    wait_until(lambda: not listens(port), 180, f"{name} takes no more", on_timeout=workload.report)
    if not asked:
        assert workload.status == "running"
        backend.answer()
    result = run.result()

    assert (result["signal"], result["preflight"]) == (asked or SIGNALS[name], [])
    assert (result["verdict"], result["exit_code"]) == ("unverified", 0), workload.report()
    assert request.result(180) == ("cut" if asked else "answered"), workload.report()
