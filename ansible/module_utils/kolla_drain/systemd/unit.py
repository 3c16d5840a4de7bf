"""TODO: say what this is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..kolla import unit_name
from .hold import DROP_IN
from .systemctl import parse_time_span
from .unit_file import grace

# Its presence says that systemd is the host's PID 1 (sd_booted(3)).
BOOTED = "/run/systemd/system"
FOLDER = "/etc/systemd/system"
# A command as ``systemctl show`` prints it.
_COMMAND = re.compile(r"argv\[\]=(.*?) ;")

PROPERTIES = (
    "LoadState",
    "LoadError",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "FragmentPath",
    "DropInPaths",
    "TimeoutStopUSec",
    "ExecStop",
    "ExecStopPost",
    "Restart",
    "Result",
)


@dataclass(frozen=True)
class Unit:
    """One look at a container's unit."""

    name: str
    container: str
    load: str = "loaded"  # not-found, masked, bad-setting, error
    state: str = "inactive"  # ActiveState
    sub: str = ""
    enabled: str = ""
    path: str = ""
    drop_ins: tuple[str, ...] = ()  # without a hold
    # Seconds until a stop by systemd kills: systemd itself, or the engine's stop that it runs; None is infinity.
    stop_timeout: float | None = None
    restart: str = "no"
    result: str = ""
    error: str = ""
    held: bool = False
    overriding: tuple[str, ...] = ()  # drop-ins that come after a hold
    cleans_up: bool = False  # runs something once it has stopped (ExecStopPost)

    @property
    def at_rest(self) -> bool:
        """Whether it does nothing and is about to do nothing."""
        return self.state in ("inactive", "failed")

    @property
    def usable(self) -> bool:
        """Whether its container can be started through it."""
        return self.load == "loaded"

    @property
    def waiting(self) -> bool:
        """Whether it is about to start its container again."""
        return self.sub.startswith("auto-restart")  # auto-restart-queued since systemd 254

    @property
    def finished(self) -> bool:
        """Whether it has no process and counts as active all the same (RemainAfterExit): a start of it does nothing."""
        return self.sub == "exited"

    @property
    def said(self) -> dict[str, Any]:
        """It as the module returns it."""
        return {
            "name": self.name,
            "state": self.state,
            "enabled": self.enabled or self.load,
            "restart": self.restart,
            "stop_timeout": self.stop_timeout,
            "drop_ins": list(self.drop_ins),
            "held": self.held,
        }


def unit_of(container: str, said: Mapping[str, str]) -> Unit:
    drop_ins = said.get("DropInPaths", "").split()
    held = [place for place, one in enumerate(drop_ins, 1) if os.path.basename(one) == DROP_IN]
    try:
        limit = parse_time_span(said.get("TimeoutStopUSec", "infinity"))
    except ValueError:
        limit = None
    limits = [limit, *map(grace, _COMMAND.findall(said.get("ExecStop", "")))]
    return Unit(
        name=unit_name(container),
        container=container,
        load=said["LoadState"],
        state=said["ActiveState"],
        sub=said.get("SubState", ""),
        enabled=said.get("UnitFileState", ""),
        path=said.get("FragmentPath", ""),
        drop_ins=tuple(one for one in drop_ins if os.path.basename(one) != DROP_IN),
        stop_timeout=min((one for one in limits if one is not None), default=None),
        restart=said.get("Restart", "no"),
        result=said.get("Result", ""),
        error=said.get("LoadError", "").strip('"'),
        held=bool(held),
        overriding=tuple(drop_ins[held[-1] :]) if held else (),
        cleans_up=bool(said.get("ExecStopPost")),
    )
