"""Runs one Ansible module as Ansible does on a managed host.

    python module_runner.py MODULE MODULE_UTILS HIDDEN[,HIDDEN…]  < {"ANSIBLE_MODULE_ARGS": …}

Ansible ships the project's module_utils inside ``ansible.module_utils`` and hands the arguments over
in ``basic``; since ansible-core 2.19 with the name of a serialization profile. Names in HIDDEN cannot
be imported, as on a host where they are not installed.
"""

import os
import runpy
import sys
import syslog


class Hidden:
    """Finds that these are not there, before anybody else is asked."""

    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def prepare(module_utils, given):
    """Make the project's module_utils and the arguments, in JSON, what a module finds."""
    import ansible.module_utils
    from ansible.module_utils import basic

    ansible.module_utils.__path__.append(module_utils)
    basic._ANSIBLE_ARGS = given
    if hasattr(basic, "_ANSIBLE_PROFILE"):
        basic._ANSIBLE_PROFILE = "legacy"


def run(module, module_utils, given):
    """Be the module, with these arguments in JSON."""
    prepare(module_utils, given)
    runpy.run_path(module, run_name="__main__")


def run_here(module, module_utils, given, folder, environment, output):
    """Be the module in this process, which is a fork of one that has imported what is slow to import.

    ``output``: the files for what it prints, and for what it says beside that.
    """
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(output, 1):
        os.dup2(os.open(path, os.O_WRONLY), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = [module]
    # What would be in the host's log is in what the module says beside its result.
    from ansible.module_utils import basic

    basic.has_journal = False
    syslog.syslog = lambda *words: print("logged:", *words, file=sys.stderr)
    run(module, module_utils, given)


if __name__ == "__main__":
    module, module_utils, hidden = sys.argv[1:]
    sys.argv[1:] = []
    sys.meta_path.insert(0, Hidden(frozenset(hidden.split(","))))
    run(module, module_utils, sys.stdin.buffer.read())
