"""Ways to end a service that has come to rest, each as short as it can be said."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from docker.errors import APIError
from docker.models.containers import Container

from benchmarks.subjects import Subject

BETWEEN_READINGS = 0.1
# A quiet moment that does not come is not waited for longer; then it is SIGTERM at any moment.
QUIET_LIMIT = 150.0
TERM = "SIGTERM"


@dataclass
class Stop:
    """One stop and start; times in seconds since the epoch."""

    begun: float
    acted: float = 0.0  # the signal, or the freeze that was the last one
    exited: float = 0.0
    started: float = 0.0
    served: float = 0.0
    quiet: bool = True  # the moment that the way wants came
    freezes: int = 0
    frozen: float = 0.0  # seconds, the longest
    unfrozen: int = 0  # freezes that the engine could not do
    killed: bool = False  # it would not exit
    said: str = ""  # kolla_docker's verdict


def sigterm_quiet(subject: Subject, stop: Stop) -> None:
    """SIGTERM when two readings running are empty."""
    stop.quiet = quiet(subject)
    _sigterm(subject, stop)


def sigterm_successor(subject: Subject, stop: Stop) -> None:
    """The same, and its successor is started at the moment of the signal."""
    spare = subject.spare()
    stop.quiet = quiet(subject)
    container = subject.container
    stop.acted = time.time()
    container.kill(TERM)
    spare.start()
    stop.started = time.time()
    stop.killed = not subject.wait_exit(container)
    stop.exited = time.time()
    subject.switch_to(spare)


def freeze(subject: Subject, stop: Stop, *, every_process: bool = True) -> None:
    """Frozen when empty, read again, killed while frozen; thawed when it is not empty.

    The engine's kill reaches PID 1 alone and thaws: the other processes then run
    until the kernel has taken the first one's namespace down, unless each has a SIGKILL of its own by then.
    """
    container = subject.container
    deadline = time.time() + QUIET_LIMIT
    while True:
        # One empty reading: the second is the one while it is frozen.
        stop.quiet = quiet(subject, deadline - time.time(), readings=1)
        if not stop.quiet:
            _sigterm(subject, stop)
            return
        stop.acted = time.time()
        if not _pause(container, stop):
            continue
        if subject.empty():
            for process in container.top()["Processes"] if every_process else ():
                os.kill(int(process[1]), signal.SIGKILL)
            container.kill("SIGKILL")
            break
        container.unpause()
        stop.frozen = max(stop.frozen, time.time() - stop.acted)
    container.wait(timeout=30)
    stop.exited = time.time()
    stop.frozen = max(stop.frozen, stop.exited - stop.acted)


def _pause(container: Container, stop: Stop) -> bool:
    """A freeze fails now and then on a busy machine: runc gives its processes 50 ms to come to rest."""
    try:
        container.pause()
    except APIError:
        stop.unfrozen += 1
        with contextlib.suppress(APIError):
            container.unpause()
        return False
    stop.freezes += 1
    return True


def freeze_init(subject: Subject, stop: Stop) -> None:
    """The same with the engine's kill alone."""
    freeze(subject, stop, every_process=False)


def sigterm_any(subject: Subject, stop: Stop) -> None:
    """SIGTERM at any moment, and its exit is waited for."""
    _sigterm(subject, stop)


def docker_stop(subject: Subject, stop: Stop) -> None:
    """The engine's own stop, 10 s, at any moment."""
    stop.acted = time.time()
    subject.container.stop(timeout=10)
    stop.exited = time.time()


def module_signal(subject: Subject, stop: Stop) -> None:
    """kolla_docker with exit=signal."""
    _module(subject, stop, "signal")


def module_freeze(subject: Subject, stop: Stop) -> None:
    """kolla_docker with exit=freeze."""
    _module(subject, stop, "freeze")


def _module(subject: Subject, stop: Stop, way: str) -> None:
    from tests.support.module_run import run_module

    # Nothing of what is lost already is in its way: it would wait for it.
    arguments = {
        "action": "stop_container",
        "name": subject.container.name,
        "service": subject.service,
        "service_config": [subject.config],
        "graceful_shutdown_timeout": 90,
        "exit": way,
    }
    result = run_module(arguments)
    stop.exited = time.time()
    stop.said = (
        f"{result.get('verdict')}, {result.get('exit')}" if "verdict" in result else result.get("msg", "")
    )
    stop.acted = stop.exited - float(result.get("drained") or 0)


def _sigterm(subject: Subject, stop: Stop) -> None:
    container = subject.container
    stop.acted = time.time()
    container.kill(TERM)
    stop.killed = not subject.wait_exit(container)
    stop.exited = time.time()


def quiet(subject: Subject, limit: float = QUIET_LIMIT, readings: int = 2) -> bool:
    """Wait for so many empty readings running; False when they did not come."""
    deadline = time.monotonic() + limit
    empty = 0
    while time.monotonic() < deadline:
        empty = empty + 1 if subject.empty() else 0
        if empty >= readings:
            return True
        time.sleep(BETWEEN_READINGS)
    return False


WAYS: dict[str, Callable[[Subject, Stop], None]] = {
    "sigterm-quiet": sigterm_quiet,
    "sigterm-successor": sigterm_successor,
    "freeze": freeze,
    "freeze-init": freeze_init,
    "sigterm-any": sigterm_any,
    "docker-stop": docker_stop,
    "module-signal": module_signal,
    "module-freeze": module_freeze,
}
