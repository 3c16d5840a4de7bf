"""reload_container on a real engine: only what handles the signal gets it, and it serves on afterwards."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from testbed.mariadb import MariaDB
from testbed.waiting import wait_until
from tests.support import engines
from tests.support.checks import is_sentence, untouched
from tests.support.workloads import Workload, Workloads, cinder_arguments

RELOAD = "reload_container"


def args(workload: Workload, **options: Any) -> dict[str, Any]:
    return {"action": RELOAD, "name": workload.name, **options}


def deaf(workloads: Workloads) -> Workload:
    """One that handles no signal. Until its program runs, it has the handlers of its init."""
    workload = workloads.start(command=("sleep", "600"))
    wait_until(lambda: workload.child == "sleep", 180, "sleep under dumb-init", on_timeout=workload.report)
    return workload


def test_one_that_handles_it(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start()
    started = workload.state["StartedAt"]
    result = run_module(args(workload))
    assert (result["changed"], result["reloaded"], result["restarted"]) == (True, True, False), result
    assert result["signal"] == "SIGHUP"
    workload.wait_line("signal SIGHUP")
    assert workload.received == ["SIGHUP"]
    assert workload.sent == [], "the engine would take it for a stop"
    assert workload.state["StartedAt"] == started


def test_it_is_started_again_after_a_crash_all_the_same(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start(restart="always")
    started = workload.state["StartedAt"]
    result = run_module(args(workload))
    assert result["reloaded"], result
    os.kill(workload.state["Pid"], signal.SIGKILL)
    wait_until(
        lambda: workload.status == "running" and workload.state["StartedAt"] != started, 180, "its next life"
    )


def test_one_that_would_die_of_it(run_module: Any, workloads: Workloads) -> None:
    workload = deaf(workloads)
    with untouched(workload):
        result = run_module(args(workload))
    assert result["failed"]
    is_sentence(result["msg"])
    for words in (workload.name, "no handler for SIGHUP", "reload_fallback=restart"):
        assert words in result["msg"]


def test_one_that_would_die_of_it_is_restarted_if_asked(run_module: Any, workloads: Workloads) -> None:
    script = "trap 'exit 0' TERM; touch /record/events; while :; do sleep 0.1; done"
    workload = workloads.start(command=("bash", "-c", script))
    wait_until((workload.folder / "events").exists, 180, "its trap")
    started = workload.state["StartedAt"]
    result = run_module(args(workload, reload_fallback="restart"))
    assert (result["changed"], result["reloaded"], result["restarted"]) == (True, False, True), result
    assert "no handler for SIGHUP" in result["reason"] or "PID" in result["reason"]
    assert workload.sent == ["SIGTERM"]
    assert workload.state["StartedAt"] != started
    assert workload.status == "running"


def test_an_init_that_would_tell_its_workers_too(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start(under=("dumb-init", "--"))
    with untouched(workload):
        result = run_module(args(workload))
    assert result["failed"]
    assert "whole process group" in result["msg"]


def test_one_that_ends_at_it(run_module: Any, workloads: Workloads) -> None:
    # At once: a shell would do so when the command that it waits for has ended.
    handler = "signal.signal(signal.SIGHUP, lambda *_: os._exit(9)); open('/record/ready', 'w').close()"
    script = f"import os, signal; {handler}; [signal.pause() for _ in iter(int, 1)]"
    workload = workloads.start(command=("python3", "-c", script))
    wait_until((workload.folder / "ready").exists, 180, "its trap")
    result = run_module(args(workload))
    assert result["failed"]
    assert not result["reloaded"]
    is_sentence(result["msg"])
    for words in ("exit code 9", f"{engines.name()} logs {workload.name}"):
        assert words in result["msg"]


def test_one_that_does_not_run(run_module: Any, workloads: Workloads) -> None:
    stopped, frozen = workloads.create(), workloads.start()
    frozen.pause()
    result = run_module({"action": RELOAD, "name": [stopped.name, frozen.name]})
    assert result["failed"]
    assert f"{stopped.name} was not reloaded: it is created" in result["msg"]
    assert f"{frozen.name} was not reloaded: it is paused" in result["msg"]
    assert frozen.sent == []


def test_what_is_missing(run_module: Any) -> None:
    failed = run_module({"action": RELOAD, "name": "kd_test_nobody"})
    assert failed["failed"]
    is_sentence(failed["msg"])
    ignored = run_module({"action": RELOAD, "name": "kd_test_nobody", "ignore_missing": True})
    assert (ignored["verdict"], ignored["changed"]) == ("absent", False)


def test_several_side_by_side_and_one_that_fails(run_module: Any, workloads: Workloads) -> None:
    first, middle, second = workloads.start(), deaf(workloads), workloads.start()
    result = run_module({"action": RELOAD, "name": [first.name, middle.name, second.name]})
    assert result["failed"]
    assert [one["reloaded"] for one in result["containers"]] == [True, False, True]
    assert middle.sent == []


def test_one_that_is_being_stopped(run_module: Any, workloads: Workloads) -> None:
    workload = workloads.start("--drain", "600")
    workload.stop_by_another()
    result = run_module(args(workload))
    assert result["failed"]
    assert "it is being stopped" in result["msg"]
    assert workload.sent == ["SIGTERM"]


@pytest.mark.parametrize("fallback", ["fail", "restart"])
def test_check_mode(run_module: Any, workloads: Workloads, fallback: str) -> None:
    handles, dies = workloads.start(), deaf(workloads)
    with untouched(handles, dies):
        good = run_module(args(handles), check=True, diff=True)
        bad = run_module(args(dies, reload_fallback=fallback), check=True)
    assert (good["changed"], good["would"]) == (True, "reload")
    assert good["diff"][0]["after"] == "reloaded with SIGHUP\n"
    assert bool(bad.get("failed")) == (fallback == "fail")
    assert bad["would"] == ("restart" if fallback == "restart" else "reload")


# --- with evidence


class Rows:
    """A service that keeps Cinder's rows."""

    def __init__(self, workloads: Workloads, database: MariaDB, host: str, folder: Path) -> None:
        self._workloads, self._database, self._host = workloads, database, host
        self._config = folder / "cinder.conf"

    def start(self, *operations: str, **options: Any) -> tuple[Workload, dict[str, Any]]:
        """The workload, and the module's arguments for it."""
        root = {"host": "127.0.0.1", "port": self._database.port, "user": "root", "database": "cinder"}
        root["password"] = self._database.root_password
        self._config.write_text(
            f"[DEFAULT]\nhost = {self._host}\nenabled_backends = one\nreport_interval = 1\n[one]\n[database]\n"
            f"connection = mysql+pymysql://root:{root['password']}@127.0.0.1:{root['port']}/cinder\n"
        )
        workload = self._workloads.start(*cinder_arguments(root, f"{self._host}@one", *operations), **options)
        evidence = {"service": "cinder-volume", "service_config": [str(self._config)], "poll_interval": 0.5}
        return workload, args(workload, **evidence)


