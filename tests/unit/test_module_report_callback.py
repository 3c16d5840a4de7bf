"""The callback plugin kolla_drain_report under a real Ansible, with stand-ins for the modules."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.report_samples import CREATED, SECRET, killed, replaced, seen, stopped

# Not just "ansible": that is also a folder of this project.
pytest.importorskip("ansible.release", reason="no ansible-core for this Python")

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(300)

# Stands in for every module: gives the answer that the file beside it has for the name, on this host if it says so.
STUB = """\
#!/usr/bin/python
import json, time
from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule({name: {"type": "raw"} for name in OPTIONS}, supports_check_mode=True)
name = str(module.params.get("name"))
answer = ANSWERS[name]
if module.check_mode:
    answer = ANSWERS.get(name + " in check mode", answer)
time.sleep(answer.pop("takes", 0))
if answer.get("failed"):
    module.fail_json(**answer)
module.exit_json(**answer)
"""
OPTIONS = ("name", "action", "service", "state", "host", "backends")
DOCKER = {
    "cinder_volume": killed("cinder_volume"),
    "cinder_volume in check mode": seen("cinder_volume", verdict="drained"),
    "cinder_scheduler": stopped("cinder_scheduler"),
    "cinder_api": stopped("cinder_api"),
    "secret": {**stopped(SECRET), "msg": SECRET},
    "broken": {"failed": True, "msg": f"It cannot be stopped, password={SECRET}"},
    "slow": {**stopped("slow"), "takes": 600},
}
CONTAINER = {
    "heat_engine": {"changed": True, "result": True, "kolla_drain": replaced("heat_engine")},
}
PLAY = """
- name: One after the other
  hosts: all
  serial: 1
  gather_facts: false
  tasks:
    - name: "Stop, {{ inventory_hostname }}"
      kolla_docker:
        action: stop_container
        name: "{{ item }}"
      loop: [cinder_volume, cinder_scheduler]
      when: inventory_hostname == 'first'

- name: By kolla-ansible, and in silence
  hosts: first second
  gather_facts: false
  tasks:
    - name: Its own
      kolla_container:
        action: recreate_or_restart_container
        name: heat_engine
    - name: Hidden
      kolla_docker:
        action: stop_container
        name: secret
      no_log: true
    - name: Ignored
      kolla_docker:
        action: stop_container
        name: broken
      ignore_errors: true
    - name: Put right
      block:
        - name: In a block
          kolla_docker: {action: stop_container, name: broken}
      rescue:
        - name: By itself
          kolla_docker: {action: stop_container, name: cinder_api}

- name: It fails half way
  hosts: all
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - name: Broken
      kolla_docker:
        action: stop_container
        name: broken
      when: inventory_hostname == 'second'
    - name: Never
      kolla_docker:
        action: stop_container
        name: cinder_api
"""
SLOW = """
- name: A stop that takes long
  hosts: first
  gather_facts: false
  tasks:
    - name: Stop one
      kolla_docker: {action: stop_container, name: cinder_scheduler}
    - name: Stop another
      kolla_docker: {action: stop_container, name: "{{ item }}"}
      loop: [cinder_api, slow]
