# SPDX-License-Identifier: Apache-2.0
"""Run kolla_docker in the background of the managed host, and show what it does. Runs on the controller only.

What a task stops goes on over there, whatever becomes of the connection and of the controller.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import threading
import time
from pathlib import Path
from runpy import run_path
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.plugins.action.normal import ActionModule as Normal

from ansible import constants as C

MODULE_UTILS = Path(__file__).resolve().parent.parent / "module_utils"

# The variable that switches the progress on and off.
SWITCH = "kolla_drain_progress"

# Seconds between two looks at a run: the first, and the most, at a growing part of the time that was waited so far.
FIRST_LOOK, LONGEST, GROWS = 0.1, 2.0, 0.1
# Seconds after which a look that has not come back counts as a lost connection.
LOOK_BOUND = 60.0
# Seconds for which a lost connection is tried again, at least, and beyond the deadline of what is under way.
PATIENCE = 600.0
# Seconds between two tries, at the most.
TRY_AGAIN = 10.0
# Seconds for which a run that is gone may still be writing its result.
LAST_WORDS = 5.0
# Seconds that Ansible's own watcher on the host is given before it would end a run: far more than any may last.
FOR_GOOD = 100_000_000

# Begins the answer to a look.
MARK = "kolla-drain looks"
# What a job's own file says before there is a result, by ansible-core's async_wrapper.
UNDER_WAY = '{"started": '


core: Any = run_path(str(MODULE_UTILS / "kolla_drain/controller/core.py"))["core"]
progress, stories = core("controller.progress"), core("host.stories")


class Gone(Exception):
    """The run has ended without a result; the text is a clause."""


class Look:
    """One look at a run on its host."""

    def __init__(self, output: str) -> None:
        _, _, said = output.partition(MARK)  # a shell may say something of its own before
        lines = [*said.splitlines()[1:], *[""] * 6]  # they end as those of a terminal do, where SSH gives one
        self.boot, uptime, self.state, self.stamp, story, self.result = lines[:6]
        self.now = float((uptime.split() or ["0"])[0])  # on the boot clock
        self.told: dict[str, Any] | None = None
        with contextlib.suppress(ValueError, IndexError):
            self.told = json.loads(story)


class Watched(ActionBase):
    """Mixed into an action plugin: runs kolla_docker in the background, and shows how far it is."""

    def watched(self, module: str, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run the module to its end and return its result, as ``_execute_module`` would."""
        if self._is_watched(args, task_vars):
            watch = Watch(self, module, args, task_vars)
            if watch.start():
                return watch.to_the_end()
        return plain(self._execute_module(module, dict(args), task_vars=task_vars), module)

    def _is_watched(self, args: dict[str, Any], task_vars: dict[str, Any]) -> bool:
        given = args.get("detach")
        return (
            args.get("action") in progress.TELLING
            and (given is None or boolean(given, strict=False))
            and not (self._task.check_mode or self._task.async_val)
            and not self._connection.has_native_async
            and self._wanted(task_vars)
        )

    def _wanted(self, task_vars: dict[str, Any]) -> bool:
        found = self._templar.template(task_vars.get(SWITCH, True))
        try:
            return bool(boolean(found))
        except TypeError:
            raise AnsibleError(
                f"{SWITCH} is {found!r}; it is true or false: correct it and run this again."
            ) from None


