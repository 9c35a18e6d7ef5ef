"""Ranks that stay together for several runs: Horovod, torch and the node's preflight are paid for once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hpc.listen import Ears, Listen
from hpc.outcome import Stopped
from hpc.record import write_json
from hpc.worker import _SIGNALS, SHARED_TIMEOUT_S, _check_layout, _limit_threads, _preflight
from hpc.world import World, read_world
from v2a.comm import Comm, LocalComm
from v2a.interrupt import StopSignals
from v2a.stages import Context, load_config, run_stage
from v2a.tasks import SerialTasks


class Team:
    """This rank, and the others of its job. Every method is called by all ranks in the same order.

    Args:
        folder: where the runs' folders will be; made when missing, and seen by all nodes.
        shared_timeout_s: how long the nodes may take to see each other's files in it.

    Raises:
        hpc.outcome.PreflightFailed: a node is not fit.
    """

    def __init__(self, folder: Path, shared_timeout_s: float = SHARED_TIMEOUT_S) -> None:
        self._world = read_world()
        self.rank, self.size = self._world.rank, self._world.size
        _limit_threads(self._world)
        folder.mkdir(parents=True, exist_ok=True)
        _preflight(self._world, folder / "run", shared_timeout_s)
        self._comm, self._close = _join(self._world)
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
            Stopped: `listen` or `should_stop` asked for it, on any rank; or another process trains the run.
            v2a.config.ConfigError: a bad setting.
        """
        config = load_config(stage, overrides)
        run_dir.mkdir(parents=True, exist_ok=True)
        if self.rank == 0:
            record = {"stage": stage, "overrides": list(overrides), "world_size": self.size}
            write_json(run_dir / "config.json", record)
        ears = Ears(listen, self.rank)
        context = Context(self._comm, SerialTasks(), run_dir, ears.report, ears.or_asked(should_stop))
        try:
            metrics = run_stage(stage, config, context)
        except ValueError as error:
            if (
                type(error).__name__ == "RunBusy"
            ):  # of v2a's training, on all ranks: not the run's fault, and over some time
                raise Stopped(str(error)) from error
            raise
        if metrics.get("stopped"):
            raise Stopped(f"asked to stop after step {metrics['step']:g}; the run is not finished")
        if self.rank == 0:
            write_json(run_dir / "result.json", {"stage": stage, "world_size": self.size, **metrics})
        self._comm.barrier()
        return metrics

    def close(self) -> None:
        """Leave; no method works after it."""
        self._close()


def _join(world: World) -> tuple[Comm, Callable[[], None]]:
    if world.size == 1:
        return LocalComm(), lambda: None
    from hpc.horovod_comm import HorovodComm

    comm = HorovodComm()
    _check_layout(world, comm.rank, comm.size, "Horovod")
    return comm, comm.close


def stop_signals(*, person: bool = False) -> StopSignals:
    """While it is entered USR2 and TERM set a flag; with a person at the terminal Ctrl-C and TERM do."""
    return StopSignals() if person else StopSignals(_SIGNALS, person=False)


def team_command(ranks: int, module: str, *arguments: str) -> list[str]:
    """A Python module as so many ranks on this machine, which talk by Gloo."""
    program = [sys.executable, "-m", module, *arguments]
    if ranks == 1:
        return program
    gloo = ["--gloo", "--network-interfaces", "lo"]
    return [sys.executable, "-m", "horovod.runner.launch", "-np", str(ranks), *gloo, *program]
