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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hpc.partitions import partitions
from hpc.record import (
    RUN,
    attempts,
    last_metrics,
    note,
    note_job,
    read_json,
    result_mark,
    since_submitted,
    was_taken_along,
)
from hpc.room import has_room, say, wait_s
from hpc.slurm_query import SlurmError, ask, delay, exclude_nodes, job_state, requeue

T = TypeVar("T")
RESTARTS = 20
_ENDS = ("finished", "stopped", "failed")
_SAME_STEP = 5  # attempts in a row that end where they began
_PATIENCE_S = 120.0  # for a controller that is away
_LAST_WORDS_S = 600.0  # Slurm ends a requeued job's script long before


@dataclass(frozen=True)
class Verdict:
    """Whether a run goes on by itself, and why, or why not."""

    goes_on: bool
    why: str
    node: str = ""  # that was not fit
    wait_s: float = 0.0  # before it does: somebody has to make room


def decide(events: Sequence[dict[str, Any]], restarts: int, went_on: int = 0) -> Verdict:
    """Judge a run by what its record says since it was submitted.

    Args:
        events: lines of `attempts.jsonl` since "submitted"; the last attempt has an outcome.
        restarts: how often it may go on by itself.
        went_on: how often it did by Slurm's count, which a full disk does not hide.
    """
    ends = _ends(events)
    if not ends:
        return Verdict(True, "its ranks ended before they began")
    last = ends[-1]
    error, step = str(last.get("error", "")), last.get("step")
    if last.get("busy"):
        return Verdict(True, error)
    ends = [end for end in ends if not end.get("busy")]  # waiting for another process's end was no attempt
    if last["event"] == "finished":
        return Verdict(False, "it has finished")
    if last.get("final"):
        return Verdict(False, error or str(last.get("why", "")))
    if not restarts:
        return Verdict(False, error or str(last.get("why") or "it was stopped"))
    if len(ends) > restarts or (last.get("full") and went_on >= restarts):
        return Verdict(
            False, f"{error or 'it was stopped'}; it went on by itself {restarts} times, and --restarts allows no more"
        )
    if last.get("full"):
        return Verdict(True, error, wait_s=wait_s(ends))
    ends = [end for end in ends if not end.get("full")]  # somebody made room: nothing was tried in vain
    if len(ends) > 1 and last["event"] == "failed" and _same(ends[-2], last):
        return Verdict(False, f"{error}; the same error came twice at step {step}, so it does not go on by itself")
    if len(ends) >= _SAME_STEP and len({str(end.get("step")) for end in ends[-_SAME_STEP:]}) == 1:
        why = error or "it was stopped each time"
        return Verdict(
            False, f"{why}; {_SAME_STEP} attempts in a row ended at step {step}: is the time limit too short?"
        )
    return Verdict(True, error or str(last.get("why", "it was stopped")), str(last.get("unfit", "")))


def note_silent_end(run_dir: Path, status: int) -> list[dict[str, Any]]:
    """The record since the submission, with an outcome for a last attempt that had no time, or no room, to write one.

    What cannot be written down because the disk is full is in what is returned all the same.
    """
    events = since_submitted(attempts(run_dir))
    begun = max(
        (number for number, event in enumerate(events) if event["event"] in ("submitted", "started", "again")),
        default=-1,
    )
    ends = [event for event in events[begun + 1 :] if event["event"] in _ENDS]
    fields: dict[str, Any] = {}
    if all(was_taken_along(end) for end in ends) and not has_room(run_dir):
        fields = {"error": f"the disk that holds {run_dir} is full", "full": True}
    elif not ends:
        how = {137: ", killed: out of memory?", 143: ", ended by TERM"}.get(status, "")
        fields = {"error": f"its ranks ended without a word (exit status {status}{how})"}
    if not fields:
        return events
    fields["step"] = last_metrics(run_dir).get("step", 0)
    note(run_dir, "failed", **fields)
    written = since_submitted(attempts(run_dir))
    return written if len(written) > len(events) else [*events, {"event": "failed", **fields}]


def _ends(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One outcome of each attempt: that of the rank which failed first, not of those that its death took along."""
    found: list[dict[str, Any]] = []
    open_attempt: list[dict[str, Any]] = []
    for event in [*events, {"event": "started"}]:
        if event["event"] in ("started", "again") and open_attempt:
            own = [end for end in open_attempt if not was_taken_along(end)]
            full = [end for end in own if end.get("full")]  # what else went wrong is seen when there is room
            found.append((full or own or open_attempt)[0])
            open_attempt = []
        if event["event"] in _ENDS:
            open_attempt.append(event)
    return found


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one.get(name) == other.get(name) for name in ("event", "error", "step"))


def restarts_of(run_dir: Path) -> int:
    """How often a run may go on by itself, from its `run.json`; one that a batch script of its own started has none."""
    return _count(_spec(run_dir), "restarts", RESTARTS)


def _spec(run_dir: Path) -> dict[str, Any]:
    spec = (read_json(run_dir / RUN) or {}).get("spec")
    return spec if isinstance(spec, dict) else {}


def _count(spec: dict[str, Any], name: str, default: int) -> int:
    value = spec.get(name)
    return value if isinstance(value, int) else default  # what is damaged stops no run


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
    spec = _spec(run_dir)
    unfit = sorted({str(event["unfit"]) for event in since_submitted(attempts(run_dir)) if event.get("unfit")})
    before = str(spec.get("exclude") or "")
    if not can_spare(unfit, _count(spec, "nodes", 1), str(spec.get("partition") or ""), before):
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
