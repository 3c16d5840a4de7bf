"""The command ``testbed up|down|status|inventory|hosts``."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from testbed import state, upgrades
from testbed.console import say
from testbed.errors import TestbedError
from testbed.hosts import Hosts, remove_everything
from testbed.more_stack import MoreStack
from testbed.more_stack import load as load_more
from testbed.more_stack import remove_files as remove_more_files
from testbed.nova_api import MICROVERSION
from testbed.nova_stack import NovaStack, NovaState
from testbed.nova_stack import remove_files as remove_nova_files
from testbed.setup_host import engine_client
from testbed.stack import MODES, Stack, remove_files


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="testbed", description="A real OpenStack Cinder, and more if asked for, in containers."
    )
    commands = top.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="make the stack be there and ready")
    up.add_argument("--mode", choices=MODES, help="what the services run on (eventlet on a first up)")
    up.add_argument("--nova", action="store_true", help="Nova too, on the same MariaDB and RabbitMQ")
    up.add_argument("--more", action="store_true", help="Manila, Ironic and Heat too, likewise")
    up.add_argument("--only", metavar="NAME,...", help="only these services and what they need")
    up.add_argument(
        "--service-timeout", type=int, metavar="S", help="the services' graceful_shutdown_timeout (600)"
    )
    up.add_argument("--report-interval", type=int, metavar="S", help="seconds between heartbeats (10)")
    up.add_argument("--service-down-time", type=int, metavar="S", help="age of a dead heartbeat (60)")
    up.add_argument(
        "--timeout", type=float, default=600, metavar="S", help="how long to wait for the services"
    )
    down = commands.add_parser("down", help="remove the stack")
    down.add_argument("--images", action="store_true", help="images, caches and lone databases too")
    commands.add_parser("status", help="what is there, and how to reach it")
    inventory = commands.add_parser(
        "inventory", help="print the stack as an Ansible inventory, for ansible/*.yml"
    )
    inventory.add_argument("--nova", action="store_true", help="of Nova instead of Cinder")
    inventory.add_argument(
        "--image", choices=sorted(upgrades.VARIANTS), help="with this variant of the image, to upgrade to"
    )
    _add_hosts(commands.add_parser("hosts", help="managed hosts: systemd, an engine of their own, SSH"))
    return top


def _add_hosts(command: argparse.ArgumentParser) -> None:
    """The command line of ``testbed hosts``."""
    command.add_argument("--prefix", default="hosts", help="whose hosts: they are PREFIX-NAME (hosts)")
    actions = command.add_subparsers(dest="action", required=True)
    up = actions.add_parser("up", help="make them be there and ready")
    up.add_argument("names", metavar="N or NAME,...", help="so many, or these")
    up.add_argument(
        "--image", action="append", default=[], metavar="REFERENCE", help="bring this image into them"
    )
    for name, text in (
        ("down", "remove them"),
        ("status", "which there are"),
        ("inventory", "print them as an Ansible inventory"),
    ):
        actions.add_parser(name, help=text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and print an error as one sentence."""
    chosen = parser().parse_args(arguments)
    try:
        if chosen.command != "up" and engine_client() is None and not _engine_installed():
            return _without_engine(chosen)
        if chosen.command == "hosts":
            return _hosts(chosen)
        stack = Stack()
        if chosen.command == "up":
            _up(stack, chosen)
        elif chosen.command == "down":
            NovaStack(stack).down()
            MoreStack(stack).down()
            stack.down(images_too=chosen.images)
            if chosen.images:
                remove_everything(stack.client)
            say("all removed")
        elif chosen.command == "inventory":
            print(json.dumps(_inventory(stack, chosen), indent=2))
        else:
            return _print_status(stack)
    except TestbedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _hosts(chosen: argparse.Namespace) -> int:
    if chosen.action == "up":
        asked = chosen.names
        names = [str(one + 1) for one in range(int(asked))] if asked.isdigit() else asked.split(",")
        hosts = Hosts(names, chosen.prefix).up(images=chosen.image)
        say(f"the hosts are ready: ansible -i {hosts.inventory_file} all -m ping")
        return 0
    hosts = Hosts(prefix=chosen.prefix)
    if chosen.action == "down":
        hosts.down()
    elif chosen.action == "inventory":
        print(json.dumps(hosts.inventory(), indent=2))
    else:
        return _print_hosts(hosts)
    return 0


