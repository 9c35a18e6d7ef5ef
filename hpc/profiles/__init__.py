"""What is known of a cluster: its partitions, what a job asks for on them, and settings for each type of GPU."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hpc.job import JobError, parse_minutes


@dataclass
class PartitionProfile:
    """What a job asks for in one partition, when nothing else is said.

    Attributes:
        gpu: the type of its GPUs, a key of `Profile.settings`; empty for none.
        ranks_per_node, gpus_per_node, cpus_per_rank: as in `hpc.job.JobSpec`.
        time: limit, as Slurm writes it.
    """

    gpu: str = ""
    ranks_per_node: int = 1
    gpus_per_node: int = 0
    cpus_per_rank: int = 1
    time: str = "1:00:00"


@dataclass
class Profile:
    """A cluster.

    Attributes:
        summary: for people.
        partition: where a job goes that names none; empty for the cluster's own default.
        setup: lines of shell before the ranks start.
        account, qos: Slurm's; empty for the user's own.
        controller: "mpi", or "gloo" where srun has no PMIx.
        partitions: by name.
        settings: of each GPU type and stage, as "key=value".
    """

    summary: str = ""
    partition: str = ""
    setup: list[str] = field(default_factory=list)
    account: str = ""
    qos: str = ""
    controller: str = "mpi"
    partitions: dict[str, PartitionProfile] = field(default_factory=dict)
    settings: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def settings_for(self, partition: str, stage: str) -> tuple[str, ...]:
        """Settings of a stage on the GPUs of a partition."""
        gpu = self.partitions[partition].gpu if partition in self.partitions else ""
        return tuple(self.settings.get(gpu, {}).get(stage, ()))


def profile_names() -> list[str]:
    """Profiles that come with the program."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.yaml"))


def load_profile(name: str) -> Profile:
    """A profile by its name, or by the path of a YAML file.

    Raises:
        JobError: there is none, or it cannot be read; names the profiles or the fault.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    path = Path(__file__).parent / f"{name}.yaml" if name in profile_names() else Path(name)
    if not path.is_file():
        raise JobError(
            f"there is no profile {name!r}; there are: {', '.join(profile_names())}, or the path of a YAML file"
        )
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Profile), OmegaConf.load(path))
        profile = OmegaConf.to_object(merged)
    except (OmegaConfBaseException, YAMLError, ValueError, OSError) as error:
        raise JobError(f"the profile {path} cannot be read: {str(error).splitlines()[0]}") from None
    assert isinstance(profile, Profile)
    for partition in profile.partitions.values():
        parse_minutes(partition.time)
    return profile


def find_profile(partitions: Iterable[str]) -> str | None:
    """Name of the profile whose partitions are just those of this cluster; None when there is none."""
    here = set(partitions)
    return next((name for name in profile_names() if here and set(load_profile(name).partitions) == here), None)
