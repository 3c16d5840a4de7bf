"""The docker SDK's exceptions in the core's words."""

from __future__ import annotations

import docker.errors
import pytest
import requests

from kolla_drain.engine.docker import translated
from kolla_drain.errors import EngineError, EngineUnreachable, NoSuchContainer, NotRunning


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


def test_the_command_that_it_quotes_shows_no_secret() -> None:
    reason = 'runc create failed: exec: "sync --password s3cr3t amqp://u:s3cr3t@h": not found'
    with pytest.raises(EngineError, match=r"--password \*+ amqp://u:\*+@h") as caught, translated():
        raise api_error(400, reason)
    assert "s3cr3t" not in str(caught.value)
