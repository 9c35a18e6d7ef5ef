"""The command line of `python -m hpc.submit`: what it takes, what it refuses, and where there is no Slurm."""

import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hpc import submit
from hpc.follow import Tail
from tests.house.source import CHECKOUT
from tests.unit.fake_slurm import FakeSlurm
from tests.unit.inputs import write_inputs
from tests.unit.submit.door import run


def test_a_local_dry_run_prints_the_command_and_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    runs = tmp_path / "runs"
    assert run("--cluster", "local", "--ranks-per-node", "2", "--dry-run", "stage=selftest", "steps=5", runs=runs) == 0
    out = capsys.readouterr().out
    command = shlex.split(out.removeprefix("would run on this machine: "))
    run_dir = command[command.index("--run-dir") + 1]
    assert command[command.index("-np") + 1] == "2"
    assert command[-2:] == ["stage=selftest", "steps=5"]
    assert Path(run_dir).parent == runs.resolve()
    assert not runs.exists()


def test_jobs_of_slurm_without_submitit(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """The base installation has none; nothing is left behind that looks like a run."""
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "submitit" else find(name))
    assert run("--name", "mine", "stage=selftest", runs=tmp_path / "runs") == 1
    assert "pip install 'v2a-hpc[hpc]'" in capsys.readouterr().err
    assert not slurm.jobs()
    assert not (tmp_path / "runs" / "mine" / "run.json").exists()


def test_auto_without_slurm_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("--dry-run", "stage=selftest", runs=tmp_path) == 0
    out = capsys.readouterr().out
    assert "no Slurm here: running as local processes (--cluster slurm insists on Slurm)" in out
    assert "would run on this machine" in out


def test_slurm_is_insisted_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("--cluster", "slurm", "stage=selftest", runs=tmp_path) == 1
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
    assert run("--cluster", "local", *arguments, runs=tmp_path / "runs") == 1
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


@pytest.mark.parametrize("name", ["../up", "", "a b", "new\nline", "-x", "a/b"])
def test_names_that_a_scheduler_reads_otherwise_are_refused(
    name: str, tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    assert run(f"--name={name}", "stage=selftest", runs=tmp_path / "runs") == 1
    assert "expected --name of at most 100 letters" in capsys.readouterr().err
    assert slurm.jobs() == []


@pytest.mark.parametrize("name", ["100%", "back\\slash", "new\nline"])
def test_folders_that_slurm_would_rewrite_are_refused(
    name: str, tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    assert run("stage=selftest", runs=tmp_path / name) == 1
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
    assert run(*arguments, "stage=selftest", runs=tmp_path / "runs") == 1
    assert message in capsys.readouterr().err
    assert slurm.jobs() == []
    assert not (tmp_path / "runs").exists()


def test_without_data_the_command_that_makes_it_is_named(
    tmp_path: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert run("--nodes", "4", "stage=vqvae", runs=tmp_path / "runs") == 1
    said = capsys.readouterr().err
    assert "there is no data set at data/clips: python -m v2a.prepare videos=DIR out=data/clips makes one" in said
    write_inputs(tmp_path)
    assert run("--nodes", "4", "stage=vqvae", runs=tmp_path / "runs") == 0
    assert "Submitted job 4711: 4 ranks on 4 nodes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("[" * 200_000, "it is nested too deeply"),
        ("[]", "expected a JSON object"),
        ('{"by_split": []}', "expected by_split with an object for each split"),
        ('{"by_split": {"train": 7}}', "expected by_split with an object for each split"),
        ("{", "Expecting property name"),
    ],
    ids=lambda text: text[:12],
)
def test_a_data_set_whose_manifest_is_damaged(
    damage: str, said: str, tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    data = tmp_path / "clips"
    data.mkdir()
    (data / "dataset.json").write_text(damage)
    assert run("stage=vqvae", f"data={data}", runs=tmp_path / "runs") == 1
    captured = capsys.readouterr().err
    assert captured.startswith(f"submit: {data / 'dataset.json'} cannot be read ({said}")
    assert f"python -m v2a.shards index {data} writes it anew" in captured
    assert slurm.jobs() == []


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
    assert run("--cluster", "slurm", "stage=selftest", runs=tmp_path / "file" / "runs") == 1
    assert "Choose another place with --runs" in capsys.readouterr().err


def test_what_slurm_refuses_is_said(tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    (slurm.folder / "refuse").write_text("sbatch: error: Invalid account")
    assert run("--cluster", "slurm", "stage=selftest", runs=tmp_path / "runs") == 1
    assert "Slurm refused the job" in capsys.readouterr().err


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
