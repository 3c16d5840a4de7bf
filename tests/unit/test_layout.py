"""The floors of the core: an import goes down, or stays in its package; drain/ and start/ are pure; no file is long."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE = Path(__file__).resolve().parents[2] / "ansible/module_utils/kolla_drain"
GROUND = {"model", "errors", "signals", "masking", "kolla", "heartbeat", "regular", "profiles"}
FLOORS = [
    GROUND,
    {"container", "host", "preflight", "database", "service"},
    {"engine", "systemd", "evidence", "disable", "galera", "haproxy"},
    {"drain", "start", "controller"},
    {"actions"},
]
FLOOR_OF = {package: number for number, floor in enumerate(FLOORS) for package in floor}
PURE = {"model", "errors", "signals", "heartbeat", "container", "engine.port", "drain", "start"}
FILES = sorted(path for path in CORE.rglob("*.py") if path.parent != CORE or path.name != "__init__.py")


def imports(path: Path) -> Iterator[str]:
    """The core's modules that a file imports, dotted, from the core's root on."""
    here = path.relative_to(CORE).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*here[: len(here) - node.level + 1], *(node.module or "").split(".")]
            for alias in node.names:
                parts = [part for part in (*base, alias.name) if part]
                is_module = (
                    CORE.joinpath(*parts).is_dir() or CORE.joinpath(*parts).with_suffix(".py").is_file()
                )
                yield ".".join(parts if is_module else parts[:-1])
        assert not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kolla_drain")), path


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CORE)))
def test_an_import_goes_down_or_stays_in_its_package(path: Path) -> None:
    own = path.relative_to(CORE).with_suffix("").parts[0]
    for module in imports(path):
        package = module.split(".")[0]
        if package == own:
            continue
        floor, theirs = FLOOR_OF[own], FLOOR_OF[package]
        assert theirs < floor or (own in GROUND and package in GROUND), f"imports {module}"
        if own in ("drain", "start"):
            assert {package, module} & PURE, f"{own} is pure, and imports {module}"


def test_there_is_no_circle() -> None:
    arrows = {
        ".".join(path.relative_to(CORE).with_suffix("").parts).removesuffix(".__init__"): set(imports(path))
        for path in FILES
    }
    while free := [name for name, wanted in arrows.items() if not wanted & set(arrows) - {name}]:
        for name in free:
            del arrows[name]
    assert not arrows


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CORE)))
def test_no_file_is_longer_than_a_reader_keeps_in_mind(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
