"""Runs one Ansible module as Ansible does on a managed host; started by ``module_run``, never imported.

    python module_runner.py MODULE MODULE_UTILS HIDDEN[,HIDDEN…]  < {"ANSIBLE_MODULE_ARGS": …}

Ansible ships the project's module_utils inside ``ansible.module_utils`` and hands the arguments over
in ``basic``; since ansible-core 2.19 with the name of a serialization profile. Names in HIDDEN cannot
be imported, as on a host where they are not installed.
"""

import runpy
import sys

module, module_utils, hidden = sys.argv[1:]
sys.argv[1:] = []


class Hidden:
    """Finds that these are not there, before anybody else is asked."""

    names = frozenset(hidden.split(","))

    def find_spec(self, name, path=None, target=None):
        if name in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Hidden())

import ansible.module_utils  # noqa: E402
from ansible.module_utils import basic  # noqa: E402

ansible.module_utils.__path__.append(module_utils)
basic._ANSIBLE_ARGS = sys.stdin.buffer.read()
if hasattr(basic, "_ANSIBLE_PROFILE"):
    basic._ANSIBLE_PROFILE = "legacy"
runpy.run_path(module, run_name="__main__")
