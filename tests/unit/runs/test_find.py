"""Runs are found by what people type."""

from pathlib import Path

import pytest

from hpc import status
from hpc.find import find_run
from hpc.job import JobError
from tests.unit.runs.making import make_run


def test_runs_are_found_by_what_people_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one, two = make_run(tmp_path / "runs", "vqvae-12ab"), make_run(tmp_path / "runs", "vqvae-34cd")
    monkeypatch.chdir(tmp_path)
    assert find_run(Path("runs"), "vqvae-12ab") == find_run(Path("elsewhere"), "runs/vqvae-12ab") == one
    assert find_run(Path("runs"), "vqvae-3") == two
    for name, said in (
        ("vqvae", "several runs begin with 'vqvae': vqvae-12ab, vqvae-34cd"),
        ("vqvae-12ac", "there are: vqvae-12ab"),
        ("", "there is no run ''"),
    ):
        with pytest.raises(JobError, match=said):
            find_run(Path("runs"), name)
    with pytest.raises(JobError, match=r"there are none; python -m hpc.submit makes one"):
        find_run(Path("elsewhere"), "x")


@pytest.mark.parametrize("name", ["x" * 300, "a/" * 3000, "null\0byte"])
def test_names_that_no_folder_can_have(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert status.main(["--runs", str(tmp_path), name]) == 1
    assert "there is no run" in capsys.readouterr().err
