"""Mode "workers" inside a job of Slurm's: the job is the worker."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from hpc.slurm_query import SlurmError, requeue
from hpc.world import read_world
from sweeps.options import Options
from sweeps.presence import Presence
from sweeps.study import Sweep
from sweeps.table import say_shortfall
from sweeps.trial import TrialFailed
from sweeps.trial_folder import Handle
from sweeps.unseen import Unseen
from sweeps.worker import work
from sweeps.worker_folder import Worker, wait_for_worker, write_worker


class WorkerHere:
    """This process, inside a job of Slurm's, is the worker; with several ranks, each of them.

    Args:
        sweep: the study.
        folder: of its runs.
        options: how trials are chosen.
    """

    def __init__(self, sweep: Sweep, folder: Path, options: Options) -> None:
        job = os.environ["SLURM_JOB_ID"]
        self._sweep, self._folder = sweep.seen_from(folder), folder / "workers" / f"job-{job}"
        world = read_world()
        here = replace(options, nodes=world.size // world.local_size, ranks_per_node=world.local_size)
        self._worker = Worker(sweep.name, str(folder), here, Handle("slurm", job))

    def run(self, should_stop: Callable[[], bool]) -> bool:
        """Until there is nothing more to do in this job.

        Raises:
            sweeps.trial.TrialFailed: a trial failed, and nobody knows how the other ranks are; its outcome is written. A job of
                several ranks has been put back into the queue.
        """
        if should_stop():  # from here on `work` has signals of its own
            return False
        if read_world().rank == 0:
            Presence(self._sweep, self._folder.parent.parent, self._worker.handle).say()
            write_worker(self._folder, self._worker)
        wait_for_worker(self._folder)
        try:
            done = work(self._folder) == 0
        except TrialFailed:
            if read_world().size > 1:
                with suppress(SlurmError):  # another rank was quicker
                    requeue(self._worker.handle.name)
                    print("the job goes back into the queue, for the next trial", flush=True)
            raise
        if read_world().rank == 0:
            say_shortfall(self._sweep, self._worker.options)
            Unseen(self._sweep).say()
        self._sweep.check_objectives()
        return done
