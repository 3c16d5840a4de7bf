"""The client against a socket that answers as HAProxy does, and against a real HAProxy."""

from __future__ import annotations

import contextlib
import shutil
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kolla_drain import haproxy as core
from kolla_drain.haproxy import Haproxy, HaproxyError, Result

HEADER = "# pxname,svname,qcur,qmax,scur,smax,slim,status,weight,\n"
STATES = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight\n"


class FakeHaproxy:
    """Two backends with two servers each, and how many looks a server needs to change."""

    def __init__(self) -> None:
        self.servers = {(f"{api}_back", host): ["UP", 0] for api in ("a", "b") for host in ("one", "two")}
        self.commands: list[str] = []
        self.looks_until_settled = 2
        self.level = "admin"
        # Drained servers whose check fails: HAProxy shows them as DOWN, and as DRAIN only once it passes.
        self.drained_down: set[tuple[str, str]] = set()

    def answer(self, command: str) -> str:
        if command == "show cli level":
            return f"{self.level}\n\n"
        if command == "show servers state":
            return self._states()
        if command == "show stat":
            self._settle()
            return HEADER + "".join(
                f"{backend},{host},0,0,{sessions},9,,{status},1,\n"
                for (backend, host), (status, sessions) in self.servers.items()
            )
        self.commands.append(command)
        if self.level != "admin":
            return "Permission denied\n\n"
        _, _, name, _, state = command.split()
        key: tuple[str, str] = tuple(name.split("/"))  # type: ignore[assignment]
        server = self.servers.get(key)
        if server is None:
            return "No such server.\n"
        if state == "drain" and str(server[0]).startswith("DOWN"):
            self.drained_down.add(key)
            return "\n"
        self.drained_down.discard(key)
        server[0] = {"drain": "DRAIN", "ready": "DOWN 1/2"}[state]
        return "\n"

    def _states(self) -> str:
        rows = [
            f"2 {backend} 1 {host} 127.0.0.1 2 {8 if self._is_drained((backend, host)) else 0} 1\n"
            for backend, host in self.servers
        ]
        return "1\n" + STATES + "".join(rows) + "\n"

    def _is_drained(self, key: tuple[str, str]) -> bool:
        return key in self.drained_down or self.servers[key][0] == "DRAIN"

    def _settle(self) -> None:
        self.looks_until_settled -= 1
        if self.looks_until_settled > 0:
            return
        for key, server in self.servers.items():
            passes = "DRAIN" if key in self.drained_down else "UP"
            server[:] = [passes if str(server[0]).startswith("DOWN") else server[0], 0]


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[tuple[FakeHaproxy, str]]:
    fake = FakeHaproxy()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            command = self.rfile.readline().decode().strip()
            with contextlib.suppress(BrokenPipeError):
                self.wfile.write(fake.answer(command).encode())

    path = str(tmp_path / "haproxy.sock")
    with socketserver.ThreadingUnixStreamServer(path, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield fake, path
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "_LOOK_EVERY", 0)


def change(
    path: str,
    state: core.State,
    *,
    check: bool = False,
    backends: Sequence[str] = ("a_back", "b_back", "none_back"),
    server: str = "one",
    timeout: float = 30,
    missing_is_fine: bool = False,
) -> Result:
    haproxy = Haproxy(path, backends, server)
    return haproxy.change(state, timeout, check=check, missing_is_fine=missing_is_fine)


def test_backends_are_chosen_by_patterns(haproxy: tuple[FakeHaproxy, str]) -> None:
    fake, path = haproxy

    change(path, "drain", backends=["*", "!b_*"])

    assert fake.commands == ["set server a_back/one state drain"]


def test_a_host_without_an_api_may_be_no_error(haproxy: tuple[FakeHaproxy, str]) -> None:
    fake, path = haproxy

    result = change(path, "drain", server="compute", missing_is_fine=True)

    assert (result.changed, result.before, fake.commands) == ([], [], [])


