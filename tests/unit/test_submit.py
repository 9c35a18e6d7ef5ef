"""`python -m hpc.submit` without a cluster, and with programs that play one."""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hpc import submit
from hpc.follow import Tail
from hpc.job import JobError
from hpc.launch import launch
from hpc.states import states
from tests.house.source import CHECKOUT
from tests.unit.fake_slurm import ROSIE, TESTBED, FakeSlurm, install
from tests.unit.inputs import write_inputs

_GOLDEN = CHECKOUT / "tests" / "golden"


@pytest.fixture(autouse=True)
def _no_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither programs nor a configuration of Slurm: everything runs as it would on a laptop."""
    (tmp_path / "bin").mkdir()
    for program in ("sh", "bash", "env", "git"):
        (tmp_path / "bin" / program).symlink_to(f"/usr/bin/{program}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path))


def _run(*arguments: str, runs: Path) -> int:
    return submit.main(["--runs", str(runs), *arguments])


def test_a_local_dry_run_prints_the_command_and_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    runs = tmp_path / "runs"
    assert _run("--cluster", "local", "--ranks-per-node", "2", "--dry-run", "stage=selftest", "steps=5", runs=runs) == 0
    out = capsys.readouterr().out
    command = shlex.split(out.removeprefix("would run on this machine: "))
    run_dir = command[command.index("--run-dir") + 1]
    assert command[command.index("-np") + 1] == "2"
    assert command[-2:] == ["stage=selftest", "steps=5"]
    assert Path(run_dir).parent == runs.resolve()
    assert not runs.exists()


def test_jobs_of_slurm_without_submitit(
    fake_slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """The base installation has none; nothing is left behind that looks like a run."""
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "submitit" else find(name))
    assert _run("--name", "mine", "stage=selftest", runs=tmp_path / "runs") == 1
    assert "pip install 'v2a-hpc[hpc]'" in capsys.readouterr().err
    assert not (tmp_path / "runs" / "mine" / "run.json").exists()


def test_auto_without_slurm_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert _run("--dry-run", "stage=selftest", runs=tmp_path) == 0
    out = capsys.readouterr().out
    assert "no Slurm here: running as local processes (--cluster slurm insists on Slurm)" in out
    assert "would run on this machine" in out


def test_slurm_is_insisted_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert _run("--cluster", "slurm", "stage=selftest", runs=tmp_path) == 1
    assert "submit: there is no sinfo here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stage=selftset"], "there is no stage 'selftset'; did you mean selftest"),
        (["steps=5"], "expected exactly one stage=NAME, but got 0; the stages are "),
        (["stage=selftest", "stage=selftest"], "expected exactly one stage=NAME, but got 2"),
        (["stage=selftest", "stepz=5"], "there is no key 'stepz'; did you mean steps?"),
        (["stage=selftest", "steps=many"], "expected steps=<int>, but got 'many'"),
        (["stage=selftest", "lr"], "expected key=value, but got 'lr'"),
        (["--nodes", "0", "stage=selftest"], "expected --nodes of at least 1, but got 0"),
        (["--gpus-per-node", "-1", "stage=selftest"], "expected --gpus-per-node of at least 0, but got -1"),
        (
            ["--time", "soon", "stage=selftest"],
            "expected a time like 90 (minutes), 1:30:00 or 2-00:00:00, but got 'soon'",
        ),
        (["--time", "0", "stage=selftest"], "at least one minute"),
    ],
)
def test_what_cannot_be_submitted_is_a_sentence(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert _run("--cluster", "local", *arguments, runs=tmp_path / "runs") == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("submit: ")
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["--nodes", "four", "stage=selftest"], ["--cluster", "moon", "stage=selftest"]]
)
def test_a_wrong_command_line_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        submit.main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m hpc.submit" in capsys.readouterr().err


def test_help_lists_the_stages_and_their_settings(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        submit.main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "selftest: trains a small 3D network" in out
    assert "steps=100  (int)" in out


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


@pytest.fixture(name="slurm")
def slurm_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """A cluster like the test cluster."""
    fake = install(tmp_path / "slurm", tmp_path / "bin")
    monkeypatch.setenv("SLURM_CONF", str(fake.folder / "slurm.conf"))
    return fake


def test_a_dry_run_on_slurm_shows_submitits_parameters(
    tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    runs = tmp_path / "runs"
    size = ["--nodes", "2", "--ranks-per-node", "4", "--gpus-per-node", "4"]
    assert _run(*size, "--dry-run", "stage=selftest", runs=runs) == 0
    out = capsys.readouterr().out
    assert f"would submit to Slurm: 8 ranks on 2 nodes, profile testbed, run folder {runs.resolve()}/selftest-" in out
    assert "'gres': 'gpu:4'" in out
    assert not runs.exists()
    assert slurm.jobs() == []


@pytest.mark.parametrize(
    "name", ["runs", "my runs; touch made-by-a-shell", "it's $HOME", "$(touch made-by-a-shell)", '"x" `y`']
)
def test_sbatch_gets_a_script_with_what_was_asked(
    name: str, tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    runs = tmp_path / name
    size = ["--nodes", "3", "--ranks-per-node", "2", "--gpus-per-node", "4", "--cpus-per-rank", "3"]
    more = ["--time", "2-00:00:00", "--account", "me", "--qos", "long", "--exclude", "t4-[1-2]"]
    assert _run(*size, *more, "stage=selftest", "steps=7", runs=runs) == 0
    assert "Submitted job 4711: 6 ranks on 3 nodes" in capsys.readouterr().out
    (job,) = slurm.jobs()
    expected = {
        "nodes": "3", "ntasks-per-node": "2", "cpus-per-task": "3", "time": "2880", "gres": "gpu:4", "account": "me", "qos": "long",
        "exclude": "t4-[1-2]", "partition": "t4", "signal": "USR2@300", "open-mode": "append", "requeue": "",
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
        assert _run("stage=selftest", runs=tmp_path / "runs") == 0
    finally:
        os.umask(before)
    (run_dir,) = (tmp_path / "runs").glob("selftest-*")
    assert run_dir.stat().st_mode & 0o777 == 0o755
    assert (run_dir / "submitit").stat().st_mode & 0o777 == 0o700
    assert list((run_dir / "submitit").glob("*.pkl"))


def test_the_same_again_is_the_same_job(tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    for _ in range(2):
        assert _run("stage=selftest", runs=tmp_path) == 0
    assert "is pending already as job 4711: this is it" in capsys.readouterr().out
    slurm.set("4711", state="RUNNING", nodes="t4-1")
    assert _run("stage=selftest", "steps=100", runs=tmp_path) == 0
    assert "is running already as job 4711" in capsys.readouterr().out
    assert len(slurm.jobs()) == 1


def test_a_finished_run_shows_its_results(tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    assert _run("stage=selftest", runs=tmp_path) == 0
    (run_dir,) = tmp_path.glob("selftest-*")
    (run_dir / "result.json").write_text('{"stage": "selftest", "step": 100, "loss": 0.25}')
    slurm.set("4711", state="COMPLETED")
    capsys.readouterr()
    assert _run("stage=selftest", runs=tmp_path) == 0
    out = capsys.readouterr().out
    assert "finished: step 100  loss 0.25" in out
    assert "--again runs it once more" in out
    assert len(slurm.jobs()) == 1
    assert _run("--again", "stage=selftest", runs=tmp_path) == 0
    assert len(slurm.jobs()) == 2
    assert not (run_dir / "result.json").exists()


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL"])
def test_a_broken_run_is_submitted_again_in_its_folder(state: str, tmp_path: Path, slurm: FakeSlurm):
    assert _run("stage=selftest", runs=tmp_path) == 0
    slurm.set("4711", state=state)
    assert _run("stage=selftest", runs=tmp_path) == 0
    assert [job["id"] for job in slurm.jobs()] == ["4711", "4712"]
    assert len(list(tmp_path.glob("selftest-*"))) == 1


def test_a_run_that_slurm_cannot_be_asked_about_is_not_submitted_twice(
    tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    assert _run("stage=selftest", runs=tmp_path) == 0
    (slurm.folder / "down").touch()
    assert _run("stage=selftest", runs=tmp_path) == 1
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
    assert _run("stage=selftest", runs=tmp_path) == 0
    (run_dir,) = tmp_path.glob("selftest-*")
    (run_dir / "attempts.jsonl").unlink()
    capsys.readouterr()
    assert _run("stage=selftest", runs=tmp_path) == 0
    assert "is pending already as job 4711" in capsys.readouterr().out
    assert len(slurm.jobs()) == 1


def test_a_run_whose_description_is_damaged_is_written_down_anew(
    tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    assert _run("stage=selftest", runs=tmp_path) == 0
    (path,) = tmp_path.glob("selftest-*/run.json")
    path.write_text('{"stage": "self')
    assert _run("stage=selftest", runs=tmp_path) == 0
    assert "is pending already as job 4711" in capsys.readouterr().out
    slurm.set("4711", state="FAILED")
    assert _run("stage=selftest", runs=tmp_path) == 0
    assert f"{path} could not be read, and is written anew" in capsys.readouterr().err
    assert json.loads(path.read_text())["stage"] == "selftest"
    assert [job["id"] for job in slurm.jobs()] == ["4711", "4712"]


def test_after_waits_for_another_run(tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    assert _run("stage=selftest", "seed=1", runs=tmp_path) == 0
    (first,) = tmp_path.glob("selftest-*")
    assert _run("--after", first.name, "stage=selftest", "seed=2", runs=tmp_path) == 0
    flags = slurm.jobs()[1]["flags"]
    assert (flags["dependency"], flags["kill-on-invalid-dep"]) == ("afterok:4711", "yes")
    (first / "result.json").write_text("{}")
    assert _run("--after", first.name, "stage=selftest", "seed=3", runs=tmp_path) == 0
    assert "dependency" not in slurm.jobs()[2]["flags"]
    assert _run("--after", "selftest-x", "stage=selftest", "seed=4", runs=tmp_path) == 1
    assert "there is no run 'selftest-x'" in capsys.readouterr().err


def test_gloo_needs_no_pmix(tmp_path: Path, slurm: FakeSlurm):
    assert _run("--controller", "gloo", "--nodes", "2", "stage=selftest", runs=tmp_path) == 0
    assert "--mpi" not in slurm.script("4711")


@pytest.mark.parametrize("snapshot", [True, False])
def test_the_job_runs_the_code_of_its_submission(snapshot: bool, tmp_path: Path, slurm: FakeSlurm):
    runs = tmp_path / "my runs"
    assert _run(*([] if snapshot else ["--no-snapshot"]), "stage=selftest", runs=runs) == 0
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


def test_a_snapshot_is_taken_once_for_all_runs_of_the_same_code(tmp_path: Path, slurm: FakeSlurm):
    for seed in ("1", "2"):
        assert _run("stage=selftest", f"seed={seed}", runs=tmp_path / "runs") == 0
    assert len(list((tmp_path / "runs" / ".code").iterdir())) == 1


def test_another_run_in_a_named_folder_is_refused(tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    assert _run("--name", "mine", "stage=selftest", runs=tmp_path) == 0
    slurm.set("4711", state="CANCELLED")
    assert _run("--name", "mine", "stage=selftest", "lr=0.02", runs=tmp_path) == 1
    assert "holds a run with lr=0.01; go on with the same settings, or choose another --name" in capsys.readouterr().err
    assert _run("--name", "mine", "--nodes", "2", "stage=selftest", runs=tmp_path) == 0, (
        "another number of ranks may go on"
    )
    assert len(slurm.jobs()) == 2


def test_what_has_finished_in_a_named_folder_is_not_another_runs_result(
    tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    assert _run("--name", "mine", "stage=selftest", runs=tmp_path) == 0
    (tmp_path / "mine" / "result.json").write_text("{}")
    assert _run("--name", "mine", "stage=selftest", "lr=0.02", runs=tmp_path) == 1
    assert "holds a run with lr=0.01" in capsys.readouterr().err
    assert _run("--name", "mine", "stage=selftest", runs=tmp_path) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_prepare_that_has_finished_goes_on_with_new_videos(
    tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    videos = tmp_path / "my videos"
    videos.mkdir()
    (videos / "a.mp4").touch()
    command = ["stage=prepare", f"videos={videos}", f"out={tmp_path / 'clips'}"]
    assert _run(*command, runs=tmp_path / "runs") == 0
    (run_dir,) = (tmp_path / "runs").glob("prepare-*")
    slurm.set("4711", state="COMPLETED")
    (run_dir / "result.json").write_text("{}")
    assert _run(*command, runs=tmp_path / "runs") == 0
    assert "nothing to do" in capsys.readouterr().out
    (videos / "b.mp4").touch()
    assert _run(*command, runs=tmp_path / "runs") == 0
    assert "its videos have changed since: it goes on" in capsys.readouterr().err
    assert [job["flags"]["job-name"] for job in slurm.jobs()] == [run_dir.name] * 2


@pytest.mark.parametrize("name", ["../up", "", "a b", "new\nline", "-x", "a/b"])
def test_names_that_a_scheduler_reads_otherwise_are_refused(
    name: str, tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    assert _run(f"--name={name}", "stage=selftest", runs=tmp_path / "runs") == 1
    assert "expected --name of at most 100 letters" in capsys.readouterr().err
    assert slurm.jobs() == []


@pytest.mark.parametrize("name", ["100%", "back\\slash", "new\nline"])
def test_folders_that_slurm_would_rewrite_are_refused(
    name: str, tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    assert _run("stage=selftest", runs=tmp_path / name) == 1
    assert "expected --runs without %, backslash or line break" in capsys.readouterr().err
    assert slurm.jobs() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nodes", "5"], "partition t4 has 4 nodes, but --nodes 5 were asked for"),
        (["--partition", "gpu"], "there is no partition 'gpu'; there are: t4, dgx, low"),
        (["--profile", "moon"], "there is no profile 'moon'; there are: rosie, testbed, or the path of a YAML file"),
        (["cluster=rosie", "cluster=testbed"], "expected one cluster=NAME, but got 2"),
    ],
)
def test_what_the_queue_could_never_start_is_said_before_it(
    arguments: list[str], message: str, tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    assert _run(*arguments, "stage=selftest", runs=tmp_path / "runs") == 1
    assert message in capsys.readouterr().err
    assert slurm.jobs() == []
    assert not (tmp_path / "runs").exists()


def test_without_data_the_command_that_makes_it_is_named(
    tmp_path: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert _run("--nodes", "4", "stage=vqvae", runs=tmp_path / "runs") == 1
    said = capsys.readouterr().err
    assert "there is no data set at data/clips: python -m v2a.prepare videos=DIR out=data/clips makes one" in said
    write_inputs(tmp_path)
    assert _run("--nodes", "4", "stage=vqvae", runs=tmp_path / "runs") == 0
    assert "Submitted job 4711: 4 ranks on 4 nodes" in capsys.readouterr().out


_STAGES = ("selftest", "prepare", "vqvae", "codes", "audio", "evaluate", "infer")


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
        more = ["videos=my clips (2)/"] if stage in ("prepare", "infer") else []
        assert _run(*options, "--dry-run", f"stage={stage}", *more, runs=tmp_path / "runs") == 0, stage
    shown = capsys.readouterr().out.replace(str(tmp_path.resolve()), "HERE").replace(sys.executable, "PYTHON")
    # Names follow from the settings' defaults, which other tests hold.
    shown = re.sub(r"-[0-9a-f]{8}\b", "-HASH", re.sub("v2a:[0-9a-f]{16}", "MARK", shown))
    assert shown == (_GOLDEN / golden).read_text()


def test_every_golden_dry_run_is_compared():
    assert sorted(path.name for path in _GOLDEN.glob("dry_*")) == [
        "dry_local.txt", "dry_rosie.txt", "dry_rosie_dgx.txt", "dry_testbed_dgx.txt", "dry_testbed_t4.txt",
    ]  # fmt: skip


def test_a_profile_of_ones_own(tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "partition: low\naccount: me\nsetup: [module load openmpi]\npartitions:\n  low: {ranks_per_node: 2}\n"
    )
    assert _run("--profile", str(mine), "--nodes", "2", "stage=selftest", runs=tmp_path / "runs") == 0
    assert "4 ranks on 2 nodes" in capsys.readouterr().out
    assert (slurm.jobs()[0]["flags"]["partition"], slurm.jobs()[0]["flags"]["account"]) == ("low", "me")
    assert "module load openmpi" in slurm.script("4711").splitlines()
    mine.write_text("partitions: {low: {ranks: 2}}\n")
    assert _run("--profile", str(mine), "stage=selftest", runs=tmp_path / "runs") == 1
    assert "mine.yaml cannot be read: " in capsys.readouterr().err


def test_a_preset_says_more_than_the_gpu(
    tmp_path: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    dgx = ["--partition", "dgx", "--dry-run", "stage=vqvae"]
    assert _run(*dgx, runs=tmp_path / "runs") == 0
    assert "train.batch=8" in capsys.readouterr().out
    assert _run(*dgx, "preset=tiny", runs=tmp_path / "runs") == 0
    assert "train.batch" not in capsys.readouterr().out
    assert _run(*dgx, "train.batch=3", runs=tmp_path / "runs") == 0
    assert "train.batch=8 train.workers=0 train.precision=auto train.batch=3" in capsys.readouterr().out


def test_run_json_says_what_ran(tmp_path: Path, slurm: FakeSlurm):
    assert _run("--nodes", "2", "stage=selftest", "steps=7", runs=tmp_path) == 0
    (path,) = tmp_path.glob("selftest-*/run.json")
    run = json.loads(path.read_text())
    assert (run["stage"], run["where"], run["profile"], run["steps"]) == ("selftest", "slurm", "testbed", 7)
    assert run["identity"] == {"stage": "selftest", "ranks": 2, "steps": 7, "batch": 16, "lr": "0.01", "seed": 0}
    assert run["settings"]["steps"] == 7
    assert run["spec"]["nodes"] == 2
    assert {"python", "submitit"} <= run["environment"].keys()


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


def test_output_is_shown_once_and_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "submitit").mkdir()
    old, new = tmp_path / "submitit" / "9_0_log.out", tmp_path / "submitit" / "10_0_log.out"
    old.write_text("before\n")
    tail = Tail(tmp_path, skip_old=True)
    assert not tail.show()
    new.write_text("one\n")
    assert tail.show()
    with new.open("a") as file:
        file.write("two\n")
    tail.show()
    assert capsys.readouterr().out == "one\ntwo\n"
    Tail(tmp_path).show()
    assert capsys.readouterr().out == "before\none\ntwo\n"


def test_submitting_imports_no_torch():
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "hpc.submit",
        "--cluster",
        "local",
        "--dry-run",
        "stage=selftest",
    ]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "hpc.job" in imported
    assert not {"torch", "horovod", "mpi4py", "submitit"} & {name.split(".")[0] for name in imported}
    assert "would run on this machine" in done.stdout


def test_a_runs_folder_that_cannot_be_is_said(tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").touch()
    assert _run("--cluster", "slurm", "stage=selftest", runs=tmp_path / "file" / "runs") == 1
    assert "Choose another place with --runs" in capsys.readouterr().err


def test_a_debugger_does_not_run_beside_the_queue(tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    assert _run("stage=selftest", runs=tmp_path) == 0
    assert _run("--cluster", "debug", "stage=selftest", runs=tmp_path) == 1
    assert "is pending (Priority); end it with python -m hpc.cancel" in capsys.readouterr().err
    (slurm.folder / "down").touch()
    assert _run("--cluster", "debug", "stage=selftest", runs=tmp_path) == 1
    assert "is unknown (Slurm does not answer)" in capsys.readouterr().err


def test_what_slurm_refuses_is_said(tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    (slurm.folder / "refuse").write_text("sbatch: error: Invalid account")
    assert _run("--cluster", "slurm", "stage=selftest", runs=tmp_path / "runs") == 1
    assert "Slurm refused the job" in capsys.readouterr().err
