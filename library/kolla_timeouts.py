#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: report where a service's own shutdown time-outs are not below ours."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kolla_timeouts
short_description: Report where a service's own shutdown time-outs are out of order
version_added: "0.1.0"
description:
  - Reads the configuration files of an OpenStack service and reports where manager_shutdown_timeout is not below
    graceful_shutdown_timeout, or that is not below ours. Such a service is cut by SIGKILL in the middle of its own
    shutdown, or gives up long before it must.
  - Changes nothing. Set the options in Kolla's configuration overrides.
options:
  service:
    description: The service's binary, such as V(cinder-volume).
    type: str
    required: true
  files:
    description: The service's configuration files on the managed host; later ones win.
    type: list
    elements: path
    required: true
  graceful_shutdown_timeout:
    description: Our own time-out in seconds, which the service's has to be below.
    type: int
    required: true
  margin:
    description: Seconds that the service's time-out should be below ours.
    type: int
    default: 30
  started_at:
    description: When the service's process started, in the engine's format, to report whether it has read the files.
    type: str
    default: ""
requirements:
  - On the managed host Python 3.9 or later with oslo.config.
attributes:
  check_mode:
    description: Only reads, with and without it.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
author:
  - The kolla-drain developers
"""

EXAMPLES = r"""
- name: Does cinder-volume give up before it is killed
  kolla_timeouts:
    service: cinder-volume
    files: [/etc/kolla/cinder-volume/cinder.conf]
    graceful_shutdown_timeout: 900
"""

RETURN = r"""
findings:
  description: One sentence for each option that should have another value.
  returned: always
  type: list
  elements: str
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
from ansible.module_utils.kolla_drain.masking import Masked
from ansible.module_utils.kolla_drain.service import config as service_config
from ansible.module_utils.kolla_drain.service import timeouts


def argument_spec():
    """The module's options; a test holds that they agree with DOCUMENTATION."""
    return {
        "service": {"type": "str", "required": True},
        "files": {"type": "list", "elements": "path", "required": True},
        "graceful_shutdown_timeout": {"type": "int", "required": True},
        "margin": {"type": "int", "default": 30},
        "started_at": {"type": "str", "default": ""},
    }


def look(params):
    """Read the files and return the module's result."""
    config = service_config.load(params["files"], params["service"])
    return {
        "changed": False,
        "findings": timeouts.findings(config, params["graceful_shutdown_timeout"], params["margin"]),
        "newer": _newer(params["files"], params["started_at"]),
    }


def _newer(files, started_at):
    started = epoch(started_at) if started_at else 0
    return bool(started) and any(os.stat(path).st_mtime > started for path in files)


class KollaModule(Masked, AnsibleModule):
    """An Ansible module whose misspelt options may hold secrets."""


def main():
    """Run the module."""
    module = KollaModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        result = look(module.params)
    except (KollaDrainError, OSError) as exc:
        module.fail_json(msg=str(exc), exception=traceback.format_exc())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
