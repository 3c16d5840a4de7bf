"""A UNIX socket that stands before another one."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path


class UnixProxy:
    """Listens at ``path``; what becomes of each connection is said by ``_serve``."""

    def __init__(self, path: Path, upstream: str) -> None:
        """``upstream`` is the address of the socket behind it, with or without ``unix://``."""
        self.url = f"unix://{path}"
        self._upstream = upstream.removeprefix("unix://")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(4096)  # as the engines do
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connected, args=(client,), daemon=True).start()

    def _connected(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, self._connect() as engine:
            self._serve(client, engine)

    def _connect(self) -> socket.socket:
        """A connection of its own to the socket behind it."""
        engine = socket.socket(socket.AF_UNIX)
        engine.connect(self._upstream)
        return engine

    def _serve(self, client: socket.socket, engine: socket.socket) -> None:
        """Pass on what comes; both are closed afterwards."""
        raise NotImplementedError
