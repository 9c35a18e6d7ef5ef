"""Trials that ended, and trials whose process is gone: what every driver and worker looks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sweeps.brake import slurms_word
from sweeps.launch import present
from sweeps.options import Options
from sweeps.running import Running
from sweeps.study import Sweep
from sweeps.trial_folder import Handle, Outcome, Task, write_task


def settle_ended(sweep: Sweep, running: Iterable[Running]) -> list[Running]:
    """Tell the study of those whose outcome is there; the others are returned."""
    left = []
    for trial in running:
        outcome = trial.outcome
        if outcome is None or outcome.state == "stopped":
            left.append(trial)
        else:
            sweep.settle(trial, outcome)
    return left


def find_lost(running: Iterable[Running], free: Handle | None = None) -> list[tuple[Running, Handle | None]]:
    """Trials that nobody runs, with the word of who did: of a dead process, a job that Slurm no longer has, or one that stopped.

    Args:
        running: trials of the study.
        free: of a worker that runs none now: what it ran in an earlier life, under the same number of Slurm's, is lost too.
    """
    trials = list(running)
    handles = [trial.handle for trial in trials]
    return [
        (trial, handle)
        for trial, handle, there in zip(trials, handles, present(handles), strict=True)
        # An outcome that came while we asked is looked at the next time.
        if (not there or _same(handle, free)) and ((outcome := trial.outcome) is None or outcome.state == "stopped")
    ]


def _same(one: Handle | None, other: Handle | None) -> bool:
    return one is not None and other is not None and (one.kind, one.name) == (other.kind, other.name)


def next_attempt(sweep: Sweep, trial: Running, before: Handle | None, mine: Handle, retries: int) -> Handle | None:
    """Take a lost trial over, to go on from its checkpoint; one that was lost too often fails.

    Args:
        sweep: the study.
        trial: that is lost.
        before: who ran it.
        mine: who takes it over.
        retries: how often a trial may be lost.

    Returns:
        The handle of the new attempt; None when there is nothing to run.
    """
    asked = trial.outcome  # stopped by a signal: not the trial's fault
    done = before.attempt if before is not None else 0
    attempt = done if asked is not None and asked.state == "stopped" else done + 1
    if attempt > retries + 1:
        reason = (
            f"its process ended {done} times without a word (killed, out of memory?){slurms_word(before)}; "
            f"its output is in {trial.folder}"
        )
        sweep.settle(trial, Outcome("failed", reason))
        return None
    after = replace(mine, attempt=max(1, attempt))
    return after if sweep.take_over(trial, before, after) else None


def prepare(sweep: Sweep, trial: Running, options: Options) -> Task:
    """Say in a trial's folder what to run."""
    task = Task(
        options.storage, sweep.name, trial.number, sweep.plan.stage, sweep.plan.overrides(trial.params), options.metric,
        options.pruner, options.steps, options.every, options.nodes, options.ranks_per_node,
    )  # fmt: skip
    write_task(trial.folder, task)
    return task
