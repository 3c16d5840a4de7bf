"""The Docker Engine, through the docker SDK's low-level client.

The observed state of the container decides, never the error of a call: a signal whose answer was
lost may have been delivered (FACTS E7, E8).
"""

from __future__ import annotations

import contextlib
import datetime
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as CallTimedOut
from dataclasses import replace
from typing import Any

from ..drain import Sent
from ..errors import EngineAbsent, EngineError, EngineUnreachable, NoSuchContainer, NotRunning
from ..model import Container, ContainerStatus
from ..policy import FREEZE_BOUND
from ..signals import normalise
from . import cgroup
from .watchdog import Watchdog

try:
    import docker
    import docker.errors
    import docker.utils
    import requests
    import requests.exceptions

    IMPORT_ERROR: ImportError | None = None
except ImportError as exc:
    IMPORT_ERROR = exc

# Looks and signals answer in milliseconds; an engine that takes longer than this, in seconds, is treated as
# silent, so that one slow call does not hold up the deadlines of the others.
QUICK = 10

# A signal's call is waited for in the background for this long, in seconds: the engine may carry it out until then.
PATIENT = 3600

# The length of the short ids that docker ps prints.
SHORT_ID = 12

# What the SDK's error says when nobody took the request.
_NOT_SENT = ("Permission denied", "Connection refused", "No such file or directory")

# What the engine says when it lives and its container runtime does not, as while containerd restarts.
_RUNTIME_SILENT = ("containerd", "transport", "unavailable", "context deadline exceeded")


