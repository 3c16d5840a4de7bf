"""The signals of one process life among the events that Docker remembers, also where the clock was set back."""

from __future__ import annotations

import contextlib
import json
import math
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kolla_drain.engine import docker, past
from kolla_drain.engine.docker import DockerEngine, signals_of
from kolla_drain.model import Container, ContainerStatus, Sent

STARTED = "2026-11-22T01:00:00.5Z"
BEGAN = 1795309200.5
NOW = BEGAN + 3600.0
ID = "c0ffee" * 10 + "c0de"
RUNS = Container(ID, "c", ContainerStatus.RUNNING, pid=4711, started_at=STARTED)


def event(action: str, at: float, container_id: str = ID, signal: str = "15") -> dict[str, Any]:
    actor = {"ID": container_id, "Attributes": {"signal": signal} if action == "kill" else {}}
    return {"Type": "container", "Action": action, "Actor": actor, "timeNano": int((BEGAN + at) * 1e9)}


START = event("start", 0.02)


def test_the_signals_since_the_start() -> None:
    told = [event("kill", -9.0, signal="3"), START, event("kill", 5.0), event("kill", 9.0, signal="9")]
    assert signals_of(RUNS, told, NOW) == Sent(("SIGTERM", "SIGKILL"), 0.0)


def test_those_of_other_containers_and_of_other_lives_are_no_matter() -> None:
    told = [
        event("start", -9.0), event("kill", -8.0), START, event("kill", 5.0, "1d" * 32), event("die", 6.0),
        event("start", 7.0), event("kill", 8.0),
    ]  # fmt: skip
    assert signals_of(RUNS, told, NOW).signals == ()


def test_what_docker_has_forgotten_is_told() -> None:
    """It remembers 256 events, which are a minute or two where containers have healthchecks."""
    told = [event("exec_start: true", 3500.0, "1d" * 32), event("kill", 3510.0)]
    sent = signals_of(RUNS, told, NOW)
    assert sent.signals == ("SIGTERM",)
    assert sent.covers_from == pytest.approx(BEGAN + 3500.0)
    assert sent.horizon == pytest.approx(100.0)
    assert signals_of(RUNS, [], NOW).horizon == 0.0


def test_a_signal_counts_though_the_clock_was_set_back_after_the_start() -> None:
    assert signals_of(RUNS, [START, event("kill", -7200.0)], BEGAN - 7190.0).signals == ("SIGTERM",)


def test_the_life_before_is_no_matter_though_the_clock_was_set_back_between() -> None:
    told = [event("start", 7200.0), event("kill", 7210.0), event("die", 7211.0), START]
    assert signals_of(RUNS, told, NOW) == Sent((), 0.0)


def test_the_life_before_is_no_matter_though_it_began_within_the_same_second() -> None:
    told = [event("start", -0.8), event("kill", -0.3), event("die", -0.2), START]
    assert signals_of(RUNS, told, NOW) == Sent((), 0.0)


def test_a_start_whose_event_is_a_moment_older_is_the_start() -> None:
    assert signals_of(RUNS, [event("start", -0.2), event("kill", 5.0)], NOW) == Sent(("SIGTERM",), 0.0)


def test_the_end_of_the_memory_does_not_depend_on_the_clock() -> None:
    """The newest events are the oldest by their time, and the start is not among them."""
    told = [event("exec_start: true", 7200.0), event("exec_start: true", -10.0)]
    assert signals_of(RUNS, told, BEGAN).horizon is not None


@pytest.mark.parametrize(("aged", "back"), [(3600.0, 0.0), (3601.5, 0.0), (10800.0, 7200.0)])
def test_how_far_the_clock_was_set_back(monkeypatch: pytest.MonkeyPatch, aged: float, back: float) -> None:
    """By the wall clock, the process is an hour old."""
    monkeypatch.setattr(past, "begun", lambda pid: 100.0)
    monkeypatch.setattr(past, "boot_clock", lambda: 100.0 + aged)
    monkeypatch.setattr(past.time, "time", lambda: NOW)
    assert past.set_back(RUNS) == pytest.approx(back)


