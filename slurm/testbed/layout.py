"""What the cluster consists of, and every name, address and path that follows from where its folder is."""

import hashlib
import ipaddress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

# UNIX socket names hold 107 characters; the longest name below the state folder is Slurm's PMIx socket,
# spool/<node>/pmix.<job>.<step>/stepd.slurm.pmix.<job>.<step> (measured: 58 characters with six-digit job ids).
LONGEST_STATE_PATH = 107 - 58

CONTROLLER = "ctl"
CONTROLLER_DAEMONS = ("munged", "mariadbd", "slurmdbd", "slurmctld")  # in the order in which they need each other


class TestbedError(Exception):
    """A problem that a person can solve; its text says what was wrong, the rule, and the fix."""

    __test__ = False  # not a test class, whatever pytest thinks of the name


@dataclass(frozen=True)
class Node:
    """One compute host: `gpus` devices of type `gpu_type`, of which Slurm believes everything and the kernel nothing."""

    name: str
    number: int  # last part of its address
    gpu_type: str
    gpus: int = 4
    cpus: int = 8
    memory_mb: int = 8000


@dataclass(frozen=True)
class Partition:
    """One Slurm partition over `nodes`; a higher `priority_tier` preempts a lower one (slurm.conf: PriorityTier)."""

    name: str
    nodes: tuple[str, ...]
    priority_tier: int
    default: bool = False
    grace_time_s: int = 0


NODES = (*(Node(f"t4-{i}", 10 + i, "t4") for i in range(1, 5)), Node("dgx-1", 21, "v100", cpus=16))
PARTITIONS = (
    Partition("t4", tuple(n.name for n in NODES if n.gpu_type == "t4"), priority_tier=10, default=True),
    Partition("dgx", ("dgx-1",), priority_tier=10),
    Partition("low", tuple(n.name for n in NODES if n.gpu_type == "t4"), priority_tier=1, grace_time_s=15),
)


@dataclass(frozen=True)
class Cluster:
    """One test cluster, identified by its state folder: two folders are two clusters that never touch each other.

    Attributes:
        state: absolute, resolved path of the folder that holds everything of this cluster.
        shared: absolute paths that stay visible on the nodes even where a node's own /tmp would cover them.
    """

    state: Path
    shared: tuple[Path, ...] = field(default=())

    @cached_property
    def key(self) -> str:
        """8 hexadecimal digits that stand for this cluster in process arguments and interface names."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:8]

    @property
    def mark(self) -> str:
        """The argument by which this cluster's processes are found in the process list."""
        return f"v2a-testbed-{self.key}"

    @property
    def interface(self) -> str:
        """The one network interface in the machine's own namespace (at most 15 characters: the kernel's limit)."""
        return f"v2a{self.key}"

    @property
    def slurm_conf(self) -> Path:
        """Slurm's configuration file, for SLURM_CONF."""
        return self.state / "etc" / "slurm.conf"

    @property
    def ready_file(self) -> Path:
        """Written as the last act of `up`; holds the subnet."""
        return self.state / "ready"

    @property
    def marker_file(self) -> Path:
        """Written first: what says that the folder is the cluster's and may be removed."""
        return self.state / "testbed-folder"

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host, the controller first."""
        return (CONTROLLER, *(node.name for node in NODES))


@dataclass(frozen=True)
class Addresses:
    """IPv4 addresses in the cluster's subnet: .1 this machine's shell, .2 the controller, then the nodes."""

    subnet: ipaddress.IPv4Network

    @property
    def shell(self) -> str:
        """Where `srun` of this machine's shell is reached."""
        return str(self.subnet[1])

    def of(self, host: str) -> str:
        """Address of a host; `KeyError` for a name that is no host."""
        return str(self.subnet[{CONTROLLER: 2, **{node.name: node.number for node in NODES}}[host]])


def find_node(name: str) -> Node:
    """The node of that name.

    Raises:
        TestbedError: there is none; names those that exist.
    """
    for node in NODES:
        if node.name == name:
            return node
    raise TestbedError(f"there is no node {name!r}; the nodes are {', '.join(node.name for node in NODES)}")
