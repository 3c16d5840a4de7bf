"""A Docker socket that misbehaves as told: a request hangs, or its answer is lost."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

ENGINE = "/var/run/docker.sock"


class EngineProxy:
    """Passes requests on to the engine. ``rules`` maps a pattern of the request line to what happens to it.

    A rule is called with all request lines that matched one so far, the newest last, and returns the seconds
    to hold the request back; ``LOSE`` passes it on and closes the connection instead of answering.
    """

    LOSE = -1.0

    def __init__(self, path: Path, rules: dict[str, Callable[[list[str]], float]]) -> None:
        self.url = f"unix://{path}"
        self.matched: list[str] = []  # the request lines that a rule had something to do with
        self._rules = rules
        self._closed = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more requests and let go of those that are held back."""
        self._closed.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.socket(socket.AF_UNIX) as engine:
            engine.connect(ENGINE)
            threading.Thread(target=_pump, args=(engine, client), daemon=True).start()
            while data := client.recv(65536):
                hold = self._hold(data.partition(b"\r\n")[0].decode("latin-1"))
                if hold == self.LOSE:
                    # The engine's own answer says that it has been carried out.
                    with socket.socket(socket.AF_UNIX) as apart:
                        apart.connect(ENGINE)
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
