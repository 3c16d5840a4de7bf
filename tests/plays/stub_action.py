"""An action plugin that stands in for a module of ours in tests of the plays: it notes the call, and answers as told.

The test copies it under the module's name. What it answers is in $STUB_WORLD/answers.json, by "<what> <whom>" or
"<what>"; of a list the next one each time, the last one for good. Calls go to $STUB_WORLD/calls, a line each.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Every module of ours."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        module, given = Path(__file__).stem, dict(self._task.args)
        what, whom = _named(module, given)
        world = Path(os.environ["STUB_WORLD"])
        call = {
            "what": what,
            "whom": whom,
            "host": task_vars["inventory_hostname"],
            "given": given,
            "check": self._task.check_mode,
        }
        with (world / "calls").open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            before = [json.loads(line) for line in file]
            answer = _of_each(world, call, before) or _answer(world, call, before)
            file.write(json.dumps(call, default=str) + "\n")
        time.sleep(answer.pop("takes", 0.0))
        if answer.pop("unreachable", False):
            raise AnsibleConnectionFailure("the connection was lost")
        return {"changed": False, **answer}


def _named(module: str, given: dict[str, Any]) -> tuple[str, str]:
    if module == "kolla_service":
        return str(given["state"]), f"{given['service']}@{given['host']}"
    if module == "kolla_haproxy":
        return f"haproxy-{given['state']}", str(given["server"])
    if module == "kolla_timeouts":
        return "timeouts", str(given["service"])
    if module == "kolla_galera":
        return "galera", str(given.get("leaving", 1))
    if given.get("detach") is False:
        return "run", str(given["command"][2])
    name = given.get("name", given.get("image", "all"))
    return str(given["action"]), ",".join(name) if isinstance(name, list) else str(name)


def _of_each(world: Path, call: dict[str, Any], before: list[dict[str, Any]]) -> dict[str, Any]:
    """Of a list of names the answers to each, as the module puts them together."""
    names = call["given"].get("name")
    if not isinstance(names, list):
        return {}
    each = [{"name": name, **_answer(world, {**call, "whom": name}, before)} for name in names]
    lost = any(one.pop("unreachable", False) for one in each)
    if any(one.pop("as_a_whole", False) for one in each):
        return {"failed": True, "msg": each[0]["msg"]}
    failures = [one["msg"] for one in each if one.get("failed")]
    said = {"failed": True, "msg": " ".join(failures)} if failures else {}
    return {
        "changed": any(one.get("changed") for one in each),
        "containers": each,
        "unreachable": lost,
        **said,
    }


def _answer(world: Path, call: dict[str, Any], before: list[dict[str, Any]]) -> dict[str, Any]:
    answers = json.loads((world / "answers.json").read_text())
    keys = (f"{call['what']} {call['whom']} {call['host']}", f"{call['what']} {call['whom']}", call["what"])
    found = next((answers[key] for key in keys if key in answers), {})
    if isinstance(found, list):
        same = [one for one in before if all(one[key] == call[key] for key in ("what", "whom", "host"))]
        found = found[min(len(same), len(found) - 1)]
    return dict(found)
