"""The module as Ansible ships it: packed with what it imports, sent and run, by the project's own ansible.cfg."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import engines
from tests.support.checks import signalled_once, untouched, wait_for_runs
from tests.support.module_run import MODULE, ROOT
from tests.support.workloads import UNTIL_TOLD, Workloads


@pytest.fixture
def ad_hoc() -> Any:
    """``ad_hoc("action=… name=…", *flags)`` returns the module's result."""
    if not MODULE.exists():
        pytest.skip("there is no library/kolla_docker.py yet")

    def run(args: str, *flags: str) -> dict[str, Any]:
        python = {"ansible_python_interpreter": sys.executable, "ansible_connection": "local"}
        command = [sys.executable, "-m", "ansible", "adhoc", "localhost", "-m", "kolla_docker"]
        done = subprocess.run(
            [*command, "-a", f"{args} container_engine={engines.name()}", "-e", json.dumps(python), *flags],
            cwd=ROOT,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
                "ANSIBLE_FORCE_COLOR": "0",
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_LOCAL_TEMP": str(Path(os.environ.get("TMPDIR", "/tmp")) / "ansible-local"),
                "ANSIBLE_ASYNC_DIR": str(Path(os.environ.get("TMPDIR", "/tmp")) / "ansible-async"),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        _, arrow, answer = done.stdout.partition(" => ")
        assert arrow, done.stdout + done.stderr
        result: dict[str, Any] = json.loads(answer)
        result["failed"] = done.returncode != 0  # the answer that it prints leaves this out
        return result

    return run


def test_stop(ad_hoc: Any, workloads: Workloads) -> None:
    workload = workloads.start("--drain", "1")
    result = ad_hoc(f"action=stop_container name={workload.name} graceful_shutdown_timeout=60")
    assert (result["verdict"], result["exit_code"]) == ("unverified", 0)
    assert not result["failed"]
    signalled_once(workload)


def test_check_mode_with_evidence(ad_hoc: Any, workloads: Workloads, tmp_path: Path) -> None:
    """All that evidence needs is packed as well."""
    config = tmp_path / "cinder.conf"
    config.write_text(
        "[DEFAULT]\nhost = one\n[database]\nconnection = mysql+pymysql://u:p@127.0.0.1:1/cinder\n"
    )
    workload = workloads.start()
    with untouched(workload):
        result = ad_hoc(
            f"action=stop_container name={workload.name} service=cinder-volume service_config={config}",
            "--check",
        )
    assert result["evidence"] == "unavailable"
    assert "127.0.0.1:1" in result["evidence_why"]


def test_a_list_of_names_with_one_that_is_absent(ad_hoc: Any, workloads: Workloads) -> None:
    workload = workloads.start()
    result = ad_hoc(f"action=stop_container name={workload.name},kd_test_nobody")
    assert result["failed"]
    assert "kd_test_nobody" in result["msg"]
    signalled_once(workload)


@pytest.mark.timeout(900)
def test_ansibles_own_time_out(ad_hoc: Any, start_module: Any, workloads: Workloads) -> None:
    """A task's ``timeout`` leaves the run on the host to itself, that of ``async`` kills it; the next one joins."""
    workload = workloads.start(*UNTIL_TOLD)
    stop = f"action=stop_container name={workload.name} graceful_shutdown_timeout=600"
    # Both are time enough on a busy machine for the run to begin.
    timed_out = ad_hoc(stop, "--task-timeout", "20")
    assert timed_out["failed"]
    assert "verdict" not in timed_out
    wait_for_runs(workload, 1)
    assert not ad_hoc(stop, "--background", "20", "--poll", "0")["failed"]
    wait_for_runs(workload, 2)
    wait_for_runs(workload, 1)  # the second is killed
    run = start_module({"action": "stop_container", "name": workload.name, "graceful_shutdown_timeout": 600})
    wait_for_runs(workload, 2)
    workload.end()
    result = run.result()
    assert (result["verdict"], result["exit_code"], result["joined"]) == ("unverified", 0, True)
    signalled_once(workload)
