"""Ansible is needed, and not just what is called so: that is also a folder of this project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("ansible.release", reason="no ansible-core for this Python")
# Read when Ansible is imported, which is before there is a site.
os.environ.update(ANSIBLE_CONFIG=str(Path(__file__).parents[2] / "ansible.cfg"), ANSIBLE_NOCOLOR="1")
