"""The broker's queues, asked of a stand-in for RabbitMQ's management plugin."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

from kolla_drain.errors import ConfigError
from kolla_drain.evidence import broker
from kolla_drain.evidence.broker import Broker, BrokerTarget, Node, Options
from kolla_drain.model import Operation, Outcome
from kolla_drain.service.config import Backend, ServiceConfig

SECRET = "pass:wörd"
NOT_FOUND = {"error": "Object Not Found", "reason": "Not Found"}


class Plugin:
    """What the stand-in answers, and what it was asked."""

    def __init__(self) -> None:
        self.queues: dict[str, dict[str, object]] = {}
        self.status = 200
        self.body: bytes | None = None
        self.location = ""
        self.delay = 0.0
        self.asked: list[tuple[str, str]] = []  # path and authorization
        self.port = 0

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append((handler.path, handler.headers.get("Authorization", "")))
        time.sleep(self.delay)
        name = unquote(handler.path.partition("?")[0].rpartition("/")[2])
        status, found = self.status, self.queues.get(name)
        if status == 200 and found is None and self.body is None:
            status, found = 404, NOT_FOUND
        handler.send_response(status)
        if self.location:
            handler.send_header("Location", self.location)
        handler.end_headers()
        handler.wfile.write(self.body if self.body is not None else json.dumps(found).encode())


@contextmanager
def serving():
    plugin = Plugin()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(OSError):  # who asked has gone
                plugin.answer(self)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    plugin.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield plugin
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def plugin():
    with serving() as one:
        yield one


def queue(ready=0, taken=0, consumers=1):
    return {"messages_ready": ready, "messages_unacknowledged": taken, "consumers": consumers}


def asking(plugin, *, hosts=("127.0.0.1",), **more):
    nodes = tuple(Node(host, "openstack", SECRET) for host in hosts)
    return Broker(BrokerTarget(nodes, "/", plugin.port, **more))


def test_queues_that_hold_messages_are_operations(plugin):
    plugin.queues = {"a": queue(2), "b": queue(), "c": queue(1, 3), "d": queue(5, 0, consumers=0)}
    found = asking(plugin).waiting(["a", "b", "c", "d", "never declared"])
    assert found == (
        Operation("queued_request", "a", "2 waiting", claimed=False),
        Operation("queued_request", "c", "1 waiting, 3 being taken", claimed=False),
        Operation("queued_request", "d", "5 waiting", claimed=False, informs=True),
    )
    path, authorization = plugin.asked[0]
    assert path.startswith("/api/queues/%2F/a?")
    assert base64.b64decode(authorization.split()[1]).decode() == f"openstack:{SECRET}"


def test_a_broker_is_not_asked_at_every_reading(plugin, monkeypatch):
    plugin.queues = {"a": queue(1), "b": queue(1)}
    one = asking(plugin)
    first = one.waiting(["a"])
    plugin.queues["a"] = queue()
    assert one.waiting(["a"]) == first
    assert len(plugin.asked) == 1
    assert [op.id for op in one.waiting(["b"])] == ["b"]
    monkeypatch.setattr(broker, "AFRESH", 0)
    assert one.waiting(["a"]) == ()


def test_what_is_being_taken_from_a_shared_queue_is_nobodys(plugin):
    plugin.queues = {"cinder-scheduler": queue(0, 2), "cinder-scheduler.ctl": queue(0, 1)}
    assert [op.id for op in asking(plugin).waiting(list(plugin.queues))] == ["cinder-scheduler.ctl"]
    plugin.queues["cinder-scheduler"] = queue(3, 2)
    assert asking(plugin).waiting(["cinder-scheduler"])[0].status == "3 waiting"


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (401, b'{"error":"not_authorized"}', "no right to its management"),
        (403, b"", "no right to its management"),
        (404, b"<html>nothing here</html>", "answered 404, which is not how"),
        (500, b"", "answered 500"),
        (200, b"<html>", "did not answer as RabbitMQ's"),
        (200, b"[]", "did not answer as RabbitMQ's"),
        (200, b'{"messages_ready": "many"}', "did not answer as RabbitMQ's"),
    ],
)
def test_a_broker_that_cannot_be_asked_is_asked_once(plugin, status, body, why):
    plugin.status, plugin.body = status, body
    one = asking(plugin)
    assert one.waiting(["a", "b"]) == ()
    assert one.note.startswith(f"the broker could not be asked: 127.0.0.1:{plugin.port} ")
    assert why in one.note
    assert "wörd" not in one.note
    asked = len(plugin.asked)
    plugin.status, plugin.body, plugin.queues = 200, None, {"a": queue(1)}
    assert one.waiting(["a"]) == ()
    assert len(plugin.asked) == asked


def test_nobody_listens(plugin):
    with serving() as gone:
        pass
    one = asking(gone)
    assert one.waiting(["a"]) == ()
    assert "cannot be reached: Connection refused" in one.note


def test_a_broker_that_does_not_answer_keeps_nobody_for_long(plugin, monkeypatch):
    monkeypatch.setattr(broker, "TIMEOUT", 0.3)
    plugin.queues, plugin.delay = {"a": queue(1)}, 5
    one = asking(plugin)
    begun = time.monotonic()
    assert one.waiting(["a"]) == ()
    assert time.monotonic() - begun < 2
    assert "did not answer" in one.note or "timed out" in one.note


def test_many_slow_answers_are_too_slow_together(plugin, monkeypatch):
    monkeypatch.setattr(broker, "TIMEOUT", 0.5)
    plugin.queues, plugin.delay = {str(number): queue(1) for number in range(20)}, 0.2
    begun = time.monotonic()
    assert asking(plugin).waiting(list(plugin.queues)) == ()
    assert time.monotonic() - begun < 2


def test_the_next_node_is_asked_with_the_next_reading(plugin):
    plugin.queues = {"a": queue(1)}
    one = asking(plugin, hosts=("127.0.0.254", "127.0.0.1"))
    assert one.waiting(["a"]) == ()
    assert one.note == ""
    assert [op.id for op in one.waiting(["a"])] == ["a"]
    assert len(plugin.asked) == 1


def test_the_password_goes_nowhere_else(plugin):
    with serving() as another:
        another.queues = {"a": queue(1)}
        plugin.status, plugin.body = 302, b""
        plugin.location = f"http://127.0.0.1:{another.port}/api/queues/%2F/a"
        assert asking(plugin).waiting(["a"]) == ()
        assert another.asked == []


def test_a_proxy_of_the_environment_is_not_used(plugin, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    plugin.queues = {"a": queue(1)}
    assert len(asking(plugin).waiting(["a"])) == 1


def test_tls_is_spoken_where_the_service_speaks_it(plugin):
    one = asking(plugin, tls=True)
    assert one.waiting(["a"]) == ()
    assert "cannot be reached" in one.note
    assert plugin.asked == []  # no password in the clear


def config(url, service="cinder-backup", **more):
    return ServiceConfig(service, "ctl", transport_url=url, **more)


@pytest.mark.parametrize(
    ("url", "nodes", "vhost"),
    [
        ("rabbit://openstack:pw@10.0.0.1:5672//", [("10.0.0.1", "openstack", "pw")], "/"),
        ("rabbit://openstack:pw@10.0.0.1:5672/", [("10.0.0.1", "openstack", "pw")], "/"),
        ("rabbit://openstack:pw@10.0.0.1:5672", [("10.0.0.1", "openstack", "pw")], "/"),
        ("rabbit://u:p%40%2F@rabbit/nova", [("rabbit", "u", "p@/")], "nova"),
        (
            "rabbit://u:p@a:1,u:q@b:2,u:r@[::1]:3/v%2Fw",
            [("a", "u", "p"), ("b", "u", "q"), ("::1", "u", "r")],
            "v/w",
        ),
        ("rabbit://u:p@a//?ssl=0", [("a", "u", "p")], "/"),
    ],
)
def test_where_the_broker_is(url, nodes, vhost):
    found = broker.target(config(url))
    assert found is not None
    assert [(node.host, node.user, node.password) for node in found.nodes] == nodes
    assert (found.vhost, found.port, found.tls) == (vhost, 15672, False)
    assert "pw" not in repr(found)


@pytest.mark.parametrize("url", [None, "", "fake://", "amqp1://u:p@a", "nonsense", "rabbit://"])
def test_no_broker(url):
    assert broker.target(config(url)) is None


def test_the_options(tmp_path):
    url, ca = "rabbit://u:p@a//", tmp_path / "ca.pem"
    assert broker.target(config(url), Options(enabled=False)) is None
    assert broker.target(config(url, "nova-compute")) is None  # its queues are not known here
    assert broker.target(config(url), Options(management_port=1234)).port == 1234
    assert broker.target(config(url + "?ssl=True")).tls
    inside = broker.target(config(url, rabbit_tls=True, rabbit_ssl_ca=str(ca)))
    assert (inside.tls, inside.ssl_ca) == (True, "")  # a path of the container's that is not here
    ca.write_text("")
    assert broker.target(config(url, rabbit_tls=True, rabbit_ssl_ca=str(ca))).ssl_ca == str(ca)
    assert broker.target(config(url), Options(ssl_ca="/mine")).ssl_ca == "/mine"
    assert broker.options({"management_port": 5, "ssl_ca": None}) == Options(management_port=5)
    with pytest.raises(ConfigError, match="no option colour"):
        broker.options({"colour": 1})
    with pytest.raises(ConfigError, match="from 1 to 65535"):
        broker.options({"management_port": 0})


def test_the_queues_of_a_service():
    volume = ServiceConfig("cinder-volume", "ctl", backends=(Backend("a", "ctl"), Backend("b", "shared")))
    assert broker.queues(volume) == (
        "cinder-volume.ctl@a.ctl",
        "cinder-volume.shared@b.shared",
        "cinder-volume.ctl@a",
        "cinder-volume.shared@b",
    )
    assert broker.queues(config(None)) == ("cinder-backup.ctl",)
    assert broker.queues(config(None, "cinder-scheduler")) == ("cinder-scheduler", "cinder-scheduler.ctl")
    assert broker.queues(config(None, "nova-compute")) == ()


def test_what_a_queue_held_is_no_longer_this_stops():
    assert broker.ending(Operation("queued_request", "q", "1 waiting")).outcome is Outcome.FINISHED
