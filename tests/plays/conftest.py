"""Ansible is needed, and not just what is called so: that is also a folder of this project."""

from __future__ import annotations

import pytest

pytest.importorskip("ansible.release", reason="no ansible-core for this Python")
