"""Call systemd with time limits and errors that say what is wrong. As root this needs no D-Bus daemon."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import SystemdSilent, UnitError

Run = Callable[..., "subprocess.CompletedProcess[str]"]

# Seconds: systemd answers in milliseconds, but a reload of all units may take seconds on a busy host.
PATIENCE = 60.0

# In the error of systemctl when nobody answered it, whatever it was asked.
_SILENT = re.compile(
    "Failed to connect to (bus|system scope bus)|Failed to get D-Bus connection|System has not been booted|"
    "Transport endpoint is not connected|Connection (reset by peer|refused|timed out|terminated)|"
    "Message recipient disconnected"
)
_RIGHTS = re.compile("authentication required|Access denied|Permission denied|Operation not permitted")

_TIME_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_TIME_UNITS = {  # systemd.time(7)
    "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0,
    "d": 86400.0, "w": 604800.0, "month": 2629800.0, "y": 31557600.0,
}  # fmt: skip


@dataclass(frozen=True)
class Systemctl:
    """``systemctl`` and its like of this host. ``run`` is subprocess.run or its like."""

    run: Run = subprocess.run

    def __call__(self, *words: str, timeout: float = PATIENCE) -> str:
        """Run ``systemctl`` with these words and return what it prints. Raises UnitError."""
        return self.ask(("systemctl", "--no-pager", *words), timeout)

    def ask(self, command: Sequence[str], timeout: float = PATIENCE) -> str:
        """Run a command of systemd's other than ``systemctl``, in the same way. Raises UnitError."""
        asked = " ".join([word for word in command if word[0] != "-"][:2])
        env = {**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0"}
        try:
            answer = self.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=env)
        except subprocess.TimeoutExpired as exc:
            raise SystemdSilent(no_answer(f"{asked} took longer than {timeout:g} s")) from exc
        except OSError as exc:
            raise SystemdSilent(no_answer(f"{command[0]}: {exc.strerror}")) from exc
        if answer.returncode == 0:
            return answer.stdout
        why = answer.stderr.strip() or answer.stdout.strip() or f"exit code {answer.returncode}"
        why = " ".join(why.split())[:300].rstrip(".")
        if _SILENT.search(why):
            raise SystemdSilent(no_answer(why))
        hint = "; run with the rights of root (become: true)" if _RIGHTS.search(why) else ""
        raise UnitError(f"systemd refused '{asked}' ({why}){hint}.")


def no_answer(why: str) -> str:
    """Return the sentence for a systemd that did not say what it was asked."""
    return (
        f"systemd is this host's PID 1 and does not answer ({why}), so what it would do with the container is not "
        "known; see 'systemctl is-system-running', and run with the rights of root (become: true)."
    )


def time_span(text: str) -> float | None:
    """Return the seconds of a time span as ``systemctl show`` prints it, "1min 30s"; None is infinity, or no span."""
    if text.strip() == "0":
        return 0.0
    parts = _TIME_SPAN.findall(text)
    if not parts or _TIME_SPAN.sub("", text).strip() or any(unit not in _TIME_UNITS for _, unit in parts):
        return None
    return sum(float(count) * _TIME_UNITS[unit] for count, unit in parts)
