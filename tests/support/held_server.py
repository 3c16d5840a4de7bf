"""An HTTP server that holds each request until it is told to answer, and clients that wait for the answer."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from testbed.waiting import wait_until


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


class HeldServer:
    """Listens on ``port`` of the loopback interface, for as long as it is entered."""

    def __init__(self) -> None:
        self.arrived = 0  # requests so far
        self._answer = threading.Event()
        server, outer = http.server.ThreadingHTTPServer, self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.arrived += 1
                outer._answer.wait()
                with contextlib.suppress(OSError):  # whoever asked may be gone
                    self.send_response(200)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._pool = ThreadPoolExecutor()

    def __enter__(self) -> HeldServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.set()
        self._pool.shutdown()
        self._server.shutdown()
        self._server.server_close()

    def request(self, port: int) -> Future[str]:
        """Ask through what listens on ``port``; returns once the request is here. It comes to "answered" or "cut"."""
        self._answer.clear()
        before = self.arrived
        asked = self._pool.submit(ask, port)
        wait_until(lambda: self.arrived > before, 180, "the request", interval=0.02)
        return asked

    def answer(self) -> None:
        """Answer all requests that are here."""
        self._answer.set()


def ask(port: int, host: str = "127.0.0.1") -> str:
    """Send a request and wait for its end: "answered" or "cut"."""
    connection = http.client.HTTPConnection(host, port, timeout=180)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/")
            return "answered" if connection.getresponse().status == 200 else "cut"
        except (OSError, http.client.HTTPException):
            return "cut"
