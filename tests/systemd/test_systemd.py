"""Containers that systemd units own, in kolla-ansible's form and in ours, on a real systemd."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from testbed import kolla_unit
from testbed.waiting import wait_until
from tests.support.managed_host import (
    ETC,
    FOLDER,
    PATIENCE,
    ManagedHost,
    life,
    still,
)

NAME = "svc"
UNIT = kolla_unit.name_of(NAME)
# A behaviour: its drain lasts until ``let_end`` is called, however long a look at the host takes.
UNTIL_TOLD = ("--end", "/record/end")


def let_end(host: ManagedHost) -> None:
    host.sh(f"touch {FOLDER}/{NAME}/end")


def start_ready(host: ManagedHost, **options: Any) -> dict[str, Any]:
    """Have the module start it, and wait until it handles signals: running it may not do so yet."""
    result = host.run("start_container", NAME, **options)
    host.wait_line(NAME, "ready")
    return result


# --- a stop


def test_a_stop_drains_and_the_unit_neither_restarts_nor_cuts_it(host: ManagedHost) -> None:
    # Its unit would cut a stop after 2 s and start it again after one.
    host.under_unit(NAME, "--drain", "6", *UNTIL_TOLD, "--exit-code", "3", grace=60)
    host.put(f"{ETC}/{UNIT}.d/limit.conf", "[Service]\nTimeoutStopSec=2\n")
    run = host.module("stop_container", NAME, graceful_shutdown_timeout=300)
    host.wait_line(NAME, "signal")
    assert host.held(NAME)
    let_end(host)
    result = run.result(PATIENCE)
    assert result["verdict"] == "unverified", result
    assert result["exit_code"] == 3
    assert result["drained"] >= 4, "from when the engine's answer to the signal came"
    assert host.signals(NAME) == ["SIGTERM"]
    assert result["unit"]["before"] == "active"
    assert (result["unit"]["state"], result["unit"]["enabled"]) == ("inactive", "enabled")
    assert [note["code"] for note in result["notes"]] == ["outer_limit_below"]
    host.wait_nothing_left()
    still(4, {"status": lambda: host.state(NAME)["Status"], "unit": lambda: host.active(NAME)})
    assert host.state(NAME)["Status"] == "exited"
    unit = host.unit(NAME)
    assert (unit["ActiveState"], unit["Restart"], unit["UnitFileState"]) == ("inactive", "always", "enabled")
    again = host.run("stop_container", NAME)
    assert (again["changed"], again["verdict"], again["unit"]["state"]) == (
        False,
        "already_stopped",
        "inactive",
    )


def test_another_signal_than_sigterm_keeps_the_unit_at_rest(host: ManagedHost) -> None:
    """As HAProxy's: neither engine nor unit takes the exit for a failure."""
    host.under_unit(NAME, "--stop-on", "SIGUSR1", "--exit-code", "1")
    result = host.run("stop_container", NAME, stop_signal="SIGUSR1")
    assert (result["verdict"], result["unit"]["state"]) == ("unverified", "inactive"), result
    still(4, {"status": lambda: host.state(NAME)["Status"], "unit": lambda: host.active(NAME)})
    assert (host.state(NAME)["Status"], host.signals(NAME)) == ("exited", ["SIGUSR1"])


# The journal gets what systemd says a while later, on a busy machine.
SYNCED = "journalctl --sync 2>/dev/null; journalctl --no-pager"
RELOADED = f"{SYNCED} | grep -c 'systemd.*: Reloading\\.' || true"


def test_many_are_stopped_side_by_side(host: ManagedHost) -> None:
    names = [f"svc{number}" for number in range(3)]
    for number, name in enumerate(names):
        host.under_unit(name, "--drain", str(number))
    before = int(host.sh(RELOADED))
    result = host.run("stop_container", names)
    after = int(host.sh(RELOADED))
    assert [one["verdict"] for one in result["containers"]] == ["unverified"] * 3
    assert [host.active(name) for name in names] == ["inactive"] * 3
    assert after - before == 2
    host.wait_nothing_left()


