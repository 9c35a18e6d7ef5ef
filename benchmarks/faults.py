"""What a run survives: each fault done for real on a test cluster, whether the run ends with the weights of an undisturbed one, and
how long it took to go on. Brings up a cluster of its own (root), and takes it down.

python benchmarks/faults.py
python benchmarks/faults.py --only kill-rank requeue --steps 400
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
_PATIENCE_S = 600


@dataclass(frozen=True)
class Bed:
    """A test cluster, and the folder of the runs on it."""

    folder: Path
    runs: Path

    def fault(self, *words: str) -> None:
        """Break it, or mend it."""
        self._command([sys.executable, "-m", "slurm.testbed", "--dir", str(self.folder), "fault", *words])

    def testbed(self, *words: str) -> None:
        """up or down."""
        self._command([sys.executable, "-m", "slurm.testbed", "--dir", str(self.folder), *words])

    def slurm(self, *words: str) -> str:
        """A command of Slurm's, or of ours, on it."""
        return self._command(list(words))

    def _command(self, words: list[str]) -> str:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
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


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    """RuntimeError when it does not come."""
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come within {_PATIENCE_S} s")
        time.sleep(0.1)


def kill_rank(_bed: Bed, run_dir: Path) -> None:
    """kill -9 of rank 1."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words, environ = (set((entry / name).read_bytes().split(b"\0")) for name in ("cmdline", "environ"))
            except OSError:
                continue
            if str(run_dir / "submitit").encode() in words and b"SLURM_PROCID=1" in environ and b"srun" not in words:
                os.kill(int(entry.name), signal.SIGKILL)


def cut_and_heal(bed: Bed, _run_dir: Path) -> None:
    """A node without its network for 60 s."""
    bed.fault("cut", "t4-2")
    time.sleep(60)
    bed.fault("heal", "t4-2")


def preempt(bed: Bed, _run_dir: Path) -> None:
    """A job of the higher partition takes all nodes for a moment."""
    bed.slurm("srun", "-p", "t4", "-N4", "--exclusive", "sleep", "1")


def restart_slurmctld(bed: Bed, run_dir: Path) -> None:
    """The controller is away for ten seconds, and a rank dies meanwhile."""
    bed.slurm("scontrol", "update", f"JobId={job_of(run_dir)}", "Comment=" + comment(bed, run_dir))
    time.sleep(6)  # what it learnt in its last seconds dies with it
    bed.fault("kill", "slurmctld")
    kill_rank(bed, run_dir)
    time.sleep(10)
    bed.fault("restart", "slurmctld")


def comment(bed: Bed, run_dir: Path) -> str:
    """The mark by which the run knows its job."""
    return bed.slurm("squeue", "-h", "-j", job_of(run_dir), "-o", "%k").strip()


def without_slurmdbd(bed: Bed, run_dir: Path) -> None:
    """Accounting stops, a rank dies, and accounting comes back after the run."""
    bed.fault("kill", "slurmdbd")
    kill_rank(bed, run_dir)


@dataclass(frozen=True)
class Fault:
    """One way to break a run: what is done, how it is submitted, and what mends the cluster afterwards."""

    what: str
    do: Callable[[Bed, Path], None]
    options: tuple[str, ...] = ()
    mend: Callable[[Bed], None] = lambda bed: None


def requeue(bed: Bed, run_dir: Path) -> None:
    """As an administrator does."""
    bed.slurm("scontrol", "requeue", job_of(run_dir))


def doing(*words: str) -> Callable[[Bed, Path], None]:
    """A fault of the test cluster's own."""
    return lambda bed, _run_dir: bed.fault(*words)


def mending(*words: str) -> Callable[[Bed], None]:
    """The same, afterwards."""
    return lambda bed: bed.fault(*words)


