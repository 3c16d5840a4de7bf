#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: take a server out of HAProxy's backends, and put it back."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kolla_haproxy
short_description: Take a server out of HAProxy's backends, and put it back
version_added: "0.2.0"
description:
  - Sends commands to the stats socket of HAProxy, on the host that has it. The socket needs the level admin, which
    Kolla gives it with C(haproxy_socket_level_admin). Before a change, and in check mode, HAProxy is asked for it.
  - V(drain) stops new connections to the server and waits until its connections have ended. V(ready) puts it back and
    waits until HAProxy finds it up. The status of a server whose check fails is DOWN, drained or not; HAProxy is then
    asked for its administrative state, too.
  - A server that somebody has put into maintenance stays there.
options:
  socket:
    description: The stats socket.
    type: path
    required: true
  backends:
    description:
      - The backends that the server is in, by name or by pattern, such as V(nova_*). Later ones win, and V(!mariadb*)
        takes out what an earlier one has named. One that HAProxy does not have is left out.
    type: list
    elements: str
    required: true
  server:
    description: The server's name in the backends.
    type: str
    required: true
  state:
    description: The wanted state.
    type: str
    choices: [drain, ready]
    required: true
  timeout:
    description:
      - Seconds to wait. After that V(ready) fails. V(drain) does not, because a client may keep a connection open for
        good; RV(sessions) has the number.
    type: int
    default: 60
  ignore_missing:
    description: Whether a server that is in none of the backends is no error, such as a host without an API.
    type: bool
    default: false
requirements:
  - On the host Python 3.9 or later.
attributes:
  check_mode:
    description: Reports whether the state would be changed, and fails where HAProxy would refuse the change.
    support: full
  diff_mode:
    description: Shows the state before and after.
    support: full
author:
  - The kolla-drain developers
"""

EXAMPLES = r"""
- name: Take an API out
  kolla_haproxy:
    socket: /var/lib/docker/volumes/haproxy_socket/_data/haproxy.sock
    backends: [cinder_api_back]
    server: control01
    state: drain

- name: Take a whole host out, but for its database
  kolla_haproxy:
    socket: /var/lib/docker/volumes/haproxy_socket/_data/haproxy.sock
    backends: ["*", "!mariadb*"]
    server: control01
    state: drain
"""

RETURN = r"""
servers:
  description: The server in each backend that has it, before the change.
  returned: always
  type: list
  elements: dict
  sample:
    - backend: cinder_api_back
      status: UP
      sessions: 3
sessions:
  description: Connections that were open at the end of the wait.
  returned: always
  type: int
answered:
  description:
    - Whether HAProxy answered at all. Where it did, and this failed, it balances on and has not done as it was told.
  returned: always
  type: bool
"""

import traceback
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.kolla_drain import haproxy
from ansible.module_utils.kolla_drain.masking import Masked


def act(params, check_mode):
    """Change the server's state and return the module's result."""
    state = params["state"]
    found = haproxy.Haproxy(params["socket"], params["backends"], params["server"]).change(
        state, params["timeout"], check=check_mode, missing_is_fine=params["ignore_missing"]
    )
    names = [f"{one.backend}/{params['server']}" for one in found.changed]
    return {
        "changed": bool(found.changed),
        "answered": True,
        "servers": [asdict(one) for one in found.before],
        "sessions": sum(one.sessions for one in found.now),
        "diff": [
            {"before_header": name, "after_header": name, "before": f"{one.status}\n", "after": f"{state}\n"}
            for name, one in zip(names, found.changed)
        ],
    }


def argument_spec():
    """The module's options; a test holds that they agree with DOCUMENTATION."""
    return {
        "socket": {"type": "path", "required": True},
        "backends": {"type": "list", "elements": "str", "required": True},
        "server": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["drain", "ready"], "required": True},
        "timeout": {"type": "int", "default": 60},
        "ignore_missing": {"type": "bool", "default": False},
    }


class KollaModule(Masked, AnsibleModule):
    """An Ansible module whose misspelt options may hold secrets."""


def main():
    """Run the module."""
    module = KollaModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        result = act(module.params, module.check_mode)
    except haproxy.HaproxyError as exc:
        answered = not isinstance(exc, haproxy.Unanswered)
        module.fail_json(msg=str(exc), answered=answered, exception=traceback.format_exc())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
