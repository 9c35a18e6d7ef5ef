"""What data-parallel training costs per step: two ranks under Horovod (MPI, Gloo) and torch DDP (Gloo) ÷ two independent processes.

    python benchmarks/allreduce.py                 # about 3 minutes on 2 cores
    python benchmarks/allreduce.py --rounds 1 --steps 10

The reference is two independent processes side by side, because on one machine they share its cores and memory as two ranks do.
Variants take turns, so that a slow minute of the machine meets them all.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

PYTHON = sys.executable
WARM_UP = 5


def build_model():
    """12.6 M parameters: three layers, large ones, as in a fully connected audio decoder."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    torch.set_num_threads(1)
    return nn.Sequential(nn.Linear(1024, 4096), nn.ReLU(), nn.Linear(4096, 2048), nn.ReLU(), nn.Linear(2048, 16))


def train(model, optimizer, steps: int) -> float:
    """Median milliseconds of a step after a warm-up."""
    import torch

    batch = torch.randn(32, 1024)
    times = []
    for _ in range(WARM_UP + steps):
        start = time.perf_counter()
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times[WARM_UP:])


def run_rank(variant: str, steps: int) -> None:
    """One process of a variant; rank 0 prints its milliseconds per step."""
    import torch

    model, rank = build_model(), 0
    if variant == "independent":
        optimizer = torch.optim.AdamW(model.parameters())
    elif variant == "ddp-gloo":
        torch.distributed.init_process_group("gloo")
        rank = torch.distributed.get_rank()
        model = torch.nn.parallel.DistributedDataParallel(model)
        optimizer = torch.optim.AdamW(model.parameters())
    else:
        import horovod.torch as hvd

        hvd.init()
        rank = hvd.rank()
        assert hvd.size() == 2
        optimizer = hvd.DistributedOptimizer(
            torch.optim.AdamW(model.parameters()), named_parameters=model.named_parameters()
        )
    milliseconds = train(model, optimizer, steps)
    if rank == 0:
        print(json.dumps({"ms": milliseconds}), flush=True)
    if variant == "ddp-gloo":
        torch.distributed.destroy_process_group()


def measure(variant: str, steps: int) -> float:
    """Milliseconds per step of two processes of a variant."""
    rank = [PYTHON, __file__, "--rank", variant, "--steps", str(steps)]
    if variant == "independent":
        pair = [subprocess.Popen(rank, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        return statistics.mean(json.loads(process.communicate()[0])["ms"] for process in pair)
    launch = {
        "horovod-mpi": ["mpirun", "--allow-run-as-root", "--oversubscribe", "-np", "2"],
        "horovod-gloo": [PYTHON, "-m", "horovod.runner.launch", "-np", "2", "--gloo", "--network-interfaces", "lo"],
        "ddp-gloo": [PYTHON, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29513"],
    }[variant]
    command = [*launch, *(rank[1:] if variant == "ddp-gloo" else rank)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    line = next(line for line in done.stdout.splitlines() if '"ms"' in line)
    return json.loads(line[line.index("{") :])["ms"]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--steps", type=int, default=60, help="measured steps of each run (default: 60)")
    top.add_argument("--rounds", type=int, default=3, help="how often each variant has its turn (default: 3)")
    top.add_argument("--rank", help=argparse.SUPPRESS)
    return top


def main() -> None:
    """Measure every variant in turns and print ratios."""
    options = parser().parse_args()
    if options.rank:
        run_rank(options.rank, options.steps)
        return
    variants = ("independent", "horovod-mpi", "horovod-gloo", "ddp-gloo")
    found: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in range(options.rounds):
        for variant in variants:
            found[variant].append(measure(variant, options.steps))
    reference = statistics.median(found["independent"])
    print("12.6 M parameters, 2 processes of 1 thread, ms per step (median of rounds), ratio to independent processes")
    for variant, values in found.items():
        middle = statistics.median(values)
        print(f"{variant:<13} {middle:7.1f} ms   {middle / reference:5.2f}   ({min(values):.1f} to {max(values):.1f})")


if __name__ == "__main__":
    main()
