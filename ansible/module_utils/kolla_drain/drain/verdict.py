"""Judge a stop after the exit: who ended the container, and what became of its operations."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

from ..model import NO_PROFILE, Ending, Outcome, Profile, Verdict

# The exit code of a process that SIGKILL ended, 128 + 9; the kernel's lack of memory ends one in the same way.
KILLED_CODE = 137


class Killer(str, enum.Enum):
    """Who sent the SIGKILL that ended a container."""

    NOBODY = "nobody"
    US = "us"
    ANOTHER = "another"


def judge(
    *,
    profile: Profile,
    killer: Killer,
    verified: bool,
    endings: Iterable[Ending],
    exit_code: int | None,
    oom_killed: bool,
    why_unverified: str = "",
) -> tuple[Verdict, str]:
    """Return the verdict after the exit, with its reason.

    ``verified``: the evidence was read before the signal and again after the exit. ``exit_code`` is None for a
    container that is gone. The code is reported and decides nothing: oslo.service on native threads exits with 0
    and drops its work, and its eventlet backend ends itself with 142 or 143 in the middle of a drain.
    """
    how = _how_it_ended(killer, exit_code, oom_killed)
    all_endings = tuple(endings)
    interrupted, unknown, finished = (
        [ending for ending in all_endings if ending.outcome is outcome]
        for outcome in (Outcome.INTERRUPTED, Outcome.UNKNOWN, Outcome.FINISHED)
    )
    if interrupted:
        how = f"{how}, {count(interrupted)} left unfinished"
    if unknown:
        how = f"{how}; the outcome of {count(unknown)} is unknown"
    if killer is not Killer.NOBODY:
        return Verdict.KILLED, how
    if interrupted:
        return Verdict.CUT, how
    if profile.name == NO_PROFILE.name:
        return Verdict.UNVERIFIED, f"{how}; there is no evidence to judge by"
    if not verified:
        return Verdict.UNVERIFIED, f"{how}; {why_unverified}"
    if unknown:
        return Verdict.UNVERIFIED, how
    if finished:
        return Verdict.DRAINED, f"{how}, {count(finished)} finished"
    if not profile.sees_work:
        return Verdict.UNVERIFIED, f"{how}; no row shows the work of {profile.name}"
    return Verdict.DRAINED, f"{how}, no operation was seen in flight"


def _how_it_ended(killer: Killer, exit_code: int | None, oom_killed: bool) -> str:
    code = "" if exit_code is None else f" with exit code {exit_code}"
    if killer is Killer.US:
        return f"ended by SIGKILL{code}"
    if killer is Killer.ANOTHER:
        return f"ended by a SIGKILL that somebody else sent{code}"
    if exit_code is None:
        return "removed by somebody else"
    if oom_killed:
        if exit_code == KILLED_CODE:
            return f"ended by the kernel for lack of memory{code}"
        return f"exited by itself{code}, after the kernel had killed a process in it for lack of memory"
    if exit_code == KILLED_CODE:
        return f"ended{code}, as by a SIGKILL that did not come through the engine"
    return f"exited by itself{code}"


def count(things: Sequence[object]) -> str:
    """``1 operation``, ``3 operations``."""
    return f"{len(things)} operation{'' if len(things) == 1 else 's'}"
