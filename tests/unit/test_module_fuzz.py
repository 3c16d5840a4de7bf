"""The module's options with values that nobody means: a sentence or a result, never a traceback, and soon."""

from __future__ import annotations

import importlib
import json
import random
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

import ansible.module_utils
from ansible.module_utils import basic
from tests.support import fuzz

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The module's globals; its ``run`` does all that needs no engine."""
    monkeypatch.setattr(
        ansible.module_utils,
        "__path__",
        [*ansible.module_utils.__path__, str(ROOT / "ansible" / "module_utils")],
    )
    monkeypatch.setattr(basic, "has_journal", False)
    monkeypatch.setattr("syslog.syslog", lambda *_: None)
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    # As on a managed host: other tests in this process may have loaded the controller's side, which checks more.
    profiles = sys.modules.get("ansible.module_utils._internal._json._profiles")
    if profiles is not None:
        monkeypatch.setattr(profiles, "_string_encoding_check_enabled", lambda: False, raising=False)
    made = runpy.run_path(str(ROOT / "library" / "kolla_docker.py"))
    # The core as the module knows it; by another name than for the rest of the tests.
    core = {
        name: importlib.import_module(f"ansible.module_utils.kolla_drain.{name}")
        for name in ("actions.options", "actions.results", "container.options", "database.target", "model")
    }

    def run(options: Any) -> Any:
        core["actions.options"].check_names(options, ["stop_container"])
        options = core["actions.options"].checked(options)
        container = core["model"].Container("1d", options.name, core["model"].ContainerStatus.RUNNING)
        options.evidence.check([container])
        database = dict(options.evidence.database)
        if database:
            core["database.target"].target(database.pop("url", None), **database)
        if options.image:
            spec = core["container.options"].describe(
                options.name,
                options.image,
                options.container,
                options.request.timeout,
                stop_signal=options.request.signal,
            )
            json.dumps({"asked": spec.asked, "health": repr(spec.healthcheck)})
        return core["actions.results"].ActionResult(False)

    made["main"].__globals__["run"] = run
    return made


def answer(
    module: dict[str, Any], capsys: pytest.CaptureFixture[str], args: dict[str, Any]
) -> dict[str, Any]:
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": {**args, "_ansible_check_mode": True}}).encode()
    with pytest.raises(SystemExit):
        module["main"]()
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_any_value_of_any_option(module: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    options = module["argument_spec"]()
    results = []

    def attempt(random: random.Random) -> None:
        args = fuzz.arguments(random, options)
        args["name"] = "c" if random.random() < 0.9 else fuzz.value(random)
        told = answer(module, capsys, args)
        assert told.get("changed") in (False, None)
        results.append(bool(told.get("failed")))
        if told.get("failed"):
            fuzz.is_clear(told["msg"])

    fuzz.tries(1500, attempt)
    assert set(results) == {True, False} or fuzz.is_replay()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dimensions": {"cpuset_cpus": "0-9999999999"}}, "dimensions.cpuset_cpus is"),
        ({"dimensions": {"mem_limit": fuzz.NINES + "g"}}, "dimensions.mem_limit is"),
        ({"dimensions": {"mem_limit": "9000000000g"}}, "dimensions.mem_limit is"),
        ({"dimensions": {"cpu_shares": 10**400}}, "dimensions.cpu_shares is"),
        ({"dimensions": {"ulimits": {"nofile": 10**400}}}, "dimensions.ulimits.nofile is"),
        ({"healthcheck": {"test": "x", "interval": 10**400}}, "healthcheck.interval is"),
        ({"healthcheck": {"test": "x", "interval": 1e308}}, "healthcheck.interval is"),
        ({"restart_policy": "on-failure", "restart_retries": 2**31}, "restart_retries is"),
        ({"graceful_shutdown_timeout": 10**400}, "at most 2000000"),
        ({"client_timeout": -(10**400)}, "client_timeout is"),
        # A socket's time-out of more than 2**31 milliseconds is an OverflowError.
        ({"client_timeout": 3_000_000}, "at most 2000000"),
        ({"poll_interval": float("inf")}, "poll_interval is inf"),
        ({"poll_interval": 10**400}, "Ansible cannot check"),
        ({"client_timeout": float("inf")}, "Ansible cannot check"),
        ({"common_options": {"client_timeout": float("inf")}}, "common_options holds a value"),
        ({"command": "\ud800"}, "Ansible cannot check"),
        ({"database": [1]}, "Ansible cannot check"),
        ({"service_config": ["/etc/a\0b"]}, "service_config holds a NUL"),
        ({"environment": {"A": ["b\0"]}}, "environment holds a NUL"),
        ({"user": "x" * 20_000, "ipc_mode": "y" * 20_000}, "ipc_mode is"),
    ],
)
def test_values_that_no_engine_has(
    module: dict[str, Any], capsys: pytest.CaptureFixture[str], options: dict[str, Any], words: str
) -> None:
    told = answer(module, capsys, {"action": "compare_container", "name": "c", "image": "x", **options})
    assert told["failed"]
    assert words in told["msg"]
    fuzz.is_clear(told["msg"])
