"""What podman tells, put into the core's words: signals out of events without names, inspections as Docker's."""

from __future__ import annotations

import json
import threading
import time
from types import SimpleNamespace
from unittest import mock

import pytest

from kolla_drain.container.options import describe
from kolla_drain.container.spec import ASKED_LABEL, Image
from kolla_drain.engine import common, podman, podman_client, podman_config
from kolla_drain.engine.podman_resources import PodmanMaker, in_dockers_words, shares_ipc
from kolla_drain.errors import EngineAbsent, EngineError, EngineUnreachable, NoSuchContainer
from kolla_drain.model import Container, ContainerStatus

STARTED = "2026-11-22T01:00:00.5Z"
BEGAN = 1795309200.5


def container(exit_code=None, **more):
    status = ContainerStatus.RUNNING if exit_code is None else ContainerStatus.EXITED
    return Container("id", "c", status, started_at=STARTED, exit_code=exit_code, **more)


def events(*told):
    """Events as podman writes them: an action and the seconds since the start."""
    return [{"Action": action, "timeNano": int((BEGAN + at) * 1e9)} for action, at in told]


START = ("start", 0.01)


def test_a_kill_of_this_run_is_known_by_name():
    sent = podman.signals_of(container(), events(START, ("kill", 2.1)), [(BEGAN + 2, "SIGTERM")])
    assert (sent.signals, sent.unnamed) == (("SIGTERM",), ())


def test_a_kill_by_somebody_else_has_no_name():
    sent = podman.signals_of(container(), events(START, ("kill", 1.0)))
    assert sent.signals == ()
    assert sent.unnamed == pytest.approx((BEGAN + 1,))


def test_the_kills_of_an_earlier_life_are_no_matter():
    sent = podman.signals_of(container(), events(("kill", -9.0), START))
    assert (sent.signals, sent.unnamed) == ((), ())


def test_a_kill_counts_though_the_clock_was_set_back_after_the_start():
    sent = podman.signals_of(container(), events(START, ("kill", -3600.0)))
    assert len(sent.unnamed) == 1


def test_events_and_own_signals_of_before_the_clock_was_set_back_are_looked_for(monkeypatch):
    """The process began two hours after the wall clock's time of now, as that is after it was set."""
    asked = {}
    told = events(START, ("kill", -7099.9))

    def call(method, path, params):
        asked.update(params)
        return SimpleNamespace(text="\n".join(map(json.dumps, told)))

    monkeypatch.setattr(podman, "call", call)
    monkeypatch.setattr(podman, "inspection", mock.Mock(side_effect=NoSuchContainer("gone")))
    monkeypatch.setattr(podman, "set_back", lambda _: 7200.0)
    monkeypatch.setattr(podman.time, "time", lambda: BEGAN - 7000.0)
    engine = podman.PodmanEngine.__new__(podman.PodmanEngine)
    engine._own = {"id": [(BEGAN - 7300.0, "SIGQUIT"), (BEGAN - 7100.0, "SIGTERM")]}
    assert engine._sent(container()).signals == ("SIGTERM",)
    assert float(asked["since"]) <= BEGAN - 7200.0
    assert float(asked["until"]) >= BEGAN + 200.0


@pytest.mark.parametrize(
    "error", [EngineError("refused."), EngineAbsent("gone."), EngineUnreachable("slow.")]
)
def test_a_kill_that_came_to_nothing_is_no_signal(monkeypatch, error):
    """Taken for one, it would cost the rest of the budget: the service would never be signalled."""
    calls = mock.Mock(side_effect=[error, SimpleNamespace(text=json.dumps(events(START)[0]))])
    shown = {"Id": "id", "Name": "c", "State": {"Status": "running", "StartedAt": STARTED}, "HostConfig": {}}
    monkeypatch.setattr(podman, "call", calls)
    monkeypatch.setattr(podman, "inspection", lambda _: shown)
    monkeypatch.setattr(podman, "described", lambda *_: container())
    engine = podman.PodmanEngine.__new__(podman.PodmanEngine)
    engine._own = {}
    with pytest.raises(type(error)):
        engine._send("id", "SIGTERM")
    sent = engine._sent(container())
    assert (sent.signals, sent.unnamed, sent.covers_from) == ((), (), 0.0)


