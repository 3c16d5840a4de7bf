"""Make the report of a run from the results of its tasks.

Who stopped what, and how that went, is in the results alone: those of kolla_docker, of kolla_container where it was
drained first, of kolla_service and of kolla_haproxy. Of all other tasks only failures count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ...masking import masked_deep, tame
from .headline import headline
from .model import (
    IN_FLIGHT,
    Advice,
    Container,
    Event,
    Failure,
    Operation,
    Phase,
    Report,
    Run,
    Step,
    Unheard,
    totals,
)
from .remedies import advice

# async_status gives the result of a task that was left to run by itself.
OURS = ("kolla_docker", "kolla_container", "kolla_service", "kolla_haproxy", "async_status")
_HIDDEN = "what it said is hidden by no_log"
_LONGEST = 2000  # letters of a failure's message
_SENT = re.compile(r"(?!SIGKILL )\S+ sent: ")
_KILLED = re.compile(r"SIGKILL sent: ")
_REPLACING = ("recreate_or_restart_container", "start_container")


@dataclass(frozen=True)
class Fact:
    """The end of one task, or of one item of its loop, on one host. Moments are seconds since the epoch."""

    host: str
    task: str  # its name
    module: str  # the last part of its action
    began: float  # of the task, with all items of its loop
    ended: float
    result: Mapping[str, Any]
    failed: bool = False
    ignored: bool = False  # the failure does not end the play
    unreachable: bool = False
    args: Mapping[str, Any] = field(default_factory=dict)


def report(run: Run, facts: Sequence[Fact], unheard: Iterable[Unheard] = ()) -> Report:
    """Return the report. Secrets in what the tasks said are masked."""
    cleaned = [_clean(fact) for fact in facts]
    found = [container for fact in cleaned for container in _containers(fact)]
    touched = {(one.host, one.name) for one in found if one.did != "seen"}
    # Of a container that nothing was done to the last look counts.
    looks = {(one.host, one.name): one for one in found if (one.host, one.name) not in touched}
    containers = (*(one for one in found if one.did != "seen"), *looks.values())
    sums, left = totals(containers), () if run.check else _left_disabled(cleaned)
    # Where the run ended well, what failed was put right by the play itself.
    failures, waiting = () if run.state == "ended" else _failures(cleaned), tuple(unheard)
    return Report(
        headline=headline(run, sums, containers, left, failures, waiting),
        run=run,
        totals=sums,
        containers=containers,
        left_disabled=left,
        steps=() if run.check else tuple(step for fact in cleaned for step in _steps(fact)),
        failures=failures,
        unheard=waiting,
    )


def moment(seconds: float) -> str:
    """Return seconds since the epoch as ISO 8601 in UTC, to a tenth of a second."""
    return (
        datetime.fromtimestamp(round(seconds, 1), timezone.utc).isoformat(timespec="milliseconds")[:-8] + "Z"
    )


def seconds_of(text: object) -> float | None:
    """Return the reverse of that, None for what is no moment."""
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d+)?Z?\Z", "", str(text)) + "+00:00").timestamp()
    except ValueError:
        return None


def _clean(fact: Fact) -> Fact:
    result = tame(masked_deep({key: value for key, value in fact.result.items() if key[:1] != "_"}))
    return Fact(**{**fact.__dict__, "result": result})


# --- containers


def _containers(fact: Fact) -> Iterator[Container]:
    result = fact.result
    if fact.module == "kolla_container":
        result = result.get("kolla_drain") or {}
    elif fact.module not in ("kolla_docker", "async_status"):
        return
    entries = result.get("containers")
    for entry in entries if isinstance(entries, list) else [result]:
        did = _did(entry, fact)
        if did:
            elapsed = entry.get("elapsed", result.get("elapsed"))
            yield _Stop(entry, fact, did, elapsed).container()


def _did(entry: Mapping[str, Any], fact: Fact) -> str:
    """Return what a result's entry tells of, "" for nothing that belongs into the report."""
    if not entry.get("name"):
        return ""
    if "would" in entry or ("status" in entry and "how" not in entry):
        return "seen"
    if "how" in entry:
        return "restarted" if entry.get("restarted") else "reloaded"
    if entry.get("verdict") or "timeline" in entry:
        return _stopped(entry, fact)
    return "started" if "ready_after" in entry or entry.get("created") else ""


