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
  - Speaks to HAProxy by its stats socket, on the host that has it. The socket needs the level admin, which Kolla gives
    it with C(haproxy_socket_level_admin). Before anything is sent, and in check mode, HAProxy is asked which it has.
  - V(drain) gives the server no new connections, and waits until those that it has have ended. V(ready) puts it back,
    and waits until HAProxy finds it up. A server whose check fails is shown as DOWN, drained or not, so HAProxy is
    asked for that, too.
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
    description: What it should be.
    type: str
    choices: [drain, ready]
    required: true
  timeout:
    description:
      - Seconds to wait. Over it V(ready) fails; V(drain) does not, since a client may keep a connection open for good,
        but RV(sessions) tells.
    type: int
    default: 60
  ignore_missing:
    description: Whether it is no error that the server is in none of them, as of a host without an API.
    type: bool
    default: false
requirements:
  - On the host Python 3.9 or later.
attributes:
  check_mode:
    description: Tells whether the state would be changed, and fails where HAProxy would refuse to.
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

import csv
import socket
import time
import traceback
from fnmatch import fnmatchcase

from ansible.module_utils.basic import AnsibleModule

# srv_admin_state of `show servers state`: drained by this socket.
FORCED_DRAIN = 0x08


class HaproxyError(Exception):
    """A sentence for the person who runs the play."""


class Unanswered(HaproxyError):
    """Nobody is at the socket."""


def ask(path, command):
    """One command over the socket, and all that it answers."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(10)
            connection.connect(path)
            connection.sendall(command.encode() + b"\n")
            answer = b""
            while part := connection.recv(65536):
                answer += part
    except OSError as exc:
        why = exc.strerror or type(exc).__name__
        raise Unanswered(
            f"HAProxy does not answer at {path} ({why}); correct kolla_drain_haproxy_socket, or take the host out of kolla_drain_haproxy_hosts."
        ) from exc
    return answer.decode(errors="replace").strip()


def servers(path, backends, server):
    """The rows of `show stat` for this server, of the backends that there are."""
    lines = ask(path, "show stat").lstrip("# ").splitlines()
    if not lines or not lines[0].startswith("pxname,"):
        said = lines[0] if lines else "nothing"
        raise HaproxyError(
            f"HAProxy at {path} did not tell its servers but: {said}; see that kolla_drain_haproxy_socket is its."
        )
    return [
        {"backend": row["pxname"], "status": row["status"], "sessions": int(row["scur"] or 0)}
        for row in csv.DictReader(lines)
        if row["svname"] == server and is_chosen(row["pxname"], backends)
    ]


def is_chosen(backend, patterns):
    """Whether it is meant; the last pattern that fits it decides."""
    fitting = [pattern for pattern in patterns if fnmatchcase(backend, pattern.lstrip("!"))]
    return bool(fitting) and not fitting[-1].startswith("!")


def drained_by_backend(path, server):
    """Where the server is drained by what HAProxy keeps of it, which its status hides while its check fails."""
    lines = ask(path, "show servers state").splitlines()
    header = next((number for number, line in enumerate(lines) if line.startswith("# ")), len(lines))
    rows = csv.DictReader([line.lstrip("# ") for line in lines[header:]], delimiter=" ")
    return {
        row["be_name"]: bool(int(row["srv_admin_state"]) & FORCED_DRAIN)
        for row in rows
        if row.get("srv_name") == server and (row.get("srv_admin_state") or "").isdigit()
    }


def due(path, rows, server, state):
    """The rows that are not as they should be; what a person took out is not ours to move."""
    drained = {}
    if any(is_drained(row, {}) is None for row in rows):
        drained = drained_by_backend(path, server)
    # NOTE: where it cannot be told it is said again, which does no harm.
    return [
        row for row in rows if not in_maintenance(row) and is_drained(row, drained) is not (state == "drain")
    ]


def is_drained(row, drained):
    """Whether it is, by its status, else by what is known, else None; a status may carry a note behind it."""
    if row["status"].startswith("DRAIN"):
        return True
    if row["status"].startswith(("UP", "no check", "MAINT")):
        return False
    return drained.get(row["backend"])


def in_maintenance(row):
    """Whether a person took it out."""
    return row["status"].startswith("MAINT")


def see_that_it_may(path, server, state):
    """A socket of a lower level than admin only looks on. A HAProxy that does not know the question is tried."""
    level = ask(path, "show cli level")
    if level in ("operator", "user"):
        raise refused(path, server, state, f"its stats socket has the level {level}, not admin")


def refused(path, server, state, why):
    """What a person can do about it."""
    return HaproxyError(
        f"HAProxy at {path} refuses to set {server} to {state}: {why}. Set haproxy_socket_level_admin: true in Kolla's "
        "globals.yml and reconfigure the load balancer, or take its host out of kolla_drain_haproxy_hosts."
    )


def set_state(path, rows, server, state):
    """HAProxy answers nothing when it has done it."""
    for row in rows:
        said = ask(path, f"set server {row['backend']}/{server} state {state}")
        if said.startswith("Permission denied"):
            raise refused(path, f"{row['backend']}/{server}", state, said)
        if said:
            raise HaproxyError(f"HAProxy refused to set {row['backend']}/{server} to {state}: {said}")


def settled(rows, state):
    """Whether nothing is left to wait for."""
    if state == "drain":
        return all(row["sessions"] == 0 for row in rows)
    return all(row["status"].startswith(("UP", "no check", "MAINT")) for row in rows)


def wait(params):
    """Look every second until it is so, or the time is over; returns the last look."""
    until = time.monotonic() + params["timeout"]
    while True:
        rows = servers(params["socket"], params["backends"], params["server"])
        if settled(rows, params["state"]) or time.monotonic() >= until:
            return rows
        time.sleep(1)


def act(params, check_mode):
    """Look, set, wait."""
    path, server, state = params["socket"], params["server"], params["state"]
    before = servers(path, params["backends"], server)
    if not before and not params["ignore_missing"]:
        raise HaproxyError(
            f"HAProxy at {path} has no server {server} in {' or '.join(params['backends'])}; correct kolla_drain_haproxy_server."
        )
    moved = due(path, before, server, state)
    now = before
    if moved:
        see_that_it_may(path, server, state)
    if not check_mode:
        set_state(path, moved, server, state)
        now = wait(params)
        if state == "ready" and not settled(now, state):
            raise HaproxyError(
                f"{server} is back in HAProxy but not up after {params['timeout']} s "
                f"({', '.join(row['backend'] + ' ' + row['status'] for row in now)}); see why its check fails."
            )
    return {
        "changed": bool(moved),
        "answered": True,
        "servers": before,
        "sessions": sum(row["sessions"] for row in now),
        "diff": [
            {
                "before_header": f"{row['backend']}/{server}",
                "after_header": f"{row['backend']}/{server}",
                "before": f"{row['status']}\n",
                "after": f"{state}\n",
            }
            for row in moved
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


def main():
    """Read the options, act, and answer Ansible."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        result = act(module.params, module.check_mode)
    except HaproxyError as exc:
        answered = not isinstance(exc, Unanswered)
        module.fail_json(msg=str(exc), answered=answered, exception=traceback.format_exc())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
