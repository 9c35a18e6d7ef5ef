"""Questions about jobs of Slurm, without one."""

import math
import shlex
from pathlib import Path

import pytest

from hpc.slurm_query import SlurmError
from hpc.team import team_command
from hpc.team_job import present_jobs, time_left


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder first in PATH; a test writes its squeue."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("SLURM_CONF", raising=False)
    return tmp_path / "squeue"


def _answers(path: Path, text: str, error: str = "", status: int = 0) -> None:
    path.write_text(f"#!/bin/sh\nprintf %s {shlex.quote(text)}\nprintf %s {shlex.quote(error)} >&2\nexit {status}\n")
    path.chmod(0o755)


def test_jobs_that_are_there(squeue: Path):
    _answers(squeue, "12\n14\n99\n")
    assert present_jobs(["12", "13", "14"]) == {"12", "14"}
    assert present_jobs([]) == set()
    _answers(squeue, "", "slurm_load_jobs error: Invalid job id specified", 1)
    assert present_jobs(["12"]) == set()
    _answers(squeue, "", "slurm_load_jobs error: Unable to contact slurm controller", 1)
    with pytest.raises(SlurmError, match="Unable to contact"):
        present_jobs(["12"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1-02:03:04", 93784),
        ("2:03:04", 7384),
        ("3:04\n", 184),
        ("UNLIMITED", math.inf),
        ("INVALID", math.inf),
        ("", math.inf),
    ],
)
def test_time_that_is_left(text: str, seconds: float, squeue: Path):
    _answers(squeue, text)
    assert time_left({"SLURM_JOB_ID": "5"}) == seconds
    assert time_left({}) == math.inf


def test_one_rank_needs_no_launcher():
    assert team_command(1, "sweeps.trial", "my folder")[1:] == ["-u", "-m", "sweeps.trial", "my folder"]
    assert team_command(3, "sweeps.trial", "my folder")[2:5] == ["hpc.gloo_launch", "-np", "3"]
