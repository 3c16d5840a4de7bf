"""Write one page for each module in library/, from the documentation in the module itself.

``ansible-doc`` does the reading, so what it cannot read does not get into the docs either.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "reference"
OTHERS = {"variables"}  # pages in that folder which are made elsewhere

# Ansible's markup and what it becomes here: https://docs.ansible.com/ansible-core/devel/dev_guide/ansible_markup.html
_SIMPLE = (
    (re.compile(r"\b[OVEC]\(((?:[^()\\]|\\.|\([^()]*\))*)\)|\bRV\(((?:[^()\\]|\\.)*)\)"), r"``\1\2``"),
    (re.compile(r"\bI\(([^)]+)\)"), r"*\1*"),
    (re.compile(r"\bB\(([^)]+)\)"), r"**\1**"),
    (re.compile(r"\bU\(([^)]+)\)"), r"\1"),
    (re.compile(r"\bL\(([^,)]+),\s*([^)]+)\)"), r"`\1 <\2>`__"),
    (re.compile(r"\b[MP]\(([^)#]+)(?:#\w+)?\)"), r"``\1``"),
    (re.compile(r"\bHORIZONTALLINE\b"), ""),
)


def _rst(text: str) -> str:
    for pattern, replacement in _SIMPLE:
        text = pattern.sub(replacement, text)
    return text.replace("\\)", ")").replace("\\,", ",")


def _paragraphs(value: str | list[str] | None, indent: str) -> Iterator[str]:
    for paragraph in [value] if isinstance(value, str) else value or []:
        yield indent + _rst(" ".join(paragraph.split()))
        yield ""


def _facts(entry: dict[str, Any]) -> str:
    facts = [str(entry.get("type", "str"))]
    if entry.get("elements"):
        facts[0] += f" of {entry['elements']}"
    if entry.get("required"):
        facts.append("required")
    if entry.get("default") is not None:
        facts.append(f"default ``{json.dumps(entry['default'])}``")
    if entry.get("choices"):
        facts.append("one of " + ", ".join(f"``{choice}``" for choice in entry["choices"]))
    if entry.get("aliases"):
        facts.append("also called " + ", ".join(f"``{alias}``" for alias in entry["aliases"]))
    if entry.get("returned"):
        facts.append(f"returned: {entry['returned']}")
    return "; ".join(facts)


def _entries(entries: dict[str, dict[str, Any]], below: str, indent: str = "") -> Iterator[str]:
    for name, entry in sorted(entries.items()):
        yield f"{indent}**{name}** ({_facts(entry)})"
        yield ""
        yield from _paragraphs(entry.get("description"), indent + "   ")
        yield from _entries(entry.get(below) or {}, below, indent + "   ")


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    found = list(lines)
    if found:
        yield from (title, "=" * len(title), "", *found)


def _literal(text: str, language: str) -> Iterator[str]:
    if text.strip():
        yield f".. code-block:: {language}"
        yield ""
        yield from ("   " + line if line else "" for line in text.strip("\n").splitlines())
        yield ""


def _bullets(texts: list[str]) -> Iterator[str]:
    yield from (f"* {_rst(text)}" for text in texts)
    if texts:
        yield ""


def _attributes(attributes: dict[str, dict[str, Any]]) -> Iterator[str]:
    for name, attribute in sorted(attributes.items()):
        yield f"**{name}** (support: {attribute.get('support', 'unknown')})"
        yield ""
        yield from _paragraphs(attribute.get("description"), "   ")
        yield from _paragraphs(attribute.get("details"), "   ")


def page(name: str, described: dict[str, Any]) -> str:
    """The whole page of one module as reStructuredText."""
    doc = described["doc"]
    lines = ["=" * len(name), name, "=" * len(name), ""]
    lines += _paragraphs(doc.get("short_description"), "")
    lines += _paragraphs(doc.get("description"), "")
    lines += _section("Requirements", _bullets(doc.get("requirements") or []))
    lines += _section("Attributes", _attributes(doc.get("attributes") or {}))
    lines += _section("Options", _entries(doc.get("options") or {}, "suboptions"))
    lines += _section("Notes", _paragraphs(doc.get("notes"), ""))
    lines += _section("Examples", _literal(described.get("examples") or "", "yaml"))
    lines += _section("Return values", _entries(described.get("return") or {}, "contains"))
    return "\n".join(lines).rstrip() + "\n"


def _described(names: list[str]) -> dict[str, Any]:
    tool = Path(sys.executable).parent / "ansible-doc"
    ran = subprocess.run(
        [tool, "--json", "-M", ROOT / "library", *names],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"ansible-doc cannot read {', '.join(names)}: {ran.stderr.strip()}")
    return dict(json.loads(ran.stdout))


def generate(_app: object = None) -> None:
    """All pages and their index; what is the same already is not written again."""
    names = sorted(path.stem for path in (ROOT / "library").glob("*.py") if not path.stem.startswith("_"))
    pages = {name: page(name, described) for name, described in _described(names).items()} if names else {}
    index = ["=======", "Modules", "=======", "", ".. toctree::", "   :maxdepth: 1", ""]
    pages["index"] = "\n".join([*index, *(f"   {name}" for name in names), ""])
    TARGET.mkdir(exist_ok=True)
    for stale in {path.stem for path in TARGET.glob("*.rst")} - set(pages) - OTHERS:
        (TARGET / f"{stale}.rst").unlink()
    for name, text in pages.items():
        path = TARGET / f"{name}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
