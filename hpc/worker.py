"""What every rank runs, whoever launched it: submitit on Slurm, `srun`, `mpirun`, `horovodrun`, or nobody (one process).

python -m hpc.worker --run-dir runs/try stage=selftest
mpirun -np 2 python -m hpc.worker --run-dir runs/try stage=selftest steps=50
srun -N4 --ntasks-per-node=1 --mpi=pmix python -m hpc.worker --run-dir runs/try stage=selftest
"""

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpc.budget import Budget
from hpc.gpu_share import GpuShare
from hpc.job import CONTROLLERS
from hpc.join import SHARED_TIMEOUT_S, STOP_SIGNALS, connect, limit_threads, preflight, share
from hpc.listen import Ears, Listen
from hpc.outcome import PreflightFailed, Stopped, noting
from hpc.record import RESULT, described
from hpc.world import World, read_world
from v2a.interrupt import StopSignals
from v2a.stages import Context, load_config, run_stage, shares_tasks
from v2a.whole import write_json

__all__ = ["STOPPED", "Means", "PreflightFailed", "Stopped", "main", "parser", "run", "split_stage"]
_OURS = Path(__file__).resolve().parents[1]
_INTERRUPTED = 130
STOPPED = 75  # sysexits.h: EX_TEMPFAIL, "try again later"


@dataclass(frozen=True)
class Means:
    """How ranks are brought together, and who listens to them.

    Attributes:
        shared_timeout_s: how long the nodes may take to see each other's files in the folder above the run's.
        processes: for a stage that shares out tasks, and without a launcher: local processes; 0 for this one alone.
        controller: how ranks that train together find each other: "mpi", or "gloo" through the run's folder.
        fit_s: for how long a node that passed the preflight is not asked again what cannot change; 0 to ask everything.
        listen: hears on rank 0 what the run reports, and may end it for good.
        should_stop: asks the run to stop, as a signal does.
        joined: is called when the ranks have found each other, and the stage begins.
    """

    shared_timeout_s: float = SHARED_TIMEOUT_S
    processes: int = 0
    controller: str = "mpi"
    fit_s: float = 0.0
    listen: Listen | None = None
    should_stop: Callable[[], bool] = lambda: False
    joined: Callable[[], None] = lambda: None


def run(stage: str, overrides: Sequence[str], run_dir: Path, means: Means | None = None) -> dict[str, float]:
    """Run one rank of a stage, from the preflight to its last metric.

    Args:
        stage: name of the stage.
        overrides: its "key=value" settings.
        run_dir: the run's folder; made when missing. Rank 0 writes `config.json`, `metrics.jsonl` and `result.json` into it, and
            all ranks what becomes of this attempt into `attempts.jsonl`.
        means: how the ranks are brought together, and who listens.

    Returns:
        The stage's final metrics.

    Raises:
        PreflightFailed: this node, or another of the job, is not fit.
        Stopped: USR2 or TERM reached a rank before the last step, a job's time was nearly up, or who listens asked.
        v2a.config.ConfigError: a bad setting.
        NotADirectoryError: `run_dir`, or what is above it, is a file.
    """
    _make(run_dir)
    world = read_world()
    with noting(run_dir, world):
        return _run(stage, overrides, run_dir, world, means or Means())


