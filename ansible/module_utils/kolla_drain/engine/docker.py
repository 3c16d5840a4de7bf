"""The Docker Engine, through the docker SDK's low-level client.

The observed state of the container decides, never the error of a call: a signal whose answer was lost may have been
delivered, and a SIGKILL that Docker took may have had no effect, as on a process that waits for a device.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError as CallTimedOut
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import EngineAbsent, EngineError, EngineUnreachable, NoSuchContainer, NotRunning
from ..masking import masked
from ..model import Container, Sent
from ..signals import signal_name
from .common import LOG_LINES, PATIENT, QUICK, CommonEngine, EventWatcher, Shared, is_called, start
from .inspected import described, status_of
from .past import moment, of_life, set_back

if TYPE_CHECKING:
    from .resources import Maker


def _leave_setuptools_out() -> None:
    """Keep setuptools from standing in for Python's own distutils, which docker 5 imports: that takes half of its time.

    Debian 12 and Ubuntu 22.04 have that docker. Where Python has no distutils, setuptools is needed.
    """
    stand_in = sys.modules.get("_distutils_hack")
    if sys.version_info >= (3, 12) or stand_in is None:
        return
    stand_in.remove_shim()
    if importlib.util.find_spec("distutils") is None or importlib.util.find_spec("distutils.spawn") is None:
        stand_in.add_shim()


_leave_setuptools_out()

try:
    import docker
    import docker.errors
    import docker.utils
    import requests
    import requests.exceptions

    IMPORT_ERROR: ImportError | None = None
except ImportError as exc:
    IMPORT_ERROR = exc

# Events that Docker remembers at most.
_REMEMBERED = 256

# Seconds without an event after which Docker has sent those that it remembers.
_QUIET = 1.0

# In the SDK's error when nobody took the request. The last one: more clients wait than the socket has room for.
_NOT_SENT = (
    "Permission denied",
    "Connection refused",
    "No such file or directory",
    "Resource temporarily unavailable",
)

# In the engine's error when its container runtime does not answer, as while containerd restarts.
_RUNTIME_SILENT = (
    "containerd",
    "transport",
    "unavailable",
    "deadline exceeded",
    "ttrpc",
    "rpc error",
    "context canceled",
)


class DockerEngine(CommonEngine):
    """One Docker Engine, as in port.Engine. ``client_timeout`` (seconds) is for calls that may take long."""

    command = "docker"

    def __init__(self, client_timeout: int = 120) -> None:
        super().__init__(IMPORT_ERROR)
        self._client_timeout = client_timeout
        self._version = "auto"
        self.no_answer = _no_answer
        first = self.connect(QUICK)
        self._version = first.api_version
        self._idle = [first]
        self._events = Shared(lambda: self._remembered(False))

    def connect(self, timeout: int) -> Any:
        """Return a new client. Only the first one, which asks for the engine's version, makes a connection."""
        with translated():
            return docker.APIClient(**docker.utils.kwargs_from_env(), version=self._version, timeout=timeout)

    @contextlib.contextmanager
    def _quick(self) -> Iterator[Any]:
        """Lend a client for one call, because threads must not share any."""
        try:
            client = self._idle.pop()
        except IndexError:
            client = self.connect(QUICK)
        try:
            with translated():
                yield client
        finally:
            self._idle.append(client)

    def maker(self) -> Maker:
        from .resources import Maker

        return Maker(self.connect(QUICK), self.connect(self._client_timeout), translated)

    # --- looking

    def inspect(self, name: str) -> Container | None:
        try:
            inspection = self._inspection(name)
        except NoSuchContainer:
            return None
        return described(inspection, status_of(inspection["State"]))

    def everything(self) -> dict[str, dict[str, str]]:
        with self._quick() as client:
            listed = client.containers(all=True)
        # A container that is being removed has no name left; a linked one has a second one such as /web/db.
        return {
            name[1:]: dict(container.get("Labels") or {})
            for container in listed
            for name in container.get("Names") or []
            if "/" not in name[1:]
        }

    def log(self, container_id: str, since: int) -> list[str]:
        with self._quick() as client:
            text: bytes = client.logs(container_id, since=since, tail=LOG_LINES)
        return text.decode(errors="replace").splitlines()

    def state(self, name: str) -> dict[str, Any]:
        return dict(self._inspection(name)["State"])

    def _inspection(self, name: str) -> dict[str, Any]:
        with self._quick() as client:
            inspection: dict[str, Any] = client.inspect_container(name)
        if not is_called(name, inspection["Id"], inspection["Name"].lstrip("/")):
            raise NoSuchContainer(f"The engine has no container of the name {name}.")
        return inspection

    def _sent(self, container: Container) -> Sent:
        """Return the signals as far as they are among the 256 events that Docker remembers.

        Each run of a healthcheck is three of them, so that on a host of Kolla they reach back a minute or two.
        """
        was_set_back = set_back(container) > 0
        events = self._remembered(True) if was_set_back else self._events.read()
        sent = signals_of(container, events, time.time())
        if sent.horizon is None:
            return sent
        forgotten = None if sent.signals else _signalled(self._inspection(container.id))
        # Whether something came before the oldest event or after it, such a clock does not tell.
        covers_from = math.inf if was_set_back else sent.covers_from
        return replace(sent, covers_from=covers_from, forgotten=forgotten)

    def _remembered(self, was_set_back: bool) -> list[dict[str, Any]]:
        """Return the events that Docker remembers, in their order.

        Docker leaves out those from after ``until``, which a clock that was set back makes the newest. Without
        ``until`` it sends them all, and then goes on with what happens.
        """
        until = None if was_set_back else f"{time.time():.6f}"
        with translated():
            stream = self.connect(QUICK).events(since=1, until=until, decode=True)
            return list(stream) if until else _first(stream)

    # --- acting

    def _send(self, container_id: str, signal: str) -> None:
        with translated():
            self.connect(PATIENT).kill(container_id, signal)

    def _unpause(self, container_id: str) -> None:
        with self._quick() as client:
            client.unpause(container_id)

    def start(self, container_id: str) -> None:
        with translated():
            self.connect(self._client_timeout).start(container_id)

    def stop(self, container_id: str, timeout: int) -> None:
        """Stop with the engine's plain stop: StopSignal, ``timeout`` seconds, SIGKILL. Raises EngineError.

        The SDK adds ``timeout`` to its own, so it waits for all of that. A lost answer is not retried, because Docker
        goes on with a stop whose client is gone, and a second one would signal again.
        """
        with translated():
            self.connect(self._client_timeout).stop(container_id, timeout=timeout)

    def rename(self, container_id: str, name: str) -> None:
        with self._quick() as client:
            client.rename(container_id, name)

    def set_restart_policy(self, container_id: str, policy: str, retries: int = 0) -> None:
        wanted = {"Name": policy or "no", "MaximumRetryCount": retries}
        with self._quick() as client:
            client.update_container(container_id, restart_policy=wanted)

    def remove(self, container_id: str) -> None:
        with contextlib.suppress(NoSuchContainer), translated():
            self.connect(self._client_timeout).remove_container(container_id)

    def watch(self, container_ids: list[str], wake: Callable[[], None]) -> EventWatcher:
        filters = {"type": ["container"], "container": container_ids, "event": ["die", "destroy", "start"]}

        def events() -> Iterator[Any]:
            with translated():
                stream = self.connect(QUICK).events(filters=filters, decode=True)
                yield None
                yield from stream

        return EventWatcher(events, wake)