def test_of_a_process_that_cannot_be_seen_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "begun", lambda pid: None)
    assert past.set_back(RUNS) == 0.0


class Daemon(BaseHTTPRequestHandler):
    """Sends what it remembers up to ``until``, and without that goes on for ever."""

    remembered: tuple[dict[str, Any], ...] = ()
    pause = 0.0  # seconds before each event
    ends = threading.Event()
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.path.endswith("/version"):
            self._send({"ApiVersion": "1.45"})
        else:
            until = [part.partition("=")[2] for part in self.path.split("&") if part.startswith("until=")]
            for one in self.remembered:
                if not until or one["timeNano"] / 1e9 <= float(until[0]):
                    self.ends.wait(self.pause)
                    self._send(one)
            if not until:
                self.ends.wait(30)
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(b"0\r\n\r\n")

    def _send(self, what: dict[str, Any]) -> None:
        text = json.dumps(what).encode() + b"\n"
        self.wfile.write(f"{len(text):x}\r\n".encode() + text + b"\r\n")

    def address_string(self) -> str:
        return "a client"

    def log_message(self, *_: Any) -> None:
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerEngine]:
    pytest.importorskip("docker")
    path = str(tmp_path / "docker.sock")
    with Server(path, Daemon) as server:
        Daemon.ends.clear()
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        yield DockerEngine()
        Daemon.ends.set()
        server.shutdown()


def remembers(monkeypatch: pytest.MonkeyPatch, *told: dict[str, Any], back: float = 7200.0) -> None:
    """Let Docker remember these events, on a host whose clock was set back by so many seconds."""
    monkeypatch.setattr(docker, "set_back", lambda container: back)
    monkeypatch.setattr(Daemon, "remembered", told)


@pytest.mark.parametrize("back", [0.0, 7200.0])
def test_a_signal_from_before_the_clock_was_set_back_is_found(
    engine: DockerEngine, monkeypatch: pytest.MonkeyPatch, back: float
) -> None:
    """It lies in the future by now."""
    remembers(monkeypatch, START, event("kill", time.time() - BEGAN + back - 1.0), back=back)
    assert engine.sent(RUNS).signals == ("SIGTERM",)


def test_a_docker_that_sends_slowly_is_heard_to_the_end(
    engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "_QUIET", 2.0)
    monkeypatch.setattr(Daemon, "pause", 0.4)
    others = [event("exec_start: true", at, "1d" * 32) for at in range(1, 6)]
    remembers(monkeypatch, START, *others, event("kill", 9.0))
    assert engine.sent(RUNS).signals == ("SIGTERM",)


def test_a_docker_with_much_to_tell_is_not_listened_to_for_ever(
    engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "_QUIET", 1e6)
    others = [event("exec_start: true", at, "1d" * 32) for at in range(1, 255)]
    remembers(monkeypatch, START, *others, event("kill", 300.0), event("kill", 301.0, signal="9"))
    assert engine.sent(RUNS).signals == ("SIGTERM",)


def test_after_a_clock_that_was_set_back_an_event_tells_no_time(
    engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembers(monkeypatch, event("kill", 9.0))
    assert engine.sent(RUNS).covers_from == math.inf


def test_calls_one_after_the_other_share_a_client(engine: DockerEngine) -> None:
    with engine._quick() as first:
        pass
    with engine._quick() as again, engine._quick() as beside:
        assert first is again
        assert again is not beside


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="that Python has no distutils")
@pytest.mark.parametrize(("has_its_own", "done"), [(True, ["out"]), (False, ["out", "in again"])])
def test_setuptools_stands_in_for_distutils_only_where_it_must(
    has_its_own: bool, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    stand_in = SimpleNamespace(
        remove_shim=lambda: seen.append("out"), add_shim=lambda: seen.append("in again")
    )
    monkeypatch.setitem(sys.modules, "_distutils_hack", stand_in)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if has_its_own else None)
    docker._leave_setuptools_out()
    assert seen == done
