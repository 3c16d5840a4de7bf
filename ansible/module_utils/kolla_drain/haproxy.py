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
_CALL_TIMEOUT = 10  # seconds for one command
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

    @property
    def is_up(self) -> bool:
        return self.status.startswith(("UP", "no check"))

    def is_drained(self, kept: dict[str, bool]) -> bool | None:
        """Return whether the server is drained, or None if that is not known. ``kept``: see ``_drained``."""
        if self.status.startswith("DRAIN"):
            return True
        if self.is_up or self.in_maintenance:
            return False
        return kept.get(self.backend)


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
        due = self._due(before, state)
        if due:
            self._check_level(state)
        if check:
            return Result(before, due, before)
        self._set(due, state)
        now = self._wait(state, timeout)
        if state == "ready" and not _settled(now, state):
            raise HaproxyError(
                f"{self.server} is back in HAProxy but not up after {timeout:g} s "
                f"({', '.join(f'{one.backend} {one.status}' for one in now)}); see why its check fails."
            )
        return Result(before, due, now)

    def servers(self) -> list[Server]:
        """Return the server in each backend that has it. Raises HaproxyError, and Unanswered."""
        lines = self._ask("show stat").lstrip("# ").splitlines()
        if not lines or not lines[0].startswith("pxname,"):
            answer = lines[0] if lines else "nothing"
            raise HaproxyError(
                f"HAProxy at {self.path} answered {answer} instead of its servers; see that kolla_drain_haproxy_socket "
                "is its stats socket."
            )
        return [
            Server(row["pxname"], row["status"], int(row["scur"] or 0))
            for row in csv.DictReader(lines)
            if row["svname"] == self.server and _chosen(row["pxname"], self.backends)
        ]

    def _due(self, servers: Sequence[Server], state: State) -> list[Server]:
        kept = self._drained() if any(one.is_drained({}) is None for one in servers) else {}
        # Where it is not known whether it is drained, the command is sent; repeating it does no harm.
        return [
            one
            for one in servers
            if not one.in_maintenance and one.is_drained(kept) is not (state == "drain")
        ]

    def _drained(self) -> dict[str, bool]:
        """Return by backend whether the server is drained, which its status hides while its check fails."""
        lines = self._ask("show servers state").splitlines()
        header = next((number for number, line in enumerate(lines) if line.startswith("# ")), len(lines))
        rows = csv.DictReader([line.lstrip("# ") for line in lines[header:]], delimiter=" ")
        return {
            row["be_name"]: bool(int(row["srv_admin_state"]) & _FORCED_DRAIN)
            for row in rows
            if row.get("srv_name") == self.server and (row.get("srv_admin_state") or "").isdigit()
        }

    def _check_level(self, state: State) -> None:
        """Refuse a socket of a lower level than admin; a HAProxy that does not know the question is tried."""
        level = self._ask("show cli level")
        if level in ("operator", "user"):
            raise self._refused(self.server, state, f"its stats socket has the level {level}, not admin")

    def _set(self, servers: Sequence[Server], state: State) -> None:
        for one in servers:
            name = f"{one.backend}/{self.server}"
            answer = self._ask(f"set server {name} state {state}")  # empty on success
            if answer.startswith("Permission denied"):
                raise self._refused(name, state, answer)
            if answer:
                raise HaproxyError(f"HAProxy refused to set {name} to {state}: {answer}")

    def _wait(self, state: State, timeout: float) -> list[Server]:
        until = time.monotonic() + timeout
        while True:
            now = self.servers()
            if _settled(now, state) or time.monotonic() >= until:
                return now
            time.sleep(_LOOK_EVERY)

    def _refused(self, name: str, state: State, why: str) -> HaproxyError:
        return HaproxyError(
            f"HAProxy at {self.path} refuses to set {name} to {state}: {why}. Set haproxy_socket_level_admin: true in "
            "Kolla's globals.yml and reconfigure the load balancer, or take its host out of kolla_drain_haproxy_hosts."
        )

    def _ask(self, command: str) -> str:
        """Send one command and return the whole answer. Raises Unanswered."""
        answer = b""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_CALL_TIMEOUT)
                connection.connect(self.path)
                connection.sendall(command.encode() + b"\n")
                while part := connection.recv(65536):
                    answer += part
        except OSError as exc:
            raise Unanswered(
                f"HAProxy does not answer at {self.path} ({exc.strerror or type(exc).__name__}); correct "
                "kolla_drain_haproxy_socket, or take the host out of kolla_drain_haproxy_hosts."
            ) from exc
        return answer.decode(errors="replace").strip()


def _chosen(backend: str, patterns: Sequence[str]) -> bool:
    """Whether the patterns name the backend; the last one that fits decides."""
    fitting = [pattern for pattern in patterns if fnmatchcase(backend, pattern.lstrip("!"))]
    return bool(fitting) and not fitting[-1].startswith("!")


def _settled(servers: Sequence[Server], state: State) -> bool:
    if state == "drain":
        return all(one.sessions == 0 for one in servers)
    return all(one.is_up or one.in_maintenance for one in servers)
