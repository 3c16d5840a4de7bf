"""Decisions and messages of the plays, from the modules' answers. Plain functions over plain data."""

from __future__ import annotations

import configparser
import re
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.display import Display

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
    api_away: str = "",
    left_disabled: list[dict[str, str]] | None = None,
) -> list[str]:
    """Return the plan, a few lines for each service."""
    by_name = {one["item"]: one for one in compared if "item" in one}
    times = {one["item"]: one for one in own_times if "item" in one}
    lines = []
    for name, answer in zip(names, now):
        what = _what(intent, answer, by_name.get(name, {}), times.get(name, {}))
        lines.append(f"{name} ({services[name]['container_name']}): {what}")
        lines += [f"  {line}" for line in _details(answer, times.get(name, {}))]
    lines += [
        f"{one['service']} on {one['host']} was left disabled by an earlier run; it will be enabled"
        for one in left_disabled or []
    ]
    if api_away:
        lines.append(f"nothing will be disabled: {api_away}")
    return lines or ["nothing of it runs here"]


def _what(intent: str, answer: Answer, compared: Answer, times: Answer) -> str:
    if intent in _VERBS:
        return _VERBS[intent] if answer.get("status") == "running" else f"is {_status(answer)}"
    if _status(answer) == "absent":
        return "to be made, it is not there"
    differences = [_difference(one) for one in compared.get("differences", [])]
    if differences:
        return f"to be replaced, because it differs in {', '.join(differences)}"
    if _status(answer) != "running":
        return f"to be started, it is {_status(answer)}"
    if times.get("newer"):
        return "to be restarted, its configuration is newer than its process"
    if compared.get("changed"):
        return "equal but for its systemd unit, which is written anew; it runs on"
    return "equal, stays untouched"


def _difference(one: Answer) -> str:
    """Name the setting, and of the image the old and the new one; --diff shows the others."""
    return f"image ({one['old']} -> {one['new']})" if one["setting"] == "image" else str(one["setting"])


def _status(answer: Answer) -> str:
    return str(answer.get("status") or answer.get("verdict") or "absent")


def _details(answer: Answer, times: Answer) -> list[str]:
    if _status(answer) == "absent":
        return []
    operations = answer.get("operations", [])
    lines = [
        f"in flight: {one['kind']} {one['id']} ({one['status']}, since {one.get('since') or 'unknown'})"
        + (f": {one['unattributed']}" if one.get("unattributed") else "")
        for one in operations
    ]
    if not operations and answer.get("evidence") == "ok":
        lines.append("in flight: nothing")
    lines += [
        f"passed over: {one['kind']} {one['id']} ({one['status']}): {one['why']}"
        for one in answer.get("passed_over", [])
    ]
    if answer.get("evidence") == "unavailable":
        lines.append(f"in flight: cannot be seen: {answer.get('evidence_why')}")
    if answer.get("draining"):
        lines.append(f"being stopped already: {answer['draining']}")
    lines += [f"preflight: {one['text']}" for one in answer.get("preflight", [])]
    # Preflight may have reported the same fault.
    reported = any(one["code"].endswith("timeout_not_below") for one in answer.get("preflight", []))
    return lines + ([] if reported else [f"time-outs: {text}" for text in times.get("findings", [])])


def blind(now: list[Answer]) -> list[str]:
    """Return why work cannot be seen, for each service that runs; one at rest has no work."""
    return [
        f"{one['item']}: {one.get('evidence_why')}"
        for one in now
        if one.get("evidence") == "unavailable" and one.get("status") in _RUNS
    ]


def newer(own_times: list[Answer]) -> list[str]:
    """Return the services whose configuration was written after they started."""
    return [one["item"] for one in own_times if one.get("newer")]


def targets(names: list[str], services: dict[str, Answer], now: list[Answer]) -> list[dict[str, str]]:
    """Return the services that can be disabled, with the host that their heartbeats name, as the API calls it."""
    found: list[dict[str, str]] = []
    for answer in now:
        name = answer.get("item")
        # `fence` is the name of the key before 0.4.
        if name not in names or not services[name].get("disable", services[name].get("fence", False)):
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
    """Return what is under way in the services that were waited for, or why that is not known."""
    operations = [one for each in result.get("results", []) for one in each.get("operations") or []]
    named = ", ".join(f"{one['kind']} {one['id']} ({one['status']})" for one in operations)
    return named or why(result).rstrip(".")


def left(answers: list[Answer]) -> list[dict[str, str]]:
    """Return the targets that an earlier run has left disabled."""
    return [
        one["item"] for one in answers if any(row.get("disabled_by_us") for row in one.get("services") or [])
    ]


