"""Decisions and messages of the plays over whole hosts. Plain functions over plain data."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

Answer = dict[str, Any]

# Verdicts of containers whose work may be lost.
_LOST = ("killed", "cut")
# Options of a container that say where its evidence is.
_EVIDENCE = ("service", "service_config", "database")


def waves(names: list[str], order: list[Answer]) -> list[Answer]:
    """Return each wave of the order with its containers; the first wave that names a container has it."""
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
    """Return the names that fit, in the order of the patterns; what fits a pattern after "!" does not."""
    ruled_out = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    left = [name for name in names if not any(fnmatchcase(name, pattern) for pattern in ruled_out)]
    fitting = [name for pattern in patterns for name in left if fnmatchcase(name, pattern)]
    return list(dict.fromkeys(fitting))


def fitting(names: list[str], patterns: list[str]) -> list[str]:
    """Return the names that fit one of the patterns."""
    return _fitting(names, patterns)


def disorder(order: list[Answer]) -> list[str]:
    """Return what is wrong with the order of the waves, a sentence each."""
    found = []
    for number, wave in enumerate(order, 1):
        if not wave.get("name"):
            found.append(f"wave {number} has no name")
        if not wave.get("rest") and not isinstance(wave.get("containers"), list):
            found.append(f"wave {wave.get('name', number)} has no list of containers")
    single = [bool(wave.get("one_at_a_time")) for wave in order]
    if single != sorted(single):
        found.append("waves with one_at_a_time have to come after all others")
    if sum(bool(wave.get("rest")) for wave in order) != 1:
        found.append("one wave, and one only, has to be the rest")
    return found


def calls(names: list[str], known: dict[str, Answer], usual: float) -> list[Answer]:
    """Group containers into calls of kolla_docker: one for all, and one more for each set of options of their own.

    A call has one time-out in seconds for all of its containers, the longest of theirs. So it has for their start; 0 is
    none of their own. The options themselves are left to ``options``: Ansible shows the items of a loop, and a
    database has a password.
    """
    found: list[Answer] = []
    for name in names:
        own = known.get(name, {})
        mine = options([name], known)
        seconds = int(own.get("graceful_shutdown_timeout") or usual)
        call = next((one for one in found if options(one["names"], known) == mine), None)
        if call is None:
            call = {
                "special": any(key in mine for key in _EVIDENCE),
                "names": [],
                "timeout": 0,
                "ready_timeout": 0,
            }
            found.append(call)
        call["names"].append(name)
        call["timeout"] = max(call["timeout"], seconds)
        call["ready_timeout"] = max(call["ready_timeout"], int(own.get("ready_timeout") or 0))
    return found


def options(names: list[str], known: dict[str, Answer]) -> Answer:
    """Return the options that the containers of one call share."""
    own = known.get(names[0], {})
    found = {key: own[key] for key in (*_EVIDENCE, "on_timeout") if own.get(key)}
    # kolla_docker finds Kolla's own file by itself, so that several services can share a call.
    if found.get("service_config") == _default_files(names[0]):
        del found["service_config"]
    return found


def _default_files(name: str) -> list[str]:
    """Return the configuration files that Kolla has for a container of this name."""
    service = name.replace("_", "-")
    return [f"/etc/kolla/{service}/{service.split('-')[0]}.conf"]


def readings(answers: list[Answer]) -> list[Answer]:
    """Merge the containers of several readings; a later reading of one goes before an earlier one."""
    found = {
        one["name"]: {**one, "item": one["name"]}
        for answer in answers
        for one in answer.get("containers", [])
    }
    return list(found.values())


def running(containers: list[Answer]) -> list[str]:
    """Return the names of the containers that run, are paused or restarting."""
    return [one["name"] for one in containers if one.get("status") in ("running", "paused", "restarting")]


def plan(order: list[Answer], containers: list[Answer], verb: str = "to be stopped") -> list[str]:
    """Return the plan: wave by wave, and what is in flight in each."""
    by_name = {one["name"]: one for one in containers}
    lines = []
    for wave in order:
        if wave["containers"]:
            lines.append(f"{wave['name']}: {', '.join(wave['containers'])}")
            lines += [f"  {line}" for name in wave["containers"] for line in _details(by_name.get(name, {}))]
    return [f"{verb}, wave by wave:", *lines] if lines else [f"nothing is {verb} here"]


def _details(one: Answer) -> list[str]:
    name = one.get("name")
    lines = [
        f"{name}: in flight: {operation['kind']} {operation['id']} ({operation['status']}, "
        f"since {operation.get('since') or 'unknown'})"
        + (f": {operation['unattributed']}" if operation.get("unattributed") else "")
        for operation in one.get("operations", [])
    ]
    if one.get("evidence") == "ok" and not lines:
        lines.append(f"{name}: in flight: nothing")
    lines += [
        f"{name}: passed over: {operation['kind']} {operation['id']} ({operation['status']}): {operation['why']}"
        for operation in one.get("passed_over", [])
    ]
    if one.get("evidence") == "unavailable":
        lines.append(f"{name}: in flight: cannot be seen: {one.get('evidence_why')}")
    if one.get("draining"):
        lines.append(f"{name}: being stopped already: {one['draining']}")
    return lines + [f"preflight: {finding['text']}" for finding in one.get("preflight", [])]


def known_as(
    remembered: Answer,
    names: list[str],
    targets: list[Answer],
    backends: list[str],
    up: list[Answer],
    since: str,
) -> Answer:
    """Return what is to be brought back: what an unfinished run has kept, and what is to be stopped now."""
    return {
        "since": remembered["since"] if remembered.get("containers") else since,
        "containers": sorted({*remembered.get("containers", []), *names}),
        "disabled": _unique([*disabled_of(remembered), *targets]),
        "backends": sorted({*remembered.get("backends", []), *backends}),
        "up": _unique([*remembered.get("up", []), *up]),
    }


def disabled_of(remembered: Answer) -> list[Answer]:
    """Return what was disabled; a file that was written before 0.4 calls it fenced."""
    return list(remembered.get("disabled", remembered.get("fenced", [])))


def _unique(targets: list[Answer]) -> list[Answer]:
    return [one for place, one in enumerate(targets) if one not in targets[:place]]


def became(results: list[Answer]) -> list[str]:
    """Return what was done to each container, a line each."""
    return [
        f"{one['name']}: {one.get('verdict') or 'FAILED'} ({one.get('reason') or 'see the message'})"
        for one in _containers(results)
    ]


def _containers(results: list[Answer]) -> list[Answer]:
    return [one for result in results for one in result.get("containers", [])]


def lost(results: list[Answer]) -> list[str]:
    """Return the work that is or may be lost, a line for each operation, or the verdict where no operation is known."""
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
    """Count the containers by verdict, in the order of the verdicts' names."""
    verdicts = [str(one.get("verdict") or "failed") for one in _containers(results)]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in sorted(set(verdicts)))
    many = "container" if len(verdicts) == 1 else "containers"
    return f"{len(verdicts)} {many}: {counts}" if verdicts else "no container"


