"""Runs library/kolla_docker.py in a process of its own, as Ansible does on a managed host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ansible

from . import engines

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "library" / "kolla_docker.py"
MODULE_UTILS = ROOT / "ansible" / "module_utils"
RUNNER = Path(__file__).with_name("module_runner.py")

# Longer than any run of a test may last; a run that hangs is killed and the test fails.
LIMIT = 120.0


class ModuleRun:
    """One run under way. ``result()`` waits for it; ``kill()`` ends it as a lost connection does."""

    def __init__(
        self,
        args: Mapping[str, Any],
        *,
        check: bool = False,
        diff: bool = False,
        hide: Sequence[str] = (),
        wrap: Sequence[str] = (),
        python: str = sys.executable,
        module: Path = MODULE,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """``hide`` names libraries that cannot be imported; ``wrap`` is a command that runs the rest."""
        self.args = dict(args)
        if engines.is_podman() and module == MODULE:
            self.args.setdefault("container_engine", "podman")
        self.started = time.monotonic()
        self._result: dict[str, Any] | None = None
        self.process = subprocess.Popen(
            [*wrap, python, str(RUNNER), str(module), str(MODULE_UTILS), ",".join(hide)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **_ansible_for(python), **(env or {})},
        )
        stdin = self.process.stdin
        assert stdin is not None
        internal = {"_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_module_name": module.stem}
        stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": {**self.args, **internal}}))
        stdin.close()
        self.process.stdin = None  # communicate() would flush it

    def result(self, timeout: float = LIMIT) -> dict[str, Any]:
        """What the module returned, its warnings as text, with ``rc`` and ``seconds`` of its process.

        Raises AssertionError with all that it printed when that is no single JSON document.
        """
        if self._result is None:
            out, err = self._wait(timeout)
            try:
                answer: dict[str, Any] = json.loads(out)
            except ValueError:
                raise AssertionError(f"no JSON from {self.args}:\n{out}\n{err}") from None
            answer["warnings"] = [_text(warning) for warning in answer.get("warnings", ())]
            answer["seconds"] = time.monotonic() - self.started
            answer.setdefault("rc", self.process.returncode)  # a container that was run once has its own
            self._result = answer
        return self._result

    def _wait(self, timeout: float) -> tuple[str, str]:
        try:
            return self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"{self.args} did not end within {timeout:g} s:\n{out}\n{err}") from None

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL, seen through."""
        self.process.kill()
        self.process.communicate()


def _text(warning: Any) -> str:
    """A warning's words: since ansible-core 2.19 a module prints it with more around it."""
    return warning if isinstance(warning, str) else str(warning["event"]["msg"])


def run_module(args: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Run the module and return its result; options as of ``ModuleRun``."""
    return ModuleRun(args, **options).result()


def _ansible_for(python: str) -> dict[str, str]:
    """What another Python needs to find Ansible and nothing else of ours."""
    if python == sys.executable:
        return {}
    return {"PYTHONPATH": str(Path(ansible.__file__).parents[1])}