def unanswered(answers: list[Answer]) -> str:
    """Return why the API did not answer; empty if it did."""
    return " ".join(dict.fromkeys(str(one.get("msg", "")) for one in answers if "services" not in one))


def answered(answers: list[Answer]) -> list[dict[str, str]]:
    """Return the targets that the API has answered for."""
    return [one["item"] for one in answers if "services" in one]


def why(result: Answer) -> str:
    """Return the message of a failed task; of a loop, those of the items that failed."""
    items = [one for one in result.get("results", []) if one.get("failed") or one.get("unreachable")]
    texts = [printable(str(one.get("msg", "")).strip()) for one in items or [result]]
    return " ".join(dict.fromkeys(text for text in texts if text)) or "it failed, see above"


def printable(text: str) -> str:
    """Return a text from outside on one line, without what a terminal would act on."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def became(result: Answer) -> str:
    """Return what was done to one container, in a line."""
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


def undo(result: Answer) -> str:
    """Return the commands that enable what is still disabled."""
    results = result.get("results", [result])
    return "; ".join(command for one in results for command in one.get("undo") or [])


def evidence_options(record: Answer) -> Answer:
    """Return the options of kolla_docker that say where a container's evidence is, from its record."""
    options = {"service": record.get("profile") or record.get("service")}
    options |= {key: record.get(key) for key in ("service_config", "database")}
    return {key: value for key, value in options.items() if value}


_DEFINITION: dict[str, Any] = {
    "environment": {}, "volumes": [], "tmpfs": [], "labels": {}, "cap_add": [], "security_opt": [], "dimensions": {},
    "command": None, "ipc_mode": None, "pid_mode": None, "cgroupns_mode": None, "healthcheck": None, "user": None,
}  # fmt: skip


def definition(record: Answer) -> Answer:
    """Return the options of kolla_docker that say what a container is, from its record; None and "" count as absent."""
    options = {key: record.get(key) or usual for key, usual in _DEFINITION.items()}
    options |= {"image": record["image"], "privileged": boolean(record.get("privileged") or False)}
    return {key: value for key, value in options.items() if value is not None}


_API = (
    "cloud", "auth_type", "auth", "region_name", "interface", "validate_certs", "ca_cert", "client_cert", "client_key",
    "api_timeout",
)  # fmt: skip
# kolla_service refuses these for other services.
_API_OF_CINDER = ("fallback", "database", "service_config")


def api_options(api: Answer, service: str) -> Answer:
    """Return the options of kolla_service that say how the API of this service is reached, from kolla_drain_api."""
    project = service.split("-")[0]
    # second_way is the name before 0.4.
    given = {"fallback": api["second_way"], **api} if "second_way" in api else api
    names = (*_API, *_API_OF_CINDER) if project == "cinder" else _API
    options = {key: given[key] for key in names if key in given}
    endpoint = (api.get("endpoint_overrides") or {}).get(project)
    return {**options, "endpoint_override": endpoint} if endpoint else options


# --- heartbeats


def reporting(answers: list[Answer]) -> list[Answer]:
    """Return service and host of the heartbeats that are fresh in these readings."""
    return [
        {"service": row["service"], "host": row["host"]}
        for one in answers
        for row in one.get("heartbeat", {}).get("rows", [])
        if row.get("up")
    ]


def silent(answer: Answer, before: list[Answer]) -> list[str]:
    """Return the missing heartbeats that were there before; where none was, all of them unless one is there now."""
    rows = answer.get("heartbeat", {}).get("rows", [])
    wanted = [row for row in rows if {"service": row["service"], "host": row["host"]} in before]
    if not wanted and len(mute(answer)) < len(rows):
        return []
    return mute({"heartbeat": {"rows": wanted or rows}})


def mute(answer: Answer) -> list[str]:
    """Return the heartbeats that are missing."""
    rows = answer.get("heartbeat", {}).get("rows", [])
    return [f"{row['service']} on {row['host']}" for row in rows if not row.get("up")]


# --- variables


def deprecated(found: list[str], renamed: dict[str, str]) -> list[str]:
    """Warn of variables by their old names; return those that have a new one."""
    for old in found:
        new = renamed[old]
        way_out = f"the variable is named {new} now" if new else "the variable has no effect any more"
        Display().warning(f"Deprecated: {old} is set, and {way_out}; {'rename' if new else 'remove'} it.")
    return [old for old in found if renamed[old]]


_TIME = re.compile(r"(?!kolla_drain_)(?P<container>\w+)_(?P<option>(graceful_shutdown|ready)_timeout)")