class DockerEngine:
    """One Docker Engine. ``client_timeout`` (seconds) is for calls that may take long, such as remove."""

    def __init__(self, client_timeout: int = 120) -> None:
        if IMPORT_ERROR is not None:
            raise EngineError(
                f"The Python library docker is missing for {sys.executable} on this host ({IMPORT_ERROR}); install it "
                "there (pip install docker, or the package python3-docker), or set ansible_python_interpreter to a "
                "Python that has it."
            )
        self._client_timeout = client_timeout
        self._version = "auto"
        self._quick = self._connect(QUICK)
        self._version = self._quick.api_version
        self._failures: dict[str, str] = {}
        self._signals: dict[str, Future[None]] = {}
        self._watchdog: Watchdog | None = None

    def _connect(self, timeout: int) -> Any:
        """A client of its own; once the version is known this talks to nobody yet."""
        with _translated():
            return docker.APIClient(**docker.utils.kwargs_from_env(), version=self._version, timeout=timeout)

    # --- looking

    def inspect(self, name: str) -> Container | None:
        """Look at a container by its name or id; None when there is none. Raises EngineError."""
        try:
            found = self._found(name)
        except NoSuchContainer:
            return None
        return _container(found)

    def state(self, name: str) -> dict[str, Any]:
        """State as the engine gives it. Raises NoSuchContainer."""
        return dict(self._found(name)["State"])

    def _found(self, name: str) -> dict[str, Any]:
        with _translated():
            found: dict[str, Any] = self._quick.inspect_container(name)
        # The engine takes the first letters of an id for the whole: "ca" might be anybody's.
        of_id = len(name) >= SHORT_ID and found["Id"].startswith(name)
        if found["Name"].lstrip("/") != name and not of_id:
            raise NoSuchContainer(f"The engine has no container of the name {name}.")
        return found

    def sent(self, container: Container) -> Sent:
        """Signals that the engine sent to this process life, from its memory of the latest 256 events."""
        sent: Sent = _answer(_start(lambda: self._sent(container)))
        signal = self._signals.get(container.id)
        return replace(sent, pending=signal is not None and not signal.done())

    def _sent(self, container: Container) -> Sent:
        since, names, oldest = epoch(container.started_at), [], time.time()
        paused = killed_frozen = False
        with _translated():
            for event in self._connect(QUICK).events(since=1, until=f"{time.time():.6f}", decode=True):
                at = event.get("timeNano", 0) / 1e9
                oldest = min(oldest, at)
                ours = event.get("Type") == "container" and event.get("Actor", {}).get("ID") == container.id
                if not ours or at < since:
                    continue
                action = event.get("Action")
                paused = action == "pause" or (paused and action != "unpause")
                if action == "kill":
                    names.append(_signal_name(event["Actor"]["Attributes"].get("signal", "")))
                    killed_frozen = paused and names[-1] == "SIGKILL"
        return Sent(tuple(names), oldest, killed_frozen=killed_frozen)

    # --- acting

    def signal(self, container_id: str, signal: str) -> None:
        """Send a signal with the engine's kill. Raises NotRunning, NoSuchContainer, EngineError.

        A call that gets no answer in time is waited for on, in the background: as long as it has not come
        back the signal may still be delivered, and ``sent`` says that it is pending.
        """

        def call() -> None:
            with _translated():
                self._connect(PATIENT).kill(container_id, signal)

        self._signals[container_id] = _start(call)
        _answer(self._signals[container_id])

    def kill(self, container_id: str) -> None:
        """Start SIGKILL in the background: the engine's own call blocks for 12 s where it fails (FACTS E7)."""
        self._failures.pop(container_id, None)
        if self._watchdog is not None:
            self._watchdog.ending(container_id)
        _start(lambda: self._kill(container_id))

    def _kill(self, container_id: str) -> None:
        try:
            with _translated():
                self._connect(PATIENT).kill(container_id, "SIGKILL")
        except (NotRunning, NoSuchContainer):
            pass  # it exited first
        except EngineError as exc:
            self._failures[container_id] = str(exc)

    def end_frozen(self, container_id: str) -> str:
        """Start SIGKILL for all processes of a paused container; returns why only its first got it, if so.

        The engine's own kill goes to PID 1, then thaws; its children run on until the kernel takes them down with it
        (seen: in 6 of 10 runs, and a request was lost by that). A SIGKILL that they have by then is taken first.
        """
        failure = cgroup.kill_others(container_id, self.inspect)
        self.kill(container_id)
        return failure

    def kill_failure(self, container_id: str) -> str:
        """What the engine said against the SIGKILL, so far; empty when nothing."""
        return self._failures.get(container_id, "")

    def watch_freezes(self) -> None:
        """Start the watchdog, which takes a moment, before a freeze needs it."""
        self._watchdog = self._watchdog or Watchdog(FREEZE_BOUND)

    def freeze(self, container_id: str) -> None:
        """Pause a container, for FREEZE_BOUND at the most. Raises NotRunning, EngineError."""
        self.watch_freezes()
        assert self._watchdog is not None
        self._watchdog.freezing(container_id)
        with _translated():
            self._quick.pause(container_id)

    def thaw(self, container_id: str) -> None:
        """Let a paused container run again; one that is not paused is left as it is."""
        with contextlib.suppress(NotRunning, NoSuchContainer), _translated():
            self._quick.unpause(container_id)
        if self._watchdog is not None:
            self._watchdog.thawed(container_id)

    def close(self) -> None:
        """Let go of what watches over this run."""
        if self._watchdog is not None:
            self._watchdog.close()
            self._watchdog = None

    def start(self, container_id: str) -> None:
        """Start an existing container; one that runs is left as it is. Raises EngineError."""
        with _translated():
            self._connect(self._client_timeout).start(container_id)

    def stop(self, container_id: str, timeout: int) -> None:
        """The engine's plain stop: StopSignal, ``timeout`` seconds, SIGKILL.

        The client waits for all of it (FACTS E8), and a lost answer is not retried: that would signal twice.
        """
        with _translated():
            self._connect(self._client_timeout).stop(container_id, timeout=timeout)

    def rename(self, container_id: str, name: str) -> None:
        """Give a container another name. Raises EngineError where that name is taken."""
        with _translated():
            self._quick.rename(container_id, name)

    def set_restart_policy(self, container_id: str, policy: str, retries: int = 0) -> None:
        """Say what the engine does when its process ends, from now on. Raises EngineError."""
        wanted = {"Name": policy or "no", "MaximumRetryCount": retries}
        with _translated():
            self._quick.update_container(container_id, restart_policy=wanted)

    def remove(self, container_id: str) -> None:
        """Remove a container that does not run, its named volumes stay. Raises EngineError."""
        with contextlib.suppress(NoSuchContainer), _translated():
            self._connect(self._client_timeout).remove_container(container_id)

    def watch(self, container_ids: list[str], wake: Callable[[], None]) -> Watcher:
        """Call ``wake`` as soon as one of the containers ends, from a thread, until the watcher is closed."""
        return Watcher(self._connect, container_ids, wake)


