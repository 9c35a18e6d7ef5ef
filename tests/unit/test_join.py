"""How ranks that share out tasks join: a job of one rank has its cores or GPUs for it."""

import pytest

from hpc.join import share
from hpc.world import World
from v2a.processes import ProcessTasks
from v2a.tasks import SerialTasks

ALONE = World(0, 1, 0, 1, "srun", "node", "7")


@pytest.mark.parametrize(
    ("environ", "workers"),
    [
        ({}, 0),
        ({"SLURM_CPUS_PER_TASK": "1"}, 0),
        ({"SLURM_CPUS_PER_TASK": "6"}, 6),
        ({"SLURM_CPUS_PER_TASK": "6", "CUDA_VISIBLE_DEVICES": "0,1"}, 2),
    ],
)
def test_a_job_of_one_rank_shares_out_to_its_processes(
    environ: dict[str, str], workers: int, monkeypatch: pytest.MonkeyPatch
):
    for name in ("SLURM_CPUS_PER_TASK", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    tasks = share(ALONE, 0)[1]
    assert (tasks.workers if isinstance(tasks, ProcessTasks) else 0) == workers
    assert isinstance(share(World(0, 1, 0, 1, "single process", "node", "7"), 0)[1], SerialTasks)
    asked = share(ALONE, 3)[1]
    assert isinstance(asked, ProcessTasks)
    assert asked.workers == 3
