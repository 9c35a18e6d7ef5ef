"""A machine without Slurm, and one with programs that play it."""

from pathlib import Path

import pytest

from tests.unit.fake_slurm import FakeSlurm, install


@pytest.fixture(autouse=True)
def _no_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither programs nor a configuration of Slurm: everything runs as it would on a laptop."""
    (tmp_path / "bin").mkdir()
    for program in ("sh", "bash", "env", "git"):
        (tmp_path / "bin" / program).symlink_to(f"/usr/bin/{program}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(name="slurm")
def slurm_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """A cluster like the test cluster."""
    fake = install(tmp_path / "slurm", tmp_path / "bin")
    monkeypatch.setenv("SLURM_CONF", str(fake.folder / "slurm.conf"))
    return fake