def test_the_last_kill_before_an_end_with_137_was_sigkill():
    told = events(START, ("kill", 1.0), ("kill", 5.0), ("died", 5.1))
    sent = podman.signals_of(container(137), told, [(BEGAN + 0.9, "SIGTERM")])
    assert (sent.signals, sent.unnamed) == (("SIGTERM", "SIGKILL"), ())


def test_137_after_our_own_signal_alone_is_the_services_own():
    told = events(START, ("kill", 1.0), ("died", 5.1))
    assert podman.signals_of(container(137), told, [(BEGAN + 0.9, "SIGTERM")]).signals == ("SIGTERM",)


def test_a_stop_sends_its_signal_and_kills_at_its_end():
    assert podman.signals_of(container(), events(START), stopping=True).signals == ("SIGTERM",)
    quits = container(137, stop_signal="SIGQUIT")
    assert podman.signals_of(quits, events(START, ("stop", 9.0))).signals == ("SIGQUIT", "SIGKILL")


def test_events_that_were_forgotten_prove_nothing():
    assert podman.signals_of(container(), events(START, ("kill", 5.0))).covers_from == 0
    assert podman.signals_of(container(), events(("start", -9.0), ("kill", 5.0))).covers_from > 0
    assert podman.signals_of(container(), events(("kill", 5.0))).covers_from == pytest.approx(BEGAN + 5)
    assert podman.signals_of(container(), []).covers_from > BEGAN


def test_it_is_told_how_far_back_the_events_reach():
    ago = time.time() - BEGAN
    assert podman.signals_of(container(), events(START, ("kill", 5.0))).horizon is None
    assert podman.signals_of(container(), events(("kill", 5.0))).horizon == pytest.approx(ago - 5, abs=1)
    assert podman.signals_of(container(), []).horizon == pytest.approx(0, abs=1)


def test_events_that_take_too_long_are_told_with_the_way_out(monkeypatch):
    monkeypatch.setattr(common, "QUICK", 0.05)
    slow = podman.PodmanEngine.__new__(podman.PodmanEngine)
    monkeypatch.setattr(slow, "_sent", lambda _: threading.Event().wait(30), raising=False)
    with pytest.raises(EngineUnreachable, match=r'longer than 0\.05 s.* events_logger = "file"'):
        slow.sent(container())


def test_a_stream_that_breaks_off_is_an_error_with_a_sentence():
    def breaks():
        yield b"one"
        raise OSError(104, "Connection reset by peer")

    stream = podman_client.stream(breaks())
    assert next(stream) == b"one"
    with pytest.raises(EngineUnreachable, match="does not answer"):
        next(stream)


# --- who does not answer


@pytest.mark.parametrize(
    ("cause", "kind", "words"),
    [
        (FileNotFoundError(2, "No such file or directory"), EngineAbsent, "no such file"),
        (ConnectionRefusedError(111, "Connection refused"), EngineAbsent, "connection refused"),
        (PermissionError(13, "Permission denied"), EngineAbsent, "permission denied"),
        (BlockingIOError(11, "Resource temporarily unavailable"), EngineAbsent, "temporarily unavailable"),
        (TimeoutError("timed out"), EngineUnreachable, "it timed out"),
        (ConnectionResetError(104, "Connection reset by peer"), EngineUnreachable, "Connection reset"),
    ],
)
def test_a_service_that_does_not_answer(cause, kind, words):
    outer = OSError("Connection aborted.")
    outer.__cause__ = cause
    told = podman_client.silence(outer)
    assert type(told) is kind
    assert words in str(told)
    assert "podman.socket" in str(told)
    assert str(told).endswith(".")


# --- inspections

