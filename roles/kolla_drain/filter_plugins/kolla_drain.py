"""What the plays say and decide from the modules' answers. Plain functions over plain data."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

Answer = dict[str, Any]

_RUNS = ("running", "paused", "restarting")
_VERBS = {"stop": "to be stopped", "reload": "to be reloaded"}


def plan(
    names: list[str],
    services: dict[str, Answer],
    intent: str,
    now: list[Answer],
    compared: list[Answer],
    own_times: list[Answer],
    no_fence: str = "",
    left_fenced: list[dict[str, str]] | None = None,
) -> list[str]:
    """The lines that a person reads before they say yes: a few for each service."""
    by_name = {one["item"]: one for one in compared if "item" in one}
    times = {one["item"]: one for one in own_times if "item" in one}
    lines = []
    for name, answer in zip(names, now):
        what = _what(intent, answer, by_name.get(name, {}), times.get(name, {}))
        lines.append(f"{name} ({services[name]['container_name']}): {what}")
        lines += [f"  {line}" for line in _details(answer, times.get(name, {}))]
    lines += [
        f"{one['service']} on {one['host']} was left fenced by an earlier run; it will be unfenced"
        for one in left_fenced or []
    ]
    if no_fence:
        lines.append(f"nothing will be fenced: {no_fence}")
    return lines or ["nothing of it runs here"]


def _what(intent: str, answer: Answer, compared: Answer, times: Answer) -> str:
    if intent in _VERBS:
        return _VERBS[intent] if answer.get("status") == "running" else f"is {_status(answer)}"
    if _status(answer) == "absent":
        return "to be made, it is not there"
    differences = [_difference(one) for one in compared.get("differences", [])]
    if differences:
        return f"to be replaced, for it differs in {', '.join(differences)}"
    if _status(answer) != "running":
        return f"to be started, it is {_status(answer)}"
    if times.get("newer"):
        return "to be restarted, its configuration is newer than its process"
    return "equal, stays untouched"


def _difference(one: Answer) -> str:
    """The setting; of the image also what it is and what it will be. All the others are in --diff."""
    return f"image ({one['old']} -> {one['new']})" if one["setting"] == "image" else str(one["setting"])


def _status(answer: Answer) -> str:
    return str(answer.get("status") or answer.get("verdict") or "absent")


def _details(answer: Answer, times: Answer) -> list[str]:
    if _status(answer) == "absent":
        return []
    operations = answer.get("operations", [])
    lines = [
        f"in flight: {one['kind']} {one['id']} ({one['status']}, since {one.get('since') or 'unknown'})"
        for one in operations
    ]
    if not operations and answer.get("evidence") == "ok":
        lines.append("in flight: nothing")
    if answer.get("evidence") == "unavailable":
        lines.append(f"in flight: cannot be seen: {answer.get('evidence_why')}")
    if answer.get("draining"):
        lines.append(f"being stopped already: {answer['draining']}")
    lines += [f"preflight: {one['text']}" for one in answer.get("preflight", [])]
    # The same fault by preflight's own words is said once.
    told = any(one["code"].endswith("timeout_not_below") for one in answer.get("preflight", []))
    return lines + ([] if told else [f"time-outs: {text}" for text in times.get("findings", [])])


def blind(now: list[Answer]) -> list[str]:
    """For each service that runs and whose work cannot be seen, why; one at rest has none."""
    return [
        f"{one['item']}: {one.get('evidence_why')}"
        for one in now
        if one.get("evidence") == "unavailable" and one.get("status") in _RUNS
    ]


def newer(own_times: list[Answer]) -> list[str]:
    """The services whose configuration was written after they started."""
    return [one["item"] for one in own_times if one.get("newer") or one.get("changed")]


def targets(names: list[str], services: dict[str, Answer], now: list[Answer]) -> list[dict[str, str]]:
    """Services and their hosts, as the API calls them, that can be fenced: told by their own heartbeats."""
    found: list[dict[str, str]] = []
    for answer in now:
        name = answer.get("item")
        if name not in names or not services[name].get("fence", False):
            continue
        for row in answer.get("heartbeat", {}).get("rows", []):
            target = {
                "service": str(row["service"]),
                "host": str(row["host"]).split("@")[0],
                "name": str(name),
            }
            if target not in found:
                found.append(target)
    return found


def busy(result: Answer) -> str:
    """What is under way in the services that were waited for; where that is not known, why."""
    operations = [one for each in result.get("results", []) for one in each.get("operations") or []]
    named = ", ".join(f"{one['kind']} {one['id']} ({one['status']})" for one in operations)
    return named or why(result).rstrip(".")


def left(answers: list[Answer]) -> list[dict[str, str]]:
    """The targets that are fenced by us, before this run has fenced anything."""
    return [
        one["item"] for one in answers if any(row.get("fenced_by_us") for row in one.get("services") or [])
    ]


def unanswered(answers: list[Answer]) -> str:
    """Why the API did not say anything, if it did not."""
    return " ".join(dict.fromkeys(str(one.get("msg", "")) for one in answers if "services" not in one))


def answered(answers: list[Answer]) -> list[dict[str, str]]:
    """The targets that the API has answered for."""
    return [one["item"] for one in answers if "services" in one]


def why(result: Answer) -> str:
    """The words of a failed task; of one with items, those of the items that failed."""
    items = [one for one in result.get("results", []) if one.get("failed") or one.get("unreachable")]
    texts = [str(one.get("msg", "")).strip() for one in items or [result]]
    return " ".join(dict.fromkeys(text for text in texts if text)) or "it failed, see above"


def became(result: Answer) -> str:
    """What was done to one container, from the module's answer, in a line."""
    parts = [_done(result)]
    if result.get("verdict"):
        parts.append(f"{result['verdict']} ({result.get('reason')})")
    if result.get("gap") is not None:
        parts.append(f"gap {result['gap']} s")
    return ", ".join(part for part in parts if part)


