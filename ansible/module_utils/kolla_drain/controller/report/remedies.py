"""What to do about an operation that did not finish, by the kind of operation.

The commands are those of python-openstackclient 10 and of the clients that plug into it; where it has none, that of the
service's own client. ``ID`` stands for the operation's id.
"""

from __future__ import annotations

import shlex
from typing import NamedTuple

from .model import FINISHED, IN_FLIGHT, INTERRUPTED, Advice


class Remedy(NamedTuple):
    """The commands for one kind; each may be several, one a line."""

    look: str  # shows what became of it
    reset: str = ""  # where its status stays until somebody resets it
    then: str = ""  # once its status tells of the failure, whoever has set it
    note: str = ""  # what no command does


_ATTACHED = "Give in-use instead of available where it is attached."
_VOLUME, _SNAPSHOT, _BACKUP = "openstack volume", "openstack volume snapshot", "openstack volume backup"
_ANEW = "What was asked for has to be asked for again."


def _available(look: str, note: str = "") -> Remedy:
    return Remedy(f"{look} show ID", f"{look} set --state available ID", "", note)


def _gone(look: str, note: str = "", how: str = "delete") -> Remedy:
    """Return the remedy for what is best removed."""
    return Remedy(f"{look} show ID", f"{look} set --state error ID", f"{look} {how} ID", note)


def _by_cinder(look: str, kind: str) -> Remedy:
    """Return the remedy for what the openstack command cannot reset."""
    return Remedy(
        f"{look} show ID", f"cinder reset-state --type {kind} --state error ID", f"{look} delete ID"
    )


_CINDER = {
    "volume_create": _gone(_VOLUME, _ANEW),
    "volume_delete": _gone(_VOLUME),
    "volume_delete_unmanaged": _gone(_VOLUME),
    "volume_upload": _available(
        _VOLUME, f"{_ATTACHED} The image is not complete: delete it, and upload again."
    ),
    "volume_extend": _available(_VOLUME, f"{_ATTACHED} See whether the size is the old one or the new one."),
    "volume_retype": _available(_VOLUME, _ATTACHED),
    "volume_manage": _gone(_VOLUME, how="delete --remote"),
    "volume_unmanage": _gone(_VOLUME, how="delete --remote"),
    "volume_revert": _available(_VOLUME, "Its content is that of neither moment until it is reverted again."),
    "volume_backup": _available(_VOLUME, _ATTACHED),
    "volume_restore": Remedy(
        f"{_VOLUME} show ID",
        f"{_VOLUME} set --state available ID",
        f"{_VOLUME} set --state available ID",
        "Its content is not complete: restore the backup into it again, or delete it.",
    ),
    "volume_migrate": Remedy(f"{_VOLUME} show ID", "cinder reset-state --reset-migration-status ID"),
    "volume_migrate_target": Remedy(
        f"{_VOLUME} show ID", f"cinder reset-state --reset-migration-status ID\n{_VOLUME} delete --force ID"
    ),
    "volume_schedule": _gone(_VOLUME, _ANEW),
    "snapshot_create": _gone(_SNAPSHOT, _ANEW),
    "snapshot_delete": _gone(_SNAPSHOT),
    "snapshot_update": _available(_SNAPSHOT),
    "snapshot_unmanage": _gone(_SNAPSHOT, how="delete --remote"),
    "snapshot_backup": _available(_SNAPSHOT),
    "snapshot_revert_cleanup": Remedy(f"{_SNAPSHOT} show ID", f"{_SNAPSHOT} delete ID"),
    "group_create": _by_cinder("openstack volume group", "group"),
    "group_delete": _by_cinder("openstack volume group", "group"),
    "group_snapshot_create": _by_cinder("openstack volume group snapshot", "group-snapshot"),
    "group_snapshot_delete": _by_cinder("openstack volume group snapshot", "group-snapshot"),
    "backup_create": _gone(_BACKUP, _ANEW),
    "backup_delete": _gone(_BACKUP),
    "backup_import": _gone(_BACKUP, _ANEW),
    "backup_restore": _available(
        _BACKUP, "The content of the volume is not complete: restore into it again, or delete it."
    ),
}


def _server(state: str, then: str = "", note: str = "") -> Remedy:
    return Remedy("openstack server show ID", f"openstack server set --state {state} ID", then, note)


