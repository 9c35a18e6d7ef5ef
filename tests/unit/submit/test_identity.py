"""One run stays one run: the same settings find it, attach to it, go on with it, or show its results."""

import importlib.util
import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpc import submit
from tests.house.source import CHECKOUT
from tests.unit.fake_slurm import FakeSlurm
from tests.unit.submit.door import run


def _run_dir(capsys: pytest.CaptureFixture[str], *settings: str) -> str:
    assert submit.main(["--cluster", "local", "--dry-run", "stage=selftest", *settings]) == 0
    words = shlex.split(capsys.readouterr().out)
    return words[words.index("--run-dir") + 1]


def test_the_same_settings_have_the_same_folder(capsys: pytest.CaptureFixture[str]):
    folder = _run_dir(capsys, "steps=5", "seed=1")
    assert _run_dir(capsys, "seed=1", "steps=5") == folder
    assert _run_dir(capsys, "seed=1", "steps=5", "batch=16") == folder, "a default that is repeated changes nothing"
    assert _run_dir(capsys, "steps=9", "seed=1", "steps=5") == folder, "the last of two counts"
    assert _run_dir(capsys, "steps=5", "seed=1", "steps=9") != folder
    assert _run_dir(capsys, "steps=5", "seed=2") != folder
    assert Path(folder).name.startswith("selftest-")


