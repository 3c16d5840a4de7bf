"""Import the core as a package of its own, for plugins: on the controller Ansible imports no module_utils from here.

A plugin runs this file by its path to get the function.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1]


def core(name: str) -> Any:
    """Import a module of the core, such as controller.progress."""
    if "kolla_drain" not in sys.modules:
        spec = spec_from_file_location(
            "kolla_drain", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
        )
        assert spec is not None
        assert spec.loader is not None
        package = module_from_spec(spec)
        sys.modules["kolla_drain"] = package
        spec.loader.exec_module(package)
    return import_module(f"kolla_drain.{name}")
