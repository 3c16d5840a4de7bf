"""The process that lets go of the units of a run that was killed."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

from ..errors import KollaDrainError
from ..host.process import lives
from .hold import Holds
from .systemctl import Systemctl

_LOOK = 0.2

# Seconds before each try to let go of what a dead run holds.
_TRIES = (0.0, 1.0, 5.0, 15.0, 30.0)

# This module's name as Python finds it from the folder that holds the package.
_MODULE = __name__.split(".")[-3:]


def watch(ctl: Systemctl, owner: str) -> None:
    """Start the watcher of process ``owner``; return once it is there. Raises UnitError."""
    # The folder may be a zip that Ansible has made.
    folder = Path(__file__).absolute().parents[len(_MODULE) - 1]
    ctl.ask(
        (
            "systemd-run",
            "--quiet",
            "--collect",
            "--service-type=notify",
            f"--unit=kolla-drain-hold-{owner.replace(' ', '-')}",
            f"--property=Description=Lets go of kolla-drain's units when process {owner.split(' ')[0]} ends",
            # It outlasts the beginning of a shutdown, which a held unit would hold up once the run is gone.
            "--property=DefaultDependencies=no",
            f"--setenv=PYTHONPATH={folder}",
            "--",
            *(sys.executable, "-m", ".".join(_MODULE), owner),
        )
    )


def main(owner: str) -> int:
    """Run the watcher, which has loaded all of its code before it reports that it is ready. Return its exit code."""
    _notify("READY=1")
    while lives(owner):
        time.sleep(_LOOK)
    holds, why = Holds(Systemctl()), ""
    for pause in _TRIES:
        time.sleep(pause)
        try:
            holds.release(owner)
            return 0
        except KollaDrainError as exc:
            why = str(exc)
    print(f"The next stop on this host lets go of what is still held: {why}", file=sys.stderr)
    return 1


def _notify(state: str) -> None:
    """Report a state to systemd as in sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto(state.encode(), f"\0{address[1:]}" if address[0] == "@" else address)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