def _done(result: Answer) -> str:
    if result.get("reloaded"):
        return f"reloaded by {result.get('signal')}"
    if result.get("created"):
        return "made"
    if result.get("differences"):
        return "replaced"
    if result.get("restarted") or result.get("gap") is not None:
        return "restarted"
    return "" if result.get("verdict") else ("started" if result.get("changed") else "nothing to do")


def undo(fence: Answer) -> str:
    """The commands that enable what is still fenced."""
    results = fence.get("results", [fence])
    return "; ".join(command for one in results for command in one.get("undo") or [])


# --- cinder-manage service list

_ROW = re.compile(
    r"^(?P<binary>\S+)\s+(?P<host>\S+)\s+(?P<zone>\S.*?)\s+(?P<status>enabled|disabled)\s+"
    r"(?P<state>:-\)|XXX)\s+(?P<updated>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S*|None)\s+"
    r"(?P<rpc>\S+)\s+(?P<object>\S+)(?:\s+(?P<cluster>\S+))?\s*$",
    re.MULTILINE,
)


def rows(text: str) -> list[Answer]:
    """The table of ``cinder-manage service list`` as data."""
    return [
        {**found.groupdict(), "up": found["state"] == ":-)", "cluster": found["cluster"] or ""}
        for found in _ROW.finditer(text)
    ]


def orphans(
    found: list[Answer], hours: float, known_hosts: list[str], now: datetime | None = None
) -> list[Answer]:
    """The rows whose service has not reported for so long, each with a sentence."""
    now = now or datetime.now(timezone.utc)
    known = {host.split(".")[0] for host in known_hosts}
    said = []
    for row in found:
        age = _hours(row["updated"], now)
        if row["up"] or age < float(hours):
            continue
        silent = (
            "has never reported" if row["updated"] == "None" else f"was last heard of at {row['updated']} UTC"
        )
        host = row["host"].split("@")[0].split(".")[0]
        place = "" if host in known else ", and its host is not in the inventory"
        said.append({**row, "text": f"{row['binary']} on {row['host']} {silent}{place}"})
    return said


def _hours(updated: str, now: datetime) -> float:
    if updated == "None":
        return float("inf")
    moment = datetime.strptime(updated[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
    return (now - moment).total_seconds() / 3600


def versions(found: list[Answer]) -> dict[str, list[str]]:
    """Of the services that are up: binary -> "rpc/object" versions that they report, oldest first."""
    each: dict[str, set[str]] = {}
    for row in found:
        if row["up"]:
            each.setdefault(row["binary"], set()).add(_version(row))
    return {binary: sorted(several, key=_numbers) for binary, several in sorted(each.items())}


def _version(row: Answer) -> str:
    """RPC and object version; Nova has one for both."""
    return str(row["rpc"]) if row["object"] == "-" else f"{row['rpc']}/{row['object']}"


def versions_line(found: list[Answer]) -> str:
    """The same in a line."""
    return ", ".join(f"{binary} {' and '.join(several)}" for binary, several in versions(found).items())


def mixed(found: list[Answer]) -> list[str]:
    """A sentence for each kind of service that is up with more than one version."""
    said = []
    for binary, several in versions(found).items():
        old = [row["host"] for row in found if row["up"] and row["binary"] == binary
               and _version(row) == several[0]]  # fmt: skip
        if len(several) > 1:
            said.append(f"{binary}: {several[0]} on {', '.join(old)}, {several[-1]} elsewhere")
    return said


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


# --- *-status upgrade check

_CHECK = re.compile(
    r"\| Check: (?P<name>.*?)\s*\|\s*\n\| Result: (?P<result>\w+).*?\n\| Details: (?P<rest>(?:.*\n)*?)\+-"
)


def failed_checks(text: str) -> list[dict[str, str]]:
    """The checks that failed, with their details on one line."""
    return [
        {"name": one["name"], "details": " ".join(re.sub(r"[|\s]+", " ", one["rest"]).split())}
        for one in _CHECK.finditer(text)
        if one["result"] == "Failure"
    ]


def checks_line(checks: list[dict[str, str]]) -> str:
    """The failed checks in a line."""
    return "; ".join(f"{one['name']}: {one['details']}" for one in checks)


class FilterModule:
    """Ansible's way to find them."""

    def filters(self) -> dict[str, Any]:
        found = (
            plan,
            blind,
            newer,
            targets,
            busy,
            left,
            answered,
            unanswered,
            why,
            became,
            undo,
            rows,
            orphans,
            versions,
            versions_line,
            mixed,
            failed_checks,
            checks_line,
        )
        return {f"kolla_drain_{one.__name__}": one for one in found}
