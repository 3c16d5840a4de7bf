"""Start, reuse and inspect the testbed's containers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import re
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.types import Ulimit

from testbed.errors import Collision, TestbedError
from testbed.paths import LABEL, MORE_STATE_FILE, NOVA_STATE_FILE, SPEC_LABEL, STATE_FILE
from testbed.waiting import wait_until

FIRST_PORT = 23400
# NOTE: Erlang and MariaDB make tables as long as the limit of open files, and the engine's may be a billion.
FEW_FILES = 16384
EXEC_TIMEOUT = 900  # seconds that a command in a container may take
STDOUT = 1  # the number of its stream


@dataclass(frozen=True)
class Spec:
    """The description of a container; containers of equal descriptions are interchangeable."""

    name: str
    image: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    cap_add: tuple[str, ...] = ()
    ipc_mode: str | None = None
    user: str = ""
    network: str = "host"
    restart_policy: str = "no"
    few_files: bool = False
    fingerprint: str = ""  # of the files that are mounted

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(vars(self), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Ran:
    """A command that was run in a container."""

    code: int
    output: bytes  # standard output and standard error, in the order in which they came
    stdout: bytes


def find(client: docker.DockerClient, name: str) -> Container | None:
    """Return the container of this name, or None."""
    try:
        return client.containers.get(name)
    except NotFound:
        return None


def pause(container: Container, patience: float = 180) -> None:
    """Pause a container, for up to ``patience`` seconds.

    On a busy machine runc may not get all processes of a control group (v1) to a halt, and refuses: "unable to freeze".
    """

    def paused() -> bool:
        container.reload()
        if container.status != "paused":
            container.pause()
        return True

    wait_until(paused, patience, f"{container.name} paused")


def refuse_strangers(client: docker.DockerClient, name: str) -> None:
    """Refuse to touch a container of this name that the testbed did not make."""
    container = find(client, name)
    if container is not None and LABEL not in container.labels:
        raise Collision(
            f"A container {name} is there that the testbed did not make: this machine seems to run a real "
            "Kolla, and the testbed must not share names with it; use another machine."
        )


def ensure(client: docker.DockerClient, spec: Spec) -> str:
    """Make the container run; return ``running``, ``started``, ``created`` or ``recreated``."""
    refuse_strangers(client, spec.name)
    container = find(client, spec.name)
    done = "created"
    if container is not None:
        if container.labels.get(SPEC_LABEL) == spec.digest:
            return _wake(container)
        container.remove(force=True, v=True)
        done = "recreated"
    _create(client, spec).start()
    return done


def _wake(container: Container) -> str:
    if container.status == "running":
        return "running"
    if container.status == "paused":
        container.unpause()
    else:
        container.start()
    return "started"


def _create(client: docker.DockerClient, spec: Spec) -> Container:
    options: dict[str, Any] = {
        "name": spec.name,
        "command": list(spec.command),
        "environment": spec.environment,
        "volumes": list(spec.volumes),
        "labels": {**spec.labels, SPEC_LABEL: spec.digest},
        "network_mode": spec.network,
        "restart_policy": {"Name": spec.restart_policy},
        "cap_add": list(spec.cap_add),
        "ipc_mode": spec.ipc_mode,
        "user": spec.user,
    }
    if spec.few_files:
        options["ulimits"] = [Ulimit(name="nofile", soft=FEW_FILES, hard=FEW_FILES)]
    try:
        return client.containers.create(spec.image, **options)
    except APIError as error:
        raise TestbedError(f"The engine would not create {spec.name}: {error.explanation}") from error


def remove(client: docker.DockerClient, name: str) -> bool:
    """Remove the testbed's container of this name, running or not."""
    container = find(client, name)
    if container is None or LABEL not in container.labels:
        return False
    with contextlib.suppress(NotFound):
        container.remove(force=True, v=True)
    return True


