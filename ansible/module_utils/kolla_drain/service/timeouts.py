"""Findings on a service's own time-outs: manager_shutdown_timeout < graceful_shutdown_timeout < ours."""

from __future__ import annotations

from .config import ServiceConfig

# Seconds that Nova keeps of its graceful_shutdown_timeout for the second of its two RPC servers.
_MANAGER_MARGIN = 20


def findings(config: ServiceConfig, ours: int, margin: int) -> list[str]:
    """Return a sentence for each option that should have another value; all times are in seconds.

    An order that somebody chose and that is right stays, even where the service gives up long before it must.
    """
    graceful, manager = config.graceful_shutdown_timeout, config.manager_shutdown_timeout
    wanted, why = max(1, ours - margin), ""
    if graceful == 0:
        why = "0 is endless, so the service never gives up by itself"
    elif graceful >= ours:
        why = f"it is not below our {ours} s"
    elif "graceful_shutdown_timeout" not in config.stated and graceful < wanted:
        why = f"the default makes the service drop its work long before our {ours} s are over"
    else:
        wanted = graceful
    wrong = [("graceful_shutdown_timeout", graceful, wanted, why)] if why else []
    if manager is not None and manager >= wanted:
        below = max(1, wanted - min(_MANAGER_MARGIN, wanted // 2))
        why = f"it is not below the service's graceful_shutdown_timeout of {wanted} s"
        wrong.append(("manager_shutdown_timeout", manager, below, why))
    return [
        f"{config.service}: [DEFAULT]/{option} is {now} s and should be {right} s: {why}."
        for option, now, right, why in wrong
    ]
