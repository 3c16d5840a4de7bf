"""Secrets that stand in free dictionaries are in no log of the managed host and in no result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Runs the module as Ansible does, with its log in place of the engine's answer at the end.
RUN = """
import runpy, sys, syslog
import ansible.module_utils
from ansible.module_utils import basic
ansible.module_utils.__path__.append(sys.argv[2])
basic.has_journal = False
logged = []
syslog.syslog = lambda *words: logged.append(str(words))
basic._ANSIBLE_ARGS = sys.stdin.buffer.read()
if hasattr(basic, "_ANSIBLE_PROFILE"):
    basic._ANSIBLE_PROFILE = "legacy"
try:
    runpy.run_path(sys.argv[1], run_name="__main__")
except SystemExit:
    pass
print("\\n=== logged", *logged)
"""


def test_secrets() -> None:
    args = {
        "action": "pull_image",
        "image": "",
        "environment": {"DB_PASSWORD": "s3cr3t-1", "URL": "amqp://u:s3cr3t-2@h/"},
        "auth_password": "s3cr3t-3",
        "common_options": {
            "auth_username": "u",
            "auth_password": "s3cr3t-4",
            "environment": {"TOKEN": "s3cr3t-5", "PLAIN": "shown"},
            "database": {"password": "s3cr3t-6", "url": "mysql://u:s3cr3t-7@h/x"},
        },
        "database": {"password": "s3cr3t-8"},
    }
    ran = subprocess.run(
        [sys.executable, "-c", RUN, ROOT / "library" / "kolla_docker.py", ROOT / "ansible" / "module_utils"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": args}),
        capture_output=True,
        text=True,
        check=False,
    )
    result, _, log = ran.stdout.partition("=== logged")
    assert "Invoked with action=pull_image" in log, ran.stderr
    assert "shown" in log
    assert "s3cr3t" not in log
    assert "msg" in json.loads(result)
    assert "s3cr3t" not in ran.stdout + ran.stderr
