"""The image of a managed host: systemd, an SSH server, a Docker Engine and podman, and what Kolla's modules need.

What a host runs comes into it later: see hosts.py.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker

from testbed import images
from testbed.errors import TestbedError
from testbed.images import DPKG_OPTIONS, Image
from testbed.locks import locked
from testbed.paths import HERE, LABEL
from testbed.setup_host import ensure_packages, host_release

PACKAGES = (
    "ca-certificates,containernetworking-plugins,curl,dbus,docker.io,iproute2,iptables,openssh-server,podman,procps,"
    "python3,python3-dbus,python3-docker,python3-oslo.config,python3-pymysql,sudo,systemd,systemd-sysv"
)
# Debian 12 has no package of podman-py.
PODMAN_PY = "podman>=4.9,<6"
FILES = HERE / "host_files"
CHANGES = (
    'CMD ["/usr/local/sbin/kolla-drain-host"]',
    "ENV container=docker",
    f"LABEL {LABEL}=image",
)
# None of these units does anything useful in a container, and each takes time.
MASKED = (
    "apt-daily.timer apt-daily-upgrade.timer console-getty.service dpkg-db-backup.timer e2scrub_all.timer "
    "e2scrub_reap.service fstrim.timer getty.target systemd-firstboot.service systemd-logind.service "
    "systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service "
    "podman-auto-update.service podman-auto-update.timer podman-restart.service"
)
# Each host gets its keys from the testbed, and its machine id when it starts.
FINISH = f"""set -e
systemctl --root=/ mask {MASKED}
systemctl --root=/ enable docker.service podman.socket ssh.service
systemctl --root=/ disable podman.service
rm -f /etc/ssh/ssh_host_* /etc/machine-id
: > /etc/machine-id
passwd -d root
"""


def host_image() -> Image:
    """A managed host; the tag says what is inside."""
    codename = host_release().get("VERSION_CODENAME", "")
    files = [f"{file.relative_to(FILES)}\0{file.read_text()}" for file in _files()]
    return Image(
        "host", images.digest_of(codename, PACKAGES, PODMAN_PY, FINISH, *DPKG_OPTIONS, *CHANGES, *files)
    )


def _files() -> list[Path]:
    return sorted(file for file in FILES.rglob("*") if file.is_file())


def ensure(client: docker.DockerClient) -> Image:
    """Build the image if it is missing, and return it."""
    image = host_image()
    if not images.present(client, image):
        with locked("images"):
            if not images.present(client, image):
                _build(client, image)
    return image


def _build(client: docker.DockerClient, image: Image) -> None:
    ensure_packages(["mmdebstrap"])
    with _podman_py() as library:
        hooks = (
            f"--customize-hook=sync-in {FILES} /",
            f"--customize-hook=sync-in {library} /usr/lib/python3/dist-packages",
            f"--customize-hook=chroot \"$1\" sh -c '{FINISH}'",
        )
        images.import_root(client, image, PACKAGES, CHANGES, *hooks)


@contextlib.contextmanager
def _podman_py() -> Iterator[Path]:
    """Return a folder with podman-py; its dependencies come from the distribution."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        ran = subprocess.run(
            [*command, "--no-compile", "--target", folder, PODMAN_PY],
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise TestbedError(f"{PODMAN_PY} could not be fetched with pip: {ran.stderr.strip()[-800:]}")
        yield Path(folder)
