"""A service's own time-outs, in order below ours: manager_shutdown_timeout < graceful_shutdown_timeout < ours.

``wanted`` is pure. ``edited`` changes one option in the text of a configuration file and leaves the rest as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from .config import ServiceConfig

GRACEFUL, MANAGER = "graceful_shutdown_timeout", "manager_shutdown_timeout"
# What Nova keeps of its graceful_shutdown_timeout for its second RPC server (FACTS 4).
MANAGER_MARGIN = 20


@dataclass(frozen=True)
class Change:
    """One option that should be another, and why."""

    option: str
    now: int
    wanted: int
    why: str
    # False: the order is right, and the service only gives up earlier than it might.
    wrong: bool

    def text(self, service: str) -> str:
        return (
            f"{service}: [DEFAULT]/{self.option} is {self.now} s and should be {self.wanted} s: {self.why}."
        )


def wanted(config: ServiceConfig, ours: int, margin: int) -> list[Change]:
    """What should be changed; an order that somebody chose and that is right stays."""
    graceful = max(1, ours - margin)
    now = config.graceful_shutdown_timeout
    found = []
    if now == 0 or now >= ours:
        why = (
            "0 is endless, so the service never gives up by itself"
            if now == 0
            else f"it is not below our {ours} s"
        )
        found.append(Change(GRACEFUL, now, graceful, why, wrong=True))
    elif GRACEFUL not in config.stated and now < graceful:
        why = f"the default makes the service drop its work long before our {ours} s are over"
        found.append(Change(GRACEFUL, now, graceful, why, wrong=False))
    else:
        graceful = now
    found.extend(_manager(config, graceful))
    return found


def _manager(config: ServiceConfig, graceful: int) -> list[Change]:
    now = config.manager_shutdown_timeout
    if now is None or now < graceful:
        return []
    why = f"it is not below the service's graceful_shutdown_timeout of {graceful} s"
    return [Change(MANAGER, now, max(1, graceful - min(MANAGER_MARGIN, graceful // 2)), why, wrong=True)]


def apply(files: Sequence[str], changes: Sequence[Change], *, write: bool) -> str:
    """Make the changes; returns the file that they are for. In place: a mounted file must keep its inode."""
    path = Path(files[-1])  # of an option set twice the later file wins
    try:
        text = path.read_text(encoding="utf-8")
        after = text
        for change in changes:
            after = edited(after, change.option, change.wanted)
        if write and after != text:
            with path.open("r+", encoding="utf-8") as file:
                file.write(after)
                file.truncate()
    except (OSError, UnicodeDecodeError) as exc:
        why = getattr(exc, "strerror", None) or type(exc).__name__
        raise ConfigError(f"{path} could not be changed: {why}; set the time-outs there by hand") from None
    return str(path)


def edited(text: str, option: str, value: int) -> str:
    """The text with [DEFAULT]/option at this value; of several lines the last one, which counts, is changed."""
    lines = [f"{line}\n" for line in text.splitlines()]
    section, header, there = (
        "DEFAULT",
        None,
        None,
    )  # what stands before any section is [DEFAULT]'s in oslo.config
    for number, line in enumerate(lines):
        opened = re.match(r"\s*\[([^\]]+)\]", line)
        if opened:
            section = opened.group(1)
            header = number if section == "DEFAULT" and header is None else header
        elif section == "DEFAULT" and re.match(rf"{option}\s*[=:]", line):
            there = number
    new = f"{option} = {value}\n"
    if there is not None:
        lines[there] = new
    elif header is not None:
        lines.insert(header + 1, new)
    else:
        lines[:0] = ["[DEFAULT]\n", new]
    return "".join(lines)
