"""Submit a stage to Slurm, or run it as processes of this machine where there is no Slurm."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from hpc.chain import run_pipeline
from hpc.checks import check_fits, warn_crowded
from hpc.find import find_run
from hpc.follow import INTERRUPTED, Tail, follow, follow_local, results, say_end
from hpc.job import JobError, local_command, submitit_parameters
from hpc.launch import Launched, submit
from hpc.options import make_request, parser, pipeline_settings, split_settings
from hpc.pipeline import parse_settings
from hpc.plan import Plan, make_plan
from hpc.slurm_query import SlurmError
from hpc.states import state_of
from hpc.visible import visible_lines
from v2a.config import ConfigError
from v2a.stages import load_config, shares_tasks

__all__ = ["check_fits", "main", "parser", "validate"]


def validate(settings: list[str]) -> Any:
    """The stage's config of these settings, as the command would read them.

    Raises:
        ValueError: an unknown stage or key, or a bad value.
    """
    if "pipeline" in settings:
        return parse_settings(pipeline_settings(settings))
    stage, rest, _ = split_settings(settings)
    return load_config(stage, rest)


def main(arguments: list[str] | None = None) -> int:
    """Submit; 0 when it was (with --follow, or locally, whoever started it: when the run finished), 1 with a sentence otherwise."""
    options = parser().parse_intermixed_args(arguments)
    try:
        after = tuple(find_run(options.runs, name) for name in options.after)
        if "pipeline" in options.settings:
            return run_pipeline(options, pipeline_settings(options.settings), after)
        plan = make_plan(make_request(options, after))
        for note in plan.notes:
            print(note, flush=True)
        if plan.where == "local" and (crowded := warn_crowded(plan.spec)):
            print(crowded, file=sys.stderr)
        if options.dry_run:
            print("\n".join(dry_run(plan)))
            return 0
        if plan.where == "debug":
            return _debug(plan)
        return _submit(plan, options)
    except (ConfigError, JobError, SlurmError) as error:
        print(f"submit: {visible_lines(str(error))}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nsubmit: interrupted; the same command finds what was submitted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = None  # who read it has gone; nothing is left to be written when the interpreter ends
        return 1
    except OSError as error:
        print(f"submit: the run's folder cannot be made: {error}. Choose another place with --runs", file=sys.stderr)
    return 1


def dry_run(plan: Plan) -> list[str]:
    """What would be submitted, for people."""
    spec = plan.spec
    if plan.where != "slurm":
        command = local_command(spec, sys.executable, shares_tasks(spec.stage))
        return [f"would run on this machine: {shlex.join(command)}"]
    profile = f", profile {plan.profile}" if plan.profile else ""
    lines = [
        f"would submit to Slurm: {spec.world_size} ranks on {spec.nodes} nodes{profile}, run folder {spec.run_dir}"
    ]
    lines += [f"  {name}: {value}" for name, value in submitit_parameters(spec).items()]
    return [*lines, f"  stage={spec.stage} {shlex.join(spec.overrides)}".rstrip()]


def _submit(plan: Plan, options: argparse.Namespace) -> int:
    tail = Tail(plan.spec.run_dir, skip_old=True)
    launched = submit(plan)
    name = launched.run_dir.name
    if launched.how == "finished":
        print("\n".join(results(launched.state)))
        print("  nothing to do; --again runs it once more, other settings make another run")
        return 0
    if launched.how == "attached":
        print(f"{name} is {launched.state.state} already{_job(launched)}: this is it", flush=True)
        tail = Tail(launched.run_dir)
    elif launched.how == "submitted":
        spec = plan.spec
        print(
            f"Submitted job {launched.job_id}: {spec.world_size} ranks on {spec.nodes} nodes, run folder {spec.run_dir}",
            flush=True,
        )
    if launched.process is not None:
        return follow_local(launched.process, tail)
    return _follow(launched, tail) if options.follow or plan.where == "local" else 0


def _job(launched: Launched) -> str:
    return f" as job {launched.job_id}" if launched.job_id else ""


def _follow(launched: Launched, tail: Tail) -> int:
    try:
        return say_end(follow(launched.run_dir, tail))
    except KeyboardInterrupt:
        name = launched.run_dir
        print(f"\nno longer following; the run goes on (python -m hpc.cancel {shlex.quote(str(name))} ends it)")
        return INTERRUPTED


def _debug(plan: Plan) -> int:
    """Run in this very process, where a debugger is."""
    from hpc.worker import run

    spec = plan.spec
    if spec.world_size != 1:
        raise JobError(f"expected one rank with --cluster debug, but got {spec.world_size}")
    state = state_of(spec.run_dir)
    if state.is_active or state.state == "unknown":
        raise JobError(
            f"{spec.run_dir.name} is {state.state}{f' ({state.reason})' if state.reason else ''}; end it with python -m hpc.cancel "
            f"{shlex.quote(str(spec.run_dir))}, or choose another --name"
        )
    run(spec.stage, list(spec.overrides), Path(spec.run_dir))
    return 0


if __name__ == "__main__":
    sys.exit(main())
