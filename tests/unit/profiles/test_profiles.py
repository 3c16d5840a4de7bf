"""Declared services: what every declaration must be, that Ansible sends them all, and a new one takes one file."""

from __future__ import annotations

import ast
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kolla_drain import kolla, profiles
from kolla_drain.profiles import NAMES, declared
from kolla_drain.profiles.form import Service

ROOT = Path(__file__).resolve().parents[3]
CORE = ROOT / "ansible/module_utils/kolla_drain"
MOST = 80  # lines

# A service that does not exist, with a table and a heartbeat.
DECLARATION = """
from ...model import Profile
from ..form import GRACEFUL, Beat, Kind, Options, Service, Work

SERVICE = Service(
    Profile("weaver-loom", quiesce=True, keeps_work=False, exit_seconds=20.0),
    schema="weaver",
    options=Options(limits=(GRACEFUL,), backends="enabled_looms"),
    beat=Beat("services", live="t.deleted = 0", count="t.report_count"),
    work=(
        Work("cloth", "cloths", host="t.host", live="t.deleted = 0", kinds=(
            Kind("cloth_weave", ("weaving",), fate="its next start weaves it again"),
        )),
    ),
)
"""

# What all parts of the core make of it, in a process of its own.
SCRIPT = """
from datetime import datetime
from kolla_drain import evidence, kolla
from kolla_drain.database.rights import rights
from kolla_drain.service import config, timeouts

assert evidence.service_of("weaver_loom") == "weaver-loom"
assert evidence.service_of("x", "registry:5000/kolla/weaver-loom:1") == "weaver-loom"
assert evidence.service_of("x", "", {}, {}, ["python3", "/venv/bin/weaver-loom"]) == "weaver-loom"
assert kolla.default_files("weaver_loom") == ["/etc/kolla/weaver-loom/weaver.conf"]

loaded = config.load(["weaver.conf"], "weaver-loom", "h")
assert loaded.service_hosts == ("h@jacquard",), loaded
assert loaded.database == "mysql+pymysql://u:p@db/weaver"
(finding,) = timeouts.findings(loaded, 900, 30)
assert "graceful_shutdown_timeout is 60 s and should be 870 s" in finding

profile = evidence.profile_for("weaver-loom", {})
assert (profile.quiesce, profile.keeps_work, profile.exit_seconds) == (True, False, 20.0)

def query(sql, params=()):
    if "FROM `services`" in sql:
        assert params == ("weaver-loom",)
        return [{"host": "h@jacquard", "seen_at": datetime(2026, 1, 1), "age": 3, "report_count": 7, "disabled": 0,
                 "disabled_reason": None, "owner": None}]
    return [{"id": "c", "status": "weaving", "host": "h@jacquard", "owner": None, "written": datetime(2026, 1, 1),
             "age": 1}]

its = evidence.evidence_of("weaver-loom")
(beat,), (operation,) = its.read(query, loaded)
assert (beat.up, beat.report_count, operation.kind, operation.id) == (True, 7, "cloth_weave", "c")
(ending,) = its.endings(query, loaded, [operation])
assert (ending.outcome.value, ending.fate) == ("interrupted", "its next start weaves it again")

(services, cloths) = sorted(rights(["weaver-loom"], {"weaver": ["w"]}).items(), reverse=True)
assert cloths == (("w", "cloths"), {"id", "status", "host", "deleted", "updated_at", "created_at"})
assert services == (("w", "services"), {"host", "binary", "deleted", "updated_at", "created_at", "report_count"})
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the core with the made-up service, which is one file."""
    core = tmp_path / "ansible/module_utils/kolla_drain"
    shutil.copytree(CORE, core, ignore=shutil.ignore_patterns("__pycache__"))
    (core / "profiles/services/weaver_loom.py").write_text(DECLARATION)
    return tmp_path


def test_a_new_service_takes_one_file(tree: Path) -> None:
    assert len(DECLARATION.splitlines()) < MOST
    (tree / "weaver.conf").write_text(
        "[DEFAULT]\nenabled_looms = jacquard\n[database]\nconnection = mysql+pymysql://u:p@db/weaver\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tree,
        env={"PYTHONPATH": str(tree / "ansible/module_utils")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def sent(services: Path) -> set[str]:
    """The names of the declarations that Ansible would send, by what its own finder sees in the list."""
    finder = pytest.importorskip("ansible.executor.module_common").ModuleDepFinder
    package = "ansible.module_utils.kolla_drain.profiles.services"
    found = finder(package, ast.parse((services / "__init__.py").read_text()), is_pkg_init=True)
    prefix = tuple(package.split("."))
    return {name[-1] for name in found.submodules if name[:-1] == prefix}


def test_ansible_sends_what_the_tool_lists(tree: Path) -> None:
    """Ansible follows imports, and does not look into folders."""
    services = tree / "ansible/module_utils/kolla_drain/profiles/services"
    assert "weaver_loom" not in sent(services)
    (tree / "tools").mkdir()
    shutil.copy(ROOT / "tools/profiles", tree / "tools")
    subprocess.run([sys.executable, tree / "tools/profiles"], check=True)
    assert "weaver_loom" in sent(services)


def test_ansible_sends_all_declared_services() -> None:
    tool = runpy.run_path(str(ROOT / "tools/profiles"))
    assert (CORE / "profiles/services/__init__.py").read_text() == tool["text"](), "run tools/profiles"
    assert sent(CORE / "profiles/services") == {name.replace("-", "_") for name in NAMES}


def test_a_declaration_is_imported_when_its_service_is_met() -> None:
    script = (
        "import sys; from kolla_drain import evidence; evidence.service_of('nova_compute');"
        "print([name for name in sys.modules if 'profiles.services.' in name])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(CORE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "[]\n"


@pytest.fixture(params=NAMES)
def service(request: pytest.FixtureRequest) -> Service:
    found = declared(request.param)
    assert found is not None
    return found


def test_a_declaration_is_small(service: Service) -> None:
    path = CORE / f"profiles/services/{service.name.replace('-', '_')}.py"
    assert len(path.read_text().splitlines()) < MOST


def test_a_declaration_is_whole(service: Service) -> None:
    assert profiles.declared(service.name) is service
    assert kolla.kolla_service(service.name.replace("-", "_")) == service.name
    assert service.beat or service.work or service.profile.reports
    assert service.profile.sees_work is bool(service.work or service.profile.reports)
    # The evidence must be there before anything can be waited for.
    assert service.profile.quiesce is service.profile.sees_work


def test_an_operation_is_of_one_kind(service: Service) -> None:
    """An ending is looked up by the kind's name, and a status leads to one kind."""
    names = [kind.name for work in service.work for kind in work.kinds]
    assert len(names) == len(set(names))
    for work in service.work:
        statuses = [status for kind in work.kinds for status in kind.statuses]
        assert len(statuses) == len(set(statuses))
        # A status is what tells of work, unless its being held does.
        assert all(kind.statuses or work.held for kind in work.kinds)
        assert not (work.owner and not (service.beat and service.beat.owner))


def test_only_the_declared_are_declared() -> None:
    assert declared("nova-compute") is None
    assert declared("none") is None