def _run(stage: str, overrides: Sequence[str], run_dir: Path, world: World, means: Means) -> dict[str, float]:
    config = load_config(stage, overrides)
    limit_threads(world)
    try:
        preflight(world, run_dir.parent, means.shared_timeout_s, means.fit_s)
    except PreflightFailed as error:
        if means.should_stop():  # the signal went to the preflight's own processes, too: it is not the node's fault
            raise Stopped("asked to stop while the node was looked at; the run is not finished") from error
        raise
    together = not shares_tasks(stage)
    comm, tasks, close = connect(world, run_dir, means.controller) if together else share(world, means.processes)
    print(f"rank {world.rank} of {world.size} on {world.host} ({world.source})", flush=True)
    means.joined()
    record = described(run_dir, stage, overrides, world.size, world.rank)
    gpus = GpuShare(world.rank)
    with record, StopSignals(STOP_SIGNALS, person=False) as stop, Budget.of(world, run_dir) as budget, gpus:
        ears = Ears(means.listen, world.rank)
        asked = ears.or_asked(lambda: stop.requested() or budget.is_spent() or means.should_stop())
        metrics = run_stage(stage, config, Context(comm, tasks, run_dir, ears.report, asked, gpus.measured))
    if metrics.get("stopped"):
        after = f" after step {metrics['step']:g}" if "step" in metrics else ""
        why = "its time was nearly up" if budget.is_spent() else "asked to stop (USR2 or TERM)"
        if ears.asked:
            raise Stopped(f"ended{after} by who listens to it", final=True)
        raise Stopped(f"{why}{after}; the run is not finished")
    if world.rank == 0:
        write_json(run_dir / RESULT, {"stage": stage, "world_size": world.size, **metrics})
        print(f"finished: {json.dumps(metrics)}", flush=True)
    comm.barrier()
    close()
    return metrics


def _make(run_dir: Path) -> None:
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise NotADirectoryError(
            f"{run_dir} cannot be a run's folder: it, or what is above it, is a file; name another folder"
        ) from None


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m hpc.worker",
        description=(__doc__ or "").split("\n\n")[0],
        epilog="examples:\n" + (__doc__ or "").split("\n\n")[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--run-dir", type=Path, required=True, help="the run's folder, seen by all nodes")
    top.add_argument(
        "--shared-timeout",
        type=float,
        default=SHARED_TIMEOUT_S,
        metavar="S",
        help="seconds for nodes to see each other's files",
    )
    top.add_argument(
        "--processes",
        type=int,
        default=0,
        metavar="N",
        help="without a launcher: N local processes share out the tasks",
    )
    top.add_argument(
        "--controller", choices=CONTROLLERS, default="mpi", help="under srun without PMIx: gloo (default: mpi)"
    )
    top.add_argument("settings", nargs="+", metavar="key=value", help="stage=NAME and the stage's settings")
    return top


def split_stage(settings: Sequence[str]) -> tuple[str, list[str]]:
    """The stage's name and the other settings.

    Raises:
        v2a.config.ConfigError: no stage, or more than one.
    """
    from v2a.config import ConfigError
    from v2a.stages import stage_names

    stages = [s.removeprefix("stage=") for s in settings if s.startswith("stage=")]
    if len(stages) != 1:
        raise ConfigError(
            f"expected exactly one stage=NAME, but got {len(stages)}; the stages are {', '.join(stage_names())}"
        )
    return stages[0], [s for s in settings if not s.startswith("stage=")]


def main(arguments: list[str] | None = None) -> int:
    """Run one rank; 0 when the stage finished, 75 when a signal stopped it, 130 after Ctrl-C, 1 with a sentence otherwise."""
    options = parser().parse_intermixed_args(arguments)
    try:
        stage, overrides = split_stage(options.settings)
        run(stage, overrides, options.run_dir, Means(options.shared_timeout, options.processes, options.controller))
    except Stopped as error:
        print(f"worker: {error}", file=sys.stderr)
        return STOPPED
    except KeyboardInterrupt:
        print("worker: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return _INTERRUPTED
    except (ValueError, OSError, ArithmeticError, RuntimeError, ImportError) as error:
        print(f"worker: {_sentence(error)}", file=sys.stderr)
        return 1
    return 0


def _sentence(error: Exception) -> str:
    """What a person reads; an error that is not one of ours says where it comes from, too."""
    if type(error).__name__ == "HorovodInternalError":  # not imported: there may be no Horovod here
        return f"another rank ended, and this one with it; the other's words say why ({str(error).splitlines()[0]})"
    if type(error) is not RuntimeError:
        return str(error)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _OURS in Path(frame.filename).parents]
    return f"{error} ({Path(frames[-1].filename).relative_to(_OURS)}, line {frames[-1].lineno})"


if __name__ == "__main__":
    sys.exit(main())
