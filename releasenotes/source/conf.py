"""Sphinx configuration of the release notes."""

project = "kolla-drain release notes"
copyright = "kolla-drain developers"

extensions = ["openstackdocstheme", "reno.sphinxext"]
html_theme = "openstackdocs"
openstackdocs_auto_name = False
openstackdocs_auto_version = False
openstackdocs_use_storyboard = False
pygments_style = "native"
