"""Tasks of the roles under a real Ansible: their output holds no secret at any verbosity, and a dump ends."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from tests.plays import inline

pytest.importorskip("ansible.release", reason="no ansible-core for this Python")

ROOT = Path(__file__).resolve().parents[2]
SECRET = "s3cr3t"

# Stands in for each module of ours: reports whether it was given the secret, and fails if it is told to.
STAND_IN = f"""
import json, os
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        given = json.dumps(self._task.args, default=str)
        container = {{"name": "nova_compute", "status": "running"}}
        return {{
            "changed": True, "failed": bool(os.environ.get("STAND_IN_FAILS")), "rc": 0, "stdout": "",
            "msg": "a secret was given: %s" % ({SECRET!r} in given), "containers": [container], "status": "running",
            "state": {{"StartedAt": ""}}, "findings": [], "newer": False, "servers": [], "synced": True,
            "can_spare": True,
        }}
"""
MODULES = ("kolla_docker", "kolla_service", "kolla_haproxy", "kolla_timeouts", "kolla_galera")
DATABASE = {"host": "db", "name": "nova", "user": "drain", "password": SECRET}
VARIABLES = {
    "nova_compute_database": DATABASE,
    "kolla_drain_mariadb_database": DATABASE,
    "docker_registry_username": "u",
    "docker_registry_password": SECRET,
    "kolla_drain_api": {"auth": {"password": SECRET}, "database": {"url": f"mysql://u:{SECRET}@h/cinder"}},
    "kolla_host_wave": {"name": "computes", "containers": ["nova_compute"]},
    "kolla_host_names": ["nova_compute"],
    "kolla_host_up": [],
    "kolla_host_leaving": 1,
    "kolla_host_remembered": {"backends": ["cinder_api"], "since": "now"},
    "kolla_drain_mariadb_ready_timeout": 0,
    "kolla_drain_ready_timeout": 0,
    "kolla_drain_services": {
        "cinder-volume": {
            "container_name": "cinder_volume",
            "image": "cinder:1",
            "group": "all",
            "enabled": True,
            "disable": True,
            "environment": {"DB_PASSWORD": SECRET, "URL": f"amqp://u:{SECRET}@h/"},
            "command": f"x --password {SECRET}",
            "database": DATABASE,
            "service_config": ["/nowhere"],
            "haproxy_backends": ["cinder_api"],
        }
    },
    "kolla_drain_order": ["cinder-volume"],
    "kolla_drain_here": ["cinder-volume"],
    "kolla_drain_names": ["cinder-volume"],
    "kolla_drain_name": "cinder-volume",
    "kolla_drain_once": "cinder-volume",
    "kolla_drain_project": "cinder",
    "kolla_drain_intent": "upgrade",
    "kolla_drain_title": "Do it",
    "kolla_drain_action": "recreate_or_restart_container",
    "kolla_drain_state": "disabled",
    "kolla_drain_haproxy_state": "drain",
    "kolla_drain_haproxy_hosts": ["localhost"],
    "kolla_drain_targets": [{"service": "cinder-volume", "host": "h"}],
    "kolla_drain_disable": "always",
    "kolla_drain_command": "true",
    "kolla_drain_now": {"results": [{"item": "cinder-volume", "status": "running"}]},
}
TASKS = {
    "kolla_drain": (
        *(
            "plan",
            "prepare",
            "container",
            "recreate",
            "reload_one",
            "halt",
            "verify",
            "one_off",
            "api",
            "haproxy",
        ),
        "timeouts",
    ),
    # After the other, whose filters it uses.
    "kolla_host": ("plan", "wave", "back_wave", "back_end", "galera", "synced"),
}


@pytest.mark.parametrize("fails", [False, True])
def test_no_secret_is_printed(tmp_path: Path, fails: bool) -> None:
    """Where all goes well, in check mode and with a diff, and where each task fails."""
    (tmp_path / "action_plugins").mkdir()
    for module in MODULES:
        (tmp_path / "action_plugins" / f"{module}.py").write_text(STAND_IN)
    tasks = [
        {
            "name": f"{role} {name}",
            "block": [{"ansible.builtin.include_role": {"name": role, "tasks_from": name}}],
            "rescue": [{"ansible.builtin.debug": {"var": "ansible_failed_result.msg"}}],
        }
        for role, names in TASKS.items()
        for name in names
    ]
    flags = () if fails else ("--check", "--diff")
    output = run(tmp_path, tasks, VARIABLES, *flags, STAND_IN_FAILS="1" * fails)
    assert "failed=0" in output
    assert "is undefined" not in output
    assert output.count("a secret was given: True") > 20


def test_an_old_name(tmp_path: Path) -> None:
    role = {"name": "kolla_drain", "tasks_from": "old_variables"}
    old = {"fence_api": {"auth": {"password": SECRET}}}
    output = run(tmp_path, [{"ansible.builtin.include_role": role}], old)
    assert "the variable is named kolla_drain_api now" in output


def dump(folder: Path, *command: str, **variables: object) -> str:
    role = {"name": "kolla_drain", "tasks_from": "database_backup"}
    given = {
        "kolla_drain_project": "cinder",
        "kolla_drain_connection": f"mysql+pymysql://u:{SECRET}@h/cinder?ssl_ca=/etc/ca.pem",
        "kolla_drain_database_backup_path": str(folder / "dumps"),
        "kolla_drain_database_backup_command": command,
        **variables,
    }
    return run(folder, [{"ansible.builtin.include_role": role}], given)


def test_a_dump_that_hangs_ends(tmp_path: Path) -> None:
    output = dump(tmp_path, "sh", "-c", "sleep 60", kolla_one_off_timeout=1)
    assert "it did not end within 1 s (kolla_one_off_timeout)" in output
    assert list((tmp_path / "dumps").iterdir()) == []


def test_a_dump_is_given_the_ca(tmp_path: Path) -> None:
    """And the password, which no process list has."""
    script = (
        f"cat > {tmp_path}/options; cat /proc/[0-9]*/cmdline > {tmp_path}/processes; echo '-- Dump completed'"
    )
    path = tmp_path / "a folder's"
    assert "was dumped to" in dump(tmp_path, "sh", "-c", script, kolla_drain_database_backup_path=str(path))
    assert 'ssl_ca="/etc/ca.pem"' in (tmp_path / "options").read_text()
    assert SECRET in (tmp_path / "options").read_text()
    assert SECRET.encode() not in (tmp_path / "processes").read_bytes()
    (made,) = path.iterdir()
    assert (path.stat().st_mode & 0o777, made.stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_dump_goes_through_no_link(tmp_path: Path) -> None:
    """Neither to the folder, nor to a file of its name."""
    (tmp_path / "theirs").mkdir(mode=0o755)
    (tmp_path / "dumps").symlink_to(tmp_path / "theirs")
    output = dump(tmp_path, "sh", "-c", "echo '-- Dump completed'")
    assert "already exists as a link" in output
    assert (tmp_path / "theirs").stat().st_mode & 0o777 == 0o755
    assert list((tmp_path / "theirs").iterdir()) == []


def test_nor_does_what_is_remembered_of_a_host(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0o755)
    (tmp_path / "kept").symlink_to(tmp_path / "theirs")
    role = {"name": "kolla_host", "tasks_from": "begin"}
    kept = {"kolla_drain_host_state_file": str(tmp_path / "kept" / "host.json")}
    assert "already exists as a link" in run(tmp_path, [{"ansible.builtin.include_role": role}], kept)
    assert list((tmp_path / "theirs").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder away")
def test_a_dump_is_not_put_into_another_s_folder(tmp_path: Path) -> None:
    (tmp_path / "dumps").mkdir()
    os.chown(tmp_path / "dumps", 65534, 65534)
    output = dump(tmp_path, "sh", "-c", "echo '-- Dump completed'")
    assert f"{tmp_path}/dumps belongs to another user" in output
    assert list((tmp_path / "dumps").iterdir()) == []


def test_nor_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "dumps").mkdir()
    (tmp_path / "victim").write_text("as it was")
    # Whatever the second it begins in.
    for second in range(60):
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + second))
        (tmp_path / "dumps" / f"x-{moment}.sql.half").symlink_to("../victim")
    output = dump(tmp_path, "sh", "-c", "echo '-- Dump completed'", kolla_drain_dump_name="x")
    assert "cannot overwrite existing file" in output
    assert (tmp_path / "victim").read_text() == "as it was"


def test_an_account_needs_a_password(tmp_path: Path) -> None:
    role = {"name": "drain_database_user"}
    # As the key is in passwords.yml before kolla-genpwd has filled it in.
    output = run(tmp_path, [{"ansible.builtin.include_role": role}], {"kolla_drain_database_password": None})
    assert "is empty. Add the key to passwords.yml" in output


def test_a_site_without_proxysql_has_no_file_for_it(tmp_path: Path) -> None:
    given = {"node_config_directory": str(tmp_path / "kolla"), "kolla_drain_database_password": SECRET}
    role = {"name": "drain_database_user", "tasks_from": "proxysql"}
    output = run(tmp_path, [{"ansible.builtin.include_role": role}], given)
    assert "failed=0" in output
    assert not (tmp_path / "kolla").exists()


def run(
    folder: Path,
    tasks: list[dict[str, object]],
    variables: dict[str, object],
    *flags: str,
    **environment: str,
) -> str:
    """Run tasks as verbosely as can be; return the output on one line."""
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {
            "ansible_python_interpreter": sys.executable,
            "ansible_become": False,
            "kolla_host_stops": [],
            "kolla_drain_notes": [],
        },
        "vars_files": str(ROOT / "ansible" / "group_vars" / "all.yml"),
        "tasks": tasks,
    }
    (folder / "action_plugins").mkdir(exist_ok=True)
    (folder / "play.yml").write_text(json.dumps([play]))
    (folder / "variables.json").write_text(json.dumps(variables))
    arguments = ["-i", "localhost,", "play.yml", "-vvvv", "-e", "@variables.json", *flags]
    inline.play(arguments, folder, environment, folder / "output")
    output = (folder / "output").read_text()
    print(output)
    assert SECRET not in output
    return " ".join(output.split())