def _first(stream: Any) -> list[dict[str, Any]]:
    """Return what comes from a stream without an end until it is quiet, at most what Docker remembers."""
    events: list[dict[str, Any]] = []

    def follow() -> None:
        for event in itertools.islice(stream, _REMEMBERED):
            events.append(event)

    following, known = start(follow), -1
    while len(events) > known:
        known = len(events)
        with contextlib.suppress(CallTimedOut):
            following.result(_QUIET)
            break
    stream.close()
    return events


def signals_of(container: Container, events: Sequence[Mapping[str, Any]], now: float) -> Sent:
    """Return the signals of one process life among the events of all containers; ``now`` is wall clock. Pure."""
    ours = [
        event
        for event in events
        if event.get("Type") == "container" and event.get("Actor", {}).get("ID") == container.id
    ]
    life, whole = of_life(container, ours)
    kills = [event["Actor"]["Attributes"] for event in life if event.get("Action") == "kill"]
    names = tuple(signal_name(attributes.get("signal", "")) for attributes in kills)
    if whole:
        return Sent(names, 0.0)
    oldest = moment(events[0]) if events else now
    return Sent(names, oldest, horizon=max(0.0, now - oldest))


def _signalled(inspection: Mapping[str, Any]) -> float | None:
    """Return how many seconds ago, or more, the engine sent this life a signal; None if none is known.

    Docker keeps that beside the container, as HasBeenManuallyStopped, so as not to start it again by itself, and writes
    the file anew at later changes, too: https://github.com/moby/moby/blob/v28.0.0/daemon/kill.go
    """
    # The file of the host name may be that of another container, whose network this one shares.
    containers = os.path.dirname(os.path.dirname(inspection.get("HostnamePath") or ""))
    try:
        with open(f"{containers}/{inspection['Id']}/config.v2.json", encoding="utf-8") as stream:
            written, kept = os.fstat(stream.fileno()).st_mtime, json.load(stream)
    except (OSError, ValueError):
        return None
    return max(0.0, time.time() - written) if kept.get("HasBeenManuallyStopped") else None


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn the SDK's exceptions into typed errors, each with a sentence."""
    try:
        yield
    except docker.errors.NotFound as exc:
        raise NoSuchContainer(f"The engine has no such container: {exc.explanation or exc}.") from exc
    except docker.errors.APIError as exc:
        # It may quote the command that the container runs.
        reason = masked("", str(exc.explanation or exc).strip().rstrip("."))
        if exc.status_code == 409 or "is not running" in reason or "is not paused" in reason:
            raise NotRunning(f"The engine refused: {reason}.") from exc
        if (exc.status_code or 0) >= 500 and any(words in reason.lower() for words in _RUNTIME_SILENT):
            raise EngineUnreachable(f"The Docker Engine does not reach its containers: {reason}.") from exc
        raise EngineError(f"The Docker Engine refused: {reason}.") from exc
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
