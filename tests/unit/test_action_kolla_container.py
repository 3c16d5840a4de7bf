"""The action plugin kolla_container: each decision with stand-ins for the modules, and a play under a real Ansible."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.documented import load_file

# Not just "ansible": that is also a folder of this project.
pytest.importorskip("ansible.release", reason="no ansible-core for this Python")

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "ansible" / "action_plugins"
pytestmark = pytest.mark.timeout(300)

# Stands in for either module: notes the call, and answers by container and action.
STUB = """\
#!/usr/bin/python
import json, os
from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule({name: {"type": "raw"} for name in OPTIONS}, supports_check_mode=CHECKS)
given = {key: value for key, value in module.params.items() if value is not None}
name = given["name"][0] if isinstance(given["name"], list) else given["name"]
with open(os.environ["STUB_WORLD"], "a") as file:
    call = {"module": MODULE, "case": os.environ.get("STUB_CASE"), "check": module.check_mode, "given": given}
    file.write(json.dumps(call) + "\\n")
answer = ANSWERS.get(f"{name} {given['action']}", ANSWERS.get(given["action"], {}))
for text in answer.pop("warnings", []):
    module.warn(text)
if answer.pop("failed", False):
    module.fail_json(**answer)
module.exit_json(**{"changed": False, **answer})
"""


def write_stub(library: Path, name: str, options: str, answers: Mapping[str, Any], *, checks: bool) -> None:
    settings = f"MODULE = {name!r}\nOPTIONS = {options.split()!r}\nCHECKS = {checks!r}\nANSWERS = {dict(answers)!r}\n"
    head, rest = STUB.split("\n", 1)
    (library / f"{name}.py").write_text(f"{head}\n{settings}{rest}")


def differs_in(*names: str) -> dict[str, Any]:
    return {"changed": True, "comparison_failures": [{"name": name, "current": "old"} for name in names]}


CONFIG_CHECK = r"'Traceback:\n  File \"x\", in compare_config\nException: ExitCode: 126\n'"
CONTAINER = {
    "compare_container": {"changed": False, "result": False},
    "missing compare_container": differs_in("container_missing"),
    "differs compare_container": differs_in("image", "volumes"),
    "new_config compare_container": differs_in("config", "systemd_unit"),
    # Its new tag was not there: the real start_container pulls it, and calls that a change.
    "moved_tag compare_container": [differs_in("image"), {"changed": False}],
    "moved_tag ensure_image": {"changed": True},
    "same_image compare_container": [differs_in("image"), {"changed": False}],
    "slow_engine compare_container": [
        differs_in("image"),
        {"failed": True, "changed": True, "msg": "ReadTimeout: in check_container"},
    ],
    "unpullable compare_container": differs_in("image"),
    "unpullable ensure_image": {"failed": True, "changed": True, "msg": "The requested image does not exist"},
    "bifrost_deploy compare_container": {"failed": True, "changed": True, "msg": CONFIG_CHECK},
    "cinder_volume compare_container": {"failed": True, "changed": True, "msg": CONFIG_CHECK},
    "broken compare_container": {"failed": True, "changed": True, "msg": "in compare_labels"},
    # What the real one says of a container at rest.
    "stop_container": {"changed": False, "result": False},
    "start_container": {"changed": False, "result": False},
    "restart_container": {"changed": True, "result": False},
    "recreate_or_restart_container": {
        "changed": True,
        "result": False,
        "warnings": ["said by kolla_container"],
    },
    "half_way recreate_or_restart_container": {"failed": True, "changed": True, "msg": "Container timed out"},
}
DRAINED = {"changed": True, "verdict": "drained", "reason": "it exited", "containers": [{}]}
DOCKER = {
    "stop_container": {**DRAINED, "warnings": ["said by kolla_docker"]},
    "at_rest stop_container": {"changed": False, "verdict": "already_stopped"},
    "left stop_container": {**DRAINED, "failed": True, "verdict": "left_running", "msg": "left runs on."},
    "cinder_backup stop_container": [
        {
            "failed": True,
            "code": "driver_missing",
            "msg": "cinder_backup was not touched.",
            "evidence_why": "PyMySQL is missing in python3: install it",
        },
        {**DRAINED, "verdict": "unverified", "evidence": "none"},
    ],
}


def kolla(action: str, name: str, **more: Any) -> dict[str, Any]:
    return {"action": action, "name": name, "common_options": COMMON, **more}


COMMON = {
    "graceful_timeout": "300",
    "client_timeout": 77,
    "container_engine": "docker",
    "auth_password": "geheim",
    "environment": {"KOLLA_CONFIG_STRATEGY": "COPY_ALWAYS"},
}
COPY_ONCE = {"KOLLA_CONFIG_STRATEGY": "COPY_ONCE"}
RECREATE = "recreate_or_restart_container"


# --- each decision, in this process


@dataclass(frozen=True)
class Case:
    """A task, the calls that it makes, and parts of its result."""

    args: Mapping[str, Any]
    calls: str
    result: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    check_mode: bool = False
    in_background: bool = False


CASES = {
    "a stop": Case(
        kolla("stop_container", "one"),
        "docker:stop_container container:stop_container",
        {"changed": True, "failed": False, "result": False},
    ),
    "a stop of one at rest": Case(
        kolla("stop_container", "at_rest"),
        "docker:stop_container container:stop_container",
        {"changed": False},
    ),
    "a stop and removal": Case(
        kolla("stop_and_remove_container", "one"), "docker:stop_container container:stop_and_remove_container"
    ),
    "a restart": Case(kolla("restart_container", "one"), "docker:stop_container container:restart_container"),
    "what stops nothing": Case(kolla("create_volume", "one"), "container:create_volume", {"changed": False}),
    "an equal one is restarted, and stays the same": Case(
        kolla(RECREATE, "one", image="i"),
        "container:compare_container docker:stop_container container:restart_container",
        {"changed": True},
    ),
    "one with a new configuration is restarted": Case(
        kolla(RECREATE, "new_config", image="i"),
        "container:compare_container docker:stop_container container:restart_container",
    ),
    "one that differs is replaced, and the image comes first": Case(
        kolla(RECREATE, "differs", image="i"),
        "container:compare_container container:ensure_image docker:stop_container container:" + RECREATE,
        {"changed": True},
    ),
    "COPY_ONCE always replaces": Case(
        kolla(RECREATE, "one", image="i", environment=COPY_ONCE),
        "container:ensure_image docker:stop_container container:" + RECREATE,
    ),
    "a missing one is made": Case(
        kolla(RECREATE, "missing", image="i"), "container:compare_container container:" + RECREATE
    ),
    "an image that cannot be pulled stops nothing": Case(
        kolla(RECREATE, "unpullable", image="i"),
        "container:compare_container container:ensure_image",
        {"failed": True, "msg": "The requested image does not exist"},
    ),
    "one whose configuration cannot be checked is replaced": Case(
        kolla(RECREATE, "cinder_volume", image="i"),
        "container:compare_container container:ensure_image docker:stop_container container:" + RECREATE,
    ),
    "a comparison that fails is the task's failure, and stops nothing": Case(
        kolla(RECREATE, "broken", image="i"),
        "container:compare_container",
        {"failed": True, "msg": "in compare_labels"},
    ),
    "a comparison that fails once the image is there": Case(
        kolla("start_container", "slow_engine", image="i"),
        "container:compare_container container:ensure_image container:compare_container",
        {"failed": True, "msg": "ReadTimeout: in check_container"},
    ),
    "one that does not come up": Case(
        kolla(RECREATE, "half_way", image="i", environment=COPY_ONCE),
        "container:ensure_image docker:stop_container container:" + RECREATE,
        {"failed": True, "msg": "Container timed out"},
    ),
    "a start of an equal one": Case(
        kolla("start_container", "one", image="i"),
        "container:compare_container container:start_container",
        {"changed": False},
    ),
    "a start of a missing one": Case(
        kolla("start_container", "missing", image="i"),
        "container:compare_container container:start_container",
    ),
    "a start of one that differs": Case(
        kolla("start_container", "differs", image="i"),
        "container:compare_container container:ensure_image docker:stop_container container:start_container",
        {"changed": True},
    ),
    "a start where the pull brings the same image": Case(
        kolla("start_container", "moved_tag", image="i"),
        "container:compare_container container:ensure_image container:compare_container container:start_container",
        {"changed": True},
    ),
    "a start whose image is there meanwhile": Case(
        kolla("start_container", "same_image", image="i"),
        "container:compare_container container:ensure_image container:compare_container container:start_container",
        {"changed": False},
    ),
    "a start that may or may not replace": Case(
        kolla("start_container", "cinder_volume", image="i"), "container:compare_container", {"failed": True}
    ),
    "a start that may or may not replace what has no evidence": Case(
        kolla("start_container", "bifrost_deploy", image="i"),
        "container:compare_container container:start_container",
        {"changed": False, "failed": False},
    ),
    "a drain that fails": Case(
        kolla(RECREATE, "left", image="i"),
        "container:compare_container docker:stop_container",
        {"failed": True, "changed": True, "msg": "left runs on."},
    ),
    "a host without PyMySQL": Case(
        kolla("stop_container", "cinder_backup"),
        "docker:stop_container docker:stop_container container:stop_container",
        {"changed": True, "failed": False},
        {"graceful_shutdown_quiesce": "always"},
    ),
    "a host without PyMySQL where all must be in order": Case(
        kolla("stop_container", "cinder_backup"),
        "docker:stop_container",
        {"changed": False, "failed": True},
        {"graceful_shutdown_preflight": "strict"},
    ),
    "switched off by a variable": Case(
        kolla("stop_container", "one"),
        "container:stop_container",
        {"changed": False},
        {"enable_graceful_shutdown": "no"},
    ),
    "check mode": Case(
        kolla("stop_container", "one"),
        "docker:stop_container container:stop_container",
        {"changed": False, "skipped": True},
        check_mode=True,
    ),
    "check mode of what would be replaced or restarted": Case(
        kolla(RECREATE, "differs", image="i"),
        "container:compare_container docker:stop_container container:" + RECREATE,
        {"changed": False, "skipped": True},
        check_mode=True,
    ),
    "check mode of a start": Case(
        kolla("start_container", "differs", image="i"),
        "container:compare_container container:start_container",
        {"changed": False, "skipped": True},
        check_mode=True,
    ),
    "in the background": Case(
        kolla("stop_container", "one"), "", {"failed": True, "changed": False}, in_background=True
    ),
    "in the background, and stops nothing": Case(
        kolla("create_volume", "one"), "container:create_volume", {"changed": False}, in_background=True
    ),
    "a time-out that is none": Case(
        kolla("stop_container", "one"),
        "",
        {"failed": True, "changed": False},
        {"graceful_shutdown_timeout": "soon"},
    ),
    "a switch that is neither": Case(
        kolla("stop_container", "one"), "", {"failed": True}, {"enable_graceful_shutdown": "maybe"}
    ),
}


def plugin() -> Any:
    return load_file(PLUGINS / "kolla_container.py")


def acted(case: Case) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The calls that a task makes, and its result."""
    calls: list[dict[str, Any]] = []

    class Action(plugin().ActionModule):  # type: ignore[misc]
        def _execute_module(
            self, module_name: Any = None, module_args: Any = None, **more: Any
        ) -> dict[str, Any]:
            module = (module_name or self._task.action).removeprefix("kolla_")
            given = dict(module_args or self._task.args)
            key = (
                f"{given['name'][0] if isinstance(given['name'], list) else given['name']} {given['action']}"
            )
            answers = CONTAINER if module == "container" else DOCKER
            before = [call for call in calls if (call["module"], call["key"]) == (module, key)]
            calls.append({"module": module, "key": key, "given": given})
            if case.check_mode and module == "container":
                return {"changed": False, "skipped": True}
            answer = answers.get(key, answers.get(given["action"], {}))
            answer = answer[len(before)] if isinstance(answer, list) else answer
            return {"changed": False, "failed": False, "invocation": {"module_args": given}, **answer}

        def _remove_tmp_path(self, *_: Any, **__: Any) -> None:
            pass

    task = SimpleNamespace(
        action="kolla_container",
        args=dict(case.args),
        async_val=60 if case.in_background else 0,
        check_mode=case.check_mode,
    )
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/nowhere"), has_native_async=False)
    templar = SimpleNamespace(template=lambda value: value)
    variables = {"kolla_drain_progress": False, **case.variables}
    return calls, Action(task, connection, None, None, templar, None).run(task_vars=variables)


