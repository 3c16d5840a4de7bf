"""Images for managed hosts, loaded once: a new host's engine starts with hard links to them.

An engine never writes to an image's layers, so hosts can share the files of these; what it knows of them is copied.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

import docker
from docker.errors import NotFound
from docker.models.containers import Container

from testbed import images
from testbed.errors import TestbedError
from testbed.paths import LABEL

DISK = "/var/lib/docker"
VOLUME = "kolla_drain_hosts_images_"
STORE_LABEL = f"{LABEL}.store"
LAYERS, KNOWN = "overlay2", "image"
WHOLE = ".whole"


def name_of(client: docker.DockerClient, host_image: str, references: Sequence[str]) -> str:
    """Name the store's volume for these images."""
    ids = [_id(client, reference) for reference in sorted(references)]
    return VOLUME + images.digest_of(host_image, *sorted(references), *ids)


def _id(client: docker.DockerClient, reference: str) -> str:
    try:
        return str(client.images.get(reference).id)
    except NotFound as error:
        raise TestbedError(
            f"This machine's engine has no image {reference} to bring into a host: build or pull it first."
        ) from error


def find(client: docker.DockerClient, name: str) -> Path | None:
    """Return the store's folder, or None when it is missing or incomplete."""
    try:
        folder = Path(client.volumes.get(name).attrs["Mountpoint"])
    except NotFound:
        return None
    return folder if (folder / WHOLE).exists() else None


def fill(client: docker.DockerClient, name: str, host: Container) -> None:
    """Keep the images of a host whose engine has been stopped."""
    with contextlib.suppress(NotFound):
        client.volumes.get(name).remove(force=True)
    volume = client.volumes.create(name, labels={LABEL: "store", STORE_LABEL: name})
    folder = Path(volume.attrs["Mountpoint"])
    _link(_disk(host), folder)
    (folder / WHOLE).touch()


def link_into(folder: Path, host: Container) -> None:
    """Give the images to a host that has not been started yet."""
    _link(folder, _disk(host))


def remove_all(client: docker.DockerClient) -> None:
    """Remove every store."""
    for volume in client.volumes.list(filters={"label": STORE_LABEL}):
        volume.remove(force=True)


def _disk(host: Container) -> Path:
    host.reload()
    found = next(mount for mount in host.attrs["Mounts"] if mount["Destination"] == DISK)
    return Path(found["Source"])


def _link(source: Path, target: Path) -> None:
    for how, part in (("-al", LAYERS), ("-a", KNOWN)):
        ran = subprocess.run(
            ["cp", how, str(source / part), str(target / part)], capture_output=True, text=True, check=False
        )
        if ran.returncode:
            raise TestbedError(f"The images could not be linked from {source}: {ran.stderr.strip()[-500:]}")
