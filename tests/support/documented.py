"""Modules of library/ as Ansible would see them, and their documentation and argument spec in one form."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
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
    return load_file(ROOT / "library" / f"{name}.py")


def load_file(path: Path) -> ModuleType:
    """A file that lies in no package, as Ansible's plugins do."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
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


def asked(given: dict[str, Any], *readers: Callable[[Any], Any]) -> set[str]:
    """Which options these readers of the module's parameters ask for."""
    names: set[str] = set()

    class Params(dict):  # type: ignore[type-arg]
        def __getitem__(self, key: str) -> Any:
            names.add(key)
            return super().__getitem__(key)

    for read in readers:
        read(Params(given))
    return names


def shown(name: str) -> dict[str, Any]:
    """What ``ansible-doc`` says of a module."""
    program = Path(sys.executable).with_name("ansible-doc")
    printed = subprocess.run(
        [str(program), "-M", "library", "-t", "module", "--json", name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    (found,) = json.loads(printed.stdout).values()
    answer: dict[str, Any] = found
    return answer