@pytest.mark.parametrize("name", CASES)
def test_a_task_makes_its_calls_and_gives_kolla_containers_result(name: str) -> None:
    case = CASES[name]
    calls, result = acted(case)
    assert [f"{call['module']}:{call['given']['action']}" for call in calls] == case.calls.split()
    assert {key: result.get(key) for key in case.result} == case.result
    ours = result.get("kolla_drain", {})
    assert bool(ours) == any(call["module"] == "docker" for call in calls)
    assert not {"warnings", "invocation", "containers", "exception"} & set(ours)


def test_kolla_container_gets_the_tasks_own_arguments() -> None:
    case = CASES["one that differs is replaced, and the image comes first"]
    calls, _ = acted(case)
    assert calls[-1]["given"] == case.args


def test_the_time_out_is_kolla_ansibles_unless_a_variable_says_so() -> None:
    calls, result = acted(CASES["a stop"])
    assert calls[0]["given"] == {
        "action": "stop_container",
        "name": ["one"],
        "ignore_missing": True,
        "container_engine": "docker",
        "client_timeout": 77,
        "graceful_shutdown_timeout": 300,
    }
    assert result["kolla_drain"]["timeout_from"] == "graceful_timeout"


def test_a_library_that_is_missing_is_said_and_the_drain_goes_on_without() -> None:
    calls, result = acted(CASES["a host without PyMySQL"])
    assert calls[1]["given"]["service"] == "none"
    assert not {"quiesce", "service_config"} & set(calls[1]["given"])
    assert result["kolla_drain"]["evidence"] == "unavailable"
    assert result["kolla_drain"]["evidence_why"] == "PyMySQL is missing in python3: install it"
    (said,) = result["warnings"]
    assert said.startswith("cinder_backup: what was in flight could not be seen")
    assert said.endswith("PyMySQL is missing in python3: install it.")


