"""What a sweep costs beside its training, and what pruning and a sampler save. Ratios, each of one run.

python benchmarks/sweep.py --only pruning --seeds 5 --trials 16
python benchmarks/sweep.py --only samplers --seeds 5 --trials 48
python benchmarks/sweep.py --only overhead --trials 4        on a cluster: job and workers mode beside an empty Horovod job
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from sweeps import compare, optuna_run
from sweeps.curves import Curve, curve_of
from sweeps.opening import open_sweep
from sweeps.place import find_place
from sweeps.storage import open_storage
from sweeps.study import Sweep
from sweeps.trial_folder import read_handle, read_outcome

_UNFINISHED = ("RUNNING", "PENDING", "COMPLETING")
_EMPTY = "import horovod.torch as hvd; hvd.init(); hvd.allreduce(__import__('torch').ones(1)); hvd.shutdown()"


def parser() -> argparse.ArgumentParser:
    summary, examples = (__doc__ or "").strip().split("\n\n", 1)
    top = argparse.ArgumentParser(
        description=summary, epilog=f"examples:\n{examples}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--only", choices=("overhead", "pruning", "samplers"), action="append", help="default: pruning")
    top.add_argument("--mode", choices=("job", "workers"), action="append", help="of the overhead; default: both")
    top.add_argument("--trials", type=int, default=4)
    top.add_argument("--seeds", type=int, default=2)
    top.add_argument(
        "--data", type=Path, help="clips of preset=tiny: the search is of stage 1; without them of the self-test"
    )
    top.add_argument("--parallel", type=int, default=1)
    return top


def _problem(data: Path | None, steps: int) -> list[str]:
    if data is not None:
        return ["stage=vqvae", "preset=tiny", f"data={data}", "train.validate_every=25"]
    return ["--search", "lr=log(1e-5, 1e-1)", "--search", "batch=choice(4, 8, 16)", "stage=selftest", f"steps={steps}"]


def _run(folder: Path, name: str, *arguments: str) -> tuple[Sweep, float]:
    """Run a study; with its wall time, s."""
    begun = time.perf_counter()
    status = optuna_run.main(["--runs", str(folder), "--study", name, *arguments])
    assert status == 0, f"the study ended with {status}"
    seconds = time.perf_counter() - begun
    return open_sweep(open_storage(find_place(None, folder / name / "study.log", {})), name, None), seconds


def measure_overhead(folder: Path, options: argparse.Namespace) -> None:
    """Time per trial beyond its training, by that of an empty job of two hosts under bare srun: wall time, and processor time of
    all ranks by Slurm's account and of the driver, which says more where other work shares the machine."""
    srun = ["srun", "-N2", "--ntasks-per-node=1", "--mpi=pmix", "--job-name=empty", sys.executable, "-c", _EMPTY]
    walls, before = [], _job_ids("--name=empty")
    for _ in range(3):
        begun = time.perf_counter()
        subprocess.run(srun, check=True)
        walls.append(time.perf_counter() - begun)
    wall, busy = median(walls), median(_processor_times(sorted(_job_ids("--name=empty") - before)))
    print(f"empty Horovod job of 2 hosts under srun: {wall:.1f} s, processor time {busy:.1f} s", flush=True)
    for mode in options.mode or ("job", "workers"):
        one, all_of_them = (_beyond(folder, mode, trials) for trials in (1, options.trials))
        each = [total / options.trials for total in all_of_them]
        further = [(total - first) / (options.trials - 1) for first, total in zip(one, all_of_them, strict=True)]
        for what, (seconds, spent) in ((f"each of {options.trials} trials", each), ("each but the first", further)):
            print(
                f"{mode}, {what}: {seconds:.2f} s beyond training, {seconds / wall:.2f} of an empty job; processor time "
                f"{spent:.2f} s, {spent / busy:.2f} of an empty job",
                flush=True,
            )