class ActionModule(Watched, Normal):
    """kolla_docker, in the background where it may take long."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        given = task_vars or {}
        if not self._is_watched(self._task.args, given):
            return plain(super().run(tmp, task_vars), self._task.action)
        super(Normal, self).run(tmp, task_vars)
        return self.watched(self._task.action, self._task.args, given)


class Watch:
    """One run of the module, from its start to its result."""

    def __init__(self, action: Any, module: str, args: dict[str, Any], task_vars: dict[str, Any]) -> None:
        self._action = action
        self._module = module
        self._args = args
        self._task_vars = task_vars
        self._host = str(task_vars.get("inventory_hostname", "localhost"))
        if action._task.delegate_to:
            self._host = f"{self._host} -> {action._task.delegate_to}"
        self._display = action._display
        self._progress = progress.Progress(self._host, every_reading=self._display.verbosity > 0)
        self._parent = os.getppid()
        self._name = f"w{secrets.token_hex(12)}"
        self._story = f"{stories.STORIES}/{self._name}.json"
        self._job = self._folder = self._boot = self._stamp = ""
        self._told: dict[str, Any] | None = None
        self._lost_since: float | None = None

    @property
    def _what(self) -> str:
        names = self._args.get("name")
        names = names if isinstance(names, str) else ", ".join(map(str, names or ()))
        return f"{self._args['action']} of {names}"

    # --- start

    def start(self) -> bool:
        """Start the run in the background; return whether it was started, and if not, nothing was."""
        action, task = self._action, self._action._task
        shell = action._connection._shell
        try:
            if shell.tmpdir is None:
                action._make_tmp_path()
            self._folder = shell.tmpdir.rstrip("/")
        except AnsibleConnectionFailure as exc:
            self._display.vv(f"{self._host}: no progress is shown: {exc}")
            return False
        kept = task.async_val
        task.async_val = FOR_GOOD
        task.environment.append({stories.WATCHED: self._name})
        try:
            started = action._execute_module(
                self._module, dict(self._args), task_vars=self._task_vars, wrap_async=True
            )
        finally:
            task.async_val = kept
            task.environment.remove({stories.WATCHED: self._name})
        self._job = str(started.get("results_file") or "")
        if not self._job:
            self._display.vv(f"{self._host}: no progress is shown: {started.get('msg')}")
        return bool(self._job)

    # --- look

    def to_the_end(self) -> dict[str, Any]:
        """Show what the run does until it has ended; return its result."""
        begun = time.monotonic()
        try:
            while True:
                spent = time.monotonic() - begun
                time.sleep(min(LONGEST, max(FIRST_LOOK, spent * GROWS)))
                if os.getppid() != self._parent:
                    raise AnsibleError(
                        "Ansible itself has ended."
                    )  # nobody hears this: the next run takes the result
                with self._reconnecting():
                    found = self._look()
                    if found:
                        result = self._result(found)
                        self._clear_away()
                        return result
        except Gone as exc:
            return {"failed": True, "changed": False, "msg": self._without_result(str(exc))}

    def _look(self) -> str:
        """Look at the run, and show what is new; return its result, empty while it goes. Raises Gone."""
        look = self._looked()
        if self._lost_since is not None:
            self._say(f"connected again after {time.monotonic() - self._lost_since:.0f} s")
            self._lost_since = None
        if self._boot and look.boot != self._boot:
            raise Gone("the host was booted anew meanwhile")
        self._boot, self._stamp = look.boot, look.stamp
        if look.told is not None:
            self._told = look.told
        if self._told is not None and not self._action._task.no_log:
            with contextlib.suppress(KeyError, TypeError, ValueError, IndexError):  # of another version
                for line in self._progress.lines(self._told, look.now):
                    self._display.display(line, stderr=True)
        if look.state == "gone":
            raise Gone(self._cause())
        return look.result if look.state == "done" else ""

    def _looked(self) -> Look:
        answer = self._bounded(self._command())
        if MARK not in answer["stdout"]:
            raise AnsibleConnectionFailure((answer["stderr"] or answer["stdout"]).strip() or "no answer")
        return Look(answer["stdout"])

    def _command(self) -> str:
        """Return a shell's commands that say whether the run lives and what it has told; cheap, for they come often.

        The folder of the run's script is on the command line of all its processes. Its last letter in brackets keeps
        this command from finding itself.
        """
        above, name = os.path.split(self._folder)
        mark = f"{name[:-1]}[{name[-1]}]"
        job, story = shlex.quote(self._job), shlex.quote(self._story)
        lives = f"grep -qs -e '{mark}' /proc/[0-9]*/cmdline"
        ended = f'[ -s {job} ] && [ "$(head -c {len(UNDER_WAY)} {job})" != {shlex.quote(UNDER_WAY)} ]'
        is_new = f'[ -n "$stamp" ] && [ "$stamp" != "{self._stamp}" ]'
        last_words = f"sleep {LAST_WORDS:g}; if {ended}; then echo done; else echo gone; fi"
        forget = "" if C.DEFAULT_KEEP_REMOTE_FILES else f"rm -f {shlex.quote(above)}/{mark}/AnsiballZ_*"
        return "; ".join(
            [
                f"echo {shlex.quote(MARK)}; cat /proc/sys/kernel/random/boot_id /proc/uptime",
                f"if {ended}; then echo done; elif {lives}; then echo lives; else {last_words}; fi",
                # The time, too: a file system may give the number of the file before to the one in its place.
                f"stamp=$(stat -c '%i %y' {story} 2>/dev/null)",
                'echo "$stamp"',
                # It holds the task's options, and has been read by whoever has a story.
                f"if {is_new}; then cat {story} 2>/dev/null; {forget or ':'}; fi",
                f"echo; if {ended}; then cat {job} 2>/dev/null; fi",
            ]
        )

    def _bounded(self, command: str) -> dict[str, Any]:
        """Run a command on the host; raises AnsibleConnectionFailure, also where no answer comes in time."""
        answers: list[Any] = []

        def ask() -> None:
            try:
                answers.append(self._action._low_level_execute_command(command, sudoable=True))
            except Exception as exc:  # noqa: BLE001 - raised below, where it is waited for
                answers.append(exc)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(LOOK_BOUND)
        if not answers:
            raise AnsibleConnectionFailure(f"no answer came within {LOOK_BOUND:g} s")
        if isinstance(answers[0], Exception):
            raise answers[0]
        answer: dict[str, Any] = answers[0]
        return answer

    # --- a lost connection

    @contextlib.contextmanager
    def _reconnecting(self) -> Any:
        """Bear with a connection that is lost, as long as there is patience."""
        try:
            yield
        except AnsibleError as exc:  # of the connection, or of its way to root
            now, why = time.monotonic(), " ".join(str(exc).split())
            if self._lost_since is None:
                self._lost_since = now
                self._say(f"connection lost ({why}); the run goes on there, and is looked for again")
            waited = now - self._lost_since
            if waited >= self._patience():
                raise AnsibleConnectionFailure(
                    f"{self._host} could not be reached for {waited:.0f} s ({why}) while {self._what} was under way. "
                    f"It goes on there to its end{self._last_seen()}; run this again once the host can be reached, "
                    "which joins it or tells what it came to."
                ) from None
            with contextlib.suppress(Exception):  # a connection that cannot be reset is tried as it is
                self._action._connection.reset()
            time.sleep(min(TRY_AGAIN, 1.0 + waited / 10))

    def _patience(self) -> float:
        """Return the seconds for which the host is looked for: until well after what is under way has to have ended."""
        told = self._told
        left = progress.deadline(told) - told["at"] if told is not None else 0.0
        return max(0.0, left) + PATIENCE

    def _say(self, text: str) -> None:
        self._display.display(f"{self._host}: {text}", stderr=True)

    # --- the end

    def _result(self, found: str) -> dict[str, Any]:
        """Treat a result as ``_execute_module`` treats that of a module. Raises Gone."""
        try:
            known = json.loads(found)
        except ValueError:  # it was cut off where it was kept
            raise Gone(self._cause()) from None
        if "cmd" in known and "data" in known:  # async_wrapper's own words of a module that said nothing
            raise Gone(self._cause())
        known.pop("stderr", None)  # put there by async_wrapper
        answer = {"rc": 0, "stdout": json.dumps(known), "stdout_lines": [], "stderr": "", "stderr_lines": []}
        action = self._action
        # As if the module said so just now: what a result has to go through differs between releases of ansible-core.
        with (
            replaced(action, "_is_pipelining_enabled", True),
            replaced(action, "_low_level_execute_command", answer),
        ):
            result: dict[str, Any] = action._execute_module(
                self._module, dict(self._args), task_vars=self._task_vars
            )
        return result

    def _cause(self) -> str:
        """Return why there is no result, a clause; a run that had done its work was not killed."""
        if (
            self._told is not None
            and self._told["stops"]
            and all(one["outcome"] for one in self._told["stops"])
        ):
            return f"it could not be kept in {os.path.dirname(self._job)}, whose file system may be full"
        return "it was killed, or the host had no memory or no space left"

    def _without_result(self, why: str) -> str:
        return (
            f"{self._what} on {self._host} ended without a result: {why}{self._last_seen()}. Run this again: it joins "
            "what is under way, and nothing is signalled twice."
        )

    def _last_seen(self) -> str:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            seen = progress.last_seen(self._told)
            return f" (last seen: {seen})" if seen else ""
        return ""

    def _clear_away(self) -> None:
        """Remove what the run has left for its watcher, who has it now."""
        with contextlib.suppress(AnsibleError):
            self._bounded(f"rm -f {shlex.quote(self._story)} {shlex.quote(self._job)}")
        self._action._cleanup_remote_tmp = True
        self._action._remove_tmp_path(self._action._connection._shell.tmpdir)


@contextlib.contextmanager
def replaced(thing: Any, method: str, answer: Any) -> Any:
    """Let a method of this one object give an answer, whatever it is asked."""
    setattr(thing, method, lambda *_, **__: answer)
    try:
        yield
    finally:
        delattr(thing, method)


def plain(result: dict[str, Any], module: str) -> dict[str, Any]:
    """Return a result; where the module could not even answer, with a sentence in place of its traceback."""
    if not result.get("failed") or "module_stderr" not in result:
        return result
    said = f"{result.get('module_stderr') or ''}\n{result.get('module_stdout') or ''}"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    cause = lines[-1].rstrip(".") if lines else "it was killed, or the host had no memory left"
    return {**result, "msg": f"{module} gave no answer: {cause}. Put that right, then run this again."}