def test_what_is_left_to_kolla_container_undrained_is_said() -> None:
    _, result = acted(CASES["a start that may or may not replace what has no evidence"])
    (said,) = result["warnings"]
    assert said.startswith("bifrost_deploy was left to kolla_container without a drain")
    assert "ExitCode: 126" in said
    assert "Traceback" not in said
    assert "stop_container" in said


def test_the_warnings_of_both_are_passed_on() -> None:
    _, result = acted(CASES["one that differs is replaced, and the image comes first"])
    assert result["warnings"] == ["said by kolla_docker", "said by kolla_container"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("in the background", ["stop_container of one", "in the background", "remove async"]),
        (
            "a start that may or may not replace",
            ["cinder_volume", "ExitCode: 126", "enable_graceful_shutdown"],
        ),
        ("a time-out that is none", ["graceful_shutdown_timeout is 'soon'", "whole seconds"]),
        ("a switch that is neither", ["enable_graceful_shutdown is 'maybe'", "true or false"]),
    ],
)
def test_a_refusal_names_the_thing_and_the_way_out(name: str, words: list[str]) -> None:
    _, result = acted(CASES[name])
    assert not [word for word in words if word not in result["msg"]], result["msg"]
    assert "Traceback" not in result["msg"]
    assert "\n" not in result["msg"]