@pytest.fixture
def rows(workloads: Workloads, cinder_database: MariaDB, cinder_host: str, tmp_path: Path) -> Rows:
    return Rows(workloads, cinder_database, cinder_host, tmp_path)


ON_THREADS = {"environment": {"OS_CINDER_DISABLE_EVENTLET_PATCHING": "1"}}


def test_the_heartbeat_moves_afterwards(rows: Rows, run_module: Any) -> None:
    workload, asked = rows.start("volume_create:600")
    result = run_module(asked)
    assert (result["reloaded"], result["ready_by"]) == (True, "its heartbeat moves"), result
    assert [op["kind"] for op in result["operations"]] == ["volume_create"], (
        "work goes on over it, and is told"
    )
    workload.wait_line("signal SIGHUP")
    assert workload.received == ["SIGHUP"]


def test_where_it_drops_work_it_waits_for_that(rows: Rows, run_module: Any) -> None:
    """Cinder on native threads."""
    workload, asked = rows.start("volume_create:5", **ON_THREADS)
    result = run_module(asked)
    assert result["reloaded"], result
    workload.wait_line("signal SIGHUP")
    lines = [line.split()[0] for line in workload.lines]
    assert lines.index("done") < lines.index("signal"), workload.lines


def test_where_it_drops_work_that_does_not_end_it_is_not_sent(rows: Rows, run_module: Any) -> None:
    workload, asked = rows.start("volume_create:600", **ON_THREADS)
    with untouched(workload):
        result = run_module({**asked, "graceful_shutdown_timeout": 8})
    assert result["failed"]
    is_sentence(result["msg"])
    for words in ("drops what they work on", "volume_create", "graceful_shutdown_timeout"):
        assert words in result["msg"]


def test_where_it_drops_work_that_cannot_be_read_it_is_not_sent(
    rows: Rows, run_module: Any, tmp_path: Path
) -> None:
    workload, asked = rows.start(**ON_THREADS)
    wrong = tmp_path / "wrong.conf"
    wrong.write_text(
        "[DEFAULT]\nhost = one\n[database]\nconnection = mysql+pymysql://u:p4ss@127.0.0.1:1/cinder\n"
    )
    with untouched(workload):
        result = run_module({**asked, "service_config": [str(wrong)], "graceful_shutdown_timeout": 3})
    assert result["failed"]
    is_sentence(result["msg"])
    assert "could not be read" in result["msg"]
    assert "p4ss" not in str(result)
