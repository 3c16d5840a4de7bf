"""Containers that run ``workload.py``: made, watched, and removed whatever happens."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound

from kolla_drain.model import Container, ContainerStatus
from testbed import containers
from testbed.waiting import wait_until

from . import engines
from .engine_events import EventLog

# Each test session labels what it makes with its process id and that process's start, so that another
# session that finds them knows whether their maker is still at it.
LABEL = "kolla_drain.tests"
SCRIPT = Path(__file__).with_name("workload.py")
DUMB_INIT = ("dumb-init", "--single-child", "--")

# Seconds. On a loaded machine everything takes long; a test waits for conditions and never for this.
PATIENCE = 180.0


def _start_of(pid: int) -> str:
    """When a process was started, in clock ticks since the boot; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _session() -> str:
    return f"{os.getpid()}-{_start_of(os.getpid())}"


# A behaviour: it drains until ``Workload.end`` is called.
UNTIL_TOLD = ("--end", "/record/end")

# Podman's words for a container that drains, and for one whose process has gone and whose clean-up has not been done.
PODMANS_OWN = {"stopping": "running", "stopped": "exited"}


@dataclasses.dataclass
class Workload:
    """One container under test."""

    raw: Any  # of the docker SDK
    name: str
    folder: Path
    log: EventLog

    @property
    def id(self) -> str:
        found: str = self.raw.id
        return found

    def inspect(self) -> dict[str, Any]:
        """``docker inspect``, afresh."""
        answer: dict[str, Any] = self.raw.client.api.inspect_container(self.id)
        return answer

    @property
    def exists(self) -> bool:
        try:
            self.inspect()
        except NotFound:
            return False
        return True

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.inspect()["State"]
        return found

    @property
    def status(self) -> str:
        found: str = self.state["Status"]
        return PODMANS_OWN.get(found, found)

    def pause(self) -> None:
        containers.pause(self.raw)

    def stop_by_another(self) -> None:
        """Somebody else sends it the stop signal, in a way that its engine can tell of."""
        if engines.is_podman():  # whose event of a kill names no signal
            threading.Thread(target=self.raw.stop, kwargs={"timeout": 600}, daemon=True).start()
        else:
            self.raw.kill("SIGTERM")
        self.wait_line("signal SIGTERM")

    def end(self) -> None:
        """Its drain may end, if it was started ``UNTIL_TOLD``."""
        (self.folder / "end").touch()

    @property
    def lines(self) -> list[str]:
        """The events that the process recorded, also when its container is gone."""
        try:
            return (self.folder / "events").read_text().splitlines()
        except FileNotFoundError:
            return []

    @property
    def received(self) -> list[str]:
        """The signals that its main process got, oldest first."""
        return [line.split()[1] for line in self.lines if line.startswith("signal ")]

    @property
    def sent(self) -> list[str]:
        """The signals that the engine sent, oldest first."""
        return self.log.kills(self.id)

    @property
    def child(self) -> str:
        """The program that its init runs, from /proc: the engine's own list needs a ``ps`` on the host."""
        pid = self.state["Pid"]
        first = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
        return Path(f"/proc/{first}/comm").read_text().strip()

    def wait_line(self, line: str, count: int = 1, timeout: float = PATIENCE) -> None:
        """Until it recorded a line so often; a line is given whole or up to a space."""

        def seen() -> bool:
            return sum(one == line or one.startswith(line + " ") for one in self.lines) >= count

        wait_until(seen, timeout, f"'{line}' from {self.name}", interval=0.02, on_timeout=self.report)

    def wait_status(self, status: str, timeout: float = PATIENCE) -> None:
        """Until the engine says so."""
        wait_until(
            lambda: self.status == status,
            timeout,
            f"{self.name} {status}",
            interval=0.05,
            on_timeout=self.report,
        )

    def wait_between_restarts(self) -> None:
        """Until its restart policy waits for long before it starts it again.

        The engine doubles its pause with each restart: after five it is 3.2 s, time enough to look at it.
        """
        wait_until(
            lambda: self.inspect()["RestartCount"] >= 5,
            PATIENCE,
            f"five restarts of {self.name}",
            interval=0.05,
            on_timeout=self.report,
        )
        if not engines.is_podman():  # which knows no such state, and no pause
            self.wait_status("restarting")

    def model(self) -> Container:
        """It as the core sees it, for tests of parts that need no engine driver."""
        answer = self.inspect()
        state, config = answer["State"], answer["Config"]
        return Container(
            id=answer["Id"],
            name=self.name,
            status=ContainerStatus(state["Status"]),
            pid=state["Pid"],
            started_at=state["StartedAt"],
            stop_signal=config.get("StopSignal") or "",
            restart_policy=answer["HostConfig"]["RestartPolicy"]["Name"],
            image=config["Image"],
            env=dict(pair.partition("=")[::2] for pair in config["Env"] or ()),
        )

    def report(self) -> str:
        """All that helps to understand a failure."""
        parts = [f"--- {self.name} ({self.id[:12]})"]
        try:
            state = self.state
            parts.append(", ".join(f"{key}={state[key]}" for key in ("Status", "ExitCode", "Error")))
            parts.append(self.raw.logs(timestamps=True, tail=40).decode(errors="replace"))
        except APIError as error:
            parts += [str(error.explanation), *self.lines]
        for event in self.log.of(self.id):
            attributes = event["Actor"]["Attributes"]
            about = {key: attributes[key] for key in ("signal", "exitCode") if key in attributes}
            at = time.strftime("%H:%M:%S", time.gmtime(event["time"]))
            parts.append(f"{at}.{event['timeNano'] // 10**6 % 1000:03} {event['Action']} {about or ''}")
        return "\n".join(parts)

    def _kill(self) -> None:
        """Podman's removal by force would wait for its grace first."""
        if engines.is_podman():
            self.raw.kill("SIGKILL")

    def remove(self) -> None:
        """Gone, whatever state it is in."""

        def gone() -> bool:
            # Any of these fails now and then: the container is paused, restarting, or being removed already.
            for undo in (
                lambda: self.raw.update(restart_policy={"Name": "no"}),
                self.raw.unpause,
                self._kill,
            ):
                with contextlib.suppress(APIError):
                    undo()
            try:
                self.raw.remove(force=True, v=True)
            except NotFound:
                return True
            except APIError:
                return False
            return True

        wait_until(gone, PATIENCE, f"{self.name} removed", interval=0.2, on_timeout=self.report)
        shutil.rmtree(self.folder, ignore_errors=True)