def test_the_same_again_is_the_same_job(tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    for _ in range(2):
        assert run("stage=selftest", runs=tmp_path) == 0
    assert "is pending already as job 4711: this is it" in capsys.readouterr().out
    slurm.set("4711", state="RUNNING", nodes="t4-1")
    assert run("stage=selftest", "steps=100", runs=tmp_path) == 0
    assert "is running already as job 4711" in capsys.readouterr().out
    assert len(slurm.jobs()) == 1


def test_a_finished_run_shows_its_results(tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    assert run("stage=selftest", runs=tmp_path) == 0
    (run_dir,) = tmp_path.glob("selftest-*")
    (run_dir / "result.json").write_text('{"stage": "selftest", "step": 100, "loss": 0.25}')
    slurm.set("4711", state="COMPLETED")
    capsys.readouterr()
    assert run("stage=selftest", runs=tmp_path) == 0
    out = capsys.readouterr().out
    assert "finished: step 100  loss 0.25" in out
    assert "--again runs it once more" in out
    assert len(slurm.jobs()) == 1
    assert run("--again", "stage=selftest", runs=tmp_path) == 0
    assert len(slurm.jobs()) == 2
    assert not (run_dir / "result.json").exists()


def _finished(tmp_path: Path, slurm: FakeSlurm, *command: str) -> Path:
    """The folder of a run that has finished."""
    assert run(*command, runs=tmp_path) == 0
    (run_dir,) = (path for path in tmp_path.iterdir() if (path / "run.json").exists())
    slurm.set("4711", state="COMPLETED")
    (run_dir / "result.json").write_text('{"stage": "selftest", "step": 100, "loss": 0.25}')
    return run_dir


def _kept(run_dir: Path) -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in sorted(run_dir.glob("*.json"))]


def test_a_result_outlives_a_job_that_slurm_refuses(
    tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    run_dir = _finished(tmp_path, slurm, "stage=selftest")
    before = _kept(run_dir)
    (slurm.folder / "refuse").write_text("sbatch: error: Invalid account")
    assert run("--again", "--time", "7", "stage=selftest", runs=tmp_path) == 1
    assert "Slurm refused the job" in capsys.readouterr().err
    assert _kept(run_dir) == before, "the description is that of the result, too"
    (slurm.folder / "refuse").unlink()
    assert run("--again", "stage=selftest", runs=tmp_path) == 0
    assert not (run_dir / "result.json").exists()
    assert not list(run_dir.glob(".before*"))


def test_a_result_outlives_a_missing_horovod(
    tmp_path: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "horovod" else find(name))
    run_dir = _finished(tmp_path, slurm, "--nodes", "2", "stage=selftest")
    before = _kept(run_dir)
    assert run("--again", "--cluster", "local", "--nodes", "2", "stage=selftest", runs=tmp_path) == 1
    assert "2 ranks need Horovod, which is not installed" in capsys.readouterr().err
    assert _kept(run_dir) == before


# A submission that is killed when it asks Slurm, or when it would write down what Slurm has said.
_KILLED = """
import os, signal, sys
from hpc import launch, submit
setattr(launch, sys.argv[1], lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
submit.main(sys.argv[2:])
"""


@pytest.mark.parametrize(
    ("when", "said"), [("sbatch", "nothing to do"), ("_note_job", "is pending already as job 4712")]
)
def test_a_result_outlives_a_submission_that_is_killed(
    when: str, said: str, tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    run_dir = _finished(tmp_path, slurm, "stage=selftest")
    before = _kept(run_dir)
    command = [sys.executable, "-c", _KILLED, when, "--runs", str(tmp_path), "--again", "--time", "7", "stage=selftest"]
    assert subprocess.run(command, cwd=CHECKOUT, check=False).returncode == -signal.SIGKILL
    assert not (run_dir / "result.json").exists(), "a job that was taken does not find it"
    assert run("stage=selftest", runs=tmp_path) == 0
    assert said in capsys.readouterr().out
    assert len(slurm.jobs()) == (1 if when == "sbatch" else 2)
    assert (_kept(run_dir) == before) is (when == "sbatch")


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL"])
def test_a_broken_run_is_submitted_again_in_its_folder(state: str, tmp_path: Path, slurm: FakeSlurm):
    assert run("stage=selftest", runs=tmp_path) == 0
    slurm.set("4711", state=state)
    assert run("stage=selftest", runs=tmp_path) == 0
    assert [job["id"] for job in slurm.jobs()] == ["4711", "4712"]
    assert len(list(tmp_path.glob("selftest-*"))) == 1


def test_a_run_that_slurm_cannot_be_asked_about_is_not_submitted_twice(
    tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    assert run("stage=selftest", runs=tmp_path) == 0
    (slurm.folder / "down").touch()
    assert run("stage=selftest", runs=tmp_path) == 1
    assert "Unable to contact slurm controller" in capsys.readouterr().err
    assert len(slurm.jobs()) == 1


def test_two_submissions_at_once_are_one_job(tmp_path: Path, slurm: FakeSlurm):
    command = [sys.executable, "-m", "hpc.submit", "--runs", str(tmp_path / "runs"), "stage=selftest"]
    both = [subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate()[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert len(slurm.jobs()) == 1
    assert "Submitted job 4711" in said[0]
    assert "is pending already as job 4711" in said[1]


def test_a_job_whose_submission_was_killed_is_found(
    tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    assert run("stage=selftest", runs=tmp_path) == 0
    (run_dir,) = tmp_path.glob("selftest-*")
    (run_dir / "attempts.jsonl").unlink()
    capsys.readouterr()
    assert run("stage=selftest", runs=tmp_path) == 0
    assert "is pending already as job 4711" in capsys.readouterr().out
    assert len(slurm.jobs()) == 1


def test_a_run_whose_description_is_damaged_is_written_down_anew(
    tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    assert run("stage=selftest", runs=tmp_path) == 0
    (path,) = tmp_path.glob("selftest-*/run.json")
    path.write_text('{"stage": "self')
    assert run("stage=selftest", runs=tmp_path) == 0
    assert "is pending already as job 4711" in capsys.readouterr().out
    slurm.set("4711", state="FAILED")
    assert run("stage=selftest", runs=tmp_path) == 0
    assert f"{path} could not be read, and is written anew" in capsys.readouterr().err
    assert json.loads(path.read_text())["stage"] == "selftest"
    assert [job["id"] for job in slurm.jobs()] == ["4711", "4712"]


def test_another_run_in_a_named_folder_is_refused(tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    assert run("--name", "mine", "stage=selftest", runs=tmp_path) == 0
    slurm.set("4711", state="CANCELLED")
    assert run("--name", "mine", "stage=selftest", "lr=0.02", runs=tmp_path) == 1
    assert "holds a run with lr=0.01; go on with the same settings, or choose another --name" in capsys.readouterr().err
    assert run("--name", "mine", "--nodes", "2", "stage=selftest", runs=tmp_path) == 0, (
        "another number of ranks may go on"
    )
    assert len(slurm.jobs()) == 2


def test_what_has_finished_in_a_named_folder_is_not_another_runs_result(
    tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    assert run("--name", "mine", "stage=selftest", runs=tmp_path) == 0
    (tmp_path / "mine" / "result.json").write_text("{}")
    assert run("--name", "mine", "stage=selftest", "lr=0.02", runs=tmp_path) == 1
    assert "holds a run with lr=0.01" in capsys.readouterr().err
    assert run("--name", "mine", "stage=selftest", runs=tmp_path) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_prepare_that_has_finished_goes_on_with_new_videos(
    tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    videos = tmp_path / "my videos"
    videos.mkdir()
    (videos / "a.mp4").touch()
    command = ["stage=prepare", f"videos={videos}", f"out={tmp_path / 'clips'}"]
    assert run(*command, runs=tmp_path / "runs") == 0
    (run_dir,) = (tmp_path / "runs").glob("prepare-*")
    slurm.set("4711", state="COMPLETED")
    (run_dir / "result.json").write_text("{}")
    assert run(*command, runs=tmp_path / "runs") == 0
    assert "nothing to do" in capsys.readouterr().out
    (videos / "b.mp4").touch()
    (slurm.folder / "refuse").write_text("sbatch: error: Invalid account")
    assert run(*command, runs=tmp_path / "runs") == 1
    (slurm.folder / "refuse").unlink()
    assert run(*command, runs=tmp_path / "runs") == 0
    assert "its videos have changed since: it goes on" in capsys.readouterr().err
    assert [job["flags"]["job-name"] for job in slurm.jobs()] == [run_dir.name] * 2


def test_a_debugger_does_not_run_beside_the_queue(tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    assert run("stage=selftest", runs=tmp_path) == 0
    assert run("--cluster", "debug", "stage=selftest", runs=tmp_path) == 1
    assert "is pending (Priority); end it with python -m hpc.cancel" in capsys.readouterr().err
    (slurm.folder / "down").touch()
    assert run("--cluster", "debug", "stage=selftest", runs=tmp_path) == 1
    assert "is unknown (Slurm does not answer)" in capsys.readouterr().err