# --- under a real Ansible

VARIABLES = {
    "docker_common_options": COMMON,
    "base": 300,
    "cinder_volume_graceful_shutdown_timeout": "{{ base * 3 }}",
    "nova_compute_graceful_shutdown_timeout": "{{ nowhere }}",
}
COMMON_AS_KOLLA_GIVES_IT = {"common_options": "{{ docker_common_options }}"}
TASKS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "loop": (kolla("stop_container", "{{ item }}"), {"loop": ["one", "at_rest"]}),
    "delegated": (kolla("stop_container", "cinder_volume"), {"delegate_to": "two"}),
    "no_log": (kolla(RECREATE, "differs", image="i"), {"no_log": True}),
    "replaced": (kolla(RECREATE, "differs", image="i"), {}),
    "check mode": (kolla("stop_container", "one"), {"check_mode": True}),
    "async": (kolla("stop_container", "one"), {"async": 60, "poll": 1}),
    "async passes": (kolla("create_volume", "one"), {"async": 60, "poll": 1}),
    "left": (kolla("stop_container", "left"), {}),
    "undefined": (kolla("stop_container", "nova_compute"), {}),
}


@dataclass(frozen=True)
class Ran:
    """What came out of a run of the play."""

    calls: Mapping[str, list[dict[str, Any]]]
    results: Mapping[str, dict[str, Any]]
    output: str


