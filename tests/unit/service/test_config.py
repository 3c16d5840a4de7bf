"""A service's configuration files: what is taken from them, and how what is wrong with them is said."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from kolla_drain import kolla
from kolla_drain.errors import ConfigError
from kolla_drain.service import config as service_config
from kolla_drain.service.config import Backend, Limit

VOLUME = "cinder-volume"
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


def test_where_the_reports_go(write):
    config = service_config.load([write("")], "nova-compute")
    assert (config.report_folder, config.report_event) == ("", "")
    text = "[DEFAULT]\nlog_dir = /elsewhere\n[oslo_reports]\nlog_dir = /r\nfile_event_handler = /e\n"
    config = service_config.load([write(text)], "nova-compute")
    assert (config.report_folder, config.report_event) == ("/r", "/e")


def test_ironic_takes_the_full_name(write, monkeypatch):
    monkeypatch.setattr("socket.getfqdn", lambda name: f"{name}.example.org")
    assert service_config.load([write("")], "ironic-conductor", hostname="ctl1").host == "ctl1.example.org"
    given = write("[DEFAULT]\nhost = ctl1\n")
    assert service_config.load([given], "ironic-conductor", hostname="ctl1").host == "ctl1"


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


def test_the_options_of_a_declared_service(write):
    """They may be in another section, be multiplied, or be two."""
    text = "[DEFAULT]\ngraceful_shutdown_timeout = 90\n[conductor]\nheartbeat_timeout = 45\n"
    text += f"[database]\nconnection = {URL}\n"
    ironic = service_config.load([write(text)], "ironic-conductor", hostname="node1")
    assert (ironic.service_hosts, ironic.service_down_time, ironic.report_interval) == (("node1",), 45, 10)
    assert (ironic.graceful_shutdown_timeout, ironic.database) == (90, URL)
    assert ironic.more_limits == (Limit("[conductor]/graceful_shutdown_timeout", 60, False),)
    assert ironic.stated == {"graceful_shutdown_timeout", "service_down_time"}
    heat = service_config.load(
        [write("[DEFAULT]\nperiodic_interval = 20\n")], "heat-engine", hostname="node1"
    )
    assert (heat.report_interval, heat.service_down_time, heat.graceful_shutdown_timeout) == (20, 40, 60)
    agent = "[DEFAULT]\nagent_down_time = 100\n[agent]\nreport_interval = 39.5\n"  # Neutron calls it [AGENT]
    l3 = service_config.load([write(agent)], "neutron-l3-agent")
    assert (l3.report_interval, l3.service_down_time, l3.graceful_shutdown_timeout) == (40, 100, None)
    designate = f"[storage:sqlalchemy]\nconnection = {URL}\n[database]\nconnection = other\n"
    designate += "[heartbeat_emitter]\nheartbeat_interval = 5.0\n"
    worker = service_config.load([write(designate)], "designate-worker")
    assert (worker.database, worker.report_interval) == (URL, 5)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e10", "x"])
def test_a_time_that_is_none(write, value):
    path = write(f"[DEFAULT]\nservice_down_time = {value}\n")
    with pytest.raises(
        ConfigError, match=r"^\[DEFAULT\]/service_down_time in .* has a value that cannot be used"
    ):
        service_config.load([path], "cinder-backup")


def test_the_limit_of_a_service_that_does_not_wait_is_none(write):
    text = "[DEFAULT]\ngraceful_shutdown_timeout = 90\n"
    assert service_config.load([write(text)], "masakari-engine").graceful_shutdown_timeout is None


def test_manilas_backends(write):
    text = "[DEFAULT]\nenabled_share_backends = one, two\nenabled_backends = three\n"
    config = service_config.load([write(text)], "manila-share", hostname="node1")
    assert config.service_hosts == ("node1@one", "node1@two")
    assert service_config.load([write("")], "manila-share", hostname="node1").service_hosts == ("node1",)


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


def test_references_to_options_that_only_the_service_knows(write):
    text = f"""
[DEFAULT]
zone = az1
host = ${{zone}}-${{rack.name}}
enabled_backends = $zone, lvm
[rack]
name = r7
[database]
address = db
connection = mysql+pymysql://cinder:{SECRET}@${{database.address}}/$zone
"""
    config = service_config.load([write(text)], "cinder-volume")
    assert config.service_hosts == ("az1-r7@az1", "az1-r7@lvm")
    assert config.database == f"mysql+pymysql://cinder:{SECRET}@db/az1"


@pytest.mark.parametrize(
    "word", ["version", "config_file", "config_dir", "_x", "database", "DEFAULT.x", "x.y.z", "1"]
)
def test_words_with_a_dollar_that_are_no_options_do_no_harm(write, word):
    text = f"[DEFAULT]\nhost = one\n# ${word}\nother = ${{{word}}}\n"
    assert service_config.load([write(text)], "cinder-backup").host == "one"


def test_references_to_options_that_are_known(write):
    text = f"""
