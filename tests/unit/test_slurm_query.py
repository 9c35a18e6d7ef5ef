"""Slurm's answers as values, and its silences as sentences."""

import time
from pathlib import Path

import pytest

from hpc import slurm_query
from hpc.partitions import Partition, partitions
from hpc.slurm_query import SlurmError, is_configured, job_state


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a program on a PATH that holds nothing else."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def write(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/bash\n{script}\n")
        (tmp_path / name).chmod(0o755)

    return write


def test_sinfo_is_asked(program):
    program(
        "sinfo", 'echo "$*" >&2; [ "$*" = "--noheader --format=%P|%D|%G|%c|%l" ] && echo "t4*|4|gpu:t4:4|8|1-00:00:00"'
    )
    assert partitions() == {"t4": Partition("t4", 4, 4, default=True, cpus=8, minutes=1440, gpu_type="t4")}


def test_a_missing_slurm_is_a_sentence(program):
    with pytest.raises(SlurmError, match=r"there is no sinfo here: log in to the cluster.*--cluster local"):
        partitions()


def test_a_failing_slurm_is_quoted(program):
    program("sinfo", "echo 'slurm_load_partitions: Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(SlurmError, match=r"`sinfo --noheader .*` failed: slurm_load_partitions: Unable to contact"):
        partitions()


def test_a_slurm_that_hangs_is_given_up(program, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slurm_query, "_TIMEOUT_S", 0.3)
    program("sinfo", "exec /bin/sleep 60")
    start = time.monotonic()
    with pytest.raises(SlurmError, match=r"did not answer within 0.3 s; is slurmctld up\?"):
        partitions()
    assert time.monotonic() - start < 10


def test_the_state_of_a_job(program):
    program("scontrol", 'echo "JobId=${@: -1} JobName=x UserId=u(0) JobState=COMPLETING Reason=None ExitCode=0:0"')
    assert job_state("12_3") == "COMPLETING"


def test_an_unknown_job_is_slurms_error(program):
    program("scontrol", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    with pytest.raises(SlurmError, match="Invalid job id specified"):
        job_state("99")


def test_an_answer_without_a_state_is_an_error(program):
    program("scontrol", "echo JobId=5")
    with pytest.raises(SlurmError, match="shows no state of job 5"):
        job_state("5")


def test_a_configuration_that_is_gone_is_said_at_once(monkeypatch: pytest.MonkeyPatch):
    """Slurm's own programs wait a minute for the file."""
    monkeypatch.setenv("SLURM_CONF", "/nowhere/slurm.conf")
    with pytest.raises(SlurmError, match="unset SLURM_CONF"):
        partitions()


@pytest.mark.parametrize(
    ("said", "configured"),
    [("sinfo: fatal: Could not establish a configuration source", False), ("t4*", True)],
)
def test_programs_without_a_cluster_are_told_from_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, configured: bool
):
    for name in ("sbatch", "sinfo"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{said}' >&2\nexit {0 if configured else 1}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("SLURM_CONF", raising=False)
    assert is_configured() is configured


def test_a_controller_that_is_down_is_an_error_and_not_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("sbatch", "sinfo"):
        (tmp_path / name).write_text(
            "#!/bin/sh\necho 'Unable to contact slurm controller (connect failure)' >&2\nexit 1\n"
        )
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("SLURM_CONF", raising=False)
    with pytest.raises(SlurmError, match="Unable to contact"):
        is_configured()
