"""The batch scripts of slurm/, with programs in place of srun and Python that write down how they were called."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import CHECKOUT
from v2a.stages import load_config

_RECORDER = f"""#!{sys.executable}
import json, os, sys
with open(os.environ["CALLS"], "a") as file:
    file.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]) + "\\n")
sys.exit(int(os.environ.get("STATUS", "0")) if sys.argv[0].endswith("srun") else 0)
"""


def _call(script: str, tmp_path: Path, *words: str, **environ: str) -> tuple[int, str, list[list[str]]]:
    """Exit status, what it said, and the programs that it called, in order."""
    for name in ("srun", "its python"):
        (tmp_path / name).write_text(_RECORDER)
        (tmp_path / name).chmod(0o755)
    calls = tmp_path / "calls"
    variables = {
        "PATH": f"{tmp_path}:/usr/bin:/bin", "CALLS": str(calls), "SLURM_SUBMIT_DIR": str(CHECKOUT), "SLURM_JOB_ID": "7",
        "SLURM_CPUS_PER_TASK": "3", "PYTHON": str(tmp_path / "its python"), **environ,
    }  # fmt: skip
    done = subprocess.run(
        ["bash", str(CHECKOUT / "slurm" / script), *words],
        capture_output=True,
        text=True,
        check=False,
        env=variables,
        cwd=tmp_path,
    )
    found = [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []
    return done.returncode, done.stderr, found


_SCRIPTS = {
    "train_vqvae.sh": ("vqvae", {"DATA": "data"}),
    "train_audio.sh": ("audio", {"MODEL": "model", "CODES": "codes", "DATA": "data"}),
    "prepare.sh": ("prepare", {"VIDEOS": "videos", "OUT": "out"}),
}


@pytest.mark.parametrize("script", _SCRIPTS)
def test_a_script_runs_the_same_worker(script: str, tmp_path: Path):
    stage, _ = _SCRIPTS[script]
    status, said, calls = _call(script, tmp_path)
    assert (status, said) == (0, "")
    (srun,) = calls
    python = srun.index(str(tmp_path / "its python"))
    assert srun[:python] == ["srun", "--mpi=pmix", "--kill-on-bad-exit=1", "--cpus-per-task=3"]
    worker = ["-u", "-m", "hpc.worker", "--controller", "mpi", "--run-dir", f"runs/{stage}-7", f"stage={stage}"]
    assert srun[python + 1 : python + 1 + len(worker)] == worker
    load_config(stage, srun[python + 1 + len(worker) :])


@pytest.mark.parametrize("script", _SCRIPTS)
def test_hostile_names_arrive_as_they_are(script: str, tmp_path: Path, hostile_name: str):
    stage, variables = _SCRIPTS[script]
    environ = dict.fromkeys(variables, f"x{hostile_name}") | {"RUN_DIR": f"y{hostile_name}", "STATUS": "1"}
    status, _, calls = _call(script, tmp_path, f"device={hostile_name}", **environ)
    srun, again = calls
    for setting in variables.values():
        assert f"{setting}=x{hostile_name}" in srun
    assert srun[-1] == f"device={hostile_name}"
    assert srun[srun.index("--run-dir") + 1] == f"y{hostile_name}"
    assert again == ["its python", "-u", "-m", "hpc.again", "--run-dir", f"y{hostile_name}", "--status", "1"]
    assert status == 0, "what hpc.again says is the script's status"
    assert stage in srun[-len(variables) - 2]


def test_without_mpi(tmp_path: Path):
    _, _, calls = _call("train_vqvae.sh", tmp_path, MPI="none", CONTROLLER="gloo")
    assert calls[0][1] == "--mpi=none"
    assert calls[0][calls[0].index("--controller") + 1] == "gloo"


def test_an_environment_of_ones_own(tmp_path: Path):
    mine = tmp_path / "my env.sh"
    mine.write_text(f"PYTHON='{tmp_path}/its python' MPI=pmi2 CONTROLLER=mpi\n")
    _, _, calls = _call("prepare.sh", tmp_path, V2A_ENV=str(mine), PYTHON="")
    assert calls[0][1] == "--mpi=pmi2"
    _, _, calls = _call("selftest.sh", tmp_path, V2A_ENV=str(mine), PYTHON="")
    assert calls[-1][1] == "--mpi=pmi2"


def test_inference_has_the_same_environment(tmp_path: Path):
    mine = tmp_path / "my env.sh"
    mine.write_text(f"export PYTHON='{tmp_path}/its python'\n")
    (tmp_path / "videos").mkdir()
    (tmp_path / "model").mkdir()
    status, said, calls = _call(
        "infer_array.sh", tmp_path, str(tmp_path / "videos"), str(tmp_path / "model"), V2A_ENV=str(mine), PYTHON="none"
    )
    assert (status, said) == (0, "")
    assert calls[0][:3] == ["its python", "-m", "v2a.infer"]


@pytest.mark.parametrize(
    "script", ["train_vqvae.sh", "train_audio.sh", "prepare.sh", "selftest.sh", "sweep_workers.sh"]
)
def test_submitted_from_another_folder_it_says_so(script: str, tmp_path: Path):
    status, said, calls = _call(script, tmp_path, SLURM_SUBMIT_DIR=str(tmp_path))
    assert status == 1
    assert said == f"submit it from the checkout: cd CHECKOUT && sbatch slurm/{script}\n"
    assert calls == []


def test_a_python_that_is_not_there_is_said(tmp_path: Path):
    status, said, calls = _call("train_audio.sh", tmp_path, PYTHON=str(tmp_path / "none"))
    assert status == 1
    assert "make setup puts it there, or name one as PYTHON" in said
    assert calls == []


def test_workers_of_a_sweep(tmp_path: Path):
    status, _, calls = _call("sweep_workers.sh", tmp_path, "--trials", "40", "stage=vqvae", "data=my clips")
    assert status == 0
    words = ["-u", "-m", "sweeps.optuna_run", "--mode", "workers", "--trials", "40", "stage=vqvae", "data=my clips"]
    assert calls[0][-len(words) :] == words


def test_workers_of_several_nodes_are_shown_with_a_database():
    texts = [
        path.read_text() for path in (*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md"), *CHECKOUT.glob("slurm/*.sh"))
    ]
    shown = [
        line for text in texts for line in text.splitlines() if "sbatch --array" in line and "sweep_workers.sh" in line
    ]
    assert len(shown) >= 4
    assert [line for line in shown if "--storage postgresql://" not in line] == []


@pytest.mark.parametrize("path", sorted((CHECKOUT / "slurm").glob("*.sh")), ids=lambda path: path.name)
def test_what_can_be_submitted_says_how(path: Path):
    text = path.read_text()
    submitted = "#SBATCH" in text
    assert os.access(path, os.X_OK) is (submitted or path.name == "demo.sh")
    assert (f"slurm/{path.name}" in text.partition("set -euo")[0]) is submitted
