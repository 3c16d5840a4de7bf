"""Disable and enable services of a real Cinder 29, whose API disables with a reason and then enables nothing.

On eventlet only.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kolla_drain.disable.database import GRANT
from testbed.paths import LABEL
from testbed.stack import Stack
from testbed.waiting import wait_until
from tests.support.module_run import ROOT, run_module

from .conftest import VOLUME

MODULE = ROOT / "library" / "kolla_service.py"
ELSEWHERE = "kolla_drain_elsewhere"
DRAIN = "kolla_drain_disabler"

Call = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def cinder(any_stack: Stack) -> Stack:
    """Every service up."""
    return any_stack.up(mode="eventlet")


@pytest.fixture(autouse=True)
def everything_enabled(cinder: Stack) -> Iterator[None]:
    """Enable every service before and after each test, as root in the database."""
    enable_all(cinder)
    yield
    enable_all(cinder)


def enable_all(stack: Stack) -> None:
    stack.mariadb.execute(
        "UPDATE services SET disabled = 0, disabled_reason = NULL WHERE disabled",
        (),
        "cinder",
    )


@pytest.fixture(scope="module")
def account(cinder: Stack) -> Iterator[dict[str, Any]]:
    """A database account with no rights but those in the documentation."""
    password = secrets.token_hex(12)
    cinder.mariadb.execute(f"CREATE OR REPLACE USER `{DRAIN}`@`%%` IDENTIFIED BY %s", (password,))
    cinder.mariadb.execute(GRANT.replace("'drain_disable'@'%'", f"`{DRAIN}`@`%`"))
    port = cinder.state.endpoints.mariadb_port
    yield {"host": "127.0.0.1", "port": port, "user": DRAIN, "password": password, "name": "cinder"}
    cinder.mariadb.execute(f"DROP USER `{DRAIN}`@`%`")


def access(stack: Stack) -> dict[str, Any]:
    project = stack.state.project_id
    return {
        "auth_type": "none",
        "endpoint_override": f"http://127.0.0.1:{stack.state.endpoints.api_port}/v3/{project}",
        "auth": {"token": f"{project}:{project}"},
    }


@pytest.fixture
def call(cinder: Stack) -> Call:
    """Run the module."""

    def called(service: str, host: str, state: str, check: bool = False, **more: Any) -> dict[str, Any]:
        asked = {"service": service, "host": host, "state": state, **access(cinder), **more}
        result = run_module(asked, module=MODULE, check=check, diff=True)
        told = {
            key: result.get(key) for key in ("msg", "changed", "disabled", "method", "warnings", "seconds")
        }
        print(f"{state} {service} {host}: {told}")
        return result

    return called


@pytest.fixture
def here(cinder: Stack) -> str:
    """The stack's host as services have it."""
    return cinder.service_hosts("cinder_backup")[0]


def rows(stack: Stack, service: str = "cinder-volume") -> dict[str, tuple[bool, str]]:
    """Return from the database, by host, whether the service is disabled and why."""
    found = stack.mariadb.execute(
        "SELECT host, disabled, disabled_reason FROM services WHERE deleted = 0 AND `binary` = %s",
        (service,),
        "cinder",
    )
    return {host: (bool(disabled), reason or "") for host, disabled, reason in found}


def test_this_cinder_has_the_fault(cinder: Stack, here: str) -> None:
    """When this fails, Cinder has been fixed, and the fallback can be removed."""
    body = {"binary": "cinder-backup", "host": here}
    cinder.api.call("PUT", "os-services/disable", body)
    assert rows(cinder, "cinder-backup")[here] == (False, "")

    cinder.api.call("PUT", "os-services/disable-log-reason", {**body, "disabled_reason": "try"})
    cinder.api.call("PUT", "os-services/enable", body)
    assert rows(cinder, "cinder-backup")[here] == (True, "try")


