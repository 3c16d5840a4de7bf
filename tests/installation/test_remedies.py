"""The commands that a report advises, each given to the parser of the client that has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kolla_drain.controller.report.remedies import REMEDIES
from tests.support.checkout import run

pytestmark = pytest.mark.timeout(600)  # pip fetches the clients

CLIENTS = (
    *("python-openstackclient", "python-cinderclient", "python-manilaclient", "python-heatclient"),
    *("python-ironicclient", "python-octaviaclient", "python-magnumclient", "python-troveclient"),
    *("python-masakariclient", "python-mistralclient", "python-watcherclient", "python-designateclient"),
)
# Reads commands, and prints those that no client takes.
PARSE = """
import contextlib, io, sys
from importlib.metadata import entry_points
from unittest import mock
from cinderclient import api_versions, shell

found = {}
for group in sorted(entry_points().groups):
    # Those of openstack.cli name the modules of the services.
    if group.startswith("openstack.") and not group.startswith("openstack.cli"):
        for one in entry_points(group=group):
            found.setdefault(one.name.replace("_", " "), []).append(one)

def openstack(words):
    name = max((" ".join(words[:n]) for n in range(1, len(words) + 1)), key=lambda name: name in found and len(name))
    rest = words[len(name.split()):]
    for one in found.get(name, ()):
        with contextlib.suppress(SystemExit):
            one.load()(mock.MagicMock(), None).get_parser(name).parse_args(rest)
            return True
    return False

def cinder(words):
    with contextlib.suppress(SystemExit):
        parser = shell.OpenStackCinderShell().get_subcommand_parser(api_versions.APIVersion("3.70"), False, words)
        parser.parse_args(words)
        return True
    return False

for line in sys.stdin.read().splitlines():
    program, *words = line.split()
    with contextlib.redirect_stderr(io.StringIO()):
        good = {"openstack": openstack, "cinder": cinder}[program](words)
    if not good:
        print(line)
print("read")
"""


def advised() -> list[str]:
    """Every command of every remedy."""
    remedies = (remedy for kinds in REMEDIES.values() for remedy in kinds.values())
    texts = (text for remedy in remedies for text in (remedy.look, remedy.reset, remedy.then))
    return sorted({line for text in texts for line in text.splitlines()})


def test_every_advised_command_is_one_that_its_client_takes(tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "clients", cwd=tmp_path)
    python = tmp_path / "clients/bin/python"
    run(python, "-m", "pip", "install", "--quiet", "--no-compile", *CLIENTS, cwd=tmp_path)
    wrong = [
        "openstack volume set --stat-e error ID",
        "openstack volume undo ID",
        "cinder reset-state --nonsense ID",
    ]

    read = subprocess.run(
        [python, "-c", PARSE],
        input="\n".join([*advised(), *wrong]),
        text=True,
        capture_output=True,
        check=True,
    )

    assert len(advised()) > 60
    print(read.stderr)
    assert read.stdout.splitlines() == [*wrong, "read"]
