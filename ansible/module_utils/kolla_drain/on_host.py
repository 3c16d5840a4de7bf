"""Which of a host's containers are Kolla's: all of them are meant where none is named."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Protocol

from .container_spec import ONE_OFF_LABEL, OWN_LABELS

# Every image of Kolla has it.
KOLLA_LABEL = "kolla_version"

# Where kolla-ansible writes the units that own its containers.
UNITS = "/etc/systemd/system"

_UNIT = re.compile(r"kolla-(.+)-container\.service\Z")

# What an exchange leaves beside the container that bears the name.
_LEFT_ASIDE = (".new", ".old", ".failed")


class Engine(Protocol):
    """What is asked of a container engine."""

    def everything(self) -> Mapping[str, Mapping[str, str]]:
        """The labels of every container by its name, whether it runs or not."""


def kolla_names(engine: Engine, units: str = UNITS) -> tuple[str, ...]:
    """The containers that are Kolla's or ours, by name: by a label, or by the unit that owns them.

    Those that are run once to their end, and those that an exchange put aside, are not among them.
    """
    owned = _owned(units)
    return tuple(
        sorted(
            name
            for name, labels in engine.everything().items()
            if (name in owned or _ours(labels)) and ONE_OFF_LABEL not in labels and not _aside(name)
        )
    )


def _ours(labels: Mapping[str, str]) -> bool:
    return KOLLA_LABEL in labels or any(label.startswith(OWN_LABELS) for label in labels)


def _aside(name: str) -> bool:
    return name.endswith(_LEFT_ASIDE)


def _owned(units: str) -> set[str]:
    try:
        files = os.listdir(units)
    except OSError:  # no systemd here
        return set()
    return {match.group(1) for match in map(_UNIT.match, files) if match}
