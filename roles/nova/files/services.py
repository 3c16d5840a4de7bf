"""Run in a container of Nova: the rows of ``services`` in every cell, which no command of nova-manage shows.

Without arguments a line for each: binary, host, zone, status, state, last heard of, version, -, cell. With ``remove``,
a binary and a host, the rows of those are removed. The services of the APIs are left out: they report once, when they
start, so nothing tells whether anybody stands behind them.
"""

import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import nova.conf
from nova import config, context, objects

CONF = nova.conf.CONF
BINARIES = ("nova-compute", "nova-conductor", "nova-scheduler")
# Of nova-compute Placement, host mappings and aggregates know, too: the API alone removes all of that.
REMOVABLE = ("nova-conductor", "nova-scheduler")


def services() -> Iterator[tuple[Any, Any]]:
    """Cell and service, of those that report."""
    everything = context.get_admin_context()
    for cell in objects.CellMappingList.get_all(everything):
        with context.target_cell(everything, cell) as inside:
            for service in objects.ServiceList.get_all(inside):
                if service.binary in BINARIES:
                    yield cell, service


def line(cell: Any, service: Any) -> str:
    """One service, as ``cinder-manage service list`` has it."""
    heard = service.last_seen_up or service.created_at
    age = (datetime.now(timezone.utc) - heard.replace(tzinfo=timezone.utc)).total_seconds()
    alive = age <= CONF.service_down_time and not service.forced_down
    status = "disabled" if service.disabled else "enabled"
    where = cell.name or cell.uuid
    return (
        f"{service.binary} {service.host} - {status} {':-)' if alive else 'XXX'}"
        f" {heard:%Y-%m-%d %H:%M:%S} {service.version} - {where.replace(' ', '_')}"
    )


def main(arguments: list[str]) -> None:
    """List, or remove."""
    config.parse_args(["services"])
    objects.register_all()
    for cell, service in services():
        if not arguments:
            print(line(cell, service))
        elif arguments == ["remove", service.binary, service.host] and service.binary in REMOVABLE:
            service.destroy()


main(sys.argv[1:])
