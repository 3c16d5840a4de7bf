"""Workloads that act as Cinder services on a real MariaDB with Cinder's schema."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from testbed.mariadb import MariaDB
from testbed.waiting import wait_until

from .checks import LEDGER
from .workloads import Workload, Workloads, cinder_arguments

PASSWORD = "s3cr3t-of-the-database"
# Seconds that a worker row may stand still where rows are refreshed, and a heartbeat: more than a busy machine makes
# of an interval of a second or less.
DOWN_TIME = 6
LONGER = DOWN_TIME + 5  # of an operation that must be waited for all the same


@dataclasses.dataclass
class Service:
    """A workload that acts as a Cinder service, and the options by which the module finds its rows."""

    workload: Workload
    host: str
    options: dict[str, Any]
    database: MariaDB
    user: str  # whom the module reads as

    def args(self, **options: Any) -> dict[str, Any]:
        """Return the options of a stop, with a budget that a busy machine does not use up."""
        common = {"action": "stop_container", "name": self.workload.name, "graceful_shutdown_timeout": 150}
        return {**common, "poll_interval": 0.5, **self.options, **options}

    @property
    def is_connected(self) -> bool:
        """Whether a run has a connection to read its rows, and not only for its preflight."""
        if not (LEDGER / f"{self.workload.id}.json").exists():
            return False
        rows = self.database.execute(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE user = %s", (self.user,)
        )
        return bool(rows[0][0])

    def wait_asked(self, statement: str, count: int) -> None:
        """Until a run has sent a statement that is LIKE this one so often from now on, by the server's log."""

        def asked() -> bool:
            rows = self.database.execute(
                "SELECT COUNT(*) FROM mysql.general_log WHERE user_host LIKE %s AND argument LIKE %s",
                (f"{self.user}[%", statement),
            )
            return bool(rows[0][0] >= count)

        self.database.execute("TRUNCATE mysql.general_log")
        self.database.execute("SET GLOBAL log_output = 'TABLE', general_log = 1")
        try:
            wait_until(asked, 180, f"{count} times {statement} about {self.host}", interval=0.2)
        finally:
            self.database.execute("SET GLOBAL general_log = 0")

    def go(self) -> None:
        """Let its operations begin; they are in its rows from the start."""
        (self.workload.folder / "go").touch()

    def wait_read(self) -> None:
        """Until a run has read its rows from now on, and not only for its preflight; then let the operations begin.

        Each reading ends with a ROLLBACK.
        """
        self.wait_asked("ROLLBACK", 3)
        self.go()

    def volume_status(self) -> list[str]:
        rows = self.database.execute(
            "SELECT status FROM volumes WHERE host LIKE %s", (self.host + "@%",), "cinder"
        )
        return [row[0] for row in rows]


class Services:
    """Makes services on one database, each with a host name and a configuration of its own."""

    def __init__(self, workloads: Workloads, database: MariaDB, host: str, folder: Path) -> None:
        self.workloads, self.database, self.host, self.folder = workloads, database, host, folder
        self.made = 0

    def start(
        self,
        *operations: str,
        behaviour: tuple[str, ...] = (),
        binary: str = "cinder-volume",
        url: Callable[[str], str] = str,
        named: bool = True,
        has_own: bool = False,
        backend_host: str = "",
        cluster: str = "",
        **options: Any,
    ) -> Service:
        """``operations`` as KIND:SECONDS; ``url`` makes what its configuration names of the right URL.

        Not ``named``, its configuration does not say on which host it is, and its container has the host's name.
        ``has_own`` puts the file into the container only, where its process would read it. Services with one
        ``backend_host`` share a row, those with one ``cluster`` its queue. ``options`` are the container's.
        """
        self.made += 1
        host = f"{self.host}-{self.made}"
        user = f"reader-{host}"
        self.database.create_user(user, PASSWORD, "SELECT", "cinder.*")
        right = f"mysql+pymysql://{user}:{PASSWORD}@127.0.0.1:{self.database.port}/cinder"
        row = f"{backend_host or host}@lvm" if binary == "cinder-volume" else host
        config = self.folder / f"{host}.conf"
        config.write_text(
            f"[DEFAULT]\n{f'host = {host}' if named else ''}\nenabled_backends = lvm\nreport_interval = 1\n"
            f"service_down_time = {DOWN_TIME}\n[lvm]\nvolume_backend_name = lvm\n"
            f"{f'backend_host = {backend_host}' if backend_host else ''}\n"
            f"[database]\nconnection = {url(right)}\n"
        )
        root = {
            "host": "127.0.0.1",
            "port": self.database.port,
            "user": "root",
            "password": self.database.root_password,
            "database": "cinder",
        }
        arguments = [
            *cinder_arguments(root, row, *operations),
            "--binary",
            binary,
            "--go",
            "/record/go",
            *(("--cluster", f"{cluster}@lvm") if cluster else ()),
            *behaviour,
        ]
        found_by: dict[str, Any] = {"service": binary, "service_config": [str(config)]}
        if not named:
            options["hostname"] = host
        if has_own:
            options["volumes"] = [*options.get("volumes", ()), f"{config}:/etc/cinder/cinder.conf:ro"]
            del found_by["service_config"]
        workload = self.workloads.start(*arguments, **options)
        return Service(workload, host, found_by, self.database, user)
