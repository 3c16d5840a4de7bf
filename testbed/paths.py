"""The testbed's paths and labels."""

from __future__ import annotations

from pathlib import Path

LABEL = "kolla_drain.testbed"
SPEC_LABEL = "kolla_drain.testbed.spec"
MODE_LABEL = "kolla_drain.testbed.mode"
# Kolla's containers are found by this label of their images, and those of the test stack, too. The value tells no
# release, because theirs may be one or another.
KOLLA_LABEL = "kolla_version"
KOLLA_LABELS = {KOLLA_LABEL: "testbed"}
REPOSITORY = "kolla-drain-testbed"

HERE = Path(__file__).resolve().parent
CONSTRAINTS = HERE / "constraints"
DRIVERS = HERE / "drivers"

STATE_DIR = Path("/var/lib/kolla-drain-testbed")
STATE_FILE = STATE_DIR / "state.json"
CINDER_DIR = STATE_DIR / "cinder"
PAUSES_FILE = CINDER_DIR / "pauses.json"
HOSTS_DIR = STATE_DIR / "hosts"
NOVA_DIR = STATE_DIR / "nova"
NOVA_STATE_FILE = STATE_DIR / "nova.json"
MORE_DIR = STATE_DIR / "more"
MORE_STATE_FILE = STATE_DIR / "more.json"
CACHE_DIR = Path("/var/cache/kolla-drain-testbed")
LOCK_DIR = Path("/run/lock/kolla-drain-testbed")
DOCKERD_LOG = Path("/var/log/kolla-drain-dockerd.log")

KOLLA_DIR = Path("/etc/kolla")
MARKER = ".kolla-drain-testbed"
