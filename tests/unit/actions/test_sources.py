"""Which files and which database a container's evidence comes from."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kolla_drain.actions import options as actions_options
from kolla_drain.actions import sources
from kolla_drain.actions.options import EvidenceOptions
from kolla_drain.evidence.reader import Source
from kolla_drain.evidence.requests import Connections
from kolla_drain.host import process
from kolla_drain.model import Container, ContainerStatus
from kolla_drain.preflight.process import ProcessFacts

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


def test_files_that_were_changed_since_its_start_are_not_those_that_the_process_has_read(
    service: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert source_of(service).config.own
    assert not source_of(replace(service, pid=0)).config.own
    began = process.begun(service.pid)
    assert began is not None
    monkeypatch.setattr(sources, "begun", lambda _: began - sources.COPIED - 3)
    assert not source_of(service).config.own


def test_another_database_on_the_host_is_not_the_one_in_use(folder: Path, service: Container) -> None:
    (folder / "host.conf").write_text(CONF.format(host="now", password="new", server="elsewhere.example"))

    assert source_of(service).target.host == "db.example"


@pytest.mark.parametrize("text", ["[DEFAULT", "[database]\nconnection = x\n", None])
def test_the_process_is_read_without_usable_files_on_the_host(
    folder: Path, service: Container, text: str | None
) -> None:
    (folder / "host.conf").unlink() if text is None else (folder / "host.conf").write_text(text)

    assert source_of(service).target.password == "old"


def command_line(monkeypatch: pytest.MonkeyPatch, *argv: str) -> Container:
    """A container whose process has this command line, and this machine's root as its own."""
    process = ProcessFacts(os.getpid(), 1, "cinder-volume", argv)
    monkeypatch.setattr(sources, "read_process", lambda _: process)
    return Container("/", "cinder_volume", ContainerStatus.RUNNING, pid=process.pid)


def test_a_command_in_the_brackets_of_a_title_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As cotyledon has it, which runs services on native threads."""
    title = f"cinder-volume: master process [/venv/bin/cinder-volume --config-file {folder}/own.conf]"

    assert source_of(command_line(monkeypatch, title)).config.host == "then"


def test_files_count_in_the_order_in_which_the_service_reads_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "conf.d").mkdir()
    for name in ("b.conf", "a.conf", "c.rpmsave"):
        (folder / "conf.d" / name).write_text(f"[DEFAULT]\nhost = {name[0]}\n")
    (folder / "last.conf").write_text("[DEFAULT]\nenabled_backends = last\n")
    own, last = folder / "own.conf", folder / "last.conf"

    def hosts(*words: str) -> tuple[str, ...]:
        return source_of(command_line(monkeypatch, "/usr/bin/cinder-volume", *words)).config.service_hosts

    assert hosts("--config-file", f"{own}", "--config-dir", f"{folder}/conf.d") == ("b@a",)
    assert hosts(f"--config-dir={folder}/conf.d", f"--config-file={own}") == ("then@a",)
    assert hosts("--config-file", f"{own}", f"--config-file={last}") == ("then@last",)
    assert hosts(f"--config-file={last}", "--config-file", f"{own}") == ("then@a",)
    assert hosts(f"--config-file={own}", "--config-dir", f"{folder}/none") == ("now@a",)


def test_what_a_service_finds_by_itself_is_read_first(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    monkeypatch.setattr(sources, "inside", lambda _, path: str(root / path.lstrip("/")))
    (root / "etc/cinder/cinder.conf.d").mkdir(parents=True)
    (root / "etc/cinder/cinder.conf").write_text(CONF.format(host="one", password="p", server="h"))
    (root / "etc/cinder/cinder-volume.conf").write_text("[DEFAULT]\nenabled_backends = b\n")
    (root / "etc/cinder/cinder.conf.d/site.conf").write_text("[DEFAULT]\nhost = two\n")

    assert source_of(command_line(monkeypatch, "cinder-volume")).config.service_hosts == ("two@b",)
    (root / "given.conf").write_text("[DEFAULT]\nhost = three\n")
    both = command_line(
        monkeypatch, "cinder-volume", "--config-file", "/etc/cinder/cinder.conf", "--config-file=/given.conf"
    )
    assert source_of(both).config.service_hosts == ("three@a",)


def test_a_service_whose_program_has_another_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kolla calls it watcher_engine."""
    (folder / "watcher.conf").write_text("[DEFAULT]\nhost = own\n")
    command = ("/venv/bin/watcher-decision-engine", "--config-file", f"{folder}/watcher.conf")
    container = replace(command_line(monkeypatch, *command), name="watcher_engine")
    config, _, _ = sources.evidence_for(EvidenceOptions(), container)
    assert config is not None
    assert (config.service, config.host) == ("watcher-engine", "own")