@pytest.mark.parametrize("graceful", [True, False], ids=["deadline", "plain"])
def test_a_kill_at_the_deadline_is_no_failure_of_the_unit(host: ManagedHost, graceful: bool) -> None:
    host.under_unit(NAME, "--drain", "1000")
    result = host.run("stop_container", NAME, graceful_shutdown_timeout=2, graceful_shutdown=graceful)
    assert result["verdict"] == "killed"
    assert (host.active(NAME), host.state(NAME)["ExitCode"]) == ("inactive", 137)
    host.wait_nothing_left()


def test_one_that_is_left_running_keeps_its_unit(host: ManagedHost) -> None:
    host.under_unit(NAME, "--drain", "1000")
    began = life(host, NAME)
    result = host.run("stop_container", NAME, graceful_shutdown_timeout=2, on_timeout="leave")
    assert (result["failed"], result["verdict"]) == (True, "left_running")
    unit = host.unit(NAME)
    assert (unit["ActiveState"], unit["Restart"]) == ("active", "always")
    assert life(host, NAME) == began
    host.wait_nothing_left()


def test_of_two_runs_side_by_side_the_one_that_lives_holds_it_to_the_end(host: ManagedHost) -> None:
    host.under_unit(NAME, "--drain", "1000")
    host.module("stop_container", NAME, graceful_shutdown_timeout=1000)
    host.wait_line(NAME, "signal")
    second = host.module("stop_container", NAME)
    host.wait_holders(NAME, 2)
    host.kill_runs("-o")
    host.wait_holders(NAME, 1)
    assert host.held(NAME)
    host.sh(f"{host.command} kill {NAME}")  # the end of its work, at a moment of ours
    result = second.result(PATIENCE)
    assert (result["joined"], result["exit_code"]) == (True, 137)
    assert host.signals(NAME) == ["SIGTERM"]
    assert host.active(NAME) == "inactive"
    host.wait_nothing_left()


def test_systemctl_stop_in_the_middle_of_a_drain_waits_for_it(host: ManagedHost) -> None:
    host.under_unit(NAME, "--drain", "1000", grace=1)
    host.put(f"{ETC}/{UNIT}.d/limit.conf", "[Service]\nTimeoutStopSec=2\n")
    run = host.module("stop_container", NAME, graceful_shutdown_timeout=1000)
    host.wait_line(NAME, "signal")
    host.sh(f"systemctl stop --no-block {UNIT}")
    host.wait_unit(NAME, "deactivating")
    still(
        5,
        {
            "status": lambda: host.state(NAME)["Status"],
            "signals": lambda: host.signals(NAME),
            "unit": lambda: host.active(NAME),
        },
    )
    assert host.signals(NAME) == ["SIGTERM"]
    host.sh(f"{host.command} kill {NAME}")
    assert run.result(PATIENCE)["exit_code"] == 137
    host.wait_nothing_left()
    assert host.active(NAME) == "inactive"


def test_a_container_that_its_unit_is_about_to_start_again_is_stopped(host: ManagedHost) -> None:
    host.under_unit(NAME, "--exit-after", "1", pause=1000)
    host.wait_unit(NAME, "activating")
    result = host.run("stop_container", NAME)
    assert (result["verdict"], result["changed"]) == ("already_stopped", True)
    assert result["unit"]["before"] == "activating"
    assert host.active(NAME) == "inactive"
    host.wait_nothing_left()


# --- killed runs

