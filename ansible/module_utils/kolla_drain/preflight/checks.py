"""Find what is wrong before a stop begins, by small checks over facts. Pure.

Three timeouts have to be in order: manager_shutdown_timeout < the service's graceful_shutdown_timeout < ours.
"""

from __future__ import annotations

import getopt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import signals
from ..model import Container, ContainerStatus, Finding, Operation
from .process import ProcessFacts

ENDED_BY_START = "start_ends_others_work"

_TINIS = frozenset({"tini", "tini-static", "docker-init"})

_IGNORED_BY_DEFAULT = frozenset({"SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"})  # signal(7)
_UNCATCHABLE = frozenset({"SIGKILL", "SIGSTOP"})

_GROUP = (
    "{name}: {init} passes {signal} to the whole process group at once and ends with its child, so workers get it"
    " beside their parent and what is left of them is killed; run it "
)
# The finding's text by its code; times are in seconds.
_TEXTS = {
    "service_gives_up": "{name}: {own:g} s after {signal} the service gives up by itself (its own"
    " graceful_shutdown_timeout), whatever is left of our {ours:g} s; raise its graceful_shutdown_timeout if its work"
    " needs longer.",
    "outer_limit_below": "{name}: its systemd unit {facts.unit.name} gives a stop {facts.unit.stop_timeout:g} s (the"
    " lower of its TimeoutStopSec and the -t of its ExecStop), less than our {ours:g} s; this stop is not cut by it,"
    " and a stop by systemctl or a shutdown of the host is: set -t to ours, and TimeoutStopSec above it.",
    "paused": "{name} is paused: it can finish no work and handles {signal} only once it runs again; unpause it first.",
    "restarting": "{name} is between two starts that its restart policy ({policy}) makes: there is no process that"
    " {signal} could reach; look into its log for why it keeps ending.",
    "already_draining": "{name} is being stopped already ({facts.draining}): this run joins that stop and sends no"
    " second signal; to do something else with it, wait for its end.",
    "stop_signal_differs": "{name} declares {declared} as its stop signal, but {signal} would be sent{restarts};"
    " set stop_signal to {declared}, or create the container with stop signal {signal}.",
    "process_unreadable": "{name}: its PID 1 cannot be seen in /proc of this host (it has just ended, /proc hides it,"
    " or the engine runs elsewhere), so whether it handles {signal} is not known; run as root on the host where the"
    " engine runs.",
    "dumb_init_group": _GROUP + "with --single-child.",
    "tini_group": _GROUP + "without -g and TINI_KILL_PROCESS_GROUP.",
    "signal_not_handled": "{name}: {signal}{rewritten} for {where} {cause}; set stop_signal to one that the service"
    " handles, or give it a handler.",
    "init_not_ready": "{name}: {cause}, so {signal} would not reach the service; wait until the service runs, and let"
    " its start script end with exec.",
    "guests_inside": "{name}: {facts.guests} virtual machine(s) run in this container and end with it; migrate them or"
    " shut them down first, or leave the container running.",
    "service_timeout_endless": "{name}: the service's own graceful_shutdown_timeout is 0, which is endless, so it never"
    " gives up by itself and SIGKILL cuts what is still in flight after {ours:g} s; set it to less than that.",
    "service_timeout_not_below": "{name}: the service's own graceful_shutdown_timeout of {own:g} s is not below ours of"
    " {ours:g} s, so SIGKILL cuts work that it would still wait for; raise ours above it, or lower the service's.",
    "manager_timeout_not_below": "{name}: manager_shutdown_timeout of {facts.manager_timeout:g} s is not below {whose}"
    " of {limit:g} s, which cuts the wait for its tasks; lower the first or raise the second.",
    ENDED_BY_START: "{name}: other processes report as {hosts}, too, or may, and its next start sets to error"
    " all that is being created under that name, whoever works on it: {operations}; wait until that has ended, and give"
    " each host a name of its own, or put them into a cluster.",
    "shared_row": "{name}: other processes report as {hosts}, too, or may, and its next start sets to error all that is"
    " being created under that name, whoever works on it; nothing is now.",
}
_AT_START = (
    "{name}: {count} in flight at its start, which sets to error all that is being created under the name {hosts}, and"
    " other processes report under it, too, or may: {operations}."
)
_Found = Iterator[tuple[str, dict[str, Any]]]  # codes, and what their texts need beside the facts


