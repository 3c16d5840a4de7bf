"""What the plays over whole hosts say and decide. Plain functions over plain data."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

Answer = dict[str, Any]

# What each kind of outcome means for the person who reads the summary.
_LOST = ("killed", "cut")


def waves(names: list[str], order: list[Answer]) -> list[Answer]:
    """Each wave of the order with those of the containers that are in it; the first that names one has it."""
    left = sorted(names)
    found = []
    for wave in order:
        mine = [] if wave.get("rest") else _fitting(left, wave["containers"])
        left = [name for name in left if name not in mine]
        found.append({**wave, "containers": mine})
    for wave in found:
        if wave.get("rest"):
            wave["containers"] = left
    return found


def _fitting(names: list[str], patterns: list[str]) -> list[str]:
    """The names that fit, in the order of the patterns."""
    fitting = [name for pattern in patterns for name in names if fnmatchcase(name, pattern)]
    return list(dict.fromkeys(fitting))


def fitting(names: list[str], patterns: list[str]) -> list[str]:
    """The names that fit one of the patterns."""
    return _fitting(names, patterns)


def disorder(order: list[Answer]) -> list[str]:
    """What is wrong with the order of the waves, a sentence each."""
    said = []
    for number, wave in enumerate(order, 1):
        if not wave.get("name"):
            said.append(f"wave {number} has no name")
        if not wave.get("rest") and not isinstance(wave.get("containers"), list):
            said.append(f"wave {wave.get('name', number)} has no list of containers")
    single = [bool(wave.get("one_at_a_time")) for wave in order]
    if single != sorted(single):
        said.append("waves with one_at_a_time have to come after all others")
    if sum(bool(wave.get("rest")) for wave in order) != 1:
        said.append("one wave, and one only, has to be the rest")
    return said


def calls(names: list[str], known: dict[str, Answer], usual: float) -> list[Answer]:
    """The calls that stop or start these side by side: one, and one more for each that needs options of its own.

    A call has one time-out for all of its containers: the longest that one of them has.
    """
    found: list[Answer] = []
    for name in names:
        own = known.get(name, {})
        options = {key: own[key] for key in ("service", "service_config", "database") if own.get(key)}
        # Where Kolla's files lie anyway they need not be named, and several services can share a call.
        if all(str(path).startswith("/etc/kolla/") for path in options.get("service_config", [])):
            options.pop("service_config", None)
        seconds = int(own.get("graceful_shutdown_timeout") or usual)
        call = next((one for one in found if one["options"] == options), None)
        if call is None:
            call = {"options": options, "names": [], "timeout": 0}
            found.append(call)
        call["names"].append(name)
        call["timeout"] = max(call["timeout"], seconds)
    return found


def readings(answers: list[Answer]) -> list[Answer]:
    """The containers of several readings; a later reading of one goes before an earlier one."""
    found = {
        one["name"]: {**one, "item": one["name"]}
        for answer in answers
        for one in answer.get("containers", [])
    }
    return list(found.values())


def running(containers: list[Answer]) -> list[str]:
    """The names of those that run, also of those that are paused or restarting."""
    return [one["name"] for one in containers if one.get("status") in ("running", "paused", "restarting")]


def plan(order: list[Answer], containers: list[Answer], verb: str = "to be stopped") -> list[str]:
    """The lines that a person reads before they say yes: wave by wave, and what is in flight in each."""
    by_name = {one["name"]: one for one in containers}
    lines = []
    for wave in order:
        if wave["containers"]:
            lines.append(f"{wave['name']}: {', '.join(wave['containers'])}")
            lines += [f"  {line}" for name in wave["containers"] for line in _told(by_name.get(name, {}))]
    return [f"{verb}, wave by wave:", *lines] if lines else [f"nothing is {verb} here"]


def _told(one: Answer) -> list[str]:
    name = one.get("name")
    lines = [
        f"{name}: in flight: {operation['kind']} {operation['id']} ({operation['status']}, "
        f"since {operation.get('since') or 'unknown'})"
        for operation in one.get("operations", [])
    ]
    if one.get("evidence") == "ok" and not lines:
        lines.append(f"{name}: in flight: nothing")
    if one.get("evidence") == "unavailable":
        lines.append(f"{name}: in flight: cannot be seen: {one.get('evidence_why')}")
    if one.get("draining"):
        lines.append(f"{name}: being stopped already: {one['draining']}")
    return lines + [f"preflight: {finding['text']}" for finding in one.get("preflight", [])]


def known_as(
    remembered: Answer, names: list[str], targets: list[Answer], backends: list[str], since: str
) -> Answer:
    """What is to be brought back: what an unfinished run has kept, and what is to be stopped now."""
    return {
        "since": remembered["since"] if remembered.get("containers") else since,
        "containers": sorted({*remembered.get("containers", []), *names}),
        "fenced": _unique([*remembered.get("fenced", []), *targets]),
        "backends": sorted({*remembered.get("backends", []), *backends}),
    }


def _unique(targets: list[Answer]) -> list[Answer]:
    return [one for place, one in enumerate(targets) if one not in targets[:place]]


def became(results: list[Answer]) -> list[str]:
    """What was done to each container, a line each."""
    return [
        f"{one['name']}: {one.get('verdict') or 'FAILED'} ({one.get('reason') or 'see the message'})"
        for one in _containers(results)
    ]


def _containers(results: list[Answer]) -> list[Answer]:
    return [one for result in results for one in result.get("containers", [])]


def lost(results: list[Answer]) -> list[str]:
    """The work that was lost or may be, a line for each operation; a container without any is told by its verdict."""
    lines = []
    for one in _containers(results):
        ended = [op for op in one.get("operations", []) if op.get("outcome") in ("interrupted", "unknown")]
        lines += [_interrupted(one["name"], op) for op in ended]
        if one.get("verdict") in _LOST and not ended:
            lines.append(f"{one['name']} was {one['verdict']}: {one.get('reason')}")
    return lines


def _interrupted(name: str, operation: Answer) -> str:
    what = f"{name}: {operation['kind']} {operation['id']} was {operation.get('last_status') or operation['status']}"
    known = "is not known to have finished" if operation["outcome"] == "unknown" else "was interrupted"
    fate = f"; {operation['fate']}" if operation.get("fate") else ""
    return f"{what} and {known}{fate}"


def counted(results: list[Answer]) -> str:
    """How many containers came to which verdict."""
    verdicts = [str(one.get("verdict") or "failed") for one in _containers(results)]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))
    many = "container" if len(verdicts) == 1 else "containers"
    return f"{len(verdicts)} {many}: {counts}" if verdicts else "no container"


def failure(loop: Answer) -> str:
    """Why a wave did not end well, in the modules' words; empty where it did."""
    said = []
    for result in loop.get("results", []):
        if result.get("unreachable"):
            said.append("the connection to the host was lost, and what became of it is not known")
        elif "containers" not in result or any(one.get("failed") for one in result["containers"]):
            said.append(str(result.get("msg") or "it failed, see above").rstrip("."))
    return " ".join(f"{text}." for text in said)


