"""Declared services: those whose evidence is rows with a host and a status, one file each in services/.

A file declares one service and is called like its container: services/manila_share.py. Nothing else knows of it,
apart from the list in services/__init__.py, which tools/profiles writes. A file is imported when its service is met.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

from . import services

if TYPE_CHECKING:
    from .form import Service

# The names of all declared services, such as manila-share.
NAMES = tuple(sorted(found.name.replace("_", "-") for found in pkgutil.iter_modules(services.__path__)))


def command(service: str) -> str:
    """Return the program that a service's processes run."""
    found = declared(service)
    return found.command if found else service


def declared(service: str) -> Service | None:
    """Return what is declared of a service, or None for one whose evidence is code or that has none."""
    if service not in NAMES:
        return None
    module = import_module(f"{services.__name__}.{service.replace('-', '_')}")
    found: Service = module.SERVICE
    return found