def test_files_that_were_given_come_first(folder: Path, service: Container) -> None:
    given = EvidenceOptions(service_config=(str(folder / "host.conf"),))

    assert source_of(service, given).config.service_hosts == ("now@a",)


@pytest.mark.parametrize("other", [{"pid": 0}, {"name": "cinder_backup"}, {"id": "another container"}])
def test_where_the_program_is_not_seen_the_files_on_the_host_count(
    service: Container, other: dict[str, object]
) -> None:
    assert source_of(replace(service, **other)).config.host == "now"  # type: ignore[arg-type]


def test_files_that_the_container_copies_are_those_that_its_process_has_read(
    folder: Path, service: Container
) -> None:
    """The plays give the files of their inventory's node_config_directory."""
    (folder / "other").mkdir()
    (folder / "other/cinder.conf").write_text((folder / "host.conf").read_text())
    given = EvidenceOptions(service_config=(str(folder / "other/cinder.conf"),))
    copying = replace(service, config_folder=str(folder / "other/"))

    assert source_of(copying, given).config.host == "then"
    assert source_of(copying, given).target.password == "new"
    assert source_of(replace(service, config_folder=str(folder)), given).config.host == "now"


def test_the_folder_of_the_host_is_that_of_the_container(folder: Path, service: Container) -> None:
    (folder / "host.conf").unlink()
    (folder / "other").mkdir()
    (folder / "other/cinder.conf").write_text((folder / "own.conf").read_text().replace("then", "next"))

    at_rest = replace(service, pid=0, config_folder=str(folder / "other"))
    assert source_of(at_rest).config.host == "next"


def test_a_file_that_is_not_called_like_its_project(tmp_path: Path) -> None:
    """Glance's is glance-api.conf, and uWSGI, which runs glance-api, names none."""
    (tmp_path / "glance-api.conf").write_text(
        "[database]\nconnection = mysql+pymysql://u:p@db.example/glance\n"
    )
    glance = Container("id", "glance_api", ContainerStatus.RUNNING, config_folder=str(tmp_path))
    assert source_of(glance).target.name == "glance"

    # Its requests are seen at the sockets of its processes, where it has some.
    assert isinstance(source_of(glance).local, Connections)
    assert source_of(replace(glance, status=ContainerStatus.EXITED)).local is None


def test_the_command_tells_the_service_of_a_container_that_names_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unknown = Container("id", "vol", ContainerStatus.RUNNING, image="site.example/openstack:1")
    assert OF_NOBODY.service_in(unknown) == "none"
    assert OF_NOBODY.service_in(replace(unknown, command=("/usr/bin/cinder-backup",))) == "cinder-backup"

    run = ProcessFacts(2, 2, "cinder-volume", ("/venv/bin/python3", "/venv/bin/cinder-volume"))
    monkeypatch.setattr(actions_options, "read_process", lambda _: ProcessFacts(1, 1, "dumb-init", child=run))
    assert OF_NOBODY.service_in(unknown) == "cinder-volume"


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
