"""The first lines of a report: whether anything was lost, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .model import BAD, Advice, Container, Failure, Headline, Run, Totals, Unheard


def headline(
    run: Run,
    sums: Totals,
    containers: Sequence[Container],
    left_disabled: Sequence[Advice],
    failures: Sequence[Failure],
    unheard: Sequence[Unheard],
) -> Headline:
    """Return them; the worst comes first."""
    level, text = _first(run, sums, containers, bool(unheard))
    more = tuple(_more(run, sums, containers, left_disabled, failures, unheard))
    if level == "good" and run.state in ("failed", "interrupted"):
        level = "doubt"
    return Headline(level, text, more)


def _first(run: Run, sums: Totals, containers: Sequence[Container], partly: bool) -> tuple[str, str]:
    ended = [one for one in containers if one.verdict in BAD]
    if run.check:
        return "good", "Nothing was touched: this was a dry run."
    if sums.interrupted:
        return "bad", f"{amount(sums.interrupted, 'operation')} {_was(sums.interrupted)} interrupted."
    if sums.unknown:
        return "doubt", f"What became of {amount(sums.unknown, 'operation')} is not known."
    if ended:
        how = (
            "killed at its deadline" if ended[0].verdict == "killed" else "stopped in the middle of its work"
        )
        text = (
            f"{ended[0].name} on {ended[0].host} was {how}"
            if len(ended) == 1
            else (f"{len(ended)} containers were not drained")
        )
        return "bad", f"{text}."
    left = [one for one in containers if one.verdict == "left_running"]
    if left:
        return (
            "doubt",
            f"Nothing was lost, and {amount(len(left), 'container')} {_was(len(left))} left running.",
        )
    blind = [one for one in containers if one.unproved]
    if blind:
        return "doubt", f"Nobody knows whether {amount(len(blind), 'container')} lost anything."
    if run.state == "under_way":
        return "good", "Nothing was lost so far."
    if partly:
        return "doubt", "Nothing was lost, as far as this run has heard."
    if not any(one.did != "seen" for one in containers):
        return "good", "Nothing was stopped."
    return "good", "Nothing was lost."


def _more(
    run: Run,
    sums: Totals,
    containers: Sequence[Container],
    left_disabled: Sequence[Advice],
    failures: Sequence[Failure],
    unheard: Sequence[Unheard],
) -> Iterator[str]:
    stopped = any(one.stopped for one in containers)
    if not stopped and sums.in_flight:
        yield f"{amount(sums.in_flight, 'operation')} {_is(sums.in_flight)} in flight."
    elif sums.interrupted or sums.unknown:
        rest = sums.finished
        yield (
            f"{rest} of {sums.in_flight} that were in flight finished."
            if sums.in_flight > 1
            else ("It was the only one in flight.")
        )
    elif stopped and sums.in_flight:
        yield f"{amount(sums.in_flight, 'operation')} {_was(sums.in_flight)} in flight and finished."
    elif stopped:
        yield "No operation was seen in flight."
    if any(one.verdict == "left_running" for one in containers):
        yield "Run the same again to wait on."
    if run.state == "under_way":
        yield "The run is under way, or its controller is gone."
    elif run.state == "interrupted":
        yield "The run was interrupted; run the same again, which joins what is under way."
    elif run.state == "failed":
        hosts = len({one.host for one in failures})
        yield f"The run failed on {amount(hosts, 'host')}." if hosts else "The run failed."
    if unheard and run.state != "under_way":
        yield f"{amount(len(unheard), 'task')} of it {_has(len(unheard))} not been heard of since."
    if left_disabled:
        yield f"{amount(len(left_disabled), 'service')} {_is(len(left_disabled))} still disabled."


def amount(number: int, thing: str) -> str:
    """Return ``1 operation``, ``2 operations``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _has(number: int) -> str:
    return "has" if number == 1 else "have"
