"""Podman beside the Docker Engine: installed where it is missing, its service started, images brought over.

The images themselves are made with Docker alone.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import docker

from testbed.containers import free_ports
from testbed.errors import NotReady, TestbedError
from testbed.locks import locked
from testbed.setup_host import ensure_packages
from testbed.waiting import wait_until

# NOTE: a machine without CAP_SYS_RESOURCE cannot raise these limits, and podman would try to. On one without systemd
# it would look for systemd in vain. Podman reads its file of events whole at every question: a small file keeps it
# quick.
CONFIG = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
events_logfile_max_size = 2000000
"""


# Docker accepts registries on this machine without TLS by default, podman does not.
REGISTRIES = """\
[[registry]]
location = "127.0.0.1:{port}"
insecure = true
"""


class Service:
    """``podman system service`` on a socket of its own; several may run side by side, on the same containers.

    ``registry_port`` is where it takes a registry without TLS. ``config`` is its containers.conf.
    """

    def __init__(self, folder: Path, config: str = CONFIG, **environment: str) -> None:
        ensure_packages(["podman"])
        # None that the kernel gives to a client until a registry listens there.
        self.registry_port: int = next(free_ports())
        settings, registries = folder / "containers.conf", folder / "registries.conf"
        settings.write_text(config)
        registries.write_text(REGISTRIES.format(port=self.registry_port))
        self.url = f"unix://{folder}/podman.sock"
        self._log = folder / "podman.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["podman", "system", "service", "--time=0", self.url],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={
                    # With the address of another service podman would be that one's client.
                    **{name: value for name, value in os.environ.items() if name != "CONTAINER_HOST"},
                    "CONTAINERS_CONF": str(settings),
                    "CONTAINERS_REGISTRIES_CONF": str(registries),
                    **environment,
                },
                start_new_session=True,
                cwd=folder,  # where conmon leaves a file when memory runs out
            )
        wait_until(self._answers, 180, "Podman's service", on_timeout=self._said)

    def client(self) -> docker.DockerClient:
        """The docker SDK's client of it: podman speaks Docker's interface as well."""
        return docker.DockerClient(base_url=self.url, version="1.41", timeout=120)

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise NotReady(f"podman ended (rc {self._process.returncode}). {self._said()}")
        try:
            return bool(self.client().ping())
        except docker.errors.DockerException:
            return False

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def close(self) -> None:
        """End the service; its containers go on."""
        self._process.terminate()
        self._process.wait(180)


def bring(reference: str) -> str:
    """Copy an image from the Docker Engine unless podman has it; return its name there."""
    name = f"localhost/{reference}"
    with locked("podman-images"):
        if subprocess.run(["podman", "image", "exists", name], check=False).returncode == 0:
            return name
        saved = subprocess.Popen(["docker", "save", reference], stdout=subprocess.PIPE)
        loaded = subprocess.run(
            ["podman", "load", "--quiet"], stdin=saved.stdout, capture_output=True, text=True, check=False
        )
        if saved.wait() or loaded.returncode:
            raise TestbedError(
                f"The image {reference} could not be brought to podman: {loaded.stderr.strip()[-500:]}"
            )
    return name
