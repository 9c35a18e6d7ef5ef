"""What Slurm gets: the batch script, its code, its dependencies, and what the run's folder says of it."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hpc.job import JobError
from hpc.launch import launch
from hpc.snapshot import take_snapshot
from hpc.states import states
from tests.house.source import CHECKOUT
from tests.unit.fake_slurm import FakeSlurm
from tests.unit.submit.door import run


@pytest.mark.parametrize(
    "name", ["runs", "my runs; touch made-by-a-shell", "it's $HOME", "$(touch made-by-a-shell)", '"x" `y`']
)
def test_sbatch_gets_a_script_with_what_was_asked(
    name: str, tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    runs = tmp_path / name
    size = ["--nodes", "3", "--ranks-per-node", "2", "--gpus-per-node", "4", "--cpus-per-rank", "3"]
    more = ["--time", "2-00:00:00", "--account", "me", "--qos", "long", "--exclude", "t4-[2-2]"]
    assert run(*size, *more, "stage=selftest", "steps=7", runs=runs) == 0
    assert "Submitted job 4711: 6 ranks on 3 nodes" in capsys.readouterr().out
    (job,) = slurm.jobs()
    expected = {
        "nodes": "3", "ntasks-per-node": "2", "cpus-per-task": "3", "time": "2880", "gres": "gpu:4", "account": "me", "qos": "long",
        "exclude": "t4-[2-2]", "partition": "t4", "signal": "USR2@300", "open-mode": "append", "requeue": "",
    }  # fmt: skip
    assert {key: job["flags"].get(key) for key in expected} == expected
    (run_dir,) = runs.glob("selftest-*")
    assert job["flags"]["job-name"] == run_dir.name
    lines = slurm.script("4711").splitlines()
    srun = next(shlex.split(line) for line in lines if line.startswith("srun"))
    assert {"--mpi=pmix", "--kill-on-bad-exit=1", "--cpus-per-task=3"} <= set(srun)
    assert str(run_dir / "submitit") in srun
    assert lines.index("trap : TERM USR2") < lines.index("status=$?")
    after = shlex.split(next(line for line in lines if "hpc.again" in line))
    assert after[-3:] == [str(run_dir), "--status", "$status"]
    assert not list(tmp_path.rglob("made-by-a-shell"))


def test_what_a_run_wrote_is_its_owners(tmp_path: Path, slurm: FakeSlurm):
    before = os.umask(0o022)
    try:
        assert run("stage=selftest", runs=tmp_path / "runs") == 0
    finally:
        os.umask(before)
    (run_dir,) = (tmp_path / "runs").glob("selftest-*")
    assert run_dir.stat().st_mode & 0o777 == 0o755
    assert (run_dir / "submitit").stat().st_mode & 0o777 == 0o700
    assert list((run_dir / "submitit").glob("*.pkl"))


def test_after_waits_for_another_run(tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    assert run("stage=selftest", "seed=1", runs=tmp_path) == 0
    (first,) = tmp_path.glob("selftest-*")
    assert run("--after", first.name, "stage=selftest", "seed=2", runs=tmp_path) == 0
    flags = slurm.jobs()[1]["flags"]
    assert (flags["dependency"], flags["kill-on-invalid-dep"]) == ("afterok:4711", "yes")
    (first / "result.json").write_text("{}")
    assert run("--after", first.name, "stage=selftest", "seed=3", runs=tmp_path) == 0
    assert "dependency" not in slurm.jobs()[2]["flags"]
    assert run("--after", "selftest-x", "stage=selftest", "seed=4", runs=tmp_path) == 1
    assert "there is no run 'selftest-x'" in capsys.readouterr().err


def test_gloo_needs_no_pmix(tmp_path: Path, slurm: FakeSlurm):
    assert run("--controller", "gloo", "--nodes", "2", "stage=selftest", runs=tmp_path) == 0
    assert "--mpi" not in slurm.script("4711")


@pytest.mark.parametrize("snapshot", [True, False])
def test_the_job_runs_the_code_of_its_submission(snapshot: bool, tmp_path: Path, slurm: FakeSlurm):
    runs = tmp_path / "my runs"
    assert run(*([] if snapshot else ["--no-snapshot"]), "stage=selftest", runs=runs) == 0
    srun = next(line for line in slurm.script("4711").splitlines() if line.startswith("srun"))
    start = next(Path(word) for word in shlex.split(srun) if word.endswith("hpc/start.py"))
    assert (start.parents[1] == CHECKOUT) is not snapshot
    if not snapshot:
        return
    (code,) = (runs / ".code").iterdir()
    assert start.parents[1] == code
    for name in ("hpc/job.py", "v2a/stages.py", "hpc/profiles/rosie.yaml", "v2a/youtube8m/review/page.css"):
        assert (code / name).read_bytes() == (CHECKOUT / name).read_bytes()
    program = [sys.executable, str(start), "-u", "-m", "hpc.job"]
    show = f"import runpy, sys; sys.argv = {program[1:]!r}; runpy.run_path({str(start)!r}); import hpc; print(hpc.__file__)"
    assert subprocess.run([sys.executable, "-c", show], cwd=CHECKOUT, check=True).returncode == 0


def test_a_snapshot_has_what_git_has_and_nobodys_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = tmp_path / "checkout"
    for package in ("hpc", "v2a", "sweeps"):
        (root / package / ".idea").mkdir(parents=True)
        for name in ("code.py", "py.typed", ".env", "token.txt", "id_rsa", ".idea/password.py"):
            (root / package / name).write_text("x")
    (root / "hpc" / ".#code.py").symlink_to("nobody@nowhere:1")  # an editor's lock
    monkeypatch.setattr("hpc.snapshot.code_root", lambda: root)
    place = take_snapshot(tmp_path / "runs")
    found = sorted(str(path.relative_to(place)) for path in place.rglob("*") if not path.is_dir())
    assert found == sorted(
        f"{package}/{name}" for package in ("hpc", "v2a", "sweeps") for name in ("code.py", "py.typed")
    )
    monkeypatch.undo()
    mine = {str(path.relative_to(CHECKOUT)) for path in _tracked()}
    place = take_snapshot(tmp_path / "all runs")
    assert mine <= {str(path.relative_to(place)) for path in place.rglob("*")}


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["/usr/bin/git", "ls-files", "hpc", "v2a", "sweeps"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    return [CHECKOUT / line for line in listed.stdout.splitlines() if (CHECKOUT / line).exists()]


def test_a_snapshot_is_taken_once_for_all_runs_of_the_same_code(tmp_path: Path, slurm: FakeSlurm):
    for seed in ("1", "2"):
        assert run("stage=selftest", f"seed={seed}", runs=tmp_path / "runs") == 0
    assert len(list((tmp_path / "runs" / ".code").iterdir())) == 1


def test_a_profile_of_ones_own(tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "partition: low\naccount: me\nsetup: [module load openmpi]\npartitions:\n  low: {ranks_per_node: 2}\n"
    )
    assert run("--profile", str(mine), "--nodes", "2", "stage=selftest", runs=tmp_path / "runs") == 0
    assert "4 ranks on 2 nodes" in capsys.readouterr().out
    assert (slurm.jobs()[0]["flags"]["partition"], slurm.jobs()[0]["flags"]["account"]) == ("low", "me")
    assert "module load openmpi" in slurm.script("4711").splitlines()
    mine.write_text("partitions: {low: {ranks: 2}}\n")
    assert run("--profile", str(mine), "stage=selftest", runs=tmp_path / "runs") == 1
    assert "mine.yaml cannot be read: " in capsys.readouterr().err


def test_run_json_says_what_ran(tmp_path: Path, slurm: FakeSlurm):
    assert run("--nodes", "2", "stage=selftest", "steps=7", runs=tmp_path) == 0
    (path,) = tmp_path.glob("selftest-*/run.json")
    described = json.loads(path.read_text())
    assert (described["stage"], described["where"], described["profile"], described["steps"]) == (
        "selftest",
        "slurm",
        "testbed",
        7,
    )
    assert described["identity"] == {"stage": "selftest", "ranks": 2, "steps": 7, "batch": 16, "lr": "0.01", "seed": 0}
    assert described["settings"]["steps"] == 7
    assert described["spec"]["nodes"] == 2
    assert {"python", "submitit"} <= described["environment"].keys()


def test_from_python(tmp_path: Path, slurm: FakeSlurm):
    """What a sweep calls: many submissions, and one question for all of them."""
    found = [
        launch("selftest", [f"seed={seed}"], runs=tmp_path, nodes=2, partition="low", minutes=5) for seed in range(3)
    ]
    assert [(one.how, one.job_id) for one in found] == [
        ("submitted", "4711"),
        ("submitted", "4712"),
        ("submitted", "4713"),
    ]
    assert launch("selftest", ["seed=1"], runs=tmp_path, nodes=2, partition="low").how == "attached"
    before = len(slurm.calls("squeue"))
    slurm.set("4712", state="RUNNING")
    now = states([one.run_dir for one in found])
    assert [now[one.run_dir].state for one in found] == ["pending", "running", "pending"]
    assert len(slurm.calls("squeue")) == before + 1
    with pytest.raises(JobError, match="partition t4 has 4 nodes, but --nodes 9"):
        launch("selftest", runs=tmp_path, nodes=9)