def _print_hosts(hosts: Hosts) -> int:
    """Print the table; return 0 when there are hosts and all run, else 3."""
    found = list(hosts.values())
    for host in found:
        print(f"{host.name:<22} {host.container.status:<10} {host.address}")
    return 0 if found and all(host.container.status == "running" for host in found) else 3


def _engine_installed() -> bool:
    return shutil.which("dockerd") is not None


def _without_engine(chosen: argparse.Namespace) -> int:
    """Without an engine nothing can run, but ``down`` still removes files."""
    if chosen.command == "down":
        remove_nova_files()
        remove_more_files()
        remove_files(everything=chosen.images)
        return 0
    print("No container engine is installed, so nothing of the testbed runs.")
    return 3


def _up(stack: Stack, chosen: argparse.Namespace) -> None:
    stack.up(
        mode=chosen.mode,
        only=chosen.only.split(",") if chosen.only else None,
        service_timeout=chosen.service_timeout,
        report_interval=chosen.report_interval,
        service_down_time=chosen.service_down_time,
        timeout=chosen.timeout,
    )
    if chosen.nova:
        NovaStack(stack).up(timeout=chosen.timeout)
    if chosen.more:
        MoreStack(stack).up(timeout=chosen.timeout)
    say("the stack is ready")
    _print_status(stack)


def _inventory(stack: Stack, chosen: argparse.Namespace) -> dict[str, Any]:
    if not chosen.nova:
        return upgrades.inventory(stack, upgrades.cinder_image(stack.client, chosen.image or ""))
    if chosen.image == "broken":
        raise TestbedError("There is no broken image of Nova; leave out --nova, or take --image next.")
    return upgrades.nova_inventory(NovaStack(stack), upgrades.nova_image(stack.client, chosen.image or ""))


def _print_status(stack: Stack) -> int:
    """Print the table; return 0 when all of the stack runs (and of the others that are up), else 3."""
    nova = NovaStack(stack)
    nova_state = NovaState.load()
    more = load_more()
    rows = stack.status() + (nova.status() if nova_state else [])
    rows += MoreStack(stack).status() if more else []
    print(f"{'CONTAINER':<22} {'STATE':<10} {'UPTIME':>9}  {'MODE':<9} IMAGE")
    for row in rows:
        uptime = f"{row.uptime:.0f} s" if row.uptime is not None else "-"
        print(f"{row.name:<22} {row.state:<10} {uptime:>9}  {row.mode or '-':<9} {row.image or '-'}")
    remembered = state.load()
    if remembered is not None:
        _print_ways_in(remembered)
    if nova_state is not None:
        _print_ways_into_nova(nova_state)
    if more is not None:
        print(
            f"\nAPIs on 127.0.0.1: Manila {more.manila_port}, Ironic {more.ironic_port}, Heat {more.heat_port};"
            f" Manila's token is {more.token}"
        )
    return 0 if all(row.state == "running" for row in rows) else 3


def _print_ways_in(remembered: state.State) -> None:
    ends, project = remembered.endpoints, remembered.project_id
    print(
        f"\nMariaDB 127.0.0.1:{ends.mariadb_port}, RabbitMQ 127.0.0.1:{ends.rabbitmq_port}, API by\n"
        f"  curl -H 'X-Auth-Token: {project}:{project}' -H 'OpenStack-API-Version: volume 3.70' "
        f"http://127.0.0.1:{ends.api_port}/v3/{project}/volumes/detail"
    )


def _print_ways_into_nova(remembered: NovaState) -> None:
    ends = remembered.ends
    print(
        "\nNova's API, where everybody is an administrator, by\n"
        f"  curl -H 'OpenStack-API-Version: {MICROVERSION}' http://127.0.0.1:{ends.api_port}/v2.1/servers/detail"
    )


if __name__ == "__main__":
    sys.exit(main())
