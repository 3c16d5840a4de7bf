"""A server in HAProxy's backends, drained and put back through the stats socket."""

from __future__ import annotations

import csv
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from .errors import KollaDrainError

State = Literal["drain", "ready"]

# srv_admin_state of `show servers state`: drained through the socket.
_FORCED_DRAIN = 0x08
_CALL_TIMEOUT = 10  # seconds for one command and its whole answer
_LOOK_EVERY = 1  # seconds


class HaproxyError(KollaDrainError):
    """HAProxy has not done as it was told."""


class Unanswered(HaproxyError):
    """Nothing answers at the socket."""


@dataclass(frozen=True)
class Server:
    """The server in one backend, as `show stat` has it."""

    backend: str
    status: str  # such as UP or DOWN 1/2; a note may follow the word
    sessions: int

    @property
    def in_maintenance(self) -> bool:
        """Whether a person took it out."""
        return self.status.startswith("MAINT")

    def has_settled(self, state: State) -> bool:
        """Whether nothing more is to be waited for."""
        if state == "drain":
            return self.sessions == 0
        return self.in_maintenance or self.status.startswith(("UP", "no check"))


@dataclass(frozen=True)
class Result:
    """The server before the change, what was changed, and the server at the end of the wait."""

    before: Sequence[Server]
    changed: Sequence[Server]
    now: Sequence[Server]


@dataclass(frozen=True)
class Haproxy:
    """One HAProxy's server, in the backends that fit the patterns."""

    path: str  # of the stats socket
    backends: Sequence[str]
    server: str

    def change(self, state: State, timeout: float, *, check: bool, missing_is_fine: bool) -> Result:
        """Set the server to a state and wait for up to ``timeout`` seconds; with ``check`` only look.

        Raises HaproxyError, and Unanswered.
        """
        before = self.servers()
        if not before and not missing_is_fine:
            raise HaproxyError(
                f"HAProxy at {self.path} has no server {self.server} in {' or '.join(self.backends)}; correct "
                "kolla_drain_haproxy_server."
            )
        drained = self._drained()
        # Where it is not known whether it is drained, the command is sent; repeating it does no harm.
        due = [
            server
            for server in before
            if not server.in_maintenance and drained.get(server.backend) is not (state == "drain")
        ]
        # A HAProxy that does not know the question is tried.
        level = self._ask("show cli level") if due else ""
        if level in ("operator", "user"):
            raise self._refused(self.server, state, f"its stats socket has the level {level}, not admin")
        if check:
            return Result(before, due, before)
        for server in due:
            name = f"{server.backend}/{self.server}"
            answer = self._ask(f"set server {name} state {state}")  # empty on success
            if answer:
                raise self._refused(name, state, answer)
        until = time.monotonic() + timeout
        now = self.servers()
        while not all(server.has_settled(state) for server in now) and time.monotonic() < until:
            time.sleep(_LOOK_EVERY)
            now = self.servers()
        late = [server for server in now if not server.has_settled(state)]
        if state == "ready" and late:
            raise HaproxyError(
                f"{self.server} is back in HAProxy but not up after {timeout:g} s "
                f"({', '.join(f'{server.backend} {server.status}' for server in late)}); see why its check fails."
            )
        return Result(before, due, now)

    def servers(self) -> list[Server]:
        """Return the server in each backend that has it. Raises HaproxyError, and Unanswered."""
        answer = self._ask("show stat").lstrip("# ")
        if not answer.startswith("pxname,"):
            raise HaproxyError(
                f"HAProxy at {self.path} answered {(answer.splitlines() or ['nothing'])[0]} instead of its servers; "
                "see that kolla_drain_haproxy_socket is its stats socket."
            )
        return [
            Server(row["pxname"], row["status"], int(row["scur"] or 0))
            for row in csv.DictReader(answer.splitlines())
            if row["svname"] == self.server and self._chosen(row["pxname"])
        ]

    def _chosen(self, backend: str) -> bool:
        """Whether the patterns name the backend; the last one that fits decides."""
        fitting = [pattern for pattern in self.backends if fnmatchcase(backend, pattern.lstrip("!"))]
        return bool(fitting) and not fitting[-1].startswith("!")

    def _drained(self) -> dict[str, bool]:
        """Return by backend whether the server is drained, which its status hides while its check fails."""
        table = self._ask("show servers state").partition("# ")[2]
        return {
            row["be_name"]: bool(int(row["srv_admin_state"]) & _FORCED_DRAIN)
            for row in csv.DictReader(table.splitlines(), delimiter=" ")
            if row["srv_name"] == self.server
        }

    def _refused(self, name: str, state: State, why: str) -> HaproxyError:
        return HaproxyError(
            f"HAProxy at {self.path} refuses to set {name} to {state}: {why}. Set haproxy_socket_level_admin: true in "
            "Kolla's globals.yml and reconfigure the load balancer, or take its host out of kolla_drain_haproxy_hosts."
        )

    def _ask(self, command: str) -> str:
        """Send one command and return the whole answer. Raises Unanswered."""
        answer, until = b"", time.monotonic() + _CALL_TIMEOUT
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_CALL_TIMEOUT)
                connection.connect(self.path)
                connection.sendall(command.encode() + b"\n")
                while part := connection.recv(65536):
                    answer += part
                    left = until - time.monotonic()
                    if left <= 0:
                        raise TimeoutError
                    connection.settimeout(left)
        except OSError as exc:
            raise Unanswered(
                f"HAProxy does not answer at {self.path} ({exc.strerror or type(exc).__name__}); correct "
                "kolla_drain_haproxy_socket, or take the host out of kolla_drain_haproxy_hosts."
            ) from exc
        return answer.decode(errors="replace").strip()
