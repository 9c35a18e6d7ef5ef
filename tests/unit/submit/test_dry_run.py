"""Dry runs on Slurm: of every stage and profile, against whole golden files."""

import re
import sys
from pathlib import Path

import pytest

from tests.house.source import CHECKOUT
from tests.unit.fake_slurm import ROSIE, TESTBED, FakeSlurm
from tests.unit.inputs import write_inputs
from tests.unit.submit.door import run

_GOLDEN = CHECKOUT / "tests" / "golden"


def test_a_dry_run_on_slurm_shows_submitits_parameters(
    tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    runs = tmp_path / "runs"
    size = ["--nodes", "2", "--ranks-per-node", "4", "--gpus-per-node", "4"]
    assert run(*size, "--dry-run", "stage=selftest", runs=runs) == 0
    out = capsys.readouterr().out
    assert f"would submit to Slurm: 8 ranks on 2 nodes, profile testbed, run folder {runs.resolve()}/selftest-" in out
    assert "'gres': 'gpu:4'" in out
    assert not runs.exists()
    assert slurm.jobs() == []


_STAGES = ("selftest", "prepare", "vqvae", "codes", "audio", "evaluate", "report", "infer")


@pytest.mark.parametrize(
    "case",
    [
        ("dry_testbed_t4.txt", TESTBED, ["--nodes", "4"]),
        ("dry_testbed_dgx.txt", TESTBED, ["--partition", "dgx"]),
        ("dry_rosie.txt", ROSIE, ["--nodes", "4"]),
        ("dry_rosie_dgx.txt", ROSIE, ["--nodes", "2", "--partition", "dgx"]),
        ("dry_local.txt", "", ["--cluster", "local", "--nodes", "4"]),
    ],
    ids=lambda case: case[0],
)
def test_dry_runs_are_the_golden_files(
    case: tuple[str, str, list[str]],
    tmp_path: Path,
    slurm: FakeSlurm,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    golden, sinfo, options = case
    (slurm.folder / "sinfo").write_text(sinfo)
    write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    # Whatever torch is installed here, the golden files are of one for GPUs.
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.10.0")
    for stage in _STAGES:
        more = {"prepare": ["videos=my clips (2)/"], "infer": ["videos=my clips (2)/"], "report": ["runs=sounds"]}.get(
            stage, []
        )
        assert run(*options, "--dry-run", f"stage={stage}", *more, runs=tmp_path / "runs") == 0, stage
    shown = capsys.readouterr().out.replace(str(tmp_path.resolve()), "HERE").replace(sys.executable, "PYTHON")
    # Names follow from the settings' defaults, which other tests hold.
    shown = re.sub(r"-[0-9a-f]{8}\b", "-HASH", re.sub("v2a:[0-9a-f]{16}", "MARK", shown))
    assert shown == (_GOLDEN / golden).read_text()


def test_every_golden_dry_run_is_compared():
    assert sorted(path.name for path in _GOLDEN.glob("dry_*")) == [
        "dry_local.txt", "dry_rosie.txt", "dry_rosie_dgx.txt", "dry_testbed_dgx.txt", "dry_testbed_t4.txt",
    ]  # fmt: skip


def test_a_preset_says_more_than_the_gpu(
    tmp_path: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    dgx = ["--partition", "dgx", "--dry-run", "stage=vqvae"]
    assert run(*dgx, runs=tmp_path / "runs") == 0
    assert "train.batch=8" in capsys.readouterr().out
    assert run(*dgx, "preset=tiny", runs=tmp_path / "runs") == 0
    assert "train.batch" not in capsys.readouterr().out
    assert run(*dgx, "train.batch=3", runs=tmp_path / "runs") == 0
    assert "train.batch=8 train.workers=0 train.precision=auto train.batch=3" in capsys.readouterr().out
