"""Images to upgrade the stack to, and the stack as an Ansible inventory."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import docker
from docker.errors import BuildError

from testbed import images
from testbed.cinder_config import folder_of
from testbed.containers import Spec
from testbed.errors import TestbedError
from testbed.images import Image
from testbed.locks import locked
from testbed.more_stack import SERVICES, MoreStack
from testbed.nova_stack import NOVA, NovaStack
from testbed.paths import KOLLA_LABELS, LABEL, MODE_LABEL
from testbed.stack import CINDER, MARIADB, Stack

# The same Cinder under another id, and one whose cinder-volume ends at once.
VARIANTS = {
    "next": "LABEL kolla_drain.testbed.release=next",
    "broken": (
        r"RUN printf '#!/bin/sh\necho cinder-volume: this release is broken >&2\nexit 1\n'"
        " > /opt/cinder/bin/cinder-volume"
    ),
}

# The project's own environment has what a managed host needs.
PYTHON = "{{ ansible_playbook_python }}"


def cinder_image(client: docker.DockerClient, variant: str = "") -> str:
    """The reference of the stack's Cinder image, or of a variant of it that is made when it is not there."""
    return _image(client, "cinder", variant)


def nova_image(client: docker.DockerClient, variant: str = "") -> str:
    """The same for Nova's; the variant ``broken`` is Cinder's alone."""
    return _image(client, "nova", variant)


def more_image(client: docker.DockerClient, variant: str = "") -> str:
    """The same for that of Manila, Ironic and Heat."""
    return _image(client, "more", variant)


def _image(client: docker.DockerClient, project: str, variant: str) -> str:
    stock = images.ensure(client, project)[project]
    if not variant:
        return stock.reference
    image = Image(stock.name, f"{stock.tag}-{variant}")
    with locked("images"):
        if not images.present(client, image):
            _build(client, stock, image, VARIANTS[variant])
    return image.reference


def _build(client: docker.DockerClient, stock: Image, image: Image, instruction: str) -> None:
    file = f"FROM {stock.reference}\n{instruction}\nLABEL {LABEL}=image\n"
    try:
        client.images.build(
            fileobj=io.BytesIO(file.encode()), tag=image.reference, rm=True, network_mode="none"
        )
    except BuildError as error:
        raise TestbedError(f"{image.reference} could not be built: {error}") from error


def inventory(stack: Stack, image: str | None = None) -> dict[str, Any]:
    """The stack as the plays of ansible/ know a site: one host, Kolla's groups, and what its containers are made of.

    With the stock image the containers that ``up`` made differ from these by the label that holds their spec's digest,
    so the first upgrade replaces them all.
    """
    host = _host(stack)
    groups = [*(name.replace("_", "-") for name in CINDER), "mariadb"]
    # NOTE: group_vars/all.yml beside the plays goes before what an inventory file says of groups, but not of hosts.
    variables = _variables(stack, image or cinder_image(stack.client))
    return {
        "all": {"children": {group: {"hosts": {host: {}}} for group in groups}, "hosts": {host: variables}}
    }


def _host(stack: Stack) -> str:
    return stack.settings.host or os.uname().nodename


def _variables(stack: Stack, image: str) -> dict[str, Any]:
    found = _common(_host(stack)) | {
        "cinder_api_listen_port": stack.state.endpoints.api_port,
        "cinder_privileged": False,
        "cinder_labels": {LABEL: stack.name, MODE_LABEL: stack.settings.mode, **KOLLA_LABELS},
        "kolla_drain_api": _api(stack),
    }
    for name in CINDER:
        spec = stack.cinder_spec(name, image)
        found |= described(name, spec)
        if spec.cap_add:
            found["cinder_capabilities"] = list(spec.cap_add)
    return found


def _common(host: str) -> dict[str, Any]:
    return {
        "ansible_connection": "local",
        "ansible_python_interpreter": PYTHON,
        "ansible_become": False,  # the testbed is root's anyway
        "kolla_drain_api_delegate": host,
        "docker_restart_policy": "no",
        "enable_container_healthchecks": False,
        "kolla_one_off_setup": "",
        "default_container_dimensions": {},
        "api_interface_address": "127.0.0.1",
        "kolla_drain_database_backup_command": ["docker", "exec", "-i", MARIADB, "mariadb-dump"],
    }


def described(name: str, spec: Spec) -> dict[str, Any]:
    """Return a container's description in the plays' variables."""
    return {
        f"{name}_image_full": spec.image,
        f"{name}_command": " ".join(spec.command),
        f"{name}_environment": spec.environment,
        f"{name}_default_volumes": list(spec.volumes),
    }


def _api(stack: Stack) -> dict[str, Any]:
    project = stack.state.project_id
    return {
        "auth_type": "none",
        "auth": {"token": f"{project}:{project}"},
        "endpoint_overrides": {"cinder": f"http://127.0.0.1:{stack.state.endpoints.api_port}/v3/{project}"},
        "service_config": [str(folder_of("cinder-volume") / "cinder.conf")],
    }


def nova_inventory(nova: NovaStack, image: str | None = None) -> dict[str, Any]:
    """The same for Nova alone, on one host that has all of it."""
    found = _common(nova.host) | {
        "nova_api_listen_port": nova.state.ends.api_port,
        "nova_privileged": False,
        "nova_console": "none",
        "nova_labels": {LABEL: nova.name, MODE_LABEL: nova.state.settings.mode, **KOLLA_LABELS},
        "kolla_drain_api": {
            "auth_type": "none",
            "auth": {"token": nova.state.ends.token},
            "endpoint_overrides": {"nova": nova.api.base},
        },
    }
    for name in NOVA:
        spec = nova.spec(name, image or nova_image(nova.client))
        found |= described(name, spec)
    groups = ["nova-conductor", "nova-scheduler", "nova-api", "compute", "mariadb"]
    return {
        "all": {
            "children": {group: {"hosts": {nova.host: {}}} for group in groups},
            "hosts": {nova.host: found},
        }
    }


def more_inventory(more: MoreStack) -> dict[str, Any]:
    """Manila, Ironic and Heat, which the plays stop and reload, and do not make."""
    found = _common(more.host) | {
        "kolla_drain_api": {
            "auth_type": "none",
            "auth": {"token": more.ends.token},
            "endpoint_overrides": {"manila": more.manila.base},
        },
    }
    groups = [service.replace("_", "-") for service in SERVICES]
    return {
        "all": {
            "children": {group: {"hosts": {more.host: {}}} for group in groups},
            "hosts": {more.host: found},
        }
    }


def write_nova_inventory(nova: NovaStack, path: Path, image: str | None = None) -> Path:
    """Write Nova's inventory."""
    return write(nova_inventory(nova, image), path)


def write_inventory(stack: Stack, path: Path, image: str | None = None) -> Path:
    """The inventory as a file for its owner alone; JSON is YAML, so its name may end in .yml or .json."""
    return write(inventory(stack, image), path)


def write(found: dict[str, Any], path: Path) -> Path:
    """Write an inventory for its owner alone."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(found, file, indent=2)
    return path
