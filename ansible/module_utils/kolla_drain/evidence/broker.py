"""The queues of a service, asked over the HTTP API of RabbitMQ's management plugin.

A help, never a condition: rows tell of the work, queues only that more is on its way. What they tell is up to
5 seconds old (RabbitMQ's collect_statistics_interval). A broker that cannot be asked is asked no more in this run.
"""

from __future__ import annotations

import base64
import json
import os
import re
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from ..errors import ConfigError
from ..model import Ending, Operation, Outcome
from ..service.config import ServiceConfig

KIND = "queued_request"

# One look at all queues of a reading takes at most this long, in seconds: the rows wait for it.
TIMEOUT = 2.0
# What was told so lately is not asked again: the figures change every 5 seconds, and rows are read much more often.
AFRESH = 2.0
MANAGEMENT_PORT = 15672  # Kolla's rabbitmq_management_port
_MOST = 1 << 20  # bytes of one answer


@dataclass(frozen=True)
class Options:
    """What a user can say of it: the module's option ``broker``."""

    enabled: bool = True
    management_port: int = MANAGEMENT_PORT
    ssl_ca: str = ""  # a file on this host; by default the service's ssl_ca_file, if that is here too


def options(given: Mapping[str, Any]) -> Options:
    """Make options of a dict; None counts as not given. Raises ConfigError."""
    said = {name: value for name, value in given.items() if value is not None}
    unknown = sorted(set(said) - set(Options.__dataclass_fields__))
    if unknown:
        raise ConfigError(f"the broker has no option {unknown[0]}")
    if not 0 < int(said.get("management_port", MANAGEMENT_PORT)) < 65536:
        raise ConfigError("the broker's management_port is not a number from 1 to 65535")
    return Options(**said)


@dataclass(frozen=True)
class Node:
    """One host of transport_url, and how to get in there."""

    host: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class BrokerTarget:
    """Where the queues of one service's transport_url can be asked about."""

    nodes: tuple[Node, ...]
    vhost: str
    port: int = MANAGEMENT_PORT
    tls: bool = False
    ssl_ca: str = ""


_URL = re.compile(
    r"""(?:rabbit|kombu)(?:\+\w+)?://
        (?P<nodes>[^/?]*)
        (?:/(?P<vhost>[^?]*))?
        (?:\?(?P<options>.*))?""",
    re.VERBOSE | re.DOTALL,
)
_NODE = re.compile(
    r"""(?:(?P<user>[^:@]*)(?::(?P<password>[^@]*))?@)?
        (?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:\[\]]+))
        (?::\d+)?""",
    re.VERBOSE,
)
_TLS = re.compile(r"(?:^|&)ssl=(?:1|true|yes|on)\b", re.IGNORECASE)
_DEFAULT = Options()


def target(config: ServiceConfig, how: Options = Options()) -> BrokerTarget | None:
    """Where this service's broker can be asked; None where it is not to be, or its transport is none of RabbitMQ's."""
    match = _URL.fullmatch(config.transport_url or "")
    if not how.enabled or match is None or not queues(config):
        return None
    found = [_NODE.fullmatch(node) for node in match["nodes"].split(",")]
    nodes = tuple(
        Node(one["v6"] or one["host"], unquote(one["user"] or ""), unquote(one["password"] or ""))
        for one in found
        if one is not None
    )
    if not nodes:
        return None
    tls = config.rabbit_tls or bool(_TLS.search(match["options"] or ""))
    ca = how.ssl_ca or (config.rabbit_ssl_ca if os.access(config.rabbit_ssl_ca, os.R_OK) else "")
    return BrokerTarget(nodes, unquote(match["vhost"] or "") or "/", how.management_port, tls, ca)


def queues(config: ServiceConfig) -> tuple[str, ...]:
    """The queues in which requests for this container wait.

    cinder/service.py Service.start makes a server of topic and host, and for cinder-volume one more of its backend;
    oslo.messaging calls their queues ``topic`` and ``topic.server``. Requests go to the second of the last server,
    and for cinder-scheduler to ``topic``, which all schedulers share. What is on the fanout queues is for all.
    """
    if config.service == "cinder-volume":
        hosts = [(backend.service_host, backend.host) for backend in config.backends]
        return tuple(f"cinder-volume.{host}.{server}" for host, server in hosts) + tuple(
            f"cinder-volume.{host}" for host, _ in hosts
        )
    if config.service == "cinder-backup":
        return (f"cinder-backup.{config.host}",)
    if config.service == "cinder-scheduler":
        return ("cinder-scheduler", f"cinder-scheduler.{config.host}")
    return ()


