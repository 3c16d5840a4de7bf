"""What a command in a container has printed, as the test stack reads it from the engine."""

from __future__ import annotations

import http.server
import socketserver
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from testbed.containers import execute, run_inside
from testbed.errors import TestbedError


class Engine(http.server.BaseHTTPRequestHandler):
    """As much of an engine as running a command needs; its answer and the command's output come in one piece."""

    protocol_version = "HTTP/1.1"
    pieces = ((1, b'{"is": "'), (2, b"careful "), (1, b'there"}\n'))
    code = 0

    def do_GET(self) -> None:
        self._json(b'{"ExitCode": %d}' % self.code)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if not self.path.endswith("/start"):
            self._json(b'{"Id": "job"}')
            return
        frames = b"".join(struct.pack(">BxxxL", stream, len(data)) + data for stream, data in self.pieces)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
        self.wfile.write(head + frames)
        self.close_connection = True

    def _json(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.wfile.write(head + body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "engine.sock"), Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = docker.DockerClient(base_url=f"unix://{tmp_path}/engine.sock", version="1.41")
        yield Container({"Id": "1", "Name": "/svc"}, client=client)
        client.close()
        server.shutdown()


def test_output_that_comes_together_with_the_answers_header_is_not_lost(container: Container) -> None:
    ran = execute(container, ["cat", "file"])

    assert (ran.code, ran.stdout) == (0, b'{"is": "there"}\n')
    assert run_inside(container, ["cat", "file"], "reading") == '{"is": "careful there"}\n'


def test_a_command_that_fails_is_told_with_what_it_printed(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "code", 2)

    with pytest.raises(TestbedError, match=r"reading in svc failed \(rc 2\): .*careful"):
        run_inside(container, ["cat", "file"], "reading")
