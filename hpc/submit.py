"""Submit a stage to Slurm, or run it as processes of this machine where there is no Slurm."""

import argparse
import dataclasses
import hashlib
import importlib.util
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hpc.job import JobError, JobSpec, local_command, parse_minutes, submitit_parameters
from hpc.slurm_query import Partition, SlurmError, is_configured, job_state, partitions
from hpc.worker import run, split_stage
from v2a.config import ConfigError
from v2a.stages import load_config, shares_tasks, stage_names, stage_summary

_EXAMPLES = """\
examples:
  python -m hpc.submit --nodes 4 --follow stage=selftest         does this cluster train? four nodes, one rank each
  python -m hpc.submit --nodes 2 --ranks-per-node 4 --gpus-per-node 4 --partition t4 stage=selftest steps=500
  python -m hpc.submit --cluster local --ranks-per-node 2 stage=selftest      two ranks on this machine
  python -m hpc.submit --nodes 4 --dry-run stage=selftest        what would be submitted
"""
_POLL_S = 1.0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m hpc.submit",
        description="Submit a stage to Slurm, or run it as local processes where there is no Slurm.",
        epilog=_EXAMPLES + "\nstages:\n" + "\n".join(f"{name}: {stage_summary(name)}" for name in stage_names()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--nodes", type=int, default=1, help="nodes (default: 1)")
    top.add_argument("--ranks-per-node", type=int, default=1, help="Horovod ranks on each node (default: 1)")
    top.add_argument("--gpus-per-node", type=int, default=0, help="GPUs asked for on each node (default: 0)")
    top.add_argument("--cpus-per-rank", type=int, default=1, help="cores for each rank (default: 1)")
    top.add_argument("--partition", help="Slurm partition (default: the cluster's own)")
    top.add_argument("--time", default="1:00:00", help="time limit, as Slurm writes it (default: 1:00:00)")
    top.add_argument("--cluster", choices=("auto", "slurm", "local"), default="auto", help="where (default: auto)")
    top.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder of all runs, seen by all nodes (default: runs)"
    )
    top.add_argument("--follow", action="store_true", help="show the job's output and wait for its end")
    top.add_argument(
        "--dry-run", action="store_true", help="check everything, print what would be submitted, submit nothing"
    )
    top.add_argument("settings", nargs="+", metavar="key=value", help="stage=NAME and the stage's settings")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Submit; 0 when it was (with --follow: when the job succeeded), 1 with a sentence when it could not be."""
    options = parser().parse_intermixed_args(arguments)
    try:
        stage, overrides = split_stage(options.settings)
        config = load_config(stage, overrides)
        spec = JobSpec(
            stage=stage,
            overrides=tuple(overrides),
            run_dir=options.runs.resolve() / _run_name(stage, config),
            nodes=options.nodes,
            ranks_per_node=options.ranks_per_node,
            gpus_per_node=options.gpus_per_node,
            cpus_per_rank=options.cpus_per_rank,
            minutes=parse_minutes(options.time),
            partition=options.partition,
        )
        if _use_slurm(options.cluster):
            return _submit_to_slurm(spec, options)
        return _run_locally(spec, options)
    except (ConfigError, JobError, SlurmError) as error:
        print(f"submit: {error}", file=sys.stderr)
    except OSError as error:
        print(f"submit: the run's folder cannot be made: {error}. Choose another place with --runs", file=sys.stderr)
    return 1


def _run_name(stage: str, config: Any) -> str:
    """What the settings come to names the folder: their order, and those that only repeat a default, do not count."""
    text = json.dumps(dataclasses.asdict(config), sort_keys=True, default=str)
    return f"{stage}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _use_slurm(cluster: str) -> bool:
    if cluster != "auto":
        return cluster == "slurm"
    found = is_configured()
    if not found:
        print("no Slurm here: running as local processes (--cluster slurm insists on Slurm)", flush=True)
    return found


def _submit_to_slurm(spec: JobSpec, options: argparse.Namespace) -> int:
    check_fits(spec, partitions())
    parameters = submitit_parameters(spec)
    if options.dry_run:
        print(f"would submit to Slurm: {spec.world_size} ranks on {spec.nodes} nodes, run folder {spec.run_dir}")
        for name, value in parameters.items():
            print(f"  {name}: {value}")
        return 0
    import submitit

    folder = spec.run_dir / "submitit"
    folder.mkdir(parents=True, exist_ok=True)
    executor = submitit.AutoExecutor(folder=folder, cluster="slurm")
    executor.update_parameters(**parameters)
    try:
        job = executor.submit(run, spec.stage, list(spec.overrides), spec.run_dir)
    except submitit.core.utils.FailedJobError as error:
        raise SlurmError(f"Slurm refused the job (account, QoS, limits?): {error}") from error
    print(
        f"Submitted job {job.job_id}: {spec.world_size} ranks on {spec.nodes} nodes, run folder {spec.run_dir}",
        flush=True,
    )
    return _follow(job) if options.follow else 0


def check_fits(spec: JobSpec, known: dict[str, Partition]) -> None:
    """Refuse before the queue what the queue could never start.

    Raises:
        JobError: no such partition, too few nodes in it, or too few GPUs or cores on them.
    """
    name = spec.partition if spec.partition is not None else next((p.name for p in known.values() if p.default), None)
    if name is None:
        raise JobError(f"this cluster has no default partition; choose one with --partition: {', '.join(known)}")
    if name not in known:
        raise JobError(f"there is no partition {name!r}; there are: {', '.join(known)}")
    partition = known[name]
    if spec.nodes > partition.nodes:
        raise JobError(f"partition {name} has {partition.nodes} nodes, but --nodes {spec.nodes} were asked for")
    if spec.gpus_per_node > partition.gpus:
        raise JobError(
            f"the nodes of partition {name} have {partition.gpus} GPUs each, but --gpus-per-node {spec.gpus_per_node} were asked"
        )
    _check_cpus(spec, partition)


def _check_cpus(spec: JobSpec, partition: Partition) -> None:
    wanted = spec.ranks_per_node * spec.cpus_per_rank
    if wanted > partition.cpus:
        raise JobError(
            f"the nodes of partition {partition.name} have {partition.cpus} cores each, but --ranks-per-node {spec.ranks_per_node} "
            f"times --cpus-per-rank {spec.cpus_per_rank} asks for {wanted}"
        )


def _follow(job: Any) -> int:
    """Print the job's output as it comes, until the job ended. Ctrl-C stops following, not the job."""
    shown, state = 0, ""
    try:
        while True:
            ended = _state_or(state, job.job_id)
            if ended != state:
                print(f"[{job.job_id}] {ended.lower()}", flush=True)
                state = ended
            shown = _print_new(Path(job.paths.stdout), shown)
            if state not in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED"):
                break
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        print(f"\nno longer following; the job goes on (scancel {job.job_id} ends it)")
        return 130
    if state != "COMPLETED":
        print(f"job {job.job_id} ended {state}; its output is in {job.paths.folder}", file=sys.stderr)
        return 1
    return 0


def _state_or(before: str, job_id: str) -> str:
    """The job's state; the one before when the controller is away for a moment: the job goes on without it."""
    try:
        return job_state(job_id)
    except SlurmError:
        if not before:
            raise
        return before


def _print_new(path: Path, shown: int) -> int:
    if not path.exists():
        return shown
    with path.open("rb") as file:
        file.seek(shown)
        new = file.read()
    sys.stdout.write(new.decode(errors="replace"))
    sys.stdout.flush()
    return shown + len(new)


def _run_locally(spec: JobSpec, options: argparse.Namespace) -> int:
    shared = shares_tasks(spec.stage)
    command = local_command(spec, sys.executable, shared)
    if options.dry_run:
        print(f"would run on this machine: {shlex.join(command)}")
        return 0
    if spec.world_size > 1 and not shared and importlib.util.find_spec("horovod") is None:
        raise JobError(
            f"{spec.world_size} ranks need Horovod, which is not installed; build it with: python -m hpc.build_horovod"
        )
    spec.run_dir.mkdir(parents=True, exist_ok=True)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