def _beyond(folder: Path, mode: str, trials: int) -> tuple[float, float]:
    """Wall time and processor time of a study of two hosts beyond the training of its trials, s."""
    own, name = _own_processor_time(), f"{mode}-{trials}"
    sweep, seconds = _run(
        folder, name, "--cluster", "slurm", "--nodes", "2", "--mode", mode, "--trials", str(trials), "--parallel", "1",
        "--pruner", "none", *_problem(None, 10),
    )  # fmt: skip
    own = _own_processor_time() - own
    folders = [Path(trial.user_attrs["folder"]) for trial in sweep.trials()]
    outcomes = [outcome for place in folders if (outcome := read_outcome(place)) is not None]
    holders = folders if mode == "job" else list((folder / name / "workers").iterdir())
    jobs = sorted({handle.name for place in holders if (handle := read_handle(place)) is not None})
    spent = sum(_processor_times(jobs)) + own - 2 * sum(outcome.processor_s for outcome in outcomes)
    return seconds - sum(outcome.seconds for outcome in outcomes), spent


def _own_processor_time() -> float:
    """Of this process and the programs that it ran, s."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def _job_ids(*which: str) -> set[str]:
    told = subprocess.run(["sacct", "-n", "-X", "-o", "JobID", *which], check=True, capture_output=True, text=True)
    return set(told.stdout.split())


def _processor_times(jobs: list[str]) -> list[float]:
    """Of jobs that end just now, by Slurm's account, s."""
    command = ["sacct", "-n", "-P", "-o", "JobID,State,TotalCPU", f"--jobs={','.join(jobs)}"]
    while True:
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        whole = [line.split("|") for line in told if line.partition("|")[0] in jobs]  # not their steps, which are in it
        if len(whole) == len(jobs) and not any(state in _UNFINISHED for _, state, _ in whole):
            return [_seconds(spent) for _, _, spent in whole]
        time.sleep(1)


def _seconds(text: str) -> float:
    """Of Slurm's "1:02:03" or "02:03.456"."""
    return sum(float(part) * 60**i for i, part in enumerate(reversed(text.split(":"))))


def measure_pruning(folder: Path, options: argparse.Namespace) -> None:
    """Steps with ASHA by steps without, and both best values; random search with equal seeds draws equal parameters."""
    shares, ends = [], []
    for seed in range(options.seeds):
        curves: list[Curve] = []
        for pruner in ("none", "asha"):
            sweep, _ = _run(
                folder, f"{pruner}-{seed}", "--cluster", "local", "--trials", str(options.trials), "--seed", str(seed), "--sampler",
                "random", "--pruner", pruner, "--parallel", str(options.parallel), "--mode", "workers", *_problem(options.data, 60),
            )  # fmt: skip
            curves.append(curve_of(sweep))
        shares.append(curves[1].steps[-1] / curves[0].steps[-1])
        ends.append((curves[0].end, curves[1].end))
        print(
            f"seed {seed}: {1 - shares[-1]:.0%} of the steps saved; best {ends[-1][0]:.5g} without, {ends[-1][1]:.5g} with"
        )
    print(f"median of {options.seeds} seeds: {1 - median(shares):.0%} of the steps saved", flush=True)


def measure_samplers(folder: Path, options: argparse.Namespace) -> None:
    """Trials until random search's median best, for each sampler."""
    arguments = ["--samplers", "random,grid,tpe,gp", "--seeds", str(options.seeds), "--trials", str(options.trials)]
    more = ["--cluster", "local", "--pruner", "none", "--runs", str(folder), "--parallel", str(options.parallel)]
    assert compare.main([*arguments, *more, *_problem(options.data, 60)]) == 0
    (found,) = folder.glob("*-compare/compare.json")
    print(f"{len(json.loads(found.read_text())['samplers'])} samplers compared", flush=True)


def main() -> int:
    options = parser().parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sweep-", dir=Path.cwd()))  # the nodes of a cluster see it too
    try:
        for name in options.only or ["pruning"]:
            {"overhead": measure_overhead, "pruning": measure_pruning, "samplers": measure_samplers}[name](
                folder, options
            )
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
