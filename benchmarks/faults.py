"""What a run survives: each fault done for real on a test cluster, whether the run ends with the weights of an undisturbed one, and
how long it took to go on. Brings up a cluster of its own (root), and takes it down.

python benchmarks/faults.py
python benchmarks/faults.py --only kill-rank requeue full-disk
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fault_bed import CHECKOUT, Bed, checkpoints, cluster, events, job_of, make_clips, same_run, started, wait_for


def signal_rank(run_dir: Path, number: signal.Signals) -> None:
    """To the process that Slurm started as rank 1.

    Raises:
        RuntimeError: there is none.
    """
    found = False
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words, environ = (set((entry / name).read_bytes().split(b"\0")) for name in ("cmdline", "environ"))
            except OSError:
                continue
            if str(run_dir / "submitit").encode() in words and b"SLURM_PROCID=1" in environ and b"srun" not in words:
                os.kill(int(entry.name), number)
                found = True
    if not found:
        raise RuntimeError("there is no rank 1: the run was quicker than its fault; try more --steps")


def kill_rank(_bed: Bed, run_dir: Path) -> None:
    """kill -9 of rank 1."""
    signal_rank(run_dir, signal.SIGKILL)


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
    signal_rank(run_dir, signal.SIGKILL)
    time.sleep(10)
    bed.fault("restart", "slurmctld")


def comment(bed: Bed, run_dir: Path) -> str:
    """The mark by which the run knows its job."""
    return bed.slurm("squeue", "-h", "-j", job_of(run_dir), "-o", "%k").strip()


def without_slurmdbd(bed: Bed, run_dir: Path) -> None:
    """Accounting stops, a rank dies, and accounting comes back after the run."""
    bed.fault("kill", "slurmdbd")
    signal_rank(run_dir, signal.SIGKILL)


def hang_rank(_bed: Bed, run_dir: Path) -> None:
    """Rank 1 is there and does nothing."""
    signal_rank(run_dir, signal.SIGSTOP)


def corrupt(_bed: Bed, run_dir: Path) -> None:
    """A rank dies, and a byte in the middle of the newest checkpoint is another one when the run reads it."""
    signal_rank(run_dir, signal.SIGKILL)
    newest = checkpoints(run_dir)[-1]
    with newest.open("r+b") as file:
        file.seek(newest.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0xFF]))


def fill_disk(bed: Bed, run_dir: Path) -> Broken:
    """The next checkpoint finds no room, and the next attempt neither; then there is room again."""
    begun = time.time()
    bed.fill()
    job = job_of(run_dir)
    wait_for("a second attempt without room", lambda: "Restarts=2" in bed.slurm("scontrol", "show", "job", job))
    bed.make_room()
    return Broken(begun, time.time(), f"; room after {time.time() - begun:.0f} s")


def time_limits(_bed: Bed, run_dir: Path) -> Broken:
    """Nothing is done: the limit comes again and again."""

    def ends() -> list[dict[str, Any]]:
        return [event for event in events(run_dir) if event["event"] == "stopped" and event.get("step")]

    wait_for("two time limits", lambda: len(ends()) >= 2)
    wait_for("its end", (run_dir / "result.json").exists)
    last = json.loads((run_dir / "result.json").read_text())["step"]
    where = ", ".join(f"{100 * end['step'] / last:.0f} %" for end in ends())
    return Broken(ends()[0]["time"], ends()[0]["time"], f" at {where}")


def requeue(bed: Bed, run_dir: Path) -> None:
    """As an administrator does."""
    bed.slurm("scontrol", "requeue", job_of(run_dir))


def doing(*words: str) -> Callable[[Bed, Path], None]:
    """A fault of the test cluster's own."""
    return lambda bed, _run_dir: bed.fault(*words)


def mending(*words: str) -> Callable[[Bed], None]:
    """The same, afterwards."""
    return lambda bed: bed.fault(*words)


@dataclass(frozen=True)
class Work:
    """What a run does.

    Attributes:
        settings: of the stage, on this cluster.
        share: of `--steps`; 0 when it has its own number.
    """

    settings: Callable[[Bed], tuple[str, ...]]
    share: float = 0.0


SELFTEST = Work(lambda _bed: ("stage=selftest",), 1)
LONG = Work(lambda _bed: ("stage=selftest", "seed=1"), 4)
TRAINING = Work(
    lambda bed: ("stage=vqvae", "preset=tiny", f"data={bed.clips}", "train.steps=80", "train.checkpoint_every=20")
)


@dataclass(frozen=True)
class Broken:
    """What became of a fault: when it began, from when on a start is one that goes on, and more words for the table."""

    begun: float
    since: float
    more: str = ""


@dataclass(frozen=True)
class Fault:
    """One way to break a run: what is done after how many checkpoints, how it is submitted, what mends the cluster afterwards."""

    what: str
    do: Callable[[Bed, Path], Broken | None]
    options: tuple[str, ...] = ()
    mend: Callable[[Bed], None] = lambda bed: None
    work: Work = SELFTEST
    after: int = 1
    stall_s: int | None = None


