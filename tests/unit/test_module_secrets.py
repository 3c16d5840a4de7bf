"""Secrets that stand in free dictionaries are in no log of the managed host and in no result."""

from __future__ import annotations

from typing import Any

import pytest

from kolla_drain.masking import Masked
from tests.support.module_run import MODULE, ModuleRun

SERVICE = {"service": "cinder-volume", "host": "h", "state": "status"}


def run(args: dict[str, object], module: str = "kolla_docker", **options: Any) -> ModuleRun:
    """Run a module to its end; a secret in its output or log fails the test."""
    ran = ModuleRun(args, module=MODULE.with_name(f"{module}.py"), **options)
    assert "msg" in ran.result()
    return ran


def test_secrets() -> None:
    output = run(
        {
            "action": "pull_image",
            "image": "",
            "environment": {
                "DB_PASSWORD": "s3cr3t-1",
                "URL": "amqp://u:s3cr3t-2@h/",
                "MYSQL_PWD": "s3cr3t-9",
            },
            "auth_password": "s3cr3t-3",
            "common_options": {
                "auth_username": "u",
                "auth_password": "s3cr3t-4",
                "environment": {"TOKEN": "s3cr3t-5", "PLAIN": "shown", "RABBITMQ_COOKIE": "s3cr3t-10"},
                "database": {"password": "s3cr3t-6", "url": "mysql://u:s3cr3t-7@h/x"},
                "labels": {"token": "s3cr3t-11"},
            },
            "database": {"password": "s3cr3t-8"},
            "labels": {"api.key": "s3cr3t-12"},
            "command": "bash -c 'x --password s3cr3t-13'",
            "healthcheck": {"test": ["CMD", "curl", "-u", "user:s3cr3t-14", "http://u:s3cr3t-15@h"]},
            "volumes": ["/etc/secrets:/etc/secrets:ro"],
            "auth_registry": "https://u:s3cr3t_16@h",
        }
    ).output
    log = output[output.index("logged:") :]
    assert "Invoked with action=pull_image" in log
    assert "shown" in log
    assert "/etc/secrets:/etc/secrets:ro" in log


@pytest.mark.parametrize(
    "args",
    [
        {"databse": {"password": "s3cr3t"}},
        {"databse": {"url": "mysql://u:s3cr3t@h/d"}},
        {"database": {"pasword": "s3cr3t"}},
        {"database": "mysql://u:s3cr3t@h/d"},
        {"database": "{'host': 'h', 'password': 's3cr3t'"},
        {"auth_pasword": "s3cr3t"},
        {"common_options": "auth_username=u auth_password=s3cr3t"},
        {"common_options": {"database": "host=h password=s3cr3t"}},
        {"common_options": {"environment": '{"DB_PASSWORD": "s3cr3t"}'}},
        {"environment": "A=1 DB_PASSWORD=s3cr3t"},
        {"command": ["mysqladmin", "-us", "-ps3cr3t"]},
        {"poll_interval": "often", "environment": {"DB_PASSWORD": "s3cr3t"}},
    ],
    ids=str,
)
def test_secrets_in_the_wrong_place(args: dict[str, object]) -> None:
    run({"action": "pull_image", "image": "", **args})


@pytest.mark.parametrize(
    ("module", "args"),
    [
        ("kolla_service", {"databse": {"password": "s3cr3t"}}),
        ("kolla_service", {"database": {"pasword": "s3cr3t"}}),
        ("kolla_service", {"database": "{'host': 'h', 'password': 's3cr3t'"}),
        ("kolla_service", {"auth": {"pasword": "s3cr3t"}}),
        ("kolla_service", {"auth": {"password": "s3cr3t"}, "timeout": "soon"}),
        (
            "kolla_service",
            {"auth": {"auth_url": "http://u:s3cr3t@127.0.0.1:1"}, "endpoint_override": "http://u:s3cr3t@h"},
        ),
        ("kolla_service", SERVICE | {"auth": {"auth_url": "http://u:s3cr3t@127.0.0.1:1", "username": "u"}}),
        (
            "kolla_service",
            SERVICE | {"auth_type": "none", "endpoint_override": "http://u:s3cr3t@127.0.0.1:1"},
        ),
        ("kolla_haproxy", {"sockt": "http://u:s3cr3t@h", "password": "s3cr3t"}),
        ("kolla_timeouts", {"service": "x", "files": [], "connection": "mysql://u:s3cr3t@h/d"}),
        ("kolla_galera", {"databse": {"password": "s3cr3t"}}),
        ("kolla_galera", {"database": {"pasword": "s3cr3t"}}),
        ("kolla_galera", {"database": {"password": "s3cr3t"}, "leaving": "none"}),
        ("kolla_database_user", {"name": "n", "password": "s3cr3t", "database": {"pasword": "s3cr3t"}}),
        ("kolla_database_user", {"name": "n", "password": "s3cr3t", "config_file": "/none"}),
        ("kolla_database_user", {"name": "n", "pasword": "s3cr3t"}),
    ],
    ids=str,
)
def test_secrets_in_the_wrong_place_of_other_modules(module: str, args: dict[str, object]) -> None:
    run(args, module)


@pytest.mark.parametrize(
    ("module", "args"),
    [
        ("kolla_docker", {"action": "pull_image"}),
        ("kolla_service", SERVICE),
        ("kolla_galera", {}),
        ("kolla_haproxy", {"socket": "/nowhere", "backends": [], "server": "s", "state": "drain"}),
        ("kolla_timeouts", {"service": "x", "files": [], "graceful_shutdown_timeout": 1}),
    ],
)
def test_an_error_says_nothing_to_a_terminal(module: str, args: dict[str, object]) -> None:
    """Ansible prints it as it is."""
    assert "a?[2J b" in run({**args, "a\x1b[2J\nb": 1}, module).result()["msg"]


class Base:
    """What of AnsibleModule is of use here."""

    def __init__(self) -> None:
        self.argument_spec = {"password": {"no_log": True}}
        self.params = {"password": "a\x07  b"}
        self.no_log_values = {"a\x07  b"}
        self.said: dict[str, Any] = {}

    def _keep(self, **said: Any) -> None:
        self.said = said

    exit_json = _keep

    def warn(self, warning: str) -> None:
        self.said = {"warning": warning}

    def fail_json(self, msg: str, **said: Any) -> None:
        self.said = {"msg": msg, **said}


def module() -> Any:
    return type("Tame", (Masked, Base), {})()


def test_nor_does_a_warning() -> None:
    made = module()
    made.warn("a\x1b[2J\nb")
    assert made.said == {"warning": "a?[2J b"}


def test_nor_does_a_result() -> None:
    """Its lines stay lines. U+202E turns the direction of what follows."""
    made = module()
    made.exit_json(changed=True, stdout="a\r\n\x1b[2J\tb\n", rows=({"a\x07": ["\u202ec", 1, None]},))
    assert made.said == {"changed": True, "stdout": "a\n?[2J\tb\n", "rows": [{"a?": ["?c", 1, None]}]}


def test_a_failure_has_no_secret_in_its_traceback_and_keeps_one_that_looks_otherwise_there() -> None:
    made = module()
    made.fail_json("a", exception="x\nDatabaseError: mysql://u:s3cr3t@h --password s3cr3t\x1b[2J")
    assert made.said["exception"].startswith("x\nDatabaseError: mysql://u:********@h --password ********")
    assert "\x1b" not in made.said["exception"]
    assert made.no_log_values == {"a\x07  b", "a?  b", "a? b"}
