"""From what was asked to what will be submitted: settings, shape, folder. Asks Slurm once, and writes nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpc.checks import check_excluded, check_fits, check_gpus, check_place, check_time, check_torch, knows_no_gpu
from hpc.job import JobError, JobSpec, parse_minutes
from hpc.partitions import Partition, partitions
from hpc.profiles import PartitionProfile, Profile, find_profile, load_profile
from hpc.record import RUN, read_json
from hpc.request import Request
from hpc.slurm_query import is_configured
from hpc.states import ENDED, states
from v2a.stages import (
    check_inputs,
    identity,
    input_contents,
    is_stale,
    load_config,
    preset_keys,
    shares_tasks,
    uses_gpu,
)

LOCAL_NOTE = "no Slurm here: running as local processes (--cluster slurm insists on Slurm)"


@dataclass(frozen=True)
class Plan:
    """A run as it would be submitted.

    Attributes:
        request: what was asked.
        spec: what becomes of it.
        where: "slurm", "local" or "debug".
        config: the stage's validated config.
        identity: what of it can change the result, with the stage, the content of its data set, and the number of ranks where they
            train together.
        videos: a digest of the videos that it reads. It names no folder: a run that has finished goes on when there are new ones.
        notes: sentences for people.
        profile: name of the cluster's profile, or None.
    """

    request: Request
    spec: JobSpec
    where: str
    config: Any
    identity: dict[str, Any]
    videos: str = ""
    notes: tuple[str, ...] = ()
    profile: str | None = None


@dataclass
class _Cluster:
    """What is known of where the run goes."""

    where: str
    known: dict[str, Partition] = field(default_factory=dict)
    profile_name: str | None = None
    profile: Profile = field(default_factory=Profile)
    notes: list[str] = field(default_factory=list)


def make_plan(request: Request) -> Plan:
    """Work out a run, and find what would stop it.

    Raises:
        v2a.config.ConfigError: settings, or what the stage reads.
        JobError: what the queue could never start, or a folder that cannot be used.
        hpc.slurm_query.SlurmError: Slurm does not answer.
    """
    load_config(request.stage, request.settings)  # a person's own mistakes come first
    cluster = _look(request)
    partition = _partition(request, cluster)
    shape = _shape(request, cluster, partition)
    overrides = _settings(request, cluster, partition, shape.gpus_per_node > 0 and not knows_no_gpu())
    config = load_config(request.stage, overrides)
    inputs = input_contents(config)
    data = request.made_from or inputs.get("data", "")
    science = run_identity(request.stage, config, request.nodes * shape.ranks_per_node, data)
    nodes = 1 if _is_alone(request, cluster) else request.nodes
    if nodes < request.nodes:
        cluster.notes.append(
            f"{request.stage} shares out its tasks, on several nodes over MPI; with --controller gloo it takes one node"
        )
    run_dir = Path(request.runs).expanduser().resolve() / (request.name or run_name(science))
    spec = JobSpec(
        stage=request.stage, overrides=overrides, run_dir=run_dir, nodes=nodes, ranks_per_node=shape.ranks_per_node,
        gpus_per_node=shape.gpus_per_node, cpus_per_rank=shape.cpus_per_rank, minutes=_minutes(request, shape, cluster, partition),
        partition=partition, account=request.account or cluster.profile.account or None,
        qos=request.qos or cluster.profile.qos or None, exclude=request.exclude, after=_jobs(request.after, cluster.where),
        setup=tuple(cluster.profile.setup), controller=request.controller or cluster.profile.controller, restarts=request.restarts,
    )  # fmt: skip
    if cluster.where == "slurm":
        check_gpus(spec, together=not (shares_tasks(spec.stage) or knows_no_gpu()))
        check_fits(spec, cluster.known)
        check_excluded(spec, cluster.known)
        check_time(spec, cluster.known)
        cluster.notes += check_torch(spec, shape.gpu)
    check_inputs(spec.stage, config, request.made_before)
    check_place(run_dir, slurm=cluster.where == "slurm")
    notes = tuple(cluster.notes)
    return Plan(request, spec, cluster.where, config, science, inputs.get("videos", ""), notes, cluster.profile_name)


def run_identity(stage: str, config: Any, ranks: int, data: str = "") -> dict[str, Any]:
    """What can change the result. Ranks that train together make a step's batch larger, so their number counts; those that share
    out tasks make the same of them, however many there are.

    Args:
        stage: its name.
        config: its config.
        ranks: in all.
        data: a digest of what is in the folder of clips that it reads; empty when it reads none.
    """
    together = {} if shares_tasks(stage) else {"ranks": ranks}
    content = {"data.content": data} if data and hasattr(config, "data") else {}
    return {"stage": stage, **together, **identity(config), **content}


def why_again(plan: Plan) -> str:
    """Why a run that has finished is not done: other videos at the same place, or a page that is gone or out of date; else ""."""
    before = (read_json(plan.spec.run_dir / RUN) or {}).get("videos")
    if before and plan.videos and before != plan.videos:
        return "its videos have changed since"
    return "its page is gone, or older than the runs on it" if is_stale(plan.config) else ""


def run_name(science: dict[str, Any]) -> str:
    """What can change the result names the folder."""
    text = json.dumps(science, sort_keys=True)
    return f"{science['stage']}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _look(request: Request) -> _Cluster:
    place = "local" if request.profile == "local" and request.where == "auto" else request.where
    cluster = _Cluster(place)
    if place == "auto":
        cluster.where = "slurm" if is_configured() else "local"
        cluster.notes += [LOCAL_NOTE] if cluster.where == "local" else []
    if cluster.where == "slurm":
        cluster.known = partitions()
        cluster.profile_name = request.profile or find_profile(cluster.known)
    if cluster.profile_name is not None:
        cluster.profile = load_profile(cluster.profile_name)
    elif request.profile not in (None, "local"):
        load_profile(str(request.profile))  # say so when there is none
    return cluster


def _partition(request: Request, cluster: _Cluster) -> str | None:
    if cluster.where != "slurm":
        return None
    return request.partition or cluster.profile.partition or None


def _default(cluster: _Cluster, partition: str | None) -> str:
    return partition or next((p.name for p in cluster.known.values() if p.default), "")


def _settings(request: Request, cluster: _Cluster, partition: str | None, on_gpus: bool) -> tuple[str, ...]:
    """The profile's settings for this GPU and stage, but where a preset decides, and then those that were asked for."""
    theirs = cluster.profile.settings_for(_default(cluster, partition), request.stage)
    if not on_gpus:  # processors have no half precision to train in
        theirs = tuple(setting for setting in theirs if setting != "train.precision=fp16")
    decided = preset_keys(request.stage, request.settings)
    return (*(s for s in theirs if s.partition("=")[0] not in decided), *request.settings)


