"""Is the file system with the runs shared by all nodes, and do their clocks agree?"""

import itertools
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from hpc.preflight.exchange import Exchange, Member, Seen
from hpc.preflight.finding import Finding
from hpc.world import World

_MAX_SKEW_S = 5.0  # make, HDF5 caches and run folders compare file times; NTP keeps nodes within some milliseconds


def attempt_name(world: World, environ: Mapping[str, str] = os.environ) -> str | None:
    """Name this launch: the same for all its processes, another one for every other launch; None when unknown.

    A requeued job keeps its id, so the restart count belongs to it; so does the step, as a job can have several at once.
    """
    slurm = [environ.get(name, "0") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")]
    name: str | None = None
    if world.source == "srun":
        name = "slurm-{}-{}.{}-{}".format(environ.get("SLURM_CLUSTER_NAME", "cluster"), *slurm)
    elif world.source == "mpirun":
        # Not Slurm's variables: mpirun over ssh has them on the first node only.
        space = environ.get("PMIX_NAMESPACE") or environ.get("OMPI_MCA_ess_base_jobid")
        name = f"mpi-{space}" if space else None
    elif world.source == "horovodrun":
        server = [environ.get(name) for name in ("HOROVOD_GLOO_RENDEZVOUS_ADDR", "HOROVOD_GLOO_RENDEZVOUS_PORT")]
        if all(server):
            name = "gloo-{}-{}-{}.{}-{}".format(*server, *slurm)
        elif "SLURM_STEP_ID" in environ:
            name = "gloo-slurm-{}.{}-{}".format(*slurm)
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[-200:] if name else None


def check_shared(world: World, runs: Path, timeout_s: float, environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """Exchange files with all processes of the job in `runs`/.preflight; takes `timeout_s` when someone is missing."""
    if world.size == 1:
        return [Finding("shared", "skip", "one process: no file system needs to be shared")]
    attempt = attempt_name(world, environ)
    if attempt is None:
        return [
            Finding("shared", "skip", f"{world.source} gives its processes no common name to meet under: not checked")
        ]
    host = environ.get("SLURMD_NODENAME", world.host)
    folder = runs / ".preflight" / attempt
    exchange = Exchange(folder, Member(attempt, world.rank, world.size, host), timeout_s)
    try:
        missing = exchange.meet()
    except OSError as error:
        return [
            Finding(
                "shared",
                "fail",
                f"{host} cannot write in {str(folder)!r}: {error.strerror or error}",
                "give a folder with --runs that every node can write in",
            )
        ]
    finally:
        exchange.leave()
    hosts = {rank: seen.member.host for rank, seen in exchange.seen.items()}
    if missing:
        nodes = environ.get("SLURM_STEP_NODELIST") or environ.get("SLURM_JOB_NODELIST") or ""
        return [_not_seen(host, _missing_names(missing, set(hosts.values()), nodes), runs, timeout_s)]
    return [_all_seen(hosts, runs), *judge_clocks(exchange.seen)]


def _not_seen(host: str, names: str, runs: Path, timeout_s: float) -> Finding:
    place = str(runs.absolute())
    return Finding(
        "shared",
        "fail",
        f"{host} does not see what {names} wrote in {place!r} (waited {timeout_s:g} s): it is not one folder for "
        "all nodes, or they have not started",
        f"give a folder on the shared file system with --runs, or have {place!r} mounted on every node; if some nodes only "
        "start late, wait longer with --shared-timeout",
    )


def _missing_names(missing: Iterable[int], hosts_seen: set[str], nodelist: str) -> str:
    """Name the nodes that were not seen at all; where Slurm's list does not tell them, the ranks."""
    try:
        nodes = [node for node in expand_nodes(nodelist) if node not in hosts_seen]
    except ValueError:  # a form of Slurm's that is not known here: the ranks do
        nodes = []
    return " and ".join(nodes) if nodes else "rank " + ", ".join(str(rank) for rank in missing)


def _all_seen(hosts: Mapping[int, str], runs: Path) -> Finding:
    names = list(dict.fromkeys(hosts[rank] for rank in sorted(hosts)))
    place = repr(str(runs.absolute()))
    if len(names) == 1:
        return Finding(
            "shared", "ok", f"all {len(hosts)} processes are on {names[0]}, and see each other's files in {place}"
        )
    shown = ", ".join(names) if len(names) <= 8 else f"{names[0]} to {names[-1]}"
    return Finding("shared", "ok", f"all {len(names)} nodes ({shown}) see each other's files in {place}")


def judge_clocks(seen: Mapping[int, Seen]) -> list[Finding]:
    """Judge how far the nodes' clocks are apart; nothing to say when they agree.

    On file systems where the client and not the server stamps files (Lustre), a difference does not show.
    """
    ahead = sorted(seen.values(), key=lambda one: one.clock_ahead_s)
    first, last = ahead[0], ahead[-1]
    skew_s = last.clock_ahead_s - first.clock_ahead_s
    if skew_s <= _MAX_SKEW_S:
        return []
    return [
        Finding(
            "shared",
            "warn",
            f"the clock of {last.member.host} is {skew_s:.0f} s ahead of {first.member.host}'s: ages of files are misjudged",
            "ask the administrator to synchronise the nodes' clocks (chronyd or ntpd)",
        )
    ]


def expand_nodes(nodelist: str) -> list[str]:
    """Expand Slurm's form of a list of nodes: "t4-[1-2,07],dgx1" gives t4-1, t4-2, t4-07, dgx1.

    Raises:
        ValueError: a range is not of numbers.
    """
    names: list[str] = []
    for item in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", nodelist):
        parts = [_choices(part) for part in re.split(r"(\[[^\]]*\])", item)]
        names += ["".join(choice) for choice in itertools.product(*parts)]
    return names


def _choices(part: str) -> list[str]:
    if not part.startswith("["):
        return [part]
    found: list[str] = []
    for piece in part[1:-1].split(","):
        first, _, last = piece.partition("-")
        found += [f"{number:0{len(first)}d}" for number in range(int(first), int(last or first) + 1)]
    return found
