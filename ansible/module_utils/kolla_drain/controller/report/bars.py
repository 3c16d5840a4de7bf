"""Pieces of the page: the bars and ticks of a line of time, and the marks of what became of something.

What a bar shows stands beside it in words, so that bars are hidden from screen readers.
"""

from __future__ import annotations

from collections.abc import Iterable

from .markup import Markup, el
from .model import Container, Operation
from .scale import Scale

# The level, the mark and the word of each outcome.
OUTCOMES = {
    "finished": ("good", "✓", "finished"),
    "interrupted": ("bad", "✕", "interrupted"),
    "unknown": ("doubt", "?", "unknown"),
    "in_flight": ("plain", "•", "in flight"),
}
_PHASES = {
    "quiesce": "waiting for its work, service alive",
    "drain": "from the stop signal to the exit",
    "kill": "from SIGKILL to the exit",
    "gap": "from the exit to the new process",
    "ready": "from the start until it serves",
}


def badge(level: str, mark: str, word: str) -> Markup:
    """Return what became of something, as a mark and a word."""
    return el("span", el("span", mark, aria_hidden="true"), f" {word}", class_=f"badge {level}")


def named(op: Operation) -> Markup:
    """Return the kind and the id of an operation."""
    return el("span", el("b", op.kind), " ", op.id, class_="id")


def legend(stops: Iterable[Container]) -> Markup:
    """Return what the phases mean that these stops have."""
    there = {phase.name for one in stops for phase in one.phases}
    items = [phase_in_words(name, meaning) for name, meaning in _PHASES.items() if name in there]
    return el("ul", items, class_="legend")


def phase_in_words(name: str, text: str) -> Markup:
    """Return an item of a legend."""
    swatch = el("span", class_=f"swatch {name}", aria_hidden="true")
    return el("li", swatch, el("b", name), f" {text}")


def axis(scale: Scale) -> Markup:
    """Return the ticks of a line of time."""
    ticks = [el("span", text, style=f"left:{left}%", class_=side) for text, left, side in scale.ticks()]
    return el("div", ticks, class_="axis")


def bar(scale: Scale, at: float, seconds: float, kind: str) -> Markup:
    """Return a bar on a line of time; its colour is that of a phase or of a level."""
    left, width = scale.span(at, seconds)
    return el("i", class_=f"bar {kind}", style=f"left:{left}%;width:{width}%")


def end_of(one: Container) -> float:
    """Return when the last phase of a container ended, in seconds since its stop began."""
    return max((phase.at + phase.seconds for phase in one.phases), default=0.0)


def words(name: str) -> str:
    """Return a name of several words as they are read."""
    return name.replace("_", " ")
