"""The reference of the variables is made from the file of their defaults, and whole."""

from __future__ import annotations

from types import ModuleType

import pytest
import yaml

from tests.support.documented import ROOT, load_file


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return load_file(ROOT / "docs/_ext/variables.py")


TEXT = """\
# About the file.

# --- what there is

# Services that are off
# are left out.
enable_cinder: true
enable_nova: true

# --- other projects: in turns

# A tag like *_api with --limit, or cinder_volume_ready_timeout: 600; see docs/report.rst.
projects:
  # What the engine recommends, the applier does.
  watcher: [[watcher-api]]

# --- what kolla_docker is given of all this

made: "{{ enable_cinder }}"
"""


def test_a_section_has_its_variables_with_default_and_description(module: ModuleType) -> None:
    first, second = module.sections(TEXT)
    assert (first.title, second.title) == ("what there is", "other projects: in turns")
    cinder, nova = first.variables
    assert (cinder.name, cinder.default, cinder.description) == (
        "enable_cinder",
        "true",
        "Services that are off are left out.",
    )
    assert (nova.name, nova.description) == ("enable_nova", "")
    (projects,) = second.variables
    assert (
        projects.default == "\n  # What the engine recommends, the applier does.\n  watcher: [[watcher-api]]"
    )


def test_a_comment_becomes_prose(module: ModuleType) -> None:
    (projects,) = list(module.sections(TEXT))[1].variables
    assert module._prose(projects.description) == (
        "A tag like \\*_api with ``--limit``, or ``cinder_volume_ready_timeout: 600``; see :doc:`../report`."
    )


def test_every_variable_is_on_the_page_with_the_default_that_it_has(module: ModuleType) -> None:
    wanted = yaml.safe_load(module.SOURCE.read_text())
    found = {
        variable.name: yaml.safe_load(f"{variable.name}: {variable.default}")[variable.name]
        for section in module.sections(module.SOURCE.read_text())
        for variable in section.variables
    }
    left_out = set(wanted) - set(found)
    assert left_out == {name for name in left_out if name.startswith("kolla_drain_")}
    assert len(left_out) == 5, left_out
    assert found == {name: value for name, value in wanted.items() if name in found}
    for name in found:
        assert f"**{name}**" in module.page()
