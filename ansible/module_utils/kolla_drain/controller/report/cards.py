"""The page's parts about single containers: what was done with each, and what it had in flight."""

from __future__ import annotations

from collections.abc import Sequence

from .bars import OUTCOMES, axis, badge, bar, end_of, named, phase_in_words, words
from .headline import amount
from .markup import Markup, el
from .model import Container, Operation
from .scale import Scale, spelled

_VERDICTS = {
    "drained": "good",
    "cut": "bad",
    "killed": "bad",
    "left_running": "doubt",
}


def card(number: int, one: Container) -> Markup:
    """Return a container that something was done with. It is unfolded where there is something to see."""
    summary = el(
        "summary",
        el("h4", one.name),
        badge(_level(one), "■", words(one.verdict) or one.did),
        el("span", _brief(one), class_="quiet"),
    )
    told = one.failure or (f"{one.reason[:1].upper()}{one.reason[1:]}." if one.reason else "")
    scale = Scale(0.0, max(end_of(one), *(op.ended or 0.0 for op in one.operations), 0.1))
    return el(
        "details",
        summary,
        el("p", told) if told else None,
        _timeline(one, scale) if one.phases else None,
        _operations(one.operations, scale if one.phases else None),
        _facts(one),
        _events(one),
        id=f"c{number}",
        open=one.troubled or bool(one.operations),
        class_="card bad" if one.troubled else "card",
    )


def glance(one: Container) -> Markup:
    """Return a container that was only looked at."""
    if one.evidence == "unavailable":
        seen = f"what it is doing could not be seen: {one.evidence_why}"
    elif one.evidence == "none":
        seen = "without evidence"
    else:
        seen = f"{amount(len(one.operations), 'operation')} in flight"
    line = el(
        "div", el("b", one.name), el("small", one.host), el("span", seen, class_="quiet"), class_="line"
    )
    return el("li", line, _operations(one.operations, None))


def _level(one: Container) -> str:
    if one.failure or one.rolled_back:
        return "bad"
    return "doubt" if one.unproved else _VERDICTS.get(one.verdict, "plain")


def _brief(one: Container) -> str:
    parts = [one.did] if one.verdict else []
    if one.operations:
        parts.append(amount(len(one.operations), "operation"))
    if one.phases:
        parts.append(spelled(end_of(one)))
    return ", ".join(parts)


def _timeline(one: Container, scale: Scale) -> Markup:
    bars = [bar(scale, phase.at, phase.seconds, phase.name) for phase in one.phases]
    spent = [phase_in_words(phase.name, spelled(phase.seconds)) for phase in one.phases]
    ticks = el("div", axis(scale), class_="ticks", aria_hidden="true")
    track = el("div", bars, class_="track tall", aria_hidden="true")
    return el("div", ticks, track, el("ul", spent, class_="legend"), class_="timeline")


def _operations(operations: Sequence[Operation], scale: Scale | None) -> Markup | None:
    return el("ul", [_operation(op, scale) for op in operations], class_="operations") if operations else None


def _operation(op: Operation, scale: Scale | None) -> Markup:
    level, mark, word = OUTCOMES[op.outcome]
    told, drawn = words(op.last_status), None
    if scale is not None and op.began is not None and op.ended is not None:
        told = f"from {spelled(op.began)} to {spelled(op.ended)}, {told}"
        line = bar(scale, op.began, op.ended - op.began, level)
        drawn = el("div", line, class_="track", aria_hidden="true")
    line = el("div", named(op), badge(level, mark, word), el("span", told, class_="quiet"), class_="line")
    return el("li", line, drawn)


def _facts(one: Container) -> Markup:
    facts: list[tuple[str, str]] = []
    if one.timeout is not None:
        facts.append(("time-out", spelled(one.timeout)))
    if one.signal:
        facts.append(("stop signal", f"{one.signal}{', by an earlier run' if one.joined else ''}"))
    if one.exit_code is not None:
        facts.append(("exit code", f"{one.exit_code}{', out of memory' if one.oom_killed else ''}"))
    facts.append(("evidence", f"{one.evidence}{f': {one.evidence_why}' if one.evidence_why else ''}"))
    if one.ready_by:
        facts.append(("ready by", one.ready_by))
    if one.rolled_back:
        facts.append(("rolled back", "the old container was put back"))
    facts += [("found before", text) for text in one.findings]
    return el("dl", [el("div", el("dt", name), el("dd", value)) for name, value in facts], class_="facts")


def _events(one: Container) -> Markup | None:
    if not one.events:
        return None
    rows = [el("li", el("span", f"{event.at:.1f} s"), " ", el("span", event.event)) for event in one.events]
    summary = el("summary", amount(len(rows), "event"))
    return el("details", summary, el("ol", rows, class_="events"), class_="inner")
