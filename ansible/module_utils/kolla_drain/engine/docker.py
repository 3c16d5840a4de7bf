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
from typing import Any

from ..drain import Sent
from ..errors import EngineError, EngineUnreachable, NoSuchContainer, NotRunning
from ..model import Container, ContainerStatus
from ..signals import normalise

try:
    import docker
    import docker.errors
    import docker.utils
    import requests.exceptions

    IMPORT_ERROR: ImportError | None = None
except ImportError as exc:
    IMPORT_ERROR = exc

# Looks and signals answer in milliseconds; an engine that takes longer than this, in seconds, is treated as
# silent, so that one slow call does not hold up the deadlines of the others.
QUICK = 10


class DockerEngine:
    """One Docker Engine. ``client_timeout`` (seconds) is for calls that may take long, such as remove."""

    def __init__(self, client_timeout: int = 120) -> None:
        if IMPORT_ERROR is not None:
            raise EngineError(
                f"The Python library docker is missing for {sys.executable} on this host ({IMPORT_ERROR}); install it "
                "there (pip install docker, or the package python3-docker), or set ansible_python_interpreter to a "
                "Python that has it."
            )
        self._failures: dict[str, str] = {}
        self._slow = self._connect(client_timeout)
        self._quick = self._connect(min(QUICK, client_timeout))

    @staticmethod
    def _connect(timeout: int) -> Any:
        with _translated():
            return docker.APIClient(**docker.utils.kwargs_from_env(), version="auto", timeout=timeout)

    # --- looking

    def inspect(self, container_id: str) -> Container | None:
        """Look at a container by id or name; None when there is none. Raises EngineError."""
        try:
            with _translated():
                return _container(self._quick.inspect_container(container_id))
        except NoSuchContainer:
            return None

    def state(self, container_id: str) -> dict[str, Any]:
        """State as the engine gives it. Raises NoSuchContainer."""
        with _translated():
            return dict(self._quick.inspect_container(container_id)["State"])

    def sent(self, container: Container) -> Sent:
        """Signals that the engine sent to this process life, from its memory of the latest 256 events."""
        since, names, oldest = epoch(container.started_at), [], time.time()
        with _translated():
            for event in self._quick.events(since=1, until=f"{time.time():.6f}", decode=True):
                at = event.get("timeNano", 0) / 1e9
                oldest = min(oldest, at)
                ours = event.get("Type") == "container" and event.get("Actor", {}).get("ID") == container.id
                if ours and event.get("Action") == "kill" and at >= since:
                    names.append(normalise(event["Actor"]["Attributes"].get("signal", "")))
        return Sent(tuple(names), oldest)

    # --- acting

    def signal(self, container_id: str, signal: str) -> None:
        """Send a signal with the engine's kill. Raises NotRunning, NoSuchContainer, EngineError."""
        with _translated():
            self._quick.kill(container_id, signal)

    def kill(self, container_id: str) -> None:
        """Start SIGKILL in the background: the engine's own call blocks for 12 s where it fails (FACTS E7)."""
        self._failures.pop(container_id, None)
        threading.Thread(target=self._kill, args=(container_id,), daemon=True).start()

    def _kill(self, container_id: str) -> None:
        try:
            with _translated():
                self._connect(60).kill(container_id, "SIGKILL")
        except (NotRunning, NoSuchContainer):
            pass  # it exited first
        except EngineError as exc:
            self._failures[container_id] = str(exc)

    def kill_failure(self, container_id: str) -> str:
        """What the engine said against the SIGKILL, so far; empty when nothing."""
        return self._failures.get(container_id, "")

    def thaw(self, container_id: str) -> None:
        """Let a paused container run again; one that is not paused is left as it is."""
        with contextlib.suppress(NotRunning), _translated():
            self._quick.unpause(container_id)

    def start(self, container_id: str) -> None:
        """Start an existing container; one that runs is left as it is. Raises EngineError."""
        with _translated():
            self._slow.start(container_id)

    def stop(self, container_id: str, timeout: int) -> None:
        """The engine's plain stop: StopSignal, ``timeout`` seconds, SIGKILL.

        The client waits for all of it (FACTS E8), and a lost answer is not retried: that would signal twice.
        """
        with _translated():
            self._slow.stop(container_id, timeout=timeout)

    def remove(self, container_id: str) -> None:
        """Remove a container that does not run, its named volumes stay. Raises EngineError."""
        with contextlib.suppress(NoSuchContainer), _translated():
            self._slow.remove_container(container_id)

    def watch(self, container_ids: list[str], wake: Callable[[], None]) -> Watcher:
        """Call ``wake`` as soon as one of the containers ends, from a thread, until the watcher is closed."""
        return Watcher(self._connect, container_ids, wake)


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
        raise EngineError(f"The Docker Engine refused: {said}.") from exc
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError, ValueError) as exc:
        raise EngineUnreachable(
            f"The Docker Engine does not answer ({_root_cause(exc)}); see that it runs on this host "
            "(systemctl status docker) and that this user may talk to it (become: true)."
        ) from exc


def _root_cause(exc: BaseException) -> str:
    """The innermost cause in a few words: the SDK wraps it up to five times."""
    text = str(exc)
    if isinstance(exc, requests.exceptions.Timeout) or "timed out" in text:
        return "it timed out"
    for words in (
        "Permission denied",
        "Connection refused",
        "No such file or directory",
        "Connection aborted",
    ):
        if words in text:
            return words.lower()
    return text.splitlines()[0][:200] if text else type(exc).__name__


def _container(found: dict[str, Any]) -> Container:
    state, config = found["State"], found["Config"]
    status = ContainerStatus(state["Status"])
    over = status in (ContainerStatus.EXITED, ContainerStatus.DEAD)
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
        stop_signal=_stop_signal(config.get("StopSignal")),
        restart_policy=found.get("HostConfig", {}).get("RestartPolicy", {}).get("Name", ""),
        image=config.get("Image", ""),
        env=env,
    )


def _stop_signal(value: str | None) -> str:
    try:
        return normalise(value) if value else ""
    except ValueError:
        return str(value)


def epoch(moment: str) -> float:
    """Seconds since 1970 of the engine's RFC 3339 with nanoseconds; 0 when it names no moment."""
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$", moment)
    if not match or moment.startswith("0001"):
        return 0.0
    base, fraction, zone = match.groups()
    whole = datetime.datetime.fromisoformat(base + ("+00:00" if zone == "Z" else zone)).timestamp()
    return whole + float(fraction or 0)