"""
INVENTORY = f"""
[all:vars]
ansible_python_interpreter={sys.executable}
[here]
first ansible_connection=local
second ansible_connection=local
[gone]
third ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Playbooks, modules and an inventory, with the callback plugins beside the playbooks."""
    library = tmp_path / "library"
    library.mkdir()
    for name, answers in (("kolla_docker", DOCKER), ("kolla_container", CONTAINER)):
        head, rest = STUB.split("\n", 1)
        (library / f"{name}.py").write_text(f"{head}\nOPTIONS = {OPTIONS!r}\nANSWERS = {answers!r}\n{rest}")
    # The plugin finds the core beside its own folder.
    for folder in ("callback_plugins", "module_utils"):
        (tmp_path / folder).symlink_to(ROOT / "ansible" / folder)
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "slow.yml").write_text(SLOW)
    (tmp_path / "hosts").write_text(INVENTORY)
    (tmp_path / "ansible.cfg").write_text("[defaults]\nretry_files_enabled = false\n")
    (tmp_path / "group_vars").mkdir()
    return tmp_path


def report_is_wanted(world: Path, **more: str) -> None:
    """By variables of the inventory."""
    lines = {"drain_report": f"{world}/out/{{{{ 'of' ~ '-a-run' }}}}.html", **more}
    (world / "group_vars/all.yml").write_text("".join(f'{key}: "{text}"\n' for key, text in lines.items()))


def started(world: Path, *command: str, **environment: str) -> subprocess.Popen[str]:
    program = Path(sys.executable).with_name(command[0])
    settings = {
        "ANSIBLE_CONFIG": str(world / "ansible.cfg"), "ANSIBLE_HOME": str(world / "home"), "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_SSH_RETRIES": "0", "ANSIBLE_LOCALHOST_WARNING": "false", "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    return subprocess.Popen(
        [str(program), "-i", "hosts", *command[1:]], cwd=world, env={**os.environ, **settings, **environment},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=240)
    print(output)
    assert "Traceback" not in output
    assert "callback" not in output.lower(), "Ansible's warning of a plugin that fails"
    return output


def told(world: Path, name: str = "of-a-run") -> dict[str, Any]:
    """The JSON; the page and the metrics have no secret either."""
    for path in (world / "out").iterdir():
        assert SECRET not in path.read_text(), path
    assert (world / "out" / f"{name}.html").read_text().startswith("<!DOCTYPE html>")
    return dict(json.loads((world / "out" / f"{name}.json").read_text()))


def did(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    return sorted((one["host"], one["name"], one["did"]) for one in report["containers"])


def test_a_run_that_fails_half_way_tells_all_it_did(world: Path) -> None:
    report_is_wanted(world, drain_report_metrics=f"{world}/out/kolla_drain.prom")

    junit = {"ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.junit", "JUNIT_OUTPUT_DIR": str(world / "junit")}
    process = started(world, "ansible-playbook", "play.yml", **junit)
    ended(process)

    assert process.returncode != 0
    report = told(world)
    assert did(report) == [
        ("first", "cinder_api", "stopped"),
        ("first", "cinder_scheduler", "stopped"),
        ("first", "cinder_volume", "replaced"),
        ("first", "heat_engine", "replaced"),
        ("second", "cinder_api", "stopped"),
        ("second", "heat_engine", "replaced"),
    ]
    assert report["headline"]["text"] == "1 operation was interrupted."
    assert (
        report["containers"][0]["operations"][0]["advice"]["commands"][1]
        == f"openstack volume delete {CREATED}"
    )
    assert (report["run"]["name"], report["run"]["state"], report["run"]["check"]) == (
        "play.yml",
        "failed",
        False,
    )
    assert report["unheard"] == []
    failures = {(one["host"], one["task"]): one for one in report["failures"]}
    assert failures["second", "Broken"]["text"] == "It cannot be stopped, password=********"
    assert not any(task == "Ignored" for _, task in failures)
    assert 'kolla_drain_operations{outcome="interrupted"} 1' in (world / "out/kolla_drain.prom").read_text()
    assert any((world / "junit").iterdir()), "Ansible's own JUnit plugin"


def test_an_unreachable_host_is_told(world: Path) -> None:
    arguments = ["-m", "kolla_docker", "-a", "action=stop_container name=cinder_scheduler"]
    process = started(
        world, "ansible", "first,third", *arguments, "-e", f"drain_report={world}/out/ad-hoc", "--playbook-dir", ".",
        ANSIBLE_LOAD_CALLBACK_PLUGINS="true", ANSIBLE_STDOUT_CALLBACK="ansible.builtin.minimal",
    )  # fmt: skip
    ended(process)

    report = told(world, "ad-hoc")
    assert did(report) == [("first", "cinder_scheduler", "stopped")]
    assert [(one["host"], one["unreachable"]) for one in report["failures"]] == [("third", True)]
    assert (report["run"]["name"], report["run"]["state"]) == ("ansible", "failed")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_tells_what_it_had_heard(world: Path, how: signal.Signals) -> None:
    report_is_wanted(world)
    process = started(world, "ansible-playbook", "slow.yml")
    path = world / "out/of-a-run.json"
    deadline = time.monotonic() + 120
    while not (path.exists() and len(json.loads(path.read_text())["containers"]) == 2):
        assert process.poll() is None
        assert time.monotonic() < deadline, path.read_text() if path.exists() else "no report"
        time.sleep(0.2)
    process.send_signal(how)
    process.wait(60)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)

    report = told(world)
    assert report["run"]["state"] == ("interrupted" if how is signal.SIGINT else "under_way")
    assert did(report) == [("first", "cinder_api", "stopped"), ("first", "cinder_scheduler", "stopped")]
    assert [(one["host"], one["task"]) for one in report["unheard"]] == [("first", "Stop another")]


def test_a_dry_run_says_that_nothing_was_touched(world: Path) -> None:
    arguments = ["-m", "kolla_docker", "-a", "action=stop_container name=cinder_volume", "--check"]
    process = started(
        world, "ansible", "first", *arguments, "--playbook-dir", ".", "-e", "drain_report=out/dry",
        ANSIBLE_LOAD_CALLBACK_PLUGINS="true",
        ANSIBLE_CALLBACK_PLUGINS=str(ROOT / "ansible/callback_plugins"),
    )  # fmt: skip
    ended(process)

    report = told(world, "dry")
    assert report["headline"]["text"] == "Nothing was touched: this was a dry run."
    assert did(report) == [("first", "cinder_volume", "seen")]


def test_a_path_that_is_none_is_said_and_stops_nothing(world: Path) -> None:
    arguments = ["-m", "kolla_docker", "-a", "action=stop_container name=cinder_scheduler"]
    given = {"drain_report": str(world / "hosts" / "report"), "drain_report_metrics": "metrics.txt"}
    process = started(
        world, "ansible", "first", *arguments, "--playbook-dir", ".", "-e", json.dumps(given),
        ANSIBLE_LOAD_CALLBACK_PLUGINS="true",
        ANSIBLE_CALLBACK_PLUGINS=str(ROOT / "ansible/callback_plugins"),
    )  # fmt: skip
    output = " ".join(ended(process).split())

    assert process.returncode == 0
    assert output.count("cannot be written (File exists); the run goes on without it.") == 1
    assert "node_exporter reads only files whose names end in .prom" in output
    assert "CHANGED" in output


def test_without_the_variable_nothing_is_written(world: Path) -> None:
    arguments = ["-m", "kolla_docker", "-a", "action=stop_container name=cinder_scheduler"]
    before = sorted(world.rglob("*.html"))
    ended(
        started(
            world, "ansible", "first", *arguments, "--playbook-dir", ".", ANSIBLE_LOAD_CALLBACK_PLUGINS="true"
        )
    )

    assert sorted(world.rglob("*.html")) == before
