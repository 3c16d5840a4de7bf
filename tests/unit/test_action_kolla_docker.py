"""The action plugin kolla_docker: a run in the background, with this machine as the host and a stand-in for the run."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.documented import load_file

# Not just "ansible": that is also a folder of this project.
pytest.importorskip("ansible.release", reason="no ansible-core for this Python")

from ansible.errors import AnsibleConnectionFailure, AnsibleError

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "ansible" / "action_plugins"
pytestmark = pytest.mark.timeout(300)

STORY = {
    "id": "1d",
    "name": "one",
    "service": "none",
    "begun": 1.0,
    "deadline": 61.0,
    "signal_by": 1.0,
    "signalled": True,
    "on_timeout": "kill",
    "beats_while_draining": False,
    "exit_seconds": 15.0,
    "phase": "drain",
    "waits_for": "draining",
    "readings": 0,
    "heard_at": 1.0,
    "in_flight": [],
    "beats": [],
    "events": [[0, 1.0, "drain", "SIGTERM sent"]],
    "memory": {},
    "outcome": None,
}
DONE = {"at": 5.0, "verdict": "drained", "reason": "exited by itself", "signal": "SIGTERM"}
RESULT = {"changed": True, "verdict": "drained", "name": "one"}
ARGS = {"action": "stop_container", "name": ["one"]}


class World:
    """This machine as the host: commands are real, and a run is what the test makes of its two files."""

    def __init__(self, folder: Path, plugin: Any) -> None:
        self.folder = folder
        self.plugin = plugin
        self.said: list[str] = []
        self.before_look: Iterator[Callable[[], None]] = iter(())
        self.started: list[dict[str, Any]] = []
        self.in_front: list[dict[str, Any]] = []
        self.resets = 0
        self.job = folder / "async" / "j1.2"
        self.run: subprocess.Popen[bytes] | None = None
        self.environment: list[dict[str, str]] = []
        plugin.stories.STORIES = str(folder / "stories")
        for name in ("async", "stories"):
            (folder / name).mkdir()

    @property
    def story(self) -> Path:
        (given,) = [one for one in self.environment if self.plugin.stories.WATCHED in one]
        return self.folder / "stories" / f"{given[self.plugin.stories.WATCHED]}.json"

    def tell(self, **more: Any) -> None:
        """The run writes its story anew."""
        new = self.folder / "new"
        new.write_text(json.dumps({"at": 2.0, "stops": [{**STORY, **more}], "steps": []}))
        new.replace(self.story)

    def end(self, text: str = json.dumps(RESULT)) -> None:
        """The run writes its result and ends."""
        self.job.write_text(text)
        self.die()

    def die(self) -> None:
        assert self.run is not None
        self.run.kill()
        self.run.wait()

    def lose_connection(self) -> None:
        raise AnsibleConnectionFailure("Connection reset by peer")

    def action(self, **more: Any) -> Any:
        world = self

        class Action(self.plugin.ActionModule):  # type: ignore[misc, name-defined]
            def _execute_module(self, module_name: str, module_args: Any, **more: Any) -> dict[str, Any]:
                given = {"module": module_name, "args": module_args, **more}
                given["limit"], given["environment"] = self._task.async_val, list(self._task.environment)
                if "_low_level_execute_command" in vars(self):  # the run's result, treated as a module's
                    found: dict[str, Any] = json.loads(self._low_level_execute_command("")["stdout"])
                    return found
                if not more.get("wrap_async"):
                    world.in_front.append(given)
                    return {"failed": False, **RESULT}
                world.started.append(given)
                return world.starts(self)

            def _make_tmp_path(self, *_: Any) -> str:
                self._connection._shell.tmpdir = f"{world.folder}/ansible-tmp-4711/"
                return str(self._connection._shell.tmpdir)

            def _remove_tmp_path(self, *_: Any, **__: Any) -> None:
                pass

            def _low_level_execute_command(self, cmd: str, **_: Any) -> dict[str, Any]:
                if "looks" in cmd:
                    next(world.before_look, lambda: None)()
                done = subprocess.run(["sh", "-c", cmd], capture_output=True, text=True, check=False)
                # As over SSH with a terminal, and after what a login shell may say.
                stdout = f"Welcome.\n{done.stdout}".replace("\n", "\r\n")
                return {"rc": done.returncode, "stdout": stdout, "stderr": done.stderr}

        task = SimpleNamespace(
            **{
                "action": "kolla_docker",
                "args": dict(ARGS),
                "async_val": 0,
                "check_mode": False,
                "no_log": False,
                "environment": [],
                "delegate_to": None,
                **more,
            }
        )
        connection = SimpleNamespace(
            _shell=SimpleNamespace(tmpdir=None), has_native_async=False, reset=self.reset, transport="local"
        )
        action = Action(task, connection, None, None, SimpleNamespace(template=lambda value: value), None)
        action._display = SimpleNamespace(
            verbosity=0,
            display=lambda text, stderr: self.said.append(text),
            vv=lambda text: self.said.append(text),
        )
        return action

    def reset(self) -> None:
        self.resets += 1

    def starts(self, action: Any) -> dict[str, Any]:
        """Begin a run: a process with the folder of its script on its command line."""
        self.environment = list(action._task.environment)
        script = f"{action._connection._shell.tmpdir}AnsiballZ_kolla_docker.py"
        self.run = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", script])
        self.job.write_text('{"started": true, "finished": false, "ansible_job_id": "j1.2"}')
        action._connection._shell.tmpdir = None
        return {"started": True, "finished": False, "results_file": str(self.job), "changed": True}

    def runs(self, *before_look: Callable[[], None], variables: Any = None, **more: Any) -> dict[str, Any]:
        """The result of a task; before each look at its run one thing happens."""
        self.before_look = iter(before_look)
        action = self.action(**more)
        host = {"inventory_hostname": "web1", **(variables or {})}
        result: dict[str, Any] = action.run(task_vars=host)
        return result


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    plugin = load_file(PLUGINS / "kolla_docker.py")
    monkeypatch.setattr(plugin, "LAST_WORDS", 0.1)
    monkeypatch.setattr(plugin, "TRY_AGAIN", 0.01)
    monkeypatch.setattr(plugin.stories, "STORIES", "")
    made = World(tmp_path, plugin)
    yield made
    if made.run is not None:
        made.die()


def nothing() -> None:
    pass


def test_what_changes_is_shown_and_the_result_is_the_modules_own(world: World) -> None:
    events = [*STORY["events"], [1, 3.0, "verdict", "drained"]]  # type: ignore[misc]
    result = world.runs(world.tell, nothing, lambda: world.tell(events=events, outcome=DONE), world.end)
    assert result == RESULT
    assert [line.split("  ")[-1] for line in world.said] == ["SIGTERM sent", "drained"]
    assert all(line.startswith("web1 one ") for line in world.said)
    assert (list((world.folder / "stories").iterdir()), list((world.folder / "async").iterdir())) == ([], [])


def test_a_story_that_has_the_number_of_the_one_before_is_read_too(world: World) -> None:
    """Some file systems give it to the next file."""

    def again() -> None:
        world.story.write_text(json.dumps({"at": 3.0, "stops": [{**STORY, "events": events}], "steps": []}))

    events = [*STORY["events"], [1, 3.0, "drain", "it goes on"]]  # type: ignore[misc]
    shown: list[int] = []
    world.runs(world.tell, again, lambda: shown.append(len(world.said)), world.end)
    assert shown == [2]


def test_the_run_is_told_where_to_tell_and_nothing_of_that_stays(world: World) -> None:
    world.runs(world.end)
    (started,) = world.started
    assert started["limit"] == world.plugin.FOR_GOOD
    assert [list(one) for one in started["environment"]] == [[world.plugin.stories.WATCHED]]
    assert started["args"] == ARGS
    assert world.in_front == []


def test_the_script_with_the_tasks_options_is_removed_once_it_has_been_read(world: World) -> None:
    script = world.folder / "ansible-tmp-4711" / "AnsiballZ_kolla_docker.py"
    script.parent.mkdir()
    script.write_text("s3cr3t")
    seen: list[bool] = []
    world.runs(nothing, world.tell, lambda: seen.append(script.exists()), world.end)
    assert seen == [False]


@pytest.mark.parametrize(
    ("more", "variables"),
    [
        ({"check_mode": True}, {}),
        ({"args": {**ARGS, "action": "drain_status"}}, {}),
        ({"args": {"action": "start_container", "name": "one", "detach": False}}, {}),
        ({"args": {"action": "start_container", "name": "one", "detach": "no"}}, {}),
        ({}, {"kolla_drain_progress": False}),
        ({}, {"kolla_drain_progress": "no"}),
    ],
)
def test_what_is_not_watched_is_run_as_ever(
    world: World, more: Any, variables: Any, monkeypatch: Any
) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(
        world.plugin.Normal, "run", lambda self, *_, **__: ran.append(self._task.args) or {"changed": False}
    )
    assert world.runs(variables=variables, **more) == {"changed": False}
    assert (ran, world.started) == ([more.get("args", ARGS)], [])


def test_a_switch_that_is_neither_is_refused(world: World) -> None:
    with pytest.raises(AnsibleError, match="kolla_drain_progress is 'maybe'; it is true or false"):
        world.runs(variables={"kolla_drain_progress": "maybe"})


def test_with_no_log_nothing_is_shown(world: World) -> None:
    result = world.runs(world.tell, world.end, no_log=True)
    assert (result["verdict"], world.said) == ("drained", [])


def test_a_lost_connection_is_borne_with(world: World) -> None:
    result = world.runs(world.tell, world.lose_connection, world.lose_connection, nothing, world.end)
    assert result["verdict"] == "drained"
    assert world.resets == 2
    _, lost, again = world.said
    assert lost == (
        "web1: connection lost (Connection reset by peer); the run goes on there, and is looked for again"
    )
    assert again.startswith("web1: connected again after ")


def test_a_connection_that_stays_away_is_given_up_with_what_to_do(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(world.plugin, "PATIENCE", -58.5)  # half a second with the rest of the budget
    monkeypatch.setattr(
        world.plugin.time, "sleep", lambda seconds, sleep=world.plugin.time.sleep: sleep(0.05)
    )
    with pytest.raises(AnsibleConnectionFailure) as caught:
        world.runs(world.tell, *itertools.repeat(world.lose_connection, 10000))
    said = str(caught.value)
    assert said.startswith("web1 could not be reached for ")
    assert "(last seen: one: draining after 1 of 60 s, its stop signal was sent)" in said
    assert said.endswith(
        "run this again once the host can be reached, which joins it or tells what it came to."
    )


def test_a_look_that_does_not_come_back_is_a_lost_connection(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(world.plugin, "LOOK_BOUND", 0.5)
    result = world.runs(world.tell, lambda: world.plugin.time.sleep(1.0), nothing, world.end)
    assert result["verdict"] == "drained"
    assert "web1: connection lost (no answer came within 0.5 s)" in world.said[1]


def killed(result: dict[str, Any]) -> str:
    assert (result["failed"], result["changed"]) == (True, False)
    said = str(result["msg"])
    assert said.startswith("stop_container of one on web1 ended without a result: ")
    assert said.endswith(". Run this again: it joins what is under way, and nothing is signalled twice."), (
        said
    )
    assert "Traceback" not in said
    return said


def test_a_run_that_is_gone_is_told(world: World) -> None:
    said = killed(world.runs(world.tell, world.die))
    assert "it was killed, or the host had no memory or no space left (last seen: one: draining after" in said


def test_a_module_that_died_is_told_without_async_wrappers_traceback(world: World) -> None:
    wrapper = {
        "failed": True,
        "cmd": "x",
        "data": "",
        "stderr": "",
        "msg": "Traceback (most recent call last)",
    }
    killed(world.runs(world.tell, lambda: world.end(json.dumps(wrapper))))


@pytest.mark.parametrize("kept", ["", '{"changed": tr'])
def test_a_result_that_could_not_be_kept_is_told(world: World, kept: str) -> None:
    said = killed(world.runs(lambda: world.tell(outcome=DONE), lambda: world.end(kept)))
    assert f"it could not be kept in {world.folder}/async, whose file system may be full" in said
    assert "last seen: one: drained, exited by itself" in said


def test_a_host_that_was_booted_anew_is_told(world: World, monkeypatch: Any) -> None:
    def boot() -> None:
        real = world.plugin.Look

        def look(output: str) -> Any:
            seen = real(output)
            seen.boot = "another"
            return seen

        monkeypatch.setattr(world.plugin, "Look", look)

    assert "the host was booted anew meanwhile (last seen: one: draining" in killed(
        world.runs(world.tell, boot)
    )


def test_nobody_takes_the_result_for_a_controller_that_is_gone(world: World, monkeypatch: Any) -> None:
    parents = itertools.chain([1, 1, 1], itertools.repeat(2))
    monkeypatch.setattr(world.plugin.os, "getppid", lambda: next(parents))
    with pytest.raises(AnsibleError, match="Ansible itself has ended"):
        world.runs(world.tell, nothing, world.end)
    assert world.story.exists()


def test_where_nothing_can_be_started_in_the_background_it_is_run_in_front(
    world: World, monkeypatch: Any
) -> None:
    def full(*_: Any) -> str:
        raise AnsibleConnectionFailure("No space left on device")

    action = world.action()
    monkeypatch.setattr(action, "_make_tmp_path", full)
    assert action.run(task_vars={"inventory_hostname": "web1"})["verdict"] == "drained"
    assert (len(world.in_front), world.said) == (1, ["web1: no progress is shown: No space left on device"])


def test_where_the_job_cannot_be_kept_it_is_run_in_front(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(
        world,
        "starts",
        lambda action: {"failed": True, "msg": "could not create directory: /root/.ansible_async"},
    )
    assert world.runs()["verdict"] == "drained"
    assert world.said == ["web1: no progress is shown: could not create directory: /root/.ansible_async"]


def test_a_module_that_could_not_even_begin_is_told_in_a_sentence(world: World) -> None:
    stderr = (
        "Traceback (most recent call last):\n  ...\nOSError: [Errno 28] No space left on device: '/tmp/x'\n"
    )
    answer = {"failed": True, "module_stderr": stderr, "module_stdout": "", "msg": "MODULE FAILURE"}
    assert world.plugin.plain(answer, "kolla_docker")["msg"] == (
        "kolla_docker gave no answer: OSError: [Errno 28] No space left on device: '/tmp/x'. Put that right, then run "
        "this again."
    )


def test_who_delegates_sees_where_it_is(world: World) -> None:
    world.runs(world.tell, world.end, delegate_to="web2")
    assert world.said[0].startswith("web1 -> web2 one ")


# --- under a real Ansible

STUB = """\
#!/usr/bin/python
import os, signal, sys, time
from ansible.module_utils.basic import AnsibleModule