def play(tasks: list[dict[str, Any]]) -> str:
    head = {"hosts": "one", "gather_facts": False, "vars": VARIABLES}
    return json.dumps([{**head, "tasks": tasks}])


def playbook(
    folder: Path, *more: str, settings: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    (folder / "ansible.cfg").write_text(f"[defaults]\n{settings}")
    inventory = "one ansible_connection=local\ntwo ansible_connection=local base=1\n"
    (folder / "hosts").write_text(f"{inventory}\n[all:vars]\nansible_python_interpreter={sys.executable}\n")
    command = Path(sys.executable).parent / "ansible-playbook"
    return subprocess.run(
        [command, "-i", "hosts", "play.yml", "-vvv", *more],
        cwd=folder,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_PIPELINING": "true",
            **({} if settings else {"ANSIBLE_ACTION_PLUGINS": str(PLUGINS)}),
            "STUB_WORLD": str(folder / "calls"),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


CONTAINER_OPTIONS = "action name image common_options environment"
DOCKER_OPTIONS = (
    "action name ignore_missing container_engine client_timeout graceful_shutdown_timeout on_timeout quiesce "
    "preflight service_config database"
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """All the tasks in one run; the environment of each tells its calls from the others'."""
    folder = tmp_path_factory.mktemp("play")
    (folder / "library").mkdir()
    write_stub(folder / "library", "kolla_container", CONTAINER_OPTIONS, CONTAINER, checks=False)
    write_stub(folder / "library", "kolla_docker", DOCKER_OPTIONS, DOCKER, checks=True)
    tasks: list[dict[str, Any]] = []
    for number, (name, (args, keywords)) in enumerate(TASKS.items()):
        kept = {"register": f"task_{number}", "ignore_errors": True, "environment": {"STUB_CASE": name}}
        tasks.append(
            {"name": name, "kolla_container": {**args, **COMMON_AS_KOLLA_GIVES_IT}, **kept, **keywords}
        )
    content = f"{{{{ [{', '.join(f'task_{number}' for number in range(len(TASKS)))}] | to_json }}}}"
    tasks.append({"copy": {"content": content, "dest": str(folder / "results")}, "no_log": True})
    (folder / "play.yml").write_text(play(tasks))
    done = playbook(folder)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    calls: dict[str, list[dict[str, Any]]] = {name: [] for name in TASKS}
    for line in map(json.loads, (folder / "calls").read_text().splitlines()):
        calls[line["case"]].append(line)
    return Ran(calls, dict(zip(TASKS, json.loads((folder / "results").read_text()))), output)


def called(ran: Ran, name: str) -> list[str]:
    return [f"{one['module']} {one['given']['action']}" for one in ran.calls[name]]


def test_the_modules_are_run_one_after_the_other(ran: Ran) -> None:
    asked = ("compare_container", "ensure_image", "stop_container", RECREATE)
    modules = ("kolla_container", "kolla_container", "kolla_docker", "kolla_container")
    assert called(ran, "replaced") == [" ".join(pair) for pair in zip(modules, asked)]
    result = ran.results["replaced"]
    assert (result["changed"], result["kolla_drain"]["verdict"]) == (True, "drained")
    assert "said by kolla_docker" in str(result["warnings"])
    assert "said by kolla_container" in str(result["warnings"])
    assert ran.calls["replaced"][-1]["given"]["common_options"] == COMMON


def test_each_item_of_a_loop_has_its_own_verdict(ran: Ran) -> None:
    items = ran.results["loop"]["results"]
    assert [one["kolla_drain"]["verdict"] for one in items] == ["drained", "already_stopped"]
    assert [one["changed"] for one in items] == [True, False]


def test_variables_are_those_of_the_tasks_own_host_and_templated(ran: Ran) -> None:
    stop, *_ = ran.calls["delegated"]
    assert stop["given"]["graceful_shutdown_timeout"] == 900
    said = ran.results["delegated"]["kolla_drain"]
    assert said["timeout_from"] == "cinder_volume_graceful_shutdown_timeout"


def test_a_variable_that_cannot_be_worked_out_is_named(ran: Ran) -> None:
    said = ran.results["undefined"]["msg"]
    assert "nova_compute_graceful_shutdown_timeout cannot be worked out" in said
    assert "nowhere" in said
    assert called(ran, "undefined") == []


def test_check_mode_reaches_our_module_and_skips_kolla_containers(ran: Ran) -> None:
    (stop,) = ran.calls["check mode"]
    assert (stop["module"], stop["check"]) == ("kolla_docker", True)
    assert ran.results["check mode"]["skipped"] is True


def test_what_would_be_drained_is_not_run_in_the_background(ran: Ran) -> None:
    assert ran.results["async"]["failed"] is True
    assert called(ran, "async") == []
    assert ran.results["async passes"]["finished"] == 1
    assert called(ran, "async passes") == ["kolla_container create_volume"]


def test_a_drain_that_fails_is_the_tasks_failure(ran: Ran) -> None:
    result = ran.results["left"]
    assert (result["failed"], result["msg"]) == (True, "left runs on.")
    assert result["kolla_drain"]["verdict"] == "left_running"
    assert called(ran, "left") == ["kolla_docker stop_container"]


def test_no_log_hides_what_both_modules_say(ran: Ran) -> None:
    shown = ran.output.split("TASK [no_log]", 1)[1].split("TASK [", 1)[0]
    assert "censored" in shown
    assert "drained" not in shown
    assert "geheim" not in shown


def test_our_module_is_found_without_any_other_setting(tmp_path: Path) -> None:
    """Its own word on a bad option: its module_utils were found, too."""
    (tmp_path / "library").mkdir()
    write_stub(tmp_path / "library", "kolla_container", CONTAINER_OPTIONS, CONTAINER, checks=False)
    task = {
        "kolla_container": kolla("stop_container", "none"),
        "vars": {"graceful_shutdown_preflight": "nonsense"},
    }
    (tmp_path / "play.yml").write_text(play([task]))
    done = playbook(tmp_path)
    assert "value of preflight must be one of" in done.stdout + done.stderr
    assert not (tmp_path / "calls").exists()


def test_the_setting_in_ansible_cfg_beside_an_operators_own_plugins(tmp_path: Path) -> None:
    """The setting takes the place of the default folders: who has plugins there names them after ours."""
    (tmp_path / "library").mkdir()
    write_stub(tmp_path / "library", "kolla_container", CONTAINER_OPTIONS, CONTAINER, checks=False)
    own = tmp_path / ".ansible/plugins/action"
    own.mkdir(parents=True)
    head = "from ansible.plugins.action import ActionBase\n\n\nclass ActionModule(ActionBase):\n"
    (own / "mine.py").write_text(
        f"{head}    def run(self, **_):\n        return {{'msg': 'an operator\\'s own'}}\n"
    )
    task = {
        "kolla_container": kolla("stop_container", "none"),
        "vars": {"graceful_shutdown_preflight": "nonsense"},
    }
    (tmp_path / "play.yml").write_text(play([{"mine": {}}, task]))
    folders = f"{PLUGINS}:~/.ansible/plugins/action:/usr/share/ansible/plugins/action"
    done = playbook(tmp_path, settings=f"action_plugins = {folders}\n", HOME=str(tmp_path))
    assert "an operator's own" in done.stdout
    assert "value of preflight must be one of" in done.stdout + done.stderr
    assert not (tmp_path / "calls").exists()


def test_without_the_setting_nothing_of_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    write_stub(tmp_path / "library", "kolla_container", CONTAINER_OPTIONS, CONTAINER, checks=False)
    (tmp_path / "play.yml").write_text(play([{"kolla_container": kolla("stop_container", "one")}]))
    done = playbook(tmp_path, ANSIBLE_ACTION_PLUGINS=str(tmp_path / "none"))
    assert done.returncode == 0, done.stdout + done.stderr
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert json.loads(call)["module"] == "kolla_container"
    assert "kolla_drain" not in done.stdout
