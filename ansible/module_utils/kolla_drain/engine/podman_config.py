"""What podman's own configuration gives every container (containers.conf). Python 3.9 has no parser of TOML."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterator

# The newest podman reads all of these, older ones some.
_FILES = tuple(
    f"{folder}/containers/containers.{name}"
    for folder in ("/usr/share", "/etc")
    for name in ("conf", "conf.d/*.conf", "rootful.conf.d/*.conf")
)
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
_SECTION = re.compile(
    r"^\s*\[\s*containers\s*\]\s*(?:#[^\n]*)?$(.*?)(?=^\s*\[\s*[\w.]+\s*\]\s*(?:#[^\n]*)?$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_WORD = r"\"[^\"\n]*\"|'[^'\n]*'"
# Beside the words of a list: that they do not replace those of the files before.
_APPEND = r"\{\s*append\s*=\s*(true|false)\s*\}"


def listed(key: str) -> list[str]:
    """Return the words of a list in the section [containers]; a later file's replace or extend those of an earlier."""
    found: list[str] = []
    appends = False
    for text in _texts():
        for section in _SECTION.findall(_COMMENT.sub("", text)):
            pattern = rf"^\s*{key}\s*=\s*\[((?:{_WORD}|{_APPEND}|[\s,]|#.*$)*)\]"
            match = re.search(pattern, section, re.MULTILINE)
            if match:
                told = re.search(_APPEND, match[1])
                appends = told[1] == "true" if told else appends
                words = [word[1:-1] for word in re.findall(_WORD, match[1])]
                found = found + words if appends else words
    return found


def _texts() -> Iterator[str]:
    own = os.environ.get("CONTAINERS_CONF")
    patterns = (glob.escape(own),) if own else _FILES
    for path in (path for pattern in patterns for path in sorted(glob.glob(pattern))):
        with contextlib.suppress(OSError, UnicodeDecodeError), open(path, encoding="utf-8") as stream:
            yield stream.read()
