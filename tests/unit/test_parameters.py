"""Every parameter of the plays stands in group_vars/all.yml, with a reason, and each of them is used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "ansible" / "group_vars" / "all.yml"
PARAMETERS = yaml.safe_load(FILE.read_text())
USERS = [
    path
    for pattern in (
        "ansible/*.yml",
        "ansible/group_vars/*.yml",
        "ansible/action_plugins/*.py",
        "ansible/callback_plugins/*.py",
        "roles/*/*/*.yml",
    )
    for path in ROOT.glob(pattern)
    if "meta" not in path.parts
]


def uses(name: str) -> list[str]:
    """The lines that speak of a variable and do not set it."""
    word = re.compile(rf"(?<![\w'-]){name}(?![\w'-])")
    return [
        line
        for path in USERS
        for line in path.read_text().splitlines()
        if word.search(line.split(" #")[0]) and not re.match(rf"\s*(#|{name}:\s*$)", line)
    ]


# Read by what kolla_drain_times makes of their names.
OF_A_CONTAINER = "_graceful_shutdown_timeout"


@pytest.mark.parametrize("name", [name for name in PARAMETERS if not name.endswith(OF_A_CONTAINER)])
def test_it_is_used(name: str) -> None:
    defined = re.compile(rf"{name}: ")
    assert [line for line in uses(name) if not defined.match(line)], f"{name} is read nowhere"


def test_every_group_of_them_has_a_reason() -> None:
    """A comment above it, or above the lines that it stands among."""
    blocks = re.split(r"\n\s*\n", FILE.read_text())
    bare = [block for block in blocks if re.search(r"^\w+:", block, re.MULTILINE) and "#" not in block]
    allowed = [
        block for block in bare if block.startswith(("kolla_container_engine", "kolla_drain_engine_options"))
    ]  # as in kolla-ansible, all of it; and what is put together of the parameters
    assert bare == allowed


def test_what_the_docs_name_is_there() -> None:
    named = set(
        re.findall(
            r"^   \* - (``\w+``(?:, ``\w+``)*)$", (ROOT / "docs" / "upgrade.rst").read_text(), re.MULTILINE
        )
    )
    variables = {name for line in named for name in re.findall(r"``(\w+)``", line)}
    assert len(variables) > 10
    assert variables - {
        "plan",
        "pull",
        "cinder",
        "nova",
        "restart",
        "reload",
        "migrations",
        "versions",
        "orphans",
    } <= set(PARAMETERS)