def test_it_is_drained_in_every_backend_and_waited_for(haproxy: tuple[FakeHaproxy, str]) -> None:
    fake, path = haproxy
    fake.servers["a_back", "one"][1] = 3
    fake.looks_until_settled = 4

    result = change(path, "drain")

    assert len(result.changed) == 2
    assert [one.sessions for one in result.now] == [0, 0]
    assert result.before[0] == core.Server("a_back", "UP", 3)
    assert fake.commands == ["set server a_back/one state drain", "set server b_back/one state drain"]
    assert fake.servers["a_back", "two"] == ["UP", 0]


def test_it_is_put_back_and_up(haproxy: tuple[FakeHaproxy, str]) -> None:
    fake, path = haproxy
    change(path, "drain")
    fake.looks_until_settled = 4

    assert change(path, "ready").changed
    assert fake.servers["a_back", "one"][0] == "UP"


def test_a_drained_server_that_is_shown_as_down_is_put_back(haproxy: tuple[FakeHaproxy, str]) -> None:
    fake, path = haproxy
    fake.servers["a_back", "one"][0] = "DOWN"
    fake.drained_down.add(("a_back", "one"))
    fake.looks_until_settled = 4

    result = change(path, "ready")

    assert result.changed
    assert fake.commands == ["set server a_back/one state ready"]
    assert fake.servers["a_back", "one"][0] == "UP"


@pytest.mark.parametrize(("state", "drained"), [("ready", False), ("drain", True)])
def test_a_server_that_is_down_and_as_it_should_be_is_left_alone(
    haproxy: tuple[FakeHaproxy, str], state: str, drained: bool
) -> None:
    fake, path = haproxy
    fake.servers["a_back", "one"][0] = "DOWN 1/2"
    fake.drained_down |= {("a_back", "one")} if drained else set()

    assert change(path, state, backends=["a_back"]).changed == []
    assert fake.commands == []


def test_a_server_that_is_down_is_drained_for_when_it_comes_up(haproxy: tuple[FakeHaproxy, str]) -> None:
    fake, path = haproxy
    fake.servers["a_back", "one"][0] = "DOWN"
    fake.looks_until_settled = 10**9

    change(path, "drain", backends=["a_back"])

    assert fake.commands == ["set server a_back/one state drain"]


