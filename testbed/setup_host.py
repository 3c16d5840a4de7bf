"""Prepare a fresh Debian or Ubuntu machine for containers."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import docker

from testbed.console import say, step
from testbed.errors import NotReady, TestbedError
from testbed.locks import locked
from testbed.paths import DOCKERD_LOG
from testbed.waiting import wait_until

OLDEST = {"debian": 12.0, "ubuntu": 24.04}


def host_release() -> dict[str, str]:
    """Return /etc/os-release as a dictionary. Raises TestbedError when the release is too old."""
    try:
        release = platform.freedesktop_os_release()
    except OSError as error:
        raise TestbedError("This machine has no /etc/os-release; Debian or Ubuntu is needed.") from error
    oldest = OLDEST.get(release.get("ID", ""))
    version = float(release.get("VERSION_ID") or "99")  # testing and unstable carry none
    if oldest is None or version < oldest:
        raise TestbedError(
            "The testbed is built from the host's own packages and needs Debian 12 or later, or "
            f"Ubuntu 24.04 or later; this is {release.get('PRETTY_NAME', 'something else')}."
        )
    return release


def require_root() -> None:
    """Raise TestbedError when this process is not root's."""
    if os.geteuid() != 0:
        raise TestbedError("The testbed needs root (engine, /etc/kolla): run it as root or with sudo.")


def _installed(package: str) -> bool:
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f=${Status}", package], capture_output=True, text=True, check=False
    )
    return shown.stdout.endswith(" installed")


def ensure_packages(packages: Iterable[str]) -> None:
    """Install the packages that are missing, after one apt-get update."""
    wanted = list(packages)
    if all(map(_installed, wanted)):
        return
    require_root()
    with locked("packages"):
        _install([package for package in wanted if not _installed(package)])


def _install(missing: list[str]) -> None:
    if not missing:
        return
    with step(f"installing {' '.join(missing)}"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (
            ["apt-get", "update", "-q"],
            ["apt-get", "install", "-qy", "--no-install-recommends", *missing],
        ):
            ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if ran.returncode:
                raise TestbedError(
                    f"'{' '.join(command)}' failed (rc {ran.returncode}): {ran.stderr.strip()[-800:]}"
                )


def engine_client(timeout: int = 120) -> docker.DockerClient | None:
    """Return a client of the engine, or None when none answers."""
    try:
        client = docker.from_env(version="auto", timeout=timeout)
        client.ping()
        return client
    except docker.errors.DockerException:
        return None


def ensure_engine(timeout: int = 120) -> docker.DockerClient:
    """Return a client of the engine; install and start an engine first when none answers.

    A daemon that we start goes on after we end; its log is DOCKERD_LOG.
    """
    client = engine_client(timeout)
    if client is not None:
        return client
    require_root()
    with locked("engine"):
        return engine_client(timeout) or _installed_and_started(timeout)


def _installed_and_started(timeout: int) -> docker.DockerClient:
    if shutil.which("dockerd") is None:
        ensure_packages(["docker.io"])
        client = engine_client(timeout)  # the package may have started it
        if client is not None:
            return client
    daemon = _start_dockerd()

    def answers() -> docker.DockerClient | None:
        if daemon is not None and daemon.poll() is not None:
            raise NotReady(f"dockerd ended (rc {daemon.returncode}). {_dockerd_log()}")
        return engine_client(timeout)

    found = wait_until(answers, 180, "The Docker Engine", on_timeout=_dockerd_log)
    assert found is not None
    return found


def _start_dockerd() -> subprocess.Popen[bytes] | None:
    """Start the daemon by systemd where that runs, else as a child of its own."""
    if Path("/run/systemd/system").is_dir():
        say("starting the Docker Engine (systemctl start docker)")
        subprocess.run(["systemctl", "start", "docker"], check=False)
        return None
    _forget_dead_daemon()
    say(f"starting the Docker Engine (dockerd, log in {DOCKERD_LOG})")
    DOCKERD_LOG.parent.mkdir(parents=True, exist_ok=True)
    with DOCKERD_LOG.open("ab") as log:
        return subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _forget_dead_daemon() -> None:
    """Remove the pid file of a dead daemon, whose number another process may have by now."""
    pid_file = Path("/var/run/docker.pid")
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        name = ""
    if name != "dockerd":
        pid_file.unlink(missing_ok=True)


def _dockerd_log() -> str:
    try:
        lines = DOCKERD_LOG.read_text(errors="replace").splitlines()[-15:]
    except OSError:
        return "It left no log."
    return f"The end of {DOCKERD_LOG}:\n" + "\n".join(re.sub(r"\s+", " ", line) for line in lines)


def ensure_host(timeout: int = 120) -> docker.DockerClient:
    """Install what the testbed needs on its host; return the engine's client."""
    require_root()
    host_release()
    return ensure_engine(timeout)
