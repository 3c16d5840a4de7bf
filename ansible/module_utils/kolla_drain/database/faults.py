"""Turns the errors of PyMySQL, sockets and TLS into sentences for users.

Each error also counts as passing or not: a passing one may go away by itself, so it is worth reading again. An error
that is not known here is passing: it may be a proxy's or that of a server that is failing over, and a signal that is
sent because of it could cut work that nobody sees.
"""

from __future__ import annotations

import ssl

from ..errors import EvidenceUnavailable
from ..masking import printable
from .target import DatabaseTarget

_NOT_READ = (
    "user {user} may not read all that is needed in the database {where} ({detail}); grant it that, as "
    "database_user.yml does"
)
_LACKS = (
    "the database {{where}} lacks a {} that the service's evidence needs, "
    "perhaps because it is of another release: {{detail}}"
)
_REFUSED = "the database {where} refused with error {number}: {detail}"
# By error number, on which MariaDB and MySQL agree: the sentence, and whether the fault is passing. ``detail`` is the
# server's own message.
_BY_NUMBER: dict[int, tuple[str, bool]] = {
    1040: ("the database {where} has too many connections", True),
    1203: ("the database {where} has too many connections of user {user}", True),
    1226: ("the database {where} does not allow user {user} more connections or queries for now", True),
    1044: (
        "access denied: user {user} may not use the database {where}; grant it, or name another user",
        False,
    ),
    1045: (
        "access denied: user {user} is refused by {where}, because of a wrong password or a host that is not allowed",
        False,
    ),
    1698: ("access denied: user {user} is refused by {where} and must authenticate by another method", False),
    1049: ("there is no database {where}; correct its name where it comes from", False),
    1046: ("no database is named for {where}; name it in the option database", False),
    1053: ("the database {where} is shutting down", True),
    1047: ("the node of {where} is not ready: WSREP has not yet prepared it for use", True),
    # By one node: a proxy may lead to another.
    1129: ("the database {where} has blocked this host after too many failed connections", True),
    1130: ("the database {where} does not let this host connect", False),
    1205: ("the database {where} timed out waiting for a lock", True),
    1213: ("the database {where} gave up on a deadlock", True),
    1317: ("the query in the database {where} was interrupted", True),
    1927: ("the database {where} closed the connection", True),
    1969: ("the database {where} timed out answering within {timeout:g} s", True),
    3024: ("the database {where} timed out answering within {timeout:g} s", True),
    2006: ("the connection to the database {where} was lost", True),
    2013: ("the connection to the database {where} was lost", True),
    2026: ("no TLS connection to the database {where}: {detail}", True),
    3159: (
        "the database {where} accepts connections with TLS only: give the TLS options of the database",
        False,
    ),
    1267: ("a host name contains a character that the tables of the database {where} cannot hold", False),
    1142: (_NOT_READ, False),
    1143: (_NOT_READ, False),
    1146: (_LACKS.format("table"), False),
    1054: (_LACKS.format("column"), False),
    1792: ("the database {where} refused to write in a read-only transaction", False),
    # What this server does not know or allow, such as the variables of another product.
    **dict.fromkeys((1064, 1193, 1227, 1231, 1235), (_REFUSED, False)),
}


class PasswordAsked(Exception):
    """The server asks for the password itself, and nothing proves that it is the service's server."""


def unavailable(exc: Exception, where: DatabaseTarget) -> EvidenceUnavailable:
    """Turn any error of the client into one sentence without secrets."""
    if isinstance(exc, PasswordAsked):
        return EvidenceUnavailable(
            f"the database {where.where} asks for the password itself, which is not sent because TLS does not verify "
            "the server: give ssl_ca in the options of the database, and leave ssl_verify on"
        )
    if isinstance(exc, OSError):
        return _unreachable(exc, where)
    number = exc.args[0] if exc.args and isinstance(exc.args[0], int) else 0
    detail = str(exc.args[1]) if len(exc.args) > 1 else ""
    if number == 2003:
        return _unreachable(getattr(exc, "original_exception", exc), where)
    text, passing = _BY_NUMBER.get(number, (_REFUSED, True))
    if number == 2013 and "timed out" in detail:
        text = "the database {where} timed out after {timeout:g} s"
    elif number == 2026 and "support" in detail:
        text, passing = "no TLS connection to the database {where}: the server does not offer TLS", False
    elif number == 0:
        # An error of PyMySQL or Python itself.
        text = "the database {where} cannot be read ({detail})"
        detail = f"{type(exc).__name__}: {exc}"
    sentence = text.format(
        where=where.where,
        number=number,
        user=where.user,
        timeout=where.read_timeout,
        detail=_plain(detail, where),
    )
    return EvidenceUnavailable(sentence, passing=passing)


def _unreachable(cause: BaseException, where: DatabaseTarget) -> EvidenceUnavailable:
    """Turn an error of the network or of TLS into a sentence."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        reason = getattr(cause, "verify_message", "") or "verification failed"
        return EvidenceUnavailable(
            f"no TLS connection to the database {where.where}: its certificate is not trusted ({reason})"
        )
    if isinstance(cause, ssl.SSLError):
        reason = str(getattr(cause, "reason", None) or type(cause).__name__).replace("_", " ").lower()
        return EvidenceUnavailable(f"no TLS connection to the database {where.where}: {reason}", passing=True)
    why = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    # The text is checked too because a socket's time-out is not a TimeoutError before Python 3.10.
    if isinstance(cause, TimeoutError) or "timed out" in why:
        sentence = f"the database {where.where} timed out: no answer within {where.connect_timeout:g} s"
    else:
        reason = _plain(why, where) or type(cause).__name__
        sentence = f"the database {where.where} cannot be reached: {reason}"
    return EvidenceUnavailable(sentence, passing=True)


def _plain(detail: str, where: DatabaseTarget) -> str:
    """Return the server's message on one line, without the password in case it contains it."""
    hidden = detail.replace(where.password, "***") if where.password else detail
    return printable(" ".join(hidden.split()))