class Broker:
    """Asks one broker. For one thread at a time; never raises, and never takes longer than TIMEOUT."""

    def __init__(self, where: BrokerTarget) -> None:
        self.note = ""  # why it could not be asked; then it is asked no more
        self._where = where
        self._nodes = list(where.nodes)
        self._context: ssl.SSLContext | None = None
        self._told: tuple[float, Sequence[str], tuple[Operation, ...]] | None = None

    def waiting(self, names: Sequence[str]) -> tuple[Operation, ...]:
        """Return an operation for each of these queues that holds messages; none where that cannot be told."""
        if self.note or not names:
            return ()
        if self._told is not None:
            at, of, operations = self._told
            if of == names and time.monotonic() - at < AFRESH:
                return operations
        answers: list[tuple[Operation, ...]] = []
        failure = _within(TIMEOUT, lambda: answers.append(self._ask(names)))
        if failure:
            # Another node is tried with the next reading, so that no reading waits for two.
            node = self._nodes.pop(0)
            if not self._nodes:
                self.note = f"the broker could not be asked: {node.host}:{self._where.port} {failure}"
            self._told = None
            return ()
        self._told = (time.monotonic(), names, answers[0])
        return answers[0]

    def _ask(self, names: Sequence[str]) -> tuple[Operation, ...]:
        operations = [_operation(name, self._queue(name)) for name in names]
        return tuple(operation for operation in operations if operation is not None)

    def _queue(self, name: str) -> Mapping[str, Any]:
        where, node = self._where, self._nodes[0]
        host = f"[{node.host}]" if ":" in node.host else node.host
        scheme = "https" if where.tls else "http"
        columns = "messages_ready,messages_unacknowledged,consumers"
        path = f"/api/queues/{quote(where.vhost, safe='')}/{quote(name, safe='')}?columns={columns}"
        secret = base64.b64encode(f"{node.user}:{node.password}".encode()).decode()
        request = urllib.request.Request(
            f"{scheme}://{host}:{where.port}{path}", headers={"Authorization": f"Basic {secret}"}
        )
        try:
            with self._opener().open(request, timeout=TIMEOUT) as answer:
                return _checked(json.loads(answer.read(_MOST)))
        except urllib.error.HTTPError as exc:
            with exc:
                # A queue that was never declared, or expired, holds nothing; another server's 404 reads otherwise.
                if exc.code == 404 and b'"Object Not Found"' in exc.read(_MOST):
                    return {}
            raise

    def _opener(self) -> urllib.request.OpenerDirector:
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({}), _NoRedirect()]
        if self._where.tls:
            if self._context is None:
                self._context = ssl.create_default_context(cafile=self._where.ssl_ca or None)
            handlers.append(urllib.request.HTTPSHandler(context=self._context))
        return urllib.request.build_opener(*handlers)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Nobody else is to be given the password."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _checked(answer: object) -> Mapping[str, Any]:
    if not isinstance(answer, dict):
        raise ValueError("no object")
    return answer


# Every backend reports to it all the time, and what is being taken from it may be another scheduler's.
_SHARED = ("cinder-scheduler",)


def _operation(name: str, queue: Mapping[str, Any]) -> Operation | None:
    ready, taken = int(queue.get("messages_ready") or 0), int(queue.get("messages_unacknowledged") or 0)
    if name in _SHARED:
        taken = 0
    if not ready and not taken:
        return None
    counts = {f"{ready} waiting": ready, f"{taken} being taken": taken}
    return Operation(
        kind=KIND,
        id=name,
        status=", ".join(text for text, number in counts.items() if number),
        claimed=False,
        # Nobody is there to take them: a backend whose driver does not start. That would be waited for without end.
        informs=queue.get("consumers") == 0,
    )


def ending(operation: Operation) -> Ending:
    """What a queue held was taken, or waits there for the next start; the rows of the requests tell the rest."""
    return Ending(operation, Outcome.FINISHED, "no longer waited for")


def _within(seconds: float, work: Callable[[], object]) -> str:
    """Do work in a thread of its own and return how it failed, empty if it did not.

    A name that does not resolve, or an answer that trickles, keeps no time-out of urllib's; such a thread is left.
    """
    failures: list[str] = []

    def run() -> None:
        failures.append(_attempt(work))

    thread = threading.Thread(target=run, name="kolla-drain-broker", daemon=True)
    thread.start()
    thread.join(seconds)
    return failures[0] if failures else f"did not answer within {seconds:g} s"


def _attempt(work: Callable[[], object]) -> str:
    try:
        work()
    except urllib.error.HTTPError as exc:
        return _status(exc.code)
    except urllib.error.URLError as exc:
        why = getattr(exc.reason, "strerror", None) or type(exc.reason).__name__
        return (
            f"cannot be reached: {why}; its management plugin may not be enabled, or listens on another port"
        )
    except OSError as exc:
        return f"did not answer to the end: {exc.strerror or type(exc).__name__}"
    except (ValueError, TypeError):
        return "did not answer as RabbitMQ's management plugin does"
    except Exception as exc:  # noqa: BLE001 - a help must not harm
        return f"could not be understood ({type(exc).__name__})"
    return ""


def _status(code: int) -> str:
    if code in (401, 403):
        return (
            f"answered {code}: the service's user has no right to its management, such as the tag monitoring"
        )
    return f"answered {code}, which is not how RabbitMQ's management plugin answers"
