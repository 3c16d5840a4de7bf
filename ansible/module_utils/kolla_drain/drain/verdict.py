"""TODO: say what this is."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

from ..model import Ending, Outcome, Profile, Verdict


class Killer(str, enum.Enum):
    """Who sent the SIGKILL that ended a container."""

    NOBODY = "nobody"
    US = "us"
    US_WHILE_FROZEN = "us_while_frozen"  # nothing was in flight, as its evidence showed meanwhile
    ANOTHER = "another"
    ANOTHER_WHILE_FROZEN = "another_while_frozen"


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
    """The verdict after the exit, with its reason.

    ``verified``: the evidence was read before the signal and again after the exit. ``exit_code`` is None
    for a container that is gone. The code is told, and decides nothing: 0 can be a cut drain (FACTS S5, S6).
    """
    how = _how_it_ended(killer, exit_code, oom_killed)
    all_of_them = tuple(endings)
    interrupted = [e for e in all_of_them if e.outcome is Outcome.INTERRUPTED]
    unknown = [e for e in all_of_them if e.outcome is Outcome.UNKNOWN]
    queued = [e for e in all_of_them if e.outcome is Outcome.QUEUED]
    finished = [e for e in all_of_them if e.outcome is Outcome.FINISHED]
    if interrupted:
        how = f"{how}, {count(interrupted)} left unfinished"
    if unknown:
        how = f"{how}, of {count(unknown)} it is not known"
    if queued:
        how = f"{how}, {count(queued)} waiting for its next start"
    if killer in (Killer.US, Killer.ANOTHER) or (killer is not Killer.NOBODY and interrupted):
        return Verdict.KILLED, how
    if interrupted:
        return Verdict.CUT, how
    if profile.name == "none":
        return Verdict.UNVERIFIED, f"{how}; there is no evidence to judge by"
    if not verified:
        return Verdict.UNVERIFIED, f"{how}; {why_unverified}"
    if unknown:
        return Verdict.UNVERIFIED, how
    if finished:
        return Verdict.DRAINED, f"{how}, {count(finished)} finished"
    if not profile.sees_work:
        return Verdict.UNVERIFIED, f"{how}; no row tells of the work of {profile.name}"
    return Verdict.DRAINED, f"{how}, no operation was seen in flight"


def _how_it_ended(killer: Killer, exit_code: int | None, oom_killed: bool) -> str:
    code = "" if exit_code is None else f" with exit code {exit_code}"
    if killer is Killer.US:
        return f"ended by SIGKILL{code}"
    if killer is Killer.US_WHILE_FROZEN:
        return f"ended while frozen{code}"
    if killer is Killer.ANOTHER_WHILE_FROZEN:
        return f"ended by somebody else while frozen{code}"
    if killer is Killer.ANOTHER:
        return f"ended by a SIGKILL that somebody else sent{code}"
    if exit_code is None:
        return "removed by somebody else"
    if oom_killed:
        if exit_code == 137:
            return "ended by the kernel for lack of memory with exit code 137"
        return f"exited by itself{code}, after the kernel had killed a process in it for lack of memory"
    if exit_code == 137:
        return "ended with exit code 137, as by a SIGKILL that did not come through the engine"
    return f"exited by itself{code}"


def count(things: Sequence[object]) -> str:
    """``1 operation``, ``3 operations``."""
    return f"{len(things)} operation{'' if len(things) == 1 else 's'}"