def _stopped(entry: Mapping[str, Any], fact: Fact) -> str:
    action = fact.args.get("action")
    if fact.module == "kolla_container" and not fact.failed:
        if action in _REPLACING:
            return "replaced"
        return "restarted" if action == "restart_container" else "stopped"
    # Of a container that was replaced the result says whether the old one was put back.
    if "rolled_back" in entry:
        return "replaced"
    return "restarted" if "gap" in entry else "stopped"


class _Stop:
    """One entry of a result, with the moments of its phases, in seconds since its run on the host began."""

    def __init__(self, entry: Mapping[str, Any], fact: Fact, did: str, elapsed: float | None) -> None:
        self.entry, self.fact, self.did = entry, fact, did
        self.events = [event for event in entry.get("timeline") or () if isinstance(event, Mapping)]
        self.verdict = str(entry.get("verdict") or "")
        drained, quiesced = entry.get("drained"), entry.get("quiesced")
        last = self._at(re.compile(rf"(?:{self.verdict or 'failed'}): "))
        self.over = last if last is not None else (drained or 0.0) + (quiesced or 0.0)
        self.signalled = self._at(_SENT)
        exited = self._at(re.compile(r".* with exit code -?\d+\Z"))
        if self.signalled is not None and drained is not None:
            exited = self.signalled + drained
        elif exited is not None and drained is not None:
            self.signalled = exited - drained  # by an earlier run that this one has joined
        self.exited = exited if exited is not None else self.over
        self.killed = self._at(_KILLED)
        self.began: float = min([0.0, *(event["at"] for event in self.events)])
        if self.signalled is not None and quiesced is not None:
            self.began = min(self.signalled, self.signalled - quiesced)
        gap, ready = entry.get("gap"), entry.get("ready_after")
        ready_at = self.exited + (gap or 0.0) + (ready or 0.0)
        if fact.module == "kolla_container":
            zero = fact.began
        elif gap is not None or (ready is not None and self.events):
            zero = fact.ended - ready_at  # before the stop there was more than the stop
        else:
            zero = fact.ended - (elapsed if elapsed is not None else ready_at)
        self.zero = max(zero, 0.0)

    def _at(self, pattern: re.Pattern[str]) -> float | None:
        """Return the moment of the last event that is like this."""
        found = (float(one["at"]) for one in reversed(self.events) if pattern.match(str(one["event"])))
        return next(found, None)

    def container(self) -> Container:
        entry = self.entry
        plan = entry.get("plan") or {}
        seen = self.did == "seen"
        failed = bool(entry.get("failed")) or (self.fact.failed and entry is self.fact.result)
        return Container(
            host=self.fact.host,
            name=str(entry["name"]),
            service=str(entry.get("service") or "none"),
            did=self.did,
            verdict="" if seen else self.verdict,
            reason=str((plan.get("reason") if seen else entry.get("reason")) or entry.get("draining") or ""),
            failure=_text(self.fact.result.get("msg")) if failed and not seen else "",
            joined=bool(entry.get("joined")),
            signal=str((plan.get("signal") if seen else entry.get("signal")) or ""),
            exit_code=entry.get("exit_code"),
            oom_killed=bool(entry.get("oom_killed")),
            evidence=str(entry.get("evidence") or "none"),
            evidence_why=str(entry.get("evidence_why") or ""),
            timeout=entry.get("timeout", plan.get("timeout")),
            began=moment(self.zero + self.began),
            quiesced=entry.get("quiesced"),
            drained=entry.get("drained"),
            gap=entry.get("gap"),
            ready_after=entry.get("ready_after"),
            ready_by=str(entry.get("ready_by") or ""),
            rolled_back=bool(entry.get("rolled_back")),
            phases=() if seen else tuple(self._phases()),
            events=tuple(Event(self._since(one["at"]), str(one["event"])) for one in self.events),
            operations=tuple(self._operation(one) for one in entry.get("operations") or ()),
            findings=tuple(str(one["text"]) for one in entry.get("preflight") or ()),
        )

    def _since(self, at: float) -> float:
        """Return seconds since the stop began."""
        return round(float(at) - self.began, 1) + 0.0  # and not -0.0

    def _phases(self) -> Iterator[Phase]:
        parts: list[tuple[str, float, float]] = []
        if self.events:
            left = self.verdict == "left_running"
            end = self.over if left else self.exited
            signalled = self.signalled if self.signalled is not None else end
            parts.append(("quiesce", self.began, signalled))
            killed = self.killed if self.killed is not None else end
            parts += [("drain", signalled, killed), ("kill", killed, end)]
        at = self.exited if self.events else 0.0
        gap, ready = self.entry.get("gap"), self.entry.get("ready_after")
        if gap is not None:
            parts.append(("gap", at, at + gap))
        if ready is not None:
            at += gap or 0.0
            parts.append(("ready", at, at + ready))
        for name, begin, end in parts:
            # The kill may take less than a tenth of a second, and is a part of the story all the same.
            if end - begin >= 0.05 or (name == "kill" and self.killed is not None):
                yield Phase(name, self._since(begin), round(end - begin, 1))

    def _operation(self, told: Mapping[str, Any]) -> Operation:
        kind, id_ = str(told.get("kind")), str(told.get("id"))
        outcome = str(told.get("outcome") or IN_FLIGHT)
        last, fate = str(told.get("last_status") or told.get("status") or ""), str(told.get("fate") or "")
        began, ended = self._span(kind, id_, told.get("since"))
        return Operation(
            kind=kind,
            id=id_,
            status=str(told.get("status") or ""),
            outcome=outcome,
            last_status=last,
            fate=fate,
            unattributed=str(told.get("unattributed") or ""),
            since=told.get("since"),
            began=began,
            ended=ended,
            advice=advice(str(self.entry.get("service") or ""), kind, id_, outcome, last, self._fate(fate)),
        )

    def _fate(self, fate: str) -> str:
        """Return the fate with the news that the start which decides it was in this run."""
        over = fate.startswith("its next start") and self.did in ("replaced", "restarted")
        return f"{fate}; that start was in this run" if over and not self.fact.failed else fate

    def _span(self, kind: str, id_: str, since: object) -> tuple[float | None, float | None]:
        """Return from when to when an operation was in flight, as far as the timeline tells."""
        if not self.events:
            return None, None
        named = re.escape(f"{kind} {id_} (")
        begins = [one["at"] for one in self.events if re.match(rf"{named}.*\) in flight\Z", one["event"])]
        began = min(begins, default=self.began)
        asked = seconds_of(since)
        if asked is not None:
            began = max(self.began, min(began, asked - self.zero))
        ended = self._at(re.compile(rf"{named}.*\) ended: "))
        if ended is None:
            ended = self.over if self.verdict == "left_running" else self.exited
        return self._since(began), max(self._since(began), self._since(ended))


