"""A registry of images on this machine, with a login: Debian's docker-registry, as a process."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testbed import setup_host
from testbed.containers import free_ports
from testbed.waiting import wait_until

USER = "puller"
PASSWORD = "r3g-s3cr3t"
# bcrypt of PASSWORD, the only hash that the registry takes.
_HTPASSWD = f"{USER}:$2b$04$IFY4yUurTZGBYEziq0Jj3ebZXWw/1zF/jTEt2hEHS8bprA.I4LYyG\n"

_CONFIG = """\
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {folder}/images}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: tests, path: {folder}/htpasswd}}}}
"""


@dataclass(frozen=True)
class Registry:
    """Where it listens."""

    address: str

    @property
    def login(self) -> dict[str, str]:
        """The module's options for it."""
        return {"auth_registry": self.address, "auth_username": USER, "auth_password": PASSWORD}


@contextlib.contextmanager
def registry(port: int = 0) -> Iterator[Registry]:
    """A registry that answers, on a free port or this one; it and its images are gone afterwards."""
    setup_host.ensure_packages(["docker-registry"])
    # None that the kernel gives to a client meanwhile.
    port = port or next(free_ports())
    with tempfile.TemporaryDirectory(prefix="kolla-drain-registry-") as folder:
        (Path(folder) / "htpasswd").write_text(_HTPASSWD)
        config = Path(folder) / "config.yml"
        config.write_text(_CONFIG.format(folder=folder, port=port))
        log = Path(folder) / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=out, stderr=out)
        try:
            wait_until(lambda: _answers(port), 180, "The registry", on_timeout=log.read_text)
            yield Registry(f"127.0.0.1:{port}")
        finally:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5)
    except urllib.error.HTTPError as answer:
        return answer.code == 401
    except OSError:
        return False
    return True
