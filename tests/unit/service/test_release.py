"""The release of the service in a container, by its packages or its image's label."""

from __future__ import annotations

from pathlib import Path

import pytest

from kolla_drain.model import Container, ContainerStatus
from kolla_drain.service.release import release_of

VENV = "/var/lib/kolla/venv"


def container(**labels: str) -> Container:
    path = {"PATH": "/from/path/bin:/usr/bin"}
    return Container("c", "nova_compute", ContainerStatus.RUNNING, pid=7, labels=labels, env=path)


def installed(proc: Path, prefix: str, packages: str, name: str) -> None:
    (proc / "7" / "root" / prefix.lstrip("/") / "lib" / packages / name).mkdir(parents=True)


@pytest.mark.parametrize(
    ("argv", "prefix", "packages", "name", "service", "release"),
    [
        (f"{VENV}/bin/python3", VENV, "python3.12/site-packages", "nova-33.0.2.dist-info", "nova-compute", 33),
        (f"{VENV}/bin/python", VENV, "python3.9/site-packages", "cinder-22.3.1.dist-info", "cinder-volume", 22),
        ("/usr/bin/python3", "/usr", "python3/dist-packages", "nova-29.2.0.egg-info", "nova-scheduler", 29),
        ("nova-compute: worker", "/usr", "python3/dist-packages", "nova-29.2.0.egg-info", "nova-compute", 29),
        ("nova-compute: [/opt/n/bin/x", "/opt/n", "python3.12/site-packages", "nova-34-info", "nova-compute", 34),
        ("nova-compute: worker", "/from/path", "python3.12/site-packages", "nova-32.0-info", "nova-compute", 32),
        (f"{VENV}/bin/python3", VENV, "python3.12/site-packages", "novaclient-18.0.dist-info", "nova-compute", None),
        (f"{VENV}/bin/python3", VENV, "python3.12/site-packages", "nova-dist-info", "nova-compute", None),
    ],
)  # fmt: skip
def test_by_the_packages_that_it_runs_with(
    tmp_path: Path, argv: str, prefix: str, packages: str, name: str, service: str, release: int | None
) -> None:
    installed(tmp_path, prefix, packages, name)
    assert release_of(service, container(), [argv, "service"], str(tmp_path)) == release


@pytest.mark.parametrize(
    ("label", "service", "release"),
    [
        ("22.1.0", "nova-compute", 33),
        ("16.0.0", "nova-compute", 27),
        ("16.0.0", "cinder-volume", 22),
        ("22.1.0", "manila-share", 22),
        ("22.1.0", "ironic-conductor", None),
        ("latest", "cinder-volume", None),
        ("2024.1", "nova-compute", None),
        ("22.1.0", "none", None),
    ],
)
def test_by_the_label_of_the_image(tmp_path: Path, label: str, service: str, release: int | None) -> None:
    assert release_of(service, container(kolla_version=label), [], str(tmp_path)) == release


def test_the_packages_go_before_the_label(tmp_path: Path) -> None:
    """An image of a development branch is called by the release before."""
    installed(tmp_path, VENV, "python3.12/site-packages", "nova-34.0.0.dist-info")
    found = release_of(
        "nova-compute", container(kolla_version="21.1.1.dev5"), [f"{VENV}/bin/python3"], str(tmp_path)
    )
    assert found == 34


def test_of_several_packages_the_oldest_is_the_cautious_one(tmp_path: Path) -> None:
    for version in ("34.0.0", "9.1.0", "33.0.2"):
        installed(tmp_path, VENV, "python3.12/site-packages", f"nova-{version}.dist-info")
    assert release_of("nova-compute", container(), [f"{VENV}/bin/python3"], str(tmp_path)) == 9
