"""The declared services, one file each. This file is written by tools/profiles.

Ansible sends what an import names, and nothing else; nothing here is imported until it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import (  # noqa: F401
        designate_central,
        designate_producer,
        designate_worker,
        heat_engine,
        ironic_conductor,
        magnum_conductor,
        manila_data,
        manila_scheduler,
        manila_share,
        masakari_engine,
        mistral_executor,
        octavia_health_manager,
        octavia_worker,
        trove_taskmanager,
        watcher_applier,
        watcher_engine,
    )
