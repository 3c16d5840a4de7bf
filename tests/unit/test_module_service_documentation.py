"""What ``ansible-doc`` says of kolla_service and what the module takes and returns are one and the same."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.support.documented import ROOT, asked, load, options, shown
from tests.support.module_run import run_module

MODULE = ROOT / "library" / "kolla_service.py"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return load("kolla_service")


def test_documentation_and_argument_spec_agree(module: ModuleType) -> None:
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]

    assert options(documented, "suboptions") == options(module.argument_spec(), "options")


def test_every_option_is_read(module: ModuleType) -> None:
    """An option that is read nowhere is a promise not kept."""
    given = {name: option.get("default") for name, option in module.argument_spec().items()}
    given.update(service="cinder-volume", host="a", state="disabled")
    read = asked(
        given,
        module.access_of,
        module.fallback_of,
        lambda params: module.request_of(params, check_mode=False),
    )
    assert read == set(given)


def test_every_secret_is_kept_from_logs_and_nothing_else(module: ModuleType) -> None:
    """On whole dictionaries, no_log would mask "admin" and "cinder" wherever they appear."""
    spec = module.argument_spec()
    secret = {
        (name, sub)
        for name in ("auth", "database")
        for sub, option in spec[name]["options"].items()
        if option.get("no_log")
    }

    assert not any(option.get("no_log") for option in spec.values())
    assert secret == {
        ("auth", "password"),
        ("auth", "token"),
        ("auth", "application_credential_secret"),
        ("database", "password"),
        ("database", "url"),
    }


def test_documented_results_are_those_of_the_module(module: ModuleType) -> None:
    from kolla_drain.disable.model import Outcome, Service

    service = Service("cinder-volume", "a@x", enabled=True, up=True)
    result = module.result_of(Outcome(False, (service,), (service,), "why"))
    known = yaml.safe_load(module.RETURN)

    assert set(result) == set(known) | {"changed", "msg"}
    assert set(result["services"][0]) == set(known["services"]["contains"])


def test_the_grant_is_the_same_everywhere(module: ModuleType) -> None:
    from kolla_drain.disable.database import GRANT

    rights = GRANT.split("GRANT ")[1].split(" ON ")[0]
    texts = [
        yaml.safe_load(module.DOCUMENTATION)["options"]["database"]["description"][1],
        (ROOT / "docs" / "disable.rst").read_text(),
    ]
    assert [rights in " ".join(text.split()) for text in texts] == [True, True]


def test_examples_are_tasks_that_the_module_takes(module: ModuleType) -> None:
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

    for task in yaml.safe_load(module.EXAMPLES):
        checked = ArgumentSpecValidator(module.argument_spec()).validate(task["kolla_service"])
        assert not checked.error_messages, task["name"]


def test_ansible_doc_reads_it() -> None:
    found = shown("kolla_service")
    assert found["doc"]["short_description"].startswith("Disable a Cinder, Manila or Nova service")


# -- the module as a whole, as far as it gets without an API

ASKED = {
    "service": "cinder-backup",
    "host": "a",
    "state": "enabled",
    "auth_type": "none",
    "endpoint_override": "http://127.0.0.1:9/v3/x",
}


@pytest.mark.parametrize(
    ("more", "hidden", "message"),
    [
        ({}, (), r"Cinder's API cannot be reached: .*127\.0\.0\.1:9/"),
        ({}, ("openstack",), r"openstacksdk is missing in .*python.*: install it there with "),
        ({"fallback": "database"}, (), "fallback is database, and no database is given: give database or"),
        ({"service_config": ["/nonexistent/cinder.conf"]}, (), "/nonexistent/cinder.conf cannot be read"),
        ({"database": {"user": "x"}}, (), "the database has no name"),
        ({"service": "nova-compute", "database": {"user": "x"}}, (), "for Cinder's services"),
    ],
)
def test_what_a_user_gets_wrong_is_one_sentence(more: dict[str, Any], hidden: Any, message: str) -> None:
    import re

    result = run_module({**ASKED, **more}, module=MODULE, hide=hidden)

    assert result["failed"] is True
    assert re.search(message, result["msg"]), result["msg"]
    assert "\n" not in result["msg"]
    assert "Traceback" not in result["msg"]


def test_a_database_that_is_not_there_is_told_without_its_password() -> None:
    from kolla_drain.disable.database import services_table
    from kolla_drain.disable.model import DisableError, Service

    table = services_table(
        "cinder-backup",
        {"host": "127.0.0.1", "port": 9, "user": "drain", "password": "quiet", "name": "cinder"},
        (),
    )
    assert table is not None
    with pytest.raises(
        DisableError, match=r"cannot be enabled in the database: .*127\.0\.0\.1:9.*GRANT SELECT"
    ) as caught:
        table.check([Service("cinder-backup", "a", enabled=True, up=True)])
    assert "quiet" not in str(caught.value)


@pytest.mark.parametrize(("fallback", "used"), [("auto", True), ("database", True), ("none", False)])
def test_the_fallback_is_the_database_that_is_given(module: ModuleType, fallback: str, used: bool) -> None:
    params = {
        "service": "cinder-backup",
        "database": {"host": "a", "name": "cinder", "user": "drain"},
        "service_config": None,
    }

    assert (module.fallback_of({**params, "fallback": fallback}) is not None) is used
