"""TODO: say what this is."""

from __future__ import annotations

import re

# Containers of Kolla's images copy their configuration when they start, and can tell whether it has changed since.
STRATEGY = "KOLLA_CONFIG_STRATEGY"
CHECK_CONFIG = ["/usr/local/bin/kolla_set_configs", "--check"]

# Every image of Kolla has it.
KOLLA_LABEL = "kolla_version"

# Where kolla-ansible writes the units that own its containers.
UNITS = "/etc/systemd/system"

UNIT = re.compile(r"kolla-(.+)-container\.service\Z")


def unit_name(container: str) -> str:
    """The name of the unit that runs a container, in Kolla."""
    return f"kolla-{container}-container.service"


def container_name(unit: str) -> str:
    """The container that a unit of this name runs."""
    return unit[len("kolla-") : -len("-container.service")]


# Container -> (service's binary, file below /etc/kolla), from the roles cinder, nova and nova-cell of
# kolla-ansible 22.2. nova_compute_ironic may stand several times on a host, see _IRONIC.
KOLLA = {
    "cinder_scheduler": ("cinder-scheduler", "cinder-scheduler/cinder.conf"),
    "cinder_volume": ("cinder-volume", "cinder-volume/cinder.conf"),
    "cinder_backup": ("cinder-backup", "cinder-backup/cinder.conf"),
    "nova_scheduler": ("nova-scheduler", "nova-scheduler/nova.conf"),
    "nova_super_conductor": ("nova-conductor", "nova-super-conductor/nova.conf"),
    "nova_conductor": ("nova-conductor", "nova-conductor/nova.conf"),
    "nova_compute": ("nova-compute", "nova-compute/nova.conf"),
    "nova_compute_ironic": ("nova-compute", "nova-compute-ironic/nova.conf"),
}
_IRONIC = re.compile(r"nova_compute_ironic_(\d+)\Z")
_KOLLA_DIRECTORY = "/etc/kolla"


def kolla_service(container_name: str) -> str | None:
    """Return the binary that Kolla runs in a container of this name, or None for one not known here."""
    known = _kolla_entry(container_name)
    return known[0] if known else None


def default_files(container_name: str) -> list[str]:
    """Return where Kolla puts the configuration of that container; empty for one not known here."""
    known = _kolla_entry(container_name)
    return [f"{_KOLLA_DIRECTORY}/{known[1]}"] if known else []


def _kolla_entry(container_name: str) -> tuple[str, str] | None:
    several = _IRONIC.match(container_name)
    if several:
        return "nova-compute", f"nova-compute-ironic-{several.group(1)}/nova.conf"
    return KOLLA.get(container_name)
