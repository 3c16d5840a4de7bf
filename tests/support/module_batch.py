"""Runs Ansible modules one after another on a managed host, where starting Python for each would take most of the time.

    python module_batch.py  < [{"module": PATH, "module_utils": PATH, "args": {…}, "method": …}, …]

Prints a list of what each returned. Every run has a process of its own, forked from one that has imported what is slow
to import. With a ``method`` the module is kolla-ansible's, and that method of its worker is called, whether or not an
action has its name.
"""

import importlib
import json
import os
import runpy
import sys
import tempfile
import traceback

import ansible.module_utils.basic
import module_runner  # lies beside it on the host


def run(module, module_utils, args, method=None):
    """Print what comes of one run."""
    given = json.dumps({"ANSIBLE_MODULE_ARGS": args}).encode()
    if method is None:
        module_runner.run(module, module_utils, given)
        return
    module_runner.prepare(module_utils, given)
    made = runpy.run_path(module)["generate_module"]()
    engine = made.params.get("container_engine", "docker")
    library = importlib.import_module(f"ansible.module_utils.kolla_{engine}_worker")
    worker = getattr(library, f"{engine.title()}Worker")(made)
    print(json.dumps({"returned": getattr(worker, method)()}, default=str))


def answer(call):
    """Return what one run printed, as JSON where it is some."""
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if not child:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            try:
                run(**call)
            except SystemExit:
                pass
            except BaseException:  # noqa: BLE001 - the parent tells it
                traceback.print_exc()
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(child, 0)
        output.seek(0)
        said = output.read().decode(errors="replace")
    try:
        return json.loads(said[said.index("{") :])
    except ValueError:
        return {"failed": True, "msg": said}


calls = json.load(sys.stdin)
for library in ("dbus", "docker", "podman"):
    importlib.import_module(library)
for module, module_utils in {
    (call["module"], call["module_utils"]) for call in calls if "method" not in call
}:
    ansible.module_utils.__path__.append(module_utils)
    runpy.run_path(module)
json.dump([answer(call) for call in calls], sys.stdout)
