"""The cluster's partitions, as `sinfo` tells them: nodes, GPUs, cores, time limits."""

import re
from dataclasses import dataclass, field

from hpc.job import JobError, parse_minutes
from hpc.slurm_query import SlurmError, ask


@dataclass(frozen=True)
class Partition:
    """One partition: its nodes, and the GPUs and cores of the node that has most of them.

    Attributes:
        name: of the partition.
        nodes: how many.
        gpus: on a node.
        default: a job that names none goes there.
        cpus: cores of a node.
        minutes: longest time limit; None for no limit, or an unknown one.
        gpu_type: Slurm's name of the GPUs, "t4" for example; None when it has none.
        kinds: nodes, GPUs and cores of each kind of node in it.
    """

    name: str
    nodes: int
    gpus: int
    default: bool
    cpus: int
    minutes: int | None = None
    gpu_type: str | None = None
    kinds: tuple[tuple[int, int, int], ...] = field(default=(), compare=False)

    def nodes_with(self, gpus: int, cpus: int) -> int:
        """How many of its nodes have as many GPUs and cores."""
        kinds = self.kinds or ((self.nodes, self.gpus, self.cpus),)
        return sum(count for count, theirs, cores in kinds if theirs >= gpus and cores >= cpus)

    def gpus_of(self, nodes: int) -> int:
        """The most GPUs that as many of its nodes have each."""
        return max((gpus for _, gpus, _ in self.kinds if self.nodes_with(gpus, 0) >= nodes), default=self.gpus)

    def cpus_of(self, nodes: int, gpus: int) -> int:
        """The most cores that as many of its nodes with so many GPUs have each."""
        return max((cores for _, _, cores in self.kinds if self.nodes_with(gpus, cores) >= nodes), default=self.cpus)


def partitions() -> dict[str, Partition]:
    """Every partition by name, the default's first (`sinfo`).

    Raises:
        SlurmError: sinfo failed.
    """
    return parse_partitions(ask("sinfo", "--noheader", "--format=%P|%D|%G|%c|%l"))


def parse_partitions(text: str) -> dict[str, Partition]:
    """Partitions from lines "name*|nodes|gres|cpus|time limit"; one may have several lines, for each kind or state of node."""
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        name, nodes, gres, cpus, limit = (*line.split("|"), "", "", "", "")[:5]
        if not (nodes.isdecimal() and cpus.rstrip("+").isdecimal()):
            raise SlurmError(
                f"sinfo said {line!r}, which is no partition with its nodes, GPUs and cores; is Slurm well?"
            )
        default, name = name.endswith("*"), name.rstrip("*")
        before = found.get(name, Partition(name, 0, 0, default, 0))
        kind = int(nodes), _gpus(gres), int(cpus.rstrip("+"))  # "72+": nodes of several sizes
        found[name] = Partition(
            name,
            before.nodes + kind[0],
            max(before.gpus, kind[1]),
            default,
            max(before.cpus, kind[2]),
            _minutes(limit),
            before.gpu_type or _gpu_type(gres),
            (*before.kinds, kind),
        )
    return dict(sorted(found.items(), key=lambda item: not item[1].default))


def nodes_among(partition: str, names: str) -> int:
    """How many nodes of a partition are among these names, written as Slurm does: "t4-1,t4-3" or "t4-[1-3]".

    Raises:
        SlurmError: sinfo failed.
    """
    text = ask("sinfo", "--noheader", "--Node", f"--partition={partition}", f"--nodes={names}", "--format=%N")
    return len({line.strip() for line in text.splitlines() if line.strip()})


def _minutes(limit: str) -> int | None:
    try:
        return parse_minutes(limit)
    except JobError:  # "infinite", "n/a"
        return None


def _gpu_type(gres: str) -> str | None:
    match = re.search(r"gpu:([^:,()]+):\d+", gres)
    return match[1].lower() if match else None


def _gpus(gres: str) -> int:
    """GPUs in a GRES text such as "gpu:t4:4(S:0-1),gpu:v100:2" or "(null)"."""
    return sum(int(count) for count in re.findall(r"gpu(?::[^:,()]+)?:(\d+)", gres))
