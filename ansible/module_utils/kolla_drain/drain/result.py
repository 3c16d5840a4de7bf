"""What goes into the stop of one container, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import (
    NO_PROFILE,
    Container,
    Ending,
    EvidenceState,
    Finding,
    Heartbeat,
    Operation,
    Profile,
    StopRequest,
    Verdict,
)
from .baseline import NO_BASELINE, Baseline
from .plan import Plan


@dataclass(frozen=True)
class Target:
    """One container to be stopped, and all that is known of it beforehand."""

    container: Container
    request: StopRequest
    profile: Profile
    plan: Plan
    service_down_time: float = 60.0  # seconds
    evidence_missing: str = ""  # why its evidence cannot even be asked for; empty when it can
    findings: tuple[Finding, ...] = ()
    baseline: Baseline = NO_BASELINE
    stopping_unit: str = ""  # its systemd unit, if that is stopping it; empty otherwise

    @property
    def reads(self) -> bool:
        """Whether there is evidence to ask for."""
        return self.profile.name != NO_PROFILE.name and not self.evidence_missing


@dataclass(frozen=True)
class Event:
    """One line of the timeline: ``at`` is seconds since this run began."""

    at: float
    event: str
    phase: str = ""  # of the stop at that moment


@dataclass(frozen=True)
class StopResult:
    """What a stop came to, for one container. Durations in seconds."""

    name: str
    id: str
    verdict: Verdict | None  # None: the stop failed before it could come to one
    reason: str
    failed: bool = False  # the stop did not end as it was asked to
    changed: bool = False
    joined: bool = False
    signal: str = ""  # the stop signal that this process life has had
    exit_code: int | None = None
    oom_killed: bool = False
    quiesced: float | None = None
    drained: float | None = None
    timeout: float = 0.0
    endings: tuple[Ending, ...] = ()
    standing: tuple[Operation, ...] = ()  # states that only inform, as last seen
    passed_over: tuple[Operation, ...] = ()  # not waited for, each with the reason, as last seen
    dead: frozenset[tuple[str, str]] = frozenset()
    heartbeats: tuple[Heartbeat, ...] = ()
    heartbeat_note: str = ""
    serving: frozenset[str] | None = None  # hosts whose heartbeat was up before the signal; None: not known
    evidence: EvidenceState = EvidenceState.NONE
    evidence_why: str = ""
    findings: tuple[Finding, ...] = ()
    timeline: tuple[Event, ...] = ()
    plan: Plan | None = None
    profile: Profile = NO_PROFILE