spec = {name: {"type": "raw"} for name in ("action", "name", "detach")}
module = AnsibleModule({**spec, "password": {"no_log": True}}, supports_check_mode=True)
name = module.params["name"]
if name == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
if name == "no room":
    raise OSError(28, "No space left on device")
module.warn(f"a warning of {name}")
module.deprecate("an old name", version="9.9", collection_name="a.b")
if name == "speaks":
    print("said beside", file=sys.stderr)
answer = dict(changed=True, containers=[{"name": name, "é": None}], check=module.check_mode, verdict="drained")
if name == "fails":
    module.fail_json(msg="fails, as it should.", exception="Traceback of it", **answer)
module.exit_json(diff=[{"before": "a\\n", "after": "b\\n"}] if module._diff else [], **answer)
"""
NAMES = ("one", "fails", "speaks", "dies", "no room")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the same tasks come to, with progress and without, and in the background by the task's own words."""
    folder = tmp_path_factory.mktemp("play")
    (folder / "library").mkdir()
    (folder / "library" / "kolla_docker.py").write_text(STUB)
    (folder / "ansible.cfg").write_text("[defaults]\n")
    task: dict[str, Any] = {
        "kolla_docker": {"action": "stop_container", "name": "{{ item }}", "password": "geheim"},
        "ignore_errors": True,
        "diff": True,
        "loop": list(NAMES),
    }
    variables: dict[str, Any] = {"kolla_drain_progress": False}
    tasks = [
        {**task, "register": "with_it"},
        {**task, "register": "without", "vars": variables},
        {**task, "register": "checked", "check_mode": True, "loop": ["one"]},
        {**task, "register": "in_background", "async": 60, "poll": 1, "loop": ["one"]},
    ]
    names = ", ".join(f"'{one['register']}': {one['register']}.results" for one in tasks)
    tasks.append({"copy": {"content": f"{{{{ {{{names}}} | to_json }}}}", "dest": str(folder / "results")}})
    (folder / "play.yml").write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}])
    )
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", "play.yml"],
        cwd=folder,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_ACTION_PLUGINS": str(PLUGINS),
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_REMOTE_TEMP": str(folder / "remote"),
            "ANSIBLE_ASYNC_DIR": str(folder / "async"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_PIPELINING": "true",
        },
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert (folder / "results").exists(), done.stdout + done.stderr
    found: dict[str, Any] = json.loads((folder / "results").read_text())
    found["left"] = [path.name for path in (folder / "async").iterdir()]
    found["output"] = done.stdout + done.stderr
    return found