def failure(loop: Answer) -> str:
    """Return why a wave did not end well; empty where it did."""
    found = []
    for result in loop.get("results", []):
        if result.get("unreachable"):
            found.append("the connection to the host was lost, with unknown result")
        elif "containers" not in result or any(one.get("failed") for one in result["containers"]):
            found.append(str(result.get("msg") or "it failed, see above").rstrip("."))
    return " ".join(f"{text}." for text in found)


def back(results: list[Answer]) -> list[str]:
    """Return what was started, a line each."""
    return [
        f"{one['name']}: {'started' if one.get('changed') else 'runs already'}"
        + (
            f", serves after {one['ready_after']} s ({one.get('ready_by')})"
            if one.get("ready_after") is not None
            else ""
        )
        for one in _containers(results)
    ]


def down(containers: list[Answer], up: list[Answer]) -> list[str]:
    """Return the containers that do not run, and those that do not report as they did before the drain."""
    found = [
        f"{one['name']} is {one.get('status') or 'absent'}"
        for one in containers
        if one.get("status") != "running"
    ]
    return found + [
        f"{one['name']} does not report ({who})" for one in containers for who in _silent(one, up)
    ]


def mute(containers: list[Answer]) -> list[str]:
    """Return the heartbeats that are missing; once nothing is down, those that were missing before the drain, too."""
    return [f"{who} does not report, and did not before" for one in containers for who in _mute(_rows(one))]


def _silent(one: Answer, up: list[Answer]) -> list[str]:
    """Return the missing heartbeats that were there before; where none was, all of them unless one is there now."""
    rows = _rows(one)
    wanted = [row for row in rows if {"service": row["service"], "host": row["host"]} in up]
    if not wanted and len(_mute(rows)) < len(rows):
        return []
    return _mute(wanted or rows)


