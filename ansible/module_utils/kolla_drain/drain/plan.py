"""TODO: say what this is."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import Exit, Profile, Quiesce, StopRequest


@dataclass(frozen=True)
class Plan:
    """How one budget is divided. Seconds."""

    signal: str
    timeout: float  # the whole budget, from the start of quiesce or signal to escalation
    quiesce: float  # at most this much of it before the signal; 0: the signal goes out at once
    drain: float  # at least this much of it after the signal
    reason: str
    exit: Exit = Exit.SIGNAL  # how it is ended once nothing is in flight


def plan(
    request: StopRequest,
    profile: Profile,
    stop_signal: str = "",
    manager_shutdown_timeout: float | None = None,
) -> Plan:
    """Choose the signal and divide the budget.

    ``stop_signal`` is the container's own (Config.StopSignal); ``manager_shutdown_timeout`` is the
    service's, in seconds, where its configuration is known.
    """
    signal = request.signal or profile.signal or stop_signal or "SIGTERM"
    timeout = request.timeout
    wanted = {Quiesce.AUTO: profile.quiesce, Quiesce.ALWAYS: True, Quiesce.NEVER: False}[request.quiesce]
    if not wanted or profile.name == "none":
        why = {
            Quiesce.AUTO: "the profile needs no quiesce",
            Quiesce.ALWAYS: "there is no evidence to quiesce by",
            Quiesce.NEVER: "quiesce is set to never",
        }[request.quiesce]
        if profile.name == "none":
            why = "there is no evidence to quiesce by"
        return Plan(signal, timeout, 0.0, timeout, f"the signal goes out at once: {why}")
    if not profile.keeps_work:
        # FACTS TESTBED: native threads drop everything at SIGTERM, and cinder-backup exits between its
        # hops. A signal while work is in flight is then no better than the SIGKILL at the deadline.
        return Plan(
            signal,
            timeout,
            timeout,
            0.0,
            "the signal waits for the work: this service drops work in flight when it is signalled, "
            "so no part of the budget is kept for a drain with work in it",
            _way(request, profile),
        )
    if profile.manager_shutdown_counts and manager_shutdown_timeout is not None:
        # FACTS 4: Nova 33 sleeps its manager_shutdown_timeout even when idle; less would always end in SIGKILL.
        drain = min(manager_shutdown_timeout + profile.exit_seconds, timeout)
        why = f"its manager_shutdown_timeout of {manager_shutdown_timeout:g} s and {profile.exit_seconds:g} s to exit"
    else:
        drain = min(profile.exit_seconds, timeout / 2)
        why = f"an idle {profile.name} takes up to {profile.exit_seconds:g} s to exit"
        if drain < profile.exit_seconds:
            why += ", and never more than half of the budget"
    reason = f"the last {drain:g} s are kept for the drain: {why}"
    return Plan(signal, timeout, timeout - drain, drain, reason, _way(request, profile))


def _way(request: StopRequest, profile: Profile) -> Exit:
    """How it is ended once nothing is in flight; a freeze proves that only where its evidence can show it."""
    if not profile.freezable:
        return Exit.SIGNAL
    return profile.exit if request.exit is Exit.AUTO else request.exit
