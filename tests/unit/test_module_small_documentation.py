"""The small modules: documentation, argument spec and results are one and the same."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.support.documented import load, options


@pytest.fixture(
    scope="module", params=["kolla_database_user", "kolla_galera", "kolla_haproxy", "kolla_timeouts"]
)
def module(request: pytest.FixtureRequest) -> ModuleType:
    return load(request.param)


def test_documentation_and_argument_spec_agree(module: ModuleType) -> None:
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]

    assert options(documented, "suboptions") == options(module.argument_spec(), "options")


def test_examples_are_tasks_that_the_module_takes(module: ModuleType) -> None:
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

    name = yaml.safe_load(module.DOCUMENTATION)["module"]
    for task in yaml.safe_load(module.EXAMPLES):
        checked = ArgumentSpecValidator(module.argument_spec()).validate(task[name])
        assert not checked.error_messages, task["name"]


def results_of(module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> dict[str, Any]:
    if module.__name__ == "kolla_haproxy":
        rows = [module.haproxy.Server("a", "UP", 0)]
        monkeypatch.setattr(module.haproxy.Haproxy, "servers", lambda _: rows)
        monkeypatch.setattr(module.haproxy.Haproxy, "_ask", lambda *_: "")
        given = {"socket": "s", "backends": ["a"], "server": "x", "state": "ready", "timeout": 1}
        return dict(module.act({**defaults(module), **given}, check_mode=True))
    if module.__name__ == "kolla_database_user":
        difference = module.account.Difference({}, ("GRANT",))
        monkeypatch.setattr(module.Database, "_begin", lambda _: None)
        monkeypatch.setattr(module.account, "compare", lambda *_: difference)
        monkeypatch.setattr(module.account, "columns_of", lambda *_: {"nova": frozenset()})
        given = {"name": "drain", "password": "x", "databases": {}, "config_file": ""}
        login = {"host": "h", "user": "root"}
        return dict(
            module.ensure({**defaults(module), **given, "database": login}, check_mode=True, warn=print)
        )
    if module.__name__ == "kolla_galera":
        return dict(module.look({**defaults(module), "config_file": str(tmp_path / "none")}))
    pytest.importorskip("oslo_config")
    (tmp_path / "cinder.conf").write_text("[DEFAULT]\n")
    given = {"service": "cinder-volume", "files": [str(tmp_path / "cinder.conf")]}
    return dict(module.look({**defaults(module), **given, "graceful_shutdown_timeout": 90}))


def defaults(module: ModuleType) -> dict[str, Any]:
    return {name: option.get("default") for name, option in module.argument_spec().items()}


def test_documented_results_are_those_of_the_module(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    result = results_of(module, monkeypatch, tmp_path)

    assert set(result) - {"diff"} == set(yaml.safe_load(module.RETURN)) | {"changed"}
