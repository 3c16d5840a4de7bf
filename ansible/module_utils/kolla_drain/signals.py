"""Names and numbers of signals as people and container engines write them."""

from __future__ import annotations

import re
import signal
from typing import Any

_REAL_TIME = re.compile(r"^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$")
_LAST_BY_MINIMUM = 15  # engines call the real-time signals RTMIN to RTMIN+15, then RTMAX-14 to RTMAX
_NAMELESS = {16: "SIGSTKFLT"}  # Linux has it; Python gives it a name from 3.11 on


def normalise(value: object) -> str:
    """Return the full name, ``SIGTERM``, of "TERM", "sigterm", 15, "15" or "SIGRTMIN+3".

    Raises ValueError with a sentence when it is no signal.
    """
    number_ = _number(value)
    if number_ is None:
        raise ValueError(
            f"{value!r} is no signal; give a name such as SIGTERM, SIGUSR2 or SIGRTMIN+3, or its number"
        )
    return _name(number_)


def number(name: str) -> int:
    """Return the number on this host of any spelling that ``normalise`` takes. Raises ValueError otherwise."""
    number_ = _number(normalise(name))
    assert number_ is not None  # normalise has just made the name
    return number_


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if _is_signal(value) else None
    if not isinstance(value, str) or not value.isascii():
        return None
    word = value.strip().upper()
    if word.isdigit():
        return _number(int(word)) if len(word) < 4 else None
    word = word[3:] if word.startswith("SIG") else word
    return _real_time(word) or _classic(word)


def _classic(word: str) -> int | None:
    """Return the number of a signal with a name of its own; the module signal knows aliases such as CLD and IOT."""
    for number_, name in _NAMELESS.items():
        if name == "SIG" + word:
            return number_
    found = getattr(signal, "SIG" + word, None) if word.isalnum() else None
    return int(found) if isinstance(found, signal.Signals) else None


def _real_time(word: str) -> int | None:
    match = _REAL_TIME.match(word)
    if match is None:
        return None
    end, sign, offset = match.groups()
    if sign is not None and (sign == "+") != (end == "MIN"):
        return None
    steps = int(offset or 0)
    found = signal.SIGRTMIN + steps if end == "MIN" else signal.SIGRTMAX - steps
    return found if signal.SIGRTMIN <= found <= signal.SIGRTMAX else None


def _is_signal(candidate: int) -> bool:
    """Return whether a process may be sent it; the C library keeps the signals just below SIGRTMIN for itself."""
    return candidate in signal.valid_signals() and candidate > 0


def _name(number_: int) -> str:
    if number_ < signal.SIGRTMIN:
        return _NAMELESS.get(number_) or signal.Signals(number_).name
    steps = number_ - signal.SIGRTMIN
    if steps == 0:
        return "SIGRTMIN"
    if steps <= _LAST_BY_MINIMUM:
        return f"SIGRTMIN+{steps}"
    left = signal.SIGRTMAX - number_
    return f"SIGRTMAX-{left}" if left else "SIGRTMAX"


def signal_name(value: Any) -> str:
    """Return the full name; a value that names no signal is returned as text."""
    try:
        return normalise(value) if value else ""
    except ValueError:
        return str(value)
