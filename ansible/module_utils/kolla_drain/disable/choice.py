"""TODO: say what this is."""

from __future__ import annotations

from collections.abc import Sequence

from .model import Choice, Pools, Row

# Whose flag decides where new work goes; see docs/fence.rst for where the code reads it.
FENCEABLE = ("cinder-backup", "cinder-volume", "nova-compute")


def choose(mode: str, wanted: Sequence[Row], everywhere: Sequence[Row], pools: Pools | None) -> Choice:
    """Return which of the enabled rows to fence. ``everywhere`` is every row of the binary."""
    candidates = [row for row in wanted if row.enabled]
    names = {row.host for row in wanted}
    others = [row for row in everywhere if row.host not in names and row.living]
    taken, refusals = [], []
    for row in candidates:
        refusal = refusal_of(mode, row, others, pools)
        if refusal:
            refusals.append(refusal)
        else:
            taken.append(row)
    return Choice(tuple(taken), tuple(refusals))


def refusal_of(mode: str, row: Row, others: Sequence[Row], pools: Pools | None) -> str:
    if mode == "never":
        return f"{row.binary} on {row.host} is not fenced: fence is never"
    if row.binary not in FENCEABLE:
        return (
            f"{row.binary} on {row.host} is not fenced: nothing reads its flag, a disabled one is given work like "
            "an enabled one"
        )
    if row.cluster:
        return (
            f"{row.binary} on {row.host} is not fenced: it belongs to the cluster {row.cluster}, and the scheduler "
            "looks at the cluster's flag alone"
        )
    if mode == "always" or any(_can_replace(other, row, pools) for other in others):
        return ""
    return f"{row.binary} on {row.host} is not fenced: no other enabled and living {_what_else(row, pools)}"


def _can_replace(other: Row, row: Row, pools: Pools | None) -> bool:
    if other.zone != row.zone:
        return False
    if row.binary != "cinder-volume":
        return True
    if pools is not None and other.seat not in pools:
        return False  # not in the scheduler's choice, whatever its row says
    return backend_names(row, pools) <= backend_names(other, pools)


def backend_names(row: Row, pools: Pools | None) -> frozenset[str]:
    """Return the backend names that volume types can bind to: as the scheduler has them, else by the host."""
    known = (pools or {}).get(row.seat)
    return known or frozenset([row.host.partition("@")[2]])


def _what_else(row: Row, pools: Pools | None) -> str:
    zone = f" in zone {row.zone}" if row.zone else ""
    if row.binary != "cinder-volume":
        return f"{row.binary}{zone} could take its work"
    return f"cinder-volume{zone} has its backend name {', '.join(sorted(backend_names(row, pools)))}"