@dataclass(frozen=True)
class UnitFacts:
    """The systemd unit that runs a container, as kolla-ansible and kolla_docker set it up."""

    name: str
    stop_timeout: float | None  # seconds after which its own stop kills; None is infinity
    stopping: bool = False  # somebody's stop of it is under way


@dataclass(frozen=True)
class Facts:
    """The input of the checks. Seconds throughout; None for what is unknown."""

    container: Container
    signal: str  # what will be sent
    timeout: float  # our own graceful_shutdown_timeout
    service_timeout: float | None = None  # the service's graceful_shutdown_timeout; 0 is endless
    manager_timeout: float | None = None  # the service's manager_shutdown_timeout; 0 is no wait
    process: ProcessFacts | None = None
    unit: UnitFacts | None = None
    draining: str = ""  # by whom and since when, if a stop is under way already
    guests: int = 0  # virtual machines in the container's control group, which its end takes with it


def check(facts: Facts) -> tuple[Finding, ...]:
    """Return what is wrong with stopping this container now; empty when all is well.

    A container without a process that will not start one by itself is not checked.
    Raises ValueError when ``facts.signal`` is no signal.
    """
    return _told(facts, _faults)


def inform(facts: Facts) -> tuple[Finding, ...]:
    """Return what an operator should know although nothing is wrong: no reason to warn or to fail."""
    return _told(facts, _notes)


def _told(facts: Facts, look: Callable[[Facts], _Found]) -> tuple[Finding, ...]:
    facts = replace(facts, signal=signals.normalise(facts.signal))
    if facts.container.at_rest:
        return ()
    known = dict(facts=facts, name=facts.container.name, signal=facts.signal)
    limits = dict(ours=facts.timeout, own=facts.service_timeout)
    return tuple(Finding(code, _TEXTS[code].format(**known, **limits, **more)) for code, more in look(facts))