def back(results: list[Answer]) -> list[str]:
    """What was started, a line each."""
    return [
        f"{one['name']}: {'started' if one.get('changed') else 'runs already'}"
        + (
            f", serves after {one['ready_after']} s ({one.get('ready_by')})"
            if one.get("ready_after") is not None
            else ""
        )
        for one in _containers(results)
    ]


def down(containers: list[Answer]) -> list[str]:
    """Which do not run, or do not report, and how they are."""
    said = [
        f"{one['name']} is {one.get('status') or 'absent'}"
        for one in containers
        if one.get("status") != "running"
    ]
    silent = [one["name"] for one in containers if one.get("heartbeat", {}).get("up") is False]
    return said + [f"{name} does not report" for name in silent]


def unproved(containers: list[Answer]) -> list[str]:
    """Which run, and nobody can see whether they serve."""
    return [
        f"{one['name']} runs, but whether it serves could not be proved: {one.get('evidence_why')}"
        for one in containers
        if one.get("status") == "running" and one.get("evidence") == "unavailable"
    ]


def unseen(results: list[Answer]) -> list[str]:
    """Why it is not known what runs."""
    return [
        f"what runs cannot be seen ({str(one.get('msg') or 'no answer').rstrip('.')})"
        for one in results
        if "containers" not in one and not one.get("skipped")
    ]


