"""Podman, through podman-py's client of its service.

Podman keeps no name of the signals that it sent, and starts a container again after a kill where its restart policy
says so (seen with 4.3): a container with such a policy gets its StopSignal by podman's own stop, whose SIGKILL is put
off for longer than any stop lasts.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import EngineAbsent, NoSuchContainer, NotRunning
from ..model import Container, ContainerStatus, Sent
from .common import PATIENT, QUICK, SHORT_ID, ActingEngine, EventWatcher, start
from .inspected import described, epoch
from .podman_client import IMPORT_ERROR, SOCKET, VERSION, heard, no_answer, translated
from .port import Maker

with contextlib.suppress(ImportError):  # podman_client.IMPORT_ERROR says it
    from podman.api.client import APIClient

# Podman's stop kills after this many seconds: a year, which no drain lasts.
_NEVER = 365 * 86400

# Where a restart policy is at work podman starts a container again this soon, in seconds, after its end.
_RESTARTS_WITHIN = 1.0

# One that is started again and again is tried to be stopped in one of its lives for this long, in seconds.
_CATCH = 8.0

_EVENTS_ARE_SLOW = (
    "Podman's events took longer than {seconds} s, and only they tell whether a stop signal was sent before. Podman "
    'before 4.4 reads its whole journal for them: upgrade it, or set events_logger = "file" under [engine] in its '
    "containers.conf."
)

_STATUS = {
    "configured": ContainerStatus.CREATED,
    "initialized": ContainerStatus.CREATED,
    "stopping": ContainerStatus.RUNNING,  # signalled by podman's stop, and its process lives
    "stopped": ContainerStatus.EXITED,
    "unknown": ContainerStatus.DEAD,
}


class PodmanEngine(ActingEngine):
    """Podman on this host. ``client_timeout`` (seconds) is for calls that may take long, such as remove."""

    command = "podman"

    def __init__(self, client_timeout: int = 120) -> None:
        super().__init__(IMPORT_ERROR)
        self._client_timeout = client_timeout
        self._own: dict[str, list[tuple[float, str]]] = {}  # what this run sent: wall clock and signal
        self._ended: set[str] = set()  # ids of what this run has asked podman to stop or to kill
        self.call("get", "/_ping")

    def call(
        self, method: str, path: str, *, timeout: Any = QUICK, compatible: bool = False, **more: Any
    ) -> Any:
        """One request on a connection of its own; returns the response. Raises EngineError or a kind of it."""
        with translated():
            client = APIClient(os.environ.get("CONTAINER_HOST") or SOCKET, version=VERSION, timeout=QUICK)
            if "json" in more:
                more["data"] = json.dumps(more.pop("json"))
                more["headers"] = {**more.get("headers", {}), "Content-Type": "application/json"}
            response = getattr(client, method)(path, timeout=timeout, compatible=compatible, **more)
            response.raise_for_status()
            return response

    def no_answer(self, why: str) -> str:
        """The sentence for an engine that is silent."""
        return no_answer(why)

    def maker(self) -> Maker:
        """What makes containers, images and volumes on this engine."""
        from .podman_resources import PodmanMaker

        return PodmanMaker(self, self._client_timeout)

    # --- looking

    def inspect(self, name: str) -> Container | None:
        """Look at a container by its name or id; None when there is none. Raises EngineError."""
        try:
            found = self.found(name)
        except NoSuchContainer:
            return None
        container = _container(found)
        if self._may_come_back(container):
            return replace(container, status=ContainerStatus.RESTARTING, exit_code=None)
        return container

    def _may_come_back(self, container: Container) -> bool:
        """Podman knows no state for the moment between an end and the restart that follows."""
        policy = container.restart_policy
        if (
            container.status is not ContainerStatus.EXITED
            or policy in ("", "no")
            or container.id in self._ended
        ):
            return False
        if policy == "on-failure" and not container.exit_code:
            return False
        return 0 <= time.time() - epoch(container.finished_at) < _RESTARTS_WITHIN

    def everything(self) -> dict[str, dict[str, str]]:
        """The labels of every container by its name, whether it runs or not. Raises EngineError."""
        listed = self.call("get", "/containers/json", params={"all": True}).json()
        return {name: dict(one.get("Labels") or {}) for one in listed for name in one.get("Names") or []}

    def state(self, name: str) -> dict[str, Any]:
        """State as the engine gives it. Raises NoSuchContainer."""
        return dict(self.found(name)["State"])

    def found(self, name: str) -> dict[str, Any]:
        """``podman inspect``. Raises NoSuchContainer, EngineError."""
        found: dict[str, Any] = self.call("get", f"/containers/{name}/json").json()
        # Podman takes the first letters of an id for the whole: "ca" might be anybody's.
        if found["Name"] != name and not (len(name) >= SHORT_ID and found["Id"].startswith(name)):
            raise NoSuchContainer(f"Podman has no container of the name {name}.")
        return found

    def sent(self, container: Container) -> Sent:
        """Signals that this process life has had, as far as podman's events, its state and this run tell."""
        sent: Sent = self.answer(start(lambda: self._sent(container)), _EVENTS_ARE_SLOW)
        return replace(sent, pending=self.pending(container.id))

    def _sent(self, container: Container) -> Sent:
        stopping = False
        with contextlib.suppress(NoSuchContainer):
            now = self.found(container.id)
            stopping = now["State"]["Status"] == "stopping"
            if _container(now).life == container.life:
                container = _container(now)
        # Of this life alone: of a journal podman reads all that is younger (since 4.4), and healthchecks fill it.
        since = max(1, int(epoch(container.started_at)) - 1)
        wanted = {"since": f"{since}", "until": f"{time.time() + 1:.0f}", "stream": False}
        wanted["filters"] = json.dumps({"type": ["container"], "container": [container.id]})
        lines = self.call("get", "/events", params=wanted).text.splitlines()
        events = [json.loads(line) for line in lines if line.strip()]
        return signals_of(container, events, self._own.get(container.id, ()), stopping=stopping)

    # --- acting

    def _send(self, container_id: str, signal: str) -> None:
        container = _container(self.found(container_id))
        call = (time.time(), signal)
        own = self._own.setdefault(container_id, [])
        own.append(call)
        try:
            if _is_restarted(container, signal):
                self._stop_without_end(container)
            else:
                self._kill_with(container_id, signal)
        except (NotRunning, NoSuchContainer, EngineAbsent):
            own.remove(call)
            raise

    def _kill_with(self, container_id: str, signal: str) -> None:
        if signal == "SIGKILL":
            self._ended.add(container_id)
        self.call("post", f"/containers/{container_id}/kill", params={"signal": signal}, timeout=PATIENT)

    def _stop_without_end(self, container: Container) -> None:
        """Podman's stop, waited for until the signal is out: the call itself lasts until the container's end.

        Podman ends no restart that is about to come. The life that follows is stopped, but not at its very beginning,
        when a first process has no handler yet and is given no signal; where lives are over sooner than that, podman is
        asked again until it meets one.
        """
        until = time.monotonic()
        if self._may_come_back(container):
            time.sleep(_RESTARTS_WITHIN)
            until += _CATCH
        while not self._stopped(container.id):
            now = _container(self.found(container.id))
            if time.monotonic() >= until or not (now.alive or self._may_come_back(now)):
                raise NotRunning("Podman refused: the container has stopped already.")
        self._ended.add(container.id)

    def _stopped(self, container_id: str) -> bool:
        """Whether podman took a stop; it takes none of a container that does not run."""
        path, never = f"/containers/{container_id}/stop", {"timeout": _NEVER}
        call = start(lambda: self.call("post", path, params=never, timeout=(QUICK, None)))
        while not call.done() and self.found(container_id)["State"]["Status"] != "stopping":
            time.sleep(0.02)
        return not (call.done() and call.result().status_code == 304)

    def _pause(self, container_id: str) -> None:
        self.call("post", f"/containers/{container_id}/pause")

    def _unpause(self, container_id: str) -> None:
        self.call("post", f"/containers/{container_id}/unpause")

    def start(self, container_id: str) -> None:
        """Start an existing container; one that runs is left as it is. Raises EngineError."""
        self._ended.discard(container_id)
        self.call("post", f"/containers/{container_id}/start", timeout=self._client_timeout)

    def stop(self, container_id: str, timeout: int) -> None:
        """Podman's plain stop: StopSignal, ``timeout`` seconds, SIGKILL. It refuses what is paused, so that is thawed.

        The client waits for all of it, and a lost answer is not retried: that would signal twice.
        """
        if self.found(container_id)["State"]["Status"] == "paused":
            self.thaw(container_id)
        self._ended.add(container_id)
        path, patience = f"/containers/{container_id}/stop", timeout + self._client_timeout
        self.call("post", path, params={"timeout": timeout}, timeout=patience)

    def rename(self, container_id: str, name: str) -> None:
        """Give a container another name. Raises EngineError where that name is taken."""
        self.call("post", f"/containers/{container_id}/rename", params={"name": name})

    def set_restart_policy(self, container_id: str, policy: str, retries: int = 0) -> None:
        """Nothing: podman changes no policy (before 5.1), and starts nothing by itself that a stop has ended."""

    def remove(self, container_id: str) -> None:
        """Remove a container that does not run, its named volumes stay. Raises EngineError."""
        with contextlib.suppress(NoSuchContainer):
            self.call("delete", f"/containers/{container_id}", timeout=self._client_timeout)

    def watch(self, container_ids: list[str], wake: Callable[[], None]) -> EventWatcher:
        """Call ``wake`` as soon as one of the containers ends, from a thread, until the watcher is closed."""
        filters = json.dumps({"type": ["container"], "container": container_ids})

        def events() -> Iterable[Any]:
            wanted = {"filters": filters, "stream": True}
            response = self.call("get", "/events", params=wanted, timeout=(QUICK, None), stream=True)
            return heard(response.iter_lines())

        return EventWatcher(events, wake)


