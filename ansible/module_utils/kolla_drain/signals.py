"""Names and numbers of signals as people and container engines write them."""

from __future__ import annotations

import signal

_REAL_TIME = range(signal.SIGRTMAX - signal.SIGRTMIN + 1)
# Engines call the real-time signals RTMIN to RTMIN+15, then RTMAX-14 to RTMAX. The C library keeps the two below RTMIN.
_NAMES = {
    **{signal.SIGRTMAX - steps: f"SIGRTMAX-{steps}" for steps in _REAL_TIME},
    **{signal.SIGRTMIN + steps: f"SIGRTMIN+{steps}" for steps in range(16)},
    16: "SIGSTKFLT",  # Python names it from 3.11 on
    **{int(known): known.name for known in signal.Signals},
}
# By full name, aliases such as SIGCLD and SIGIOT included, and by number.
_NUMBERS = {
    **{str(number): number for number in _NAMES},
    "SIGSTKFLT": 16,
    **{name: int(value) for name, value in vars(signal).items() if isinstance(value, signal.Signals)},
    **{f"SIGRTMIN+{steps}": signal.SIGRTMIN + steps for steps in _REAL_TIME},
    **{f"SIGRTMAX-{steps}": signal.SIGRTMAX - steps for steps in _REAL_TIME},
}


def number(value: object) -> int:
    """Return the number on this host of "TERM", "sigterm", 15, "15" or "SIGRTMIN+3".

    Raises ValueError with a sentence when it is no signal.
    """
    word = str(value).strip().upper()
    found = _NUMBERS.get(word) or _NUMBERS.get(f"SIG{word}")
    if found is None:
        raise ValueError(
            f"{value!r} is no signal; give a name such as SIGTERM, SIGUSR2 or SIGRTMIN+3, or its number"
        )
    return found


def normalise(value: object) -> str:
    """Return the full name, ``SIGTERM``, of any spelling that ``number`` takes. Raises ValueError otherwise."""
    return _NAMES[number(value)]


def signal_name(value: object) -> str:
    """Return the full name; a value that names no signal is returned as text."""
    try:
        return normalise(value) if value else ""
    except ValueError:
        return str(value)