class Workloads:
    """Makes workloads and removes them all."""

    def __init__(self, client: docker.DockerClient, image: str) -> None:
        self.client = client
        self.image = image
        self.log = EventLog(client, f"{LABEL}={_session()}", getattr(client, "recorder", None))
        self.made: list[Workload] = []

    def create(
        self,
        *behaviour: str,
        under: Sequence[str] = DUMB_INIT,
        command: Sequence[str] = (),
        name: str = "",
        restart: str = "no",
        **options: Any,
    ) -> Workload:
        """A container that is not started. ``behaviour`` is workload.py's; ``command`` runs something
        else; ``under`` is the init before it.

        ``options`` are those of the docker SDK's ``containers.create``.
        """
        name = name or f"kd_test_{secrets.token_hex(4)}"
        folder = Path(tempfile.mkdtemp(prefix="kolla-drain-test-"))
        what = command or ("python3", "-u", "/workload.py", "--record", "/record/events", *behaviour)
        labels = {LABEL: _session(), **options.pop("labels", {})}
        volumes = [f"{SCRIPT}:/workload.py:ro", f"{folder}:/record", *options.pop("volumes", [])]
        try:
            raw = self.client.containers.create(
                self.image,
                entrypoint=[*under, *what],
                command=[],
                name=name,
                labels=labels,
                volumes=volumes,
                network_mode=options.pop("network_mode", "host"),
                restart_policy={"Name": restart},
                **options,
            )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        workload = Workload(raw, name, folder, self.log)
        self.made.append(workload)
        return workload

    def start(self, *behaviour: str, ready: str = "ready", **options: Any) -> Workload:
        """A started container, once it recorded ``ready``; empty for not waiting."""
        workload = self.create(*behaviour, **options)
        workload.raw.start()
        if ready and not options.get("command"):
            workload.wait_line(ready)
        return workload

    def report(self) -> str:
        return "\n".join(workload.report() for workload in self.made)

    def exists(self, name: str) -> bool:
        """Whether the engine has a container of this name, whoever made it."""
        try:
            self.client.containers.get(name)
        except NotFound:
            return False
        return True

    def remove(self, these: Sequence[Workload] | None = None) -> None:
        """All that was made for the test that ends, or only these."""
        for workload in list(self.made if these is None else these):
            workload.remove()
            self.made.remove(workload)

    def close(self) -> None:
        self.remove()
        self.log.close()


def sweep(client: docker.DockerClient) -> None:
    """Remove what test sessions left that are no more."""
    for raw in client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True):
        pid, _, start = raw.labels[LABEL].partition("-")
        if _start_of(int(pid)) != start:
            with contextlib.suppress(NotFound, APIError):
                raw.remove(force=True, v=True)


@contextlib.contextmanager
def workloads(client: docker.DockerClient, image: str) -> Iterator[Workloads]:
    """Workloads for one session; everything is removed at its end."""
    made = Workloads(client, image)
    try:
        yield made
    finally:
        made.close()


def cinder_arguments(connection: Mapping[str, Any], host: str, *operations: str) -> list[str]:
    """workload.py's arguments for a service that keeps Cinder's rows; operations as KIND:SECONDS."""
    arguments = ["--database", json.dumps(dict(connection)), "--host", host]
    return arguments + [word for operation in operations for word in ("--operation", operation)]
