"""Findings on a service's own time-outs: manager_shutdown_timeout < graceful_shutdown_timeout < ours."""

from __future__ import annotations

from .config import Limit, ServiceConfig

_GRACEFUL = "[DEFAULT]/graceful_shutdown_timeout"

# Seconds that Nova keeps of its graceful_shutdown_timeout for the second of its two RPC servers.
_MANAGER_MARGIN = 20


def findings(config: ServiceConfig, ours: int, margin: int) -> list[str]:
    """Return a sentence for each option that should have another value; all times are in seconds.

    An order that somebody chose and that is right stays, even where the service gives up long before it must.
    """
    graceful, manager = config.graceful_shutdown_timeout, config.manager_shutdown_timeout
    wrong = []
    if graceful is not None:
        own = Limit(_GRACEFUL, graceful, "graceful_shutdown_timeout" in config.stated)
        wrong += [_judged(limit, ours, margin) for limit in (own, *config.more_limits)]
    wanted = next((right for option, _, right, why in wrong if option == _GRACEFUL and why), graceful)
    if manager is not None and wanted is not None and manager >= wanted:
        below = max(1, wanted - min(_MANAGER_MARGIN, wanted // 2))
        why = f"it is not below the service's graceful_shutdown_timeout of {wanted} s"
        wrong.append(("[DEFAULT]/manager_shutdown_timeout", manager, below, why))
    return [
        f"{config.service}: {option} is {now} s and should be {right} s: {why}."
        for option, now, right, why in wrong
        if why
    ]


def _judged(limit: Limit, ours: int, margin: int) -> tuple[str, int, int, str]:
    """Return the option, its value, the value that it should have, and why; no reason where it is right."""
    wanted, why = max(1, ours - margin), ""
    if limit.seconds == 0:
        why = "0 is endless, so the service never gives up by itself"
    elif limit.seconds >= ours:
        why = f"it is not below our {ours} s"
    elif not limit.stated and limit.seconds < wanted:
        why = f"the default makes the service drop its work long before our {ours} s are over"
    return limit.option, limit.seconds, wanted, why
