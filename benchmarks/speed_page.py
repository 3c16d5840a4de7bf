"""The page of the speed benchmarks, made from their figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks import pages
from benchmarks.interval import median
from benchmarks.speed_host import BARE, CLI, COMMUNITY, KOLLA, OURS, PING, UNIT, WITH_EVIDENCE
from kolla_drain.drain.pace import CONFIRM_AFTER

# kolla-ansible 23: cinder_rpc_version_startup_delay, seconds until every service has written its version.
PAUSE = 30
COMMAND = ".venv/bin/python -m benchmarks speed"
Sample = dict[str, Any]
MIB = 2**20
ENOUGH = 2  # rounds

METHOD = """All is measured on one host, which runs systemd and a Docker Engine of its own in a container of the
machine. Ansible reaches it over SSH, with pipelining and with the connection kept open. Database and controller share
the processors with it. The ways take turns in random order, and each figure is compared with others of the same round
only. A figure is the median, with its interval of 95 % in brackets, or with the smallest and the largest value where
there are fewer than six. kolla_container is that of kolla-ansible {kolla}; its containers run under systemd units.

"""


def page(data: dict[str, Any]) -> str:
    """Return the page."""
    samples = data["samples"]
    text = pages.NOTE.format(command=COMMAND) + pages.title("Speed")
    loads = f"load average {data['loads'][0]:.1f} before it, and {max(data['loads']):.1f} at the most"
    text += f"{data['made']}, commit {data['commit']}; {pages.spelled(data['versions'])}; "
    text += f"{data['machine']}, {loads}.\n\n"
    text += _warning(data) + METHOD.format(kolla=data["versions"]["kolla-ansible"])
    sections: dict[str, Callable[[Sequence[Sample]], str]] = {
        "stop": _stop, "many": _many, "gap": _gap, "start": _start, "upgrade": _upgrade,
    }  # fmt: skip
    for name, section in sections.items():
        if name in samples:
            text += section(samples[name])
    return text.rstrip() + "\n"


def _warning(data: dict[str, Any]) -> str:
    """Say so where the run supports no claim about a goal."""
    rounds = [len({one["round"] for one in samples}) for samples in data["samples"].values()]
    # Before it, because its own containers make a load as well.
    busy = data["loads"][0] > int(data["machine"].split()[0])
    if not busy and min(rounds) >= ENOUGH:
        return ""
    why = ["other programs kept the machine busy"] if busy else []
    why += [f"a part has {min(rounds)} rounds"] if min(rounds) < ENOUGH else []
    return (
        f".. warning:: This run supports no claim: {', and '.join(why)}. ``{COMMAND}`` on a quiet machine "
        "makes this page anew.\n\n"
    )


# --- figures


def against(
    samples: Iterable[Sample],
    key: str,
    way: str,
    other: str = "",
    how: Callable[[float, float], float] = lambda own, theirs: own - theirs,
) -> list[float]:
    """Return a way's figures, each compared with that of another way of the same round and case."""
    of: dict[str, dict[tuple[Any, ...], float]] = {way: {}, other: {}}
    for one in samples:
        if one["way"] in of and one.get(key) is not None:
            of[one["way"]][one["round"], one.get("drain"), one.get("count")] = one[key]
    if not other:
        return list(of[way].values())
    return [how(value, of[other][case]) for case, value in of[way].items() if case in of[other]]


def shown(values: Sequence[float], unit: str = "", digits: int = 2) -> str:
    """Return ``0.21 s (0.18 to 0.30)``, or nothing."""
    if not values:
        return ""
    middle, low, high = (f"{one:.{digits}f}" for one in median(values))
    return f"{middle}{unit} ({low} to {high})"


def _goal(what: str, values: Sequence[float], limit: float, unit: str = "", digits: int = 2) -> str:
    """Return a line that says whether a median is within its goal."""
    if not values:
        return f"* {what}: not measured.\n"
    middle = median(values)[0]
    word = "met" if middle <= limit else "**not met**"
    return f"* {what}, at most {limit:g}{unit}: {word}, {shown(values, unit, digits)}.\n"


def _rounds(samples: Sequence[Sample]) -> str:
    return f"Rounds: {len({one['round'] for one in samples})}.\n\n"


def _cases(samples: Sequence[Sample], key: str) -> dict[int, list[Sample]]:
    """Return the samples of each case, the cases in their order."""
    return {
        case: [one for one in samples if one[key] == case] for case in sorted({one[key] for one in samples})
    }


# --- the parts


def _stop(samples: Sequence[Sample]) -> str:
    cases = _cases(samples, "drain")
    text = pages.title("One stop", "-") + (
        "What a call takes longer than the container's own drain, from the engine's event of the signal to that of the "
        "exit, and longer than ``ansible -m ping``. The docker command needs no Ansible, so nothing is taken off. "
    )
    text += _rounds(samples)
    rows = []
    for way in (OURS, WITH_EVIDENCE, COMMUNITY, KOLLA, CLI):
        floor = "" if way == CLI else PING
        over = [shown(against(cases[drain], "over", way, floor), " s") for drain in cases]
        rows.append((way, *over, shown(against(samples, "controller", way, floor), " s")))
    heads = ("way", *(f"drain of {drain} s" for drain in cases), "of it computed on the controller")
    text += pages.table(heads, rows)
    text += f"``ansible -m ping`` itself: {shown(against(samples, 'over', PING), ' s')}.\n\n"
    text += _goal("Over ping without evidence", against(samples, "over", OURS, PING), 0.2, " s")
    text += _goal("Over ping with evidence", against(samples, "over", WITH_EVIDENCE, PING), 0.35, " s")
    text += _goal("Longer than community.docker's stop", against(samples, "over", OURS, COMMUNITY), 0.0, " s")
    text += _goal("From the exit to its notice", against(samples, "notice", OURS), 0.05, " s")
    return text + (
        "\nThe floor of the first three: for each ad hoc call Ansible reads, parses and packs the sources of a module "
        "and of all that it may import, which is the column on the right; a play does that once for all its tasks. "
        f"With evidence a stop reads twice, {CONFIRM_AFTER:g} s apart, because one empty reading may fall between two "
        "steps of an operation.\n\n"
    )


