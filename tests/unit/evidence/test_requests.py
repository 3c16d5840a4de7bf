"""Requests in flight, from the kernel's list of sockets: its text, whose they are, and what becomes of them."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from kolla_drain.errors import EvidenceUnavailable
from kolla_drain.evidence import evidence_of, profile_for, requests
from kolla_drain.evidence.requests import Connections, Requests, Sessions, Socket, sockets
from kolla_drain.evidence.under_way import SHORT
from kolla_drain.model import EvidenceState, Operation, Outcome, Reading

OK = Reading(EvidenceState.OK)
# As a kernel of a little-endian machine writes it: the header, a listening socket, one in use, one that waits to be
# accepted, and what is none.
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0000000000000000 100 0
   1: 0100007F:1F90 0A00000A:D431 01 00000000:00000000 00:00000000 00000000     0        0 12 1 0000000000000000 20 4
   2: 0100007F:1F90 0B00000A:D432 01 00000000:00000010 00:00000000 00000000     0        0 0 1 0000000000000000 20 4
   3: ZZ00007F:1F90 0A00000A:D431 01 00000000:00000000 00:00000000 00000000     0        0 13 1
   4: 0100007F:1F90
   5: 0100007F 0A00000A:D431 01 00000000:00000000 00:00000000 00000000     0        0 13 1
   6: 01007F:1F90 0A00000A:D431 01 00000000:00000000 00:00000000 00000000     0        0 13 1

"""
TCP6 = """\
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 21 1
   1: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000A00000A:D433 01 0:0 00:0 0 0 0 22 1
   2: B80D0120000000000000000001000000:1F90 B80D0120000000000000000002000000:D434 08 0:0 00:0 0 0 0 23 1
"""


ANY = "0.0.0.0"  # noqa: S104


def at(host: str, port: int) -> requests.Address:
    return (ipaddress.ip_address(host), port)


def one(local: str, peer: str, state: int = 1, inode: int = 0, *, port: int = 8080, peers: int = 5) -> Socket:
    return Socket(at(local, port), at(peer, peers), state, inode)


@pytest.mark.skipif(sys.byteorder != "little", reason="the text is that of a little-endian machine")
def test_the_kernels_text_is_understood() -> None:
    assert list(sockets(TCP)) == [
        one("127.0.0.1", ANY, 10, 11, peers=0),
        one("127.0.0.1", "10.0.0.10", 1, 12, peers=54321),
        one("127.0.0.1", "10.0.0.11", 1, 0, peers=54322),
    ]
    assert list(sockets(TCP6)) == [
        one("::", "::", 10, 21, peers=0),
        one("127.0.0.1", "10.0.0.10", 1, 22, peers=54323),  # IPv4, mapped
        one("2001:db8::1", "2001:db8::2", 8, 23, peers=54324),
    ]
    assert list(sockets("")) == list(sockets("\0\n\x7f: a b c\n")) == []


MINE, OTHERS = 11, 99
LISTENS = one("10.0.0.1", ANY, 10, MINE)
# The sockets beside the listening one, and how many of them are the container's requests.
CONNECTIONS = {
    "accepted": ([one("10.0.0.1", "10.0.0.9", 1, MINE)], 1),
    "not accepted yet": ([one("10.0.0.1", "10.0.0.9", 1, 0)], 1),
    "whoever asked has gone, and it is worked on": ([one("10.0.0.1", "10.0.0.9", 8, MINE)], 1),
    "another's": ([one("10.0.0.1", "10.0.0.9", 1, OTHERS)], 0),
    "to another port": ([one("10.0.0.1", "10.0.0.9", 1, MINE, port=8081)], 0),
    "to the load balancer on the same port": (
        [one("10.0.0.2", "10.0.0.9", 1, OTHERS), one("10.0.0.2", "10.0.0.9", 1, 0)],
        0,
    ),
    **{
        f"in state {state}": ([one("10.0.0.1", "10.0.0.9", state, MINE)], 0)
        for state in (2, 3, 4, 5, 6, 7, 9, 10, 11, 12)
    },
    "from a process of its own": (
        [
            one("10.0.0.1", "10.0.0.9", 1, MINE),
            one("10.0.0.1", "10.0.0.1", 1, MINE, peers=6),
            one("10.0.0.1", "10.0.0.1", 1, MINE, port=6, peers=8080),
        ],
        1,
    ),
    "from a process of its own alone: the worker still works": (
        [
            one("10.0.0.1", "10.0.0.1", 1, MINE, peers=6),
            one("10.0.0.1", "10.0.0.1", 1, MINE, port=6, peers=8080),
        ],
        1,
    ),
}