_HARD = "openstack server reboot --hard ID"
_NOVA = {
    "instance_build": _server("error", "openstack server delete ID", _ANEW),
    "instance_rebuild": _server("error", "openstack server rebuild ID"),
    "instance_backup": _server("active", note="The image is not complete: delete it, and ask for it again."),
    "instance_snapshot": _server(
        "active", note="The image is not complete: delete it, and ask for it again."
    ),
    "instance_resize": _server("error", _HARD, "See on which host it is and of which flavor."),
    "instance_resize_confirm": _server("error", _HARD, "See on which host it is and of which flavor."),
    "instance_resize_revert": _server("error", _HARD, "See on which host it is and of which flavor."),
    "instance_live_migration": _server("active", note="See on which host it runs."),
    "instance_evacuation": _server("error", _HARD, "See on which host it is."),
    "instance_delete": Remedy(
        "openstack server show ID", "openstack server delete ID", "openstack server delete ID"
    ),
    "instance_reboot": _server("active", _HARD),
    "instance_shelve": _server("active"),
    "instance_pausing": _server("active"),
    "instance_unpausing": _server("active"),
    "instance_powering_off": _server("active", "openstack server stop ID"),
    "instance_powering_on": _server("active", "openstack server start ID"),
}


def _share(thing: str, status: str = "error", then: str = "", note: str = "") -> Remedy:
    return Remedy(f"openstack {thing} show ID", f"openstack {thing} set --status {status} ID", then, note)


_OF_SHARE = "The share of this instance is named by the first command."
_INSTANCE, _SNAPSHOT_INSTANCE = "share instance", "share snapshot instance"
_SHARE_SERVER, _GROUP, _GROUP_SNAPSHOT = "share server", "share group", "share group snapshot"
_MANILA = {
    **{
        f"share_{what}": _share(_INSTANCE, note=_OF_SHARE)
        for what in ("create", "delete", "manage", "unmanage", "revert", "promote", "network", "schedule")
    },
    "share_extend": _share(
        _INSTANCE, "available", note="See whether the size is the old one or the new one."
    ),
    "share_shrink": _share(
        _INSTANCE, "available", note="See whether the size is the old one or the new one."
    ),
    "share_ensure": _share(_INSTANCE, "available"),
    "share_migrate": Remedy(
        "openstack share instance show ID",
        "openstack share set --task-state migration_error <share>",
        "",
        _OF_SHARE,
    ),
    "share_copy": Remedy(
        "openstack share show ID",
        "",
        "openstack share set --task-state migration_error ID",
        "Migrate it again.",
    ),
    **{
        f"share_snapshot_{what}": _share(_SNAPSHOT_INSTANCE)
        for what in ("create", "delete", "manage", "restore")
    },
    **{f"share_server_{what}": _share(_SHARE_SERVER) for what in ("create", "delete", "change")},
    "share_server_migrate": Remedy(
        "openstack share server show ID", "openstack share server set --task-state migration_error ID"
    ),
    **{
        f"share_group_{what}": _share(_GROUP, then="openstack share group delete ID")
        for what in ("create", "delete", "schedule")
    },
    **{
        f"share_group_snapshot_{what}": _share(
            _GROUP_SNAPSHOT, then="openstack share group snapshot delete ID"
        )
        for what in ("create", "delete")
    },
    **{
        f"share_backup_{what}": _share("share backup", then="openstack share backup delete ID")
        for what in ("create", "delete")
    },
    "share_backup_restore": _share(
        "share backup", "available", note="The content of the share is not complete."
    ),
}

_NODE = "openstack baremetal node"
_IRONIC = {
    "node_deploy": Remedy(f"{_NODE} show ID", then=f"{_NODE} deploy ID"),
    "node_clean": Remedy(
        f"{_NODE} show ID", then=f"{_NODE} maintenance unset ID\n{_NODE} manage ID\n{_NODE} provide ID"
    ),
    "node_verify": Remedy(f"{_NODE} show ID", then=f"{_NODE} manage ID"),
    "node_inspect": Remedy(f"{_NODE} show ID", then=f"{_NODE} inspect ID"),
    "node_adopt": Remedy(f"{_NODE} show ID", then=f"{_NODE} adopt ID"),
    "node_delete": Remedy(f"{_NODE} show ID", then=f"{_NODE} undeploy ID"),
    "node_service": Remedy(f"{_NODE} show ID", note="Ask for the servicing again."),
    "node_rescue": Remedy(f"{_NODE} show ID", note="Ask for the rescue, or for its end, again."),
    "node_task": Remedy(f"{_NODE} show ID", note="Ask for the power operation again."),
}

