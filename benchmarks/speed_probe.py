"""Run a module out of an exploded payload, on a host; write what that took to a file.

python3 speed_probe.py PAYLOAD MODULE REPORT  < {"ANSIBLE_MODULE_ARGS": ...}

The report has the process's id from the first call to the engine on, the rest from the end on.
"""

import atexit
import json
import os
import runpy
import sys
import time

BEGUN = time.monotonic()
payload, module, path = sys.argv[1:4]
sys.path.insert(0, payload)
sys.argv[1:] = []
sys.dont_write_bytecode = True  # a payload is new to a host in every call

import http.client  # noqa: E402

from ansible.module_utils import basic  # noqa: E402

report = {"pid": os.getpid(), "basic": time.process_time()}
ask = http.client.HTTPConnection.putrequest


def first(self, *words, **options):
    http.client.HTTPConnection.putrequest = ask
    report.update(first_call=time.process_time(), first_call_wall=time.monotonic() - BEGUN)
    write()
    return ask(self, *words, **options)


def write():
    with open(path + ".new", "w") as stream:
        json.dump(report, stream)
    os.rename(path + ".new", path)


def end():
    sources = [getattr(one, "__file__", None) or "" for one in list(sys.modules.values())]
    report.update(
        whole=time.process_time(), compiled=sum(one.startswith(payload) for one in sources), ended=True
    )
    write()


http.client.HTTPConnection.putrequest = first
atexit.register(end)
basic._ANSIBLE_ARGS = sys.stdin.buffer.read()
basic._ANSIBLE_PROFILE = "legacy"
runpy.run_module(module, run_name="__main__", alter_sys=True)
