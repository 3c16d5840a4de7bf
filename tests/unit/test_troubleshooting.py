"""The page of symptoms quotes messages that are in the sources, and names variables that there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.rst").read_text()
QUOTED = sorted(set(re.findall(r":said:`([^`]+)`", PAGE)))
VARIABLES = sorted(set(re.findall(r"(?<![\w.])((?:kolla_drain|graceful_shutdown)_[a-z_]+)", PAGE)))
SECTIONS = re.split(r"^(.+)\n=+\n", PAGE, flags=re.MULTILINE)[3:]  # a title, a body, and so on
HOLE = "…"


def strings_of(tree: ast.AST) -> Iterator[str]:
    """The texts of a module but for its docstrings; what is put into an f-string is a hole."""
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in alone:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def scalars_of(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, (dict, list)):
        for one in data.values() if isinstance(data, dict) else data:
            yield from scalars_of(one)


@cache
def messages() -> list[str]:
    """Every text in the sources, on one line."""
    found: list[str] = []
    for folder in ("ansible", "library", "roles"):
        for path in (ROOT / folder).rglob("*.py"):
            found += strings_of(ast.parse(path.read_text()))
        for path in (ROOT / folder).rglob("*.yml"):
            found += scalars_of(yaml.safe_load(path.read_text()))
    return [" ".join(text.split()) for text in found]


@pytest.mark.parametrize("quoted", QUOTED)
def test_a_message_that_is_quoted_is_in_the_sources(quoted: str) -> None:
    pieces = [piece.strip() for piece in quoted.split(HOLE)]
    wanted = re.compile(".*".join(map(re.escape, pieces)))
    assert any(wanted.search(text) for text in messages())


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_that_is_named_has_a_default(variable: str) -> None:
    assert variable in yaml.safe_load((ROOT / "ansible" / "group_vars" / "all.yml").read_text())


def test_every_symptom_has_messages() -> None:
    assert len(SECTIONS) > 20
    assert [title for title, body in zip(SECTIONS[::2], SECTIONS[1::2]) if ":said:" not in body] == []


def test_a_message_is_long_enough_to_be_searched_for() -> None:
    assert [quoted for quoted in QUOTED if len(quoted) < 10] == []
