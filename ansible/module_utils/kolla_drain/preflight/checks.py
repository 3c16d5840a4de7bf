"""Find what is wrong before a stop begins, by small checks over facts. Pure.

Three timeouts have to be in order: manager_shutdown_timeout < the service's graceful_shutdown_timeout < ours.
"""

from __future__ import annotations

import getopt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .. import signals
from ..model import Container, ContainerStatus, Finding
from .process import ProcessFacts

_TINIS = frozenset({"tini", "tini-static", "docker-init"})

_IGNORED_BY_DEFAULT = frozenset({"SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"})  # signal(7)
_UNCATCHABLE = frozenset({"SIGKILL", "SIGSTOP"})


@dataclass(frozen=True)
class UnitFacts:
    """The systemd unit that runs a container, as kolla-ansible and kolla_docker set it up."""

    name: str
    stop_timeout: float | None  # seconds after which its own stop kills; None is infinity


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


def check(facts: Facts) -> tuple[Finding, ...]:
    """Return what is wrong with stopping this container now; empty when all is well.

    A container without a process that will not start one by itself is not checked.
    Raises ValueError when ``facts.signal`` is no signal.
    """
    signals.normalise(facts.signal)
    if facts.container.at_rest:
        return ()
    return tuple(finding for find in _CHECKS for finding in find(facts))


def inform(facts: Facts) -> tuple[Finding, ...]:
    """Return what an operator should know although nothing is wrong: no reason to warn or to fail."""
    if facts.container.at_rest:
        return ()
    return (*_gives_up(facts), *_outer_limit(facts))


def _gives_up(facts: Facts) -> Iterator[Finding]:
    """A service whose own limit is below ours is in order, but exits at that limit whatever time we have left."""
    own = facts.service_timeout
    if own is not None and 0 < own < facts.timeout:
        yield Finding(
            "service_gives_up",
            f"{facts.container.name}: {_seconds(own)} after {signals.normalise(facts.signal)} the service"
            " gives up by itself (its own graceful_shutdown_timeout), whatever is left of our"
            f" {_seconds(facts.timeout)}; raise its graceful_shutdown_timeout if its work needs longer.",
        )


def _outer_limit(facts: Facts) -> Iterator[Finding]:
    """A unit is held while we drain its container; its own limit counts at any other time."""
    unit = facts.unit
    if unit is not None and unit.stop_timeout is not None and unit.stop_timeout < facts.timeout:
        yield Finding(
            "outer_limit_below",
            f"{facts.container.name}: its systemd unit {unit.name} gives a stop {_seconds(unit.stop_timeout)}"
            " (the lower of its TimeoutStopSec and the -t of its ExecStop), less than our"
            f" {_seconds(facts.timeout)}; this stop is not cut by it, and a stop by systemctl or a shutdown of the"
            " host is: set -t to ours, and TimeoutStopSec above it.",
        )


def unhandled(container: Container, signal: str, process: ProcessFacts | None) -> str:
    """Return why a signal that leaves a service running, such as SIGHUP, must not be sent; empty when it may.

    A process without a handler would die of it or never get it, so a process that cannot be seen is a reason, too.
    """
    facts = Facts(container, signal, timeout=1.0, process=process)
    if process is None:
        return "its process cannot be seen in /proc of this host, so whether it handles it is not known"
    receiver, arriving = _receiver(process), _arriving(facts)
    if receiver.is_init:
        return f"{receiver.name} has not started its child yet"
    if any(True for _ in _group(facts)):
        return "its init passes it to the whole process group at once, workers included"
    if not arriving or arriving in _UNCATCHABLE:
        return "its init does not pass it on"
    if _has(receiver.caught | receiver.blocked, arriving) or receiver.sigwaits:
        return ""
    return f"{_where(receiver)} has no handler for {arriving}"


# --- the checks: each takes the facts and yields its findings


