"""World layout from every launcher's environment."""

import socket

import pytest

from hpc.world import World, read_world, without_launcher

_HOROVOD = {"HOROVOD_RANK": "3", "HOROVOD_SIZE": "8", "HOROVOD_LOCAL_RANK": "1", "HOROVOD_LOCAL_SIZE": "2"}
_OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "5",
    "OMPI_COMM_WORLD_SIZE": "8",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
}
_SLURM = {
    "SLURM_JOB_ID": "77",
    "SLURM_PROCID": "6",
    "SLURM_STEP_NUM_TASKS": "7",
    "SLURM_LOCALID": "0",
    "SLURM_STEP_TASKS_PER_NODE": "2(x3),1",
    "SLURM_NODEID": "3",
}


def _layout(world: World) -> tuple[int, int, int, int, str]:
    return world.rank, world.size, world.local_rank, world.local_size, world.source


@pytest.mark.parametrize(
    ("environ", "layout"),
    [
        ({}, (0, 1, 0, 1, "single process")),
        (_HOROVOD, (3, 8, 1, 2, "horovodrun")),
        (_OPEN_MPI, (5, 8, 1, 4, "mpirun")),
        (_SLURM, (6, 7, 0, 1, "srun")),
        # mpirun inside an sbatch script sees the variables of both, and is the inner one.
        ({**_SLURM, **_OPEN_MPI}, (5, 8, 1, 4, "mpirun")),
        ({**_OPEN_MPI, **_HOROVOD}, (3, 8, 1, 2, "horovodrun")),
        # An sbatch script itself has a job but no step: one process.
        ({"SLURM_JOB_ID": "77", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}, (0, 1, 0, 1, "single process")),
        # One variable left over from another launcher does not make a world.
        ({"HOROVOD_RANK": "3"}, (0, 1, 0, 1, "single process")),
    ],
)
def test_the_innermost_launcher_is_read(environ: dict[str, str], layout: tuple[int, int, int, int, str]):
    assert _layout(read_world(environ)) == layout


def test_host_and_job_are_known():
    world = read_world(_SLURM)
    assert (world.host, world.job_id) == (socket.gethostname(), "77")
    assert read_world({}).job_id is None


@pytest.mark.parametrize(
    ("tasks", "node", "here"),
    [
        ("4", 0, 4),
        ("2(x3),1", 0, 2),
        ("2(x3),1", 2, 2),
        ("2(x3),1", 3, 1),
        ("1,2(x2),3", 1, 2),
        ("1,2(x2),3", 2, 2),
        ("1,2(x2),3", 3, 3),
    ],
)
def test_tasks_on_a_node_are_read_from_the_run_length_form(tasks: str, node: int, here: int):
    environ = {**_SLURM, "SLURM_PROCID": "0", "SLURM_STEP_TASKS_PER_NODE": tasks, "SLURM_NODEID": str(node)}
    assert read_world(environ).local_size == here


@pytest.mark.parametrize("text", ["", "two", "2(x", "2(xthree)", "2(x3)"])
def test_a_run_length_form_that_does_not_cover_this_node_is_refused(text: str):
    with pytest.raises(ValueError, match="SLURM_STEP_TASKS_PER_NODE like '2\\(x3\\),1' covering this node, but got"):
        read_world({**_SLURM, "SLURM_STEP_TASKS_PER_NODE": text})


@pytest.mark.parametrize("name", [*_HOROVOD])
@pytest.mark.parametrize("value", ["", "one", "1.5", "0x1"])
def test_what_is_no_number_is_named(name: str, value: str):
    with pytest.raises(ValueError, match=f"whole number in {name}, but got '{value}'"):
        read_world({**_HOROVOD, name: value})


@pytest.mark.parametrize(
    "wrong",
    [
        {"HOROVOD_RANK": "8"},
        {"HOROVOD_RANK": "-1"},
        {"HOROVOD_LOCAL_RANK": "2"},
        {"HOROVOD_LOCAL_SIZE": "9"},
        {"HOROVOD_SIZE": "0"},
        {"HOROVOD_LOCAL_SIZE": "0"},
    ],
)
def test_an_impossible_world_is_refused(wrong: dict[str, str]):
    with pytest.raises(ValueError, match=r"environment of horovodrun describes an impossible world: .* rank < size"):
        read_world({**_HOROVOD, **wrong})


def test_the_process_own_environment_is_the_default(monkeypatch: pytest.MonkeyPatch):
    for name, value in _HOROVOD.items():
        monkeypatch.setenv(name, value)
    assert _layout(read_world()) == (3, 8, 1, 2, "horovodrun")


def test_who_starts_others_hands_no_place_of_its_own_on():
    inside = {"PATH": "/bin", **_SLURM, **_OPEN_MPI, **_HOROVOD}
    assert _layout(read_world(without_launcher(inside))) == (0, 1, 0, 1, "single process")
    assert without_launcher(inside)["PATH"] == "/bin"
    assert without_launcher(inside)["SLURM_JOB_ID"] == "77", "the GPUs are those of the job"
