"""Unit tests run the same in a plain shell, inside a Slurm job, and under mpirun."""

import os

import pytest


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("SLURM_", "HOROVOD_", "OMPI_", "PMIX_", "PMI_")):
            monkeypatch.delenv(name)