def _state(facts: Facts) -> Iterator[Finding]:
    """Docker sends no signal to a restarting container, and keeps it back from a paused one."""
    name, signal = facts.container.name, signals.normalise(facts.signal)
    if facts.container.status is ContainerStatus.PAUSED:
        yield Finding(
            "paused",
            f"{name} is paused: it can finish no work and handles {signal} only once it runs again;"
            " unpause it first.",
        )
    if facts.container.status is ContainerStatus.RESTARTING:
        yield Finding(
            "restarting",
            f"{name} is between two starts that its restart policy"
            f" ({facts.container.restart_policy or 'unknown'}) makes: there is no process that {signal} could"
            " reach; look into its log for why it keeps ending.",
        )


def _draining(facts: Facts) -> Iterator[Finding]:
    """A second SIGTERM kills the work: oslo.service's eventlet backend drops its handlers after the first."""
    if facts.draining:
        yield Finding(
            "already_draining",
            f"{facts.container.name} is being stopped already ({facts.draining}): this run joins that stop"
            " and sends no second signal; wait for it to end if you meant something else.",
        )


def _stop_signal(facts: Facts) -> Iterator[Finding]:
    """Docker calls off the restart policy only for a kill with the container's StopSignal, or where none is set."""
    own, signal = facts.container.stop_signal, signals.normalise(facts.signal)
    if not own or _same_signal(own, signal):
        return
    policy = facts.container.restart_policy
    restarts = {
        "always": f", and under its restart policy {policy} the engine would start it again",
        "on-failure": f", and under its restart policy {policy} the engine would start it again"
        " if it ends with an exit code other than 0",
    }.get(policy, "")
    yield Finding(
        "stop_signal_differs",
        f"{facts.container.name} declares {own} as its stop signal, but {signal} would be sent{restarts};"
        f" set stop_signal to {own}, or create the container with stop signal {signal}.",
    )


def _unseen(facts: Facts) -> Iterator[Finding]:
    if facts.container.status is ContainerStatus.RUNNING and facts.process is None:
        yield Finding(
            "process_unreadable",
            f"{facts.container.name}: its PID 1 cannot be seen in /proc of this host (it has just ended, or"
            f" the engine runs elsewhere), so whether it handles {signals.normalise(facts.signal)} is not"
            " known; run on the host where the engine runs.",
        )


def _group(facts: Facts) -> Iterator[Finding]:
    """An init that signals its whole process group reaches workers past their parent, and they end with its child."""
    for process in _inits(facts.process):
        if process.name == "dumb-init" and not _dumb_init(process, facts.container.env).single_child:
            yield _group_finding("dumb_init_group", facts, process, "with --single-child")
        if process.name in _TINIS and _tini_signals_group(process, facts.container.env):
            yield _group_finding("tini_group", facts, process, "without -g and TINI_KILL_PROCESS_GROUP")


def _group_finding(code: str, facts: Facts, process: ProcessFacts, how: str) -> Finding:
    return Finding(
        code,
        f"{facts.container.name}: {process.name} passes {signals.normalise(facts.signal)} to the whole"
        " process group at once and ends with its child, so workers get it beside their parent and what is"
        f" left of them is killed; run it {how}.",
    )


def _handler(facts: Facts) -> Iterator[Finding]:
    """The kernel drops a signal that PID 1 has no handler for, and Kolla's start script is a shell until it execs."""
    if facts.process is None:
        return
    arriving = _arriving(facts)
    receiver = _receiver(facts.process)
    if receiver.is_init:
        yield _not_ready(facts, f"{receiver.name} has not started its child yet")
    elif arriving == "":
        yield _not_handled(facts, receiver, "never reaches it: dumb-init is told to swallow it (--rewrite)")
    elif arriving in _UNCATCHABLE:
        yield _not_handled(facts, receiver, "cannot be handled by any process: its work is cut at once")
    elif _has(receiver.caught | receiver.blocked, arriving) or receiver.sigwaits:
        return  # what is blocked may be taken by signalfd or by sigwait in another thread
    elif receiver.is_shell:
        yield _not_ready(facts, f"{_where(receiver)} is still a shell that does not trap {arriving}")
    else:
        yield _not_handled(facts, receiver, _without_handler(receiver, arriving))


def _without_handler(receiver: ProcessFacts, signal: str) -> str:
    only_kill = "only SIGKILL at the deadline would end it"
    if _has(receiver.ignored, signal):
        return f"is ignored by it: {only_kill}"
    if receiver.ns_pid == 1:
        return f"has no handler there, so the kernel never delivers it: {only_kill}"
    if signal in _IGNORED_BY_DEFAULT:
        return f"has no handler there and does nothing by default: {only_kill}"
    return "has no handler there: it dies at once by the signal's default action, whatever it is working on"