def times(values: dict[str, Any]) -> dict[str, Answer]:
    """Return the options of each container that variables named after it give: manila_share_ready_timeout."""
    found: dict[str, Answer] = {}
    for name, value in values.items():
        named = _TIME.fullmatch(name)
        if named:
            found.setdefault(named["container"], {})[named["option"]] = value
    return found


# --- HAProxy


def unasked(results: list[Answer]) -> list[str]:
    """Return which HAProxy could not be asked, and why: it or its host is down, and sends nobody anywhere."""
    return [
        f"HAProxy on {one['item']} was not asked: {one.get('msg', '')}"
        for one in _not_done(results)
        if one.get("unreachable") or one.get("answered") is False
    ]


def refusing(results: list[Answer]) -> list[str]:
    """Return which HAProxy answered and did not do as it was told, and why."""
    return [
        f"HAProxy on {one['item']}: {one.get('msg', '')}"
        for one in _not_done(results)
        if not one.get("unreachable") and one.get("answered") is not False
    ]


def _not_done(results: list[Answer]) -> list[Answer]:
    # NOTE: with failed_when false, Ansible's own "failed" does not tell.
    return [one for one in results if "servers" not in one and not one.get("skipped")]


def by_hand(backends: list[str], server: str, path: str) -> str:
    """Return the command that puts a server back, to be run on the host of the balancer."""
    commands = "; ".join(f"set server {backend}/{server} state ready" for backend in backends)
    return f"echo '{commands}' | socat stdio {path}"


# --- the database's dump

_VERIFY = ("ssl_verify_cert", "ssl_verify_identity", "ssl_check_hostname")


def connection(text: str, section: str = "database") -> str:
    """Return the URL in a section of a configuration file, read as oslo.config and oslo.db do; "" for none."""
    parser = configparser.RawConfigParser(
        strict=False, interpolation=None, allow_no_value=True, default_section=""
    )
    try:
        # oslo.config takes what stands before any section for [DEFAULT]'s.
        parser.read_string(f"[DEFAULT]\n{text}")
    except configparser.Error:
        return ""
    url, more = (_value(parser, section, option) for option in ("connection", "connection_parameters"))
    return f"{url}{'&' if '?' in url.rpartition('@')[2] else '?'}{more}" if url and more else url


def _value(parser: configparser.RawConfigParser, section: str, option: str) -> str:
    found = str(parser.get(section, option, fallback="") or "").strip()
    quoted = len(found) > 1 and found[0] == found[-1] and found[0] in "\"'"
    return found[1:-1] if quoted else found


def account(url: str) -> Answer:
    """Take an SQLAlchemy URL apart: host, port, user, password, database and tls, or ``error``, a sentence."""
    # As SQLAlchemy has it, a password may hold anything but '@'.
    login, at, place = url.partition("://")[2].partition("@")
    user, _, password = login.partition(":")
    try:
        parts = urlsplit(f"//{place if at else login}")
        host, port = parts.hostname, parts.port or 3306
    except ValueError:
        host = None
    if not host:
        what = "is no URL such as mysql+pymysql://user:password@host/name" if url else "is not there"
        return {"error": f"the option connection {what}."}
    tls = _tls(dict(parse_qsl(parts.query)))
    return {
        "host": host,
        "port": port,
        "user": unquote(user) if at else "",
        "password": unquote(password) if at else "",
        "database": unquote(parts.path.lstrip("/")),
        **({"tls": tls} if tls else {}),
    }


