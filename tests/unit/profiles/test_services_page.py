"""The page of the services with evidence is made from their profiles, and whole."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from kolla_drain import kolla
from kolla_drain.database.rights import rights
from kolla_drain.profiles import NAMES, declared
from kolla_drain.profiles.others import GROUPS
from tests.support.documented import ROOT, load_file


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return load_file(ROOT / "docs/_ext/evidence_table.py")


def row_of(module: ModuleType, container: str) -> dict[str, str]:
    (row,) = [row for row in module.rows() if row[0] == f"``{container}``"]
    return dict(zip(module.HEADINGS, row))


def test_every_container_with_evidence_has_a_row(module: ModuleType) -> None:
    assert [row[0].strip("`") for row in module.rows()] == sorted(kolla.CONTAINERS)


@pytest.mark.parametrize(
    ("container", "heading", "text"),
    [
        ("manila_share", "its work", "its own; requests by its report"),
        ("manila_share", "after the signal", "may drop its work"),
        ("manila_data", "its work", "its own, some of it anybody's; requests by its report"),
        ("octavia_worker", "its work", "anybody's; requests by its report"),
        ("octavia_worker", "heartbeat", "none"),
        ("ironic_conductor", "tables", "``conductors``, ``nodes``"),
        ("ironic_conductor", "after the signal", "goes on with its work"),
        ("ironic_conductor", "before the signal", "waits until there is no work"),
        ("designate_central", "its work", "its own, by its report"),
        ("designate_producer", "its work", "not seen"),
        ("designate_producer", "before the signal", "does not wait"),
        ("nova_conductor", "its work", "its own, by its report"),
        ("cinder_volume", "its work", "its own; requests by its report"),
        ("neutron_openvswitch_agent", "its work", "its own"),
        ("neutron_rpc_server", "its work", "its own, by its report"),
        ("neutron_rpc_server", "tables", ""),
        ("glance_api", "after the signal", "goes on with its work"),
        ("glance_api", "its work", "anybody's; requests by its connections"),
    ],
)
def test_a_row_says_what_the_profile_says(
    module: ModuleType, container: str, heading: str, text: str
) -> None:
    assert row_of(module, container)[heading] == text


def test_every_other_container_is_named_once(module: ModuleType) -> None:
    names = [name for group in GROUPS for name in group.containers]
    assert len(names) > 100
    assert len(names) == len(set(names))
    assert not set(names) & set(kolla.CONTAINERS)
    found = [row for group in GROUPS for row in module.others(group.containers)]
    assert sorted(row[0].strip("`") for row in found) == sorted(names)
    assert ("``haproxy``", "SIGUSR1", "load balancers") in [row[:3] for row in found]
    assert "   * - ``haproxy``\n     - SIGUSR1\n     - load balancers\n" in module.page()


@pytest.mark.parametrize("service", NAMES)
def test_the_page_has_the_rights(module: ModuleType, service: str) -> None:
    (_, section) = module.page().split(f"\n   -- {service}\n")
    shown = {
        tuple(found["table"].split(".")): frozenset(
            column.strip(" `\n") for column in found["columns"].split(",")
        )
        for found in re.finditer(
            r"GRANT SELECT \((?P<columns>[^)]*)\)\s+ON (?P<table>[\w.]+) TO 'drain'@'%';",
            section.partition("\n   --")[0],
        )
    }
    found = declared(service)
    assert found is not None
    assert shown == rights([service], {found.schema: [found.schema]})