def _start(call: Callable[[], Any]) -> Future[Any]:
    """Make a call in a thread that ends with the process. The SDK bounds the wait for events not at all."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as exc:  # noqa: BLE001 - raised where the answer is waited for
            future.set_exception(exc)

    threading.Thread(target=run, daemon=True).start()
    return future


def _answer(future: Future[Any]) -> Any:
    """What the call returned or raised; raises EngineUnreachable when it takes longer than QUICK."""
    try:
        return future.result(QUICK)
    except CallTimedOut as exc:
        raise EngineUnreachable(_no_answer(f"it took longer than {QUICK} s")) from exc


class Watcher:
    """Follows the engine's events; a connection that breaks is made again, with a wake for what was missed."""

    def __init__(
        self, connect: Callable[[int], Any], container_ids: list[str], wake: Callable[[], None]
    ) -> None:
        self._connect = connect
        self._filters = {
            "type": ["container"],
            "container": container_ids,
            "event": ["die", "destroy", "start"],
        }
        self._wake = wake
        self._closed = threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(EngineError):
                self._stream()
            self._wake()
            self._closed.wait(0.5)

    def _stream(self) -> None:
        with _translated():
            events = self._connect(QUICK).events(filters=self._filters, decode=True)
            self._wake()  # what happened before the stream was open
            for _ in events:
                if self._closed.is_set():
                    return
                self._wake()

    def close(self) -> None:
        """Stop waking; the thread ends with the process."""
        self._closed.set()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn what the SDK raises into typed errors, each a sentence."""
    try:
        yield
    except docker.errors.NotFound as exc:
        raise NoSuchContainer(f"The engine has no such container: {exc.explanation or exc}.") from exc
    except docker.errors.APIError as exc:
        said = str(exc.explanation or exc).strip().rstrip(".")
        if exc.status_code == 409 or "is not running" in said or "is not paused" in said:
            raise NotRunning(f"The engine refused: {said}.") from exc
        if (exc.status_code or 0) >= 500 and any(words in said for words in _RUNTIME_SILENT):
            raise EngineUnreachable(f"The Docker Engine does not reach its containers: {said}.") from exc
        raise EngineError(f"The Docker Engine refused: {said}.") from exc
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError, ValueError) as exc:
        text = str(exc)
        if "Not supported URL scheme" in text:
            raise EngineError(
                f"The Python library docker {docker.__version__} of {sys.executable} does not work with its "
                f"requests {requests.__version__}; install docker>=7.1 or requests<2.32."
            ) from exc
        for words in _NOT_SENT:
            if words in text:
                raise EngineAbsent(_no_answer(words.lower())) from exc
        timed_out = isinstance(exc, requests.exceptions.Timeout) or "timed out" in text
        why = "it timed out" if timed_out else text.partition("\n")[0][:200] or type(exc).__name__
        raise EngineUnreachable(_no_answer(why)) from exc


def _no_answer(why: str) -> str:
    return (
        f"The Docker Engine does not answer ({why}); see that it runs on this host "
        "(systemctl status docker) and that this user may talk to it (become: true)."
    )


def _container(found: dict[str, Any]) -> Container:
    state, config = found["State"], found["Config"]
    status = ContainerStatus(state["Status"])
    over = status in (ContainerStatus.EXITED, ContainerStatus.DEAD)
    host = found.get("HostConfig", {})
    policy = host.get("RestartPolicy") or {}
    env = dict(item.partition("=")[::2] for item in config.get("Env") or [])
    return Container(
        id=found["Id"],
        name=found["Name"].lstrip("/"),
        status=status,
        pid=state.get("Pid", 0),
        started_at=state.get("StartedAt", ""),
        finished_at=state.get("FinishedAt", ""),
        exit_code=state.get("ExitCode") if over else None,
        oom_killed=bool(state.get("OOMKilled")),
        stop_signal=_signal_name(config.get("StopSignal") or ""),
        restart_policy=policy.get("Name", ""),
        restart_retries=policy.get("MaximumRetryCount", 0),
        image=config.get("Image", ""),
        health=_health(state),
        vanishes=bool(host.get("AutoRemove")),
        labels=config.get("Labels") or {},
        env=env,
    )


def _health(state: dict[str, Any]) -> str:
    status: str = (state.get("Health") or {}).get("Status", "")
    return "" if status == "none" else status


def _signal_name(value: str) -> str:
    """The full name; what this Python knows no name for is kept as it is."""
    try:
        return normalise(value) if value else ""
    except ValueError:
        return value


def epoch(moment: str) -> float:
    """Seconds since 1970 of the engine's RFC 3339 with nanoseconds; 0 when it names no moment."""
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$", moment)
    if not match or moment.startswith("0001"):
        return 0.0
    base, fraction, zone = match.groups()
    whole = datetime.datetime.fromisoformat(base + ("+00:00" if zone == "Z" else zone)).timestamp()
    return whole + float(fraction or 0)
