"""Some files of a package on PyPI, fetched once and kept in the testbed's cache."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from testbed.errors import TestbedError
from testbed.locks import locked
from testbed.paths import CACHE_DIR


def unpacked(name: str, wanted: str, place: Callable[[str], str]) -> Path:
    """Return the folder of this name in the cache with files of the wheel of ``wanted``, such as ``ansible==12.*``.

    ``place`` returns where in the folder a file of the wheel belongs, empty if it is left out. Raises TestbedError.
    """
    folder = CACHE_DIR / name
    with locked(name):
        if not folder.exists():
            CACHE_DIR.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=CACHE_DIR) as half:
                pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
                command = [*pip, "--python-version", "3.12", "-d", half, wanted]
                ran = subprocess.run(command, capture_output=True, text=True, check=False)
                if ran.returncode:
                    raise TestbedError(f"{wanted} could not be fetched with pip: {ran.stderr.strip()[-800:]}")
                (wheel,) = Path(half).glob("*.whl")
                with zipfile.ZipFile(wheel) as archive:
                    for file, target in ((file, place(file)) for file in archive.namelist()):
                        if target:
                            path = Path(half) / "files" / target
                            path.parent.mkdir(parents=True, exist_ok=True)
                            path.write_bytes(archive.read(file))
                (Path(half) / "files").rename(folder)
    return folder


def kolla_ansible(release: str) -> Path:
    """Return the folder with ``library`` and ``module_utils`` of a release of kolla-ansible."""

    def place(file: str) -> str:
        path = file.partition("share/kolla-ansible/ansible/")[2]
        kind, _, name = path.partition("/")
        return (
            path if kind in ("library", "module_utils") and name.endswith(".py") and "/" not in name else ""
        )

    return unpacked(f"kolla-ansible-modules-{release}", f"kolla-ansible=={release}.*", place)


def community_docker() -> Path:
    """Return a folder of collections with community.docker, and what that needs."""
    ours = tuple(
        f"ansible_collections/community/{name}/" for name in ("docker", "library_inventory_filtering_v1")
    )

    def place(file: str) -> str:
        is_code = "/plugins/" in file or "/meta/" in file or file.endswith("MANIFEST.json")
        return file if file.startswith(ours) and is_code else ""

    return unpacked("community-docker-12", "ansible==12.*", place)