def _shape(request: Request, cluster: _Cluster, partition: str | None) -> PartitionProfile:
    """Ranks, GPUs and cores of each node: as asked, else by the profile, else a rank for each GPU of the partition."""
    name = _default(cluster, partition)
    there = cluster.profile.partitions.get(name)
    found = cluster.known.get(name)
    if there is None and found is not None and found.gpus and uses_gpu(request.stage):
        each = found.gpus_of(request.nodes)  # where nodes differ, as many as there are on enough of them
        there = PartitionProfile(found.gpu_type or "", max(1, each), each, max(1, found.cpus // max(1, each)))
    there = there or PartitionProfile()
    gpus = there.gpus_per_node if uses_gpu(request.stage) else 0
    ranks = there.ranks_per_node
    if request.gpus_per_node is not None:
        gpus = request.gpus_per_node
        ranks = max(1, gpus) if ranks > 1 else ranks
    if request.ranks_per_node is not None:
        ranks = request.ranks_per_node
        gpus = gpus if request.gpus_per_node is not None else min(gpus, ranks)
    cpus = there.cpus_per_rank if request.cpus_per_rank is None else request.cpus_per_rank
    if request.cpus_per_rank is None and found is not None and ranks > 0:
        cpus = max(1, min(cpus, found.cpus_of(request.nodes, gpus) // ranks))
    if _is_alone(request, cluster):
        ranks, cpus = 1, ranks * cpus
    return PartitionProfile(there.gpu or (found.gpu_type if found else "") or "", ranks, gpus, cpus, there.time)


def _is_alone(request: Request, cluster: _Cluster) -> bool:
    """Whether tasks are shared out by one rank to processes of its node: between ranks it takes MPI, which gloo does without."""
    controller = request.controller or cluster.profile.controller
    return cluster.where == "slurm" and controller == "gloo" and shares_tasks(request.stage)


def _minutes(request: Request, shape: PartitionProfile, cluster: _Cluster, partition: str | None) -> int:
    if request.minutes is not None:
        return request.minutes
    known = cluster.known.get(_default(cluster, partition))
    most = known.minutes if known is not None else None
    wanted = parse_minutes(shape.time)
    return wanted if most is None else min(wanted, most)


def _jobs(runs: tuple[Path, ...], where: str) -> tuple[str, ...]:
    """Slurm's ids of the runs that must have finished before; none for one that has.

    Raises:
        JobError: one of them never will as things are: what waits for it would wait, or be cancelled, in vain.
    """
    found = []
    for run_dir, state in states(runs).items():
        if state.state == "finished":
            continue
        if state.state in ENDED:
            why = f": {state.reason}" if state.reason else ""
            raise JobError(f"--after {run_dir.name}: it {ENDED[state.state]}{why}; submit it first")
        if where != "slurm" or state.job_id is None or not state.is_active:
            raise JobError(f"{run_dir} has not finished, and no job of Slurm's works on it; submit it first")
        found.append(state.job_id)
    return tuple(found)
