"""A door before MariaDB that only the module goes through: it tells when evidence is read, and when in vain."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

from testbed.stack import Stack


class Gate:
    """A port of its own, whose connections are passed on."""

    def __init__(self, stack: Stack) -> None:
        self._ends = stack.state.endpoints
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.passed = self.refused = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def database(self) -> dict[str, Any]:
        """The module's option of this name."""
        port, password = self._listener.getsockname()[1], self._ends.database_password
        return {"host": "127.0.0.1", "port": port, "user": "cinder", "password": password, "name": "cinder"}

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it is closed
            while True:
                self._serve(self._listener.accept()[0])

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._ends.mariadb_port), timeout=5)
        except OSError:
            self.refused += 1
            client.close()
            return
        server.settimeout(None)
        self.passed += 1
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
