"""Unit tests run the same in a plain shell, inside a Slurm job, and under mpirun."""

import os
from pathlib import Path

import pytest

from hpc.build_horovod import cache as horovod_cache
from tests.unit.fake_slurm import FakeSlurm, install
from tests.unit.horovod_builds import CPU, make_wheel


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("SLURM_", "HOROVOD_", "OMPI_", "PMIX_", "PMI_")):
            monkeypatch.delenv(name)


@pytest.fixture(name="stored")
def stored_fixture(tmp_path: Path) -> Path:
    """A wheel in a cache."""
    return horovod_cache.store(make_wheel(tmp_path / "built"), tmp_path / "cache", CPU)


@pytest.fixture
def fake_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """A cluster like the test cluster, played by a program, in front of whatever is on the PATH."""
    programs = tmp_path / "slurm-programs"
    programs.mkdir()
    fake = install(tmp_path / "fake slurm", programs)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_CONF", str(fake.folder / "slurm.conf"))
    return fake
