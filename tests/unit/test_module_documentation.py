"""What ``ansible-doc`` says of kolla_docker and what the module takes and returns are one and the same."""

from __future__ import annotations

from types import ModuleType

import pytest
import yaml

from tests.support.documented import asked, load, options, shown


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return load("kolla_docker")


def test_documentation_and_argument_spec_agree(module: ModuleType) -> None:
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]

    assert options(documented, "suboptions") == options(module.argument_spec(), "options")


def test_every_option_reaches_the_core(module: ModuleType) -> None:
    """An option that is read nowhere is a promise not kept."""
    given = {name: option.get("default") for name, option in module.argument_spec().items()}
    given.update(action="stop_container", name=["c"], poll_interval=2.0)

    left = {"common_options": "merged before"}
    read = asked(given, lambda params: module.options_of(params, check_mode=False))
    assert set(given) - read == set(left)


def test_every_action_is_documented_and_known(module: ModuleType) -> None:
    from kolla_drain.actions.run import ACTIONS

    documented = yaml.safe_load(module.DOCUMENTATION)["options"]["action"]
    assert documented["choices"] == module.argument_spec()["action"]["choices"] == sorted(ACTIONS)


def test_secrets_are_kept_from_logs_one_by_one(module: ModuleType) -> None:
    """On the whole dictionary, no_log would mask the database's name wherever it appears."""
    spec = module.argument_spec()
    database = spec["database"]

    assert "no_log" not in database
    assert {name for name, option in database["options"].items() if option.get("no_log")} == {
        "url",
        "password",
    }
    assert {name for name, option in spec.items() if option.get("no_log")} == {"auth_password"}


def test_documented_results_are_those_of_the_report(module: ModuleType) -> None:
    from kolla_drain import model
    from kolla_drain.actions import report
    from kolla_drain.drain.result import StopResult

    known = set(yaml.safe_load(module.RETURN)["containers"]["contains"])
    stopped = report.stop_result(StopResult("c", "id", model.Verdict.DRAINED, "why"))
    planned = {"status", "draining", "service", "plan", "preflight", "notes", *report.reading(None)}

    started = {"ready_after", "ready_by", "ready_timeout", "rolled_back", "resumed", "would", "differences"}
    reloaded = {"reloaded", "restarted", "how"}
    others = {"notes", "removed", "gap", "unit", "unattributed_at_start", *started, *reloaded}
    assert set(stopped) | planned | others == known | {"changed", "failed"}
    assert {verdict.value for verdict in model.Verdict} <= set(_words(module.RETURN))


def _words(text: str) -> list[str]:
    return text.replace("(", " ").replace(")", " ").replace("V ", " ").split()


def test_examples_are_tasks_that_the_module_takes(module: ModuleType) -> None:
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

    for task in yaml.safe_load(module.EXAMPLES):
        checked = ArgumentSpecValidator(module.argument_spec()).validate(task["kolla_docker"])
        assert not checked.error_messages, task["name"]


def test_ansible_doc_reads_it() -> None:
    found = shown("kolla_docker")
    assert found["doc"]["short_description"] == "Stop Kolla's containers without losing the work inside them"
    assert found["return"]["containers"]["contains"]["verdict"]["returned"] == "after a stop"
