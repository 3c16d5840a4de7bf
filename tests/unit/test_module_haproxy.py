"""kolla_haproxy against a socket that speaks as HAProxy does."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.documented import load

HEADER = "# pxname,svname,qcur,qmax,scur,smax,slim,status,weight,\n"


class FakeHaproxy:
    """Two backends with two servers each, and how many looks a server needs to change."""

    def __init__(self) -> None:
        self.servers = {(f"{api}_back", host): ["UP", 0] for api in ("a", "b") for host in ("one", "two")}
        self.commands: list[str] = []
        self.looks_until_settled = 2

    def answer(self, command: str) -> str:
        if command == "show stat":
            self._settle()
            return HEADER + "".join(
                f"{backend},{host},0,0,{sessions},9,,{status},1,\n"
                for (backend, host), (status, sessions) in self.servers.items()
            )
        self.commands.append(command)
        _, _, name, _, state = command.split()
        server = self.servers.get(tuple(name.split("/")))  # type: ignore[arg-type]
        if server is None:
            return "No such server.\n"
        server[0] = {"drain": "DRAIN", "ready": "DOWN 1/2"}[state]
        return "\n"

    def _settle(self) -> None:
        self.looks_until_settled -= 1
        if self.looks_until_settled > 0:
            return
        for server in self.servers.values():
            server[:] = ["UP" if server[0].startswith("DOWN") else server[0], 0]


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


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded = load("kolla_haproxy")
    monkeypatch.setattr(loaded.time, "sleep", lambda _: None)
    return loaded


def options(path: str, state: str, **more: object) -> dict[str, object]:
    given = {"socket": path, "backends": ["a_back", "b_back", "none_back"], "server": "one", "timeout": 30}
    return {**given, "state": state, "ignore_missing": False, **more}


def test_backends_are_chosen_by_patterns(module: ModuleType, haproxy: tuple[FakeHaproxy, str]) -> None:
    fake, path = haproxy

    module.act(options(path, "drain", backends=["*", "!b_*"]), check_mode=False)

    assert fake.commands == ["set server a_back/one state drain"]


def test_a_host_without_an_api_may_be_no_error(module: ModuleType, haproxy: tuple[FakeHaproxy, str]) -> None:
    fake, path = haproxy

    result = module.act(options(path, "drain", server="compute", ignore_missing=True), check_mode=False)

    assert (result["changed"], result["servers"], fake.commands) == (False, [], [])


def test_it_is_drained_in_every_backend_and_waited_for(
    module: ModuleType, haproxy: tuple[FakeHaproxy, str]
) -> None:
    fake, path = haproxy
    fake.servers["a_back", "one"][1] = 3
    fake.looks_until_settled = 4

    result = module.act(options(path, "drain"), check_mode=False)

    assert (result["changed"], result["sessions"]) == (True, 0)
    assert result["servers"][0] == {"backend": "a_back", "status": "UP", "sessions": 3}
    assert fake.commands == ["set server a_back/one state drain", "set server b_back/one state drain"]
    assert fake.servers["a_back", "two"] == ["UP", 0]


def test_it_is_put_back_and_up(module: ModuleType, haproxy: tuple[FakeHaproxy, str]) -> None:
    fake, path = haproxy
    module.act(options(path, "drain"), check_mode=False)
    fake.looks_until_settled = 4

    assert module.act(options(path, "ready"), check_mode=False)["changed"] is True
    assert fake.servers["a_back", "one"][0] == "UP"


def test_what_is_so_is_left_alone(module: ModuleType, haproxy: tuple[FakeHaproxy, str]) -> None:
    fake, path = haproxy

    assert module.act(options(path, "ready"), check_mode=False)["changed"] is False
    assert fake.commands == []


@pytest.mark.parametrize("state", ["drain", "ready"])
def test_what_a_person_took_out_stays_out(
    module: ModuleType, haproxy: tuple[FakeHaproxy, str], state: str
) -> None:
    fake, path = haproxy
    for backend in ("a_back", "b_back"):
        fake.servers[backend, "one"][0] = "MAINT"

    assert module.act(options(path, state), check_mode=False)["changed"] is False
    assert fake.commands == []


def test_check_mode_only_looks(module: ModuleType, haproxy: tuple[FakeHaproxy, str]) -> None:
    fake, path = haproxy

    assert module.act(options(path, "drain"), check_mode=True)["changed"] is True
    assert fake.commands == []


def test_sessions_that_do_not_end_do_not_hold_it_up(
    module: ModuleType, haproxy: tuple[FakeHaproxy, str]
) -> None:
    fake, path = haproxy
    fake.servers["a_back", "one"][1] = 3
    fake.looks_until_settled = 10**9

    assert module.act(options(path, "drain", timeout=0), check_mode=False)["sessions"] == 3


def test_a_server_that_stays_down_is_an_error(module: ModuleType, haproxy: tuple[FakeHaproxy, str]) -> None:
    fake, path = haproxy
    fake.servers["a_back", "one"][0] = "DOWN"
    fake.looks_until_settled = 10**9

    with pytest.raises(module.HaproxyError, match="not up after 0 s"):
        module.act(options(path, "ready", timeout=0), check_mode=False)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"server": "three"}, "has no server three"),
        ({"socket": "/nonexistent"}, "does not answer at /nonexistent"),
    ],
)
def test_what_a_user_gets_wrong_is_a_sentence(
    module: ModuleType, haproxy: tuple[FakeHaproxy, str], more: dict[str, object], message: str
) -> None:
    with pytest.raises(module.HaproxyError, match=message):
        module.act(options(haproxy[1], "drain", **more), check_mode=False)
