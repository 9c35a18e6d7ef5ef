"""What a sweep costs beside its training, and what pruning and a sampler save. Ratios, each of one run.

python benchmarks/sweep.py --only pruning --seeds 5 --trials 16
python benchmarks/sweep.py --only samplers --seeds 5 --trials 48
python benchmarks/sweep.py --only overhead --trials 4        on a cluster: job and workers mode beside an empty Horovod job
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from sweeps import compare, optuna_run
from sweeps.curves import Curve, curve_of
from sweeps.place import find_place
from sweeps.storage import open_storage
from sweeps.study import Sweep, open_sweep
from sweeps.trial_folder import read_outcome

_EMPTY = "import horovod.torch as hvd; hvd.init(); hvd.allreduce(__import__('torch').ones(1)); hvd.shutdown()"


def parser() -> argparse.ArgumentParser:
    summary, examples = (__doc__ or "").strip().split("\n\n", 1)
    top = argparse.ArgumentParser(
        description=summary, epilog=f"examples:\n{examples}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--only", choices=("overhead", "pruning", "samplers"), action="append", help="default: pruning")
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
    """Time per trial beyond its training, by that of an empty job of two hosts under bare srun."""
    srun = ["srun", "-N2", "--ntasks-per-node=1", "--mpi=pmix", sys.executable, "-c", _EMPTY]
    empty = []
    for _ in range(3):
        begun = time.perf_counter()
        subprocess.run(srun, check=True)
        empty.append(time.perf_counter() - begun)
    print(f"empty Horovod job of 2 hosts under srun: {median(empty):.1f} s")
    for mode in ("job", "workers"):
        sweep, seconds = _run(
            folder, mode, "--cluster", "slurm", "--nodes", "2", "--mode", mode, "--trials", str(options.trials), "--parallel", "1",
            "--pruner", "none", *_problem(None, 10),
        )  # fmt: skip
        outcomes = [read_outcome(Path(trial.user_attrs["folder"])) for trial in sweep.trials()]
        trained = sum(outcome.seconds for outcome in outcomes if outcome is not None)
        beyond = (seconds - trained) / options.trials
        print(
            f"{mode}: {beyond:.1f} s a trial beyond training, {beyond / median(empty):.2f} of an empty job", flush=True
        )


def measure_pruning(folder: Path, options: argparse.Namespace) -> None:
    """Steps with ASHA by steps without, and both best values; random search with equal seeds draws equal parameters."""
    shares, ends = [], []
    for seed in range(options.seeds):
        curves: list[Curve] = []
        for pruner in ("none", "asha"):
            sweep, _ = _run(
                folder, f"{pruner}-{seed}", "--cluster", "local", "--trials", str(options.trials), "--seed", str(seed), "--sampler",
                "random", "--pruner", pruner, "--parallel", str(options.parallel), *_problem(options.data, 60),
            )  # fmt: skip
            curves.append(curve_of(sweep, 60 if options.data is None else 200))
        shares.append(curves[1].steps[-1] / curves[0].steps[-1])
        ends.append((curves[0].best[-1], curves[1].best[-1]))
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