def before_start(
    name: str, hosts: Sequence[str], operations: Sequence[Operation]
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Return what is wrong with starting a container now, and what an operator should know.

    ``hosts`` are its rows of services in which other processes report, and ``operations`` what the start would end.
    """
    if not hosts:
        return (), ()
    code = ENDED_BY_START if operations else "shared_row"
    text = _TEXTS[code].format(name=name, hosts=", ".join(hosts), operations=_named(operations))
    found = (Finding(code, text),)
    return (found, ()) if operations else ((), found)


def at_start(name: str, hosts: Sequence[str], operations: Sequence[Operation]) -> str:
    """Return the sentence for a start that ends these operations."""
    count = "1 operation was" if len(operations) == 1 else f"{len(operations)} operations were"
    return _AT_START.format(name=name, hosts=", ".join(hosts), count=count, operations=_named(operations))


def _named(operations: Sequence[Operation]) -> str:
    return ", ".join(f"{op.kind} {op.id}" for op in operations)


def unhandled(container: Container, signal: str, process: ProcessFacts | None) -> str:
    """Return why a signal that leaves a service running, such as SIGHUP, must not be sent; empty when it may.

    A process without a handler would die of it or never get it, so a process that cannot be seen is a reason, too.
    """
    if process is None:
        return "its process cannot be seen in /proc of this host, so whether it handles it is not known"
    facts = Facts(container, signals.normalise(signal), timeout=1.0, process=process)
    receiver, arriving = _receiver(process), _arriving(facts)
    if receiver.is_init:
        return f"{receiver.name} has not started its child yet"
    if any(True for _ in _group(facts)):
        return "its init passes it to the whole process group at once, workers included"
    if not arriving or arriving in _UNCATCHABLE:
        return "its init does not pass it on"
    return "" if _handles(receiver, arriving) else f"{_where(receiver)} has no handler for {arriving}"


# --- the checks: each takes the facts and yields its findings


def _notes(facts: Facts) -> _Found:
    # A service whose own limit is below ours is in order, but exits at that limit whatever time we have left.
    if facts.service_timeout is not None and 0 < facts.service_timeout < facts.timeout:
        yield "service_gives_up", {}
    # A unit is held while we drain its container; its own limit counts at any other time.
    limit = facts.unit.stop_timeout if facts.unit else None
    if limit is not None and limit < facts.timeout:
        yield "outer_limit_below", {}


def _faults(facts: Facts) -> _Found:
    container = facts.container
    # Docker sends no signal to a restarting container, and keeps it back from a paused one.
    if container.status is ContainerStatus.PAUSED:
        yield "paused", {}
    if container.status is ContainerStatus.RESTARTING:
        yield "restarting", {"policy": container.restart_policy or "unknown"}
    # A second SIGTERM kills the work: oslo.service's eventlet backend drops its handlers after the first.
    if facts.draining:
        yield "already_draining", {}
    yield from _stop_signal(facts)
    if container.status is ContainerStatus.RUNNING and facts.process is None:
        yield "process_unreadable", {}
    yield from _group(facts)
    if facts.process is not None:
        yield from _handler(facts, _receiver(facts.process))
    yield from _timeouts(facts)
    # Where libvirt does not give its guests a control group of their own, they are the container's.
    if facts.guests:
        yield "guests_inside", {}


def _stop_signal(facts: Facts) -> _Found:
    """Docker calls off the restart policy only for a kill with the container's StopSignal, or where none is set."""
    declared, policy = facts.container.stop_signal, facts.container.restart_policy
    restarted = policy in ("always", "on-failure")
    # Podman gives SIGTERM to every container that names none, and so does kolla_docker.
    chosen = declared and signals.signal_name(declared) != "SIGTERM"
    if declared and signals.signal_name(declared) != facts.signal and (chosen or restarted):
        restarts = f", and under its restart policy {policy} the engine would start it again"
        if policy == "on-failure":
            restarts += " if it ends with an exit code other than 0"
        yield "stop_signal_differs", {"declared": declared, "restarts": restarts if restarted else ""}


def _group(facts: Facts) -> _Found:
    """An init that signals its whole process group reaches workers past their parent, and they end with its child."""
    for init in _inits(facts.process):
        if init.name == "dumb-init" and not _dumb_init(init, facts.container.env)[0]:
            yield "dumb_init_group", {"init": init.name}
        if init.name in _TINIS and _tini_signals_group(init, facts.container.env):
            yield "tini_group", {"init": init.name}


def _handler(facts: Facts, receiver: ProcessFacts) -> _Found:
    """The kernel drops a signal that PID 1 has no handler for, and Kolla's start script is a shell until it execs."""
    arriving, where = _arriving(facts), _where(receiver)
    only_kill = "only SIGKILL at the deadline would end it"
    if receiver.is_init:
        yield "init_not_ready", {"cause": f"{receiver.name} has not started its child yet"}
        return
    if arriving == "":
        cause = "never reaches it: dumb-init is told to swallow it (--rewrite)"
    elif arriving in _UNCATCHABLE:
        cause = "cannot be handled by any process: its work is cut at once"
    elif _handles(receiver, arriving):
        return
    elif receiver.is_shell:
        yield "init_not_ready", {"cause": f"{where} is still a shell that does not trap {arriving}"}
        return
    elif _has(receiver.ignored, arriving):
        cause = f"is ignored by it: {only_kill}"
    elif receiver.ns_pid == 1:
        cause = f"has no handler there, so the kernel never delivers it: {only_kill}"
    elif arriving in _IGNORED_BY_DEFAULT:
        cause = f"has no handler there and does nothing by default: {only_kill}"
    else:
        cause = (
            "has no handler there: it dies at once by the signal's default action, whatever it is working on"
        )
    rewritten = f" (dumb-init makes it {arriving})" if arriving and arriving != facts.signal else ""
    yield "signal_not_handled", {"cause": cause, "where": where, "rewritten": rewritten}


def _timeouts(facts: Facts) -> _Found:
    """At its own limit a service exits with its work cut, and above ours it never comes to that: SIGKILL is first."""
    own, manager = facts.service_timeout, facts.manager_timeout
    limits = [(facts.timeout, "our graceful_shutdown_timeout")]
    if own == 0:
        yield "service_timeout_endless", {}
    elif own is not None:
        limits.append((own, "the service's own graceful_shutdown_timeout"))
        if own >= facts.timeout:
            yield "service_timeout_not_below", {}
    limit, whose = min(limits)
    if manager and manager >= limit:
        yield "manager_timeout_not_below", {"limit": limit, "whose": whose}


# --- what the checks share


def _where(process: ProcessFacts) -> str:
    if process.ns_pid == 1:
        return f"its PID 1 ({process.name})"
    return f"its process {process.name} (PID {process.ns_pid})"


def _has(mask: int, signal: str) -> bool:
    return bool(mask >> (signals.number(signal) - 1) & 1)


def _handles(process: ProcessFacts, signal: str) -> bool:
    # What is blocked may be taken by signalfd or by sigwait in another thread.
    return _has(process.caught | process.blocked, signal) or process.sigwaits


def _inits(process: ProcessFacts | None) -> Iterator[ProcessFacts]:
    while process is not None and process.is_init:
        yield process
        process = process.child


def _receiver(process: ProcessFacts) -> ProcessFacts:
    """Return the process behind the inits, which acts on the signal."""
    while process.child is not None:
        process = process.child
    return process


def _arriving(facts: Facts) -> str:
    """Return the signal that reaches the receiver, empty when an init swallows it."""
    signal = facts.signal
    for init in _inits(facts.process):
        if init.name == "dumb-init":
            signal = _dumb_init(init, facts.container.env)[1].get(signal, signal)
    return signal


def _dumb_init(init: ProcessFacts, env: Mapping[str, str]) -> tuple[bool, dict[str, str]]:
    """Return whether it signals its child alone, and signals by what it is sent; an empty one is swallowed."""
    options = _options(init, "hvdcr:V", ["help", "verbose", "version", "single-child", "rewrite="])
    single = env.get("DUMB_INIT_SETSID") == "0" or any(
        name in ("-c", "--single-child") for name, _ in options
    )
    return single, dict(_rewrite(value) for name, value in options if name in ("-r", "--rewrite"))


def _rewrite(value: str) -> tuple[str, str]:
    """Return both names in "15:3"; dumb-init takes numbers only, where 0 swallows the signal."""
    sent, _, arrives = value.partition(":")
    try:
        return signals.normalise(sent), "" if arrives == "0" else signals.normalise(arrives)
    except ValueError:
        return "", ""


def _tini_signals_group(process: ProcessFacts, env: Mapping[str, str]) -> bool:
    options = _options(process, "hsvwgle:p:", ["version"])
    return "TINI_KILL_PROCESS_GROUP" in env or any(name == "-g" for name, _ in options)


def _options(process: ProcessFacts, short: str, long: Sequence[str]) -> list[tuple[str, str]]:
    """Return the options before the command; none when the program would refuse them."""
    try:
        return getopt.getopt(list(process.argv[1:]), short, list(long))[0]
    except getopt.GetoptError:
        return []