INSPECTED = {
    "Id": "c0ffee",
    "Image": "db201a",
    "Mounts": [
        {"Type": "volume", "Name": "9d" * 32, "Destination": "/data"},
        {"Type": "volume", "Name": "logs", "Destination": "/var/log/kolla"},
    ],
    "Config": {
        "Entrypoint": "dumb-init --single-child --",
        "StopSignal": 3,
        "Labels": {ASKED_LABEL: json.dumps({"ipc_mode": "host"})},
    },
    "HostConfig": {
        "Binds": [
            f"{'9d' * 32}:/data:rw,rprivate,nosuid,nodev,rbind",
            "logs:/var/log/kolla:rw,rprivate,nosuid,nodev,rbind",
            "/etc/hosts:/h:ro,rprivate,rbind",
            "/run:/run:shared,rw,rbind",
        ],
        "Tmpfs": {"/run": "mode=755,rw,rprivate,nosuid,nodev,tmpcopyup"},
        "Ulimits": [{"Name": "RLIMIT_NOFILE", "Soft": 1, "Hard": 2}],
        "CgroupMode": "host",
        "IpcMode": "shareable",
        "PidMode": "private",
    },
}


def test_an_inspection_in_dockers_words():
    found = in_dockers_words(INSPECTED)
    config, host = found["Config"], found["HostConfig"]
    assert found["Image"] == "sha256:db201a"
    assert config["Entrypoint"] == ["dumb-init", "--single-child", "--"]
    assert config["StopSignal"] == "3"
    assert config["Volumes"] == {"/data": {}}
    assert host["Binds"] == [
        "logs:/var/log/kolla:rw,rprivate",
        "/etc/hosts:/h:ro,rprivate",
        "/run:/run:shared,rw",
    ]
    assert host["Tmpfs"] == {"/run": "mode=755"}
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 1, "Hard": 2}]
    assert (host["CgroupnsMode"], host["PidMode"], host["IpcMode"]) == ("host", "", "host")


def test_the_label_that_podman_gives_within_a_unit_is_none_of_the_containers():
    labels = {"name": "cinder-volume", "PODMAN_SYSTEMD_UNIT": "kolla-cinder_volume-container.service"}
    told = {**INSPECTED, "Config": {**INSPECTED["Config"], "Labels": labels}}
    assert in_dockers_words(told)["Config"]["Labels"] == {"name": "cinder-volume"}


def test_what_was_looked_at_is_left_as_it_was():
    before = json.dumps(INSPECTED)
    in_dockers_words(INSPECTED)
    assert json.dumps(INSPECTED) == before


def test_the_host_s_ipc_is_believed_of_a_podman_that_says_it():
    told = {**INSPECTED, "HostConfig": {**INSPECTED["HostConfig"], "IpcMode": "host"}}
    assert in_dockers_words(told)["HostConfig"]["IpcMode"] == "host"


@pytest.mark.parametrize("shares", [True, False])
def test_an_ipc_mode_that_podman_does_not_tell(shares):
    unlabelled = {**INSPECTED, "Config": {**INSPECTED["Config"], "Labels": None}}
    assert in_dockers_words(unlabelled, ipc_is_hosts=shares)["HostConfig"]["IpcMode"] == (
        "host" if shares else ""
    )


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ('{"linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]}}', True),
        ('{"linux": {"namespaces": [{"type": "pid"}, {"type": "ipc"}]}}', False),
        ("{}", False),
        ("[]", False),
        ("", False),
    ],
)
def test_the_namespaces_of_the_runtimes_configuration(tmp_path, text, shares):
    config = tmp_path / "config.json"
    config.write_text(text)
    assert shares_ipc(str(config)) is shares


def test_a_container_that_never_ran_has_no_such_configuration():
    assert not shares_ipc("")


# --- what it gives every container

CONF = """\
[engine]
env = ["ENGINE=1"]
[containers]
# env = ["COMMENTED=1"]
env = ["A=[1]", 'B=2']
default_capabilities = [
  "CHOWN",
  "net_admin", # more than podman's own
]
[network]
"""


def test_the_lists_of_a_configuration(tmp_path, monkeypatch):
    config = tmp_path / "containers.conf"
    config.write_text(CONF)
    monkeypatch.setenv("CONTAINERS_CONF", str(config))
    assert podman_config.listed("env") == ["A=[1]", "B=2"]
    assert podman_config.listed("default_capabilities") == ["CHOWN", "net_admin"]
    assert podman_config.listed("volumes") == []


