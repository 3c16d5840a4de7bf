"""The installation as the documentation tells it: the very commands, in a fresh environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT, clone_into, run

# Not just "ansible": that is also a folder of this project.
pytest.importorskip("ansible.release", reason="no ansible-core for this Python")

pytestmark = pytest.mark.timeout(600)  # pip fetches ansible-core

PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.rst")])
INSTALL = ROOT / "docs" / "install.rst"


def commands(page: Path) -> list[str]:
    """The calls of pip on a page, as a person would type them."""
    typed = re.findall(r"^\s*\$ (pip .*)$", page.read_text(), re.MULTILINE)
    return [line.partition("  #")[0].strip() for line in typed]


def ways() -> list[list[str]]:
    """The ways to install of docs/install.rst, each up to its ``pip install``."""
    found: list[list[str]] = [[]]
    for command in commands(INSTALL):
        found[-1].append(command)
        if command.startswith("pip install"):
            found.append([])
    return found[:-1]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clone_into(tmp_path_factory.mktemp("clone") / "kolla-drain")


def test_the_documentation_has_two_ways() -> None:
    assert ways() == [
        ["pip install ."],
        ["pip wheel --no-deps --wheel-dir dist .", "pip install dist/kolla_drain-*.whl"],
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_tells_another_way(page: Path) -> None:
    tried = [command for way in ways() for command in way]

    assert [command for command in commands(page) if command not in tried] == []
    assert "pip install kolla-drain" not in page.read_text(), "it is not on a package index"


@pytest.mark.parametrize("way", ways(), ids=["checkout", "wheel"])
def test_the_commands_of_the_documentation_install_it(way: list[str], clone: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", environment, cwd=tmp_path)
    path = f"{environment}/bin:{os.environ['PATH']}"
    for command in way:
        run("sh", "-c", command, cwd=clone, PATH=path, VIRTUAL_ENV=str(environment), PIP_NO_COMPILE="1")

    (tmp_path / "ansible.cfg").write_text("[defaults]\n")
    tree = environment / "share" / "kolla-drain" / "ansible"
    # Its own word on a bad option comes from far inside, and needs no engine.
    bad = "action=stop_container name=none graceful_shutdown_timeout=-1"
    said = subprocess.run(
        [
            environment / "bin" / "ansible",
            "localhost",
            "--playbook-dir",
            tree,
            "-m",
            "kolla_docker",
            "-a",
            bad,
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": path,
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
        },
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert "graceful_shutdown_timeout" in said.stdout, said.stdout + said.stderr
    assert "Traceback" not in said.stdout