# --- around them


def _steps(fact: Fact) -> Iterator[Step]:
    result, at = fact.result, moment(fact.ended)
    if fact.module not in ("kolla_service", "kolla_haproxy"):
        return
    if fact.failed or result.get("failed") or ("answered" in result and "servers" not in result):
        if not fact.unreachable and result.get("msg"):
            yield Step(at, fact.host, _text(result["msg"]), failed=True)
        return
    if not result.get("changed"):
        return
    if fact.module == "kolla_service":
        names = (f"{one['binary']} at {one['host']} {one['status']}" for one in result.get("services") or ())
        text = ", ".join(dict.fromkeys(names))
    else:
        backends = ", ".join(dict.fromkeys(str(one["backend"]) for one in result.get("servers") or ()))
        done = "put back into HAProxy" if fact.args.get("state") == "ready" else "taken out of HAProxy"
        text = f"{done}: {backends}" if backends else done
    if text:
        yield Step(at, fact.host, text)


def _left_disabled(facts: Iterable[Fact]) -> tuple[Advice, ...]:
    """Return the services that were disabled by this project at the last answer about them."""
    left: dict[tuple[str, str], Advice] = {}
    for fact in facts:
        if fact.module != "kolla_service":
            continue
        for one in fact.result.get("services") or ():
            key = str(one.get("binary")), str(one.get("host"))
            left.pop(key, None)
            if one.get("status") == "disabled" and one.get("disabled_by_us"):
                undo = [
                    str(word) for word in fact.result.get("undo") or () if all(part in word for part in key)
                ]
                left[key] = Advice(
                    f"{key[0]} at {key[1]} is disabled, and is given no new work.", tuple(undo[:1])
                )
    return tuple(left.values())


def _failures(facts: Iterable[Fact]) -> tuple[Failure, ...]:
    told: list[Failure] = []
    for fact in facts:
        if (not fact.failed and not fact.unreachable) or fact.ignored:
            continue
        text = _HIDDEN if "censored" in fact.result else _text(fact.result.get("msg")) or "it failed"
        # A role that ends the play says once more why.
        told = [one for one in told if one.host != fact.host or one.text not in text]
        told.append(Failure(moment(fact.ended), fact.host, fact.task, text, fact.unreachable))
    return tuple(told)


def _text(value: object) -> str:
    text = " ".join(str(value or "").split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