def test_a_backend_is_disabled_and_enabled_in_the_database(
    cinder: Stack, call: Call, here: str, account: dict[str, Any]
) -> None:
    backend = f"{here}@file-1"

    disabled = call("cinder-volume", backend, "disabled", disable="always", reason="e2e")
    again = call("cinder-volume", backend, "disabled", disable="always", reason="another")

    assert (disabled["changed"], disabled["disabled"], disabled["method"]) == (True, True, "api")
    assert disabled["services"][0]["disabled_by_us"] is True
    assert disabled["diff"]["before"] != disabled["diff"]["after"]
    assert backend not in cinder.api.pools(), "the scheduler has seen it"
    flag, reason = rows(cinder)[backend]
    assert flag
    assert reason.startswith("kolla-drain: disabled 2")
    assert reason.endswith(" e2e")
    assert rows(cinder)[f"{here}@file-2"] == (False, "")
    assert (again["changed"], again["disabled"]) == (False, True)

    enabled = call("cinder-volume", here, "enabled", database=account)
    repeated = call("cinder-volume", here, "enabled", database=account)

    assert (enabled["changed"], enabled["disabled"], enabled["method"]) == (True, False, "database")
    assert set(rows(cinder).values()) == {(False, "")}
    assert repeated["changed"] is False


def test_auto_disables_nothing_that_nobody_can_replace(cinder: Stack, call: Call, here: str) -> None:
    volume = call("cinder-volume", here, "disabled")
    backup = call("cinder-backup", here, "disabled")

    for result in (volume, backup):
        assert (result["changed"], result["disabled"]) == (False, False)
    assert (
        "no other cinder-volume in zone nova that is enabled and up has its backend name file-1"
        in volume["reason"]
    )
    assert (
        "no other cinder-backup in zone nova that is enabled and up could take its work" in backup["reason"]
    )


@pytest.fixture
def elsewhere(cinder: Stack, tmp_path: Path) -> Iterator[str]:
    """Run cinder-volume with file-1 on a second host; yield its host@backend."""
    mounts = cinder.container(VOLUME).attrs["Mounts"]
    (conf,) = (mount["Source"] for mount in mounts if mount["Destination"].endswith("cinder.conf"))
    text = Path(conf).read_text().replace("[DEFAULT]\n", "[DEFAULT]\nhost = elsewhere\n", 1)
    (tmp_path / "cinder.conf").write_text(
        text.replace("enabled_backends = file-1,file-2", "enabled_backends = file-1")
    )
    tmp_path.chmod(0o755)
    volumes = [
        f"{tmp_path / 'cinder.conf'}:/etc/cinder/cinder.conf:ro",
        *(f"{mount['Source']}:{mount['Destination']}" for mount in mounts if mount["Source"] != conf),
    ]
    config = cinder.container(VOLUME).attrs["Config"]
    container = cinder.client.containers.run(
        config["Image"],
        config["Cmd"],
        name=ELSEWHERE,
        detach=True,
        network_mode="host",
        ipc_mode="host",
        cap_add=["SYS_ADMIN", "DAC_READ_SEARCH", "NET_ADMIN"],
        environment=config["Env"],
        volumes=volumes,
        labels={LABEL: cinder.name},
    )
    try:
        wait_until(
            lambda: "elsewhere@file-1" in cinder.api.pools(), 400, "the scheduler offering the second host"
        )
        yield "elsewhere@file-1"
    finally:
        print(container.logs(tail=3).decode(errors="replace"))
        container.remove(force=True)
        cinder.mariadb.execute("DELETE FROM services WHERE host LIKE 'elsewhere%%'", (), "cinder")