def _not_handled(facts: Facts, receiver: ProcessFacts, what: str) -> Finding:
    signal, arriving = signals.normalise(facts.signal), _arriving(facts)
    rewritten = f" (dumb-init makes it {arriving})" if arriving and arriving != signal else ""
    return Finding(
        "signal_not_handled",
        f"{facts.container.name}: {signal}{rewritten} for {_where(receiver)} {what};"
        " set stop_signal to one that the service handles, or give it a handler.",
    )


def _not_ready(facts: Facts, what: str) -> Finding:
    return Finding(
        "init_not_ready",
        f"{facts.container.name}: {what}, so {signals.normalise(facts.signal)} would not reach the service;"
        " wait until the service runs, and let its start script end with exec.",
    )


def _service_timeouts(facts: Facts) -> Iterator[Finding]:
    """At its own limit a service exits with its work cut, and above ours it never comes to that: SIGKILL is first."""
    own, name, ours = facts.service_timeout, facts.container.name, _seconds(facts.timeout)
    if own == 0:
        yield Finding(
            "service_timeout_endless",
            f"{name}: the service's own graceful_shutdown_timeout is 0, which is endless, so it never gives"
            f" up by itself and SIGKILL cuts what is still in flight after {ours}; set it to less than that.",
        )
    elif own is not None and own >= facts.timeout:
        yield Finding(
            "service_timeout_not_below",
            f"{name}: the service's own graceful_shutdown_timeout of {_seconds(own)} is not below ours of"
            f" {ours}, so SIGKILL cuts work that it would still wait for; raise ours above it, or lower the"
            " service's.",
        )
    yield from _manager_timeout(facts)


def _manager_timeout(facts: Facts) -> Iterator[Finding]:
    manager = facts.manager_timeout
    limits = [(facts.timeout, "our graceful_shutdown_timeout")]
    if facts.service_timeout:
        limits.append((facts.service_timeout, "the service's own graceful_shutdown_timeout"))
    limit, whose = min(limits)
    if manager and manager >= limit:
        yield Finding(
            "manager_timeout_not_below",
            f"{facts.container.name}: manager_shutdown_timeout of {_seconds(manager)} is not below {whose} of"
            f" {_seconds(limit)}, which cuts the wait for its tasks; lower the first or raise the second.",
        )


_CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    _state,
    _draining,
    _stop_signal,
    _unseen,
    _group,
    _handler,
    _service_timeouts,
)


# --- what the checks share


def _seconds(value: float) -> str:
    return f"{value:g} s"


def _where(process: ProcessFacts) -> str:
    if process.ns_pid == 1:
        return f"its PID 1 ({process.name})"
    return f"its process {process.name} (PID {process.ns_pid})"


def _same_signal(declared: str, sent: str) -> bool:
    try:
        return signals.normalise(declared) == sent
    except ValueError:
        return False  # an engine of another platform, which may know this signal


def _has(mask: int, signal: str) -> bool:
    return bool(mask >> (signals.number(signal) - 1) & 1)


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
    signal = signals.normalise(facts.signal)
    for process in _inits(facts.process):
        if process.name == "dumb-init" and signal:
            signal = _dumb_init(process, facts.container.env).rewrites.get(signal, signal)
    return signal


@dataclass(frozen=True)
class _DumbInit:
    """What dumb-init does with signals, by its options and its environment."""

    single_child: bool
    rewrites: Mapping[str, str]  # names of signals; an empty one is swallowed


def _dumb_init(process: ProcessFacts, env: Mapping[str, str]) -> _DumbInit:
    options = _options(process, "hvdcr:V", ["help", "verbose", "version", "single-child", "rewrite="])
    asked = any(name in ("-c", "--single-child") for name, _ in options)
    pairs = [_rewrite(value) for name, value in options if name in ("-r", "--rewrite")]
    single = asked or env.get("DUMB_INIT_SETSID") == "0"
    return _DumbInit(single, {sent: arrives for sent, arrives in pairs if sent})


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
