"""The host's time zone, which kolla-ansible after 2026.1 gives to every container as TZ."""

from __future__ import annotations

import os


def time_zone(etc: str = "/etc") -> str:
    """Return the name of the zone, such as Europe/Berlin; empty where it is not known.

    /etc/timezone (Debian, Ubuntu) names it, else the link /etc/localtime leads to it.
    """
    try:
        with open(f"{etc}/timezone", encoding="utf-8") as stream:
            named = stream.read().strip()
    except (OSError, UnicodeDecodeError):
        named = ""
    if named:
        return named
    try:
        return os.readlink(f"{etc}/localtime").partition("zoneinfo/")[2]
    except OSError:
        return ""
