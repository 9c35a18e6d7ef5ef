"""`python -m hpc.submit` without a cluster, and with programs that play one."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hpc import submit
from hpc.job import JobError, JobSpec
from hpc.slurm_query import Partition
from tests.house.source import CHECKOUT

_PARTITIONS = {"t4": Partition("t4", 4, 4, default=True, cpus=8), "dgx": Partition("dgx", 1, 8, default=False, cpus=8)}


@pytest.fixture(autouse=True)
def _no_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither programs nor a configuration of Slurm: everything runs as it would on a laptop."""
    (tmp_path / "bin").mkdir()
    for program in ("bash", "env", "python3", "cat", "sleep"):
        (tmp_path / "bin" / program).symlink_to(f"/bin/{program}")
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


@pytest.mark.parametrize("status", [0, 3])
def test_a_local_runs_exit_status_is_passed_on(status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(submit, "local_command", lambda spec, python, shares_tasks: ["bash", "-c", f"exit {status}"])
    assert _run("--cluster", "local", "stage=selftest", runs=tmp_path / "my runs") == status
    assert [folder.name[:9] for folder in (tmp_path / "my runs").iterdir()] == ["selftest-"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        ({"nodes": 4, "gpus_per_node": 4}, None),
        ({"partition": "dgx", "gpus_per_node": 8}, None),
        ({"nodes": 5}, "partition t4 has 4 nodes, but --nodes 5 were asked for"),
        ({"gpus_per_node": 5}, "nodes of partition t4 have 4 GPUs each, but --gpus-per-node 5 were asked"),
        ({"partition": "dgx", "nodes": 2}, "partition dgx has 1 nodes, but --nodes 2"),
        ({"partition": "gpu"}, "there is no partition 'gpu'; there are: t4, dgx"),
    ],
)
def test_what_the_queue_could_never_start_is_refused(changes: dict[str, object], message: str | None):
    spec = JobSpec("selftest", (), Path("/runs/x"), **changes)  # type: ignore[arg-type]
    if message is None:
        submit.check_fits(spec, _PARTITIONS)
        assert spec.nodes <= 4
        return
    with pytest.raises(JobError, match=message):
        submit.check_fits(spec, _PARTITIONS)


def test_a_cluster_without_a_default_partition_wants_one_chosen():
    known = {"a": Partition("a", 1, 0, default=False, cpus=8), "b": Partition("b", 1, 0, default=False, cpus=8)}
    with pytest.raises(JobError, match="no default partition; choose one with --partition: a, b"):
        submit.check_fits(JobSpec("selftest", (), Path("/runs/x")), known)


@pytest.fixture
def fake_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that play a cluster of four nodes; sbatch keeps the script that it is given in `script`."""
    programs = {
        "sinfo": 'echo "t4*|4|gpu:t4:4|64"',
        "srun": "exit 1",
        "sbatch": f'cat "${{@: -1}}" >{shlex.quote(str(tmp_path / "script"))}; echo Submitted batch job 4711',
    }
    for name, script in programs.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
    config = tmp_path / "slurm.conf"
    config.touch()
    monkeypatch.setenv("SLURM_CONF", str(config))
    return tmp_path


def test_a_dry_run_on_slurm_shows_submitits_parameters(fake_slurm: Path, capsys: pytest.CaptureFixture[str]):
    runs = fake_slurm / "runs"
    assert (
        _run("--nodes", "2", "--ranks-per-node", "4", "--gpus-per-node", "4", "--dry-run", "stage=selftest", runs=runs)
        == 0
    )
    out = capsys.readouterr().out
    assert f"would submit to Slurm: 8 ranks on 2 nodes, run folder {runs.resolve()}/selftest-" in out
    assert "slurm_additional_parameters: {'gres': 'gpu:4'}" in out
    assert not runs.exists()
    assert not (fake_slurm / "script").exists()


@pytest.mark.parametrize("name", ["runs", "my runs; touch made-by-a-shell", "it's $HOME"])
def test_sbatch_gets_a_script_with_what_was_asked(name: str, fake_slurm: Path, capsys: pytest.CaptureFixture[str]):
    runs = fake_slurm / name
    arguments = [
        "--nodes",
        "3",
        "--ranks-per-node",
        "2",
        "--gpus-per-node",
        "4",
        "--cpus-per-rank",
        "7",
        "--time",
        "2-00:00:00",
    ]
    assert _run(*arguments, "stage=selftest", "steps=7", runs=runs) == 0
    assert "Submitted job 4711: 6 ranks on 3 nodes" in capsys.readouterr().out
    script = (fake_slurm / "script").read_text()
    asked = dict(line[8:].partition("=")[::2] for line in script.splitlines() if line.startswith("#SBATCH --"))
    expected = {"--nodes": "3", "--ntasks-per-node": "2", "--cpus-per-task": "7", "--time": "2880", "--gres": "gpu:4"}
    assert {key: asked.get(key) for key in expected} == expected
    assert asked["--job-name"] == "v2a-selftest"
    srun = next(shlex.split(line) for line in script.splitlines() if line.startswith("srun"))
    assert {"--mpi=pmix", "--kill-on-bad-exit=1", "--cpus-per-task=7"} <= set(srun)
    assert str(next(runs.glob("selftest-*")) / "submitit") in " ".join(srun)


def test_following_ends_with_the_job(
    fake_slurm: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Its output appears once, in order, whatever the moment it was written in; a job that failed is a failure."""
    states = iter(["PENDING", "RUNNING", "RUNNING", "FAILED"])
    stdout = fake_slurm / "job.out"

    def state_of(job_id: str) -> str:
        state = next(states)
        with stdout.open("a") as out:
            out.write(f"written while {state}\n" if state != "PENDING" else "")
        return state

    paths = type("Paths", (), {"stdout": stdout, "folder": fake_slurm})
    monkeypatch.setattr(submit, "_POLL_S", 0)
    monkeypatch.setattr(submit, "job_state", state_of)
    assert submit._follow(type("Job", (), {"job_id": "5", "paths": paths})) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "[5] pending",
        "[5] running",
        "written while RUNNING",
        "written while RUNNING",
        "[5] failed",
        "written while FAILED",
    ]
    assert f"job 5 ended FAILED; its output is in {fake_slurm}" in captured.err


def test_ctrl_c_ends_the_following_and_not_the_job(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def interrupted(job_id: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(submit, "job_state", interrupted)
    assert submit._follow(type("Job", (), {"job_id": "5"})) == 130
    assert "the job goes on (scancel 5 ends it)" in capsys.readouterr().out


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


def test_more_cores_than_a_node_has_are_refused():
    spec = JobSpec("selftest", (), Path("/runs/x"), ranks_per_node=4, cpus_per_rank=3)
    with pytest.raises(JobError, match="have 8 cores each, but --ranks-per-node 4 times --cpus-per-rank 3 asks for 12"):
        submit.check_fits(spec, _PARTITIONS)


def test_a_runs_folder_that_cannot_be_is_said(tmp_path: Path, fake_slurm: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").touch()
    assert _run("--cluster", "slurm", "stage=selftest", runs=tmp_path / "file" / "runs") == 1
    assert "Choose another place with --runs" in capsys.readouterr().err


def test_what_slurm_refuses_is_said(fake_slurm: Path, capsys: pytest.CaptureFixture[str]):
    (fake_slurm / "bin" / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: Invalid account' >&2\nexit 1\n")
    assert _run("--cluster", "slurm", "stage=selftest", runs=fake_slurm / "runs") == 1
    assert "Slurm refused the job" in capsys.readouterr().err
