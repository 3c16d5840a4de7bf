"""Requests in flight of what serves connections: uWSGI and Apache, consoles, sshd. They have no rows.

A request is a TCP connection to a port on which a process of the container listens, as the kernel lists it in
/proc/PID/net. The sockets that the container's processes hold tell its own connections from those of others on the same
network, so that no port has to be known. A connection that no process holds yet waits to be accepted.

With Kolla's uWSGI each request has a connection of its own (Connection: close). Elsewhere an idle connection that is
kept for the next request cannot be told from a request.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import ClassVar, NamedTuple, Union

from ..errors import EvidenceUnavailable
from ..host.process import in_container, lives, named
from ..model import Ending, Operation, Outcome, Profile, Reading
from .base import NoRows, now_utc
from .under_way import UnderWay

# From the kernel's include/net/tcp_states.h. In CLOSE_WAIT whoever asked has gone, and the server works on.
_ESTABLISHED, _CLOSE_WAIT, _LISTEN = 0x01, 0x08, 0x0A

_CUT = "its process ended, so whoever asked has no answer, unless that came in the last moment; the work may be done"
_NEVER_TAKEN = "nobody had taken it, so whoever asked has to ask again"


class Requests(NoRows):
    """The APIs and other servers whose connections are short."""

    # uWSGI's workers finish what they work on. But the http router, which holds the connections, is killed at once, and
    # with it the answers; what connects then waits until the exit. Seen with 2.0.21, set up as Kolla does.
    PROFILE = Profile("requests", quiesce=True)
    KIND: ClassVar[str] = "request"
    INFORMS: ClassVar[bool] = False


class Consoles(Requests):
    """The console proxies: a console may stay open for days, and can be opened again."""

    PROFILE = Profile("consoles", keeps_work=False)
    KIND = "console"
    INFORMS = True


class Sessions(Requests):
    """An sshd through which files are copied; its end cuts its sessions."""

    PROFILE = Profile("sessions", quiesce=True, keeps_work=False)
    KIND = "session"


Address = tuple[Union[ipaddress.IPv4Address, ipaddress.IPv6Address], int]


class Socket(NamedTuple):
    """One line of /proc/PID/net/tcp or tcp6."""

    local: Address
    peer: Address
    state: int
    inode: int  # 0: no process holds it


def sockets(text: str) -> Iterator[Socket]:
    """Yield the sockets in the text of /proc/PID/net/tcp or tcp6; a line that is none is passed over."""
    for line in text.splitlines():
        fields = line.split()
        try:
            local, peer, state, inode = fields[1], fields[2], int(fields[3], 16), int(fields[9])
            yield Socket(_address(local), _address(peer), state, inode)
        except (IndexError, ValueError):
            continue


def _address(text: str) -> Address:
    """Read "0100007F:1F90": 32-bit words in the byte order of the machine. Raises ValueError."""
    host, _, port = text.partition(":")
    raw = bytes.fromhex(host)
    if sys.byteorder == "little":
        raw = b"".join(raw[place : place + 4][::-1] for place in range(0, len(raw), 4))
    found = ipaddress.ip_address(raw)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found, int(port, 16)


def connections(seen: Iterable[Socket], own: frozenset[int], listens: Iterable[Address]) -> list[Socket]:
    """Return the connections to these addresses, which processes that hold the sockets ``own`` work on or wait for.

    uWSGI passes each request on to a worker by a second connection, between its own processes. Such a one is returned
    only where no other is left: whoever asked has gone then, and the worker works on.
    """
    known = list(seen)
    mine, others = set(listens), {one.local for one in known if one.state == _LISTEN and one.inode not in own}
    inner = {one.local for one in known if one.inode in own}
    found = [
        one
        for one in known
        if one.state in (_ESTABLISHED, _CLOSE_WAIT)
        and (one.inode in own or (not one.inode and one.local not in others))
        and any(one.local[1] == port and (ip.is_unspecified or ip == one.local[0]) for ip, port in mine)
    ]
    return [one for one in found if one.peer not in inner] or found


class Connections:
    """The connections of one container, with a memory from one look to the next; as reader.Local.

    ``clock()`` returns seconds since the boot, and ``signalled()`` whether the container had its stop signal.
    """

    def __init__(
        self,
        container_id: str,
        served: Requests,
        clock: Callable[[], float],
        signalled: Callable[[], bool],
    ) -> None:
        self._container_id = container_id
        self._served = served
        self._clock = clock
        self._signalled = signalled
        self._listens: frozenset[Address] = frozenset()  # at any look: after the signal it listens no more
        self._known: dict[tuple[str, str], Operation] = {}  # all that were ever seen, as last seen
        self._under_way = UnderWay()
        self._holders: dict[tuple[str, str], list[str]] = {}  # the names of the processes that held each
        self._cut: set[tuple[str, str]] = set()  # those that ended with their process, after the signal
        self._ran = self._late = False  # at the last look; and whether it had its signal by then

    def complete(self, reading: Reading) -> Reading:
        """Return the reading with the connections. Raises EvidenceUnavailable where they cannot be seen."""
        pids = list(in_container(self._container_id))
        if not pids and not self._known and not self._listens:
            raise EvidenceUnavailable(
                "its processes cannot be seen in /proc of this host; run this as root, on the host of its engine"
            )
        self._ran = bool(pids)
        now = self._clock()
        keys = self._look(pids)
        self._late = self._signalled()
        if self._late:
            gone = [key for key in self._under_way.since if key not in keys]
            self._cut.update(key for key in gone if not any(map(lives, self._holders[key])))
        self._under_way.see(keys, now)
        why = "" if self._listens else "no process of it listens on a TCP port, so no request can be seen"
        told = [self._told(key, now) for key in sorted(keys)]
        return replace(reading, why=why, operations=(*reading.operations, *told))

    def has(self, operation: Operation) -> bool:
        """Return whether an operation is a connection, seen by this run or by one that it has joined."""
        return operation.kind == self._served.KIND

    def endings(self, operations: Iterable[Operation]) -> tuple[Ending, ...]:
        """Return what became of connections that are gone."""
        return tuple(
            self._ending(op) for op in operations if self.has(op) and op.key not in self._under_way.since
        )

    def _ending(self, op: Operation) -> Ending:
        # One that an earlier run has seen may have ended in either way once the signal was out.
        doubtful = op.key in self._cut or (self._late and op.key not in self._known)
        if self._ran and not doubtful:
            return Ending(op, Outcome.FINISHED, "closed")
        if self._known.get(op.key, op).claimed:
            return Ending(op, Outcome.UNKNOWN, "exited", _CUT)
        return Ending(op, Outcome.INTERRUPTED, "exited", _NEVER_TAKEN, queued_fate=_NEVER_TAKEN)

    def _look(self, pids: list[str]) -> set[tuple[str, str]]:
        # The connections before who holds them, because one that is accepted in between is seen either way.
        seen = next((found for found in map(_sockets_of, pids) if found is not None), [])
        holders: dict[int, list[str]] = {}
        for pid in pids:
            for inode in _held(pid):
                holders.setdefault(inode, []).append(pid)
        own = frozenset(holders)
        self._listens |= {one.local for one in seen if one.state == _LISTEN and one.inode in own}
        found = connections(seen, own, self._listens)
        return {self._take(one, holders.get(one.inode, ())) for one in found}

    def _take(self, one: Socket, holders: Iterable[str]) -> tuple[str, str]:
        ip, port = one.peer
        key = (self._served.KIND, f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}")
        since = self._known[key].since if key in self._under_way.since else now_utc()
        self._holders[key] = [named(int(pid)) for pid in holders]
        status = "accepted" if one.inode else "waiting"
        self._known[key] = Operation(
            *key, status, since=since, claimed=bool(one.inode), informs=self._served.INFORMS
        )
        return key

    def _told(self, key: tuple[str, str], now: float) -> Operation:
        """Return a connection, passed over where new ones come without an end."""
        op = self._known[key]
        if not self._served.PROFILE.keeps_work or not self._under_way.is_short(key, now):
            return op
        busy = self._under_way.busy_for(now)
        why = f"for {busy:.0f} s it has not been without one; take it out of the load balancer first (kolla_haproxy)"
        return replace(op, passed_over=why)


def _sockets_of(pid: str) -> list[Socket] | None:
    """Return the sockets on the network of a process; None for one that has ended."""
    found: list[Socket] | None = None
    for name in ("tcp", "tcp6"):  # the latter only where there is IPv6
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/net/{name}", encoding="ascii", errors="replace") as stream:
                found = [*(found or ()), *sockets(stream.read())]
    return found


def _held(pid: str) -> Iterator[int]:
    """Yield the numbers of the sockets that a process holds. Raises EvidenceUnavailable."""
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except PermissionError:
        raise EvidenceUnavailable(
            "the sockets of its processes may not be read; run as root (become: true)"
        ) from None
    except OSError:  # it has ended
        return
    for name in names:
        try:
            target = os.readlink(f"{folder}/{name}")
        except OSError:  # it was closed
            continue
        if target.startswith("socket:["):
            yield int(target[8:-1])
