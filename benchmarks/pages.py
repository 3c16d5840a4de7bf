"""Parts that the pages of docs/results share, and the page of the soak."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

from testbed.stack import Stack

NOTE = ".. Made by {command}; a change by hand is lost at the next run.\n\n"
SOAK_COMMAND = ".venv/bin/python -m benchmarks soak --minutes 10"

# Losses that no stop from outside can prevent, with their cause in cinder 29.0.0. A loss is recognised by what is
# wrong in the end and by the container whose stop and start it met.
CAUSES = (
    (
        r"volume_extend: volume of ",
        "cinder_scheduler",
        "The request waited for the scheduler and met it just started, before it knew a pool. "
        "``SchedulerManager.extend_volume`` is one of the two methods that do not wait until the scheduler is ready "
        "(``_wait_for_scheduler``); it gives the extend up and sets the volume back.",
    ),
    (
        r"backup_create: backup error: (Create backup aborted, expected|incomplete backup reset)",
        "cinder_backup",
        "The request came between the signal and the start of the next cinder-backup. At its start ``BackupManager`` "
        "takes every backup of its host in ``creating`` for an interrupted one, sets it to ``error`` and its volume "
        "back, and then rejects the request that waits for it.",
    ),
    (
        r"backup_restore: (backup error|volume error_restoring)",
        "cinder_backup",
        "The same for a restore: at its start cinder-backup sets the volume of every backup in ``restoring`` to "
        "``error_restoring``, even if the request still waits in the queue.",
    ),
    (
        r"backup_create: backup error: Service not found",
        "cinder_backup",
        "The scheduler found no cinder-backup that was up, enabled and able to take the volume.",
    ),
    (
        r"(attach|detach): the API answered",
        "cinder_volume",
        "The API waits for the answer of cinder-volume, which took the request after the signal and did not answer it.",
    ),
    (
        r"(volume|snapshot)_\w+: (volume|snapshot) (creating|deleting|extending|retyping|error|available of type)",
        "cinder_volume",
        "The request reached cinder-volume between the signal and its exit. Its listeners are stopped one after the "
        "other; a message that one of them still takes may be acknowledged and never be done.",
    ),
)

# The cause of a quota's usage that is lower than the number of resources.
QUOTA_CAUSE = (
    "Backups whose delete was requested while cinder-backup was away or starting: {deletes}. Their usage is given back "
    "twice, because the start resumes every delete of its host and the request in the queue is done as well "
    "(``BackupManager.delete_backup`` does not look the row up again). ``cinder-manage quota sync`` corrects it."
)


def explanation(kind: str, why: str) -> tuple[str, str]:
    """Return why such a request is lost and by whose stop and start, where that is known."""
    found = ((text, whose) for pattern, whose, text in CAUSES if re.match(pattern, f"{kind}: {why}"))
    return next(found, ("not known", ""))


def causes(lost: Iterable[dict[str, Any]]) -> str:
    """Return a table of what was lost, by kind and cause."""
    rows = Counter((one["kind"], explanation(one["kind"], one["why"])[0]) for one in lost)
    return table(
        ("request", "lost", "cause"), [(f"``{kind}``", n, text) for (kind, text), n in sorted(rows.items())]
    )


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def versions(stack: Stack) -> dict[str, str]:
    """Return the versions of the software that is measured."""
    code = "from importlib.metadata import version as v; print(*map(v, ('cinder', 'oslo.service', 'oslo.messaging')))"
    _, out = stack.container("cinder_api").exec_run(["/opt/cinder/bin/python", "-c", code])
    found = dict(zip(("cinder", "oslo.service", "oslo.messaging"), out.decode().split(), strict=False))
    engine = stack.client.version()
    return {**found, "Docker Engine": str(engine["Version"])}


def title(text: str, line: str = "=") -> str:
    rule = line * len(text)
    return f"{rule}\n{text}\n{rule}\n\n" if line == "=" else f"{text}\n{rule}\n\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a list-table."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (heads, *rows):
        lines += [f"   {'*' if at == 0 else ' '} - {cell}".rstrip() for at, cell in enumerate(row)]
    return "\n".join(lines) + "\n\n"


def counted(kinds: dict[str, int]) -> str:
    """Return ``3: attach 1, detach 2``, or 0."""
    words = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    return f"{sum(kinds.values())}: {words}" if kinds else "0"


def load() -> float:
    """Return the load average of the last five minutes."""
    return round(os.getloadavg()[1], 1)


def machine() -> str:
    """Name the machine by what matters for a load average."""
    return f"{os.cpu_count()} cores"


def about(data: dict[str, Any]) -> str:
    """Say when and with which software a page was measured."""
    busy = f"; load average {data['load']}, {machine()}" if data.get("load") else ""
    return f"{data['made']}; {spelled(data['versions'])}; seed {data['seed']}{busy}.\n\n"


def spelled(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())


def soak(data: dict[str, Any]) -> str:
    """Return the page of the soak."""
    lost = Counter(one["kind"] for one in data["lost"])
    kinds = sorted(data["accepted"])
    rolls = data["rolls"]
    text = NOTE.format(command=SOAK_COMMAND) + title("The soak") + about(data)
    text += (
        f"For {data['seconds'] / 60:.1f} minutes requests arrived at random, with operations of 0.3 to 2.5 s, "
        "while ``ansible/upgrade.yml`` replaced cinder-scheduler, cinder-volume and cinder-backup "
        f"{len(rolls)} times, from one image to another and back. "
        f"Of {sum(data['accepted'].values())} requests that the API accepted "
        f"**{_lost(len(data['lost']))}**. Not accepted: {counted(data['refused'])}.\n\n"
    )
    text += table(
        ("request", "accepted", "lost"),
        [(f"``{kind}``", data["accepted"][kind], lost.get(kind, 0)) for kind in kinds],
    )
    text += f"Quota usages that do not agree with the rows: {_or_none(data['quota'])}."
    if data["quota"] and not data["unexplained_quota"]:
        text += " " + QUOTA_CAUSE.format(deletes=data["deletes_met"])
    text += f"\n\nRows that nobody asked for: {_or_none(data['strays'])}.\n\n"
    if data["lost"]:
        text += title("Why", "-") + causes(data["lost"])
        text += title("What was lost", "-") + table(
            ("request", "what is wrong", "sent"),
            [(f"``{one['kind']}``", one["why"], one["when"]) for one in data["lost"]],
        )
    text += title("The rolls", "-") + table(
        ("to", "seconds", "exit code", "what became of the services"),
        [
            (one["image"], f"{one['ended'] - one['begun']:.0f}", one["code"], "; ".join(one["became"]))
            for one in rolls
        ],
    )
    return text.rstrip() + "\n"


def _lost(count: int) -> str:
    return f"{count} {'was' if count == 1 else 'were'} lost"


def _or_none(found: Sequence[str]) -> str:
    return "; ".join(found) if found else "none"