def test_auto_disables_what_another_host_can_take(
    cinder: Stack, call: Call, here: str, account: dict[str, Any], elsewhere: str
) -> None:
    backend = f"{here}@file-1"

    planned = call("cinder-volume", here, "disabled", check=True, database=account)
    assert planned["changed"] is True
    assert set(rows(cinder).values()) == {(False, "")}, "check mode"

    unsafe = call("cinder-volume", here, "disabled")
    assert unsafe["changed"] is False, "without a database it could not be enabled again"
    assert set(rows(cinder).values()) == {(False, "")}

    done = call("cinder-volume", here, "disabled", database=account)
    assert done["changed"] is True
    assert done["disabled"] is False, "no other host has file-2"
    assert [service["host"] for service in done["services"] if service["disabled_by_us"]] == [backend]
    assert cinder.api.pools() == {f"{here}@file-2", elsewhere}

    other = call("cinder-volume", elsewhere, "disabled", database=account)
    assert (other["changed"], rows(cinder)[elsewhere]) == (False, (False, "")), "the first is disabled by now"

    assert call("cinder-volume", here, "enabled", database=account)["changed"] is True
    assert set(rows(cinder).values()) == {(False, "")}


def test_what_the_operator_disabled_stays(
    cinder: Stack, call: Call, here: str, account: dict[str, Any]
) -> None:
    backend = f"{here}@file-2"
    body = {"binary": "cinder-volume", "host": backend, "disabled_reason": "disk swap"}
    cinder.api.call("PUT", "os-services/disable-log-reason", body)

    disabled = call("cinder-volume", backend, "disabled", disable="always")
    enabled = call("cinder-volume", backend, "enabled", database=account)

    for result in (disabled, enabled):
        assert (result["changed"], result["disabled"]) == (False, True)
        assert "disabled by somebody else, with the reason 'disk swap', and stays disabled" in result["msg"]
        assert result["undo"] == []
    assert rows(cinder)[backend] == (True, "disk swap")


def test_without_a_database_the_error_holds_a_statement_that_works(
    cinder: Stack, call: Call, here: str
) -> None:
    disabled = call("cinder-backup", here, "disabled", disable="always")
    assert disabled["disabled"] is True
    assert "ignores a request to enable" in disabled["warnings"][0]

    failed = call("cinder-backup", here, "enabled")
    assert failed["failed"] is True
    assert "\n" not in failed["msg"]

    statement = failed["msg"].split("enable it by hand: ")[1].rstrip(";").replace("%", "%%")
    cinder.mariadb.execute(statement, (), "cinder")
    assert call("cinder-backup", here, "status")["services"][0]["status"] == "enabled"


def test_the_account_can_do_nothing_else(account: dict[str, Any], cinder: Stack) -> None:
    import pymysql

    connection = pymysql.connect(
        host=account["host"],
        port=account["port"],
        user=DRAIN,
        password=account["password"],
        database="cinder",
    )
    with connection, connection.cursor() as cursor:
        for statement in ("UPDATE services SET host = 'x'", "SELECT * FROM volumes", "DELETE FROM services"):
            with pytest.raises(pymysql.err.OperationalError, match="denied"):
                cursor.execute(statement)


def test_an_account_without_the_rights_is_told_which(cinder: Stack, call: Call, here: str) -> None:
    password = secrets.token_hex(12)
    cinder.mariadb.create_user("kolla_drain_reader", password, "SELECT", on="cinder.services")
    try:
        call("cinder-backup", here, "disabled", disable="always")
        port = cinder.state.endpoints.mariadb_port
        database = {
            "host": "127.0.0.1",
            "port": port,
            "user": "kolla_drain_reader",
            "password": password,
            "name": "cinder",
        }
        failed = call("cinder-backup", here, "enabled", database=database)
    finally:
        cinder.mariadb.execute("DROP USER kolla_drain_reader")

    assert failed["failed"] is True
    assert "UPDATE command denied" in failed["msg"]
    assert "GRANT SELECT (id" in failed["msg"]
    assert password not in json.dumps(failed)


def test_no_secret_is_printed(cinder: Stack, here: str, account: dict[str, Any]) -> None:
    asked = {
        "service": "cinder-backup",
        "host": here,
        "state": "status",
        **access(cinder),
        "database": account,
    }
    shown = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible")),
            "localhost",
            "-vvv",
            "-m",
            "kolla_service",
            "-a",
            json.dumps(asked),
        ],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert '"status": "enabled"' in shown
    assert account["password"] not in shown
    assert asked["auth"]["token"] not in shown
