"""System packages: what is missing, by group; what apt-get is asked, and what it may not start."""

import sys
from pathlib import Path

import pytest

from tests.house.source import CHECKOUT
from tests.unit.bootstrap.making import bootstrap, make_folder, make_program

_TABLE = """\
# group package probe
build    g++           made-up-g++
build    cmake         made-up-cmake
cluster  slurm-wlm     made-up-slurmctld
cluster  slurm-wlm     made-up-srun
cluster  libpmix2      {folder}/lib/*/libpmix.so.2
"""


def test_missing_packages_are_named_once_by_group(checkout: Path, tmp_path: Path):
    table = _TABLE.format(folder=tmp_path)
    make_program(tmp_path, "made-up-cmake")
    assert bootstrap.missing_packages(table) == {"build": ["g++"], "cluster": ["slurm-wlm", "libpmix2"]}
    make_program(tmp_path, "made-up-g++")
    make_program(tmp_path, "made-up-slurmctld")
    assert bootstrap.missing_packages(table) == {"cluster": ["slurm-wlm", "libpmix2"]}, "it has two probes"
    make_program(tmp_path, "made-up-srun")
    (make_folder(tmp_path / "lib" / "x86") / "libpmix.so.2").touch()
    assert bootstrap.missing_packages(table) == {}


def test_the_interpreters_own_packages_follow_its_version(checkout: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bootstrap, "_can_make_venv", lambda: False)
    (checkout / "include" / "Python.h").unlink()
    missing = bootstrap.missing_packages("", python=(3, 12))
    assert missing == {"python": ["python3.12-venv"], "build": ["python3.12-dev"]}


def test_the_projects_table_has_a_reason_for_every_group():
    lines = [line.split() for line in (CHECKOUT / ".ci" / "system-packages.txt").read_text().splitlines()]
    rows = [line for line in lines if line and not line[0].startswith("#")]
    assert all(len(row) == 3 for row in rows)
    assert {row[0] for row in rows} | {"python"} == set(bootstrap.WITHOUT)


def test_without_root_the_administrators_command_is_exact(checkout: Path, tmp_path: Path, not_root: None):
    (checkout / ".ci" / "system-packages.txt").write_text(_TABLE.format(folder=tmp_path))
    make_program(tmp_path, "apt-get", "echo called >called")
    notes = bootstrap.install_system_packages(tmp_path / "log")
    assert notes == [
        "system packages are missing; an administrator installs them with:\n"
        "  sudo apt-get install cmake g++ libpmix2 slurm-wlm",
        "without g++, cmake works: everything but Horovod, which cannot be built: training runs in one process",
        "without slurm-wlm, libpmix2 works: everything but the test cluster; its tests are skipped",
    ]
    assert not (checkout / "called").exists()


def test_without_root_and_venv_nothing_works(
    checkout: Path, tmp_path: Path, not_root: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bootstrap, "_can_make_venv", lambda: False)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    with pytest.raises(
        bootstrap.SetupError, match=f"sudo apt-get install python{version}-venv\n.*no virtual environment"
    ):
        bootstrap.install_system_packages(tmp_path / "log")


def test_nothing_missing_asks_nobody(checkout: Path, tmp_path: Path, not_root: None):
    assert bootstrap.install_system_packages(tmp_path / "log") == []


@pytest.fixture
def root_on_debian(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Root, with an apt-get that writes down what it is asked, and a service policy of its own."""
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 0)
    monkeypatch.setattr(bootstrap, "POLICY", tmp_path / "policy-rc.d")
    (checkout / ".ci" / "system-packages.txt").write_text("build g++ made-up-g++\n")
    calls = tmp_path / "calls"
    make_program(
        tmp_path, "apt-get", f'echo "$*" >>{calls}; test -x {tmp_path}/policy-rc.d || echo started >>{calls}\n'
    )
    return calls


def test_root_installs_what_is_missing(root_on_debian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    answers = iter([{"build": ["g++"]}, {}])
    monkeypatch.setattr(bootstrap, "missing_packages", lambda table: next(answers))
    assert bootstrap.install_system_packages(tmp_path / "log") == []
    assert root_on_debian.read_text().splitlines() == [
        "-o DPkg::Lock::Timeout=600 update",
        "-o DPkg::Lock::Timeout=600 install -y --no-install-recommends g++",
    ]
    assert not (tmp_path / "policy-rc.d").exists()


def test_what_apt_installed_and_is_still_not_there_is_an_error(root_on_debian: Path, tmp_path: Path):
    with pytest.raises(bootstrap.SetupError, match=r"apt-get installed \['g\+\+'\], yet these are not found: .*log"):
        bootstrap.install_system_packages(tmp_path / "log")


def test_the_policy_goes_also_when_apt_fails(root_on_debian: Path, tmp_path: Path):
    make_program(tmp_path, "apt-get", f"test -x {tmp_path}/policy-rc.d && echo E: no network >&2; exit 100")
    with pytest.raises(bootstrap.SetupError, match=r"step 'system packages' failed \(exit 100\)(?s:.*)E: no network"):
        bootstrap.install_system_packages(tmp_path / "log")
    assert not (tmp_path / "policy-rc.d").exists()


@pytest.mark.parametrize("before", ["#!/bin/sh\nexit 0\n", "", None])
def test_an_administrators_policy_is_left_alone(before: str | None, root_on_debian: Path, tmp_path: Path):
    policy = tmp_path / "policy-rc.d"
    policy.write_text(bootstrap.POLICY_TEXT if before is None else before)
    with bootstrap._services_stay_down():
        assert policy.read_text() == (bootstrap.POLICY_TEXT if before is None else before)
    assert policy.exists() is (before is not None), "one that a killed set-up left is taken away"


def test_services_that_ran_before_go_on(root_on_debian: Path, tmp_path: Path):
    """A machine's own munge or slurmd must survive the set-up of a checkout on it; what apt brings is disabled."""
    enabled = tmp_path / "enabled"
    enabled.write_text("slurmd\nmunge\n")
    make_program(
        tmp_path,
        "systemctl",
        f'case $1 in is-enabled) while read s; do [ "$s" = "$3" ] && exit 0; done <{enabled}; exit 1;;\n'
        f'disable) shift; echo "$*" >>{tmp_path}/disabled;; esac',
    )
    with bootstrap._services_stay_down():
        enabled.write_text("slurmd\nmunge\nmariadb\nslurmctld\n")
    assert (tmp_path / "disabled").read_text() == "mariadb slurmctld\n"
