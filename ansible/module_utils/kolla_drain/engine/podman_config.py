"""What podman's own configuration gives every container (containers.conf). Python 3.9 has no parser of TOML."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterator

_FILES = (
    "/usr/share/containers/containers.conf",
    "/etc/containers/containers.conf",
    "/etc/containers/containers.conf.d/*.conf",
)
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
_SECTION = re.compile(
    r"^\s*\[\s*containers\s*\]\s*$(.*?)(?=^\s*\[\s*[\w.]+\s*\]\s*$|\Z)", re.MULTILINE | re.DOTALL
)
_WORD = r"\"[^\"\n]*\"|'[^'\n]*'"


def listed(key: str) -> list[str]:
    """Return the words of a list in the section [containers]; a later file's replace those of an earlier one."""
    found: list[str] = []
    for text in _texts():
        for section in _SECTION.findall(_COMMENT.sub("", text)):
            match = re.search(rf"^\s*{key}\s*=\s*\[((?:{_WORD}|[\s,]|#.*$)*)\]", section, re.MULTILINE)
            if match:
                found = [word[1:-1] for word in re.findall(_WORD, match[1])]
    return found


def _texts() -> Iterator[str]:
    own = os.environ.get("CONTAINERS_CONF")
    patterns = (glob.escape(own),) if own else _FILES
    for path in (path for pattern in patterns for path in sorted(glob.glob(pattern))):
        with contextlib.suppress(OSError, UnicodeDecodeError), open(path, encoding="utf-8") as stream:
            yield stream.read()
