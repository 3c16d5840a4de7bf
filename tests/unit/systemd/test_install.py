"""Unit files over a made-up systemd: written, limited, left alone, removed."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from kolla_drain.errors import UnitError
from kolla_drain.systemd import install
from kolla_drain.systemd.install import Change
from kolla_drain.systemd.unit_file import author

from .fake import NAME, UNIT, WANTED, Died, file, link, stopped
from .test_unit_file import KOLLA_ANSIBLE


def test_a_new_unit_is_written_and_enabled(files, systemd):
    assert files.planned(WANTED).changed
    assert not file(systemd).exists()
    assert files.ensure(WANTED).changed
    assert file(systemd).read_text() == WANTED.render()
    assert link(systemd).resolve() == file(systemd)
    assert systemd.count("daemon-reload") == 1
    assert not files.ensure(WANTED).changed
    assert systemd.count("daemon-reload") == 1


def test_nobody_else_may_write_beside_the_link(files, systemd):
    before = os.umask(0)
    try:
        files.ensure(WANTED)
    finally:
        os.umask(before)
    assert link(systemd).parent.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_what_a_run_died_over_is_put_right_by_the_next(files, systemd, monkeypatch, engine, step):
    steps = []

    def dying(real):
        def call(*args, **options):
            if len(steps) == step:
                raise Died
            steps.append(real.__name__)
            return real(*args, **options)

        return call

    wanted = replace(WANTED, engine=engine)
    with monkeypatch.context() as patched:
        for where, name in ((os, "symlink"), (os, "replace"), (systemd, "_reload")):
            patched.setattr(where, name, dying(getattr(where, name)))
        try:
            files.ensure(wanted)
        except Died:
            assert step < (3 if engine == "docker" else 4)
    files.ensure(wanted)
    assert link(systemd).resolve() == file(systemd)
    assert file(systemd).read_text() == wanted.render()
    assert systemd._properties(UNIT)["NeedDaemonReload"] == "no"
    assert systemd._properties("machine.slice")["NeedDaemonReload"] == "no"


def test_one_that_its_operator_disabled_stays_so(files, systemd):
    files.ensure(WANTED)
    link(systemd).unlink()
    assert files.ensure(replace(WANTED, timeout=600)).changed
    assert not files.ensure(replace(WANTED, timeout=600)).changed
    assert not link(systemd).is_symlink()


def test_another_time_out_is_written_and_nothing_else_happens(files, systemd):
    files.ensure(WANTED)
    systemd.asked.clear()
    assert files.ensure(replace(WANTED, timeout=600)).changed
    assert "TimeoutStopSec=630" in file(systemd).read_text()
    assert systemd.asked == [("daemon-reload",)]


def test_what_was_changed_by_hand_is_left_and_said(files, systemd):
    files.ensure(WANTED)
    mine = file(systemd).read_text().replace("RestartSec=11", "RestartSec=5")
    file(systemd).write_text(mine)
    change = files.ensure(replace(WANTED, timeout=600))
    assert not change.changed
    assert "by hand" in change.note
    assert file(systemd).read_text() == mine


def test_kolla_ansibles_file_is_left_and_gets_time_by_a_drop_in(files, systemd):
    file(systemd).write_text(KOLLA_ANSIBLE)
    assert files.ensure(WANTED).changed
    assert file(systemd).read_text() == KOLLA_ANSIBLE
    drop_in = file(systemd, f"{UNIT}.d/kolla-drain.conf")
    assert "TimeoutStopSec=330" in drop_in.read_text()
    assert not files.ensure(WANTED).changed
    assert not link(systemd).is_symlink()
    drop_in.write_text("[Service]\nTimeoutStopSec=1000\n")
    assert "by hand" in files.ensure(replace(WANTED, timeout=600)).note


@pytest.mark.parametrize("main", [None, WANTED, replace(WANTED, timeout=30)], ids=["new", "equal", "other"])
def test_a_drop_in_from_beside_kolla_ansibles_file_goes_with_that(files, systemd, main):
    drop_in = file(systemd, f"{UNIT}.d/kolla-drain.conf")
    drop_in.parent.mkdir()
    drop_in.write_text(WANTED.render_limit(KOLLA_ANSIBLE))
    if main:
        file(systemd).write_text(main.render())
    assert files.planned(WANTED).changed
    assert files.ensure(WANTED).changed
    assert not drop_in.parent.exists()
    assert file(systemd).read_text() == WANTED.render()
    assert systemd._properties(UNIT)["NeedDaemonReload"] == "no"
    assert not files.ensure(WANTED).changed


def test_one_that_was_changed_by_hand_stays_and_is_said(files, systemd):
    drop_in = file(systemd, f"{UNIT}.d/kolla-drain.conf")
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nTimeoutStopSec=1000\n")
    change = files.ensure(WANTED)
    assert f"{drop_in} was changed by hand" in change.note
    assert drop_in.exists()


def test_a_masked_unit_is_left(files, systemd):
    file(systemd).symlink_to("/dev/null")
    change = files.ensure(WANTED)
    assert not change.changed
    assert "masked" in change.note
    assert not files.removable(NAME)


def test_a_unit_in_another_folder_is_left(files, systemd):
    systemd.add(FragmentPath=f"/usr/lib/systemd/system/{UNIT}")
    change = files.ensure(WANTED)
    assert not change.changed
    assert f"/usr/lib/systemd/system/{UNIT}" in change.note


def test_a_folder_that_cannot_be_written_is_said(files, systemd, monkeypatch):
    monkeypatch.setattr(
        os, "replace", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
    )
    with pytest.raises(UnitError, match="become: true"):
        files.ensure(WANTED)


def test_removed_with_what_is_ours_and_nothing_else(files, systemd):
    file(systemd).write_text(KOLLA_ANSIBLE)
    files.ensure(WANTED)
    file(systemd, f"{UNIT}.d/mine.conf").write_text("[Service]\nNice=1\n")
    assert files.remove([NAME, "none"]) == {NAME: ""}
    assert [path.name for path in systemd.path.glob("etc/*/*")] == ["mine.conf"]
    assert not file(systemd).exists()
    asked = [words[0] for words in systemd.asked]
    assert asked.index("disable") < len(asked) - 1 - asked[::-1].index("daemon-reload")
    assert not files.removable(NAME)


def test_podmans_containers_end_through_their_units_as_long_as_there_is_one(files, systemd):
    drop_in = file(systemd, "machine.slice.d/kolla-drain.conf")
    files.ensure(WANTED)
    assert not drop_in.exists()
    for name in (NAME, "other"):
        files.ensure(replace(WANTED, container=name, engine="podman"))
    assert "DefaultDependencies=no" in drop_in.read_text()
    systemd.asked.clear()
    assert not files.ensure(replace(WANTED, container="other", engine="podman")).changed
    assert systemd.count("daemon-reload") == 0
    files.remove([NAME])
    assert drop_in.exists()
    files.remove(["other"])
    assert not drop_in.parent.exists()


def test_removed_although_changed_by_hand_and_said(files, systemd):
    file(systemd).write_text("[Service]\nExecStart=/bin/true\n")
    assert "by hand" in files.remove([NAME])[NAME]


def test_one_about_to_start_its_container_is_at_rest_before_it_is_removed(files, systemd):
    files.ensure(WANTED)
    systemd.add(ActiveState="activating", SubState="auto-restart")
    systemd.on["stop"] = stopped(systemd)
    files.remove([NAME])
    asked = [words[0] for words in systemd.asked]
    assert asked.index("stop") < asked.index("disable")
    assert systemd.states[UNIT]["ActiveState"] == "inactive"


# --- not wanted any more


def test_our_unit_goes_where_none_is_wanted_and_nothing_happens_to_the_container(files, systemd):
    files.ensure(WANTED)
    systemd.add()
    assert files.unwanted(NAME) == Change(WANTED.render(), "")
    assert file(systemd).exists()
    systemd.asked.clear()
    assert files.withdraw(NAME).changed
    assert not file(systemd).exists()
    assert [words[0] for words in systemd.asked] == ["disable", "daemon-reload"]


def test_another_unit_stays_where_none_is_wanted_and_is_said(files, systemd):
    file(systemd).write_text(KOLLA_ANSIBLE)
    systemd.add()
    change = files.withdraw(NAME)
    assert not change.changed
    assert f"systemctl disable {UNIT}" in change.note
    assert file(systemd).exists()


def test_where_there_is_none_none_is_withdrawn(files, systemd):
    assert files.withdraw(NAME) == Change()
    systemd.add(LoadState="masked")
    assert files.withdraw(NAME) == Change()


@pytest.mark.parametrize("policy", [None, "no", "oneshot"])
def test_no_unit_for_what_stays_where_it_ends(policy):
    assert install.definition(NAME, "docker", {"restart_policy": policy}, 180.0, 120) is None


def test_the_unit_that_options_ask_for():
    options = {"restart_policy": "on-failure", "restart_retries": 3}
    found = install.definition(NAME, "docker", options, 180.0, 60)
    assert found == replace(WANTED, program=found.program, policy="on-failure", retries=3, window=60)
    assert author(found.render()).value == "kolla-drain"