def _is_restarted(container: Container, signal: str) -> bool:
    """Whether podman would start it again after a kill with this signal, and not after its own stop."""
    return container.restart_policy not in ("", "no") and signal == container.stop_signal


def signals_of(
    container: Container,
    events: Sequence[Mapping[str, Any]],
    own: Sequence[tuple[float, str]] = (),
    *,
    stopping: bool = False,
) -> Sent:
    """What one process life was sent. Podman's event of a kill names no signal: this run knows its own.

    A last kill before an end with 137 was SIGKILL; any other that is not ours stays without a name.
    """
    since = epoch(container.started_at)
    life = [event for event in events if event.get("timeNano", 0) / 1e9 >= since]
    unclaimed = [call for call in own if call[0] >= since]
    names: list[str] = []
    unnamed: list[float] = []
    paused = killed_frozen = stopped = False
    for event in life:
        action, at = event.get("Action"), event["timeNano"] / 1e9
        stopped = stopped or action == "stop"
        paused = action == "pause" or (paused and action != "unpause")
        if action == "kill":
            killed_frozen = paused
            if unclaimed and unclaimed[0][0] <= at:
                names.append(unclaimed.pop(0)[1])
            else:
                unnamed.append(at)
    names += [signal for _, signal in unclaimed if signal not in names]
    stop_signal = container.stop_signal or "SIGTERM"
    if (stopping or stopped) and stop_signal not in names:
        names.insert(0, stop_signal)
    killed = container.exit_code == 137 and not container.oom_killed
    if killed and "SIGKILL" not in names and (unnamed or stopped):
        names.append("SIGKILL")
        unnamed = unnamed[:-1]
    # With its beginning podman remembers all of a life.
    times = [event["timeNano"] / 1e9 for event in events]
    whole = any(event.get("Action") == "start" for event in life)
    oldest = 0.0 if whole else min(times, default=time.time())
    return Sent(
        tuple(names), oldest, killed_frozen=killed_frozen and "SIGKILL" in names, unnamed=tuple(unnamed)
    )


def _container(found: Mapping[str, Any]) -> Container:
    told = found["State"]["Status"]
    return described(found, _STATUS.get(told) or ContainerStatus(told))