def _tls(options: dict[str, str]) -> list[str]:
    """Return what a URL asks of TLS as lines of an option file. "loose" is for MySQL's client, which knows others."""
    lines = [
        f"{name}={_quoted(options[name])}" for name in ("ssl_ca", "ssl_cert", "ssl_key") if name in options
    ]
    asked = {name: value.lower() in ("1", "true", "yes", "on") for name, value in options.items()}
    mode = options.get("ssl_mode", "").upper()
    if (
        lines
        or mode in ("REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
        or any(map(asked.get, ("ssl", *_VERIFY)))
    ):
        lines.append("loose-ssl")
    # MariaDB's client cannot verify a certificate without its host name.
    host = [asked[name] for name in ("ssl_verify_identity", "ssl_check_hostname") if name in asked]
    by_default = "ssl_ca" in options and mode != "VERIFY_CA" and not host
    if mode == "VERIFY_IDENTITY" or any(host) or by_default:
        lines.append("loose-ssl-verify-server-cert")
    return lines


def option_file(account: Answer) -> str:
    """Return an account as the option file of a MariaDB client."""
    texts = [f"{key}={_quoted(account[key])}" for key in ("host", "user", "password")]
    return "\n".join(["[client]", f"port={account['port']}", *texts, *account.get("tls", [])]) + "\n"


def _quoted(text: str) -> str:
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(plain, escaped)
    return f'"{text}"'


# --- cinder-manage service list

_ROW = re.compile(
    r"^(?P<binary>\S+)\s+(?P<host>\S+)\s+(?P<zone>\S.*?)\s+(?P<status>enabled|disabled)\s+"
    r"(?P<state>:-\)|XXX)\s+(?P<updated>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S*|None)\s+"
    r"(?P<rpc>\S+)\s+(?P<object>\S+)(?:\s+(?P<cluster>\S+))?\s*$",
    re.MULTILINE,
)


def rows(text: str) -> list[Answer]:
    """Parse the table of ``cinder-manage service list``."""
    return [
        {**found.groupdict(), "up": found["state"] == ":-)", "cluster": found["cluster"] or ""}
        for found in _ROW.finditer(text)
    ]


def orphans(
    found: list[Answer], hours: float, known_hosts: list[str], now: datetime | None = None
) -> list[Answer]:
    """Return the rows whose service has not reported for so many hours, each with a sentence."""
    now = now or datetime.now(timezone.utc)
    known = {host.split(".")[0] for host in known_hosts}
    silent_rows = []
    for row in found:
        age = _hours(row["updated"], now)
        if row["up"] or age < float(hours):
            continue
        since = (
            "has never reported" if row["updated"] == "None" else f"was last heard of at {row['updated']} UTC"
        )
        host = row["host"].split("@")[0].split(".")[0]
        place = "" if host in known else ", and its host is not in the inventory"
        silent_rows.append({**row, "text": f"{row['binary']} on {row['host']} {since}{place}"})
    return silent_rows


def _hours(updated: str, now: datetime) -> float:
    if updated == "None":
        return float("inf")
    moment = datetime.strptime(updated[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
    return (now - moment).total_seconds() / 3600


def versions(found: list[Answer]) -> dict[str, list[str]]:
    """Return the "rpc/object" versions that the services that are up report, oldest first, by binary."""
    each: dict[str, set[str]] = {}
    for row in found:
        if row["up"]:
            each.setdefault(row["binary"], set()).add(_version(row))
    return {binary: sorted(several, key=_numbers) for binary, several in sorted(each.items())}


def _version(row: Answer) -> str:
    """Return RPC and object version; Nova has one for both."""
    return str(row["rpc"]) if row["object"] == "-" else f"{row['rpc']}/{row['object']}"


def versions_line(found: list[Answer]) -> str:
    """Return the versions in a line."""
    return ", ".join(f"{binary} {' and '.join(several)}" for binary, several in versions(found).items())


def mixed(found: list[Answer]) -> list[str]:
    """Return a sentence for each kind of service that is up with more than one version."""
    sentences = []
    for binary, several in versions(found).items():
        old = [row["host"] for row in found if row["up"] and row["binary"] == binary
               and _version(row) == several[0]]  # fmt: skip
        if len(several) > 1:
            sentences.append(f"{binary}: {several[0]} on {', '.join(old)}, {several[-1]} elsewhere")
    return sentences


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


# --- *-status upgrade check

_CHECK = re.compile(
    r"\| Check: (?P<name>.*?)\s*\|\s*\n\| Result: (?P<result>\w+).*?\n\| Details: (?P<rest>(?:.*\n)*?)\+-"
)


def failed_checks(text: str) -> list[dict[str, str]]:
    """Return the checks that failed, with their details on one line."""
    return [
        {"name": one["name"], "details": " ".join(re.sub(r"[|\s]+", " ", one["rest"]).split())}
        for one in _CHECK.finditer(text)
        if one["result"] == "Failure"
    ]


def checks_line(checks: list[dict[str, str]]) -> str:
    """Return the failed checks in a line."""
    return "; ".join(f"{one['name']}: {one['details']}" for one in checks)


class FilterModule:
    """The filters, for Ansible."""

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
            printable,
            became,
            undo,
            evidence_options,
            definition,
            api_options,
            reporting,
            silent,
            mute,
            deprecated,
            times,
            unasked,
            refusing,
            by_hand,
            connection,
            account,
            option_file,
            rows,
            orphans,
            versions,
            versions_line,
            mixed,
            failed_checks,
            checks_line,
        )
        return {f"kolla_drain_{one.__name__}": one for one in found}
