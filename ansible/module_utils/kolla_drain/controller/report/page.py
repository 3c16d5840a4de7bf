"""The report as one HTML page for people: self-contained, without a script, for a screen, a phone and paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from .bars import OUTCOMES, axis, badge, bar, end_of, legend, named, words
from .cards import card, glance
from .collect import seconds_of
from .headline import amount
from .markup import Markup, Part, el
from .model import VERSION, Advice, Container, Failure, Operation, Report, Step
from .scale import Scale, clock, spelled

_STYLE = Path(__file__).with_name("page.css")
# Nothing is fetched, whatever a text of the report looks like.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STATES = {
    "under_way": "under way",
    "ended": "no task failed",
    "failed": "failed",
    "interrupted": "interrupted",
}
_UNHEARD = (
    "It began at {} UTC, and its end was not heard of. What it began on the host may go on: run the same again, "
    "which joins it."
)


def page(report: Report) -> str:
    """Return the page."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{report.headline.text} {report.run.name}"),
        el("link", rel="icon", href="data:,"),
        el("style", Markup(_STYLE.read_text(encoding="utf-8"))),
    )
    body = el("body", _header(report), el("main", *_sections(report)), _footer(report))
    return f"<!DOCTYPE html>\n{el('html', head, body, lang='en')}\n"


def _header(report: Report) -> Markup:
    run, first = report.run, report.headline
    about = (f"{run.began[:10]} {clock(run.began)} UTC", spelled(run.seconds), _STATES[run.state])
    return el(
        "header",
        el("p", run.name, [[" · ", el("span", part)] for part in about], class_="about"),
        el("h1", first.text),
        el("p", " ".join(first.more), class_="more") if first.more else None,
        class_=f"first {first.level}",
    )


def _footer(report: Report) -> Markup:
    until = f"{report.run.ended[:10]} {clock(report.run.ended)} UTC"
    return el(
        "footer", el("p", f"kolla-drain-report {VERSION}, {until}. The JSON beside this page holds the same.")
    )


def _sections(report: Report) -> Iterator[Part]:
    yield _to_do(report)
    yield _failures(report)
    yield _numbers(report)
    yield _overview(report.stops)
    yield _containers(report.stops)
    if report.seen:
        title = "Looked at and not touched" if report.stops else "Now"
        yield _section(title, el("ul", [glance(one) for one in report.seen], class_="seen"))
    if report.steps:
        yield _section("Around the stops", el("ol", [_step(step) for step in report.steps], class_="events"))


def _section(title: str, *parts: Part) -> Markup:
    name = title.lower().replace(" ", "-")
    return el("section", el("h2", title, id=name), *parts, aria_labelledby=name)


# --- what to do


def _to_do(report: Report) -> Markup | None:
    items = [
        _item(named(op), op.outcome, op.advice, f"{one.name} on {one.host}: {one.reason}.")
        for one in report.stops
        for op in one.lost
    ]
    items += [_item("Enable again", "in_flight", told) for told in report.left_disabled]
    if report.run.state != "under_way":
        items += [
            _item(f"{one.host}: {one.task}", "unknown", Advice(_UNHEARD.format(clock(one.since))))
            for one in report.unheard
        ]
    return _section("What to do", el("ol", items, class_="todo")) if items else None


def _item(title: Part, outcome: str, told: Advice | None, where: str = "") -> Markup:
    level, mark, word = OUTCOMES[outcome]
    text, commands = (told.text, told.commands) if told else ("", ())
    return el(
        "li",
        el("h3", title, " ", badge(level, mark, word) if outcome != "in_flight" else None),
        el("p", where, class_="quiet") if where else None,
        el("p", text) if text else None,
        [el("pre", el("code", command), tabindex="0") for command in commands],
        class_=level,
    )


def _failures(report: Report) -> Markup | None:
    items = [_failure(one) for one in report.failures]
    return _section("What failed", el("ul", items, class_="todo")) if items else None


def _failure(one: Failure) -> Markup:
    word = badge("doubt", "!", "unreachable" if one.unreachable else "failed")
    return el("li", el("h3", f"{one.host}: {one.task}", " ", word), el("p", one.text), class_="doubt")


# --- sums


def _numbers(report: Report) -> Markup:
    sums, run = report.totals, report.run
    of_what = "operation" if sums.in_flight == 1 else "operations"
    shown: list[tuple[str, Part, str, str]] = [("in flight", sums.in_flight, of_what, "")]
    if report.stops:
        shown.append(("finished", sums.finished, "of them", "good" if sums.finished else ""))
        shown.append(("interrupted", sums.interrupted, "of them", "bad" if sums.interrupted else ""))
    if sums.unknown:
        shown.append(("unknown", sums.unknown, "of them", "doubt"))
    if sums.longest_gap is not None:
        shown.append(("longest gap", spelled(sums.longest_gap), sums.longest_gap_of, ""))
    where = (
        f"{amount(sums.containers, 'container')} on {amount(sums.hosts, 'host')}" if sums.containers else ""
    )
    shown.append(("wall time", spelled(run.seconds), where, ""))
    tiles = [
        el("div", el("dt", name), el("dd", el("b", value), el("span", more)), class_=level)
        for name, value, more, level in shown
    ]
    return _section("In numbers", el("dl", tiles, class_="numbers"))


# --- the run in time


def _overview(stops: Sequence[Container]) -> Markup | None:
    lanes = [(number, one) for number, one in enumerate(stops) if one.phases]
    if len(lanes) < 2:
        return None
    zero = min(_epoch(one) for _, one in lanes)
    scale = Scale(0.0, max(_epoch(one) - zero + end_of(one) for _, one in lanes))
    ticks = el("li", el("div", class_="label"), axis(scale), class_="ticks", aria_hidden="true")
    rows = [_lane(number, one, scale, _epoch(one) - zero) for number, one in lanes]
    return _section("The run in time", legend(stops), el("ol", ticks, rows, class_="lanes"))


def _lane(number: int, one: Container, scale: Scale, offset: float) -> Markup:
    name = el("a", f"{one.name} ", el("small", one.host), href=f"#c{number}")
    spent = el("small", f"{spelled(end_of(one))}, {words(one.verdict) or one.did}")
    bars = [bar(scale, phase.at + offset, phase.seconds, phase.name) for phase in one.phases]
    marks = [_mark(scale, offset + end_of(one), op) for op in one.lost[:1]]
    track = el("div", bars, marks, class_="track", aria_hidden="true")
    return el("li", el("div", name, spent, class_="label"), track)


def _mark(scale: Scale, at: float, op: Operation) -> Markup:
    level, mark, _ = OUTCOMES[op.outcome]
    return el("b", mark, class_=f"mark {level}", style=f"left:{scale.span(at, 0)[0]}%")


def _epoch(one: Container) -> float:
    return seconds_of(one.began) or 0.0


def _containers(stops: Sequence[Container]) -> Markup | None:
    if not stops:
        return None
    hosts: list[Markup] = []
    for host in dict.fromkeys(one.host for one in stops):
        cards = [card(number, one) for number, one in enumerate(stops) if one.host == host]
        name = f"host-{len(hosts)}"
        hosts.append(el("section", el("h3", host, id=name), cards, aria_labelledby=name, class_="host"))
    return _section("Containers", hosts)


def _step(step: Step) -> Markup:
    text = el("span", el("b", step.host), f" {step.text}")
    return el("li", el("span", clock(step.at)), " ", text, class_="doubt" if step.failed else "")
