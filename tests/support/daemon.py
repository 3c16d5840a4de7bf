"""A Docker daemon of our own, beside the machine's, that may be restarted and killed.

It shares nothing with the other but the kernel: no bridge, no firewall rules, its own folders and
socket. Its one image is empty; containers see the host's programs, mounted read-only.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker

from testbed.errors import NotReady
from testbed.waiting import wait_until

from .workloads import Workload, Workloads

IMAGE = "empty:1"
PROGRAMS = tuple(
    path for path in ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache") if Path(path).exists()
)


class Daemon:
    """One dockerd. ``restart`` ends it as an upgrade of the engine does, ``crash`` as a bug does.

    ``settings`` are those of its daemon.json.
    """

    def __init__(self, folder: Path, live_restore: bool, settings: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.live_restore = live_restore
        self.settings = dict(settings or {})
        self.url = f"unix://{folder}/docker.sock"
        self.log = folder / "dockerd.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        where = {"data-root": "data", "exec-root": "exec", "pidfile": "docker.pid"}
        return [
            # In a network namespace of its own: with --bridge=none it would delete the other daemon's docker0.
            "unshare",
            "--net",
            "dockerd",
            f"--config-file={self.folder}/daemon.json",
            f"--host={self.url}",
            *(f"--{option}={self.folder / name}" for option, name in where.items()),
            "--bridge=none",
            "--iptables=false",
            "--ip-forward=false",
            "--ip-masq=false",
            *(["--live-restore"] if self.live_restore else []),
        ]

    def start(self) -> docker.DockerClient:
        """Start it and wait until it answers."""
        (self.folder / "daemon.json").write_text(json.dumps(self.settings))
        for _ in range(2):
            try:
                return self._launched()
            except NotReady:
                # On a busy machine its containerd may not be up in the 15 s that it waits for it: then it ends.
                if self.process is None or self.process.poll() is None:
                    raise
        return self._launched()

    def _launched(self) -> docker.DockerClient:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, start_new_session=True)
        return wait_until(self._client, 180, "our dockerd", on_timeout=self._said)

    def _said(self) -> str:
        return self.log.read_text()[-3000:]

    def _client(self) -> docker.DockerClient:
        assert self.process is not None
        if self.process.poll() is not None:
            raise NotReady(f"our dockerd ended: {self._said()}")
        client = docker.DockerClient(base_url=self.url)
        client.ping()
        return client

    def import_image(self, client: docker.DockerClient) -> None:
        nothing = io.BytesIO()
        with tarfile.open(fileobj=nothing, mode="w"):
            pass
        repository, tag = IMAGE.split(":")
        client.api.import_image_from_data(nothing.getvalue(), repository=repository, tag=tag)

    def stop(self) -> None:
        """SIGTERM, seen through."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(180)

    def crash(self) -> None:
        """SIGKILL, seen through; its containers live on for now."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(180)
        # Its containerd goes with it, and where nobody reaps that, the next one would take it for alive.
        (self.folder / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)

    def remove(self) -> None:
        """The daemon, what it left running, and its folder."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(60)
            self.process.kill()
        for mount in self._mounts():
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _mounts(self) -> list[str]:
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        return [path for path in reversed(mounted) if path.startswith(f"{self.folder}/")]


class HostWorkloads(Workloads):
    """Workloads that run the host's own Python."""

    def create(self, *behaviour: str, **options: Any) -> Workload:
        volumes = [f"{path}:{path}:ro" for path in PROGRAMS]
        return super().create(*behaviour, under=(), volumes=volumes, network_mode="none", **options)


@contextlib.contextmanager
def daemon(
    live_restore: bool, settings: Mapping[str, Any] | None = None
) -> Iterator[tuple[Daemon, HostWorkloads]]:
    """A daemon and workloads on it; both are gone afterwards."""
    made = Daemon(Path(tempfile.mkdtemp(prefix="kolla-drain-dockerd-")), live_restore, settings)
    try:
        client = made.start()
        made.import_image(client)
        workloads = HostWorkloads(client, IMAGE)
        try:
            yield made, workloads
        finally:
            if made.process is None or made.process.poll() is not None:
                made.start()
            workloads.close()
    finally:
        made.remove()
