"""Podman, through podman-py's client of its service.

Podman does not record which signals it sent, and after a kill it starts a container again where the restart policy says
so (seen with 4.3). A container with such a policy therefore gets its StopSignal by podman's own stop, whose SIGKILL is
put off for longer than any stop lasts.
"""

from __future__ import annotations

import contextlib
import json
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import EngineAbsent, EngineError, EngineUnreachable, NoSuchContainer, NotRunning
from ..model import Container, ContainerStatus, Sent
from .common import LOG_LINES, PATIENT, QUICK, CommonEngine, EventWatcher, start
from .inspected import described, epoch, status_of
from .past import moment, of_life, set_back
from .podman_client import IMPORT_ERROR, call, inspection, no_answer, stream
from .podman_resources import PodmanMaker

# Seconds after which podman's stop kills: a year, which no drain lasts.
_NEVER = 365 * 86400

# Podman refuses a log while its last line is being written, with these words; seconds for which it is asked again.
_HALF_LINE, _WRITTEN_WITHIN = "is not a valid container log line", 5.0

# Before each piece of a log: the stream, three bytes without a meaning, the length.
_HEADER = struct.Struct(">4xL")

# Seconds within which podman starts a container again after its end, where a restart policy is at work.
_RESTARTS_WITHIN = 1.0

# Seconds for which a stop of a container that is started again and again is tried in one of its lives.
_CATCH = 8.0

_STATUS = {
    "configured": ContainerStatus.CREATED,
    "initialized": ContainerStatus.CREATED,
    "stopping": ContainerStatus.RUNNING,  # signalled by podman's stop, and its process lives
    "stopped": ContainerStatus.EXITED,
    "unknown": ContainerStatus.DEAD,
}


class PodmanEngine(CommonEngine):
    """Podman on this host, as in port.Engine. ``client_timeout`` (seconds) is for calls that may take long."""

    command = "podman"
    slow_events = (
        "Podman's events took longer than {seconds} s, and only they tell whether a stop signal was sent before. "
        'Podman before 4.4 reads its whole journal for them: upgrade it, or set events_logger = "file" under [engine] '
        "in its containers.conf."
    )

    def __init__(self, client_timeout: int = 120) -> None:
        super().__init__(IMPORT_ERROR)
        self.no_answer = no_answer
        self._client_timeout = client_timeout
        self._own: dict[str, list[tuple[float, str]]] = {}  # signals of this run: wall clock and name
        self._ended: set[str] = set()  # ids of containers that this run asked podman to stop or to kill
        call("get", "/_ping")

    def maker(self) -> PodmanMaker:
        return PodmanMaker(self._client_timeout)

    # --- looking

    def inspect(self, name: str) -> Container | None:
        try:
            container = _container(inspection(name))
        except NoSuchContainer:
            return None
        if self._may_come_back(container):
            return replace(container, status=ContainerStatus.RESTARTING, exit_code=None)
        return container

    def _may_come_back(self, container: Container) -> bool:
        """Return whether podman may be about to restart it: it has no state for that moment."""
        policy = container.restart_policy
        return (
            container.status is ContainerStatus.EXITED
            and container.id not in self._ended
            and (
                policy in ("always", "unless-stopped")
                or (policy == "on-failure" and bool(container.exit_code))
            )
            and 0 <= time.time() - epoch(container.finished_at) < _RESTARTS_WITHIN
        )

    def everything(self) -> dict[str, dict[str, str]]:
        listed = call("get", "/containers/json", params={"all": True}).json()
        return {
            name: dict(container.get("Labels") or {})
            for container in listed
            for name in container.get("Names") or []
        }

    def log(self, container_id: str, since: int) -> list[str]:
        wanted = {"stdout": True, "stderr": True, "since": since, "tail": LOG_LINES}
        until = time.monotonic() + _WRITTEN_WITHIN
        while True:
            try:
                body: bytes = call("get", f"/containers/{container_id}/logs", params=wanted).content
                return without_frames(body).decode(errors="replace").splitlines()
            except EngineError as exc:
                if _HALF_LINE not in str(exc) or time.monotonic() >= until:
                    raise
            time.sleep(0.05)

    def state(self, name: str) -> dict[str, Any]:
        return dict(inspection(name)["State"])

    def _sent(self, container: Container) -> Sent:
        """Return the signals as far as podman's events, its state and this run tell."""
        stopping = False
        with contextlib.suppress(NoSuchContainer):
            shown = inspection(container.id)
            stopping = shown["State"]["Status"] == "stopping"
            now = _container(shown)
            container = now if now.life == container.life else container
        # Only this life: podman since 4.4 reads no more of the journal than it is asked for, and healthchecks fill it.
        back = set_back(container)
        since = max(1, int(epoch(container.started_at) - back) - 1)
        wanted = {"since": f"{since}", "until": f"{time.time() + back + 1:.0f}", "stream": False}
        wanted["filters"] = json.dumps({"type": ["container"], "container": [container.id]})
        lines = call("get", "/events", params=wanted).text.splitlines()
        events = [json.loads(line) for line in lines if line.strip()]
        own = [
            ours for ours in self._own.get(container.id, ()) if ours[0] >= epoch(container.started_at) - back
        ]
        return signals_of(container, events, own, stopping=stopping)

    # --- acting

    def _send(self, container_id: str, signal: str) -> None:
        container = _container(inspection(container_id))
        ours = (time.time(), signal)
        own = self._own.setdefault(container_id, [])
        own.append(ours)
        try:
            # Podman would restart the container after a kill with this signal, and not after its own stop.
            if container.restart_policy not in ("", "no") and signal == container.stop_signal:
                self._stop_without_end(container)
            else:
                if signal == "SIGKILL":
                    self._ended.add(container_id)
                path = f"/containers/{container_id}/kill"
                call("post", path, params={"signal": signal}, timeout=PATIENT)
        except EngineError as exc:
            if isinstance(exc, EngineAbsent) or not isinstance(exc, EngineUnreachable):
                own.remove(ours)  # nobody took it
            raise

    def _stop_without_end(self, container: Container) -> None:
        """Start podman's stop and return once its signal is out; the call itself lasts until the container's end.

        Podman's stop does not call off a restart that is about to come, so the life that follows is stopped instead:
        not at its very beginning, when a first process has no handler yet and is sent no signal. Where lives are
        shorter than that, podman is asked until it meets one.
        """
        until = time.monotonic()
        if self._may_come_back(container):
            time.sleep(_RESTARTS_WITHIN)
            until += _CATCH
        while not _stopped(container.id):
            now = _container(inspection(container.id))
            if time.monotonic() >= until or not (now.alive or self._may_come_back(now)):
                raise NotRunning("Podman refused: the container has stopped already.")
        self._ended.add(container.id)

    def _unpause(self, container_id: str) -> None:
        call("post", f"/containers/{container_id}/unpause")

    def start(self, container_id: str) -> None:
        self._ended.discard(container_id)
        call("post", f"/containers/{container_id}/start", timeout=self._client_timeout)

    def stop(self, container_id: str, timeout: int) -> None:
        """Stop with podman's plain stop: StopSignal, ``timeout`` seconds, SIGKILL. Raises EngineError.

        Podman refuses to stop a paused container, so that is unpaused first. The client waits for the whole stop, and
        does not retry after a lost answer, because a second stop would signal again.
        """
        if inspection(container_id)["State"]["Status"] == "paused":
            self.unpause(container_id)
        self._ended.add(container_id)
        path, patience = f"/containers/{container_id}/stop", timeout + self._client_timeout
        call("post", path, params={"timeout": timeout}, timeout=patience)

    def rename(self, container_id: str, name: str) -> None:
        call("post", f"/containers/{container_id}/rename", params={"name": name})

    def set_restart_policy(self, container_id: str, policy: str, retries: int = 0) -> None:
        """Do nothing: podman before 5.1 cannot change a policy, and none restarts what podman's stop has ended."""

    def remove(self, container_id: str) -> None:
        with contextlib.suppress(NoSuchContainer):
            call("delete", f"/containers/{container_id}", timeout=self._client_timeout)

    def watch(self, container_ids: list[str], wake: Callable[[], None]) -> EventWatcher:
        filters = json.dumps({"type": ["container"], "container": container_ids})

        def events() -> Iterator[Any]:
            wanted = {"filters": filters, "stream": True}
            response = call("get", "/events", params=wanted, timeout=(QUICK, None), stream=True)
            yield None
            yield from stream(response.iter_lines())

        return EventWatcher(events, wake)