FAULTS = {
    "kill-rank": Fault("kill -9 of one rank", kill_rank),
    "hang-rank": Fault("a rank hangs (Horovod's stall limit: 60 s)", hang_rank, stall_s=60, work=LONG),
    "requeue": Fault("`scontrol requeue`", requeue),
    "kill-slurmd": Fault(
        "kill -9 of slurmd on one node", doing("kill", "t4-2/slurmd"), mend=mending("restart", "t4-2/slurmd")
    ),
    "kill-node": Fault("a node loses its power", doing("kill", "t4-2"), mend=mending("restart", "t4-2")),
    "cut-60": Fault("a node's network is cut for 60 s", cut_and_heal),
    "cut": Fault("a node's network is cut for good", doing("cut", "t4-2"), mend=mending("heal", "t4-2")),
    "preempt": Fault("preempted by a job of a higher partition", preempt, ("--partition", "low")),
    "time-limit": Fault("time limits", time_limits, work=LONG, after=0),
    "full-disk": Fault("full disk from a checkpoint on", fill_disk, mend=Bed.make_room, work=TRAINING),
    "corrupt": Fault("the newest checkpoint corrupted, a rank killed", corrupt, work=TRAINING, after=2),
    "slurmctld": Fault(
        "slurmctld killed, a rank killed, slurmctld restarted 10 s later (Horovod's stall limit: 60 s)",
        restart_slurmctld,
        work=LONG,
        stall_s=60,
    ),
    "slurmdbd": Fault("slurmdbd stopped, a rank killed", without_slurmdbd, mend=mending("restart", "slurmdbd")),
}


def submit(bed: Bed, name: str, work: Work, steps: int, fault: Fault | None = None) -> Path:
    """A run of two nodes."""
    settings = work.settings(bed) + ((f"steps={round(steps * work.share)}",) if work.share else ())
    runs = bed.small if work is TRAINING else bed.runs
    environment = {"HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": str(fault.stall_s)} if fault and fault.stall_s else {}
    options = fault.options if fault else ()
    bed.submit("--runs", str(runs), "--name", name, "--nodes", "2", *options, *settings, **environment)
    return runs / name


def measure(bed: Bed, name: str, fault: Fault, steps: int, calm: Path) -> str:
    """A row of the table."""
    run_dir = submit(bed, name, fault.work, steps, fault)
    wait_for("a checkpoint", lambda: len(checkpoints(run_dir)) >= fault.after)
    begun, what = time.time(), fault.what
    try:
        broken = fault.do(bed, run_dir) or Broken(begun, begun)
        what += broken.more
        wait_for("its end", lambda: (run_dir / "result.json").exists() or events(run_dir)[-1]["event"] == "gave up")
        if not (run_dir / "result.json").exists():
            return f"| {what} | never | no: {events(run_dir)[-1]['error']} |"
    except RuntimeError as error:
        return f"| {what} | never | no: {error}; {events(run_dir)[-1]} |"
    finally:
        fault.mend(bed)
    later = [start for start in started(run_dir) if start > broken.since]
    took = f"{later[0] - broken.begun:.0f} s" if later else "it never stopped"
    return f"| {what} | {took} | {'yes' if same_run(run_dir, calm) else 'NO'} |"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, examples = (__doc__ or "").split("\n\n")
    top = argparse.ArgumentParser(
        description=summary, epilog=f"examples:\n{examples}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--only", nargs="+", choices=tuple(FAULTS), help="some of the faults")
    top.add_argument(
        "--steps", type=int, default=1000,
        help="of a run of the self-test, four times as many where time has to pass; a checkpoint at half of them (default: 1000)",
    )  # fmt: skip
    top.add_argument(
        "--minutes", type=int, default=1,
        help="time limit in the row of that name, which needs --steps for three of them: 8000 on a quiet machine (default: 1)",
    )  # fmt: skip
    top.add_argument("--dir", type=Path, default=CHECKOUT / ".cluster-test-faults", help="folder of the cluster")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Break runs, and print a table; 0 when all ended as the undisturbed one."""
    options = parser().parse_args(arguments)
    rows: list[str] = []
    calm: dict[Work, Path] = {}
    with cluster(options.dir.resolve(), (CHECKOUT / "build" / f"faults-{os.getpid()}").resolve()) as bed:
        print("| fault | goes on after | same weights and record as undisturbed |\n|---|---|---|", flush=True)
        for name in options.only or FAULTS:
            work = FAULTS[name].work
            if work not in calm:
                if work is TRAINING:
                    make_clips(bed)
                calm[work] = submit(bed, f"calm-{len(calm)}", work, options.steps)
                wait_for("the undisturbed run", (calm[work] / "result.json").exists)
            fault = FAULTS[name]
            if name == "time-limit":
                limit = str(options.minutes)
                fault = replace(fault, what=f"time limits of {limit} min", options=("--time", limit))
            rows.append(measure(bed, name, fault, options.steps, calm[work]))
            print(rows[-1], flush=True)
            wait_for("idle nodes", lambda: set(bed.slurm("sinfo", "-h", "-p", "t4", "-o", "%t").split()) == {"idle"})
    return 0 if all(row.endswith("| yes |") for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