def test_where_haproxy_does_not_tell_it_is_said_again(
    haproxy: tuple[FakeHaproxy, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, path = haproxy
    fake.servers["a_back", "one"][0] = "DOWN"
    monkeypatch.setattr(fake, "_states", lambda: "Unknown command.\n")

    assert change(path, "ready", backends=["a_back"]).changed


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("level", ["operator", "user"])
def test_a_socket_that_may_only_look_is_an_error_before_anything_is_sent(
    haproxy: tuple[FakeHaproxy, str], check_mode: bool, level: str
) -> None:
    fake, path = haproxy
    fake.level = level

    with pytest.raises(HaproxyError, match=rf"level {level}, not admin.*haproxy_socket_level_admin: true"):
        change(path, "drain", check=check_mode)

    assert fake.commands == []


def test_a_haproxy_that_does_not_know_levels_is_tried(haproxy: tuple[FakeHaproxy, str]) -> None:
    fake, path = haproxy
    fake.level = "Unknown command."

    assert change(path, "drain", check=True).changed
    with pytest.raises(HaproxyError, match=r"Permission denied.*haproxy_socket_level_admin: true"):
        change(path, "drain")


def test_a_socket_that_may_only_look_is_enough_where_nothing_is_to_be_moved(
    haproxy: tuple[FakeHaproxy, str],
) -> None:
    fake, path = haproxy
    fake.level = "user"

    assert change(path, "ready").changed == []


def test_an_answer_that_is_none_of_haproxy_is_no_empty_list(
    haproxy: tuple[FakeHaproxy, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, path = haproxy
    monkeypatch.setattr(fake, "answer", lambda _: "")

    with pytest.raises(HaproxyError, match="answered nothing instead of its servers"):
        change(path, "drain", missing_is_fine=True)


def test_what_is_so_is_left_alone(haproxy: tuple[FakeHaproxy, str]) -> None:
    fake, path = haproxy

    assert change(path, "ready").changed == []
    assert fake.commands == []


@pytest.mark.parametrize("state", ["drain", "ready"])
def test_what_a_person_took_out_stays_out(haproxy: tuple[FakeHaproxy, str], state: str) -> None:
    fake, path = haproxy
    for backend in ("a_back", "b_back"):
        fake.servers[backend, "one"][0] = "MAINT"

    assert change(path, state).changed == []
    assert fake.commands == []


def test_check_mode_only_looks(haproxy: tuple[FakeHaproxy, str]) -> None:
    fake, path = haproxy

    assert change(path, "drain", check=True).changed
    assert fake.commands == []


def test_sessions_that_do_not_end_do_not_hold_it_up(haproxy: tuple[FakeHaproxy, str]) -> None:
    fake, path = haproxy
    fake.servers["a_back", "one"][1] = 3
    fake.looks_until_settled = 10**9

    assert change(path, "drain", timeout=0).now[0].sessions == 3


def test_a_server_that_stays_down_is_an_error(haproxy: tuple[FakeHaproxy, str]) -> None:
    fake, path = haproxy
    fake.servers["a_back", "one"][0] = "DOWN"
    fake.looks_until_settled = 10**9

    with pytest.raises(HaproxyError, match="not up after 0 s"):
        change(path, "ready", timeout=0)


def test_a_server_that_haproxy_does_not_know_is_named(haproxy: tuple[FakeHaproxy, str]) -> None:
    with pytest.raises(HaproxyError, match="has no server three"):
        change(haproxy[1], "drain", server="three")


def test_a_socket_without_haproxy_is_told_from_one_that_refuses() -> None:
    with pytest.raises(core.Unanswered, match="does not answer at /nonexistent"):
        change("/nonexistent", "drain")


def test_an_answer_without_an_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            with contextlib.suppress(OSError):
                for _ in range(100):
                    self.wfile.write(b"#")
                    time.sleep(0.05)

    monkeypatch.setattr(core, "_CALL_TIMEOUT", 0.2)
    path = str(tmp_path / "socket")
    with socketserver.ThreadingUnixStreamServer(path, Endless) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with pytest.raises(core.Unanswered, match="does not answer at"):
            Haproxy(path, ["a_back"], "one").servers()
        server.shutdown()


REAL = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
CONFIG = """
global
    stats socket {0}/admin level admin
    stats socket {0}/operator
defaults
    mode tcp
    timeout connect 1s
    timeout client 1s
    timeout server 1s
listen a_back
    bind unix@{0}/front
    server one unix@{0}/one check inter 100 rise 1 fall 1
"""


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Path]:
    """A HAProxy whose one server does not answer, with a socket of either level; no port of the machine is taken."""
    (tmp_path / "haproxy.cfg").write_text(CONFIG.format(tmp_path))
    with subprocess.Popen([str(REAL), "-db", "-f", str(tmp_path / "haproxy.cfg")]) as process:
        try:
            until = time.monotonic() + 30
            while not (tmp_path / "operator").exists() and time.monotonic() < until:
                time.sleep(0.05)
            yield tmp_path
        finally:
            process.kill()


@pytest.mark.skipif(REAL is None, reason="no haproxy is installed")
def test_a_real_haproxy_is_understood(real: Path) -> None:
    admin, operator = str(real / "admin"), str(real / "operator")

    def done(state: core.State, path: str = admin, *, check: bool = False) -> list[bool]:
        return [bool(change(path, state, backends=["a_back"], timeout=0, check=check).changed)]

    def status() -> str:
        return Haproxy(admin, ["*"], "one").servers()[0].status

    until = time.monotonic() + 30
    while status() != "DOWN" and time.monotonic() < until:
        time.sleep(0.05)

    with pytest.raises(HaproxyError, match="level operator, not admin"):
        done("drain", operator, check=True)
    assert done("drain") + done("drain") == [True, False]
    assert status() == "DOWN", "drained, and not shown"
    assert done("ready", check=True) == [True]
    with pytest.raises(HaproxyError, match="is back in HAProxy but not up"):
        done("ready")
    assert done("ready", check=True) == [False]
