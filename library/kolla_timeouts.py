#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a service's own shutdown time-outs, in order below ours."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kolla_timeouts
short_description: Put a service's own shutdown time-outs in order
version_added: "0.1.0"
description:
  - Looks into the configuration files of an OpenStack service whether its manager_shutdown_timeout is below its
    graceful_shutdown_timeout, and that below ours. If not, the service is cut by SIGKILL in the middle of its own
    shutdown, or gives up long before it must.
  - Tells, or with O(write=true) puts it right in the last of the files. The service reads its files at its start.
options:
  service:
    description: The service's binary, such as V(cinder-volume).
    type: str
    required: true
  files:
    description: The service's configuration files on the managed host, later ones win.
    type: list
    elements: path
    required: true
  graceful_shutdown_timeout:
    description: Our own time-out in seconds, which the service's has to be below.
    type: int
    required: true
  margin:
    description: Seconds that the service's is put below ours.
    type: int
    default: 30
  write:
    description: Whether to change the file, or only to tell.
    type: bool
    default: false
  started_at:
    description: When the service's process started, as the engine gives it, to tell whether it has read the files.
    type: str
    default: ""
requirements:
  - On the managed host Python 3.9 or later with oslo.config.
attributes:
  check_mode:
    description: Tells what would be changed.
    support: full
  diff_mode:
    description: Shows the options before and after.
    support: full
author:
  - The kolla-drain developers
"""

EXAMPLES = r"""
- name: See to it that cinder-volume gives up before it is killed
  kolla_timeouts:
    service: cinder-volume
    files: [/etc/kolla/cinder-volume/cinder.conf]
    graceful_shutdown_timeout: 900
    write: true
"""

RETURN = r"""
findings:
  description: One sentence an option that should be changed, or was.
  returned: always
  type: list
  elements: str
wrong:
  description: Whether the order is wrong, and not only shorter than it might be.
  returned: always
  type: bool
newer:
  description: Whether a file was written after the service's process started, so that it runs on older settings.
  returned: always
  type: bool
"""

import os
import traceback

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.kolla_drain.engine.inspected import epoch
from ansible.module_utils.kolla_drain.errors import KollaDrainError
from ansible.module_utils.kolla_drain.service import config as service_config
from ansible.module_utils.kolla_drain.service import timeouts


def argument_spec():
    """The module's options; a test holds that they agree with DOCUMENTATION."""
    return {
        "service": {"type": "str", "required": True},
        "files": {"type": "list", "elements": "path", "required": True},
        "graceful_shutdown_timeout": {"type": "int", "required": True},
        "margin": {"type": "int", "default": 30},
        "write": {"type": "bool", "default": False},
        "started_at": {"type": "str", "default": ""},
    }


def look(params, check_mode):
    """Read, compare, and write if asked."""
    files, service = params["files"], params["service"]
    config = service_config.load(files, service)
    changes = timeouts.wanted(config, params["graceful_shutdown_timeout"], params["margin"])
    write = params["write"]
    path = timeouts.apply(files, changes, write=write and not check_mode) if changes else ""
    return {
        "changed": bool(write and changes),
        "findings": [change.text(service) for change in changes],
        "wrong": any(change.wrong for change in changes),
        "newer": _newer(files, params["started_at"]),
        "diff": [_difference(path, change) for change in changes] if write else [],
    }


def _newer(files, started_at):
    started = epoch(started_at) if started_at else 0
    return bool(started) and any(os.stat(path).st_mtime > started for path in files)


def _difference(path, change):
    return {
        "before_header": path,
        "after_header": path,
        "before": f"{change.option} = {change.now}\n",
        "after": f"{change.option} = {change.wanted}\n",
    }


def main():
    """Read the options, act, and answer Ansible."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        result = look(module.params, module.check_mode)
    except (KollaDrainError, OSError) as exc:
        module.fail_json(msg=str(exc), exception=traceback.format_exc())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
