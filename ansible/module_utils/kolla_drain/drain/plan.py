"""Divide the budget of one stop, and choose its signal."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import NO_PROFILE, Profile, Quiesce, StopRequest


@dataclass(frozen=True)
class Plan:
    """How one budget is divided. Seconds."""

    signal: str
    timeout: float  # the whole budget, from the start of quiesce or signal to escalation
    quiesce: float  # at most this much of it before the signal; 0: the signal goes out at once
    drain: float  # at least this much of it after the signal
    reason: str


def plan(
    request: StopRequest,
    profile: Profile,
    stop_signal: str = "",
    manager_shutdown_timeout: float | None = None,
) -> Plan:
    """Choose the signal and divide the budget.

    ``stop_signal`` is the container's own (Config.StopSignal); ``manager_shutdown_timeout`` is the service's, in
    seconds, where its configuration is known.
    """
    signal = request.signal or profile.signal or stop_signal or "SIGTERM"
    timeout = request.timeout
    why_not = _why_no_quiesce(request.quiesce, profile)
    if why_not:
        return Plan(signal, timeout, 0.0, timeout, f"the signal goes out at once: {why_not}")
    # Of a service whose processes alone tell of every request a busy one never shows none, and its orderly end cuts
    # less than SIGKILL does.
    if not profile.keeps_work and (profile.rows_tell or not profile.reports):
        # Seen on a real Cinder: on native threads every operation in flight is dropped at SIGTERM (exit 0 within 6 s),
        # and cinder-backup exits between the hops of a backup. A signal while work is in flight is then no better
        # than the SIGKILL at the deadline.
        reason = (
            "the signal waits for the work: this service drops work in flight when it is signalled, "
            "so no part of the budget is kept for a drain with work in it"
        )
        return Plan(signal, timeout, timeout, 0.0, reason)
    if profile.manager_shutdown_counts and manager_shutdown_timeout is not None:
        # Nova 33 sleeps for its whole manager_shutdown_timeout even when idle; less would always end in SIGKILL.
        drain = min(manager_shutdown_timeout + profile.exit_seconds, timeout)
        why = f"its manager_shutdown_timeout of {manager_shutdown_timeout:g} s and {profile.exit_seconds:g} s to exit"
    else:
        drain = min(profile.exit_seconds, timeout / 2)
        why = f"idle it takes up to {profile.exit_seconds:g} s to exit"
        if drain < profile.exit_seconds:
            why += ", and never more than half of the budget"
    return Plan(
        signal, timeout, timeout - drain, drain, f"the last {drain:g} s are kept for the drain: {why}"
    )


def _why_no_quiesce(quiesce: Quiesce, profile: Profile) -> str:
    if quiesce is Quiesce.NEVER:
        return "quiesce is set to never"
    if profile.name == NO_PROFILE.name:
        return "there is no evidence to quiesce by"
    if quiesce is Quiesce.AUTO and not profile.quiesce:
        return "the profile needs no quiesce"
    return ""
