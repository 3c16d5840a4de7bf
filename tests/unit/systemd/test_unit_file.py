"""Unit files: what stands in them, and who wrote them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kolla_drain.kolla import unit_name
from kolla_drain.systemd.unit_file import Author, Definition, author, grace
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
    assert author(KOLLA_ANSIBLE.replace("RestartSec=11\n", "")) is Author.OPERATOR
    assert author(KOLLA_ANSIBLE.replace("RestartSec", "ExecStop=/bin/true\nRestartSec")) is Author.OPERATOR
    assert author(KOLLA_ANSIBLE.replace("RestartSec", "TimeoutStopSec=5\nRestartSec")) is Author.OPERATOR


@pytest.mark.parametrize(
    ("release", "gone", "instead"),
    [
        (
            "16.0",
            "PartOf SuccessExitStatus StartLimitInterval Wants",
            "StartLimitIntervalSec=120 Requires=docker.service",
        ),
        ("16.7", "PartOf StartLimitInterval Wants", "StartLimitIntervalSec=120"),
        ("17.0", "PartOf SuccessExitStatus Wants", "Requires=docker.service"),
        ("17.7, 18.8, 19", "PartOf", ""),
        ("18.0", "PartOf Wants", "Requires=docker.service"),
        ("20 to 23", "", ""),
    ],
)
def test_the_units_of_every_release_of_kolla_ansible_are_known_as_its_own(release, gone, instead):
    kept = [line for line in KOLLA_ANSIBLE.splitlines() if line.partition("=")[0] not in gone.split()]
    text = "\n".join(kept).replace("[Unit]", "\n".join(["[Unit]", *instead.split()]))
    assert author(text) is Author.KOLLA_ANSIBLE, release
    assert settings(WANTED.render_limit(text))["TimeoutStopSec"] == "330"


def test_beside_anothers_file_the_longer_time_counts():
    limit = WANTED.render_limit(KOLLA_ANSIBLE)
    assert settings(limit) == {"TimeoutStopSec": "330"}
    assert author(limit) is Author.KOLLA_DRAIN


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_beside_a_file_whose_engine_would_kill_earlier_it_is_told_our_time(engine):
    theirs = kolla_unit.text("cinder_volume", grace=300, engine=engine)
    ours = replace(WANTED, timeout=600, engine=engine, program=f"/usr/bin/{engine}")
    # The first, empty one takes theirs out.
    assert ours.render_limit(theirs).splitlines()[2:] == [
        "",
        "[Service]",
        "ExecStop=",
        f"ExecStop=/usr/bin/{engine} stop cinder_volume -t 600",
        "TimeoutStopSec=630",
    ]
    assert author(ours.render_limit(theirs)) is Author.KOLLA_DRAIN


@pytest.mark.parametrize(
    ("command", "seconds"),
    [
        ("/usr/bin/docker stop svc -t 60", 60),
        ("/usr/bin/podman stop -t=60 svc", 60),
        ("podman container stop --time 60 svc", 60),
        ("/usr/bin/docker stop --timeout=60 svc", 60),
        ("/usr/bin/docker stop -t60 svc", 60),
        ("/usr/bin/docker --log-level error stop -t 60 svc", 60),
        ("/usr/bin/podman --remote stop -t 60 svc", 60),
        ("/bin/sh -c 'docker stop svc -t 60'", 60),
        ('/bin/sh -c "exec /usr/bin/docker stop -t 60 svc"', 60),
        ("/usr/bin/docker exec stop -t 60", None),
        ("/usr/bin/docker stop svc", None),
        ("/usr/bin/docker stop svc-t 60", None),
        ("/usr/local/bin/stop svc -t 60", None),
        ("/usr/bin/docker kill svc", None),
        ("", None),
    ],
)
def test_the_seconds_of_a_stop_by_the_engine(command, seconds):
    assert grace(command) == seconds


def test_the_name_is_kollas():
    assert unit_name("cinder_volume") == "kolla-cinder_volume-container.service"
