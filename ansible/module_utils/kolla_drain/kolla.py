"""What Kolla calls things: the one place to change when Kolla or kolla-ansible renames something.

    images          their label, their environment variables, and the command in them that checks whether a
                    container's configuration has changed
    the host        the directories of configuration files and units, and the names of the units
    containers      which binary runs in a container of a given name, and where its configuration file is

Two things are elsewhere because they are more than names: systemd/unit_file.py recognises the text of kolla-ansible's
units, and controller/adoption.py the tasks and variables of kolla-ansible's roles. The documentation of the modules
in library/ repeats some of these names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from . import profiles
from .profiles.others import OTHERS

# --- images

# Set on every image by kolla-build. A container that has it is Kolla's.
KOLLA_LABEL = "kolla_version"

# Names the image: cinder-volume.
IMAGE_LABEL = "name"

# Set for containers that run once, to prepare or upgrade a service's database.
BOOTSTRAP = frozenset(("KOLLA_BOOTSTRAP", "KOLLA_UPGRADE"))

# How a container takes its configuration: COPY_ALWAYS copies it at each start, COPY_ONCE at the first start only.
STRATEGY = "KOLLA_CONFIG_STRATEGY"

# kolla-ansible gives every container its own name in this variable, with hyphens instead of underscores.
SERVICE_NAME = "KOLLA_SERVICE_NAME"

# Where a container sees the folder of the host from which it copies its configuration.
CONFIG_FILES = "/var/lib/kolla/config_files"

# Run in a container. Its exit code is not 0 if the configuration on the host differs from the copy in use.
CHECK_CONFIG = ["/usr/local/bin/kolla_set_configs", "--check"]

# --- the host

# The default of kolla-ansible's node_config_directory, in which each container has a directory.
CONFIG_DIRECTORY = "/etc/kolla"

# Where kolla-ansible writes the units that own its containers.
UNITS = "/etc/systemd/system"

UNIT = re.compile(r"kolla-(.+)-container\.service\Z")


def unit_name(container: str) -> str:
    """Return the name of the unit that owns a container."""
    return f"kolla-{container}-container.service"


# --- containers

# The configuration files that are not called like the project.
_FILES = {"glance-api": "glance-api.conf"}


def file_of(service: str) -> str:
    """Return the name of a service's configuration file."""
    return _FILES.get(service, f"{service.partition('-')[0]}.conf")


# Container -> (service, file below the configuration directory), from the roles cinder, nova and nova-cell of
# kolla-ansible 22.2. A declared service has the name of its container.
_SERVICES = {
    "cinder_scheduler": ("cinder-scheduler", "cinder-scheduler/cinder.conf"),
    "cinder_volume": ("cinder-volume", "cinder-volume/cinder.conf"),
    "cinder_backup": ("cinder-backup", "cinder-backup/cinder.conf"),
    "nova_scheduler": ("nova-scheduler", "nova-scheduler/nova.conf"),
    "nova_super_conductor": ("nova-conductor", "nova-super-conductor/nova.conf"),
    "nova_conductor": ("nova-conductor", "nova-conductor/nova.conf"),
    "nova_compute": ("nova-compute", "nova-compute/nova.conf"),
    "nova_compute_ironic": ("nova-compute", "nova-compute-ironic/nova.conf"),
    **{name.replace("-", "_"): (name, f"{name}/{file_of(name)}") for name in profiles.NAMES},
}
# The containers whose service has rows.
CONTAINERS = tuple(_SERVICES)

_BY_LENGTH = sorted(_SERVICES, key=len, reverse=True)
_BINARIES = frozenset(binary for binary, _ in _SERVICES.values())
# What a command line may begin with before the program.
_LAUNCHER = re.compile(r"python[\d.]*|dumb-init|tini|docker-init|catatonit|env")
# A host can run several nova_compute_ironic containers, which are then numbered.
_NUMBERED_IRONIC = re.compile(r"nova_compute_ironic_(\d+)\Z")


# Made by an agent of Neutron for one network or router, of the agent's image, and removed when they exit: the wrappers
# in kolla's docker/neutron/neutron-base.
_SIDE_CONTAINER = re.compile(
    r"neutron_.+_(dnsmasq|haproxy|keepalived|neutron-keepalived-state-change|radvd)_.+"
)


def is_side_container(container_name: str) -> bool:
    """Return whether an agent of Neutron starts and ends this container as it needs it."""
    return _SIDE_CONTAINER.match(container_name) is not None


def kolla_service(container_name: str) -> str | None:
    """Return the service in a container of this name, the binary if it has rows; None if it has no evidence."""
    entry = _entry(container_name)
    if entry:
        return entry[0]
    group = OTHERS.get(container_name)
    return (group.service or None) if group else None


def service_of(
    container_name: str,
    image: str = "",
    labels: Mapping[str, str] = MappingProxyType({}),
    env: Mapping[str, str] = MappingProxyType({}),
    *commands: Sequence[str],
) -> str | None:
    """Return the service in a container, or None if nothing names one that has evidence.

    A container may have any name. The one that kolla-ansible calls it by is in its environment, the image's own in a
    label of kolla-build and in the reference, there maybe behind those of the distribution and the kind of build. In
    an image of another make one of the ``commands`` tells, that of the container or of its process.
    """
    if BOOTSTRAP & env.keys():  # made of a service's image to run once, for its database
        return kolla_service(container_name)
    if is_side_container(container_name):  # of the agent's image, too
        return None
    of_image = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    for name in (container_name, env.get(SERVICE_NAME, "")):
        found = kolla_service(name.replace("-", "_"))
        if found:
            return found
    for name in (labels.get(IMAGE_LABEL, "").rpartition("/")[2], of_image):
        of_name = "_" + name.replace("-", "_")
        for key in _BY_LENGTH:
            if of_name.endswith(f"_{key}"):
                return _SERVICES[key][0]
    return next(filter(None, map(_program, commands)), None)


def _program(command: Sequence[str]) -> str | None:
    """Return the binary of the table that a command line runs, behind an interpreter or an init, or in a title."""
    for word in (word for argument in command for word in argument.split()):
        name = word.rpartition("/")[2].strip("()[]:")
        if name in _BINARIES:
            return name
        if not (word.startswith("-") or _LAUNCHER.fullmatch(name)):
            return None
    return None


def default_files(container_name: str, directory: str = CONFIG_DIRECTORY) -> list[str]:
    """Return the container's configuration files below ``directory``; none if the name is not in the table."""
    entry = _entry(container_name)
    return [f"{directory}/{entry[1]}"] if entry else []


def _entry(container_name: str) -> tuple[str, str] | None:
    numbered = _NUMBERED_IRONIC.match(container_name)
    if numbered:
        return "nova-compute", f"nova-compute-ironic-{numbered[1]}/nova.conf"
    return _SERVICES.get(container_name)
