"""The registry: which service a container runs, and what is known of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from kolla_drain import evidence, kolla
from kolla_drain.errors import ConfigError
from kolla_drain.model import NO_PROFILE
from kolla_drain.service.config import Backend, ServiceConfig

THREADS = "OS_CINDER_DISABLE_EVENTLET_PATCHING"


@pytest.mark.parametrize("service", list(evidence.SERVICES))
def test_each_service_is_registered_by_its_name(service):
    assert evidence.class_of(service).PROFILE.name == service
    assert isinstance(evidence.evidence_of(service), evidence.class_of(service))
    assert evidence.profile_for(service, {}, 40) == evidence.class_of(service).PROFILE


@pytest.mark.parametrize("service", list(evidence.SERVICES))
def test_each_container_has_evidence_of_its_own(service):
    """What one stop has seen must not delay a later one, whose process may have other backends."""
    assert evidence.evidence_of(service) is not evidence.evidence_of(service)


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
    ("service", "release", "sleeps"),
    [
        ("nova-compute", 33, True),
        ("nova-compute", 34, True),
        ("nova-conductor", 33, True),
        ("nova-conductor", 34, False),
        ("nova-scheduler", None, True),
        ("nova-scheduler", 34, False),
    ],
)
def test_novas_heartbeat_goes_on(service, release, sleeps):
    config = ServiceConfig(service, "ctl", stated=frozenset({"manager_shutdown_timeout"}))
    profile = evidence.profile_for(service, {THREADS: "1"}, release, config)
    assert (profile.quiesce, profile.heartbeat_while_draining, profile.keeps_work) == (True, True, True)
    assert profile.reports
    assert profile.rows_tell is (service == "nova-compute")
    assert profile.manager_shutdown_counts is sleeps


@pytest.mark.parametrize(
    ("release", "stated", "keeps"),
    [(32, False, False), (32, True, False), (None, False, False), (33, False, True), (None, True, True)],
)
def test_nova_keeps_its_work_since_it_has_a_time_for_it(release, stated, keeps):
    names = frozenset({"manager_shutdown_timeout"} if stated else ())
    config = ServiceConfig("nova-compute", "cmp1", stated=names)
    profile = evidence.profile_for("nova-compute", {}, release, config)
    assert (profile.keeps_work, profile.manager_shutdown_counts) == (keeps, keeps)


@pytest.mark.parametrize(
    ("release", "backends", "keeps"),
    [(26, 2, False), (None, 2, False), (27, 2, True), (29, 2, True), (26, 1, True), (None, 1, True)],
)
def test_an_old_cinder_signals_its_own_backends_again(release, backends, keeps):
    rows = tuple(Backend(f"array-{number}", "host") for number in range(backends))
    config = ServiceConfig("cinder-volume", "host", backends=rows)
    assert evidence.profile_for("cinder-volume", {}, release, config).keeps_work is keeps


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


@pytest.mark.parametrize(("backend", "keeps"), [(None, False), ("1", False), ("0", True)])
def test_a_scheduler_is_reloaded_at_a_moment_without_calls_on_threads(backend, keeps):
    env = {} if backend is None else {"OS_NOVA_DISABLE_EVENTLET_PATCHING": backend}
    assert evidence.profile_for("nova-scheduler", env, 34).reload_keeps_work is keeps


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


def test_none_and_unknown():
    assert evidence.profile_for("none", {}) is NO_PROFILE
    for ask in (lambda name: evidence.profile_for(name, {}), evidence.evidence_of):
        with pytest.raises(ConfigError, match="'cinder-api': use one of cinder-volume, "):
            ask("cinder-api")


def test_containers_of_services_with_evidence():
    assert evidence.service_of("nova_super_conductor") == "nova-conductor"
    assert evidence.service_of("haproxy") is None
    for name in ("cinder_volume", "nova_compute_ironic_3"):
        assert evidence.service_of(name) in evidence.SERVICES
        assert kolla.default_files(name)


def test_every_operation_says_when_its_rows_were_last_written():
    """By that a wreck is told from work, whatever the service."""
    # What a process tells of itself is no row, nor is a connection.
    no_rows = ("inside.py", "requests.py")
    files = [path for path in Path(evidence.__file__).parent.glob("*.py") if path.name not in no_rows]
    calls = [
        (file.name, node.lineno, {keyword.arg for keyword in node.keywords})
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Operation"
    ]
    assert len(calls) >= 5
    assert [call[:2] for call in calls if "written" not in call[2]] == []
