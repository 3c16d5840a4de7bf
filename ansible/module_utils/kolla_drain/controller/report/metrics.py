"""The same facts as metrics, for node_exporter's textfile collector.

https://github.com/prometheus/node_exporter#textfile-collector: HELP and TYPE of each, base units, no timestamps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .collect import seconds_of
from .model import FINISHED, INTERRUPTED, UNKNOWN, Report

Sample = tuple[dict[str, str], float]


class Metric(NamedTuple):
    """One metric: a gauge, because a file tells of the last run alone."""

    name: str
    help: str
    samples: tuple[Sample, ...]


def metrics(report: Report) -> str:
    """Return the text of the file."""
    return "".join(_text(metric) for metric in _metrics(report))


def _metrics(report: Report) -> Iterator[Metric]:
    run, sums = report.run, report.totals
    began, ended = seconds_of(run.began) or 0.0, seconds_of(run.ended) or 0.0

    def one(name: str, words: str, value: float) -> Metric:
        return Metric(f"kolla_drain_{name}", words, (({}, value),))

    about = {"play": run.name, "state": run.state}
    yield Metric("kolla_drain_run_info", "The last run that wrote a report.", ((about, 1),))
    yield one("run_start_time_seconds", "When the last run began, in seconds since the epoch.", began)
    yield one("run_end_time_seconds", "When the last run ended, in seconds since the epoch.", ended)
    yield one("run_success", "Whether the last run ended without a failure.", run.state == "ended")
    yield one("containers_stopped", "Containers that the last run stopped.", sums.containers)
    yield one("containers_killed", "Containers that SIGKILL ended.", sums.killed)
    yield one(
        "services_left_disabled", "Services that the last run left disabled.", len(report.left_disabled)
    )
    yield Metric(
        "kolla_drain_operations",
        "Operations that were in flight during the stops, by what became of them.",
        tuple(({"outcome": outcome}, getattr(sums, outcome)) for outcome in (FINISHED, INTERRUPTED, UNKNOWN)),
    )
    last = {(one.host, one.name): one for one in report.stops}.values()
    yield Metric(
        "kolla_drain_container_verdict_info",
        "What the stop of a container came to.",
        tuple(
            ({"host": one.host, "container": one.name, "verdict": one.verdict}, 1)
            for one in last
            if one.verdict
        ),
    )
    yield Metric(
        "kolla_drain_container_phase_seconds",
        "Seconds of each phase of the stop of a container and of the start after it.",
        tuple(
            ({"host": one.host, "container": one.name, "phase": phase.name}, phase.seconds)
            for one in last
            for phase in one.phases
        ),
    )


def _text(metric: Metric) -> str:
    if not metric.samples:
        return ""
    lines = [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} gauge"]
    lines += [f"{metric.name}{_labels(labels.items())} {_number(value)}" for labels, value in metric.samples]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _labels(labels: Iterable[tuple[str, str]]) -> str:
    told = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{told}}}" if told else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
