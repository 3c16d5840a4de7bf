"""Units over a made-up systemd: what is held, let go of, started, written and removed, and what is said of it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from kolla_drain.errors import EngineError, EngineUnreachable, SystemdSilent, UnitError
from kolla_drain.host.process import myself
from kolla_drain.kolla import unit_name
from kolla_drain.model import Container, ContainerStatus
from kolla_drain.systemd import hold as unit_hold
from kolla_drain.systemd import install, units, watcher
from kolla_drain.systemd.hold import DROP_IN, Holds
from kolla_drain.systemd.install import Change
from kolla_drain.systemd.systemctl import Systemctl, parse_time_span
from kolla_drain.systemd.unit_file import Definition, author
from kolla_drain.systemd.units import Units

from .test_unit_file import KOLLA_ANSIBLE

NAME = "cinder_volume"
UNIT = unit_name(NAME)
WANTED = Definition(NAME, "docker", "/usr/bin/docker", "always", 180)


class Died(BaseException):
    """The run was killed: nothing of it goes on."""


@dataclass
class FakeSystemd:
    """Units by name, files under a folder; what a drop-in says counts from the next reload on."""

    path: Path
    states: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    on: dict[str, object] = field(default_factory=dict)  # word -> what to do when it is asked
    fails: dict[str, str] = field(default_factory=dict)  # word -> what it says then
    known: dict[str, str] = field(default_factory=dict)  # what lay in its folder at the last reload

    def add(self, name=UNIT, **properties):
        self.states[name] = {
            "LoadState": "loaded",
            "ActiveState": "active",
            "SubState": "running",
            "UnitFileState": "enabled",
            "FragmentPath": f"{self.path}/etc/{name}",
            "DropInPaths": "",
            "TimeoutStopUSec": "1min 30s",
            "Restart": "always",
            "Result": "success",
            **properties,
        }

    def __call__(self, command, **options):
        assert options["timeout"] > 0
        words = tuple(word for word in command[1:] if word not in ("--", "--no-pager"))
        self.asked.append(words)
        said = self.fails.get(words[0], self.fails.get("all"))
        if said is not None:
            return subprocess.CompletedProcess(command, 1, "", said)
        if words[0] in self.on:
            self.on[words[0]](words)
        out = self._show(words[3:]) if words[0] == "show" else ""
        if words[0] == "daemon-reload":
            self._reload()
        return subprocess.CompletedProcess(command, 0, out, "")

    def _show(self, names):
        return "\n".join(
            "".join(f"{key}={value}\n" for key, value in self._properties(name).items()) for name in names
        )

    def _properties(self, name):
        found = self.states.get(name, {"LoadState": "not-found", "ActiveState": "inactive"})
        stale = {
            one for one in (*self.known, *self._files()) if self.known.get(one) != self._files().get(one)
        }
        return {**found, "NeedDaemonReload": "yes" if any(name in one for one in stale) else "no"}

    def _files(self):
        return {str(one): one.read_text() for one in self.path.glob("etc/**/*") if one.is_file()}

    def _reload(self):
        self.known = self._files()
        for path in self.path.glob("etc/*.service"):
            if path.is_file() and path.name not in self.states:
                self.add(path.name, ActiveState="inactive", SubState="dead")
        for name, state in self.states.items():
            held = self.path / "run" / f"{name}.d" / DROP_IN
            state["Restart"] = "no" if held.exists() else "always"
            state["DropInPaths"] = str(held) if held.exists() else ""

    def count(self, word):
        return sum(words[0] == word for words in self.asked)


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    monkeypatch.setattr(units, "_watched", set())
    for name in ("booted", "etc", "run"):
        (tmp_path / name).mkdir()
    return FakeSystemd(tmp_path)


@pytest.fixture
def holds(systemd):
    return Holds(Systemctl(systemd), str(systemd.path / "run"), str(systemd.path / "records"))


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def host(systemd, holds, now):
    def wait(seconds):
        now[0] += seconds

    folders = (str(systemd.path / "booted"), str(systemd.path / "etc"))
    return Units(Systemctl(systemd), *folders, holds, wait, lambda: now[0])


def left(systemd):
    """What there is of holds."""
    return [*systemd.path.glob("run/*"), *systemd.path.glob("records/*.service")]


# --- looking


@pytest.mark.parametrize("answer", ["", "Id=other\n", "LoadState=loaded\nActiveState=active\n"])
def test_an_answer_that_lacks_a_unit_is_no_answer(systemd, host, monkeypatch, answer):
    """Taken for a container without a unit, its unit would start it again in the middle of a stop."""
    monkeypatch.setattr(systemd, "_show", lambda names: answer)
    with pytest.raises(SystemdSilent, match=r"told of [01] of 2 units"):
        host.look([NAME, "other"])


def test_without_systemd_nobody_is_asked(systemd, holds):
    absent = Units(Systemctl(systemd), str(systemd.path / "no"), str(systemd.path), holds)
    assert absent.look([NAME]) == {}
    assert absent.hold([NAME]).names == ()
    assert not absent.removable(NAME)
    assert systemd.asked == []


def test_a_look(host, systemd):
    systemd.add(DropInPaths="/etc/systemd/system/x.d/mine.conf")
    systemd.add(unit_name("other"), ActiveState="inactive", TimeoutStopUSec="infinity")
    found = host.look(["none", NAME, "other"])
    assert list(found) == [NAME, "other"]
    assert systemd.count("show") == 1
    assert found[NAME].stop_timeout == 90.0
    assert found["other"].stop_timeout is None
    assert found[NAME].said == {
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
    with pytest.raises(UnitError, match=r"for /etc/zzzzz\.conf overrides"):
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

    target = {"write": (Holds, "_write"), "unlink": (Holds, "_remove"), "daemon-reload": (systemd, "_reload")}
    where, name = target[word]
    with monkeypatch.context() as patched:
        real = getattr(where, name)
        patched.setattr(where, name, staticmethod(dying(real)) if where is Holds else dying(real))
        patched.setattr(Units, "lift", lambda self, hold: holds.release(myself(), hold.names))
        try:
            host.lift(host.hold([NAME]))
        except Died:
            patched.setattr(where, name, real)
    holds.release(myself())  # the watcher's call
    assert left(systemd) == []
    assert not host.of(NAME).held
    assert systemd.states[UNIT]["Restart"] == "always"


def stopped(systemd):
    return lambda _: systemd.states[UNIT].update(ActiveState="inactive", SubState="dead")


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


# --- files


def file(systemd, name=UNIT):
    return systemd.path / "etc" / name


def test_a_new_unit_is_written_and_enabled(host, systemd):
    assert host.planned(WANTED).changed
    assert not file(systemd).exists()
    assert host.ensure(WANTED).changed
    assert file(systemd).read_text() == WANTED.render()
    assert link(systemd).resolve() == file(systemd)
    assert systemd.count("daemon-reload") == 1
    assert not host.ensure(WANTED).changed
    assert systemd.count("daemon-reload") == 1


def link(systemd):
    return file(systemd, f"multi-user.target.wants/{UNIT}")


@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_what_a_run_died_over_is_put_right_by_the_next(host, systemd, monkeypatch, engine, step):
    steps = []

    def dying(real):
        def call(*args, **options):
            if len(steps) == step:
                raise Died
            steps.append(real.__name__)
            return real(*args, **options)

        return call

    wanted = replace(WANTED, engine=engine)
    with monkeypatch.context() as patched:
        for where, name in ((units.os, "symlink"), (units.os, "replace"), (systemd, "_reload")):
            patched.setattr(where, name, dying(getattr(where, name)))
        try:
            host.ensure(wanted)
        except Died:
            assert step < (3 if engine == "docker" else 4)
    host.ensure(wanted)
    assert link(systemd).resolve() == file(systemd)
    assert file(systemd).read_text() == wanted.render()
    assert systemd._properties(UNIT)["NeedDaemonReload"] == "no"
    assert systemd._properties("machine.slice")["NeedDaemonReload"] == "no"


def test_one_that_its_operator_disabled_stays_so(host, systemd):
    host.ensure(WANTED)
    link(systemd).unlink()
    assert host.ensure(replace(WANTED, timeout=600)).changed
    assert not host.ensure(replace(WANTED, timeout=600)).changed
    assert not link(systemd).is_symlink()


def test_another_time_out_is_written_and_nothing_else_happens(host, systemd):
    host.ensure(WANTED)
    systemd.asked.clear()
    assert host.ensure(replace(WANTED, timeout=600)).changed
    assert "TimeoutStopSec=630" in file(systemd).read_text()
    assert systemd.asked == [("daemon-reload",)]


def test_what_was_changed_by_hand_is_left_and_said(host, systemd):
    host.ensure(WANTED)
    mine = file(systemd).read_text().replace("RestartSec=11", "RestartSec=5")
    file(systemd).write_text(mine)
    change = host.ensure(replace(WANTED, timeout=600))
    assert not change.changed
    assert "by hand" in change.note
    assert file(systemd).read_text() == mine


def test_kolla_ansibles_file_is_left_and_gets_time_by_a_drop_in(host, systemd):
    file(systemd).write_text(KOLLA_ANSIBLE)
    assert host.ensure(WANTED).changed
    assert file(systemd).read_text() == KOLLA_ANSIBLE
    drop_in = file(systemd, f"{UNIT}.d/kolla-drain.conf")
    assert "TimeoutStopSec=330" in drop_in.read_text()
    assert not host.ensure(WANTED).changed
    assert not link(systemd).is_symlink()
    drop_in.write_text("[Service]\nTimeoutStopSec=1000\n")
    assert "by hand" in host.ensure(replace(WANTED, timeout=600)).note


@pytest.mark.parametrize("main", [None, WANTED, replace(WANTED, timeout=30)], ids=["new", "equal", "other"])
def test_a_drop_in_from_beside_kolla_ansibles_file_goes_with_that(host, systemd, main):
    drop_in = file(systemd, f"{UNIT}.d/kolla-drain.conf")
    drop_in.parent.mkdir()
    drop_in.write_text(WANTED.render_limit(KOLLA_ANSIBLE))
    if main:
        file(systemd).write_text(main.render())
    assert host.planned(WANTED).changed
    assert host.ensure(WANTED).changed
    assert not drop_in.parent.exists()
    assert file(systemd).read_text() == WANTED.render()
    assert systemd._properties(UNIT)["NeedDaemonReload"] == "no"
    assert not host.ensure(WANTED).changed


def test_one_that_was_changed_by_hand_stays_and_is_said(host, systemd):
    drop_in = file(systemd, f"{UNIT}.d/kolla-drain.conf")
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nTimeoutStopSec=1000\n")
    change = host.ensure(WANTED)
    assert f"{drop_in} was changed by hand" in change.note
    assert drop_in.exists()


def test_a_masked_unit_is_left(host, systemd):
    file(systemd).symlink_to("/dev/null")
    change = host.ensure(WANTED)
    assert not change.changed
    assert "masked" in change.note
    assert not host.removable(NAME)


def test_a_unit_in_another_folder_is_left(host, systemd):
    systemd.add(FragmentPath=f"/usr/lib/systemd/system/{UNIT}")
    change = host.ensure(WANTED)
    assert not change.changed
    assert f"/usr/lib/systemd/system/{UNIT}" in change.note


def test_a_folder_that_cannot_be_written_is_said(host, systemd, monkeypatch):
    monkeypatch.setattr(
        units.os, "replace", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
    )
    with pytest.raises(UnitError, match="become: true"):
        host.ensure(WANTED)


def test_removed_with_what_is_ours_and_nothing_else(host, systemd):
    file(systemd).write_text(KOLLA_ANSIBLE)
    host.ensure(WANTED)
    file(systemd, f"{UNIT}.d/mine.conf").write_text("[Service]\nNice=1\n")
    assert host.remove([NAME, "none"]) == {NAME: ""}
    assert [path.name for path in systemd.path.glob("etc/*/*")] == ["mine.conf"]
    assert not file(systemd).exists()
    asked = [words[0] for words in systemd.asked]
    assert asked.index("disable") < len(asked) - 1 - asked[::-1].index("daemon-reload")
    assert not host.removable(NAME)


def test_podmans_containers_end_through_their_units_as_long_as_there_is_one(host, systemd):
    drop_in = file(systemd, "machine.slice.d/kolla-drain.conf")
    host.ensure(WANTED)
    assert not drop_in.exists()
    for name in (NAME, "other"):
        host.ensure(replace(WANTED, container=name, engine="podman"))
    assert "DefaultDependencies=no" in drop_in.read_text()
    systemd.asked.clear()
    assert not host.ensure(replace(WANTED, container="other", engine="podman")).changed
    assert systemd.count("daemon-reload") == 0
    host.remove([NAME])
    assert drop_in.exists()
    host.remove(["other"])
    assert not drop_in.parent.exists()


def test_removed_although_changed_by_hand_and_said(host, systemd):
    file(systemd).write_text("[Service]\nExecStart=/bin/true\n")
    assert "by hand" in host.remove([NAME])[NAME]


def test_one_about_to_start_its_container_is_at_rest_before_it_is_removed(host, systemd):
    host.ensure(WANTED)
    systemd.add(ActiveState="activating", SubState="auto-restart")
    systemd.on["stop"] = stopped(systemd)
    host.remove([NAME])
    asked = [words[0] for words in systemd.asked]
    assert asked.index("stop") < asked.index("disable")
    assert systemd.states[UNIT]["ActiveState"] == "inactive"


# --- not wanted any more


def test_our_unit_goes_where_none_is_wanted_and_nothing_happens_to_the_container(host, systemd):
    host.ensure(WANTED)
    systemd.add()
    assert host.unwanted(NAME) == Change(WANTED.render(), "")
    assert file(systemd).exists()
    systemd.asked.clear()
    assert host.withdraw(NAME).changed
    assert not file(systemd).exists()
    assert [words[0] for words in systemd.asked] == ["disable", "daemon-reload"]


def test_another_unit_stays_where_none_is_wanted_and_is_said(host, systemd):
    file(systemd).write_text(KOLLA_ANSIBLE)
    systemd.add()
    change = host.withdraw(NAME)
    assert not change.changed
    assert f"systemctl disable {UNIT}" in change.note
    assert file(systemd).exists()


def test_where_there_is_none_none_is_withdrawn(host, systemd):
    assert host.withdraw(NAME) == Change()
    systemd.add(LoadState="masked")
    assert host.withdraw(NAME) == Change()


@pytest.mark.parametrize("policy", [None, "no", "oneshot"])
def test_no_unit_for_what_stays_where_it_ends(policy):
    assert install.definition(NAME, "docker", {"restart_policy": policy}, 180.0, 120) is None


def test_the_unit_that_options_ask_for():
    options = {"restart_policy": "on-failure", "restart_retries": 3}
    found = install.definition(NAME, "docker", options, 180.0, 60)
    assert found == replace(WANTED, program=found.program, policy="on-failure", retries=3, window=60)
    assert author(found.render()).value == "kolla-drain"


# --- the watcher


def test_the_watcher_waits_for_the_end_and_lets_go(systemd, holds, monkeypatch):
    systemd.add()
    process = subprocess.Popen(["sleep", "1000"])
    owner = f"{process.pid} " + Path(f"/proc/{process.pid}/stat").read_text().split()[21]
    holds.hold([UNIT], owner)
    monkeypatch.setattr(watcher, "Holds", lambda _: holds)
    monkeypatch.setattr(watcher, "Systemctl", lambda: Systemctl(systemd))
    monkeypatch.setattr(watcher, "_notify", lambda _: process.kill())
    assert watcher.main(owner) == 0
    process.wait()
    assert left(systemd) == []


DEAD = ("4194305 1", "4194306 1")


def test_the_watcher_holds_on_to_a_unit_that_was_told_to_stop_and_to_no_other(systemd, holds, monkeypatch):
    systemd.add(ActiveState="deactivating")
    systemd.add(unit_name("other"))
    holds.hold([UNIT, unit_name("other")], DEAD[0])
    seen = []

    class Stops:
        def __init__(self, _):
            pass

        def under_way(self, units):
            return [one for one in units if systemd.states[one]["ActiveState"] == "deactivating"]

        def see_through(self, units):
            holds.sweep()  # another run's
            seen.extend((units, [one.name for one in systemd.path.glob("run/*")]))

    monkeypatch.setattr(watcher, "Holds", lambda _: holds)
    monkeypatch.setattr(watcher, "Stops", Stops)
    assert watcher.main(DEAD[0]) == 0
    assert seen == [[UNIT], [f"{UNIT}.d"]]
    assert left(systemd) == []


def test_of_several_watchers_one_goes_on_holding(systemd, holds):
    systemd.add()
    for owner in DEAD:
        holds.hold([UNIT], owner)
    assert [holds.take_over(owner, myself(), list) for owner in DEAD] == [[UNIT], []]


def test_what_a_living_run_holds_is_not_taken_over(systemd, holds):
    systemd.add()
    for owner in (DEAD[0], myself()):
        holds.hold([UNIT], owner)
    assert holds.take_over(DEAD[0], DEAD[1], list) == []


def test_a_watcher_that_cannot_let_go_says_why_and_fails(systemd, holds, monkeypatch, capsys):
    systemd.add()
    holds.hold([UNIT], DEAD[0])
    systemd.fails["daemon-reload"] = "Too many open files"
    waited = []
    monkeypatch.setattr(watcher, "Holds", lambda _: holds)
    monkeypatch.setattr(watcher, "Systemctl", lambda: Systemctl(systemd))
    monkeypatch.setattr(watcher.time, "sleep", waited.append)
    assert watcher.main(DEAD[0]) == 1
    assert len(waited) == 5
    assert "lets go of what is still held: systemd refused" in capsys.readouterr().err


def test_one_without_rights_is_told_so(holds, monkeypatch):
    def forbidden(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(unit_hold.os, "listdir", forbidden)
    with pytest.raises(UnitError, match=r"Permission denied.*become: true"):
        holds.sweep()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1min 30s", 90.0),
        ("infinity", None),
        ("0", 0.0),
        ("500ms", 0.5),
        ("1h 2min 3.5s", 3723.5),
        ("1d", 86400.0),
    ],
)
def test_time_span(text, seconds):
    assert parse_time_span(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5 apples", "1min and 30s"])
def test_no_time_span(text):
    with pytest.raises(ValueError, match="time span"):
        parse_time_span(text)