MOMENTS = {
    "held": lambda host: host.wait_held(NAME),
    "signalled": lambda host: host.wait_line(NAME, "signal"),
    "exited": lambda host: (
        host.wait_line(NAME, "signal"),
        let_end(host),
        host.wait_line(NAME, "exit"),
    ),
    "watcher too": lambda host: (
        host.wait_line(NAME, "signal"),
        host.sh("pkill -9 -f '[m] kolla_drain.systemd.watcher'"),
    ),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_leaves_nothing(host: ManagedHost, moment: str) -> None:
    host.under_unit(NAME, *UNTIL_TOLD)
    host.module("stop_container", NAME)
    MOMENTS[moment](host)
    host.kill_runs()
    let_end(host)
    if moment == "watcher too":  # then it is the next run's
        host.run("stop_container", "none", ignore_missing=True)
    host.wait_nothing_left()
    assert host.unit(NAME)["Restart"] == "always"
    # Its unit may start it again, and dumb-init loses a signal that comes before its child runs the service.
    host.wait_settled(NAME)
    result = host.run("stop_container", NAME)
    assert result["verdict"] in ("unverified", "already_stopped"), result
    assert (host.active(NAME), host.state(NAME)["Status"]) == ("inactive", "exited")
    assert [len(one) for one in host.signals_by_life(NAME) if len(one) > 1] == []
    assert host.signals_by_life(NAME)[0] == ["SIGTERM"]
    host.wait_nothing_left()


@pytest.mark.parametrize("milliseconds", [400, 800, 1300])
def test_a_run_killed_at_any_time_leaves_nothing(host: ManagedHost, milliseconds: int) -> None:
    host.under_unit(NAME)
    host.module("stop_container", NAME)
    time.sleep(milliseconds / 1000)
    host.kill_runs()
    host.wait_nothing_left()
    # A unit runs its ExecStop as well when its container ended by itself.
    wait_until(
        lambda: host.active(NAME) in ("active", "activating", "inactive"),
        PATIENCE,
        f"the end of what the unit of {NAME} does",
        on_timeout=host.report,
    )
    assert host.unit(NAME)["Restart"] == "always"
    assert [len(one) for one in host.signals_by_life(NAME) if len(one) > 1] == []


# --- started again


def test_restarted_through_its_unit(host: ManagedHost) -> None:
    host.under_unit(NAME, "--drain", "2")
    before = life(host, NAME)
    result = host.run("restart_container", NAME)
    assert result["unit"]["state"] == "active"
    assert life(host, NAME)[0] == before[0]
    assert life(host, NAME) != before
    assert host.signals(NAME) == ["SIGTERM"]
    assert "gap" in result
    host.wait_nothing_left()
    now = life(host, NAME)
    still(3, {"life": lambda: life(host, NAME), "unit": lambda: host.active(NAME)})
    assert life(host, NAME) == now


def test_started_through_its_unit(host: ManagedHost) -> None:
    host.under_unit(NAME)
    host.run("stop_container", NAME)
    planned = host.run("start_container", NAME, check=True)
    assert planned["changed"]
    result = host.run("start_container", NAME)
    assert (result["changed"], result["unit"]["state"]) == (True, "active")
    assert not host.run("start_container", NAME)["changed"]


def test_one_that_ends_at_once_is_said(host: ManagedHost) -> None:
    # A shell: Python may take longer to begin than a process is looked at.
    host.sh(f"{host.command} create --name={NAME} --network=host --entrypoint=sh {host.image} -c 'exit 7'")
    host.write_unit(NAME, pause=1000)
    result = host.run("start_container", NAME)
    assert result["failed"]
    assert "ended at once with exit code 7" in result["msg"]
    host.run("stop_container", NAME)
    assert host.active(NAME) == "inactive"


def test_one_that_runs_beside_its_unit_comes_under_it(host: ManagedHost) -> None:
    host.create(NAME)
    host.write_unit(NAME)
    host.sh(f"{host.command} start {NAME}")
    before = life(host, NAME)
    result = host.run("start_container", NAME)
    assert (result["changed"], result["unit"]["state"]) == (True, "active")
    assert life(host, NAME) == before
    assert not host.run("start_container", NAME)["changed"]


# --- units that we write


def test_a_container_gets_a_unit_that_drains_at_systemctl_stop(host: ManagedHost) -> None:
    wanted = host.spec(NAME, "--drain", "4", graceful_shutdown_timeout=40)
    planned = host.run("start_container", NAME, check=True, diff=True, **wanted)
    assert planned["changed"]
    assert "TimeoutStopSec=70" in json.dumps(planned["diff"])
    assert host.read(f"{ETC}/{UNIT}") == ""
    result = start_ready(host, **wanted)
    assert result["changed"], result
    unit = host.unit(NAME)
    assert (unit["ActiveState"], unit["UnitFileState"]) == ("active", "enabled")
    assert unit["TimeoutStopUSec"] == "1min 10s"
    assert host.inspect(NAME)["HostConfig"]["RestartPolicy"]["Name"] in ("no", "")
    assert not host.run("start_container", NAME, **wanted)["changed"]
    assert not host.run("compare_container", NAME, **wanted)["changed"]
    host.sh(f"systemctl stop {UNIT}")
    assert host.signals(NAME) == ["SIGTERM"]
    assert "exit 0" in host.lines(NAME)
    assert host.active(NAME) == "inactive"


def test_another_time_out_restarts_nothing(host: ManagedHost) -> None:
    host.run("start_container", NAME, **host.spec(NAME, graceful_shutdown_timeout=40))
    before = life(host, NAME)
    client = host.sh(f"systemctl show -p MainPID {UNIT}")
    longer = host.spec(NAME, graceful_shutdown_timeout=600)
    compared = host.run("compare_container", NAME, **longer)
    assert (compared["changed"], compared["unit_written"], compared["differences"]) == (True, True, [])
    result = host.run("start_container", NAME, **longer)
    assert (result["changed"], result["unit_written"]) == (True, True)
    assert host.unit(NAME)["TimeoutStopUSec"] == "10min 30s"
    assert life(host, NAME) == before
    assert host.sh(f"systemctl show -p MainPID {UNIT}") == client
    assert not host.run("start_container", NAME, **longer)["changed"]


def test_a_disabled_unit_stays_so(host: ManagedHost) -> None:
    start_ready(host, **host.spec(NAME))
    host.sh(f"systemctl disable -q {UNIT}")
    result = host.run("start_container", NAME, **host.spec(NAME, graceful_shutdown_timeout=600))
    assert result["unit"]["enabled"] == "disabled"
    result = host.run("restart_container", NAME)
    assert (result["unit"]["state"], result["unit"]["enabled"]) == ("active", "disabled")


@pytest.mark.parametrize("makes", ["kolla-ansible", "kolla-drain"])
def test_recreated_under_its_unit(host: ManagedHost, makes: str) -> None:
    if makes == "kolla-ansible":
        host.under_unit(NAME, "--drain", "1", grace=2)
    else:
        start_ready(host, **host.spec(NAME, "--drain", "1"))
    before = life(host, NAME)
    wanted = host.spec(NAME, "--drain", "5", graceful_shutdown_timeout=70)
    result = host.run("recreate_or_restart_container", NAME, **wanted)
    assert (result["changed"], result["rolled_back"]) == (True, False), result
    assert result["unit"]["state"] == "active"
    assert life(host, NAME)[0] != before[0]
    assert not host.exists(f"{NAME}.old")
    assert host.unit(NAME)["NRestarts"] == "0"
    assert host.unit(NAME)["TimeoutStopUSec"] == "1min 40s"
    host.wait_nothing_left()
    now = life(host, NAME)
    still(3, {"life": lambda: life(host, NAME)})
    assert life(host, NAME) == now
    if makes == "kolla-ansible":
        assert host.read(f"{ETC}/{UNIT}") == kolla_unit.text(NAME, grace=2, pause=1, engine=host.command)
        host.wait_line(NAME, "ready", count=2)
        host.sh(f"systemctl stop {UNIT}")  # by its file alone the engine would kill after 2 s
        assert host.lines(NAME)[-2:] == ["signal SIGTERM", "exit 0"]
        assert host.active(NAME) == "inactive"


def test_a_successor_that_fails_is_taken_back(host: ManagedHost) -> None:
    start_ready(host, **host.spec(NAME))
    before = life(host, NAME)
    broken = {**host.spec(NAME), "command": ["sh", "-c", "exit 9"]}
    result = host.run("recreate_or_restart_container", NAME, **broken)
    assert (result["failed"], result["rolled_back"]) == (True, True), result
    assert host.inspect(NAME)["Id"] == before[0]
    assert (host.active(NAME), result["unit"]["state"]) == ("active", "active")
    assert host.state(NAME)["Status"] == "running"
    host.wait_nothing_left()


FAILED_TO_START = f"{SYNCED} -t systemd | grep -c 'Failed to schedule restart job' || true"


@pytest.mark.parametrize("action", ["stop_and_remove_container", "remove_container"])
def test_removed_with_its_unit(host: ManagedHost, action: str) -> None:
    if action == "remove_container":  # which is one that its unit is about to start again
        host.under_unit(NAME, "--exit-after", "1", pause=1000)
        host.wait_unit(NAME, "activating")
    else:
        start_ready(host, **host.spec(NAME))
    said = int(host.sh(FAILED_TO_START))
    result = host.run(action, NAME)
    assert result["unit"]["removed"]
    assert int(host.sh(FAILED_TO_START)) == said, "systemd tried it again, without its file"
    assert not host.exists(NAME)
    assert host.read(f"{ETC}/{UNIT}") == ""
    assert (host.unit(NAME)["LoadState"], host.active(NAME)) == ("not-found", "inactive")
    assert host.tries(f"ls {ETC}/multi-user.target.wants/{UNIT} 2>/dev/null") == ""
    host.wait_nothing_left()
    assert not host.run(action, NAME)["changed"]


def test_oneshot_has_no_unit(host: ManagedHost) -> None:
    start_ready(host, **host.spec(NAME))
    before = life(host, NAME)
    wanted = host.spec(NAME, restart_policy="oneshot")
    assert host.run("start_container", NAME, check=True, **wanted)["unit"]["removed"]
    result = host.run("start_container", NAME, **wanted)
    assert (result["changed"], result["unit"]["removed"]) == (True, True)
    assert host.read(f"{ETC}/{UNIT}") == ""
    assert host.unit(NAME)["LoadState"] == "not-found"
    assert (life(host, NAME), host.state(NAME)["Status"]) == (before, "running")
    assert not host.run("start_container", NAME, **wanted)["changed"]
    assert host.run("restart_container", NAME)["changed"]
    host.wait_line(NAME, "ready", count=2)
    result = host.run("stop_container", NAME)
    assert "unit" not in result
    assert host.signals_by_life(NAME) == [["SIGTERM"], ["SIGTERM"]]
    host.wait_nothing_left()


STAYS_ACTIVE = """\
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/{engine} start {name}
ExecStop=/usr/bin/{engine} stop -t 1 {name}
ExecStopPost=/usr/bin/{engine} stop -t 1 {name}
"""


def test_a_unit_that_stays_active_without_a_process(host: ManagedHost) -> None:
    host.create(NAME, *UNTIL_TOLD)
    text = STAYS_ACTIVE.format(engine=host.command, name=NAME)
    host.put(f"{ETC}/{UNIT}", text, then=f"systemctl start {UNIT}")
    host.wait_line(NAME, "ready")
    run = host.module("restart_container", NAME)
    host.wait_line(NAME, "signal")
    host.sh(f"systemctl stop --no-block {UNIT}")  # held, it stops nothing, neither before nor after its end
    let_end(host)
    result = run.result(PATIENCE)
    assert (result["exit_code"], result["unit"]["state"]) == (0, "active"), result
    assert any("ExecStopPost" in text for text in result["warnings"])
    host.wait_line(NAME, "ready", count=2)
    host.sh(f"{host.command} kill {NAME}")  # it ends by itself, which its unit does not see
    assert host.unit(NAME)["SubState"] == "exited"
    result = host.run("start_container", NAME)
    assert (result["changed"], result["unit"]["state"]) == (True, "active"), result
    host.wait_line(NAME, "ready", count=3)
    result = host.run("stop_container", NAME)
    assert (result["exit_code"], result["unit"]["state"]) == (0, "inactive")
    assert host.signals_by_life(NAME) == [["SIGTERM"], [], ["SIGTERM"]]
    host.wait_nothing_left()


def test_a_unit_that_was_changed_by_hand_is_left_and_said(host: ManagedHost) -> None:
    start_ready(host, **host.spec(NAME))
    host.sh(f"sed -i s/RestartSec=.*/RestartSec=3/ {ETC}/{UNIT}; systemctl daemon-reload")
    mine = host.read(f"{ETC}/{UNIT}")
    host.put(f"{ETC}/{UNIT}.d/mine.conf", "[Service]\nRestartForceExitStatus=0 143\nNice=1\n")
    result = host.run("start_container", NAME, **host.spec(NAME, graceful_shutdown_timeout=600))
    assert not result["changed"]
    assert any("by hand" in text for text in result["warnings"])
    assert host.read(f"{ETC}/{UNIT}") == mine
    # Its own rule to start it again, whatever Restart says, does not count while it is held.
    result = host.run("stop_container", NAME)
    assert result["unit"]["drop_ins"] == [f"{ETC}/{UNIT}.d/mine.conf"]
    still(5, {"status": lambda: host.state(NAME)["Status"]})
    assert host.active(NAME) == "inactive"


def test_a_drop_in_that_would_undo_the_hold_is_named_and_nothing_touched(host: ManagedHost) -> None:
    host.under_unit(NAME)
    host.put(f"{ETC}/{UNIT}.d/zzzzz.conf", "[Service]\nRestartForceExitStatus=0 143\n")
    before = life(host, NAME)
    result = host.run("stop_container", NAME)
    assert result["failed"]
    assert "zzzzz.conf" in result["msg"]
    assert life(host, NAME) == before
    assert host.signals(NAME) == []
    host.wait_nothing_left()


# --- one without the other


def test_a_unit_without_its_container(host: ManagedHost) -> None:
    host.write_unit(NAME, pause=1000)
    host.sh(f"systemctl enable -q {UNIT}; systemctl start {UNIT}")
    host.wait_unit(NAME, "activating")
    missing = host.run("stop_container", NAME)
    assert missing["failed"]
    assert "no container svc" in missing["msg"]
    result = host.run("stop_container", NAME, ignore_missing=True)
    assert result["verdict"] == "absent"
    assert host.active(NAME) == "inactive"
    removed = host.run("stop_and_remove_container", NAME)
    assert (removed["changed"], removed["unit"]["removed"]) == (True, True)
    assert host.unit(NAME)["LoadState"] == "not-found"
    host.wait_nothing_left()


@pytest.mark.parametrize("reloaded", [True, False], ids=["reloaded", "not reloaded"])
def test_a_container_whose_unit_is_gone(host: ManagedHost, reloaded: bool) -> None:
    host.under_unit(NAME, "--drain", "2", "--exit-code", "5")
    host.sh(
        f"systemctl disable -q {UNIT}; rm {ETC}/{UNIT}" + ("; systemctl daemon-reload" if reloaded else "")
    )
    result = host.run("stop_container", NAME)
    assert result["exit_code"] == 5
    still(3, {"status": lambda: host.state(NAME)["Status"]})
    host.wait_nothing_left()
    result = host.run("start_container", NAME)
    assert result["changed"], result
    assert host.state(NAME)["Status"] == "running"


def test_a_masked_unit_forbids_a_start(host: ManagedHost) -> None:
    start_ready(host, **host.spec(NAME))
    host.sh(f"mv {ETC}/{UNIT} {FOLDER}/unit; systemctl mask -q {UNIT}")
    before = life(host, NAME)
    for action in ("restart_container", "recreate_or_restart_container"):
        wanted = host.spec(NAME) if action.startswith("recreate") else {}
        result = host.run(action, NAME, **wanted)
        assert result["failed"]
        assert f"systemctl unmask {UNIT}" in result["msg"], result
    assert life(host, NAME) == before
    stopped = host.run("stop_container", NAME)
    assert stopped["verdict"] == "unverified"
    result = host.run("start_container", NAME)
    assert result["failed"]
    assert "masked" in result["msg"]
    assert host.state(NAME)["Status"] == "exited"
    host.wait_nothing_left()


def test_a_unit_that_has_failed_is_started(host: ManagedHost) -> None:
    host.create(NAME)
    host.write_unit(NAME, pause=1)
    host.sh(f"mkdir {FOLDER}/away; {host.command} rename {NAME} away; systemctl start {UNIT}")
    host.wait_unit(NAME, "failed")  # ten starts, each of a container that is not there
    host.sh(f"{host.command} rename away {NAME}")
    assert host.run("stop_container", NAME)["unit"]["state"] == "failed"
    result = host.run("start_container", NAME)
    assert result["unit"]["state"] == "active", result
    assert host.state(NAME)["Status"] == "running"


# --- systemd that does not answer


def test_a_systemd_that_does_not_answer_is_said(host: ManagedHost) -> None:
    host.under_unit(NAME)
    before = life(host, NAME)
    hide = ["unshare", "-m", "sh", "-c"]
    hidden = (
        "mount -t tmpfs none /run/systemd/private.d 2>/dev/null; mkdir -p /run/empty; mount --bind /run/empty"
    )
    wrap = [*hide, f'{hidden} /run/dbus; mount --bind /dev/null /run/systemd/private; exec "$@"', "sh"]
    result = host.run("stop_container", NAME, wrap=wrap)
    assert result["failed"]
    assert "PID 1 and does not answer" in result["msg"]
    assert "Nothing was done with svc" in result["msg"]
    status = host.run("drain_status", NAME, wrap=wrap)
    assert status["unit"]["state"] == "unknown"
    assert re.search("does not answer", status["unit"]["why"])
    assert life(host, NAME) == before


def test_a_missing_bus_daemon_does_not_matter(host: ManagedHost) -> None:
    host.under_unit(NAME)
    wrap = ["unshare", "-m", "sh", "-c"]
    wrap += ['mkdir -p /run/empty; mount --bind /run/empty /run/dbus; exec "$@"', "sh"]
    result = host.run("restart_container", NAME, wrap=wrap)
    assert result["unit"]["state"] == "active", result
    host.wait_nothing_left()


# --- told


def test_what_the_unit_is_doing_is_told(host: ManagedHost) -> None:
    host.under_unit(NAME, "--drain", "1")
    status = host.run("drain_status", NAME)
    assert status["unit"] == {
        "name": UNIT,
        "state": "active",
        "enabled": "enabled",
        "restart": "always",
        "stop_timeout": 60.0,
        "drop_ins": [],
        "held": False,
    }
    planned = host.run("stop_container", NAME, check=True)
    assert planned["unit"]["state"] == "active"
    assert host.signals(NAME) == []


def test_nothing_outlives_many_runs_at_once(host: ManagedHost) -> None:
    names = [f"svc{number}" for number in range(3)]
    for name in names:
        host.under_unit(name, "--drain", "1")
    results = []
    runs = [host.module("restart_container", name) for name in names]
    threads = [threading.Thread(target=lambda run=run: results.append(run.result(PATIENCE))) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one["unit"]["state"] for one in results] == ["active"] * 3, results
    assert [host.unit(name)["Restart"] for name in names] == ["always"] * 3
    host.wait_nothing_left()


@pytest.fixture
def hasty(host: ManagedHost) -> Iterator[ManagedHost]:
    """A host whose systemd gives a stop 5 s instead of 90 where a unit says nothing."""
    path = "/etc/systemd/system.conf.d/hasty.conf"
    host.put(path, "[Manager]\nDefaultTimeoutStopSec=5s\n")
    yield host
    host.host.start()
    host.install()
    host.sh(f"rm {path}; systemctl daemon-reload")


def test_a_shutdown_of_the_host_drains_and_its_start_brings_it_back(hasty: ManagedHost) -> None:
    host = hasty
    start_ready(host, **host.spec(NAME, "--drain", "15", graceful_shutdown_timeout=60))
    host.host.stop(timeout=400)
    first_life = [line for line in host.lines(NAME) if line != "signal SIGCONT"]
    assert first_life == ["ready", "signal SIGTERM", "exit 0"]
    host.host.start(timeout=400)
    host.wait_line(NAME, "ready", count=2)
    assert host.active(NAME) == "active"
