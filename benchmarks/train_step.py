"""What our training loop costs: ÷ a bare PyTorch loop; two Horovod ranks ÷ two independent processes, and ÷ torch DDP (Gloo).

    python benchmarks/train_step.py                  # about 15 minutes on 2 cores
    python benchmarks/train_step.py --quick          # about 4 minutes, rough
    python benchmarks/train_step.py --only pairs --rounds 5
    HOROVOD_CYCLE_TIME=1 python benchmarks/train_step.py --only pairs      # another setting of Horovod
    python benchmarks/train_step.py --only pairs model=residual model.channels=192     # ours: five codebooks, five collectives

The model is the paper's, widened to 256 channels (4.3 M weights, EMA codebook of 1,024 codes), on crops of 256x144 from shards
made first;
every process has one thread. All variants but "bare" run `v2a.training.loop.train`: DDP and Horovod differ in their collectives
only, the codebook's included. Variants take turns, so that a slow minute of the machine meets them all; the load is printed.
The time of a step is the median over windows of five steps, of which a record is written. Memory is that of preset=tiny.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

PYTHON, ROOT = sys.executable, Path(__file__).resolve().parents[1]
WINDOW = 5
MODEL = ("model=paper", "model.channels=256", "quantizer=ema", "train.batch=1", "train.warmup=5")
PAIRS = {
    "independent": [],
    "horovod-mpi": ["mpirun", "--allow-run-as-root", "--oversubscribe", "-np", "2"],
    "horovod-gloo": [PYTHON, "-m", "horovod.runner.launch", "-np", "2", "--gloo", "--network-interfaces", "lo"],
    "ddp-gloo": [PYTHON, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29514"],
}


# --- one process ------------------------------------------------------------------------------------------------------


class TorchComm:
    """`v2a.comm.Comm` over torch.distributed, whose gradients DistributedDataParallel averages."""

    def __init__(self) -> None:
        import torch
        import torch.distributed as dist

        dist.init_process_group("gloo")
        self._dist, self._contiguous = dist, torch.contiguous_format
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.local_rank = self.rank

    def all_reduce(self, tensor, reduction="sum"):
        """A new tensor."""
        out = tensor.clone(memory_format=self._contiguous)
        self._dist.all_reduce(out, self._dist.ReduceOp.SUM if reduction == "sum" else self._dist.ReduceOp.MAX)
        return out

    def broadcast(self, tensor, root=0):
        """A new tensor."""
        out = tensor.clone(memory_format=self._contiguous)
        self._dist.broadcast(out, root)
        return out

    def barrier(self):
        """Wait for all."""
        self._dist.barrier()

    def wrap_optimizer(self, optimizer, named_parameters, passes=1, compression="none"):
        """The gradients are DDP's."""
        from v2a.comm import LocalComm

        return LocalComm().wrap_optimizer(optimizer, named_parameters, passes, compression)


def make_comm(variant: str):
    """The ranks of a variant."""
    if variant.startswith("horovod"):
        from hpc.horovod_comm import HorovodComm

        return HorovodComm()
    if variant == "ddp-gloo":
        return TorchComm()
    from v2a.comm import LocalComm

    return LocalComm()


def make_task(config, clips, comm, variant: str):
    """The stage's own; under DDP its network is called through DistributedDataParallel."""
    import torch

    from v2a.models.make import make_vqvae
    from v2a.vqvae.task import VQVAETask

    model = make_vqvae(config.model, config.quantizer, comm, config.train.seed)
    task = VQVAETask(model, torch.device("cpu"), config, fps=clips.geometry.fps)
    if variant != "ddp-gloo":
        return task
    through = torch.nn.parallel.DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)

    class Through(VQVAETask):
        """Calls DDP; `model`, which is saved, stays what it is."""

        def loss(self, batch, step):
            self.model = through
            try:
                return super().loss(batch, step)
            finally:
                self.model = model

    return Through(model, torch.device("cpu"), config, fps=clips.geometry.fps)


