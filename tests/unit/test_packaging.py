"""The wheel, built and installed as a stranger would, used from outside the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.checkout import clone_into, run

SHARE = Path("share/kolla-drain/ansible")

# Not just "ansible": that is also a folder of this project.
pytest.importorskip("ansible.release", reason="no ansible-core for this Python")

pytestmark = pytest.mark.timeout(300)


def build_wheel(tree: Path, into: Path) -> Path:
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", into, tree, cwd=into)
    (wheel,) = into.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clone_into(tmp_path_factory.mktemp("clone") / "kolla-drain")


@pytest.fixture(scope="module")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(clone, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed tree, in an environment that holds nothing else."""
    environment = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", environment, cwd=environment)
    run(environment / "bin/python", "-m", "pip", "install", "--quiet", "--no-deps", wheel, cwd=environment)
    return environment / SHARE


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A place that has nothing of ours and no configuration of Ansible."""
    (tmp_path / "ansible.cfg").write_text("[defaults]\n")
    return tmp_path


def ansible(tool: str, *arguments: object, cwd: Path) -> str:
    command = Path(sys.executable).parent / tool
    return run(
        command,
        *arguments,
        cwd=cwd,
        ANSIBLE_CONFIG=str(cwd / "ansible.cfg"),
        ANSIBLE_HOME=str(cwd / "home"),
        ANSIBLE_LOCALHOST_WARNING="false",
    ).stdout


def test_the_tree_lies_beside_the_playbooks(installed: Path, clone: Path) -> None:
    there = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    in_the_tree = {
        str(path.relative_to(clone / "ansible" if folder == "ansible" else clone))
        for folder in ("ansible", "library", "roles")
        for path in (clone / folder).rglob("*")
        if path.is_file()
    }
    assert there - {name for name in there if "__pycache__" in name} == in_the_tree
    assert "library/kolla_docker.py" in there
    assert "module_utils/kolla_drain/drain/policy.py" in there


def test_the_wheel_holds_no_leftovers_and_no_python_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    assert {name.split("/")[0].split("-")[0] for name in names} == {"kolla_drain"}
    assert {Path(name).parts[0].rsplit(".", 1)[-1] for name in names} == {"data", "dist-info"}


def test_a_clone_without_tags_has_a_version_and_the_metadata(wheel: Path) -> None:
    assert re.match(r"kolla_drain-\d+\.\d+\.\d+\.dev\d+-py3-none-any\.whl$", wheel.name)
    with zipfile.ZipFile(wheel) as opened:
        (metadata,) = (
            opened.read(name).decode() for name in opened.namelist() if name.endswith("dist-info/METADATA")
        )
    assert "Requires-Python: >=3.10" in metadata
    assert "Requires-Dist: ansible-core>=2.17" in metadata
    extra = set(re.findall(r"^Requires-Dist: ([\w.]+).*extra == ['\"]docker['\"]", metadata, re.MULTILINE))
    assert {name.lower().replace(".", "-") for name in extra} == {"docker", "oslo-config", "pymysql"}


def test_an_archive_of_the_tree_without_git_can_be_installed(clone: Path, tmp_path: Path) -> None:
    tree = tmp_path / "archive"
    shutil.copytree(clone, tree, ignore=shutil.ignore_patterns(".git"))
    assert build_wheel(tree, tmp_path).name == "kolla_drain-0.0.0-py3-none-any.whl"


def test_ansible_doc_reads_the_installed_module(installed: Path, outside: Path) -> None:
    read = ansible("ansible-doc", "--json", "-M", installed / "library", "kolla_docker", cwd=outside)
    options = json.loads(read)["kolla_docker"]["doc"]["options"]
    assert {"action", "name", "graceful_shutdown_timeout", "on_timeout"} <= set(options)


def call_with_a_bad_timeout(cwd: Path, *more: object) -> str:
    """Far enough into the module to have imported the core, and no engine needed: its own word on a bad option."""
    ran = subprocess.run(
        [
            Path(sys.executable).parent / "ansible",
            "localhost",
            *map(str, more),
            "-m",
            "kolla_docker",
            "-a",
            "action=stop_container name=none graceful_shutdown_timeout=-1",
        ],
        cwd=cwd,
        env={
            **os.environ,
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(cwd / "ansible.cfg"),
            "ANSIBLE_FORCE_COLOR": "0",
        },
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return ran.stdout + ran.stderr


def test_the_installed_tree_needs_no_configuration(installed: Path, outside: Path) -> None:
    said = call_with_a_bad_timeout(outside, "--playbook-dir", installed)
    assert "graceful_shutdown_timeout" in said
    assert "FAILED!" in said
    assert "Traceback" not in said


def test_a_checkout_needs_no_configuration(clone: Path) -> None:
    said = call_with_a_bad_timeout(clone)
    assert "graceful_shutdown_timeout" in said
    assert "FAILED!" in said
    assert "Traceback" not in said


def test_a_managed_host_gets_the_declared_services(clone: Path, outside: Path) -> None:
    """They are sent in an archive, in which the core looks for them."""
    pytest.importorskip("oslo_config")
    (outside / "ironic.conf").write_text("[DEFAULT]\n")
    arguments = f"service=ironic-conductor files={outside}/ironic.conf graceful_shutdown_timeout=900"
    said = ansible(
        "ansible", "localhost", "-m", "kolla_timeouts", "-a", arguments, "--playbook-dir", clone, cwd=clone
    )
    assert "[conductor]/graceful_shutdown_timeout is 60 s" in said


def interpreter(version: str) -> str | None:
    """A Python of this version on this machine, if there is one; a version manager's shim may refuse to be it."""
    for folder in os.get_exec_path():
        candidate = Path(folder) / f"python{version}"
        works = candidate.exists() and subprocess.run([candidate, "-c", ""], capture_output=True, check=False)
        if works and works.returncode == 0:
            return str(candidate)
    return None


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.11", "3.12", "3.13"])
def test_the_module_starts_on_every_python_of_managed_hosts(clone: Path, version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} on this machine")
    said = call_with_a_bad_timeout(clone, "-e", f"ansible_python_interpreter={python}")
    assert "graceful_shutdown_timeout" in said
    assert "FAILED!" in said
    assert "Traceback" not in said
