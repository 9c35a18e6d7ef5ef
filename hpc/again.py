"""What becomes of a run when its ranks have ended before its end: it goes on by itself, or it stops with the reason in front.

The batch script runs this on the job's first node when its ranks are gone, whatever ended them:

python -m hpc.again --run-dir runs/vqvae-12345678 --status 1
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from hpc.partitions import partitions
from hpc.record import attempts, note, note_job, result_mark, since_submitted, spec_number, spec_of
from hpc.room import say
from hpc.slurm_query import SlurmError, ask, delay, exclude_nodes, job_state, requeue
from hpc.verdict import decide, note_silent_end, restarts_of

T = TypeVar("T")
_PATIENCE_S = 120.0  # for a controller that is away
_LAST_WORDS_S = 600.0  # Slurm ends a requeued job's script long before


def judge(run_dir: Path, job_id: str, status: int) -> int:
    """After the ranks of a Slurm job: requeue it, or give it up. Returns the batch script's exit status."""
    if _has_finished(run_dir, job_id, status):
        return 0
    try:
        state = _patiently(lambda: job_state(job_id))
    except SlurmError as error:
        say(f"again: {error}", wrong=True)
        return status or 1
    if state != "RUNNING":  # cancelled, out of time, or requeued by somebody: it is Slurm's already
        say(f"again: Slurm says {state} of job {job_id}; nothing to do here")
        return status or 1
    note_job(run_dir, job_id)  # its ranks may have ended before they could
    events = note_silent_end(run_dir, status)
    verdict = decide(events, restarts_of(run_dir), _slurms_count())
    if not verdict.goes_on and not status and events[-1]["event"] == "stopped":
        return 0  # ended for good by who listens to it: nothing was given up
    if not verdict.goes_on:
        note(run_dir, "gave up", error=verdict.why)
        say(f"again: the run stops here: {verdict.why}", wrong=True)
        return status or 1
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what Slurm ends this script with, once the job is requeued
    note(run_dir, "again", why=verdict.why, job_id=job_id)
    say(f"again: queued again{f', to start in {verdict.wait_s:g} s' if verdict.wait_s else ''}: {verdict.why}")
    try:
        _patiently(lambda: requeue(job_id))
        if verdict.wait_s:
            delay(job_id, verdict.wait_s)
        if verdict.node:
            _keep_away(run_dir, job_id)
    except SlurmError as error:
        say(f"again: {error}", wrong=True)
    time.sleep(_LAST_WORDS_S)
    return status or 1


def _has_finished(run_dir: Path, job_id: str, status: int) -> bool:
    """Whether this job's ranks wrote a result. When they failed, one that was there before they began is not theirs."""
    found = result_mark(run_dir)
    if found is None or not status:
        return found is not None
    begun = next((event for event in reversed(attempts(run_dir)) if event["event"] == "started"), None)
    return begun is not None and str(begun.get("job_id")) == job_id and begun.get("old_result") != found


def _keep_away(run_dir: Path, job_id: str) -> None:
    """Exclude the nodes that were not fit, those that were excluded before too; unless the job needs every node that there is."""
    spec = spec_of(run_dir)
    unfit = sorted({str(event["unfit"]) for event in since_submitted(attempts(run_dir)) if event.get("unfit")})
    before = str(spec.get("exclude") or "")
    if not can_spare(unfit, spec_number(spec, "nodes", 1), str(spec.get("partition") or ""), before):
        say(f"again: {', '.join(unfit)} not excluded: the job needs every node of its partition")
        return
    exclude_nodes(job_id, ",".join([*filter(None, [before]), *unfit]))


def _slurms_count() -> int:
    """How often Slurm has queued this job again."""
    text = os.environ.get("SLURM_RESTART_COUNT", "")
    return int(text) if text.isdecimal() else 0


def can_spare(unfit: Sequence[str], nodes: int, partition: str | None, before: str = "") -> bool:
    """Whether a job finds enough nodes without some of them.

    Args:
        unfit: nodes to keep away from.
        nodes: that the job needs.
        partition: where it runs; None for the cluster's default.
        before: nodes that it keeps away from already, as Slurm writes them: "t4-[1-3]". All are taken for nodes of the partition.

    Raises:
        SlurmError: Slurm does not answer.
    """
    known = partitions()
    there = known.get(partition or "") or next(iter(known.values()), None)  # the default comes first
    away = {*unfit, *(ask("scontrol", "show", "hostnames", before).split() if before else ())}
    return there is not None and nodes + len(away) <= there.nodes


def _patiently(question: Callable[[], T]) -> T:
    """Slurm's answer, also when its controller is away for a while.

    Raises:
        SlurmError: it stays away, or refuses all the time.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return question()
        except SlurmError:
            if time.monotonic() > deadline:
                raise
            time.sleep(2)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, why, examples = (__doc__ or "").split("\n\n")
    top = argparse.ArgumentParser(
        prog="python -m hpc.again", description=f"{summary} {why}", epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("--run-dir", type=Path, required=True, help="the run's folder")
    top.add_argument("--status", type=int, required=True, help="exit status of the ranks")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Judge the job that this runs in; its exit status."""
    options = parser().parse_args(arguments)
    job_id = os.environ.get("SLURM_JOB_ID")
    if job_id is None:
        print("again: there is no SLURM_JOB_ID here; a batch script runs this after its ranks", file=sys.stderr)
        return 2
    return judge(options.run_dir, job_id, options.status)


if __name__ == "__main__":
    sys.exit(main())
