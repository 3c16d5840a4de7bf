"""Modules of library/ as Ansible would see them, and their documentation and argument spec in one form."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    """A module of library/, imported as Ansible would see it."""
    import ansible.module_utils

    added = str(ROOT / "ansible" / "module_utils")
    if added not in ansible.module_utils.__path__:
        ansible.module_utils.__path__.append(added)
    spec = importlib.util.spec_from_file_location(name, ROOT / "library" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def options(of: dict[str, Any], below: str) -> dict[str, Any]:
    """Options of the documentation (``below`` is suboptions) or of an argument spec (options), to be compared."""
    return {
        name: {
            "type": option["type"],
            "elements": option.get("elements"),
            "choices": option.get("choices"),
            "default": option.get("default"),
            "required": option.get("required", False),
            "aliases": option.get("aliases", []),
            "options": options(option[below], below) if below in option else None,
        }
        for name, option in of.items()
    }
