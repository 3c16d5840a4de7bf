"""Sphinx configuration. Much of the reference is made from the sources by the extensions in ``_ext``."""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS / "_ext"))

project = "kolla-drain"
copyright = "kolla-drain developers"
author = "kolla-drain developers"

extensions = ["openstackdocstheme", "module_reference", "evidence_table", "variables", "report_page"]
exclude_patterns = ["_build", "_ext", "requirements.txt"]
html_theme = "openstackdocs"
openstackdocs_auto_name = False
openstackdocs_auto_version = False
openstackdocs_use_storyboard = False
pygments_style = "native"
