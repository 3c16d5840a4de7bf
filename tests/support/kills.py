"""What podman was asked to send: its own events of a kill name no signal, so the requests are read on their way."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from .unix_proxy import UnixProxy

_REQUEST = re.compile(
    r"POST (?P<target>\S*/containers/(?P<container>[^/\s]+)/(?P<what>kill|stop)(\?\S*)?) HTTP"
)


@dataclass
class Asked:
    """One request to signal a container; a stop has no name of a signal."""

    container: str
    signal: str
    at: float
    refused: bool = False


class Recorder(UnixProxy):
    """A socket that passes everything on to podman's service and keeps what is to be signalled."""

    def __init__(self, path: Path, service: str) -> None:
        self._asked: list[Asked] = []
        super().__init__(path, service)

    def of(self, container_id: str) -> list[Asked]:
        """What was asked for one container and not refused, oldest first."""
        return [one for one in self._asked if one.container == container_id and not one.refused]

    def _serve(self, client: socket.socket, engine: socket.socket) -> None:
        open_requests: list[Asked] = []
        threading.Thread(target=_answer, args=(engine, client, open_requests), daemon=True).start()
        while data := client.recv(65536):
            asked = _read(data)
            if asked is not None:
                self._asked.append(asked)
                open_requests.append(asked)
            engine.sendall(data)


def _read(data: bytes) -> Asked | None:
    found = _REQUEST.match(data.partition(b"\r\n")[0].decode("latin-1"))
    if found is None:
        return None
    query = parse_qs(urlsplit(found["target"]).query)
    signal = query.get("signal", ["SIGKILL"])[0] if found["what"] == "kill" else ""
    return Asked(found["container"], signal, time.time())


def _answer(engine: socket.socket, client: socket.socket, open_requests: list[Asked]) -> None:
    with contextlib.suppress(OSError):
        while data := engine.recv(65536):
            if open_requests and data.startswith(b"HTTP/1."):
                status = int(data.split(b" ", 2)[1])
                one = open_requests.pop(0)
                # A stop waits for the end: one that goes wrong by then (500) has signalled all the same.
                one.refused = not (200 <= status < 300 or (not one.signal and status >= 500))
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)