@pytest.mark.parametrize(("beside", "number"), CONNECTIONS.values(), ids=CONNECTIONS)
def test_whose_connections_these_are(beside: list[Socket], number: int) -> None:
    found = requests.connections([LISTENS, *beside], frozenset([MINE]), [LISTENS.local])
    assert len(found) == number


def test_an_address_of_another_is_not_that_of_one_that_listens_on_all() -> None:
    every, other = (
        one(ANY, ANY, 10, MINE),
        one("10.0.0.2", ANY, 10, OTHERS),
    )
    mine, theirs = one("10.0.0.1", "10.0.0.9"), one("10.0.0.2", "10.0.0.9")
    assert requests.connections([every, other, mine, theirs], frozenset([MINE]), [every.local]) == [mine]


# --- from one look to the next, on sockets of this process


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket that listens; this process stands for those of the container."""
    monkeypatch.setattr(requests, "in_container", lambda _: [str(os.getpid())])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


CLIENT = """\
import socket, sys
asked = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print(asked.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def request(server: socket.socket, *, accept: bool = True) -> Iterator[str]:
    """A connection from another process, by that one's address."""
    command = [sys.executable, "-c", CLIENT, str(server.getsockname()[1])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        name = f"127.0.0.1:{client.stdout.readline().strip()}"
        with server.accept()[0] if accept else contextlib.nullcontext():
            yield name
        if not accept:
            server.accept()[0].close()
        client.kill()


def told(found: Connections) -> list[tuple[str, str, bool | None]]:
    return [(op.id, op.status, op.claimed) for op in found.complete(OK).operations]


def test_a_request_is_told_while_it_lasts(server: socket.socket, clock: Clock) -> None:
    found = Connections("1d", Requests(), clock, lambda: False)
    assert (told(found), found.complete(OK).why) == ([], "")
    with request(server) as first, request(server, accept=False) as second:
        seen = found.complete(OK).operations
        assert told(found) == sorted([(first, "accepted", True), (second, "waiting", False)])
        assert all(found.has(op) and op.kind == "request" and op.since for op in seen)
        assert found.endings(seen) == ()
    assert told(found) == []
    assert [(ending.outcome, ending.status) for ending in found.endings(seen)] == [
        (Outcome.FINISHED, "closed")
    ] * 2
    assert found.endings([Operation("volume_create", "1", "creating")]) == ()


def test_it_is_told_when_the_server_listens_no_more(server: socket.socket, clock: Clock) -> None:
    """As after its signal."""
    found = Connections("1d", Requests(), clock, lambda: False)
    with request(server) as name:
        found.complete(OK)
        server.close()
        assert told(found) == [(name, "accepted", True)]
        assert found.complete(OK).why == ""


@pytest.mark.parametrize("holder_lives", [True, False])
def test_after_the_signal_one_that_ends_with_its_process_is_not_known_to_be_answered(
    server: socket.socket, clock: Clock, monkeypatch: pytest.MonkeyPatch, holder_lives: bool
) -> None:
    """As uWSGI's router ends: its worker goes on, and nobody passes the answer on."""
    found = Connections("1d", Requests(), clock, lambda: True)
    with request(server):
        seen = found.complete(OK).operations
    monkeypatch.setattr(requests, "lives", lambda _: holder_lives)
    found.complete(OK)
    for _ in range(2):  # and stays so
        assert [ending.outcome for ending in found.endings(seen)] == [
            Outcome.FINISHED if holder_lives else Outcome.UNKNOWN
        ]
        found.complete(OK)


@pytest.mark.parametrize(("signalled", "outcome"), [(False, Outcome.FINISHED), (True, Outcome.UNKNOWN)])
def test_one_that_only_an_earlier_run_has_seen(
    server: socket.socket, clock: Clock, signalled: bool, outcome: Outcome
) -> None:
    found = Connections("1d", Requests(), clock, lambda: signalled)
    found.complete(OK)
    (ending,) = found.endings([Operation("request", "10.0.0.9:5", "accepted", claimed=True)])
    assert ending.outcome is outcome


def test_what_was_not_accepted_at_the_exit_is_lost(
    server: socket.socket, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Connections("1d", Requests(), clock, lambda: False)
    with request(server) as first, request(server, accept=False) as second:
        seen = found.complete(OK).operations
        monkeypatch.setattr(requests, "in_container", lambda _: [])
        assert found.complete(OK).operations == ()
    outcomes = {ending.operation.id: ending.outcome for ending in found.endings(seen)}
    assert outcomes == {first: Outcome.UNKNOWN, second: Outcome.INTERRUPTED}
    assert all(ending.fate for ending in found.endings(seen))


def test_where_new_ones_come_without_a_pause_they_are_passed_over(
    server: socket.socket, clock: Clock
) -> None:
    found = Connections("1d", Requests(), clock, lambda: False)
    with request(server) as long:
        told(found)
        clock.now += SHORT - 1
        assert not found.complete(OK).passed_over
        clock.now += 1
        with request(server) as new:
            seen = found.complete(OK)
            assert [op.id for op in seen.working] == [long]
            assert [op.id for op in seen.passed_over] == [new]
            assert "30 s" in seen.passed_over[0].passed_over
    told(found)  # a moment without one
    with request(server) as name:
        assert [op.id for op in found.complete(OK).working] == [name]


def test_where_the_signal_cuts_sessions_all_are_waited_for(server: socket.socket, clock: Clock) -> None:
    found = Connections("1d", Sessions(), clock, lambda: False)
    with request(server):
        told(found)
        clock.now += 10 * SHORT
        with request(server):
            assert [op.kind for op in found.complete(OK).working] == ["session"] * 2


def test_a_console_informs(server: socket.socket, clock: Clock) -> None:
    found = Connections("1d", requests.Consoles(), clock, lambda: False)
    with request(server) as name:
        seen = found.complete(OK)
    assert [(op.kind, op.id, op.informs) for op in seen.operations] == [("console", name, True)]
    assert seen.working == ()


def test_a_container_that_listens_on_nothing_is_said(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "in_container", lambda _: ["0", str(os.getpid())])
    monkeypatch.setattr(requests, "_held", lambda _: iter(()))
    seen = Connections("1d", Requests(), clock, lambda: False).complete(OK)
    assert (seen.operations, seen.why) == (
        (),
        "no process of it listens on a TCP port, so no request can be seen",
    )


def test_processes_that_cannot_be_seen_are_no_absence_of_requests(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "in_container", lambda _: [])
    with pytest.raises(EvidenceUnavailable, match="cannot be seen in /proc"):
        Connections("1d", Requests(), clock, lambda: False).complete(OK)


def test_sockets_that_may_not_be_read_are_said(
    server: socket.socket, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> Any:
        raise PermissionError

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(EvidenceUnavailable, match="run as root"):
        Connections("1d", Requests(), clock, lambda: False).complete(OK)


@pytest.mark.parametrize(
    ("service", "quiesce", "keeps_work"),
    [("requests", True, True), ("consoles", False, False), ("sessions", True, False)],
)
def test_what_is_known_of_each(service: str, quiesce: bool, keeps_work: bool) -> None:
    profile = profile_for(service, {})
    assert (profile.name, profile.quiesce, profile.keeps_work) == (service, quiesce, keeps_work)
    assert not evidence_of(service).BEATS
