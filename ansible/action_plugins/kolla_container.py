# SPDX-License-Identifier: Apache-2.0
"""Drain a container before a task of kolla-ansible's stops it. Runs on the controller only.

Where this folder is among Ansible's action plugins, every task of ``kolla_container`` is run by this plugin.
"""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action.normal import ActionModule as Normal
from ansible.plugins.loader import module_loader, module_utils_loader

HERE = Path(__file__).resolve().parent
MODULE_UTILS = HERE.parent / "module_utils"
# Installed it lies beside this folder, in a checkout beside the one above.
LIBRARY = next(folder for folder in (HERE.parent / "library", HERE.parents[1] / "library") if folder.is_dir())


def _beside(name: str) -> Any:
    """Import another plugin of this folder."""
    spec = spec_from_file_location(f"kolla_drain_action_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    plugin = module_from_spec(spec)
    spec.loader.exec_module(plugin)
    return plugin


docker: Any = _beside("kolla_docker")
adoption, Refused = docker.core("controller.adoption"), docker.core("errors").Refused


class ActionModule(docker.Watched, Normal):  # type: ignore[misc]
    """kolla_container, with a drain before whatever would stop a container."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        self._vars = task_vars or {}
        try:
            task = adoption.asked(self._task.args)
            if not task.may_stop or not self._switched_on():
                return super().run(tmp, task_vars)
            if self._task.async_val:
                raise Refused(
                    f"{task.action} of {task.name} cannot be run in the background, because kolla-drain waits for its "
                    "work first, and nothing was touched; remove async, or set enable_graceful_shutdown to false."
                )
            super(Normal, self).run(tmp, task_vars)
            return self._drained_first(task)
        except Refused as exc:
            return {"failed": True, "changed": False, "msg": str(exc)}

    def _drained_first(self, task: Any) -> dict[str, Any]:
        options, source = adoption.drain(task, self._value)
        for text in adoption.old_names(self._value):
            self._display.warning(text)
        compared = self._compared(task)
        way = adoption.way(task, compared)
        pulled: dict[str, Any] = {}
        if way is adoption.Way.REPLACE and not self._task.check_mode:
            # Before the drain, so that a slow pull makes no gap and a pull that fails stops nothing.
            pulled = self._kolla_container("ensure_image")
            if pulled.get("failed"):
                return pulled
            if adoption.pull_may_settle(task, compared):
                compared = self._compared(task)
                way = adoption.way(task, compared)
        if way is adoption.Way.FAILED:
            return compared
        if way in (adoption.Way.UNTOUCHED, adoption.Way.UNCOMPARED):
            warnings = [adoption.uncompared(task, compared)] if way is adoption.Way.UNCOMPARED else []
            # kolla_container's own pull would have been a change, too.
            before = {"changed": pulled.get("changed"), "warnings": warnings}
            return adoption.joined(self._kolla_container(), before)
        drained = self._drained(task, options)
        if drained.get("failed"):
            return adoption.stopped_nothing(drained, source)
        # Not the task's own action: a stopped container differs in its state, so kolla_container would replace it.
        restarted = way is adoption.Way.RESTART
        real = self._kolla_container("restart_container" if restarted else None)
        return adoption.answer(real, drained, source)

    def _drained(self, task: Any, options: dict[str, Any]) -> dict[str, Any]:
        drained = self._kolla_docker(options)
        why = adoption.lacking(options, drained)
        if not why:
            return drained
        return adoption.unseen(task, self._kolla_docker(adoption.without_evidence(options)), why)

    def _compared(self, task: Any) -> dict[str, Any]:
        return self._kolla_container("compare_container") if task.to_be_compared else {}

    def _kolla_docker(self, options: dict[str, Any]) -> dict[str, Any]:
        module_loader.add_directory(str(LIBRARY))
        module_utils_loader.add_directory(str(MODULE_UTILS))
        return self.watched("kolla_docker", options, self._vars)

    def _kolla_container(self, action: str | None = None) -> dict[str, Any]:
        """Run the real module with the task's own arguments, except for the action."""
        args = {**self._task.args, **({"action": action} if action else {})}
        return self._execute_module(self._task.action, args, task_vars=self._vars)

    def _switched_on(self) -> bool:
        found = self._value("enable_graceful_shutdown")
        try:
            return found is None or boolean(found)
        except TypeError:
            raise Refused(
                f"enable_graceful_shutdown is {found!r}; it is true or false: correct it and run this again."
            ) from None

    def _value(self, variable: str) -> Any:
        if variable not in self._vars:
            return None
        try:
            return self._templar.template(self._vars[variable])
        except AnsibleError as exc:
            raise Refused(f"The variable {variable} cannot be worked out: {exc}") from None
