"""Write the reference of the plays' variables, from the file that holds their defaults.

A comment above a variable in ``ansible/group_vars/all.yml`` is its description, and ``# --- …`` begins a section.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "ansible" / "group_vars" / "all.yml"
TARGET = ROOT / "docs" / "reference" / "variables.rst"

INTRODUCTION = """\
=========
Variables
=========

Every variable of the plays, with its default, as ``ansible/group_vars/all.yml`` has it. The names are kolla-ansible's
where it has one, so a ``globals.yml`` can be given as it is. What that file says goes before what an inventory file
says of groups: set a variable by ``-e``, by a host's variables, or by a file for a group other than ``all`` in
``group_vars`` beside the inventory. A variable without a description is explained with the one above it, or means
what it does in kolla-ansible.

Any container has two variables of its own, by its name: ``<container>_graceful_shutdown_timeout`` and
``<container>_ready_timeout``, such as ``keystone_graceful_shutdown_timeout``. Inside kolla-ansible other defaults hold
(:doc:`../kolla-ansible`). :doc:`../upgrade` has the variables that matter most, and :doc:`../troubleshooting` those
that a message asks for.

"""
# What follows in the file is made of the variables before it, and is not for anybody to set.
MADE = "what kolla_docker is given of all this"

_VARIABLE = re.compile(r"([a-z]\w*):(?: (.*))?")
# A name with an underscore, perhaps with its value, or an option. Other text is escaped where it would be markup.
_LITERAL = re.compile(r"(?<![\w*])(\w+_\w+(?:: \d+)?|--\w+|-e(?= ))")
_PAGE = re.compile(r"docs/(\w+)\.rst")


class Variable(NamedTuple):
    """One variable as the file has it."""

    name: str
    default: str  # YAML; several lines where it has several
    description: str


class Section(NamedTuple):
    """The variables below one ``# --- …``."""

    title: str
    variables: list[Variable]


def sections(text: str) -> Iterator[Section]:
    """Yield the sections of the file, in its order, without what is made of the others."""
    _, *parts = re.split(r"^# --- ", text, flags=re.MULTILINE)
    for part in parts:
        title, _, rest = part.partition("\n")
        if not title.startswith(MADE):
            yield Section(title, list(_variables(rest.splitlines())))


def _variables(lines: Iterable[str]) -> Iterator[Variable]:
    comment: list[str] = []
    found: list[list[str]] = []  # of each variable: its name, its comment, and the lines of its default
    for line in lines:
        named = _VARIABLE.fullmatch(line)
        if named:
            found.append([named[1], " ".join(comment), named[2] or ""])
            comment = []
        elif line.startswith("#"):
            comment.append(line.lstrip("# "))
        elif line:
            found[-1].append(line)
    for name, description, *default in found:
        yield Variable(name, "\n".join(default), description)


def _prose(text: str) -> str:
    """Return a comment as reStructuredText: variables and options are literal, pages of these docs are links."""
    pieces = _LITERAL.split(text)
    plain = [re.sub(r"([\\*`|])", r"\\\1", piece) for piece in pieces[::2]]
    literal = [f"``{piece}``" for piece in pieces[1::2]]
    joined = "".join(one for pair in zip(plain, [*literal, ""]) for one in pair)
    return _PAGE.sub(r":doc:`../\1`", joined)


def _entry(variable: Variable) -> Iterator[str]:
    several = "\n" in variable.default
    yield f"**{variable.name}**" + ("" if several else f" (default ``{variable.default}``)")
    yield ""
    if variable.description:
        yield from textwrap.wrap(
            _prose(variable.description), 130, initial_indent="   ", subsequent_indent="   "
        )
        yield ""
    if several:
        yield from ("   .. code-block:: yaml+jinja", "")
        yield from (f"      {line}".rstrip() for line in f"{variable.name}: {variable.default}".splitlines())
        yield ""


def page() -> str:
    """The whole page as reStructuredText."""
    lines = []
    for section in sections(SOURCE.read_text(encoding="utf-8")):
        title = _prose(section.title[0].upper() + section.title[1:])
        lines += [title, "=" * len(title), ""]
        for variable in section.variables:
            lines += _entry(variable)
    return INTRODUCTION + "\n".join(lines)


def generate(_app: object = None) -> None:
    """Write the page, unless it is the same already."""
    TARGET.parent.mkdir(exist_ok=True)
    if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != page():
        TARGET.write_text(page(), encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
