"""The registry: which service a container runs, and what is known of it."""

from __future__ import annotations

import pytest

from kolla_drain import evidence, kolla
from kolla_drain.errors import ConfigError
from kolla_drain.model import NO_PROFILE
from kolla_drain.service.config import ServiceConfig

THREADS = "OS_CINDER_DISABLE_EVENTLET_PATCHING"


@pytest.mark.parametrize("service", list(evidence.SERVICES))
def test_each_service_has_all_that_is_asked_of_it(service):
    module = evidence.evidence_of(service)
    assert module.PROFILE.name == service
    assert callable(module.read)
    assert callable(module.endings)
    assert evidence.profile_for(service, {}) == module.PROFILE


@pytest.mark.parametrize("service", list(evidence.SERVICES))
def test_a_budget_is_kept_for_the_exit(service):
    assert evidence.profile_for(service, {}).exit_seconds >= 5


@pytest.mark.parametrize("service", ["cinder-volume", "cinder-backup", "cinder-scheduler"])
def test_cinder_is_quiesced_and_its_heartbeat_stops(service):
    profile = evidence.profile_for(service, {})
    assert (profile.quiesce, profile.heartbeat_while_draining, profile.refreshes_workers) == (
        True,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("service", "quiesce"), [("nova-compute", True), ("nova-conductor", False), ("nova-scheduler", False)]
)
def test_novas_heartbeat_goes_on(service, quiesce):
    profile = evidence.profile_for(service, {THREADS: "1"})
    assert (profile.quiesce, profile.heartbeat_while_draining, profile.keeps_work) == (quiesce, True, True)
    assert profile.manager_shutdown_counts


@pytest.mark.parametrize(
    ("service", "backend", "refused"),
    [
        ("nova-compute", None, True), ("nova-compute", "1", True), ("nova-compute", "0", False),
        ("nova-conductor", None, True), ("nova-conductor", "no", True),
        ("nova-scheduler", None, False), ("nova-scheduler", "true", False),
    ],
)  # fmt: skip
def test_nova_takes_no_reload_on_threads_which_are_its_default(service, backend, refused):
    env = {} if backend is None else {"OS_NOVA_DISABLE_EVENTLET_PATCHING": backend}
    assert bool(evidence.profile_for(service, env).no_reload) is refused


@pytest.mark.parametrize("service", ["cinder-volume", "cinder-scheduler"])
@pytest.mark.parametrize(
    ("value", "keeps"),
    [
        ("1", False), ("true", False), ("TRUE", False), ("Yes", False), ("0", True), ("false", True), ("no", True),
        ("", True), ("maybe", True),
    ],
)  # fmt: skip
def test_on_threads_cinder_drops_its_work(service, value, keeps):
    profile = evidence.profile_for(service, {THREADS: value})
    assert (profile.keeps_work, profile.reload_keeps_work) == (keeps, keeps)


def test_backup_never_keeps_its_work():
    assert not evidence.profile_for("cinder-backup", {}).keeps_work


@pytest.mark.parametrize("service", list(evidence.SERVICES))
def test_whose_evidence_shows_all_that_was_accepted(service):
    profile = evidence.profile_for(service, {})
    assert profile.freezable is service.startswith("cinder-")
    assert profile.evidence_complete is (service == "cinder-backup")


def test_in_a_cluster_another_members_work_is_not_shown():
    profile = evidence.profile_for("cinder-volume", {})
    alone = ServiceConfig("cinder-volume", "ctl")
    assert evidence.configured(profile, alone) is profile
    assert evidence.configured(profile, None) is profile
    clustered = ServiceConfig("cinder-volume", "ctl", cluster="big")
    assert profile.freezable
    assert not evidence.configured(profile, clustered).freezable


def test_none_and_unknown():
    assert evidence.profile_for("none", {}) is NO_PROFILE
    with pytest.raises(ConfigError, match="cinder-api"):
        evidence.profile_for("cinder-api", {})


def test_containers_of_services_with_evidence():
    assert evidence.service_of("nova_super_conductor") == "nova-conductor"
    assert evidence.service_of("haproxy") is None
    for name in ("cinder_volume", "nova_compute_ironic_3"):
        assert evidence.service_of(name) in evidence.SERVICES
        assert kolla.default_files(name)
