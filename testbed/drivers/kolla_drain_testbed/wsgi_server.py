"""Serve one WSGI application on this machine: wsgi_server.py MODULE PORT.

For the APIs, which in Kolla run under uWSGI or Apache. SIGTERM waits for the requests in flight, as theirs does.
"""

import importlib
import signal
import sys
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer


class Server(ThreadingMixIn, WSGIServer):
    """One thread a request; server_close waits for them."""

    daemon_threads = False
    request_queue_size = 64


class Handler(WSGIRequestHandler):
    """The applications log for themselves."""

    def log_message(self, format, *args):
        pass


def main():
    module, port = sys.argv[1:3]
    del sys.argv[1:]  # Nova reads it too
    application = importlib.import_module(module).application
    server = Server(("127.0.0.1", int(port)), Handler)
    server.set_app(application)
    # From another thread: shutdown() waits for the loop that the handler has interrupted.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.2)
    server.server_close()


if __name__ == "__main__":
    main()