def run_bare(task, feed, config, steps: int, clock: Clock) -> None:
    """What somebody writes who wants nothing but to train."""
    import torch

    optimizer = torch.optim.AdamW(task.model.parameters(), lr=config.train.lr)
    batches = feed.batches()
    for step in range(steps):
        clock.tick()
        optimizer.zero_grad()
        loss = task.loss(next(batches), step)["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.model.parameters(), 1.0)
        optimizer.step()
    clock.tick()


class Clock:
    """Wall and processor time at each step's begin, and the memory."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.resident: list[int] = []

    def tick(self) -> bool:
        """Asked by the loop whether it should stop, once a step."""
        self.wall.append(time.perf_counter())
        self.cpu.append(time.process_time())
        self.resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
        return False

    def medians(self) -> dict[str, float]:
        """Milliseconds of a step over windows, without the first one."""
        found = {}
        for name, times in (("ms", self.wall), ("cpu", self.cpu)):
            windows = [times[at + WINDOW] - times[at] for at in range(WINDOW, len(times) - WINDOW, WINDOW)]
            found[name] = 1000 * statistics.median(windows) / WINDOW
        return found


def run_rank(variant: str, folder: Path, settings: list[str], meet: int) -> None:
    """One process of a variant; rank 0, and every independent process, prints what it measured."""
    import torch

    from v2a.loading.dataset import ClipDataset
    from v2a.loading.feed import ClipFeed
    from v2a.stages import Context, load_config
    from v2a.tasks import SerialTasks
    from v2a.training import loop

    torch.set_num_threads(1)
    config = load_config("vqvae", [*settings, f"data={folder}", f"train.log_every={WINDOW}", "train.workers=0"])
    comm, clock, waits = make_comm(variant), Clock(), []
    clips = ClipDataset(folder, "train", frames=config.crop, with_audio=False)
    task = make_task(config, clips, comm, variant)
    feed = ClipFeed(clips, None, batch=config.train.batch, comm=comm, seed=0)
    saves = _timed_saves(loop)
    if meet:
        _meet(folder.parent / "meet", meet)
    with tempfile.TemporaryDirectory() if comm.rank == 0 else nullcontext(str(folder.parent / "unused")) as out:
        if variant == "bare":
            run_bare(task, feed, config, config.train.steps, clock)
        else:
            context = Context(
                comm, SerialTasks(), Path(out), lambda _, said: waits.append(said.get("data_wait", 0)), clock.tick
            )
            loop.train(task, feed, config.train, context, torch.device("cpu"))
    if comm.rank == 0:
        found = {**clock.medians(), "wait": statistics.median(waits or [0]), "saves": saves}
        print(json.dumps({**found, "resident": clock.resident[:: max(1, len(clock.resident) // 10)]}), flush=True)


def _timed_saves(loop) -> list[float]:
    """Seconds of each checkpoint, as they are written."""
    saves: list[float] = []
    save = loop._Trainer._save

    def timed(self, score):
        begun = time.perf_counter()
        save(self, score)
        saves.append(time.perf_counter() - begun)

    loop._Trainer._save = timed
    return saves


def _meet(folder: Path, processes: int) -> None:
    """Independent processes begin together."""
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < processes:
        time.sleep(0.01)


# --- all of them ------------------------------------------------------------------------------------------------------


def make_data(folder: Path, clips: int, width: int, height: int, seconds: float) -> None:
    """Shards of moving stripes."""
    import numpy as np

    from v2a.geometry import Geometry
    from v2a.shards.manifest import write_manifest
    from v2a.shards.records import Clip, ClipRow
    from v2a.shards.splits import Splits
    from v2a.shards.writer import ShardWriter

    folder.mkdir()
    geometry = Geometry(width=width, height=height, segment_s=seconds, sample_rate=1600)
    x, y = np.meshgrid(np.linspace(0, 9, width), np.linspace(0, 6, height))
    with ShardWriter(folder, geometry, prefix="bench") as writer:
        for number in range(clips):
            phases = [np.sin(x + number + 0.3 * t) * np.cos(y - 0.1 * number * t) for t in range(geometry.frames)]
            video = np.stack([(np.stack([p, p * y / 6, p * x / 9], -1) * 120 + 128).astype(np.uint8) for p in phases])
            row = ClipRow(
                source=f"{number}", content=f"{number:032x}", group=f"{number:032x}", label="", segment=0, start_s=0.0,
                frames=geometry.frames, has_audio=False, level_db=-100.0, motion=1.0,
            )  # fmt: skip
            writer.add(Clip(video, np.zeros(geometry.samples, np.int16), row))
    write_manifest(folder, geometry, {"fit": "stretch"}, Splits(0.0, 0.0))


def measure(variant: str, folder: Path, settings: list[str]) -> dict:
    """One turn of a variant: what its first process said, times as means over independent processes."""
    rank = [__file__, "--rank", variant, "--folder", str(folder), *settings]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    meet = folder.parent / "meet"
    meet.mkdir(exist_ok=True)
    for path in meet.iterdir():
        path.unlink()
    count = 2 if variant == "independent" else 1
    if variant == "independent":
        rank[1:1] = ["--meet", "2"]
    launch = [*PAIRS.get(variant, []), *([] if variant == "ddp-gloo" else [PYTHON]), *rank]
    running = [
        subprocess.Popen(launch, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(count)
    ]
    said = []
    for process in running:
        output, errors = process.communicate()
        line = next((line for line in output.splitlines() if '"ms"' in line), None)
        if process.returncode or line is None:
            raise SystemExit(f"{variant} failed:\n{output}\n{errors}")
        said.append(json.loads(line[line.index("{") : line.rindex("}") + 1]))
    return {**said[0], **{name: statistics.mean(each[name] for each in said) for name in ("ms", "cpu")}}


def in_turns(variants: list[str], folder: Path, settings: list[str], rounds: int) -> dict[str, list[dict]]:
    """Each variant once in each round; prints medians."""
    found: dict[str, list[dict]] = {variant: [] for variant in variants}
    for number in range(rounds):
        for variant in variants if number % 2 == 0 else reversed(variants):
            found[variant].append(measure(variant, folder, settings))
            print(f"  {variant:<13} {found[variant][-1]['ms']:7.1f} ms, load {os.getloadavg()[0]:.1f}", flush=True)
    for variant, each in found.items():
        walls, cpus = ([one[name] for one in each] for name in ("ms", "cpu"))
        print(
            f"{variant:<13} {statistics.median(walls):7.1f} ms ({min(walls):.1f} to {max(walls):.1f}), "
            f"processor {statistics.median(cpus):7.1f} ms"
        )
    return found


def ratio(found: dict[str, list[dict]], one: str, other: str, limit: float) -> None:
    """Median over rounds of the ratio within a round."""
    for name, what in (("ms", "time"), ("cpu", "processor time")):
        ratios = [a[name] / b[name] for a, b in zip(found[one], found[other], strict=True)]
        aim = f", at most {limit}" if name == "ms" else ""
        print(f"{one} ÷ {other}, {what}: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}){aim}")


def compare_loops(folder: Path, options: argparse.Namespace) -> None:
    """Our loop ÷ a bare one, data wait, checkpoints."""
    found = in_turns(["bare", "ours"], folder, _settings(options), options.rounds)
    ratio(found, "ours", "bare", 1.03)
    print(f"data wait {statistics.median(one['wait'] for one in found['ours']):.4f} of a step's time, at most 0.03")
    save = statistics.median(second for one in found["ours"] for second in one["saves"])
    step = statistics.median(one["ms"] for one in found["ours"]) / 1000
    share = save / (100 * step)
    print(f"a checkpoint takes {1000 * save:.0f} ms: every 100 steps {1 + share:.4f} of never, at most 1.03")


def compare_pairs(folder: Path, options: argparse.Namespace) -> None:
    """Two ranks ÷ two independent processes."""
    found = in_turns(options.variants, folder, _settings(options), options.rounds)
    for variant in options.variants:
        if variant.startswith("horovod"):
            ratio(found, variant, "independent", 1.08)
            if "ddp-gloo" in found:
                ratio(found, variant, "ddp-gloo", 1.0)


def watch_memory(folder: Path, options: argparse.Namespace) -> None:
    """Resident bytes of a long run."""
    steps = 500 if options.quick else 2000
    small = folder.parent / "small"
    make_data(small, 20, 64, 32, 3.2)
    settings = [
        "preset=tiny",
        "model=paper",
        f"train.steps={steps}",
        "train.checkpoint_every=100",
        "train.validate_every=0",
    ]
    resident = measure("ours", small, settings)["resident"]
    print(f"memory of {steps} steps, MB at every tenth: {' '.join(f'{value / 2**20:.0f}' for value in resident)}")
    print(f"end ÷ step {steps // 10}: {resident[-1] / resident[1]:.3f}")


def _settings(options: argparse.Namespace) -> list[str]:
    steps = WINDOW * (options.windows + 1)
    return [
        *MODEL,
        *options.settings,
        f"train.steps={steps}",
        f"train.checkpoint_every={steps}",
        "train.validate_every=0",
    ]


PARTS = {"loops": compare_loops, "pairs": compare_pairs, "memory": watch_memory}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--quick", action="store_true", help="one round of three windows; 500 steps for the memory")
    top.add_argument("--rounds", type=int, default=3, help="turns of each variant (default: 3)")
    top.add_argument("--windows", type=int, default=6, help=f"windows of {WINDOW} steps in a turn (default: 6)")
    top.add_argument("--only", choices=PARTS, help="one part of it")
    top.add_argument("--variants", nargs="+", default=list(PAIRS), choices=PAIRS, help="of the pairs")
    top.add_argument("--rank", help=argparse.SUPPRESS)
    top.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    top.add_argument("--meet", type=int, default=0, help=argparse.SUPPRESS)
    top.add_argument("settings", nargs="*", metavar="key=value", help="of the stage")
    return top


def main() -> None:
    """Measure every part in turns and print ratios."""
    options = parser().parse_intermixed_args()
    if options.rank:
        run_rank(options.rank, options.folder, options.settings, options.meet)
        return
    if options.quick:
        options.rounds, options.windows = 1, 3
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "clips"
        make_data(folder, 24, 256, 144, 4.8)
        for name, part in PARTS.items():
            if options.only in (None, name):
                print(f"== {name}; load {os.getloadavg()[0]:.1f}", flush=True)
                part(folder, options)


if __name__ == "__main__":
    main()
