"""The docker SDK's exceptions in the core's words."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import docker.errors
import pytest
import requests

from kolla_drain.engine.docker import translated
from kolla_drain.errors import EngineAbsent, EngineError, EngineUnreachable, NoSuchContainer, NotRunning


def api_error(status: int, reason: str) -> docker.errors.APIError:
    response = requests.Response()
    response.status_code = status
    kind = docker.errors.NotFound if status == 404 else docker.errors.APIError
    return kind("request failed", response, reason)


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (404, "No such container: c", NoSuchContainer),
        (409, "cannot kill container: c: container c is not running", NotRunning),
        (500, "cannot kill container: c: ttrpc: closed: unknown", EngineUnreachable),
        (500, "Cannot kill container c: rpc error: code = Unknown desc = EOF", EngineUnreachable),
        (503, "error reading from server: EOF: Unavailable", EngineUnreachable),
        (500, "dial unix /run/containerd/containerd.sock: connect: connection refused", EngineUnreachable),
        (500, "context canceled", EngineUnreachable),
        (500, "cannot kill container: c: permission denied: unknown", EngineError),
    ],
)
def test_a_silent_runtime_is_no_refusal(status: int, reason: str, kind: type[EngineError]) -> None:
    with pytest.raises(EngineError) as caught, translated():
        raise api_error(status, reason)
    assert type(caught.value) is kind


def test_a_socket_without_room_for_one_more_client_has_taken_nothing(tmp_path: Path) -> None:
    address = str(tmp_path / "docker.sock")
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(address)
        listener.listen(0)
        sockets.enter_context(socket.socket(socket.AF_UNIX)).connect(address)
        client = sockets.enter_context(
            contextlib.closing(docker.DockerClient(base_url=f"unix://{address}", version="1.41", timeout=60))
        )
        with pytest.raises(EngineAbsent, match="temporarily unavailable"), translated():
            client.ping()


def test_the_command_that_it_quotes_shows_no_secret() -> None:
    reason = 'runc create failed: exec: "sync --password s3cr3t amqp://u:s3cr3t@h": not found'
    with pytest.raises(EngineError, match=r"--password \*+ amqp://u:\*+@h") as caught, translated():
        raise api_error(400, reason)
    assert "s3cr3t" not in str(caught.value)
