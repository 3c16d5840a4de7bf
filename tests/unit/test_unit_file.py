"""Unit files: what stands in them, and who wrote them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kolla_drain.unit_file import Author, Definition, author, unit_name
from testbed import kolla_unit

WANTED = Definition("cinder_volume", "docker", "/usr/bin/docker", "unless-stopped", 180)

KOLLA_ANSIBLE = kolla_unit.text("cinder_volume", grace=300)


def settings(text):
    return dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line and line[0] != "#")


def test_a_stop_through_systemd_has_longer_than_the_stop_takes():
    found = settings(WANTED.render())
    assert found["ExecStart"] == "/usr/bin/docker start -a cinder_volume"
    assert found["ExecStop"] == "/usr/bin/docker stop cinder_volume -t 180"
    assert int(found["TimeoutStopSec"]) > 180
    assert (found["Restart"], found["RestartSec"]) == ("always", "11")
    assert (found["StartLimitIntervalSec"], found["StartLimitBurst"]) == ("120", "10")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"policy": "on-failure", "retries": 3}, {"Restart": "on-failure", "StartLimitBurst": "3"}),
        ({"policy": "on-failure", "retries": 0}, {"StartLimitIntervalSec": "0", "RestartSec": "11"}),
        ({"retries": 500}, {"RestartSec": "1"}),
        ({"engine": "podman", "program": "/usr/bin/podman"}, {"After": "network-online.target"}),
    ],
    ids=["on-failure", "without limit", "many", "podman"],
)
def test_what_the_policy_makes_of_it(changes, expected):
    found = settings(replace(WANTED, **changes).render())
    assert {key: found[key] for key in expected} == expected


def test_who_wrote_it():
    ours = WANTED.render()
    assert author(ours) is Author.KOLLA_DRAIN
    assert author(ours.replace("RestartSec=11", "RestartSec=5")) is Author.OPERATOR
    assert author(ours + "# seen\n") is Author.OPERATOR
    assert author("") is Author.OPERATOR
    assert author(KOLLA_ANSIBLE) is Author.KOLLA_ANSIBLE
    assert author(KOLLA_ANSIBLE.replace("SuccessExitStatus=143\n", "")) is Author.OPERATOR
    assert author(KOLLA_ANSIBLE.replace("RestartSec", "TimeoutStopSec=5\nRestartSec")) is Author.OPERATOR


def test_beside_anothers_file_the_longer_time_counts():
    limit = WANTED.render_limit(KOLLA_ANSIBLE)
    assert settings(limit) == {"TimeoutStopSec": "330"}
    assert author(limit) is Author.KOLLA_DRAIN
    assert settings(replace(WANTED, timeout=600).render_limit(KOLLA_ANSIBLE)) == {"TimeoutStopSec": "630"}


def test_the_name_is_kollas():
    assert unit_name("cinder_volume") == "kolla-cinder_volume-container.service"
