"""Ranks that stay together for several runs: Horovod, torch and the node's preflight are paid for once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hpc.gloo_launch import gloo_launcher
from hpc.join import SHARED_TIMEOUT_S, STOP_SIGNALS, connect, limit_threads, preflight
from hpc.listen import Ears, Listen
from hpc.outcome import Stopped
from hpc.record import RESULT, described
from hpc.world import read_world
from v2a.interrupt import StopSignals
from v2a.stages import Context, load_config, run_stage
from v2a.tasks import SerialTasks
from v2a.whole import write_json


class Team:
    """This rank, and the others of its job. Every method is called by all ranks in the same order.

    Args:
        folder: where the runs' folders will be; made when missing, and seen by all nodes.
        controller: how they find each other: "mpi", or "gloo" through the folder.
        fit_s: for how long a node that passed the preflight is not asked again what cannot change; 0 to ask everything.

    Raises:
        hpc.outcome.PreflightFailed: a node is not fit.
    """

    def __init__(self, folder: Path, controller: str = "mpi", fit_s: float = 0.0) -> None:
        self._world = read_world()
        self.rank, self.size = self._world.rank, self._world.size
        limit_threads(self._world)
        folder.mkdir(parents=True, exist_ok=True)
        preflight(self._world, folder, SHARED_TIMEOUT_S, fit_s)
        self._comm, _, self._close = connect(self._world, folder, controller)
        world = self._world
        print(f"rank {world.rank} of {world.size} on {world.host} ({world.source})", flush=True)

    def share(self, value: Any) -> Any:
        """Rank 0's value on all ranks; what JSON can hold. The other ranks' argument is ignored."""
        import torch

        if self.size == 1:
            return value
        data = json.dumps(value).encode() if self.rank == 0 else b""
        length = int(self._comm.broadcast(torch.tensor(len(data))))
        sent = torch.frombuffer(bytearray(data), dtype=torch.uint8) if self.rank == 0 else torch.zeros(length).byte()
        return json.loads(bytes(self._comm.broadcast(sent).tolist()))

    def any(self, flag: bool) -> bool:
        """Whether any rank's flag is set; the same answer on all."""
        import torch

        return bool(self._comm.all_reduce(torch.tensor(int(flag)), "max"))

    def run(
        self,
        stage: str,
        overrides: Sequence[str],
        run_dir: Path,
        listen: Listen | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> dict[str, float]:
        """One run, as `hpc.worker.run` does it.

        Raises:
            Stopped: `listen` or `should_stop` asked for it, on any rank.
            v2a.config.ConfigError: a bad setting.
        """
        config = load_config(stage, overrides)
        run_dir.mkdir(parents=True, exist_ok=True)
        ears = Ears(listen, self.rank)
        context = Context(self._comm, SerialTasks(), run_dir, ears.report, ears.or_asked(should_stop))
        with described(run_dir, stage, overrides, self.size, self.rank):
            metrics = run_stage(stage, config, context)
        if metrics.get("stopped"):
            raise Stopped(f"asked to stop after step {metrics['step']:g}; the run is not finished")
        if self.rank == 0:
            write_json(run_dir / RESULT, {"stage": stage, "world_size": self.size, **metrics})
        self._comm.barrier()
        return metrics

    def close(self) -> None:
        """Leave; no method works after it."""
        self._close()


def stop_signals(*, person: bool = False) -> StopSignals:
    """While it is entered USR2 and TERM set a flag; with a person at the terminal Ctrl-C and TERM do."""
    return StopSignals() if person else StopSignals(STOP_SIGNALS, person=False)


def team_command(ranks: int, module: str, *arguments: str) -> list[str]:
    """A Python module as so many ranks on this machine, which talk by Gloo."""
    program = [sys.executable, "-u", "-m", module, *arguments]  # -u: one that is killed leaves its last words
    if ranks == 1:
        return program
    return [*gloo_launcher(sys.executable, ranks), *program]
