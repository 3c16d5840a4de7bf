"""Why an action looks at containers or stops them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Intent:
    """What is to become of the containers of one call."""

    verb: str  # completes "There is no container NAME to ..."
    needs_restart: bool = False  # it is started again after the stop, so its unit must allow a start
    absent_is_fine: bool = False  # a container that does not exist is as wanted
    only_looks: bool = False  # nothing is stopped and nothing will be


STOP = Intent("stop")
STOP_AND_REMOVE = Intent("stop", absent_is_fine=True)
RESTART = Intent("restart", needs_restart=True)
REPLACE = Intent("replace", needs_restart=True)
TAKE_BACK = Intent("take back")
REMOVE = Intent("remove", absent_is_fine=True)
RELOAD = Intent("reload")
LOOK_INTO = Intent("look into", only_looks=True)
