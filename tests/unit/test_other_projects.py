"""The plays know every declared service: in which turn and in which wave it stops, and the tag that asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kolla_drain import profiles
from kolla_drain.kolla import CONTAINERS
from kolla_drain.profiles.others import OTHERS
from tests.support.documented import load_file

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = yaml.safe_load((ROOT / "ansible/group_vars/all.yml").read_text())
PROJECTS = PARAMETERS["kolla_drain_projects"]
SERVICES = [service for turns in PROJECTS.values() for turn in turns for service in turn]
filters = load_file(ROOT / "roles/other_projects/filter_plugins/other_projects.py")


def plays(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((ROOT / "ansible" / name).read_text())
    return [play for play in found if play.get("vars", {}).get("kolla_drain_project") == "other_projects"]


@pytest.mark.parametrize("service", profiles.NAMES)
def test_a_declared_service_has_its_turn(service: str) -> None:
    assert SERVICES.count(service) <= 1, "without one it stops with its whole host, and by its name"


def test_each_is_a_container_of_kolla() -> None:
    assert {service.replace("-", "_") for service in SERVICES} <= {*CONTAINERS, *OTHERS}


@pytest.mark.parametrize("name", ["stop.yml", "reload.yml"])
def test_each_project_and_each_service_has_its_tag(name: str) -> None:
    for play in plays(name):
        assert sorted(play["tags"]) == sorted(["never", *PROJECTS, *SERVICES])


def test_each_turn_has_its_play() -> None:
    turns = [
        play["vars"]["kolla_drain_turn"] for play in plays("stop.yml") if "kolla_drain_turn" in play["vars"]
    ]
    assert turns == list(range(max(map(len, PROJECTS.values()))))


@pytest.mark.parametrize(
    ("tags", "services"),
    [
        (["heat"], ["heat-api", "heat-api-cfn", "heat-engine"]),
        (["heat-engine", "cinder"], ["heat-engine"]),
        # Both are wanted: the project as a whole.
        (["magnum-api", "magnum"], ["magnum-api", "magnum-conductor"]),
        (["all"], []),
    ],
)
def test_tags(tags: list[str], services: list[str]) -> None:
    assert filters.asked(PROJECTS, tags) == services


def test_what_haproxy_sends_requests_to() -> None:
    records = filters.services(PROJECTS, {"manila_share": {"disable": True}})
    balanced = {name for name, record in records.items() if record["haproxy_backends"]}
    assert balanced == {*(name for name in SERVICES if name.endswith("-api")),
                        "heat-api-cfn", "neutron-server", "tacker-server"}  # fmt: skip
    assert records["manila-share"] == {
        "container_name": "manila_share",
        "haproxy_backends": [],
        "disable": True,
    }