def by_name(results: dict[str, Any], which: str) -> dict[str, Any]:
    return {one["item"]: one for one in results[which]}


@pytest.mark.parametrize("name", ["one", "fails", "speaks"])
def test_the_result_is_the_same_with_progress_and_without(results: dict[str, Any], name: str) -> None:
    watched, plain = by_name(results, "with_it")[name], by_name(results, "without")[name]
    assert json.dumps(watched, sort_keys=True) == json.dumps(plain, sort_keys=True)
    assert watched["containers"] == [{"name": name, "é": None}]
    assert "geheim" not in results["output"]


def test_a_module_that_is_killed_is_told_plainly(results: dict[str, Any]) -> None:
    for which, name in itertools.product(("with_it", "without"), ("dies", "no room")):
        said = by_name(results, which)[name]["msg"]
        # What a module raises is told by ansible-core, since 2.19 without its traceback.
        assert "run this again" in said.lower() or "No space left on device" in said, said
        assert "Traceback" not in said
        assert "\n" not in said


def test_check_mode_reaches_the_module(results: dict[str, Any]) -> None:
    assert results["checked"][0]["check"] is True


def test_a_task_in_the_background_is_ansibles_own(results: dict[str, Any]) -> None:
    (one,) = results["in_background"]
    assert one["finished"] in (1, True)
    assert one["verdict"] == "drained"


def test_nothing_is_left_of_the_jobs(results: dict[str, Any]) -> None:
    """But what Ansible itself leaves of them."""
    assert len(results["left"]) <= 1 + len({"dies", "no room"}), results["left"]
