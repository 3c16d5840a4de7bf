"""Unpause what a run of an earlier version left paused. To be removed after 2027-06-30.

Until November 2026 kolla-drain ended Cinder's services while they were paused, and the ledger's entry said since when
(``frozen``). A process of its own unpaused a container whose run had died; where that process died too, the container
is still paused. The ledger lies under /run, so that no host has such an entry after its next reboot.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from ..engine.port import Engine
from ..host.ledger import FOLDER, Ledger
from ..host.process import lives
from ..model import ContainerStatus


def unpause_leftovers(
    engine: Engine, folder: str = FOLDER, living: Callable[[str], bool] = lives
) -> list[str]:
    """Unpause the containers that a dead run of an earlier version left paused; returns their names.

    Raises EngineError, LedgerError.
    """
    ledger, unpaused = Ledger(folder), []
    for old in _paused_entries(folder):
        if any(living(owner) for owner in str(old.get("owners", "")).splitlines()):
            continue
        container_id = str(old.get("container_id"))
        with ledger.held(container_id):
            container = engine.inspect(container_id)
            if container is not None and container.status is ContainerStatus.PAUSED:
                engine.unpause(container.id)
                unpaused.append(container.name)
            # Written anew without the old key, so that a pause by somebody else later on is not taken for this one.
            entry = ledger.read(container_id)
            if entry is not None:
                ledger.write(entry)
    return unpaused


def _paused_entries(folder: str) -> Iterator[dict[str, Any]]:
    """Yield the entries with a pause, as they lie there; what cannot be read is the ledger's to report."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        if not name.endswith(".json"):
            continue
        try:
            with open(os.path.join(folder, name), encoding="utf-8") as stream:
                entry = json.load(stream)
        except (OSError, ValueError):
            continue
        if isinstance(entry, dict) and entry.get("frozen") is not None:
            yield entry
