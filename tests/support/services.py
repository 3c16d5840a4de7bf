"""One container as an operator describes it to the module: made, replaced and removed by that description."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from docker.errors import APIError, NotFound

from testbed.mariadb import MariaDB

from . import engines, module_run
from .workloads import LABEL, PODMANS_OWN, SCRIPT, Workload, Workloads, _session


class Service:
    """A name, and the options that the module is given for it."""

    def __init__(self, workloads: Workloads) -> None:
        self.name = f"kd_test_{secrets.token_hex(4)}"
        self.folder = Path(tempfile.mkdtemp(prefix="kolla-drain-test-"))
        self._workloads = workloads
        self.secret = secrets.token_hex(12)
        module_run.SECRETS.add(self.secret)

    def args(self, action: str, *behaviour: str, command: str = "", **options: Any) -> dict[str, Any]:
        """The module's arguments; ``behaviour`` is workload.py's, ``command`` runs something else."""
        words = ["python3", "-u", "/workload.py", "--record", "/record/events", *behaviour]
        return {
            "action": action,
            "name": self.name,
            "image": self._workloads.image,
            "command": command or words,
            "labels": {LABEL: _session(), "token": self.secret},
            "volumes": [f"{SCRIPT}:/workload.py:ro", f"{self.folder}:/record"],
            "environment": {"KOLLA_CONFIG_STRATEGY": "COPY_ALWAYS"},
            "service": "none",
            **options,
        }

    def there(self) -> dict[str, str]:
        """The containers of this name and of those that an exchange makes of it, with their states."""
        found = {}
        for end in ("", ".new", ".old", ".failed"):
            with contextlib.suppress(NotFound):
                status = self.inspect(end)["State"]["Status"]
                found[f"NAME{end}"] = PODMANS_OWN.get(status, status)
        return found

    def inspect(self, end: str = "") -> dict[str, Any]:
        """``docker inspect`` of one of them. Raises NotFound."""
        answer: dict[str, Any] = self._workloads.client.api.inspect_container(self.name + end)
        return answer

    @property
    def workload(self) -> Workload:
        """The container that has the name now."""
        raw = self._workloads.client.containers.get(self.name)
        return Workload(raw, self.name, self.folder, self._workloads.log)

    def report(self) -> str:
        """All that helps to understand a failure."""
        parts = [str(self.there())]
        for end in ("", ".new", ".old", ".failed"):
            with contextlib.suppress(NotFound):
                raw = self._workloads.client.containers.get(self.name + end)
                parts.append(Workload(raw, self.name + end, self.folder, self._workloads.log).report())
        return "\n".join(parts)

    def remove(self) -> None:
        """Gone, all of them."""
        for end in ("", ".new", ".old", ".failed"):
            with contextlib.suppress(NotFound, APIError):
                raw = self._workloads.client.containers.get(self.name + end)
                Workload(raw, self.name + end, self.folder, self._workloads.log).remove()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def checks_run(name: str) -> Iterator[None]:
    """Podman leaves its checks to timers of systemd; where that does not run they are run by hand."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.5):
            subprocess.run(["podman", "healthcheck", "run", name], capture_output=True, check=False)

    thread = threading.Thread(target=run)
    if engines.is_podman():
        thread.start()
    try:
        yield
    finally:
        over.set()
        if engines.is_podman():
            thread.join()


def with_rows(
    service: Service,
    database: MariaDB,
    host: str,
    backends: Sequence[str] = ("one",),
    backend_host: str = "",
    **conf: Any,
) -> dict[str, Any]:
    """Arguments for a service that keeps Cinder's rows, with its own configuration; an option of None is left out."""
    own = service.folder / "cinder.conf"
    options = {"report_interval": 1, "enabled_backends": ",".join(backends), **conf}
    more = "".join(f"{key} = {value}\n" for key, value in options.items() if value is not None)
    sections = "".join(
        f"[{name}]\n" + f"backend_host = {backend_host}\n" * bool(backend_host) for name in backends
    )
    own.write_text(
        f"[DEFAULT]\nhost = {host}\n{more}{sections}[database]\nconnection = "
        f"mysql+pymysql://root:{database.root_password}@127.0.0.1:{database.port}/cinder\n"
    )
    return {"service": "cinder-volume", "service_config": [str(own)], "poll_interval": 0.5}