FAULTS = {
    "kill-rank": Fault("kill -9 of one rank", kill_rank),
    "requeue": Fault("scontrol requeue", requeue),
    "kill-slurmd": Fault(
        "kill -9 of slurmd on one node", doing("kill", "t4-2/slurmd"), mend=mending("restart", "t4-2/slurmd")
    ),
    "kill-node": Fault("a node loses its power", doing("kill", "t4-2"), mend=mending("restart", "t4-2")),
    "cut-60": Fault("a node's network is cut for 60 s", cut_and_heal),
    "cut": Fault("a node's network is cut for good", doing("cut", "t4-2"), mend=mending("heal", "t4-2")),
    "preempt": Fault("preempted by a job of a higher partition", preempt, ("--partition", "low")),
    "slurmctld": Fault("slurmctld killed, a rank killed, slurmctld restarted 10 s later", restart_slurmctld),
    "slurmdbd": Fault("slurmdbd stopped, a rank killed", without_slurmdbd, mend=mending("restart", "slurmdbd")),
}


def submit(bed: Bed, name: str, steps: int, options: tuple[str, ...]) -> Path:
    """A run of two nodes."""
    words = ["--runs", str(bed.runs), "--name", name, "--nodes", "2", *options, "stage=selftest", f"steps={steps}"]
    bed.slurm(sys.executable, "-m", "hpc.submit", *words)
    return bed.runs / name


def same_weights(first: Path, second: Path) -> bool:
    """Bit for bit."""
    import torch

    left, right = (torch.load(path / "weights.pt", weights_only=True) for path in (first, second))
    return list(left) == list(right) and all(torch.equal(left[name], right[name]) for name in left)


def measure(bed: Bed, name: str, fault: Fault, steps: int, calm: Path) -> str:
    """A row of the table."""
    run_dir = submit(bed, name, steps, fault.options)
    wait_for("a checkpoint", lambda: bool(list((run_dir / "checkpoints").glob("step-*.json"))))
    begun, before = time.time(), len(started(run_dir))
    fault.do(bed, run_dir)
    try:
        wait_for("its end", lambda: (run_dir / "result.json").exists() or events(run_dir)[-1]["event"] == "gave up")
        if not (run_dir / "result.json").exists():
            return f"| {fault.what} | never | no: {events(run_dir)[-1]['error']} |"
    except RuntimeError as error:
        return f"| {fault.what} | never | no: {error}; {events(run_dir)[-1]} |"
    finally:
        fault.mend(bed)
    later = started(run_dir)[before:]
    took = f"{later[0] - begun:.0f} s" if later else "it never stopped"
    return f"| {fault.what} | {took} | {'yes' if same_weights(run_dir, calm) else 'NO'} |"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, examples = (__doc__ or "").split("\n\n")
    top = argparse.ArgumentParser(
        description=summary, epilog=f"examples:\n{examples}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--only", nargs="+", choices=tuple(FAULTS), help="some of the faults")
    top.add_argument(
        "--steps", type=int, default=1000, help="of each run; a checkpoint at half of them (default: 1000)"
    )
    top.add_argument("--dir", type=Path, default=CHECKOUT / ".cluster-test-faults", help="folder of the cluster")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Break runs, and print a table; 0 when all ended as the undisturbed one."""
    options = parser().parse_args(arguments)
    bed = Bed(options.dir.resolve(), (CHECKOUT / "build" / f"faults-{os.getpid()}").resolve())
    bed.testbed("up")
    try:
        calm = submit(bed, "calm", options.steps, ())
        wait_for("the undisturbed run", (calm / "result.json").exists)
        rows = []
        print("| fault | goes on after | same weights as undisturbed |\n|---|---|---|", flush=True)
        for name in options.only or FAULTS:
            rows.append(measure(bed, name, FAULTS[name], options.steps, calm))
            print(rows[-1], flush=True)
            wait_for("idle nodes", lambda: set(bed.slurm("sinfo", "-h", "-p", "t4", "-o", "%t").split()) == {"idle"})
    finally:
        bed.testbed("down")
    return 0 if all(row.endswith("| yes |") for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
