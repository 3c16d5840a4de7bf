"""A service's configuration files: what is taken from them, and how what is wrong with them is said."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from kolla_drain import kolla
from kolla_drain.errors import ConfigError
from kolla_drain.service import config as service_config
from kolla_drain.service.config import Backend

SECRET = "s3cret"
URL = f"mysql+pymysql://cinder:{SECRET}@db:3306/cinder"


@pytest.fixture
def write(tmp_path):
    """Write a configuration file and return its path."""

    def _write(text: str, name: str = "cinder.conf") -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return _write


def test_empty_file_gives_the_services_own_defaults(write):
    config = service_config.load([write("")], "cinder-volume", hostname="node1")
    assert (config.host, config.backends, config.database) == ("node1", (), None)
    assert (config.service_down_time, config.report_interval, config.graceful_shutdown_timeout) == (
        60,
        10,
        60,
    )
    assert config.manager_shutdown_timeout is None
    assert config.stated == frozenset()


def test_novas_defaults(write):
    config = service_config.load([write("")], "nova-compute", hostname="node1")
    assert (config.graceful_shutdown_timeout, config.manager_shutdown_timeout) == (180, 160)


def test_without_a_host_name_this_hosts_is_taken(write, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "the-machine")
    assert service_config.load([write("")], "cinder-backup").host == "the-machine"


def test_all_that_a_file_can_say(write):
    text = f"""