def commands(names: list[str], wanted: dict[str, list[Any]]) -> list[Answer]:
    """What is to be run in which of the containers: for each a command, or several one after the other."""
    found = []
    for name in names:
        own = wanted.get(name) or []
        several = own if own and isinstance(own[0], list) else [own]
        found += [{"name": name, "argv": [str(part) for part in argv]} for argv in several if argv]
    return found


def unwell(results: list[Answer], seconds: float) -> list[str]:
    """Which commands did not end well, and how."""
    return [
        f"'{' '.join(one['item']['argv'])}' in {one['item']['name']} {_ended(one, seconds)}"
        for one in results
        if not one.get("skipped") and one.get("rc") != 0
    ]


def _ended(one: Answer, seconds: float) -> str:
    return _late(one, seconds) or f"failed ({one.get('rc', '-')}): {_said(one)}"


def _late(one: Answer, seconds: float) -> str:
    # The exit codes of timeout itself.
    return f"did not end within {seconds} s" if one.get("rc") in (124, 137) else ""


def _said(one: Answer) -> str:
    said = str(one.get("stderr") or one.get("stdout") or one.get("msg") or "").strip()
    return " ".join(said.splitlines()[-3:])


def unlisted(one: Answer, seconds: float) -> str:
    """Why the instances are not known."""
    late = _late(one, seconds)
    why = f"their list {late}" if late else _said(one)
    return f"the instances on it cannot be listed: {why}; what they need is left running"


def fences(results: list[Answer]) -> list[str]:
    """What was fenced and what was not, and why, in the module's words."""
    return [str(one.get("reason") or one.get("msg", "")) for one in results if not one.get("skipped")]


def unasked(results: list[Answer]) -> list[str]:
    """Of which hosts HAProxy could not be asked, and why: it, or its host, is down and sends nobody anywhere."""
    return [
        f"HAProxy on {one['item']} was not asked: {one.get('msg', '')}"
        for one in _not_done(results)
        if one.get("unreachable") or one.get("answered") is False
    ]


def refusing(results: list[Answer]) -> list[str]:
    """Of which hosts HAProxy is there, and did not do as it was told, and why."""
    return [
        f"HAProxy on {one['item']}: {one.get('msg', '')}"
        for one in _not_done(results)
        if not one.get("unreachable") and one.get("answered") is not False
    ]


def by_hand(backends: list[str], server: str, path: str) -> str:
    """The command that puts a server back, on the host of the balancer."""
    told = "; ".join(f"set server {backend}/{server} state ready" for backend in backends)
    return f"echo '{told}' | socat stdio {path}"


def _not_done(results: list[Answer]) -> list[Answer]:
    # NOTE: where failure is no end of the play, Ansible's own "failed" does not tell.
    return [one for one in results if "servers" not in one and not one.get("skipped")]


def balanced(results: list[Answer], server: str) -> list[str]:
    """Where the host is to be taken out of HAProxy, for the plan."""
    asked = [one for one in results if "servers" in one]
    names = [one["item"] for one in asked if open_backends([one])]
    if names:
        return [f"to be taken out of HAProxy on {', '.join(names)}: {', '.join(open_backends(asked))}"]
    if asked and not any(one["servers"] for one in asked):
        return [
            f"HAProxy has no server {server}, so nothing is taken out; if that is wrong correct haproxy_server"
        ]
    return []


def open_backends(results: list[Answer]) -> list[str]:
    """The backends in which HAProxy finds the server up, so that they are ours to take out and to put back."""
    rows = [row for result in results for row in result.get("servers") or []]
    return sorted({row["backend"] for row in rows if row["status"].startswith(("UP", "no check"))})


class FilterModule:
    """Ansible's way to find them."""

    def filters(self) -> dict[str, Any]:
        found = (
            waves,
            fitting,
            disorder,
            calls,
            readings,
            running,
            plan,
            known_as,
            became,
            lost,
            counted,
            failure,
            fences,
            back,
            commands,
            unwell,
            unlisted,
            down,
            unproved,
            unseen,
            unasked,
            refusing,
            by_hand,
            balanced,
            open_backends,
        )
        return {f"kolla_host_{one.__name__}": one for one in found}