_BALANCER = Remedy(
    "openstack loadbalancer show ID",
    then="openstack loadbalancer failover ID",
    note="No command of Octavia resets a load balancer that stays PENDING.",
)
_RESET_INSTANCE = Remedy("openstack database instance show ID", "openstack database instance reset status ID")

# By project, because several have an operation of the same name.
REMEDIES: dict[str, dict[str, Remedy]] = {
    "cinder": _CINDER,
    "nova": _NOVA,
    "manila": _MANILA,
    "ironic": _IRONIC,
    "heat": {
        "resource_action": Remedy(
            "openstack stack list --nested --property status=IN_PROGRESS",
            then="openstack stack update --existing <stack>",
            note="The stack is one of those that the first command lists.",
        ),
        "stack_action": Remedy("openstack stack show ID", then="openstack stack update --existing ID"),
    },
    "octavia": {
        **{f"load_balancer_{what}": _BALANCER for what in ("create", "update", "delete")},
        "amphora_failover": Remedy(
            "openstack loadbalancer amphora show ID", then="openstack loadbalancer amphora failover ID"
        ),
        "certificate_renew": Remedy(
            "openstack loadbalancer amphora show ID", then="openstack loadbalancer amphora failover ID"
        ),
    },
    "glance": {
        "image_upload": Remedy("openstack image show ID", then="openstack image delete ID"),
        "image_task": Remedy("openstack image task show ID"),
    },
    "neutron": dict.fromkeys(("port_dhcp", "port_wire"), Remedy("openstack port show ID")),
    "magnum": {
        "cluster_create": Remedy(
            "openstack coe cluster show ID",
            "openstack coe cluster delete ID",
            "openstack coe cluster delete ID",
            _ANEW,
        )
    },
    "trove": {
        f"instance_{what}": _RESET_INSTANCE
        for what in (
            "delete",
            "reboot",
            "resize",
            "build",
            "migrate",
            "promote",
            "eject",
            "detach",
            "upgrade",
        )
    },
    "masakari": {"recovery": Remedy("openstack notification show ID", note="Evacuate by hand what it left.")},
    "mistral": {"action_run": Remedy("openstack action execution show ID")},
    "watcher": {
        "action_plan": Remedy("openstack optimize actionplan show ID"),
        "audit": Remedy("openstack optimize audit show ID"),
    },
    "designate": {"zone_change": Remedy("openstack zone show ID")},
}


def advice(service: str, kind: str, id_: str, outcome: str, status: str, fate: str) -> Advice | None:
    """Return what to do about an operation, None for one that needs nothing.

    ``fate`` has the service's own part: what stays until an operator resets it, and what a start puts right.
    """
    if outcome in (FINISHED, IN_FLIGHT):
        return None
    known = REMEDIES.get(service.partition("-")[0], {})
    remedy = known.get(kind) or _by_thing(known, kind)
    text = f"{fate[:1].upper()}{fate[1:]}." if fate else ""
    if remedy is None:
        return Advice(text or "See what became of it.")
    stays = "until an operator" in fate
    if outcome != INTERRUPTED:
        # Nobody knows yet; what would reset it would also cut it, if it goes on.
        parts = [text, f"See first whether it is still {status}."]
        if stays and remedy.reset:
            parts.append("If it is once the service runs again, go on with the next.")
        return Advice(
            _sentences(*parts, remedy.note), _commands(id_, remedy.look, remedy.reset if stays else "")
        )
    # A half-made copy or snapshot is deleted as it is.
    after = "" if "operator deletes it" in fate else remedy.then
    commands = _commands(id_, remedy.reset, after) if stays else _commands(id_, remedy.look, after)
    return Advice(_sentences(text, remedy.note), commands)


def _by_thing(known: dict[str, Remedy], kind: str) -> Remedy | None:
    """Return how to look at what an operation of a kind without a remedy of its own works on."""
    looks = (remedy.look for name, remedy in known.items() if name.split("_")[0] == kind.split("_")[0])
    look = next(looks, "")
    return Remedy(look) if look else None


def _sentences(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _commands(id_: str, *commands: str) -> tuple[str, ...]:
    lines = "\n".join(command for command in commands if command).split("\n")
    told = (
        " ".join(shlex.quote(id_) if word == "ID" else word for word in line.split(" ")) for line in lines
    )
    return tuple(dict.fromkeys(line for line in told if line))