def _stopped(container_id: str) -> bool:
    """Start podman's stop; return whether podman took it, which it does only while the container runs."""
    path, never = f"/containers/{container_id}/stop", {"timeout": _NEVER}
    stop = start(lambda: call("post", path, params=never, timeout=(QUICK, None)))
    while not stop.done() and inspection(container_id)["State"]["Status"] != "stopping":
        time.sleep(0.02)
    return not (stop.done() and stop.result().status_code == 304)


def without_frames(body: bytes) -> bytes:
    """Return a log's text: a header of eight bytes before each piece tells its stream and its length.

    The log of a container with a terminal has no such headers.
    """
    pieces = []
    while len(body) >= _HEADER.size and body[0] <= 2 and body[1:4] == b"\0\0\0":
        (length,) = _HEADER.unpack_from(body)
        pieces.append(body[_HEADER.size : _HEADER.size + length])
        body = body[_HEADER.size + length :]
    return b"".join(pieces) + body


def signals_of(
    container: Container,
    events: Sequence[Mapping[str, Any]],
    own: Sequence[tuple[float, str]] = (),
    *,
    stopping: bool = False,
) -> Sent:
    """Return the signals of one process life. Podman's kill events name no signal, but this run knows its ``own``.

    What podman was asked for says nothing of what it did: only an event, or its state, does.

    A last kill before an exit with 137 was SIGKILL; any other that is not ours stays unnamed. Pure.
    """
    life, whole = of_life(container, events)
    unclaimed = list(own)
    names: list[str] = []
    unnamed: list[float] = []
    for at in (moment(event) for event in life if event.get("Action") == "kill"):
        if unclaimed and unclaimed[0][0] <= at:
            names.append(unclaimed.pop(0)[1])
        else:
            unnamed.append(at)
    stopped = any(event.get("Action") == "stop" for event in life)
    stop_signal = container.stop_signal or "SIGTERM"
    if (stopping or stopped) and stop_signal not in names:
        names.insert(0, stop_signal)
    killed = container.exit_code == 137 and not container.oom_killed
    if killed and "SIGKILL" not in names and (unnamed or stopped):
        names.append("SIGKILL")
        unnamed = unnamed[:-1]
    # Podman remembers all of a life whose start it remembers. Its log may have been rotated, or be switched off.
    if whole:
        return Sent(tuple(names), 0.0, unnamed=tuple(unnamed))
    now = time.time()
    oldest = min(map(moment, events), default=now)
    return Sent(tuple(names), oldest, unnamed=tuple(unnamed), horizon=max(0.0, now - oldest))


def _container(shown: Mapping[str, Any]) -> Container:
    status = shown["State"]["Status"]
    return described(shown, _STATUS.get(status) or status_of(shown["State"]))
