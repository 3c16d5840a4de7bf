"""``ansible-playbook`` in a fork of a process that has loaded Ansible already, with each task in that same process.

Ansible forks for every task on every host, also for one that is skipped, and that is more than half of what these plays
cost: a hundred tasks on three hosts took 4.2 s of processor time in this way, and 11.9 s in the usual one. What a fork
keeps apart, a copy of the task keeps apart here. The internals are those of ansible-core 2.19; with another release the
workers are processes as ever.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping
from pathlib import Path

LOADED = ("ansible.cli.playbook", "ansible.executor.module_common", "ansible.plugins.strategy.linear")


def play(arguments: list[str], folder: Path, environment: Mapping[str, str], output: Path) -> int:
    """Run ``ansible-playbook ARGUMENTS`` in a folder, with its action plugins first; return the exit code.

    ``environment`` is what the plugins find; Ansible's own variables have been read by then.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LOADED))
    process = context.Process(target=_main, args=(arguments, folder, dict(environment), output))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _main(arguments: list[str], folder: Path, environment: dict[str, str], output: Path) -> None:
    from ansible.cli.playbook import main
    from ansible.plugins.loader import action_loader

    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    os.environ.update(environment)
    action_loader.add_directory(str(folder / "action_plugins"))
    _patch()
    sys.argv = ["ansible-playbook", *arguments]
    main()


def _patch() -> None:
    """Let workers run where they are made, if this Ansible is one whose internals are known."""
    from ansible.executor.process.worker import WorkerProcess
    from ansible.executor.task_executor import TaskExecutor

    try:
        from ansible._internal import _task
        from ansible._internal._templating._jinja_bits import AnsibleEnvironment, _TemplateCompileContext
        from ansible.executor.task_result import _RawTaskResult
    except ImportError:
        return

    def start(worker: WorkerProcess) -> None:
        given = worker._task
        task = given.copy(exclude_parent=True, exclude_tasks=True)
        task._parent = given._parent
        with _task.TaskContext(task):
            answer = TaskExecutor(
                worker._host, task, worker._task_vars, worker._play_context,
                worker._loader, worker._shared_loader_obj, worker._final_q, worker._variable_manager,
            ).run()  # fmt: skip
        worker._final_q.send_task_result(
            _RawTaskResult(host=worker._host, task=task, return_data=answer, task_fields=task.dump_attrs())
        )

    WorkerProcess.start = start
    WorkerProcess.is_alive = lambda worker: False
    WorkerProcess.exitcode = 0

    compiled: dict[tuple[object, ...], object] = {}

    def compile_once(env: AnsibleEnvironment, source: object, *args: object, **kwargs: object) -> object:
        if not isinstance(source, str):  # an expression, parsed already
            return super(AnsibleEnvironment, env).compile(source, *args, **kwargs)
        context = _TemplateCompileContext.current(optional=True)
        key = (
            str(source),
            context and context.escape_backslashes,
            env.variable_start_string,
            args,
            *kwargs.items(),
        )
        if key not in compiled:
            compiled[key] = super(AnsibleEnvironment, env).compile(source, *args, **kwargs)
        return compiled[key]

    AnsibleEnvironment.compile = compile_once