def test_a_later_file_of_the_host_wins(tmp_path, monkeypatch):
    (tmp_path / "1.conf").write_text('[containers]\nenv = ["A=1"]\nvolumes = ["/a:/a"]\n')
    (tmp_path / "2.conf").write_text('[containers]\nenv = ["B=1"]')
    monkeypatch.delenv("CONTAINERS_CONF", raising=False)
    files = (f"{tmp_path}/none.conf", f"{tmp_path}/*.conf")
    monkeypatch.setattr(podman_config, "_FILES", files)
    assert podman_config.listed("env") == ["B=1"]
    assert podman_config.listed("volumes") == ["/a:/a"]


@pytest.mark.parametrize(
    ("later", "env"),
    [
        ('env = ["B=1", {append=true}]', ["A=1", "B=1", "C=1"]),
        ('env = [{ append = true }, "B=1"]', ["A=1", "B=1", "C=1"]),
        ('env = ["B=1", {append=false}]', ["C=1"]),
        ('env = [{append=true}]', ["A=1", "C=1"]),
    ],
)  # fmt: skip
def test_a_later_file_may_append(tmp_path, monkeypatch, later, env):
    (tmp_path / "1.conf").write_text(
        '[containers] # of the host\nenv = ["A=1"]\n[engine] # and\nenv = ["E=1"]\n'
    )
    (tmp_path / "2.conf").write_text(f"[containers]\n{later}\n")
    (tmp_path / "3.conf").write_text('[containers]\nenv = ["C=1"]\n')
    monkeypatch.delenv("CONTAINERS_CONF", raising=False)
    monkeypatch.setattr(podman_config, "_FILES", (f"{tmp_path}/*.conf",))
    assert podman_config.listed("env") == env


@pytest.fixture
def maker(monkeypatch):
    made = PodmanMaker()
    monkeypatch.setattr(made, "_zone", "")
    return made


def test_settings_that_podman_gives_unasked(maker, tmp_path, monkeypatch):
    config = tmp_path / "containers.conf"
    config.write_text(CONF)
    monkeypatch.setenv("CONTAINERS_CONF", str(config))
    given = maker._given({"Config": {"Env": ["TZ=UTC"]}})
    assert {"A", "B", "TZ", "PATH", "http_proxy", "NO_PROXY"} <= given["environment"]
    assert given["cap_add"] == {"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_NET_ADMIN"}
    assert "TZ" not in maker._given({"Config": {"Env": ["TZ=Asia/Tokyo"]}})["environment"]


def test_terminals_are_no_volume(maker):
    """Kolla's devpts:/dev/pts is a mount of podman's own, and no volume of this name is made."""
    spec = describe("nova_libvirt", "x", {"volumes": ["devpts:/dev/pts", "logs:/logs"]}, 60)
    host = maker._body(spec, Image("1"), {})["HostConfig"]
    assert host["Binds"] == ["logs:/logs"]
    assert host["Mounts"] == [{"Type": "devpts", "Target": "/dev/pts"}]
    assert maker._volumes(spec) == ["logs"]


# --- logs


def test_a_log_whose_last_line_is_being_written_is_read_again(monkeypatch):
    half = EngineError("Podman refused: '2026-11-30T2' is not a valid container log line.")
    answers = iter([half, half, SimpleNamespace(content=b"one\ntwo\n")])

    def call(*_, **__):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(podman, "call", call)
    engine = podman.PodmanEngine.__new__(podman.PodmanEngine)
    assert engine.log("id", 0) == ["one", "two"]


@pytest.mark.parametrize("text", ["no logs with the driver none", "'2' is not a valid container log line"])
def test_a_log_that_is_refused_for_good_is_told(monkeypatch, text):
    monkeypatch.setattr(podman, "_WRITTEN_WITHIN", 0.2)
    monkeypatch.setattr(podman, "call", mock.Mock(side_effect=EngineError(text)))
    engine = podman.PodmanEngine.__new__(podman.PodmanEngine)
    with pytest.raises(EngineError, match=text):
        engine.log("id", 0)
