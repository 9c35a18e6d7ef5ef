"""Questions to Slurm, each one command, and their answers as values. Works without sacct."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass

_TIMEOUT_S = 30


class SlurmError(RuntimeError):
    """Slurm did not answer; the text is its own."""


@dataclass(frozen=True)
class Partition:
    """One partition: its nodes, and the GPUs and cores of the node that has most of them."""

    name: str
    nodes: int
    gpus: int
    default: bool
    cpus: int


def is_configured() -> bool:
    """Whether this machine belongs to a Slurm cluster, whether or not its controller answers.

    Raises:
        SlurmError: SLURM_CONF names a file that is not there.
    """
    if shutil.which("sbatch") is None:
        return False
    try:
        _ask("sinfo", "--noheader", "--format=%P")
    except SlurmError as error:
        # Programs without a cluster. Anything else, a controller that is down for example, must not make a job that was
        # meant for the cluster run on its login node.
        if "configuration source" in str(error):
            return False
        raise
    return True


def partitions() -> dict[str, Partition]:
    """Every partition by name, the default's first (`sinfo`).

    Raises:
        SlurmError: sinfo failed.
    """
    return parse_partitions(_ask("sinfo", "--noheader", "--format=%P|%D|%G|%c"))


def parse_partitions(text: str) -> dict[str, Partition]:
    """Partitions from lines "name*|nodes|gres|cpus"; a partition may have several lines, one for each kind or state of node."""
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        name, nodes, gres, cpus = line.split("|")
        default, name = name.endswith("*"), name.rstrip("*")
        before = found.get(name, Partition(name, 0, 0, default, 0))
        most = max(before.cpus, int(cpus.rstrip("+")))  # "72+": nodes of several sizes
        found[name] = Partition(name, before.nodes + int(nodes), max(before.gpus, _gpus(gres)), default, most)
    return dict(sorted(found.items(), key=lambda item: not item[1].default))


def _gpus(gres: str) -> int:
    """GPUs in a GRES text such as "gpu:t4:4(S:0-1),gpu:v100:2" or "(null)"."""
    return sum(int(count) for count in re.findall(r"gpu(?::[^:,()]+)?:(\d+)", gres))


def job_state(job_id: str) -> str:
    """State of a job in Slurm's words, "COMPLETED" for example, from the controller's memory (`scontrol`).

    Raises:
        SlurmError: the controller does not know the job.
    """
    match = re.search(r"JobState=(\S+)", _ask("scontrol", "--oneliner", "show", "job", str(job_id)))
    if match is None:
        raise SlurmError(f"scontrol shows no state of job {job_id}")
    return match.group(1)


def _ask(*command: str) -> str:
    config = os.environ.get("SLURM_CONF")
    if config is not None and not os.path.exists(config):
        # Slurm's programs would wait a minute for the file.
        raise SlurmError(
            f"SLURM_CONF names {config!r}, which is not there: this shell's cluster is down. Bring it up, or: unset SLURM_CONF"
        )
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except FileNotFoundError:
        raise SlurmError(
            f"there is no {command[0]} here: log in to the cluster, load its Slurm module, or use --cluster local"
        ) from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"`{' '.join(command)}` did not answer within {_TIMEOUT_S} s; is slurmctld up?") from None
    if done.returncode != 0:
        raise SlurmError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout
