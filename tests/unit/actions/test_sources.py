"""Which files and which database a container's evidence comes from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kolla_drain.actions import sources
from kolla_drain.actions.options import EvidenceOptions
from kolla_drain.evidence.reader import Source
from kolla_drain.model import Container, ContainerStatus

OF_NOBODY = EvidenceOptions()
CONF = """[DEFAULT]
host = {host}
enabled_backends = a
[database]
connection = mysql+pymysql://cinder:{password}@{server}/cinder
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the process has read, and what is on the host by now."""
    monkeypatch.setattr(sources.kolla, "default_files", lambda _: [str(tmp_path / "host.conf")])
    (tmp_path / "own.conf").write_text(CONF.format(host="then", password="old", server="db.example"))
    (tmp_path / "host.conf").write_text(CONF.format(host="now", password="new", server="db.example"))
    return tmp_path


@pytest.fixture
def service(folder: Path) -> Iterator[Container]:
    """A process of this machine, whose root is its root, with the command line of cinder-volume."""
    wait = "import sys; print(flush=True); sys.stdin.read()"
    command = [
        sys.executable,
        "-c",
        wait,
        "/usr/bin/cinder-volume",
        "--config-file",
        str(folder / "own.conf"),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield Container("/", "cinder_volume", ContainerStatus.RUNNING, pid=process.pid)
        process.kill()


def source_of(container: Container, options: EvidenceOptions = OF_NOBODY) -> Source:
    _, source, why = sources.evidence_for(options, container)
    assert source is not None, why
    return source


def test_what_the_process_has_read_counts_with_the_password_of_now(service: Container) -> None:
    source = source_of(service)

    assert source.config.service_hosts == ("then@a",)
    assert source.target.password == "new"


def test_another_database_on_the_host_is_not_the_one_in_use(folder: Path, service: Container) -> None:
    (folder / "host.conf").write_text(CONF.format(host="now", password="new", server="elsewhere.example"))

    assert source_of(service).target.host == "db.example"


@pytest.mark.parametrize("text", ["[DEFAULT", "[database]\nconnection = x\n", None])
def test_the_process_is_read_without_usable_files_on_the_host(
    folder: Path, service: Container, text: str | None
) -> None:
    (folder / "host.conf").unlink() if text is None else (folder / "host.conf").write_text(text)

    assert source_of(service).target.password == "old"


def test_files_that_were_given_come_first(folder: Path, service: Container) -> None:
    given = EvidenceOptions(service_config=(str(folder / "host.conf"),))

    assert source_of(service, given).config.service_hosts == ("now@a",)


@pytest.mark.parametrize("other", [{"pid": 0}, {"name": "cinder_backup"}, {"id": "another container"}])
def test_where_the_program_is_not_seen_the_files_on_the_host_count(
    service: Container, other: dict[str, object]
) -> None:
    assert source_of(replace(service, **other)).config.host == "now"  # type: ignore[arg-type]


def test_what_is_no_file_is_not_read(folder: Path, service: Container) -> None:
    (folder / "own.conf").unlink()
    (folder / "own.conf").mkdir()

    assert source_of(service).config.host == "now"


def test_the_conductors_database_lies_beside_the_computes_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = tmp_path / "usual.conf"
    monkeypatch.setattr(sources.kolla, "default_files", lambda _: [str(usual)])
    for name in ("nova-compute", "nova-conductor"):
        (tmp_path / name).mkdir()
    (tmp_path / "nova-compute/nova.conf").write_text("[DEFAULT]\nhost = one\n")
    conductors = tmp_path / "nova-conductor/nova.conf"
    conductors.write_text("[database]\nconnection = mysql+pymysql://u:p@db.example/nova\n")
    compute = Container("id", "nova_compute", ContainerStatus.RUNNING)
    given = EvidenceOptions(service_config=(str(tmp_path / "nova-compute/nova.conf"),))

    def host() -> str | None:
        _, source, _ = sources.evidence_for(given, compute)
        return source and source.target.host

    assert host() == "db.example"
    conductors.unlink()
    assert host() is None
    usual.write_text("[database]\nconnection = mysql+pymysql://u:p@usual.example/nova\n")
    assert host() == "usual.example"
