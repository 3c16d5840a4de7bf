# SPDX-License-Identifier: Apache-2.0
"""Write the report of a run. Runs on the controller only, beside whatever callback writes to the screen.

Where this folder is among Ansible's callback plugins, or beside the playbook, a run writes its report if the variable
drain_report has a path; else this plugin does nothing.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from runpy import run_path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.callback import CallbackBase
from ansible.template import Templar

from ansible import context

DOCUMENTATION = """
name: kolla_drain_report
type: aggregate
short_description: Write the report of a run of kolla-drain
description:
  - Writes what a run has drained, stopped and started, and what became of the operations that were in flight, as JSON
    and as one HTML page.
  - Does nothing unless the variable C(drain_report) has a path. C(drain_report_metrics) is the path of a textfile for
    Prometheus' node_exporter.
"""

MODULE_UTILS = Path(__file__).resolve().parents[1] / "module_utils"
# The files are written again at every news, so that they tell of a run whose controller dies. Where that takes longer
# than these seconds, it is done for no more than this part of the time.
QUICK, SHARE = 0.05, 0.05
# What of a task's arguments the report needs, and none of it is secret.
ARGUMENTS = ("action", "state")


core: Any = run_path(str(MODULE_UTILS / "kolla_drain/controller/core.py"))["core"]
collect, files, model = (core(f"controller.report.{name}") for name in ("collect", "files", "model"))

Key = tuple[str, str]  # a host and a task's id


class CallbackModule(CallbackBase):
    """Notes what comes of each task, and writes the report of it."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kolla_drain_report"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._began = time.time()
        self._process = os.getpid()
        self._play: Any = None
        self._looked = False  # for the variables, in this play
        self._base: Path | None = None
        self._metrics = ""
        self._playbooks: list[str] = []
        self._state = "under_way"
        self._tasks: dict[str, str] = {}
        self._running: dict[Key, float] = {}
        self._ours: dict[Key, str] = {}  # of these the tasks whose end matters
        self._facts: list[Any] = []
        self._items: dict[Key, list[Any]] = {}  # of loops that have not ended
        self._write_again = 0.0
        # An interrupted run ends without a word to callbacks.
        atexit.register(self._at_exit)

    # --- the run

    def v2_playbook_on_start(self, playbook: Any) -> None:
        name = Path(playbook._file_name).name
        if name != "__adhoc_playbook__":
            self._playbooks.append(name)
        self._state = "under_way"

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._play, self._looked = play, False

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._tasks[task._uuid] = task.get_name()

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self.v2_playbook_on_task_start(task, False)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        key = (host.get_name(), task._uuid)
        self._running.setdefault(key, time.time())
        if not self._looked:
            self._looked = True
            self._look(host)
        if _module(task) in ("kolla_docker", "kolla_container"):
            self._ours[key] = self._tasks.get(task._uuid) or task.get_name()
            self._write_now_and_then()

    def v2_playbook_on_stats(self, stats: Any) -> None:
        sums = [stats.summarize(host) for host in stats.processed]
        bad = any(one["failures"] or one["unreachable"] for one in sums)
        self._state = "failed" if bad else "ended"
        self._ours.clear()
        self._write()

    def _at_exit(self) -> None:
        # Also called in what was forked from here, on some Pythons.
        if self._state == "under_way" and os.getpid() == self._process:
            self._state = "interrupted"
            self._write()

    # --- its tasks

    def v2_runner_on_ok(self, result: Any) -> None:
        self._ended(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._ended(result, failed=True, ignored=ignore_errors)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._ended(result, unreachable=True, ignored=bool(result._task_fields.get("ignore_unreachable")))

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._ended(result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        self._item(result)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        self._item(result, failed=True, ignored=bool(result._task_fields.get("ignore_errors")))

    def _item(self, result: Any, **how: bool) -> None:
        self._items.setdefault(_key(result), []).extend(self._made_of(result, result._result, **how))
        self._write_now_and_then()

    def _ended(self, result: Any, **how: bool) -> None:
        key, told = _key(result), result._result
        items = told.get("results") if result._task.loop is not None or result._task.loop_with else None
        if isinstance(items, list):
            for item in items:
                if isinstance(item, Mapping):
                    of_it = {name: bool(item.get(name)) for name in ("failed", "unreachable")}
                    self._facts += self._made_of(result, item, **{**how, **of_it})
        else:
            self._facts += self._made_of(result, told, **how)
        for kept in (self._items, self._running, self._ours):
            kept.pop(key, None)
        self._write_now_and_then()

    def _made_of(self, result: Any, told: Mapping[str, Any], **how: bool) -> Iterator[Any]:
        module = _module(result._task)
        if module not in collect.OURS and not how.get("failed") and not how.get("unreachable"):
            return
        given = result._task_fields.get("args") or {}
        now = time.time()
        yield collect.Fact(
            host=result._host.get_name(),
            task=self._tasks.get(result._task._uuid) or result._task.get_name(),
            module=module,
            began=self._running.get(_key(result), now),
            ended=now,
            result=dict(told) if module in collect.OURS else _why(told),
            args={name: str(given[name]) for name in ARGUMENTS if name in given},
            **how,
        )

    # --- the files

    def _look(self, host: Any) -> None:
        """Look for the variables as this host sees them, unless an earlier play had them."""
        manager = self._play.get_variable_manager()
        seen = manager.get_vars(play=self._play, host=host)
        templar = Templar(loader=self._play.get_loader(), variables=seen)
        if self._base is None:
            path = self._value(seen, templar, "drain_report")
            self._base = files.base_of(path) if path else None
        if not self._metrics:
            self._metrics = self._value(seen, templar, "drain_report_metrics")
            if self._metrics and not self._metrics.endswith(".prom"):
                self._display.warning(
                    f"drain_report_metrics is {self._metrics}, so no metrics are written; node_exporter reads only "
                    "files whose names end in .prom: give it such a path."
                )
                self._metrics = ""
        # At once, so that a path that is none is told before anything is touched.
        self._write()

    def _value(self, seen: Mapping[str, Any], templar: Any, name: str) -> str:
        try:
            value = templar.template(seen.get(name))
        except AnsibleError as exc:
            self._display.warning(f"{name} cannot be worked out, so it is left out: {exc}")
            return ""
        if value in (None, "", False):
            return ""
        if not isinstance(value, str):
            self._display.warning(f"{name} is {value!r}, so it is left out; it is the path of a file.")
            return ""
        return value

    def _write_now_and_then(self) -> None:
        began = time.monotonic()
        if began >= self._write_again:
            self._write()
            took = time.monotonic() - began
            self._write_again = began + took / SHARE if took > QUICK else 0.0

    def _write(self) -> None:
        if self._base is None and not self._metrics:
            return
        now = time.time()
        run = model.Run(
            name=", ".join(self._playbooks) or "ansible",
            state=self._state,
            check=bool(context.CLIARGS.get("check")),
            began=collect.moment(self._began),
            ended=collect.moment(now),
            seconds=round(now - self._began, 1),
        )
        facts = [*self._facts, *(fact for items in list(self._items.values()) for fact in items)]
        unheard = [
            model.Unheard(collect.moment(self._running.get(key, now)), key[0], task)
            for key, task in list(self._ours.items())
        ]
        report = collect.report(run, facts, unheard)
        if self._base is not None:
            try:
                files.write(report, self._base)
            except OSError as exc:
                self._display.warning(
                    f"The report {self._base} cannot be written ({exc.strerror}); the run goes on without it."
                )
                self._base = None
        if self._metrics and self._state != "under_way":
            try:
                files.write_metrics(report, self._metrics)
            except OSError as exc:
                self._display.warning(
                    f"The metrics {self._metrics} cannot be written ({exc.strerror}); the run goes on without them."
                )
                self._metrics = ""


def _key(result: Any) -> Key:
    return (result._host.get_name(), result._task._uuid)


def _module(task: Any) -> str:
    return str(task.action).rpartition(".")[2]


def _why(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a result that is none of ours what the report shows: why the task failed."""
    return {name: told[name] for name in ("msg", "censored") if name in told}
