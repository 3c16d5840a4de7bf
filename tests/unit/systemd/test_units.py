"""Units over a made-up systemd: looked at, held, let go of, settled and started."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kolla_drain.actions import report
from kolla_drain.actions.results import UnitReport
from kolla_drain.errors import EngineError, EngineUnreachable, SystemdSilent, UnitError
from kolla_drain.host import files
from kolla_drain.host.process import myself
from kolla_drain.kolla import unit_name
from kolla_drain.model import Container, ContainerStatus
from kolla_drain.systemd.hold import DROP_IN
from kolla_drain.systemd.install import UnitFiles
from kolla_drain.systemd.systemctl import Systemctl
from kolla_drain.systemd.units import Units

from .fake import NAME, UNIT, Died, left, stopped

# --- looking


@pytest.mark.parametrize("answer", ["", "Id=other\n", "LoadState=loaded\nActiveState=active\n"])
def test_an_answer_that_lacks_a_unit_is_no_answer(systemd, host, monkeypatch, answer):
    """Taken for a container without a unit, its unit would start it again in the middle of a stop."""
    monkeypatch.setattr(systemd, "_show", lambda names: answer)
    with pytest.raises(SystemdSilent, match=r"reported [01] of 2 units"):
        host.look([NAME, "other"])


def test_without_systemd_nobody_is_asked(systemd, holds):
    absent = Units(Systemctl(systemd), str(systemd.path / "no"), holds)
    assert absent.look([NAME]) == {}
    assert absent.hold([NAME]).names == ()
    assert not UnitFiles(absent, str(systemd.path)).removable(NAME)
    assert systemd.asked == []


def test_a_look(host, systemd):
    systemd.add(DropInPaths="/etc/systemd/system/x.d/mine.conf")
    systemd.add(unit_name("other"), ActiveState="inactive", TimeoutStopUSec="infinity")
    found = host.look(["none", NAME, "other"])
    assert list(found) == [NAME, "other"]
    assert systemd.count("show") == 1
    assert found[NAME].stop_timeout == 90.0
    assert found["other"].stop_timeout is None
    assert report.unit(UnitReport(found[NAME].name, found[NAME])) == {
        "name": UNIT,
        "state": "active",
        "enabled": "enabled",
        "restart": "always",
        "stop_timeout": 90.0,
        "drop_ins": ["/etc/systemd/system/x.d/mine.conf"],
        "held": False,
    }


@pytest.mark.parametrize(
    ("limit", "commands", "seconds"),
    [
        ("15min 30s", ["/usr/bin/docker stop cinder_volume -t 60"], 60.0),
        ("1min 30s", ["/usr/bin/docker stop cinder_volume -t 900"], 90.0),
        ("infinity", ["/bin/true", "/usr/bin/podman stop -t 20 cinder_volume"], 20.0),
        ("infinity", ["/bin/true"], None),
    ],
    ids=str,
)
def test_the_time_of_a_stop_is_the_shorter_of_systemds_and_the_engines(
    host, systemd, limit, commands, seconds
):
    shown = [f"{{ path=/x ; argv[]={one} ; ignore_errors=no ; status=0/0 }}" for one in commands]
    systemd.add(TimeoutStopUSec=limit, ExecStop="\nExecStop=".join(shown))
    assert host.of(NAME).stop_timeout == seconds


def test_one_whose_file_is_gone_still_counts_while_it_runs(host, systemd):
    systemd.add(LoadState="not-found")
    assert host.of(NAME).state == "active"
    assert host.startable(NAME) is None


@pytest.mark.parametrize("load", ["masked", "bad-setting", "error"])
def test_what_cannot_be_started_is_said(host, systemd, load):
    systemd.add(LoadState=load, LoadError='org.freedesktop.x "Unit is broken."')
    with pytest.raises(UnitError, match=UNIT):
        host.startable(NAME)


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("Failed to connect to bus: No such file or directory", SystemdSilent, "No such file or directory"),
        ("Failed to reload daemon: Connection timed out", SystemdSilent, "does not answer"),
        ("Failed to start x: Interactive authentication required.", UnitError, "become: true"),
        ("Unit x not found.", UnitError, "Unit x not found"),
    ],
)
def test_what_systemctl_says_is_said(host, systemd, said, kind, words):
    systemd.fails["all"] = said
    with pytest.raises(kind, match=words) as caught:
        host.look([NAME])
    assert (type(caught.value) is SystemdSilent) == (kind is SystemdSilent)


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "No such file"), subprocess.TimeoutExpired("systemctl", 60)], ids=repr
)
def test_a_systemctl_that_is_missing_or_hangs_is_said(host, systemd, error):
    def fail(_):
        raise error

    systemd.on["show"] = fail
    with pytest.raises(SystemdSilent, match="PID 1 and does not answer"):
        host.look([NAME])


# --- held


def test_a_hold_and_its_end(host, systemd):
    systemd.add()
    systemd.add(unit_name("other"))
    hold = host.hold([NAME, "other", "none"])
    assert hold.names == (UNIT, unit_name("other"))
    assert systemd.count("daemon-reload") == 1
    assert host.of(NAME).held
    assert systemd.states[UNIT]["Restart"] == "no"
    assert host.lift(hold) == ""
    assert systemd.states[UNIT]["Restart"] == "always"
    assert systemd.count("daemon-reload") == 2
    assert left(systemd) == []


def test_its_record_is_for_its_owner_alone(host, systemd):
    systemd.add()
    host.hold([NAME])
    found = {path.stat().st_mode & 0o777 for path in (systemd.path / "records").rglob("*") if path.is_file()}
    folders = {path.stat().st_mode & 0o777 for path in (systemd.path / "records").rglob("*") if path.is_dir()}
    assert (found, folders) == ({0o600}, {0o700})


def test_the_run_is_watched_once_and_before_anything_is_held(host, systemd):
    systemd.add()
    systemd.on["--quiet"] = lambda words: left(systemd) == [] or pytest.fail("held before it was watched")
    for _ in range(2):
        host.lift(host.hold([NAME]))
    (watcher,) = [words for words in systemd.asked if words[0] == "--quiet"]
    assert f"--unit=kolla-drain-hold-{myself().replace(' ', '-')}" in watcher


@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_what_is_at_rest_needs_no_hold(host, systemd, state):
    systemd.add(ActiveState=state, SubState="dead")
    hold = host.hold([NAME])
    assert hold.names == ()
    assert hold.units[NAME].state == state
    assert systemd.count("daemon-reload") == 0


@pytest.mark.parametrize("word", ["--quiet", "daemon-reload"])
def test_what_cannot_be_held_is_an_error_and_leaves_nothing(host, systemd, word):
    systemd.add()
    systemd.fails[word] = "Failed to connect to bus: No medium found"
    with pytest.raises(SystemdSilent):
        host.hold([NAME])
    systemd.fails.clear()
    host.hold([])  # the next run's, should letting go have failed, too
    assert left(systemd) == [] or word == "daemon-reload"


@pytest.mark.parametrize("restart", ["always", "no"])
def test_a_drop_in_that_overrides_the_hold_is_named(host, systemd, restart):
    """Whatever it sets: it may be one of the many things that a hold sees to."""
    systemd.add()

    reload = systemd._reload
    systemd._reload = lambda: (
        reload(),
        systemd.states[UNIT].update(
            Restart=restart, DropInPaths=f"/etc/mine.conf /run/{DROP_IN} /etc/zzzzz.conf"
        ),
    )
    with pytest.raises(UnitError, match=r"because /etc/zzzzz\.conf overrides"):
        host.hold([NAME])
    assert left(systemd) == []


def test_side_by_side_the_last_one_lets_go(host, systemd, holds):
    systemd.add()
    hold = host.hold([NAME])
    other = "1 " + Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19]  # it lives
    holds.hold([UNIT], other)
    host.lift(hold)
    assert host.of(NAME).held
    holds.release(other)
    assert not host.of(NAME).held
    assert left(systemd) == []


def test_what_a_dead_run_holds_is_let_go_of_by_the_next(host, systemd, holds):
    systemd.add()
    holds.hold([UNIT], "4194305 1")
    assert host.of(NAME).held
    host.hold([])
    assert not host.of(NAME).held
    assert left(systemd) == []


STEPS = [(word, count) for word in ("write", "unlink", "daemon-reload") for count in (1, 2)]


@pytest.mark.parametrize(("word", "count"), STEPS, ids=str)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_run_that_dies_at_any_step_leaves_what_its_watcher_undoes(
    host, systemd, holds, monkeypatch, word, count, after
):
    systemd.add()
    calls = []

    def dying(real):
        def call(*args, **options):
            calls.append(1)
            if not after and len(calls) == count:
                raise Died
            result = real(*args, **options)
            if after and len(calls) == count:
                raise Died
            return result

        return call

    target = {
        "write": (files, "write"),
        "unlink": (files, "remove_with_folder"),
        "daemon-reload": (systemd, "_reload"),
    }
    where, name = target[word]
    with monkeypatch.context() as patched:
        real = getattr(where, name)
        patched.setattr(where, name, dying(real))
        patched.setattr(Units, "lift", lambda self, hold: holds.release(myself(), hold.names))
        try:
            host.lift(host.hold([NAME]))
        except Died:
            patched.setattr(where, name, real)
    holds.release(myself())  # the watcher's call
    assert left(systemd) == []
    assert not host.of(NAME).held
    assert systemd.states[UNIT]["Restart"] == "always"


@pytest.mark.parametrize("sub", ["auto-restart", "auto-restart-queued"])
def test_a_unit_about_to_start_its_container_is_calmed(host, systemd, sub):
    systemd.add(ActiveState="activating", SubState=sub)
    systemd.on["stop"] = stopped(systemd)
    hold = host.hold([NAME])
    assert hold.calmed
    assert ("stop", "--no-block", UNIT) in systemd.asked


def test_one_whose_container_ends_while_it_is_being_held_is_calmed(host, systemd):
    systemd.add()
    systemd.on["daemon-reload"] = lambda _: systemd.states[UNIT].update(
        ActiveState="activating", SubState="auto-restart"
    )
    systemd.on["stop"] = stopped(systemd)
    hold = host.hold([NAME])
    assert hold.calmed
    assert hold.units[NAME].state == "active"
    assert host.of(NAME).state == "inactive"


def test_one_that_cannot_be_calmed_is_an_error(host, systemd):
    systemd.add(ActiveState="activating", SubState="auto-restart")
    with pytest.raises(UnitError, match="again and again"):
        host.hold([NAME])
    assert left(systemd) == []


# --- brought to rest


@pytest.mark.parametrize("after", [0, 3])
def test_settled_once_it_is_inactive(host, systemd, after):
    systemd.add()
    looks = []

    def ends(_):
        looks.append(1)
        if len(looks) > after:
            systemd.states[UNIT].update(ActiveState="inactive", SubState="dead")

    unit = host.of(NAME)
    systemd.on["show"] = ends
    assert host.settle(unit, lambda: True).state == "inactive"


def test_one_that_stays_active_without_a_process_is_settled(host, systemd):
    systemd.add(SubState="exited")
    systemd.on["stop"] = stopped(systemd)
    assert host.settle(host.of(NAME), lambda: True).state == "inactive"


def test_settled_never_as_failed(host, systemd):
    systemd.add(ActiveState="failed", SubState="failed")
    systemd.on["reset-failed"] = lambda _: systemd.states[UNIT].update(ActiveState="inactive")
    assert host.settle(host.of(NAME), lambda: True).state == "inactive"


def test_a_client_that_hangs_is_killed(host, systemd):
    systemd.add()
    systemd.on["kill"] = lambda _: systemd.states[UNIT].update(ActiveState="inactive")
    assert host.settle(host.of(NAME), lambda: True).state == "inactive"
    assert ("kill", "--signal=SIGKILL", UNIT) in systemd.asked


def test_what_does_not_come_to_rest_is_said(host, systemd):
    systemd.add()
    with pytest.raises(UnitError, match="still active although"):
        host.settle(host.of(NAME), lambda: True)


def test_what_was_started_again_meanwhile_is_let_be(host, systemd):
    systemd.add()
    assert host.settle(host.of(NAME), lambda: False).state == "active"
    assert systemd.count("kill") == systemd.count("stop") == 0


# --- started

STOPPED = Container("c1", NAME, ContainerStatus.EXITED, started_at="1")


def test_a_start_returns_with_the_new_life(host, systemd):
    systemd.add()
    running = replace(STOPPED, status=ContainerStatus.RUNNING, started_at="2", pid=7)
    answers = iter([STOPPED, EngineUnreachable("silent"), STOPPED, running])

    def look():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert host.start(host.of(NAME), STOPPED, look, 60.0) == running
    asked = [words[0] for words in systemd.asked]
    assert asked.index("reset-failed") < asked.index("start")


def test_one_that_stays_active_without_a_process_is_started_all_the_same(host, systemd):
    systemd.add(SubState="exited")
    held = []
    systemd.on["stop"] = lambda _: (held.append(left(systemd) != []), stopped(systemd)(_))
    systemd.on["start"] = lambda _: held.append(left(systemd) != [])
    running = replace(STOPPED, status=ContainerStatus.RUNNING, started_at="2", pid=7)
    look = lambda: running if systemd.count("start") else STOPPED  # noqa: E731
    assert host.start(host.of(NAME), STOPPED, look, 60.0) == running
    assert held == [True, False], "held for its end, and not when it is started"


def test_one_that_ended_at_once_was_started(host, systemd):
    systemd.add(ActiveState="activating", SubState="auto-restart")
    ended = replace(STOPPED, started_at="2")
    assert host.start(host.of(NAME), STOPPED, lambda: ended, 60.0) == ended


@pytest.mark.parametrize(
    "state",
    [{"ActiveState": "failed"}, {"ActiveState": "activating", "SubState": "auto-restart"}],
    ids=["failed", "again"],
)
def test_one_that_was_not_started_is_said(host, systemd, state):
    systemd.add(Result="exit-code", **state)
    with pytest.raises(UnitError, match=r"did not start it \(exit-code\).*journalctl -u"):
        host.start(host.of(NAME), STOPPED, lambda: STOPPED, 60.0)


def test_a_start_has_an_end(host, systemd):
    systemd.add()
    with pytest.raises(UnitError, match="within 60 s"):
        host.start(host.of(NAME), STOPPED, lambda: STOPPED, 60.0)


def test_a_container_that_is_removed_meanwhile_is_said(host, systemd):
    systemd.add()
    with pytest.raises(EngineError, match="removed by somebody else"):
        host.start(host.of(NAME), STOPPED, lambda: None, 60.0)