[DEFAULT]
host = ${{a.backend_host}}
enabled_backends = a, b
report_interval = 20
service_down_time = $report_interval
[database]
connection = mysql+pymysql://cinder:{SECRET}$$database@$host/cinder
[a]
backend_host = ctl
"""
    config = service_config.load([write(text)], "cinder-volume")
    assert config.service_hosts == ("ctl@a", "ctl@b")
    assert config.service_down_time == 50
    assert config.database == f"mysql+pymysql://cinder:{SECRET}$database@ctl/cinder"


def test_a_down_time_not_above_the_interval_is_corrected_as_the_service_does(write):
    text = "[DEFAULT]\nservice_down_time = 30\nreport_interval = 30\n"
    assert service_config.load([write(text)], "cinder-volume").service_down_time == 75


def test_the_environment_has_no_say(write, monkeypatch):
    monkeypatch.setenv("OS_DEFAULT__HOST", "from-the-environment")
    assert service_config.load([write("")], "cinder-volume", hostname="node1").host == "node1"


def test_the_services_own_environment_goes_before_its_files(write):
    env = {
        "OS_DEFAULT__HOST": "ctl-$my_ip",
        "OS_DEFAULT__ENABLED_BACKENDS": "a,b",
        "OS_DEFAULT__REPORT_INTERVAL": "20",
        "OS_A__BACKEND_HOST": "rbd:volumes",
        "OS_DATABASE__CONNECTION": URL,
    }
    path = write("[DEFAULT]\nhost = x\nmy_ip = 10.0.0.1\nreport_interval = 5\n[database]\nconnection = y\n")
    config = service_config.load([path], "cinder-volume", env=env)
    assert config.service_hosts == ("rbd:volumes@a", "ctl-10.0.0.1@b")
    assert (config.report_interval, config.database, config.stated) == (20, URL, {"report_interval"})
    with pytest.raises(ConfigError, match="variable OS_DEFAULT__REPORT_INTERVAL has a value") as caught:
        service_config.load([path], "cinder-volume", env={"OS_DEFAULT__REPORT_INTERVAL": SECRET})
    assert SECRET not in str(caught.value)


def test_the_command_line_has_no_say(write, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "--config-file", "/nowhere.conf"])
    assert service_config.load([write("")], "cinder-volume", hostname="node1").host == "node1"


@pytest.mark.parametrize(
    ("url", "found"), [(URL, f"{URL}?ssl_ca=/a&ssl=true"), (f"{URL}?x=y", f"{URL}?x=y&ssl_ca=/a&ssl=true")]
)
def test_the_parameters_that_oslo_db_appends_to_the_url(write, url, found):
    text = f"[database]\nconnection = {url}\nconnection_parameters = ssl_ca=/a&ssl=true\n"
    assert service_config.load([write(text)], "cinder-volume").database == found


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
        ("[DEFAULT]\nhost = vol-$my_ip\n", ("[DEFAULT]/host", "option that the file does not set")),
        (
            "[DEFAULT]\nenabled_backends = a,$more\n",
            ("[DEFAULT]/enabled_backends", "option that the file does not set"),
        ),
        ("[DEFAULT]\nreport_interval =\n", ("[DEFAULT]/report_interval", "empty")),
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
        monkeypatch.setattr(service_config.regular, "read", _denied)
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
        ("cinder_api", "requests", []),
        ("keystone_api", "requests", []),
        ("nova_novncproxy", "consoles", []),
        ("nova_ssh", "sessions", []),
        ("haproxy", None, []),
        ("glance_api", "glance-api", ["/etc/kolla/glance-api/glance-api.conf"]),
        ("neutron_l3_agent", "neutron-l3-agent", ["/etc/kolla/neutron-l3-agent/neutron.conf"]),
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
        ({"container_name": "vol", "image": "mycinder-volumes", "labels": {"name": "xcinder-volume"}}, None),
        (
            {
                "container_name": "vol",
                "image": "sha256:0",
                "labels": {"name": "rhosp/openstack-cinder-volume"},
            },
            VOLUME,
        ),
        (
            {
                "container_name": "vol",
                "image": "sha256:0",
                "labels": {"name": "nova-compute-ironic-exporter"},
            },
            None,
        ),
        (
            {"container_name": "bootstrap", "image": "nova-conductor", "env": {"KOLLA_BOOTSTRAP": ""}},
            None,
        ),
        ({"container_name": "neutron_l3_agent_keepalived_qrouter-1", "image": "nova-compute:1"}, None),
    ],
)
def test_a_container_of_any_name(names, service):
    assert kolla.service_of(**names) == service


@pytest.mark.parametrize(
    ("command", "service"),
    [
        ("kolla_start", None),
        ("cinder-volume --config-file /etc/cinder/cinder.conf", VOLUME),
        ("/usr/bin/python3 -s /var/lib/kolla/venv/bin/cinder-volume", VOLUME),
        ("/venv/bin/python3.12 /venv/bin/nova-compute", "nova-compute"),
        ("dumb-init --single-child -- nova-conductor", "nova-conductor"),
        ("cinder-volume: master process [/venv/bin/cinder-volume --config-file /c.conf]", VOLUME),
        ("cinder-manage service remove cinder-volume ctl1", None),
        ("tail -f /var/log/kolla/cinder/cinder-volume", None),
        ("sh -c cinder-volume", None),
        ("cinder-volume-exporter", None),
        ("", None),
    ],
)
def test_in_an_image_of_another_make_the_command_tells(command, service):
    assert kolla.service_of("vol", "site.example/openstack:1", {}, {}, (), command.split()) == service
    assert kolla.service_of("vol", "site.example/openstack:1", {}, {}, [command]) == service
    assert kolla.service_of("vol", "", {}, {"KOLLA_BOOTSTRAP": ""}, [command]) is None


@pytest.mark.parametrize(
    "text", ["[DEFAULT]\nhost = $a\na = $b\nb = $a\n", "[DEFAULT]\nreport_interval = $report_interval\n"]
)
def test_options_that_refer_to_each_other_in_a_circle(write, text):
    with pytest.raises(
        ConfigError, match=r"\[DEFAULT\]/(host|report_interval) in .*cinder.conf (has|refers)"
    ):
        service_config.load([write(text)], "cinder-backup")


def test_a_value_that_grows_without_end(write):
    doubled = "".join(f"a{number} = $a{number + 1}$a{number + 1}\n" for number in range(40))
    with pytest.raises(ConfigError, match=r"\[DEFAULT\]/host in"):
        service_config.load([write(f"[DEFAULT]\nhost = $a0\n{doubled}a40 = x\n")], "cinder-backup")


def test_numbers_that_no_service_has(write):
    for option in ("report_interval", "service_down_time", "graceful_shutdown_timeout"):
        with pytest.raises(ConfigError, match=f"{option} in .* has a value that cannot be used"):
            service_config.load([write(f"[DEFAULT]\n{option} = {'9' * 400}\n")], "cinder-backup")


def test_an_option_of_another_service_is_not_judged(write):
    assert service_config.load([write("[DEFAULT]\nmanager_shutdown_timeout = soon\n")], "cinder-backup").host


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/proc/kmsg", "/proc/self/status", "/etc/a\0b"])
def test_what_is_no_file_is_not_read(path):
    with pytest.raises(ConfigError, match="cannot be read: it"):
        service_config.load([path], "cinder-backup")


def test_a_pipe_without_a_writer_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "cinder.conf")
    with pytest.raises(ConfigError, match="it is no regular file"):
        service_config.load([str(tmp_path / "cinder.conf")], "cinder-backup")


def test_links_in_a_circle(tmp_path):
    (tmp_path / "cinder.conf").symlink_to("cinder.conf")
    with pytest.raises(ConfigError, match="Too many levels of symbolic links"):
        service_config.load([str(tmp_path / "cinder.conf")], "cinder-backup")


def test_files_that_are_too_large_are_not_read_whole(tmp_path, write):
    with (tmp_path / "large.conf").open("wb") as stream:
        stream.truncate(100 << 20)
    with pytest.raises(ConfigError, match="it is larger than 1024 KiB"):
        service_config.load([str(tmp_path / "large.conf")], "cinder-backup")
    half = write("[DEFAULT]\n" + "#" * (600 << 10))
    assert service_config.load([half], "cinder-backup", "h").host == "h"
    with pytest.raises(ConfigError, match="it is larger than"):
        service_config.load([half, half], "cinder-backup")


def test_too_many_of_them(write):
    with pytest.raises(ConfigError, match="is in 10000 files, and at most 1000 can be read"):
        service_config.load([write("")] * 10_000, "cinder-backup")
    names = ",".join(map(str, range(2000)))
    with pytest.raises(ConfigError, match="names more than 1000 backends"):
        service_config.load([write(f"[DEFAULT]\nenabled_backends = {names}\n")], VOLUME)
    references = "\n".join(f"a{number} = $b{number}" for number in range(2000))
    with pytest.raises(ConfigError, match="refers to more than 1000 other options"):
        service_config.load([write(f"[DEFAULT]\n{references}\n")], VOLUME)


def test_an_error_names_a_few_files(write):
    with pytest.raises(ConfigError) as raised:
        service_config.load([write("[DEFAULT]\nhost =\n", f"{number}.conf") for number in range(9)], VOLUME)
    assert "2.conf and 6 more is empty" in str(raised.value)


def test_a_list_of_backends_takes_no_longer_than_it_is(write):
    found = service_config.load([write(f"[DEFAULT]\nenabled_backends = a,{',' * 900_000}b\n")], VOLUME)
    assert [backend.name for backend in found.backends] == ["a", "b"]
