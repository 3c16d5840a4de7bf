"""Preflight against real containers, each with one fault."""

from __future__ import annotations

from typing import Any

import pytest

from kolla_drain.preflight import checks as preflight
from kolla_drain.preflight.checks import Facts
from kolla_drain.preflight.process import read_process
from testbed.waiting import wait_until
from tests.support import engines
from tests.support.workloads import DUMB_INIT, Workload, Workloads

SLEEP = ("sleep", "600")
SHELL = ("bash", "-c", "sleep 600; true")  # the last word keeps bash from becoming sleep
TRAP = ("bash", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
SIGWAIT = (
    "python3",
    "-c",
    "import signal as s; s.pthread_sigmask(s.SIG_BLOCK, [s.SIGTERM]); s.sigwait([s.SIGTERM])",
)


def faults(workload: Workload, signal: str = "SIGTERM", **more: Any) -> list[str]:
    """The codes that preflight finds now."""
    container = workload.model()
    process = read_process(container)
    facts = Facts(container=container, signal=signal, timeout=180.0, process=process, **more)
    return [finding.code for finding in preflight.check(facts)]


def program_runs(workload: Workload, name: str) -> None:
    """Wait until the process that gets the signal has become ``name``: an exec takes its time."""

    def is_there() -> bool:
        process = read_process(workload.model())
        while process is not None and process.child is not None:
            process = process.child
        return process is not None and process.name == name

    wait_until(is_there, 180, f"{name} in {workload.name}", interval=0.02, on_timeout=workload.report)


@pytest.mark.parametrize(
    "made",
    [
        {"under": ()},
        {"under": DUMB_INIT},
        {"under": ("dumb-init", "-c")},
        {"under": ("dumb-init",), "environment": {"DUMB_INIT_SETSID": "0"}},
        {"under": ("tini", "--")},
        {"under": ("tini", "--", *DUMB_INIT)},
        {"under": (), "init": True},
        {"under": (), "pid_mode": "host"},
        {"under": (), "stop_signal": "SIGTERM", "restart": "always"},
    ],
    ids=[
        "PID 1",
        "dumb-init --single-child",
        "dumb-init -c",
        "dumb-init by environment",
        "tini",
        "dumb-init under tini",
        "the engine's init",
        "the host's PIDs",
        "restarted, but for its own stop signal",
    ],
)
def test_nothing_is_wrong(workloads: Workloads, made: dict[str, Any]) -> None:
    if engines.is_podman() and made.get("init"):
        pytest.skip("Debian's podman comes without its init, catatonit")
    assert faults(workloads.start(**made)) == []


# How the container is made, the program that must be up before we look, and what is found.
FAULTS: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "no handler, PID 1": ({"under": (), "command": SLEEP}, "sleep", ["signal_not_handled"]),
    "no handler, under dumb-init": ({"command": SLEEP}, "sleep", ["signal_not_handled"]),
    "no handler, under tini": ({"under": ("tini",), "command": SLEEP}, "sleep", ["signal_not_handled"]),
    "a shell as PID 1": ({"under": (), "command": SHELL}, "bash", ["init_not_ready"]),
    "a shell under dumb-init": ({"command": SHELL}, "bash", ["init_not_ready"]),
    "a whole process group": ({"under": ("dumb-init",)}, "python3", ["dumb_init_group"]),
    "a whole process group, tini": ({"under": ("tini", "-g", "--")}, "python3", ["tini_group"]),
    "a signal swallowed": (
        {"under": ("dumb-init", "-c", "-r", "15:0")},
        "python3",
        ["signal_not_handled"],
    ),
    "another stop signal": (
        {"stop_signal": "SIGQUIT", "restart": "always"},
        "python3",
        ["stop_signal_differs"],
    ),
    "another image's stop signal, a number": ({"stop_signal": "3"}, "python3", ["stop_signal_differs"]),
}


@pytest.mark.parametrize(("made", "program", "codes"), FAULTS.values(), ids=FAULTS.keys())
def test_fault(workloads: Workloads, made: dict[str, Any], program: str, codes: list[str]) -> None:
    workload = workloads.start(**made)
    program_runs(workload, program)
    assert faults(workload) == codes


@pytest.mark.parametrize(("command", "program"), [(TRAP, "bash"), (SIGWAIT, "python3")])
def test_other_ways_to_handle_it(workloads: Workloads, command: tuple[str, ...], program: str) -> None:
    workload = workloads.start(under=(), command=command)
    program_runs(workload, program)
    wait_until(lambda: faults(workload) == [], 180, "a handler", interval=0.02, on_timeout=workload.report)


def test_ignored(workloads: Workloads) -> None:
    workload = workloads.start("--ignore", "SIGTERM")
    assert faults(workload) == ["signal_not_handled"]
    # Podman gives each container a StopSignal of its own, SIGTERM.
    assert faults(workload, "SIGINT") == []


def test_the_words_hold_what_happens(workloads: Workloads) -> None:
    """A PID 1 without a handler outlives SIGTERM; the same program under an init dies of it at once."""
    as_pid_1 = workloads.start(under=(), command=SLEEP)
    under_init = workloads.start(command=SLEEP)
    for workload in (as_pid_1, under_init):
        program_runs(workload, "sleep")
        workload.raw.kill("SIGTERM")
    under_init.wait_status("exited")
    assert under_init.state["ExitCode"] == 128 + 15
    assert as_pid_1.status == "running"
    assert as_pid_1.sent == under_init.sent == ["SIGTERM"]


def test_paused(workloads: Workloads) -> None:
    workload = workloads.start()
    workload.pause()
    assert faults(workload) == ["paused"]


@engines.docker_only("podman knows no such state")
def test_restarting(workloads: Workloads) -> None:
    workload = workloads.start("--exit-after", "0", "--exit-code", "1", restart="always", ready="exit")
    workload.wait_between_restarts()
    # A pause that has just ended is followed by a longer one.
    wait_until(lambda: faults(workload) == ["restarting"], 180, "it restarts", on_timeout=workload.report)


def test_exits_while_being_looked_at(workloads: Workloads) -> None:
    workload = workloads.start()
    before = workload.model()
    workload.raw.kill("SIGKILL")
    workload.wait_status("exited")
    assert read_process(before) is None
    assert faults(workload) == []


def test_guests_that_would_end_with_their_hypervisors_container(
    run_module: Any, workloads: Workloads
) -> None:
    """What the kernel calls qemu-kvm stands for a guest; a stop would end it, so a plan says so."""
    script = "cp $(command -v sleep) /tmp/qemu-kvm; trap 'exit 0' TERM; /tmp/qemu-kvm 600 & while :; do sleep 0.1; done"
    workload = workloads.start(command=("bash", "-c", script))
    asked = {"action": "stop_container", "name": workload.name, "service": "none"}

    def found() -> list[str]:
        return [one["code"] for one in run_module(asked, check=True)["preflight"]]

    wait_until(lambda: found() == ["guests_inside"], 180, "the guest", interval=0.2)
    refused = run_module({**asked, "preflight": "strict"})
    assert refused["failed"]
    assert "1 virtual machine(s) run in this container" in refused["msg"]
    assert workload.status == "running"
