"""The Docker Engine, through the docker SDK's low-level client.

The observed state of the container decides, never the error of a call: a signal whose answer was
lost may have been delivered (FACTS E7, E8).
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..errors import EngineAbsent, EngineError, EngineUnreachable, NoSuchContainer, NotRunning
from ..model import Container, ContainerStatus, Sent
from ..signals import signal_name
from .common import PATIENT, QUICK, SHORT_ID, ActingEngine, EventWatcher, start
from .inspected import described, epoch
from .port import Maker
from .resources import EngineMaker

try:
    import docker
    import docker.errors
    import docker.utils
    import requests
    import requests.exceptions

    IMPORT_ERROR: ImportError | None = None
except ImportError as exc:
    IMPORT_ERROR = exc

# What the SDK's error says when nobody took the request.
_NOT_SENT = ("Permission denied", "Connection refused", "No such file or directory")

# What the engine says when it lives and its container runtime does not, as while containerd restarts.
_RUNTIME_SILENT = ("containerd", "transport", "unavailable", "context deadline exceeded")


class DockerEngine(ActingEngine):
    """One Docker Engine. ``client_timeout`` (seconds) is for calls that may take long, such as remove."""

    command = "docker"

    def __init__(self, client_timeout: int = 120) -> None:
        super().__init__(IMPORT_ERROR)
        self._client_timeout = client_timeout
        self._version = "auto"
        self._quick = self.connect(QUICK)
        self._version = self._quick.api_version

    def connect(self, timeout: int) -> Any:
        """A client of its own; once the version is known this talks to nobody yet."""
        with translated():
            return docker.APIClient(**docker.utils.kwargs_from_env(), version=self._version, timeout=timeout)

    def no_answer(self, why: str) -> str:
        """The sentence for an engine that is silent."""
        return _no_answer(why)

    def maker(self) -> Maker:
        """What makes containers, images and volumes on this engine."""
        return EngineMaker(self.connect(QUICK), self.connect(self._client_timeout), translated)

    # --- looking

    def inspect(self, name: str) -> Container | None:
        """Look at a container by its name or id; None when there is none. Raises EngineError."""
        try:
            found = self._found(name)
        except NoSuchContainer:
            return None
        return _container(found)

    def everything(self) -> dict[str, dict[str, str]]:
        """The labels of every container by its name, whether it runs or not. Raises EngineError."""
        with translated():
            found = self._quick.containers(all=True)
        # Of a container that is being removed no name is left; one that is linked to has names like /web/db, too.
        names = ((one, name.lstrip("/")) for one in found for name in one.get("Names") or [])
        return {name: dict(one.get("Labels") or {}) for one, name in names if "/" not in name}

    def state(self, name: str) -> dict[str, Any]:
        """State as the engine gives it. Raises NoSuchContainer."""
        return dict(self._found(name)["State"])

    def _found(self, name: str) -> dict[str, Any]:
        with translated():
            found: dict[str, Any] = self._quick.inspect_container(name)
        # The engine takes the first letters of an id for the whole: "ca" might be anybody's.
        of_id = len(name) >= SHORT_ID and found["Id"].startswith(name)
        if found["Name"].lstrip("/") != name and not of_id:
            raise NoSuchContainer(f"The engine has no container of the name {name}.")
        return found

    def sent(self, container: Container) -> Sent:
        """Signals that the engine sent to this process life, from its memory of the latest 256 events."""
        sent: Sent = self.answer(start(lambda: self._sent(container)))
        return replace(sent, pending=self.pending(container.id))

    def _sent(self, container: Container) -> Sent:
        since, names, oldest = epoch(container.started_at), [], time.time()
        paused = killed_frozen = False
        with translated():
            for event in self.connect(QUICK).events(since=1, until=f"{time.time():.6f}", decode=True):
                at = event.get("timeNano", 0) / 1e9
                oldest = min(oldest, at)
                ours = event.get("Type") == "container" and event.get("Actor", {}).get("ID") == container.id
                if not ours or at < since:
                    continue
                action = event.get("Action")
                paused = action == "pause" or (paused and action != "unpause")
                if action == "kill":
                    names.append(signal_name(event["Actor"]["Attributes"].get("signal", "")))
                    killed_frozen = paused and names[-1] == "SIGKILL"
        return Sent(tuple(names), oldest, killed_frozen=killed_frozen)

    # --- acting

    def _send(self, container_id: str, signal: str) -> None:
        with translated():
            self.connect(PATIENT).kill(container_id, signal)

    def _pause(self, container_id: str) -> None:
        with translated():
            self._quick.pause(container_id)

    def _unpause(self, container_id: str) -> None:
        with translated():
            self._quick.unpause(container_id)

    def start(self, container_id: str) -> None:
        """Start an existing container; one that runs is left as it is. Raises EngineError."""
        with translated():
            self.connect(self._client_timeout).start(container_id)

    def stop(self, container_id: str, timeout: int) -> None:
        """The engine's plain stop: StopSignal, ``timeout`` seconds, SIGKILL.

        The client waits for all of it (FACTS E8), and a lost answer is not retried: that would signal twice.
        """
        with translated():
            self.connect(self._client_timeout).stop(container_id, timeout=timeout)

    def rename(self, container_id: str, name: str) -> None:
        """Give a container another name. Raises EngineError where that name is taken."""
        with translated():
            self._quick.rename(container_id, name)

    def set_restart_policy(self, container_id: str, policy: str, retries: int = 0) -> None:
        """Say what the engine does when its process ends, from now on. Raises EngineError."""
        wanted = {"Name": policy or "no", "MaximumRetryCount": retries}
        with translated():
            self._quick.update_container(container_id, restart_policy=wanted)

    def remove(self, container_id: str) -> None:
        """Remove a container that does not run, its named volumes stay. Raises EngineError."""
        with contextlib.suppress(NoSuchContainer), translated():
            self.connect(self._client_timeout).remove_container(container_id)

    def watch(self, container_ids: list[str], wake: Callable[[], None]) -> EventWatcher:
        """Call ``wake`` as soon as one of the containers ends, from a thread, until the watcher is closed."""
        filters = {"type": ["container"], "container": container_ids, "event": ["die", "destroy", "start"]}

        def events() -> Iterable[Any]:
            with translated():
                return _heard(self.connect(QUICK).events(filters=filters, decode=True))

        return EventWatcher(events, wake)


def _heard(events: Iterable[Any]) -> Iterator[Any]:
    with translated():
        yield from events


@contextlib.contextmanager
def translated() -> Iterator[None]:
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
    return described(found, ContainerStatus(found["State"]["Status"]))
