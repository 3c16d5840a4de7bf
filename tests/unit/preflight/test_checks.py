"""Preflight's checks over tables of facts, and its readers over a made-up /proc and systemctl."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kolla_drain import signals
from kolla_drain.model import Container, ContainerStatus
from kolla_drain.preflight import checks as preflight
from kolla_drain.preflight import process
from kolla_drain.preflight.checks import Facts, UnitFacts
from kolla_drain.preflight.process import ProcessFacts

ID = "d1ce" * 16
TERM = 1 << (15 - 1)
RUNNING = Container(id=ID, name="cinder_volume", status=ContainerStatus.RUNNING, pid=4711)
SERVICE = ProcessFacts(
    pid=4712, ns_pid=7, name="cinder-volume", argv=("/usr/bin/python3", "cinder-volume"), caught=TERM
)
DUMB_INIT = ProcessFacts(
    pid=4711,
    ns_pid=1,
    name="dumb-init",
    argv=("dumb-init", "--single-child", "--", "kolla_start"),
    caught=0x7FFBFEFF,
    child=SERVICE,
)
WELL = Facts(container=RUNNING, signal="SIGTERM", timeout=180.0, process=DUMB_INIT)
UNIT = UnitFacts("kolla-cinder_volume-container.service", stop_timeout=None)


def under_dumb_init(**changes):
    return replace(DUMB_INIT, child=replace(SERVICE, **changes))


def as_pid_1(**changes):
    return replace(SERVICE, ns_pid=1, **changes)


def container(**changes):
    return replace(RUNNING, **changes)


# What is wrong, the code it gets, and words that its sentence must hold.
FAULTS = {
    "guests in it": ({"guests": 2}, "guests_inside", ("cinder_volume: 2 virtual machine(s)", "end with it")),
    "PID 1 without a handler": (
        {"process": as_pid_1(caught=0)},
        "signal_not_handled",
        ("PID 1 (cinder-volume)", "SIGTERM", "the kernel never delivers it"),
    ),
    "child without a handler": (
        {"process": under_dumb_init(caught=0)},
        "signal_not_handled",
        ("process cinder-volume (PID 7)", "dies at once by the signal's default action"),
    ),
    "child that ignores it": (
        {"process": under_dumb_init(caught=0, ignored=TERM)},
        "signal_not_handled",
        ("is ignored by it",),
    ),
    "signal without an action by default": (
        {"signal": "SIGWINCH", "process": under_dumb_init(caught=0)},
        "signal_not_handled",
        ("SIGWINCH", "does nothing by default"),
    ),
    "another signal than the one handled": (
        {"signal": "USR2"},
        "signal_not_handled",
        ("SIGUSR2", "default action"),
    ),
    "SIGKILL": ({"signal": "SIGKILL"}, "signal_not_handled", ("cannot be handled by any process",)),
    "rewritten to an unhandled one": (
        {"process": replace(DUMB_INIT, argv=("dumb-init", "-cr", "15:3", "cinder-volume"))},
        "signal_not_handled",
        ("dumb-init makes it SIGQUIT",),
    ),
    "swallowed": (
        {"process": replace(DUMB_INIT, argv=("dumb-init", "-c", "--rewrite=15:0", "cinder-volume"))},
        "signal_not_handled",
        ("never reaches it",),
    ),
    "no --single-child": (
        {"process": replace(DUMB_INIT, argv=("/usr/bin/dumb-init", "--", "cinder-volume", "--single-child"))},
        "dumb_init_group",
        ("whole process group", "--single-child"),
    ),
    "tini -g": (
        {"process": replace(DUMB_INIT, name="tini", argv=("tini", "-g", "--", "cinder-volume"))},
        "tini_group",
        ("tini", "whole process group"),
    ),
    "a shell as PID 1": (
        {"process": as_pid_1(name="kolla_start", argv=("/bin/bash", "/usr/local/bin/kolla_start"), caught=0)},
        "init_not_ready",
        ("PID 1 (kolla_start)", "still a shell", "wait until"),
    ),
    "a shell under an init": (
        {"process": under_dumb_init(name="bash", argv=("-bash",), caught=0x10002)},
        "init_not_ready",
        ("process bash (PID 7)",),
    ),
    "an init without its child": (
        {"process": replace(DUMB_INIT, child=None)},
        "init_not_ready",
        ("dumb-init has not started its child",),
    ),
    "not to be seen": ({"process": None}, "process_unreadable", ("cannot be seen in /proc",)),
    "another stop signal": (
        {"container": container(stop_signal="SIGQUIT", restart_policy="no")},
        "stop_signal_differs",
        ("SIGQUIT", "SIGTERM", "set stop_signal"),
    ),
    "another stop signal, restarted": (
        {"container": container(stop_signal="3", restart_policy="always")},
        "stop_signal_differs",
        ("start it again", "always"),
    ),
    "the usual stop signal, restarted": (
        {
            "container": container(stop_signal="SIGTERM", restart_policy="on-failure"),
            "signal": "SIGUSR1",
            "process": under_dumb_init(caught=1 << 9),
        },
        "stop_signal_differs",
        ("SIGTERM", "SIGUSR1", "other than 0"),
    ),
    "a stop signal that is none": (
        {"container": container(stop_signal="SIGNONE")},
        "stop_signal_differs",
        ("SIGNONE",),
    ),
    "endless": ({"service_timeout": 0.0}, "service_timeout_endless", ("endless", "after 180 s")),
    "the same as ours": ({"service_timeout": 180.0}, "service_timeout_not_below", ("180 s", "raise ours")),
    "above ours": ({"service_timeout": 600.0}, "service_timeout_not_below", ("600 s",)),
    "manager not below the service": (
        {"service_timeout": 60.0, "manager_timeout": 160.0},
        "manager_timeout_not_below",
        ("160 s", "the service's own graceful_shutdown_timeout of 60 s"),
    ),
    "manager not below ours": (
        {"manager_timeout": 180.0},
        "manager_timeout_not_below",
        ("our graceful_shutdown_timeout of 180 s",),
    ),
    "paused": ({"container": container(status=ContainerStatus.PAUSED)}, "paused", ("runs again", "unpause")),
    "restarting": (
        {
            "container": container(status=ContainerStatus.RESTARTING, restart_policy="always", pid=0),
            "process": None,
        },
        "restarting",
        ("always", "no process"),
    ),
    "already draining": (
        {"draining": "since 12:00:01 by process 77"},
        "already_draining",
        ("since 12:00:01 by process 77", "no second signal"),
    ),
}


@pytest.mark.parametrize(("changes", "code", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_fault(changes, code, words):
    found = preflight.check(replace(WELL, **changes))
    assert [finding.code for finding in found] == [code]
    text = found[0].text
    assert [word for word in ("cinder_volume", *words) if word not in text] == []
    assert text.endswith(".")
    assert text.count(". ") == 0, "one sentence"


IN_ORDER = {
    "as kolla runs it": {},
    "PID 1 with a handler": {"process": as_pid_1()},
    "blocked, for signalfd": {"process": as_pid_1(caught=0, blocked=TERM)},
    "in sigwait": {"process": as_pid_1(caught=0, sigwaits=True)},
    "a shell with a trap": {"process": as_pid_1(name="sh", argv=("sh", "-c", "trap …"))},
    "single child by environment": {
        "container": container(env={"DUMB_INIT_SETSID": "0"}),
        "process": replace(DUMB_INIT, argv=("dumb-init", "cinder-volume")),
    },
    "rewritten to a handled one": {
        "signal": "SIGUSR1",
        "process": replace(DUMB_INIT, argv=("dumb-init", "-c", "-r", "10:15", "cinder-volume")),
    },
    "docker-init": {"process": replace(DUMB_INIT, name="docker-init", argv=("/sbin/docker-init", "--"))},
    "an init over an init": {
        "process": replace(
            DUMB_INIT,
            name="docker-init",
            argv=("/sbin/docker-init", "--"),
            child=replace(DUMB_INIT, ns_pid=7),
        )
    },
    "its own stop signal": {"container": container(stop_signal="TERM", restart_policy="always")},
    "another than the usual stop signal": {
        "container": container(stop_signal="SIGTERM", restart_policy="unless-stopped"),
        "signal": "SIGUSR1",
        "process": under_dumb_init(caught=1 << 9),
    },
    "timeouts in order": {"service_timeout": 170.0, "manager_timeout": 160.0},
    "no wait of the manager": {"service_timeout": 60.0, "manager_timeout": 0.0},
    "a unit without limit": {"unit": replace(UNIT, stop_timeout=None)},
    "a unit with time enough": {"unit": replace(UNIT, stop_timeout=180.0)},
    "a unit with less time, which is held": {"unit": replace(UNIT, stop_timeout=90.0)},
}


@pytest.mark.parametrize("changes", IN_ORDER.values(), ids=IN_ORDER.keys())
def test_in_order(changes):
    assert preflight.check(replace(WELL, **changes)) == ()


@pytest.mark.parametrize(
    "status", [ContainerStatus.CREATED, ContainerStatus.EXITED, ContainerStatus.DEAD], ids=lambda s: s.value
)
def test_nothing_to_find_in_a_container_at_rest(status):
    facts = replace(
        WELL, container=container(status=status, stop_signal="SIGQUIT"), process=None, service_timeout=0.0
    )
    assert preflight.check(facts) == ()


def test_faults_add_up():
    facts = replace(
        WELL,
        container=container(stop_signal="SIGQUIT"),
        process=under_dumb_init(caught=0),
        service_timeout=0.0,
    )
    assert {finding.code for finding in preflight.check(facts)} == {
        "stop_signal_differs",
        "signal_not_handled",
        "service_timeout_endless",
    }


def test_a_signal_that_is_none_is_refused():
    with pytest.raises(ValueError, match="SIGNONE"):
        preflight.check(replace(WELL, signal="SIGNONE"))


@pytest.mark.parametrize(
    ("own", "codes"), [(60.0, ["service_gives_up"]), (0.0, []), (180.0, []), (None, [])], ids=str
)
def test_inform_when_the_service_gives_up_before_us(own, codes):
    facts = replace(WELL, service_timeout=own)
    found = preflight.inform(facts)
    assert [finding.code for finding in found] == codes
    assert all("60 s after SIGTERM" in finding.text for finding in found)


@pytest.mark.parametrize(
    ("limit", "codes"), [(90.0, ["outer_limit_below"]), (180.0, []), (None, [])], ids=str
)
def test_inform_of_a_unit_that_gives_other_stops_less_time(limit, codes):
    found = preflight.inform(replace(WELL, unit=replace(UNIT, stop_timeout=limit)))
    assert [finding.code for finding in found] == codes
    assert all("90 s" in finding.text and UNIT.name in finding.text for finding in found)


# --- signals


@pytest.mark.parametrize(
    ("given", "name", "number"),
    [
        ("TERM", "SIGTERM", 15),
        (" sigterm ", "SIGTERM", 15),
        (15, "SIGTERM", 15),
        ("15", "SIGTERM", 15),
        ("SIGUSR2", "SIGUSR2", 12),
        ("CLD", "SIGCHLD", 17),
        ("IOT", "SIGABRT", 6),
        ("SIGRTMIN+3", "SIGRTMIN+3", 37),
        ("rtmin", "SIGRTMIN", 34),
        (37, "SIGRTMIN+3", 37),
        ("RTMAX-1", "SIGRTMAX-1", 63),
        (64, "SIGRTMAX", 64),
        ("RTMIN+16", "SIGRTMAX-14", 50),
    ],
)
def test_signal_names(given, name, number):
    assert signals.normalise(given) == name
    assert signals.number(name) == number


@pytest.mark.parametrize(
    "given",
    ["", "SIG", "NONE", "0", 0, 32, 65, -15, "-15", 9999, "9" * 5000, True, None, 1.5, b"TERM", [15],
     "_DFL", "_IGN", "SIG_DFL", "TERM;", "RTMIN-1", "RTMAX+1", "RTMIN+31", "RTMIN+", "Ⅸ", "٣"],
    ids=lambda given: repr(given)[:12],
)  # fmt: skip
def test_no_signal(given):
    with pytest.raises(ValueError, match="is no signal; give a name such as SIGTERM"):
        signals.normalise(given)


# --- /proc


class Proc:
    """A made-up /proc, as the kernel lays it out."""

    def __init__(self, path):
        self.path = path

    def add(self, pid, name, *, ns="", parent=0, start=100, children=None, argv=(), cgroup=ID, **masks):
        folder = self.path / str(pid)
        (folder / "task" / str(pid)).mkdir(parents=True)
        lines = [f"Name:\t{name}", *(f"{mask}:\t{bits:016x}" for mask, bits in masks.items())]
        lines += [f"NSpid:\t{ns}"] if ns else []
        (folder / "status").write_text("\n".join(lines) + "\n")
        (folder / "cmdline").write_text("".join(f"{arg}\0" for arg in argv))
        (folder / "cgroup").write_text(f"0::/docker/{cgroup}\n")
        (folder / "stat").write_text(f"{pid} (a) b) S {parent} " + "0 " * 17 + f"{start} 0 0\n")
        if children is not None:
            (folder / "task" / str(pid) / "children").write_text(" ".join(map(str, children)))
        return folder


@pytest.fixture
def proc(tmp_path):
    return Proc(tmp_path)


def test_read_the_masks_and_the_names(proc):
    argv = ("/usr/bin/python3", "-u", "it's")
    folder = proc.add(
        4711, "cinder-volume", ns="4711 1", argv=argv, SigBlk=1, SigIgn=0x1000, SigCgt=0x1_0000_4002
    )
    (folder / "wchan").write_text("do_sigtimedwait.isra.0")
    assert process.read_process(RUNNING, str(proc.path)) == ProcessFacts(
        pid=4711,
        ns_pid=1,
        name="cinder-volume",
        argv=argv,
        caught=0x1_0000_4002,
        ignored=0x1000,
        blocked=1,
        sigwaits=True,
    )


@pytest.mark.parametrize("listed", [True, False], ids=["children listed", "no CONFIG_PROC_CHILDREN"])
def test_walk_past_inits_to_the_child_started_first(proc, listed):
    def children(*pids):
        return pids if listed else None

    proc.add(4711, "docker-init", ns="4711 1", children=children(4720))
    proc.add(4720, "dumb-init", ns="4720 7", parent=4711, children=children(4800, 4790))
    proc.add(4800, "orphan", ns="4800 40", parent=4720, start=999)
    proc.add(4790, "nova-compute", ns="4790 8", parent=4720, start=200, children=children(4801))
    proc.add(4801, "worker", ns="4801 9", parent=4790, start=201)
    found = process.read_process(RUNNING, str(proc.path))
    assert (found.name, found.child.name, found.child.child.name) == (
        "docker-init",
        "dumb-init",
        "nova-compute",
    )
    assert found.child.child.child is None


def test_inits_without_end_are_not_followed(proc):
    for pid in range(4711, 4731):
        proc.add(pid, "tini", ns=f"{pid} 1", children=[pid + 1])
    found = process.read_process(RUNNING, str(proc.path))
    depth = 0
    while found:
        found, depth = found.child, depth + 1
    assert depth < 10


def test_another_containers_process_is_not_taken_for_ours(proc):
    proc.add(4711, "sshd", ns="4711", cgroup="ab" * 32)
    assert process.read_process(RUNNING, str(proc.path)) is None


@pytest.mark.parametrize("what", ["gone", "no pid", "child gone", "garbled"])
def test_what_cannot_be_read_is_none(proc, what):
    given = container(pid=0) if what == "no pid" else RUNNING
    if what == "child gone":
        proc.add(4711, "tini", ns="4711 1", children=[4720])
        (proc.path / "4720").mkdir()
        (proc.path / "4720" / "stat").write_text("4720 (x) S 4711 " + "0 " * 17 + "1 0")
    if what == "garbled":
        proc.add(4711, "x", ns="one")
    assert process.read_process(given, str(proc.path)) is None
