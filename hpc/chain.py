"""`python -m hpc.submit pipeline …`: submit the links of a pipeline, watch them, and stop the rest when one fails."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hpc.cancel import cancel_run
from hpc.follow import INTERRUPTED, Tail, follow, follow_local
from hpc.job import JobError
from hpc.launch import Launched, submit
from hpc.options import pipeline_request
from hpc.pipeline import Link, describe, make_links, parse_settings
from hpc.slurm_query import SlurmError
from hpc.states import state_of


def run_pipeline(options: argparse.Namespace, settings: list[str], after: tuple[Path, ...]) -> int:
    """With Slurm all links are submitted at once and wait for each other; without it one runs after the other.

    Args:
        options: of `python -m hpc.submit`.
        settings: of the pipeline.
        after: folders of runs that must have finished before its first link.

    Returns:
        0 when they were submitted (with --follow, or locally: when all finished), 1 when a link failed, 130 when it was stopped.

    Raises:
        ConfigError, JobError, SlurmError, OSError: see `hpc.launch.launch`.
    """
    links = make_links(parse_settings(settings), pipeline_request(options, after), waits=not options.dry_run)
    if options.dry_run:
        print("\n".join(describe(links)))
        return 0
    done: list[Link] = []
    for link in links:
        done.append(link)
        tail = Tail(link.plan.spec.run_dir, skip_old=True)
        launched = submit(link.plan)
        print(f"{link.name}: {_how(launched)}", flush=True)
        if link.plan.where == "local" and launched.how != "finished":
            status = _wait_here(launched, tail)
            if status != 0:
                print(f"pipeline: {link.name} {_end(link)}; nothing after it was started", file=sys.stderr)
                return status
    if options.follow:
        status = _watch(done)
        if status != 0:
            return status
    elif done[-1].plan.where != "local":
        print(
            "each waits for the one before; python -m hpc.status shows them, and the same command with --follow watches them"
        )
    last = done[-1].plan
    print(
        f"{'the page' if state_of(last.spec.run_dir).state == 'finished' else 'the page will be'}: {last.config.page}"
    )
    return 0


def _how(launched: Launched) -> str:
    if launched.how == "attached":
        return f"{launched.state.state} already" + (f" as job {launched.job_id}" if launched.job_id else "")
    return launched.how + (f" as job {launched.job_id}" if launched.job_id and launched.how != "finished" else "")


def _end(link: Link) -> str:
    """How a link ended, with the reason: what was printed of it may be far above."""
    state = state_of(link.plan.spec.run_dir)
    return f"{state.state}{f': {state.reason}' if state.reason else ''}"


def _wait_here(launched: Launched, tail: Tail) -> int:
    if launched.process is not None:
        return follow_local(launched.process, tail)
    return 0 if follow(launched.run_dir, tail).state == "finished" else 1


def _watch(links: list[Link]) -> int:
    """Follow one link after the other; when one fails, see that the rest is cancelled, and say which failed."""
    for number, link in enumerate(links):
        run_dir = link.plan.spec.run_dir
        try:
            state = follow(run_dir, Tail(run_dir))
        except KeyboardInterrupt:
            print("\nno longer following; the jobs go on")
            return INTERRUPTED
        if state.state == "finished":
            continue
        for later in links[number + 1 :]:
            try:
                cancel_run(later.plan.spec.run_dir)
            except (SlurmError, JobError, OSError) as error:
                print(f"pipeline: {error}", file=sys.stderr)
        rest = ", ".join(later.plan.spec.stage for later in links[number + 1 :]) or "nothing"
        why = f": {state.reason}" if state.reason else ""
        print(
            f"pipeline: {link.name} {state.state}{why}; stopped with it: {rest}. The same command goes on",
            file=sys.stderr,
        )
        return 1
    print("all links have finished")
    return 0
