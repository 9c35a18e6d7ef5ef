"""What a person or a program asks for; what is left out follows from the cluster's profile, the cluster, or is one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hpc.job import JobError

PLACES = ("auto", "slurm", "local", "debug")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]{0,99}")


@dataclass(frozen=True)
class Request:
    """One run.

    Attributes:
        stage: its name.
        settings: its "key=value" settings.
        runs: folder of all runs, seen by all nodes.
        name: of the run's folder in it; None: by what can change its result.
        where: "auto" (Slurm where there is one), "slurm", "local" (processes of this machine) or "debug" (this very process).
        profile: of the cluster: a name, a YAML file, or None to know it by its partitions.
        nodes: number of nodes.
        ranks_per_node, gpus_per_node, cpus_per_rank, minutes, partition, account, qos, controller: see `hpc.job.JobSpec`; None: by
            the profile, then by the cluster.
        exclude: nodes to keep away from.
        after: runs, by folder, that must have finished before.
        made_before: settings whose folders one of them makes: they are not looked for now.
        made_from: what the clips in `data` are made from, as the run before says it, in place of a look at them: they may not be
            there yet.
        restarts: how often it may go on by itself.
        snapshot: run a copy of the code as it is now.
        again: run once more what has finished.
    """

    stage: str
    settings: tuple[str, ...] = ()
    runs: Path = Path("runs")
    name: str | None = None
    where: str = "auto"
    profile: str | None = None
    nodes: int = 1
    ranks_per_node: int | None = None
    gpus_per_node: int | None = None
    cpus_per_rank: int | None = None
    minutes: int | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    controller: str | None = None
    exclude: str | None = None
    after: tuple[Path, ...] = ()
    made_before: tuple[str, ...] = ()
    made_from: str = ""
    restarts: int = 20
    snapshot: bool = True
    again: bool = False

    def __post_init__(self) -> None:
        """Refuse names that a scheduler or a file system would read as something else."""
        if self.where not in PLACES:
            raise JobError(f"expected --cluster {', '.join(PLACES[:-1])} or {PLACES[-1]}, but got {self.where!r}")
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise JobError(
                "expected --name of at most 100 letters, digits and ._+=- that begins with a letter or a digit, but got "
                f"{self.name!r}"
            )