[DEFAULT]
host = ctl1
enabled_backends = rbd-1, lvm
service_down_time = 90
report_interval = 15
graceful_shutdown_timeout = 0
[database]
connection = {URL}
slave_connection = mysql+pymysql://replica/cinder
[rbd-1]
backend_host = shared
[lvm]
"""
    config = service_config.load([write(text)], "cinder-volume", hostname="node1")
    assert config.host == "ctl1"
    assert config.backends == (Backend("rbd-1", "shared"), Backend("lvm", "ctl1"))
    assert config.service_hosts == ("shared@rbd-1", "ctl1@lvm")
    assert config.database == URL
    assert SECRET not in repr(config)
    assert (config.service_down_time, config.report_interval, config.graceful_shutdown_timeout) == (90, 15, 0)
    assert config.stated == {"service_down_time", "report_interval", "graceful_shutdown_timeout"}


def test_backends_are_cinder_volumes_alone(write):
    text = "[DEFAULT]\nenabled_backends = a\n"
    config = service_config.load([write(text)], "cinder-backup", hostname="node1")
    assert config.backends == ()
    assert config.service_hosts == ("node1",)


def test_the_later_file_wins(write):
    first = write("[DEFAULT]\nhost = one\nservice_down_time = 70\n", "a.conf")
    second = write("[DEFAULT]\nhost = two\n", "b.conf")
    config = service_config.load([first, second], "cinder-scheduler")
    assert (config.host, config.service_down_time) == ("two", 70)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("host = $my_ip\nmy_ip = 10.0.0.1", "10.0.0.1"),
        ("host = ${my_ip}-x\nmy_ip = 10.0.0.1", "10.0.0.1-x"),
        ("host = a$$b", "a$b"),
        ("host = 100%_ünï", "100%_ünï"),
        ("host =   padded  ", "padded"),
    ],
)
def test_interpolation_and_odd_host_names(write, text, host):
    assert service_config.load([write(f"[DEFAULT]\n{text}\n")], "cinder-backup").host == host


def test_a_down_time_not_above_the_interval_is_corrected_as_the_service_does(write):
    text = "[DEFAULT]\nservice_down_time = 30\nreport_interval = 30\n"
    assert service_config.load([write(text)], "cinder-volume").service_down_time == 75


def test_the_environment_has_no_say(write, monkeypatch):
    monkeypatch.setenv("OS_DEFAULT__HOST", "from-the-environment")
    assert service_config.load([write("")], "cinder-volume", hostname="node1").host == "node1"


def test_the_command_line_has_no_say(write, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "--config-file", "/nowhere.conf"])
    assert service_config.load([write("")], "cinder-volume", hostname="node1").host == "node1"


def test_the_secret_is_not_in_the_repr(write):
    config = service_config.load([write(f"[database]\nconnection = {URL}\n")], "cinder-volume")
    assert config.database == URL
    assert SECRET not in repr(config)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"[DEFAULT\nx = {SECRET}\n", ("cinder.conf", "line 1")),
        (f"[DEFAULT]\nhost = a\n{SECRET}\n", ("cinder.conf", "line 3")),
        (f"password = {SECRET}\n", ("cinder.conf", "line 1")),
        (f"[DEFAULT]\nreport_interval = {SECRET}\n", ("[DEFAULT]/report_interval", "cinder.conf")),
        (
            "[DEFAULT]\ngraceful_shutdown_timeout = -1\n",
            ("[DEFAULT]/graceful_shutdown_timeout", "cinder.conf"),
        ),
        ("[DEFAULT]\nhost = $nowhere\n", ("[DEFAULT]/host", "cinder.conf")),
        ("[DEFAULT]\nhost = $my_ip\n", ("[DEFAULT]/host", "empty")),
        (f"[database]\nconnection = ${SECRET}\n", ("[database]/connection", "cinder.conf")),
    ],
)
def test_what_is_wrong_is_named_and_no_value_is_shown(write, text, words):
    with pytest.raises(ConfigError) as caught:
        service_config.load([write(text)], "cinder-volume", hostname="node1")
    said = str(caught.value)
    assert all(word in said for word in words)
    assert SECRET not in said
    assert "\n" not in said


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing\.conf cannot be read: No such file or directory"):
        service_config.load([str(tmp_path / "nothing.conf")], "cinder-volume")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match="Is a directory"):
        service_config.load([str(tmp_path)], "cinder-volume")


def test_unreadable_file(write, monkeypatch):
    path = write("[DEFAULT]\n")
    if os.geteuid() == 0:  # root may read all
        monkeypatch.setattr(Path, "read_text", _denied)
    else:
        Path(path).chmod(0)
    with pytest.raises(ConfigError, match="Permission denied"):
        service_config.load([path], "cinder-volume")


def _denied(*args: object, **kwargs: object) -> str:
    raise PermissionError(13, "Permission denied")


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "cinder.conf"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        service_config.load([str(path)], "cinder-volume")


def test_no_file_at_all():
    with pytest.raises(ConfigError, match="service_config"):
        service_config.load([], "cinder-volume")


def test_oslo_config_missing(write, monkeypatch):
    path = write("")
    monkeypatch.setitem(sys.modules, "oslo_config", None)
    with pytest.raises(ConfigError) as caught:
        service_config.load([path], "cinder-volume")
    assert "oslo.config is missing" in str(caught.value)
    assert sys.executable in str(caught.value)


@pytest.mark.parametrize(
    ("container", "service", "files"),
    [
        ("cinder_volume", "cinder-volume", ["/etc/kolla/cinder-volume/cinder.conf"]),
        ("cinder_backup", "cinder-backup", ["/etc/kolla/cinder-backup/cinder.conf"]),
        ("cinder_scheduler", "cinder-scheduler", ["/etc/kolla/cinder-scheduler/cinder.conf"]),
        ("nova_compute", "nova-compute", ["/etc/kolla/nova-compute/nova.conf"]),
        ("nova_conductor", "nova-conductor", ["/etc/kolla/nova-conductor/nova.conf"]),
        ("nova_super_conductor", "nova-conductor", ["/etc/kolla/nova-super-conductor/nova.conf"]),
        ("nova_scheduler", "nova-scheduler", ["/etc/kolla/nova-scheduler/nova.conf"]),
        ("nova_compute_ironic", "nova-compute", ["/etc/kolla/nova-compute-ironic/nova.conf"]),
        ("nova_compute_ironic_2", "nova-compute", ["/etc/kolla/nova-compute-ironic-2/nova.conf"]),
        ("nova_compute_ironic_x", None, []),
        ("nova_compute_ironic_2/../x", None, []),
        ("cinder_api", None, []),
        ("", None, []),
    ],
)
def test_kollas_containers(container, service, files):
    assert kolla.kolla_service(container) == service
    assert kolla.default_files(container) == files
    moved = [path.replace("/etc/kolla", "/opt/kolla") for path in files]
    assert kolla.default_files(container, "/opt/kolla") == moved


@pytest.mark.parametrize(
    ("names", "service"),
    [
        ({"container_name": "cinder_volume", "image": "registry:5000/kolla/debug:1"}, "cinder-volume"),
        ({"container_name": "vol", "env": {"KOLLA_SERVICE_NAME": "cinder-volume"}}, "cinder-volume"),
        ({"container_name": "vol", "labels": {"name": "nova-compute-ironic"}}, "nova-compute"),
        (
            {"container_name": "vol", "image": "registry:5000/ns/cinder-backup:2026.1-debian-13"},
            "cinder-backup",
        ),
        (
            {"container_name": "vol", "image": "quay.io/kolla/ubuntu-source-nova-super-conductor"},
            "nova-conductor",
        ),
        ({"container_name": "vol", "image": "quay.io/kolla/cinder-scheduler@sha256:0"}, "cinder-scheduler"),
        ({"container_name": "vol", "image": "quay.io/kolla/cinder-api:1"}, None),
        ({"container_name": "vol", "image": "mycinder-volumes", "labels": {"name": "x-cinder-volume"}}, None),
        (
            {"container_name": "bootstrap", "image": "nova-conductor", "env": {"KOLLA_BOOTSTRAP": ""}},
            None,
        ),
    ],
)
def test_a_container_of_any_name(names, service):
    assert kolla.service_of(**names) == service