def _many(samples: Sequence[Sample]) -> str:
    cases = _cases(samples, "count")
    text = pages.title("Many on one host", "-") + (
        "Containers that drain 5 s, stopped in one call, or by kolla_container in a loop, which is measured once and "
        "not for all 50. Times are without that of a ping, as multiples of the slowest container's own drain. "
    )
    text += _rounds(samples)
    rows = [
        (way, *(shown(against(cases[count], "times", way)) for count in cases)) for way in (OURS, CLI, KOLLA)
    ]
    text += pages.table(("way", *(f"{count} at once" for count in cases)), rows)
    most = max(cases)
    text += _goal(f"{most} containers", against(cases[most], "times", OURS), 1.2)
    (one, *_), (cli, *_) = (median(against(cases[min(cases)], "times", way)) for way in (OURS, CLI))
    (cli_most, *_) = median(against(cases[most], "times", CLI))
    return text + (
        f"\nThe floor is {one + cli_most - cli:.2f}: the call for a single container, and what the engine itself takes "
        f"longer to signal and to end {most} than one, as the docker command shows.\n\n"
    )


def _gap(samples: Sequence[Sample]) -> str:
    text = pages.title("The gap when a container is replaced", "-") + (
        "From the engine's event of the old container's exit to that of the new one's start. The last row is the start "
        "of a container that was made beforehand. "
    )
    text += _rounds(samples)
    rows = [
        (way, shown(against(samples, "gap", way), " s"), shown(_times(samples, "gap", way, BARE)))
        for way in (OURS, UNIT, COMMUNITY, KOLLA, BARE)
    ]
    text += pages.table(("way", "gap", "times docker start"), rows)
    text += _goal("Without a unit, times docker start", _times(samples, "gap", OURS, BARE), 1.3)
    return text + (
        "\nThe floor: between exit and start the names change hands and the old container loses its restart policy, "
        "three calls to the engine; done before the exit, an interrupted run would leave the service without a "
        "container that the engine starts after a reboot.\n\n"
    )


def _times(samples: Sequence[Sample], key: str, way: str, other: str) -> list[float]:
    return against(samples, key, way, other, lambda own, theirs: own / theirs)


def _start(samples: Sequence[Sample]) -> str:
    text = pages.title("What travels and starts", "-") + (
        "The module by itself on the host, for a container that is not there: what Ansible sends of it, how many of "
        "these files Python compiles, the processor time until the first call to the engine and in all. "
        "Besides, what a run holds and computes while it waits for a long drain. "
    )
    text += _rounds(samples)
    waiting = [one for one in samples if "share" in one]

    def row(way: str) -> tuple[str, ...]:
        return (
            way,
            shown([one / 1024 for one in against(samples, "sent", way)][:1], " KiB", 0).partition(" (")[0],
            shown(against(samples, "compiled", way)[:1], "", 0).partition(" (")[0],
            shown(against(samples, "first_call", way), " s"),
            shown(against(samples, "whole", way), " s"),
            shown(_times(samples, "whole", way, COMMUNITY)),
            shown([one / MIB for one in against(waiting, "resident", way)], " MiB", 0).partition(" (")[0],
            shown([100 * one for one in against(waiting, "share", way)], " %").partition(" (")[0],
        )

    heads = (
        "module", "sent", "files compiled", "to the first call", "in all", "times community.docker",
        "resident, waiting", "of a processor, waiting",
    )  # fmt: skip
    text += pages.table(heads, [row(way) for way in (OURS, COMMUNITY, KOLLA, PING)])
    resident = [one / MIB for one in against(waiting, "resident", OURS)]
    text += _goal("Resident while it waits", resident, 60, " MiB", 0)
    shares = [100 * one for one in against(waiting, "share", OURS)]
    return text + _goal("Of a processor while it waits", shares, 0.5, " %") + "\n"


def _upgrade(samples: Sequence[Sample]) -> str:
    text = pages.title("An upgrade of Cinder", "-") + (
        "All of Cinder on one host with nothing in flight, brought to another image: by ``ansible/upgrade.yml``, and "
        f"by kolla-ansible's own steps with kolla_container, whose fixed pause is {PAUSE} s. Once the play has ended "
        "it is looked at when every service serves again. ``ansible/upgrade.yml`` does more: it looks for work in "
        "flight, keeps a copy of the database, replaces one service after the other and waits until each serves. "
    )
    text += _rounds(samples)
    rows = [
        (way, *(shown(against(samples, key, way), " s", 0) for key in ("seconds", "serving")))
        for way in (OURS, KOLLA)
    ]
    text += pages.table(("way", "the play", "until all serves"), rows)
    text += _goal("Of kolla-ansible's time", _times(samples, "seconds", OURS, KOLLA), 0.5)
    return text + (
        "\nThe floor: a service of Cinder needs some seconds to stop and some more until it serves again, and they are "
        "replaced one after the other, so that requests find all the others at their place. kolla-ansible waits for "
        "none of this, and starts each service twice.\n\n"
    )
