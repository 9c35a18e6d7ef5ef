"""Unit tests run the same in a plain shell, inside a Slurm job, and under mpirun."""

import os
from pathlib import Path

import pytest

from hpc.build_horovod import cache as horovod_cache
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
