"""What the engine says that it did: its events, of which the kills matter most."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import docker
from docker.utils import convert_filters

from kolla_drain import signals

from . import engines
from .kills import Recorder


class EventLog:
    """The events of the containers with one label, from its making on.

    The engine remembers the last 256 events only, of all its containers: what came before is kept
    from the stream, what came last is asked for, since the stream may lag.
    """

    def __init__(self, client: docker.DockerClient, label: str, recorder: Recorder | None = None) -> None:
        """``recorder`` is for an engine whose events name no signal."""
        self._client = client
        self._recorder = recorder
        self._filters = {"type": "container", "label": label}
        self._since = time.time()
        self._seen: dict[tuple[int, str, str], dict[str, Any]] = {}
        self._stream = client.events(decode=True, since=self._since, filters=self._filters)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            for event in self._stream:
                self._keep(event)
        except Exception:  # noqa: BLE001 - the engine went away; what is asked for later still counts
            return

    def _keep(self, event: dict[str, Any]) -> None:
        self._seen[(event["timeNano"], event["Actor"]["ID"], event["Action"])] = event

    def of(self, container_id: str) -> list[dict[str, Any]]:
        """The events of one container, oldest first."""
        for event in self._so_far():
            self._keep(event)
        events = [event for event in list(self._seen.values()) if event["Actor"]["ID"] == container_id]
        return sorted(events, key=lambda event: event["timeNano"])

    def _so_far(self) -> Iterator[dict[str, Any]]:
        if not engines.is_podman():
            until = time.time() + 0.001
            yield from self._client.events(decode=True, since=self._since, until=until, filters=self._filters)
            return
        # Podman ends its answer at ``until`` even if it has not read its events by then, and the docker SDK does
        # not know the parameter that ends it after the last event.
        api = self._client.api
        question = {"since": self._since, "stream": "false", "filters": convert_filters(self._filters)}
        answer = api.get(f"{api.base_url}/v{api.api_version}/events", params=question)
        answer.raise_for_status()
        yield from map(json.loads, answer.text.splitlines())

    def kills(self, container_id: str, since: float = 0.0) -> list[str]:
        """The names of the signals that the engine sent to it, oldest first; ``since`` on the wall clock."""
        if self._recorder is not None:
            asked = [one for one in self._recorder.of(container_id) if one.at >= since]
            return [signals.normalise(one.signal or self._stop_signal(container_id)) for one in asked]
        return [
            signals.normalise(event["Actor"]["Attributes"]["signal"])
            for event in self.of(container_id)
            if event["Action"] == "kill" and event["timeNano"] >= since * 1e9
        ]

    def _stop_signal(self, container_id: str) -> str:
        try:
            return str(self._client.api.inspect_container(container_id)["Config"]["StopSignal"])
        except docker.errors.NotFound:
            return "SIGTERM"

    def close(self) -> None:
        self._stream.close()


def engine_signals(container: Any, since: float = 0.0) -> list[str]:
    """The signals that the engine remembers to have sent to a container of the docker SDK, oldest first.

    For tests without an ``EventLog``; the engine forgets all but its last 256 events.
    """
    events = container.client.events(
        decode=True,
        since=since,
        until=time.time() + 0.001,
        filters={"container": container.id, "event": "kill"},
    )
    return [signals.normalise(event["Actor"]["Attributes"]["signal"]) for event in events]
