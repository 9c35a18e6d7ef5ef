"""A job's validation, its time limit, and what becomes of it: submitit's parameters or a local command."""

import json
import random
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hpc.job import JobError, JobSpec, local_command, parse_minutes, submitit_parameters

_GOLDEN = Path(__file__).parents[1] / "golden"
_RUN = Path("/runs/selftest-1234")


def _spec(**changes: object) -> JobSpec:
    return JobSpec(**{"stage": "selftest", "overrides": ("steps=5",), "run_dir": _RUN, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "least"),
    [("nodes", 1), ("ranks_per_node", 1), ("gpus_per_node", 0), ("cpus_per_rank", 1), ("minutes", 1), ("restarts", 0)],
)
def test_a_count_below_the_least_is_refused(name: str, least: int):
    assert getattr(_spec(**{name: least}), name) == least
    option = "--" + name.replace("_", "-")
    with pytest.raises(JobError, match=f"^expected {option} of at least {least}, but got {least - 1}$"):
        _spec(**{name: least - 1})


def test_the_world_size_counts_all_nodes():
    assert _spec(nodes=3, ranks_per_node=4).world_size == 12


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("90", 90),
        ("1:30:00", 90),
        ("0:45:00", 45),
        ("45:00", 45),
        ("0:01", 1),
        ("1:01", 2),
        ("1:00:01", 61),
        ("2-00:00:00", 2880),
        ("2-00:00", 2880),
        ("1-12:30", 2190),
        ("0-00:01", 1),
        ("007", 7),
        ("2-12", 3600),
        ("120:00:00", 7200),
    ],
)
def test_times_are_read_as_slurm_writes_them(text: str, minutes: int):
    assert parse_minutes(text) == minutes


@pytest.mark.parametrize(
    "text", ["", "-1", "1.5", "1h", "90m", "1:2:3:4", "1:2", ":30", "1:", "2-", "-2-00:00", "1 30", "infinite", "90\n"]
)
def test_other_times_are_refused(text: str):
    with pytest.raises(JobError, match=r"expected a time like 90 \(minutes\), 1:30:00 or 2-00:00:00, but got"):
        parse_minutes(text)


@pytest.mark.parametrize("text", ["0", "00", "0:00", "0:00:00", "0-00:00:00"])
def test_no_time_at_all_is_refused(text: str):
    with pytest.raises(JobError, match="at least one minute"):
        parse_minutes(text)


def test_every_time_survives_being_written_as_slurm_does():
    """[days-]hours:minutes:seconds of any number of seconds comes back as that many, rounded up to minutes."""
    rng = random.Random(0)
    for _ in range(300):
        seconds = rng.randint(1, 10 * 86400)
        days, rest = divmod(seconds, 86400)
        clock = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
        minutes = parse_minutes(f"{days}-{clock}" if days else clock)
        assert 0 <= minutes * 60 - seconds < 60
        assert parse_minutes(str(minutes)) == minutes


@pytest.mark.parametrize(
    ("golden", "spec"),
    [
        ("submitit_smallest.json", _spec()),
        (
            "submitit_gpus.json",
            _spec(nodes=5, ranks_per_node=4, gpus_per_node=4, cpus_per_rank=9, minutes=2880, partition="batch"),
        ),
    ],
)
def test_submitits_parameters_are_the_golden_files(golden: str, spec: JobSpec):
    assert submitit_parameters(spec) == json.loads((_GOLDEN / golden).read_text())


def test_everything_that_can_be_asked_for_is_the_golden_file():
    spec = _spec(
        nodes=2, minutes=5, partition="dgx", account="me", qos="long", exclude="t4-[1-2]", after=("5", "6"),
        setup=("module load openmpi",), controller="gloo",
    )  # fmt: skip
    after = ["python", "-m", "hpc.again", "--run-dir", "/my runs/x", "--status"]
    assert submitit_parameters(spec, after) == json.loads((_GOLDEN / "submitit_all.json").read_text())


def test_every_golden_file_of_submitit_is_compared():
    assert sorted(path.name for path in _GOLDEN.glob("submitit_*.json")) == [
        "submitit_all.json", "submitit_gpus.json", "submitit_smallest.json",
    ]  # fmt: skip


def test_another_controller_is_refused():
    with pytest.raises(JobError, match="expected --controller mpi or gloo, but got 'nccl'"):
        _spec(controller="nccl")


@pytest.mark.parametrize(("minutes", "seconds"), [(1, 6), (10, 60), (50, 300), (2880, 300)])
def test_the_warning_comes_a_tenth_of_the_time_before_the_end(minutes: int, seconds: int):
    assert _spec(minutes=minutes).warn_s == seconds


def test_one_rank_needs_no_launcher():
    assert local_command(_spec(), "/venv/bin/python") == [
        *("/venv/bin/python", "-m", "hpc.worker", "--run-dir", str(_RUN), "stage=selftest", "steps=5")
    ]


def test_several_ranks_are_launched_by_horovod():
    command = local_command(_spec(nodes=2, ranks_per_node=3), "python")
    launcher = ["python", "-m", "hpc.gloo_launch", "-np", "6", "--gloo", "--network-interfaces", "lo"]
    assert command == [*launcher, *local_command(_spec(), "python")]


def test_ranks_that_share_tasks_are_plain_processes():
    command = local_command(_spec(nodes=2, ranks_per_node=3), "python", shares_tasks=True)
    worker = ["python", "-m", "hpc.worker", "--run-dir", str(_RUN)]
    assert command == [*worker, "--processes", "6", "stage=selftest", "steps=5"]
    assert local_command(_spec(), "python", shares_tasks=True) == local_command(_spec(), "python")


@pytest.mark.parametrize("ranks", [1, 2])
def test_every_name_stays_one_argument(ranks: int, hostile_name: str):
    spec = _spec(run_dir=Path("/runs", hostile_name), overrides=(f"videos={hostile_name}",), ranks_per_node=ranks)
    worker = local_command(spec, "python")[-6:]
    assert worker == ["-m", "hpc.worker", "--run-dir", str(spec.run_dir), "stage=selftest", f"videos={hostile_name}"]


def test_a_shell_gives_every_name_back(hostile_name: str):
    """`--dry-run` prints a line to paste."""
    spec = _spec(run_dir=Path("/runs", hostile_name), overrides=(f"videos={hostile_name}",))
    command = local_command(spec, "python")
    show = shlex.join([sys.executable, "-S", "-c", "import sys; print(ascii(sys.argv[1:]))"])
    script = f"{show} {shlex.join(command)}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == ascii(command)