def _rows(one: Answer) -> list[Answer]:
    return list(one.get("heartbeat", {}).get("rows", []))


def _mute(rows: list[Answer]) -> list[str]:
    return [f"{row['service']} on {row['host']}" for row in rows if not row.get("up")]


def unproved(containers: list[Answer]) -> list[str]:
    """Return the containers that run and of which nobody can see whether they serve."""
    return [
        f"{one['name']} runs, but whether it serves could not be proved: {one.get('evidence_why')}"
        for one in containers
        if one.get("status") == "running" and one.get("evidence") == "unavailable"
    ]


def unseen(results: list[Answer]) -> list[str]:
    """Return why it is not known what runs."""
    return [
        f"what runs cannot be seen ({str(one.get('msg') or 'no answer').rstrip('.')})"
        for one in results
        if "containers" not in one and not one.get("skipped")
    ]


def commands(names: list[str], wanted: dict[str, list[Any]]) -> list[Answer]:
    """Return the commands to run in these containers: for each one, or several one after the other."""
    found = []
    for name in names:
        own = wanted.get(name) or []
        several = own if own and isinstance(own[0], list) else [own]
        found += [{"name": name, "argv": [str(part) for part in argv]} for argv in several if argv]
    return found


def unwell(results: list[Answer], seconds: float) -> list[str]:
    """Return which commands failed, and how."""
    return [
        f"'{' '.join(one['item']['argv'])}' in {one['item']['name']} {_ended(one, seconds)}"
        for one in results
        if not one.get("skipped") and one.get("rc") != 0
    ]


def _ended(one: Answer, seconds: float) -> str:
    return _late(one, seconds) or f"failed ({one.get('rc', '-')}): {_output(one)}"


def _late(one: Answer, seconds: float) -> str:
    # timeout(1) exits with these.
    return f"did not end within {seconds} s" if one.get("rc") in (124, 137) else ""


def _output(one: Answer) -> str:
    found = str(one.get("stderr") or one.get("stdout") or one.get("msg") or "").strip()
    return _printable(" ".join(found.splitlines()[-3:]))


def instances(one: Answer) -> list[str]:
    """Return the names of the instances in the output of the command that lists them."""
    return [_printable(line.strip()) for line in one.get("stdout_lines") or [] if line.strip()]


def _printable(text: str) -> str:
    """Return a command's output without what a terminal would act on."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def unlisted(one: Answer, seconds: float) -> str:
    """Return why the instances are not known."""
    late = _late(one, seconds)
    why = f"their list {late}" if late else _output(one)
    return f"the instances on it cannot be listed: {why}; what they need is left running"


def disabled(results: list[Answer]) -> list[str]:
    """Return what was disabled and what was not, and why."""
    return [str(one.get("reason") or one.get("msg", "")) for one in results if not one.get("skipped")]


def balanced(results: list[Answer], server: str) -> list[str]:
    """Return where the host is to be taken out of HAProxy, for the plan."""
    asked = [one for one in results if "servers" in one]
    names = [one["item"] for one in asked if open_backends([one])]
    if names:
        return [f"to be taken out of HAProxy on {', '.join(names)}: {', '.join(open_backends(asked))}"]
    if asked and not any(one["servers"] for one in asked):
        return [
            f"HAProxy has no server {server}, so nothing is taken out; if that is wrong, correct "
            "kolla_drain_haproxy_server"
        ]
    return []


def open_backends(results: list[Answer]) -> list[str]:
    """Return the backends in which HAProxy finds the server up: those to take it out of, and to put it back into."""
    rows = [row for result in results for row in result.get("servers") or []]
    return sorted({row["backend"] for row in rows if row["status"].startswith(("UP", "no check"))})


class FilterModule:
    """The filters, for Ansible."""

    def filters(self) -> dict[str, Any]:
        found = (
            waves,
            fitting,
            disorder,
            calls,
            options,
            readings,
            running,
            plan,
            known_as,
            became,
            lost,
            counted,
            failure,
            disabled,
            back,
            commands,
            unwell,
            unlisted,
            instances,
            down,
            mute,
            disabled_of,
            unproved,
            unseen,
            balanced,
            open_backends,
        )
        return {f"kolla_host_{one.__name__}": one for one in found}
