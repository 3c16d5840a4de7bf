"""One look at the systemd unit of a container, out of what ``systemctl show`` prints. Pure."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from ..kolla import unit_name
from .hold import DROP_IN
from .systemctl import time_span

# A command as ``systemctl show`` prints it.
_COMMAND = re.compile(r"argv\[\]=(.*?) ;")

PROPERTIES = (
    "LoadState,LoadError,ActiveState,SubState,UnitFileState,FragmentPath,DropInPaths,TimeoutStopUSec,ExecStop,"
    "ExecStopPost,Restart,Result"
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
    drop_ins: tuple[str, ...] = ()  # without the hold's
    # Seconds after which a stop by systemd kills, by itself or by the engine's stop that it runs; None is infinity.
    stop_timeout: float | None = None
    restart: str = "no"
    result: str = ""
    error: str = ""
    held: bool = False
    overriding: tuple[str, ...] = ()  # drop-ins that come after the hold's
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
        """Whether it counts as active without a process (RemainAfterExit), so that a start of it does nothing."""
        return self.sub == "exited"


def unit_of(container: str, printed: str) -> Unit:
    """Return the unit whose PROPERTIES were printed so. Raises KeyError without LoadState or ActiveState."""
    from .unit_file import grace

    shown: dict[str, str] = {}
    for name, _, value in (line.partition("=") for line in printed.strip().splitlines()):
        shown[name] = f"{shown.get(name, '')} {value}".strip()  # a line for each of several commands
    drop_ins = shown.get("DropInPaths", "").split()
    held = [place for place, path in enumerate(drop_ins, 1) if os.path.basename(path) == DROP_IN]
    limits = [
        time_span(shown.get("TimeoutStopUSec", "")),
        *map(grace, _COMMAND.findall(shown.get("ExecStop", ""))),
    ]
    return Unit(
        name=unit_name(container),
        container=container,
        load=shown["LoadState"],
        state=shown["ActiveState"],
        sub=shown.get("SubState", ""),
        enabled=shown.get("UnitFileState", ""),
        path=shown.get("FragmentPath", ""),
        drop_ins=tuple(path for path in drop_ins if os.path.basename(path) != DROP_IN),
        stop_timeout=min((seconds for seconds in limits if seconds is not None), default=None),
        restart=shown.get("Restart", "no"),
        result=shown.get("Result", ""),
        error=shown.get("LoadError", "").strip('"'),
        held=bool(held),
        overriding=tuple(drop_ins[held[-1] :]) if held else (),
        cleans_up=bool(shown.get("ExecStopPost")),
    )