def ours(client: docker.DockerClient, stack: str | None = None) -> list[Container]:
    """Return the testbed's containers, of one stack or of all."""
    label = LABEL if stack is None else f"{LABEL}={stack}"
    return client.containers.list(all=True, filters={"label": label}, ignore_removed=True)


def execute(
    container: Container, command: list[str], user: str = "", environment: Mapping[str, str] | None = None
) -> Ran:
    """Run a command in a running container.

    NOTE: this replaces ``container.exec_run``, which at times loses the output: it reads from the raw socket and misses
    what came together with the answer's header and so is in the HTTP client's buffer. That is likely on a busy machine
    (https://github.com/docker/docker-py/issues/3332).
    """
    api = container.client.api
    job = api.exec_create(container.id, command, user=user, environment=dict(environment or {}))["Id"]
    answer = api.post(
        f"{api.base_url}/v{api.api_version}/exec/{job}/start",
        json={"Detach": False, "Tty": False},
        timeout=EXEC_TIMEOUT,
    )
    if not answer.ok:
        raise TestbedError(
            f"The engine would not run '{' '.join(command)}' in {container.name}: {answer.text.strip()}"
        )
    output = stdout = b""
    rest = answer.content
    while rest:
        # A byte for the stream, three without a meaning, four for the size of the piece that follows.
        stream, size = struct.unpack(">BxxxL", rest[:8])
        piece, rest = rest[8 : 8 + size], rest[8 + size :]
        output += piece
        stdout += piece if stream == STDOUT else b""
    return Ran(int(api.exec_inspect(job)["ExitCode"]), output, stdout)


def run_inside(container: Container, command: list[str], what: str, **options: Any) -> str:
    """Run a command in a running container and return what it printed."""
    ran = execute(container, command, **options)
    text = ran.output.decode(errors="replace")
    if ran.code:
        raise TestbedError(
            f"{what} in {container.name} failed (rc {ran.code}): {without_secrets(text)[-1200:]}"
        )
    return text


def log_tail(client: docker.DockerClient, name: str, lines: int = 15) -> str:
    """Return the state and the last lines of a container's log, without passwords."""
    container = find(client, name)
    if container is None:
        return f"{name}: no such container"
    state = container.attrs["State"]
    head = f"--- {name}: {state['Status']}, exit code {state['ExitCode']}"
    try:
        text = container.logs(tail=lines).decode(errors="replace")
    except APIError as error:
        text = f"no log: {error.explanation}"
    return f"{head}\n{without_secrets(text).strip()}"


def without_secrets(text: str) -> str:
    """Blank passwords in URLs and settings."""
    text = re.sub(r"(\w+://[^:/@\s]+:)[^@\s]+@", r"\1***@", text)
    return re.sub(r"(?i)(passw\w*\s*[=:]\s*)\S+", r"\1***", text)


def started_at(container: Container) -> datetime:
    """Return the start of the container's process."""
    container.reload()
    return engine_time(container.attrs["State"]["StartedAt"])


def engine_time(text: str) -> datetime:
    """Convert the engine's timestamp, which has nanoseconds."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    moment = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return moment.replace(microsecond=int((fraction + "000000")[:6]))


def free_ports() -> Iterator[int]:
    """Yield free ports in random order, without those of a stack.

    A server that is being restarted does not hold its port for a moment: the next one in order would be taken then.
    """
    kept = _kept_ports()
    for port in random.sample(range(FIRST_PORT, 32000), 32000 - FIRST_PORT):
        if port not in kept and _is_free(port):
            yield port
    raise TestbedError(f"No free port between {FIRST_PORT} and 32000.")


def _kept_ports() -> set[int]:
    """Return the ports of the stacks that are up."""
    kept = set()
    for file in (STATE_FILE, NOVA_STATE_FILE, MORE_STATE_FILE):
        with contextlib.suppress(FileNotFoundError):
            endpoints = json.loads(file.read_text()).get("endpoints") or {}
            kept |= {port for name, port in endpoints.items() if name.endswith("_port")}
    return kept


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - only to see whether it is taken
        except OSError:
            return False
    return True
