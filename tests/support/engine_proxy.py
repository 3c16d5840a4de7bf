"""An engine's socket that misbehaves as told: a request hangs, or its answer is lost."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import engines
from .unix_proxy import UnixProxy


def _engine() -> str:
    default = "unix:///var/run/docker.sock"
    return os.environ.get("CONTAINER_HOST", default) if engines.is_podman() else default


class EngineProxy(UnixProxy):
    """Passes requests on to the engine. ``rules`` maps a pattern of the request line to what happens to it.

    A rule is called with all request lines that matched one so far, the newest last, and returns the seconds
    to hold the request back; ``LOSE`` passes it on and closes the connection instead of answering. ``answers`` maps a
    pattern to what is answered in the engine's place.
    """

    LOSE = -1.0

    def __init__(
        self,
        path: Path,
        rules: dict[str, Callable[[list[str]], float]],
        answers: dict[str, Callable[[], Any]] | None = None,
    ) -> None:
        self.matched: list[str] = []  # the request lines that a rule had something to do with
        self._rules, self._answers = rules, answers or {}
        self._closed = threading.Event()
        super().__init__(path, _engine())

    def close(self) -> None:
        """Take no more requests and let go of those that are held back."""
        self._closed.set()
        super().close()

    def _serve(self, client: socket.socket, engine: socket.socket) -> None:
        threading.Thread(target=_pump, args=(engine, client), daemon=True).start()
        while data := client.recv(65536):
            line = data.partition(b"\r\n")[0].decode("latin-1")
            hold = self._hold(line)
            answer = next((made for pattern, made in self._answers.items() if re.search(pattern, line)), None)
            if answer is not None:
                body = json.dumps(answer()).encode()
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                client.sendall(head.encode() + body)
                continue
            if hold == self.LOSE:
                # The engine's own answer says that it has been carried out.
                with self._connect() as apart:
                    apart.sendall(data)
                    apart.recv(1)
                client.shutdown(socket.SHUT_RDWR)
                return
            if self._closed.wait(hold) if hold else False:
                return
            engine.sendall(data)

    def _hold(self, line: str) -> float:
        for pattern, rule in self._rules.items():
            if re.search(pattern, line):
                self.matched.append(line)
                return rule(self.matched)
        return 0.0


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
