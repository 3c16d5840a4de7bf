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

# --- images

# Set on every image by kolla-build. A container that has it is Kolla's.
KOLLA_LABEL = "kolla_version"

# How a container takes its configuration: COPY_ALWAYS copies it at each start, COPY_ONCE at the first start only.
STRATEGY = "KOLLA_CONFIG_STRATEGY"

# kolla-ansible gives every container its own name in this variable, with hyphens instead of underscores.
SERVICE_NAME = "KOLLA_SERVICE_NAME"

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

# Container -> (binary, file below the configuration directory), from the roles cinder, nova and nova-cell of
# kolla-ansible 22.2.
_SERVICES = {
    "cinder_scheduler": ("cinder-scheduler", "cinder-scheduler/cinder.conf"),
    "cinder_volume": ("cinder-volume", "cinder-volume/cinder.conf"),
    "cinder_backup": ("cinder-backup", "cinder-backup/cinder.conf"),
    "nova_scheduler": ("nova-scheduler", "nova-scheduler/nova.conf"),
    "nova_super_conductor": ("nova-conductor", "nova-super-conductor/nova.conf"),
    "nova_conductor": ("nova-conductor", "nova-conductor/nova.conf"),
    "nova_compute": ("nova-compute", "nova-compute/nova.conf"),
    "nova_compute_ironic": ("nova-compute", "nova-compute-ironic/nova.conf"),
}
# A host can run several nova_compute_ironic containers, which are then numbered.
_NUMBERED_IRONIC = re.compile(r"nova_compute_ironic_(\d+)\Z")


def kolla_service(container_name: str) -> str | None:
    """Return the binary that Kolla runs in a container of this name, or None if the name is not in the table."""
    entry = _entry(container_name)
    return entry[0] if entry else None


def default_files(container_name: str, directory: str = CONFIG_DIRECTORY) -> list[str]:
    """Return the container's configuration files below ``directory``; none if the name is not in the table."""
    entry = _entry(container_name)
    return [f"{directory}/{entry[1]}"] if entry else []


def _entry(container_name: str) -> tuple[str, str] | None:
    numbered = _NUMBERED_IRONIC.match(container_name)
    if numbered:
        return "nova-compute", f"nova-compute-ironic-{numbered[1]}/nova.conf"
    return _SERVICES.get(container_name)
