"""Runs library/kolla_docker.py in a process of its own, as Ansible does on a managed host.

With the Python and the libraries of the tests that process is a fork of one that has imported the libraries, which is
most of what a run computes: 0.5 of 0.6 s. What is the project's own is imported by each run.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ansible

from . import engines, module_runner

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "library" / "kolla_docker.py"
MODULE_UTILS = ROOT / "ansible" / "module_utils"
RUNNER = Path(__file__).with_name("module_runner.py")

# Seconds, more than any run of a test may last on a busy machine; a run that hangs is killed and the test fails.
LIMIT = 240.0

# What no run may print, log, or leave in a file of ours; tests add what they make up.
SECRETS = {"s3cr3t"}
OURS = Path("/run/kolla-drain")

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["ansible.module_utils.basic", "docker", "pymysql", "oslo_config.cfg", "yaml"])


class Fork:
    """A run in a fork, with what of ``subprocess.Popen`` is used of one."""

    def __init__(self, module: Path, given: str, environment: Mapping[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._output = [Path(self._folder.name) / name for name in ("out", "err")]
        for path in self._output:
            path.touch()
        names = [str(path) for path in self._output]
        arguments = (str(module), str(MODULE_UTILS), given.encode(), os.getcwd(), dict(environment), names)
        self._process = FORKS.Process(target=module_runner.run_here, args=arguments, daemon=True)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; what it printed, and what it said beside that.

        Raises subprocess.TimeoutExpired.
        """
        self._process.join(timeout)
        if self._process.is_alive():
            raise subprocess.TimeoutExpired("the module", timeout or 0)
        out, err = (path.read_text() for path in self._output)
        return out, err


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
        self.output = ""
        internal = {"_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_module_name": module.stem}
        given = json.dumps({"ANSIBLE_MODULE_ARGS": {**self.args, **internal}})
        environment = {**os.environ, **_ansible_for(python), **(env or {})}
        self.process: Fork | subprocess.Popen[str]
        if python == sys.executable and not wrap and not hide:
            self.process = Fork(module, given, environment)
            return
        self.process = subprocess.Popen(
            [*wrap, python, str(RUNNER), str(module), str(MODULE_UTILS), ",".join(hide)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        stdin = self.process.stdin
        assert stdin is not None
        stdin.write(given)
        stdin.close()
        self.process.stdin = None  # communicate() would flush it

    def result(self, timeout: float = LIMIT) -> dict[str, Any]:
        """What the module returned, its warnings as text, with ``rc`` and ``seconds`` of its process.

        ``output`` then has all that it printed and logged. Raises AssertionError when the result is no single JSON
        document, or when a secret was shown.
        """
        if self._result is None:
            out, err = self._wait(timeout)
            self.output = out + err
            told = self.output + _left()
            # Tests on threads of their own make up secrets meanwhile.
            shown = [secret for secret in tuple(SECRETS) if secret in told]
            assert not shown, f"a secret of {self.args} was shown:\n{self.output}"
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


def _left() -> str:
    """What lies in the files of this project's runs."""
    texts = []
    for path in OURS.rglob("*"):
        with contextlib.suppress(OSError):
            texts.append(path.read_text())
    return "".join(texts)


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
