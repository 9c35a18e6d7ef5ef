"""`hpc.logs`: what ranks wrote."""

from pathlib import Path

import pytest

from hpc import logs
from tests.unit.fake_slurm import FakeSlurm
from tests.unit.runs.making import make_run, put_job


def test_logs_of_a_rank(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run_dir = make_run(tmp_path, "selftest-1", "9")
    assert logs.main(["--runs", str(tmp_path), "selftest-1"]) == 1
    assert "has no output of rank 0 yet" in capsys.readouterr().err
    (run_dir / "submitit").mkdir()
    for job_id in ("9", "10"):
        for rank in (0, 1):
            (run_dir / "submitit" / f"{job_id}_{rank}_log.out").write_text(f"job {job_id} rank {rank}\n")
    assert logs.main(["--runs", str(tmp_path), "selftest-1"]) == 0
    assert capsys.readouterr().out == "job 9 rank 0\njob 10 rank 0\n"
    assert logs.main(["--runs", str(tmp_path), "selftest-1", "--rank", "1"]) == 0
    assert capsys.readouterr().out == "job 9 rank 1\njob 10 rank 1\n"


def test_following_logs_ends_with_the_run(tmp_path: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    run_dir = make_run(tmp_path, "selftest-1", "4711")
    put_job(fake_slurm, run_dir, "4711", "FAILED")
    (run_dir / "submitit").mkdir()
    (run_dir / "submitit" / "4711_0_log.out").write_text("its last words\n")
    assert logs.main(["--runs", str(tmp_path), "selftest-1", "--follow"]) == 0
    assert capsys.readouterr().out.splitlines() == ["[4711] failed", "its last words"]
