"""A test cluster on which runs are broken (`benchmarks/faults.py`): its commands, what a run's folder says, and whether two runs
are the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
_PATIENCE_S = 1800  # for a machine that is busy with other things
_SMALL_BYTES = 1300 << 20  # a run wants a gigabyte of free space before it begins
_LEFT_BYTES = 1_000_000  # room for records, and for half a checkpoint of stage 1
_CLIPS = ("n=12", "seed=1", "seconds=4", "width=128", "height=72")


@dataclass(frozen=True)
class Bed:
    """A test cluster, and the folder of the runs on it; below it a small file system of its own, which can be filled."""

    folder: Path
    runs: Path

    @property
    def small(self) -> Path:
        """The small file system, seen by all nodes."""
        return self.runs / "small"

    @property
    def clips(self) -> Path:
        """Made-up clips for stage 1."""
        return self.runs / "clips"

    def fill(self) -> None:
        """Leave hardly any room on the small file system."""
        with (self.small / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(self.small).free - _LEFT_BYTES)

    def make_room(self) -> None:
        """As a person would who was told."""
        (self.small / "ballast").unlink(missing_ok=True)

    def fault(self, *words: str) -> None:
        """Break it, or mend it."""
        self._command([sys.executable, "-m", "slurm.testbed", "--dir", str(self.folder), "fault", *words])

    def testbed(self, *words: str) -> None:
        """up or down."""
        self._command([sys.executable, "-m", "slurm.testbed", "--dir", str(self.folder), *words])

    def slurm(self, *words: str) -> str:
        """A command of Slurm's, or of ours, on it."""
        return self._command(list(words))

    def submit(self, *words: str, **environment: str) -> None:
        """`python -m hpc.submit`."""
        self._command([sys.executable, "-m", "hpc.submit", *words], **environment)

    def _command(self, words: list[str], **environment: str) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
        environ = {**kept, **environment}
        environ["SLURM_CONF"] = str(self.folder / "etc" / "slurm.conf")
        done = subprocess.run(words, cwd=CHECKOUT, env=environ, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{words}: {done.stdout}{done.stderr}")
        return done.stdout


def events(run_dir: Path) -> list[dict[str, Any]]:
    """The run's record."""
    path = run_dir / "attempts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def started(run_dir: Path) -> list[float]:
    """When its attempts began."""
    return [event["time"] for event in events(run_dir) if event["event"] == "started"]


def job_of(run_dir: Path) -> str:
    """Slurm's number of it."""
    return str(next(event["job_id"] for event in events(run_dir) if event["event"] == "submitted"))


def checkpoints(run_dir: Path) -> list[Path]:
    """Whole ones, oldest first."""
    return sorted(path.with_suffix(".pt") for path in (run_dir / "checkpoints").glob("step-*.json"))


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    """RuntimeError when it does not come."""
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come within {_PATIENCE_S} s")
        time.sleep(0.1)


def same_run(first: Path, second: Path) -> bool:
    """Weights, buffers and optimizer at the end bit for bit, and the same steps in the record, each once."""
    import torch

    left, right = (torch.load(checkpoints(path)[-1], weights_only=True) for path in (first, second))
    same = all(_equal(left[name], right[name]) for name in ("step", "model", "optimizer"))
    return same and steps_recorded(first) == steps_recorded(second)


def steps_recorded(run_dir: Path) -> list[int]:
    """In the order of `metrics.jsonl`."""
    lines = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return [line["step"] for line in lines if "loss" in line]


def _equal(one: Any, other: Any) -> bool:
    import torch

    if isinstance(one, dict):
        return list(one) == list(other) and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else bool(one == other)


def make_clips(bed: Bed) -> None:
    """For stage 1."""
    videos = bed.runs / "videos"
    bed.slurm(sys.executable, "-m", "v2a.synthetic", "flyby", f"out={videos}", *_CLIPS)
    bed.slurm(
        sys.executable, "-m", "v2a.prepare", "--workers", "0", f"videos={videos}", f"out={bed.clips}", "preset=tiny"
    )


@contextmanager
def cluster(folder: Path, runs: Path) -> Iterator[Bed]:
    """Up, with its small file system, and down again."""
    bed = Bed(folder, runs)
    bed.small.mkdir(parents=True)
    size = f"size={_SMALL_BYTES}"
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "v2a-faults", str(bed.small)], check=True
    )  # before the nodes begin
    try:
        bed.testbed("up")
        (bed.small / "seen").touch()
        bed.slurm("srun", "-N4", "ls", str(bed.small / "seen"))  # a node's /tmp is its own: no checkout there
        yield bed
    finally:
        bed.testbed("down")
        subprocess.run(["umount", str(bed.small)], check=True)
