"""What a member of a Galera cluster says of itself and of its cluster.

Facts from Galera's documentation: SHOW STATUS needs no right but to log in, and is answered also by a member that is
not Primary or not Synced, which refuses every other question.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import EvidenceUnavailable
from .database import Database, DatabaseTarget

_ASKED = (
    "wsrep_cluster_size",
    "wsrep_cluster_status",
    "wsrep_cluster_state_uuid",
    "wsrep_local_state_comment",
)


@dataclass(frozen=True)
class Member:
    """One member's own words, or why there are none."""

    address: str
    size: int = 0  # of the part of the cluster that it sees, itself included; 0 where it is in none
    status: str = ""  # Primary, or it serves nobody
    state: str = ""  # Synced, or it is exchanging data with another
    cluster: str = ""  # the same for all members of one cluster
    why: str = ""  # why it could not be asked

    @property
    def serves(self) -> bool:
        """Whether clients can work with it."""
        return self.status == "Primary" and self.state == "Synced"

    @property
    def said(self) -> str:
        """Its words in short."""
        return self.why or f"{self.status or 'in no cluster'}, {self.state or 'no state'}"


class StatusDatabase(Database):
    """A connection that a member takes whatever its state: no transaction, no waiting for the others."""

    _TRANSACTION = "SHOW STATUS LIKE 'wsrep_ready'"

    def _prepare(self) -> None:
        self._guard()


def ask(where: DatabaseTarget) -> Member:
    """What the member at this address says now. Never raises: why it says nothing is in the answer."""
    database = StatusDatabase(where)
    try:
        with database.snapshot() as query:
            marks = ", ".join(["%s"] * len(_ASKED))
            rows = query(f"SHOW GLOBAL STATUS WHERE Variable_name IN ({marks})", _ASKED)  # noqa: S608
    except EvidenceUnavailable as exc:
        return Member(where.host, why=str(exc))
    finally:
        database.close()
    found = {str(row["Variable_name"]): str(row["Value"]) for row in rows}
    size, status, cluster, state = (found.get(name, "") for name in _ASKED)
    return Member(where.host, int(size) if size.isdigit() else 0, status, state, cluster)
