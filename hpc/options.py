"""The command line of `python -m hpc.submit`, and the request that it makes."""

from __future__ import annotations

import argparse
from pathlib import Path

from hpc.job import CONTROLLERS, JobError, parse_minutes
from hpc.profiles import profile_names
from hpc.request import PLACES, Request
from v2a.stages import stage_names, stage_summary

_EXAMPLES = """\
examples:
  python -m hpc.submit --nodes 4 --follow stage=selftest         does this cluster train? four nodes
  python -m hpc.submit --nodes 4 stage=vqvae data=data/clips     the same command again: shows it, goes on with it, or its results
  python -m hpc.submit --nodes 2 --ranks-per-node 4 --gpus-per-node 4 --partition t4 stage=selftest steps=500
  python -m hpc.submit --cluster local --ranks-per-node 2 stage=selftest      two ranks on this machine
  python -m hpc.submit --nodes 4 --dry-run stage=selftest        what would be submitted
  python -m hpc.submit --nodes 4 pipeline videos=clips/          prepare, vqvae, codes, audio, evaluate, report, one after the other
  python -m hpc.submit pipeline videos=clips/ preset=tiny vqvae.train.steps=500 --dry-run
  python -m hpc.submit --profile rosie --partition dgx --time 1-00:00:00 stage=selftest
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m hpc.submit",
        description="Submit a stage to Slurm, or run it as local processes where there is no Slurm.",
        epilog=_EXAMPLES + "\nstages:\n" + "\n".join(f"{name}: {stage_summary(name)}" for name in stage_names()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_shape(top)
    _add_place(top)
    top.add_argument("--follow", action="store_true", help="show the job's output and wait for its end")
    top.add_argument(
        "--dry-run", action="store_true", help="check everything, print what would be submitted, submit nothing"
    )
    top.add_argument(
        "settings", nargs="+", metavar="key=value", help="stage=NAME and the stage's settings, or: pipeline videos=DIR"
    )
    return top


def _add_shape(top: argparse.ArgumentParser) -> None:
    by_profile = "(default: by the profile, else by the partition)"
    top.add_argument("--nodes", type=int, default=1, help="nodes (default: 1)")
    top.add_argument("--ranks-per-node", type=int, help=f"ranks on each node; one for each GPU {by_profile}")
    top.add_argument("--gpus-per-node", type=int, help=f"GPUs asked for on each node {by_profile}")
    top.add_argument("--cpus-per-rank", type=int, help=f"cores for each rank {by_profile}")
    top.add_argument("--partition", help="Slurm partition (default: the profile's, else the cluster's)")
    top.add_argument(
        "--time", help="time limit of each attempt, as Slurm writes it; the run goes on after it (default: 1:00:00)"
    )
    top.add_argument("--account", help="Slurm account")
    top.add_argument("--qos", help="Slurm QoS")
    top.add_argument("--exclude", metavar="NODES", help="nodes to keep away from, as Slurm writes them")
    top.add_argument("--controller", choices=CONTROLLERS, help="gloo where srun has no PMIx (default: mpi)")
    top.add_argument("--restarts", type=int, default=20, help="how often the run goes on by itself (default: 20)")


def _add_place(top: argparse.ArgumentParser) -> None:
    top.add_argument(
        "--cluster", choices=PLACES, default="auto",
        help="where: Slurm, processes of this machine, or in this very process for a debugger (default: auto)",
    )  # fmt: skip
    top.add_argument(
        "--profile", metavar="NAME",
        help=f"what is known of the cluster: {', '.join(profile_names())}, or a YAML file; cluster=NAME says the same "
        "(default: by its partitions)",
    )  # fmt: skip
    top.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder of all runs, seen by all nodes (default: runs)"
    )
    top.add_argument("--name", help="the run's folder in it (default: by what can change its result)")
    top.add_argument(
        "--after",
        metavar="RUN",
        action="append",
        default=[],
        help="start when this run has finished; may be given again",
    )
    top.add_argument("--again", action="store_true", help="run once more what has finished; what is done is kept")
    top.add_argument(
        "--no-snapshot", action="store_true", help="run the files as they are when the job starts, not as they are now"
    )


def split_settings(settings: list[str]) -> tuple[str, list[str], str | None]:
    """Stage, its settings, and the profile of "cluster=NAME".

    Raises:
        v2a.config.ConfigError: no stage, or more than one.
        JobError: more than one cluster.
    """
    from hpc.worker import split_stage

    profiles = [setting.partition("=")[2] for setting in settings if setting.startswith("cluster=")]
    if len(profiles) > 1:
        raise JobError(f"expected one cluster=NAME, but got {len(profiles)}")
    stage, rest = split_stage([setting for setting in settings if not setting.startswith("cluster=")])
    return stage, rest, profiles[0] if profiles else None


def pipeline_settings(settings: list[str]) -> list[str]:
    """Those of a pipeline, without the word itself and the cluster."""
    return [setting for setting in settings if setting != "pipeline" and not setting.startswith("cluster=")]


def make_request(options: argparse.Namespace, after: tuple[Path, ...] = ()) -> Request:
    """What the command line asks for.

    Args:
        options: parsed.
        after: folders of the runs of --after.

    Raises:
        v2a.config.ConfigError, JobError: it cannot be.
    """
    stage, settings, profile = split_settings(options.settings)
    return _request(options, stage, settings, profile, after)


def pipeline_request(options: argparse.Namespace, after: tuple[Path, ...] = ()) -> Request:
    """The same for all links of a pipeline; its stage and settings are theirs to say."""
    profiles = [setting.partition("=")[2] for setting in options.settings if setting.startswith("cluster=")]
    return _request(options, "prepare", [], profiles[0] if profiles else None, after)


def _request(
    options: argparse.Namespace, stage: str, settings: list[str], profile: str | None, after: tuple[Path, ...]
) -> Request:
    return Request(
        stage=stage, settings=tuple(settings), runs=options.runs, name=options.name, where=options.cluster,
        profile=options.profile or profile, nodes=options.nodes, ranks_per_node=options.ranks_per_node,
        gpus_per_node=options.gpus_per_node, cpus_per_rank=options.cpus_per_rank,
        minutes=parse_minutes(options.time) if options.time else None, partition=options.partition, account=options.account,
        qos=options.qos, controller=options.controller, exclude=options.exclude, after=after, restarts=options.restarts,
        snapshot=not options.no_snapshot, again=options.again,
    )  # fmt: skip
