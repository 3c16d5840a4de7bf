"""How long an operation takes: read afresh from a JSON file each time.

    {"volume_create": {"seconds": 40, "how": "sleep"}, "default": {"seconds": 0}}

how: ``sleep`` yields under eventlet; ``execute`` runs a program, as most drivers
do; ``block`` stops the whole process: no heartbeat, no signal is handled.

While a file HELD is there, what sleeps begins its time again and again: it takes its seconds from the file's end on.

A file DYING/RESOURCE_ID kills the operation that sleeps on this resource: it neither goes on nor ends any more,
while its service lives. Whoever asked for it knows by the file being gone.
"""

import json
import logging
import os
import signal
import time

LOG = logging.getLogger(__name__)
FILE = os.environ.get("TESTBED_PAUSES", "/var/lib/cinder/pauses.json")
DYING = os.path.join(os.path.dirname(FILE), "dying")
HELD = "held"  # beside the file of pauses
LOOK_EVERY = 0.2
_dead: set[str] = set()


def told(operation: str, pauses_file: str = FILE) -> tuple[float, str]:
    """Seconds, and how to spend them."""
    try:
        with open(pauses_file, encoding="utf-8") as file:
            pauses = json.load(file)
    except (OSError, ValueError):
        return 0.0, "sleep"
    pause = pauses.get(operation) or pauses.get("default") or {}
    return float(pause.get("seconds", 0)), pause.get("how", "sleep")


def held(pauses_file: str = FILE) -> bool:
    """Whether the time of slow operations does not pass."""
    return os.path.exists(os.path.join(os.path.dirname(pauses_file), HELD))


def pause(operation: str, resource_id: str = "") -> None:
    """Spend the time that this operation is told to take."""
    seconds, how = told(operation)
    if seconds <= 0:
        return
    LOG.info("testbed: %s of %s takes %s s (%s)", operation, resource_id, seconds, how)
    if how == "sleep":
        _sleep(seconds, resource_id)
    else:
        {"execute": _execute, "block": _block}[how](seconds)
    LOG.info("testbed: %s of %s goes on", operation, resource_id)


def died(resource_id: str) -> bool:
    """Whether the operation on this resource was killed."""
    return resource_id in _dead


def _sleep(seconds: float, resource_id: str) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if resource_id and _told_to_die(resource_id):
            LOG.info("testbed: what was done to %s died", resource_id)
            while True:
                time.sleep(3600)
        time.sleep(min(left, LOOK_EVERY))
        if held():
            deadline = time.monotonic() + seconds


def _told_to_die(resource_id: str) -> bool:
    try:
        os.unlink(os.path.join(DYING, resource_id))
    except OSError:
        return False
    _dead.add(resource_id)
    return True


def _execute(seconds: float) -> None:
    # Here, for the stand-ins have no OpenStack library.
    from oslo_concurrency import processutils

    processutils.execute("sleep", str(seconds))


def _block(seconds: float) -> None:
    # As a library's call does that never comes back to Python: signals wait as well.
    try:
        from eventlet import patcher

        sleep = patcher.original("time").sleep
    except ImportError:
        sleep = time.sleep
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGINT}
    )
    try:
        sleep(seconds)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
