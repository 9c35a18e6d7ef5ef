"""Search for good settings of a stage: trials are whole runs, chosen by Optuna, in one study that any number of machines share.

python -m sweeps.optuna_run                                    a small study of stage 1 on this machine, on data/clips
python -m sweeps.optuna_run --trials 50 --parallel 2 stage=vqvae preset=tiny data=data/clips
python -m sweeps.optuna_run --search 'train.lr=log(1e-4, 1e-2)' --search 'model.dim=choice(8, 16, 32)' stage=vqvae
python -m sweeps.optuna_run --storage postgresql://me@db.example/sweeps --parallel 4 --nodes 2 stage=vqvae
python -m sweeps.optuna_run --objective validation/psnr:max --objective quantizer.codes:min stage=vqvae preset=tiny
python -m sweeps.optuna_run --dry-run --sampler grid stage=vqvae preset=tiny
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from hpc.outcome import PreflightFailed
from hpc.slurm_query import SlurmError
from hpc.stage_settings import ConfigError, resolve_settings
from hpc.team import stop_signals
from hpc.worker import split_stage
from hpc.world import read_world
from sweeps.brake import JobsDoNotBegin
from sweeps.command import Command, make_command, say
from sweeps.look import look_at
from sweeps.next_trial import NothingFitsError
from sweeps.opening import open_sweep
from sweeps.place import StoppedWaiting, StorageError
from sweeps.plan import StudyError
from sweeps.samplers import PRUNERS, SAMPLERS
from sweeps.storage import PATIENCE_S, open_storage
from sweeps.trial import TrialFailed
from sweeps.workers import WorkersFailed

STOPPED = 130
_FIRST_S = 5.0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, examples = (__doc__ or "").strip().split("\n\n", 1)
    top = argparse.ArgumentParser(
        prog="python -m sweeps.optuna_run",
        description=summary,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    study = top.add_argument_group("what is searched")
    study.add_argument("--study", metavar="NAME", help="name of the study (default: follows from what is searched)")
    study.add_argument(
        "--search", action="append", default=[], metavar="SETTING=KIND(…)",
        help="float(low, high), log(low, high), int(low, high[, step]) or choice(a, b, …); 'if SETTING=VALUE' may follow; may be "
        "given again (default: codebook size, embedding dim and learning rates)",
    )  # fmt: skip
    study.add_argument("--space", type=Path, metavar="FILE", help="the same from a YAML file (docs/sweeps.md)")
    study.add_argument(
        "--objective", action="append", default=[], metavar="METRIC:min|max",
        help="of a run; several make a Pareto front (default: validation/psnr:max for stage 1, else validation/loss:min)",
    )  # fmt: skip
    study.add_argument(
        "settings", nargs="*", metavar="key=value", help="stage=NAME and the stage's settings that stay as they are"
    )
    _add_ways(top)
    return top


def _add_ways(top: argparse.ArgumentParser) -> None:
    ways = top.add_argument_group("how")
    ways.add_argument("--storage", metavar="URL", help="postgresql://user@host/database, journal:FILE, sqlite:///FILE, or @FILE of "
                      "mode 0600 that holds one (default: OPTUNA_STORAGE, else a journal file beside the runs)")  # fmt: skip
    ways.add_argument("--trials", type=int, metavar="N", help="of the study in all (default: 12; of a grid: all)")
    ways.add_argument("--parallel", type=int, metavar="P", help="at once (default: 2 here, 4 on Slurm)")
    ways.add_argument("--mode", choices=("job", "workers"), default="job", help="job: each trial by itself; workers: "
                      "long-lived ones that each run many trials (default: job)")  # fmt: skip
    ways.add_argument("--sampler", choices=SAMPLERS, default="tpe", help="how trials are chosen (default: tpe)")
    ways.add_argument(
        "--cut-grid", action="store_true", help="of a grid with more points than --trials take so many, in random order"
    )
    ways.add_argument(
        "--pruner", choices=PRUNERS, help="how bad ones are ended (default: asha; none for several objectives)"
    )
    ways.add_argument("--seed", type=int, help="of the choices (default: other ones each time)")
    ways.add_argument("--retries", type=int, default=2, metavar="N",
                      help="how often a trial whose process is gone goes on from its checkpoint (default: 2)")  # fmt: skip
    ways.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder of all runs, seen by all nodes (default: runs)"
    )
    ways.add_argument("--dry-run", action="store_true", help="check everything, say what would be done, do nothing")
    _add_places(top)


def _add_places(top: argparse.ArgumentParser) -> None:
    by_profile = "(default: by the cluster's profile, else by the partition, as of hpc.submit)"
    where = top.add_argument_group("where")
    where.add_argument("--cluster", choices=("auto", "slurm", "local"), default="auto", help="where (default: auto)")
    where.add_argument(
        "--profile", metavar="NAME", help="of the cluster, as of hpc.submit (default: by its partitions)"
    )
    where.add_argument("--nodes", type=int, default=1, help="of each trial (default: 1)")
    where.add_argument("--ranks-per-node", type=int, help=f"Horovod ranks on each {by_profile}")
    where.add_argument("--gpus-per-node", type=int, help=f"GPUs asked for on each node {by_profile}")
    where.add_argument("--cpus-per-rank", type=int, help=f"cores for each rank {by_profile}")
    where.add_argument("--partition", help="Slurm partition (default: the profile's, else the cluster's)")
    where.add_argument("--time", help=f"time limit of a job, as Slurm writes it {by_profile}")
    where.add_argument("--account", help="Slurm account")
    where.add_argument("--qos", help="Slurm QoS")
    where.add_argument("--exclude", metavar="NODES", help="nodes to keep away from, as Slurm writes them")
    where.add_argument("--controller", choices=("mpi", "gloo"), help="gloo where srun has no PMIx (default: mpi)")


def main(arguments: list[str] | None = None) -> int:
    """Search; 0 when the study has its trials, 1 with a sentence when something is wrong, 130 when it was stopped."""
    options = parser().parse_intermixed_args(arguments)
    try:
        command = make_command(options, *split(options.settings))
        for line in say(command):
            print(line, flush=True)
        if options.dry_run:
            print(f"  dry run: {look_at(command.place, command.study, command.plan)}; nothing was done")
            return 0
        return _search(command)
    except TrialFailed as error:  # of a worker that this process is
        print(f"optuna_run: {error}", file=sys.stderr)
        if arguments is None and read_world().size == 1:
            begin_anew()
    except StoppedWaiting as error:
        print(f"optuna_run: {error}", file=sys.stderr)
        return STOPPED
    except (
        ConfigError,
        StudyError,
        StorageError,
        SlurmError,
        PreflightFailed,
        WorkersFailed,
        JobsDoNotBegin,
        ValueError,
    ) as error:
        print(f"optuna_run: {error}", file=sys.stderr)
    except OSError as error:
        print(f"optuna_run: {error}. What is whole is kept, and the same command goes on", file=sys.stderr)
    except KeyboardInterrupt:
        print("optuna_run: stopped at once; the same command goes on", file=sys.stderr)
        return STOPPED
    return 1


def begin_anew() -> None:
    """In place of this process the same command, with nothing of a failed trial left in memory or on the GPU: one bad trial
    does not end a worker. The study knows which trials there are; a node that is not fit is found by the next preflight."""
    print("the worker begins anew, with the next trial", flush=True)
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def validate(settings: list[str]) -> object:
    """The stage's settings, checked; without any the default's."""
    stage, rest = split(settings)
    return resolve_settings(stage, rest) if stage is not None else {}


def split(settings: list[str]) -> tuple[str | None, list[str]]:
    """The stage's name, None without any settings, and its settings."""
    if not settings:
        return None, []
    return split_stage(settings)


def _patience_s(command: Command) -> float:
    """For a storage that is away when this begins. Nobody looks at a job of Slurm's, and a study that has begun was within reach;
    else its name may be wrong, and the one who wrote it waits for an answer."""
    begun = command.folder.is_dir() and any(command.folder.iterdir())
    return PATIENCE_S if begun or os.environ.get("SLURM_JOB_ID") else _FIRST_S


def _search(command: Command) -> int:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with stop_signals(person=True) as signals:
        storage = open_storage(command.place, first_s=_patience_s(command), should_stop=signals.requested)
        sweep = open_sweep(storage, command.study, command.plan)
        command.folder.mkdir(parents=True, exist_ok=True)
        driver = command.make_driver(sweep)
        sweep.say_gave_up("")  # what a worker of an earlier command found is looked for again
        try:
            finished = driver.run(signals.requested)
        except NothingFitsError:
            sweep.say_gave_up("")
            raise
    if not finished:
        print(f"stopped; {command.after_stop}, and the same command goes on", flush=True)
        return STOPPED
    print(f"look at it: python -m sweeps.report {command.report_arguments}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
